/** Sidecars whose quotas are kept at a collector that is a map; on the clock of their fleet. */
import { systemRandom, type Timer } from '../../../src/core/index.ts';
import { Checkpoint, type RowKeeper } from '../../../src/limits/fleet-quotas/checkpoint.ts';
import type { KeptRow } from '../../../src/limits/fleet-quotas/kept-row.ts';
import { createLog } from '../../../src/telemetry/index.ts';
import { Fleet, type Sidecar } from './world.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
export const only = (fleet: Fleet): Sidecar => fleet.sidecars[0] as Sidecar;
export const dayOf = ({ clock }: Fleet): number => Math.floor(clock.wallMs() / 86_400_000);

/** A collector: rows by key, on a medium that answers at once, later or never. */
export class MemoryKeeper implements RowKeeper {
  readonly rows = new Map<string, KeptRow>();
  storeId = 'a';
  /** Answers wait for it. */
  gate: Promise<void> = Promise.resolve();
  trouble: Error | undefined;
  room = Number.POSITIVE_INFINITY;
  calls = 0;
  readonly sizes: number[] = [];
  /** Runs while a call is under way. */
  during: () => Promise<void> | void = () => {};

  async keep(rows: readonly KeptRow[]): Promise<{ refused: number; storeId: string }> {
    this.calls++;
    this.sizes.push(rows.length);
    await this.gate;
    await this.during();
    if (this.trouble !== undefined) throw this.trouble;
    let refused = 0;
    for (const each of rows) {
      const before = this.rows.get(text(each.key));
      if (before === undefined && this.rows.size >= this.room) refused++;
      else if (before === undefined || each.version > before.version) this.rows.set(text(each.key), each);
    }
    return { refused, storeId: this.storeId };
  }

  async restore(onRows: (rows: readonly KeptRow[]) => void): Promise<void> {
    await this.gate;
    if (this.trouble !== undefined) throw this.trouble;
    onRows([...this.rows.values()]);
  }

  /** Forgets what is over. */
  expire(wallMs: number): void {
    for (const [key, { untilMs }] of this.rows) if (untilMs <= wallMs) this.rows.delete(key);
  }

  said(kind: string): string[] {
    return [...this.rows.values()]
      .filter(({ key }) => text(key).startsWith(`${kind} `))
      .map(({ key, value }) => `${text(key)} ${text(value)}`)
      .sort();
  }
}

export interface Kept {
  readonly checkpoint: Checkpoint;
  readonly lines: Record<string, unknown>[];
}

export async function keep({ clock }: Fleet, { fleet }: Sidecar, keeper: RowKeeper): Promise<Kept> {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ clock, level: 'info', write: (line) => void lines.push(JSON.parse(line) as never) });
  const timers = {
    ...{ after: clock.after.bind(clock), sleep: clock.sleep.bind(clock) },
    ...{ afterPoll: clock.afterPoll.bind(clock), yieldLoop: clock.yieldLoop.bind(clock) },
    every(periodMs: number, run: () => void): Timer {
      const again = (): Timer =>
        clock.after(periodMs, () => {
          run();
          timer = again();
        });
      let timer = again();
      return { cancel: () => timer.cancel() };
    },
  };
  const random = { ...systemRandom, float: () => 0.5 };
  const checkpoint = new Checkpoint({ quotas: fleet.kept, keeper, clock, timers, random, log });
  await checkpoint.start();
  return { checkpoint, lines };
}

/** What was awaited is there. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 200; i++) await undefined;
}

/** Time passes for the fleet and the collector. */
export async function pass(fleet: Fleet, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 250) {
    fleet.pass(250);
    await settle();
  }
}

/** Time passes, in which no sidecar hears of another. */
export async function wait(fleet: Fleet, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    fleet.clock.advance(50);
    await settle();
  }
}

/** A fleet whose sidecars keep with one collector, and may spend. */
export async function kept(
  count: number,
  keeper: RowKeeper,
  quotas: object,
  wall?: string,
): Promise<[Fleet, Kept, ...Kept[]]> {
  const fleet = await Fleet.of(quotas, count);
  if (wall !== undefined) fleet.clock.setWall(wall);
  const all: Kept[] = [];
  for (const each of fleet.sidecars) all.push(await keep(fleet, each, keeper));
  for (const each of fleet.sidecars) fleet.account(each);
  await pass(fleet, 5000);
  return [fleet, ...(all as [Kept])];
}

/** A fleet of which the first sidecars were there in another one, and are gone. */
export async function after(
  gone: number,
  count: number,
  keeper: RowKeeper,
  quotas: object,
  wall?: string,
): Promise<[Fleet, Sidecar[]]> {
  const fleet = await Fleet.of(quotas, gone + count);
  if (wall !== undefined) fleet.clock.setWall(wall);
  for (const each of fleet.sidecars.slice(0, gone)) {
    fleet.end(each, 'dead');
    fleet.forget(each);
  }
  const lives = fleet.sidecars.slice(gone);
  for (const each of lives) await keep(fleet, each, keeper);
  return [fleet, lives];
}
