import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { SegmentLedger } from '../../src/collector/index.ts';
import { systemClock } from '../../src/core/index.ts';
import { type Disk, systemDisk } from '../../src/wal/index.ts';
import { MemoryDisk } from '../metering/memory-disk.ts';
import { ledgerContract } from './ledger.ts';

const dirs: string[] = [];
t.teardown(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true });
});

/** Segments are short, so that a contract goes through several. */
const segments = (disk: Disk, dir: string) => (from?: SegmentLedger['highWater']) =>
  SegmentLedger.open({
    ...{ dir, disk, from, clock: systemClock, segmentBytes: 2000 },
    onDamage: ({ what, path }) => t.fail(`${path}: ${what}`),
  });

ledgerContract(t, 'segments in memory', () => segments(new MemoryDisk(), '/ledger'));

ledgerContract(t, 'segments on the disk', () => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-ledger-'));
  dirs.push(dir);
  return segments(systemDisk, dir);
});
