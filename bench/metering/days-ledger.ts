/** Segments of a ledger as months leave them. A start asks each for its head and its length: what stands behind the head is a hole in the file. */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { LEDGER_KIND, SegmentLedger } from '../../src/collector/segment-ledger.ts';
import { systemClock } from '../../src/core/index.ts';
import { type Place, SEGMENT_BYTES, systemDisk } from '../../src/wal/index.ts';
import { segmentHead, segmentName } from '../../src/wal/segment.ts';

/** `bytes` in segments that began evenly over the time. Where it ends: all before it counts as summed up. */
export function makeSegments(dir: string, bytes: number, fromMs: number, toMs: number): Place {
  mkdirSync(dir, { recursive: true });
  const count = Math.ceil(bytes / SEGMENT_BYTES);
  for (let number = 1; number <= count + 1; number++) {
    const owner = Buffer.alloc(6);
    owner.writeUIntBE(Math.floor(fromMs + ((toMs - fromMs) * (number - 1)) / count), 0, 6);
    const head = segmentHead({ kind: LEDGER_KIND, number, follows: number - 1, mark: number, owner });
    const file = openSync(join(dir, segmentName(number)), 'wx');
    writeSync(file, head);
    // The last is read by a start, and has nothing in it yet.
    ftruncateSync(file, number > count ? head.length : SEGMENT_BYTES);
    closeSync(file);
  }
  const ledger = SegmentLedger.open({
    dir,
    disk: systemDisk,
    clock: systemClock,
    from: { segment: count + 1, offset: 0 },
    onDamage: ({ path, detail }) => {
      throw new Error(`${path}: ${detail}`);
    },
  });
  const place = ledger.highWater;
  ledger.close();
  return place;
}
