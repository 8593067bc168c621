/**
 * For how long a spool keeps exact totals while no collector takes from it: the real spool and ladder under a clock of our own, a million
 * requests an hour of 10,000 tenants, until it is full. Of 256 MiB, and scaled up to 1 GiB: its segments are of the same size. `--quick` takes
 * 96 MiB, whose segments are smaller and fold worse: the figure is a lower bound then.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompress } from 'node:zlib';
import { type Clock, systemClock, systemRandom, systemTimers } from '../../src/core/index.ts';
import { Ladder } from '../../src/metering/ladder.ts';
import { Spool, SpoolFull } from '../../src/metering/spool.ts';
import type { UsageRecord } from '../../src/metering/usage-record.ts';
import { systemDisk } from '../../src/wal/index.ts';
import { seeded } from '../datapath/tenants.ts';
import type { Figures, SuiteRun } from '../run.ts';

const TENANTS = 10_000;
const PER_HOUR = 1_000_000;
const HOUR_MS = 3_600_000;
const GIB = 2 ** 30;
/** Records of one block: what ends in a turn of a busy loop. */
const PER_BLOCK = 20;
/** Between two looks of the ladder, records: it looks each second. */
const PER_LOOK = 10_000;

export async function measureOutage({ quick, progress }: SuiteRun): Promise<Figures> {
  const maxBytes = (quick ? 96 : 256) * 2 ** 20;
  const hoursMax = quick ? 8 : 110;
  const dir = mkdtempSync(join(tmpdir(), 'reeve-bench-outage-'));
  let wallMs = Date.UTC(2026, 0, 1);
  const clock: Clock = { now: systemClock.now, wallMs: () => wallMs };
  const spool = new Spool({ dir, disk: systemDisk, clock, random: systemRandom, maxBytes, onDamage: () => {} });
  const ladder = new Ladder({
    spool,
    timers: systemTimers,
    maxBytes,
    now: () => clock.now(),
    pack: (payload) => new Promise((resolve) => zstdCompress(payload, (_, packed) => resolve(packed))),
    onFolded: () => {},
    onFailed(cause) {
      throw cause;
    },
  });
  const random = seeded(7);
  const began = wallMs;
  let records = 0;
  try {
    for (; wallMs - began < hoursMax * HOUR_MS; records++) {
      wallMs = began + (records * HOUR_MS) / PER_HOUR;
      spool.add(recordOf(random, Math.floor(wallMs)));
      if (records % PER_BLOCK === 0) spool.commit();
      if (records % PER_LOOK === 0) await ladder.run();
      if (records % PER_HOUR === 0)
        progress(`outage: ${records / PER_HOUR} h, ${Math.round(spool.bytes / 2 ** 20)} MiB`);
    }
  } catch (cause) {
    if (!(cause instanceof SpoolFull)) throw cause;
  } finally {
    ladder.stop();
    spool.close();
    rmSync(dir, { recursive: true, force: true });
  }
  const hours = (wallMs - began) / HOUR_MS;
  // One that is not full by then kept at least as much.
  return { outage_hours_1gib: Math.round((hours * GIB) / maxBytes) };
}

function recordOf(random: () => number, wallMs: number): UsageRecord {
  const durationUs = 500 + Math.floor(random() ** 4 * 200_000);
  return {
    wallMs,
    tenant: `tenant-${Math.floor(random() * TENANTS)}`,
    route: random() < 0.8 ? 'orders' : 'exports',
    upstream: '',
    operation: '',
    hop: 0,
    isPart: false,
    outcome: random() < 0.98 ? 'ok' : 'denied',
    methodClass: random() < 0.8 ? 'read' : 'write',
    statusClass: 2,
    bytesIn: Math.floor(random() * 500),
    bytesOut: Math.floor(random() ** 2 * 20_000),
    durationUs,
    upstreamUs: Math.floor(durationUs * 0.9),
    units: [],
    traceId: '',
  };
}
