/** A keeper on a disk in memory, and rows for it. */
import { Keeper, type KeeperOptions } from '../../../src/collector/kept/keeper.ts';
import { systemRandom } from '../../../src/core/index.ts';
import type { KeptRow } from '../../../src/metering/index.ts';
import { silentLog } from '../../../src/telemetry/index.ts';
import type { Disk } from '../../../src/wal/index.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

export function openKeeper(disk: Disk, more: Partial<KeeperOptions> = {}): Keeper {
  const clock = new ManualClock();
  clock.setWall('2026-11-26T12:00:00Z');
  return Keeper.open({
    ...{ dir: '/kept', disk, clock, timers: clock, random: systemRandom, log: silentLog },
    ...more,
  });
}

export function kept(key: string, version: number, more: Partial<KeptRow> = {}): KeptRow {
  const untilMs = Date.parse('2026-12-01T00:00:00Z');
  return { key: Buffer.from(key), version, value: Buffer.from(`${key.slice(-20)}=${version}`), untilMs, ...more };
}

export function textsOf(rows: Iterable<KeptRow>): string[] {
  return [...rows].map(({ value }) => Buffer.from(value).toString()).sort();
}
