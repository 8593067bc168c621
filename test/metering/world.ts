/** Time, chance and records for tests of metering. */
import type { Clock, MonotonicMs, Random, Timer, Timers } from '../../src/core/index.ts';
import { Spool, type SpoolOptions } from '../../src/metering/spool.ts';
import type { UsageRecord } from '../../src/metering/usage-record.ts';
import type { Damage } from '../../src/wal/index.ts';
import { MemoryDisk } from './memory-disk.ts';

/** Time that a test moves. What is asked for after the poll runs with `turn`, or before time moves. */
export class VirtualTime implements Clock, Timers {
  #now = 1000;
  #due: { at: number; run: () => void; periodMs: number }[] = [];
  readonly #polls: (() => void)[] = [];
  wall = 1_790_000_000_000;

  now(): MonotonicMs {
    return this.#now as MonotonicMs;
  }

  wallMs(): number {
    return this.wall;
  }

  turn(): void {
    for (const run of this.#polls.splice(0)) run();
  }

  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      this.turn();
      let next: { at: number; run: () => void; periodMs: number } | undefined;
      for (const each of this.#due) if (each.at <= until && (next === undefined || each.at < next.at)) next = each;
      if (next === undefined) break;
      this.#move(Math.max(next.at, this.#now));
      if (next.periodMs > 0) next.at += next.periodMs;
      else this.#due.splice(this.#due.indexOf(next), 1);
      next.run();
    }
    this.#move(until);
  }

  get timers(): number {
    return this.#due.length;
  }

  /** Whoever asked for time by now stands still, until what is returned is called. */
  suspend(): () => void {
    const held = this.#due.splice(0);
    return () => void this.#due.push(...held);
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#add(delayMs, run, 0);
  }

  every(periodMs: number, run: () => void): Timer {
    return this.#add(periodMs, run, periodMs);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  afterPoll(run: () => void): void {
    this.#polls.push(run);
  }

  yieldLoop(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  #add(delayMs: number, run: () => void, periodMs: number): Timer {
    const entry = { at: this.#now + delayMs, run, periodMs };
    this.#due.push(entry);
    return { cancel: () => void (this.#due = this.#due.filter((each) => each !== entry)) };
  }

  #move(to: number): void {
    this.wall += Math.round(to - this.#now);
    this.#now = to;
  }
}

/** Counts up, so that ids differ and a test repeats itself. */
export function countedRandom(): Random {
  let count = 0;
  return {
    hex: (bytes) => (++count).toString(16).padStart(bytes * 2, '0'),
    float: () => 0.5,
  };
}

export function recordOf(facts: Partial<UsageRecord> = {}): UsageRecord {
  return {
    wallMs: 1_790_000_000_000,
    tenant: 'acme',
    route: 'orders',
    upstream: '',
    operation: '',
    hop: 0,
    isPart: false,
    outcome: 'ok',
    methodClass: 'read',
    statusClass: 2,
    bytesIn: 10,
    bytesOut: 2000,
    durationUs: 1234,
    upstreamUs: 1000,
    units: [],
    traceId: '',
    ...facts,
  };
}

export const DIR = '/spool';

export interface SpoolWorld {
  readonly disk: MemoryDisk;
  readonly time: VirtualTime;
  readonly damages: Damage[];
  readonly random: Random;
  /** Opens it, as another life of the process does. */
  open(more?: Partial<SpoolOptions>): Spool;
}

export function spoolWorld(): SpoolWorld {
  const disk = new MemoryDisk();
  const time = new VirtualTime();
  const damages: Damage[] = [];
  const random = countedRandom();
  return {
    disk,
    time,
    damages,
    random,
    open(more = {}) {
      disk.kill();
      const onDamage = (damage: Damage): void => void damages.push(damage);
      return new Spool({ dir: DIR, disk, clock: time, random, maxBytes: 2 ** 30, onDamage, ...more });
    },
  };
}

/** Records and commits so many, a block each time. */
export function commitBlocks(spool: Spool, blocks: number, records = 1, facts: Partial<UsageRecord> = {}): void {
  for (let block = 0; block < blocks; block++) {
    for (let i = 0; i < records; i++) spool.add(recordOf({ bytesIn: spool.lastSeq + spool.pending + 1, ...facts }));
    spool.commit();
  }
}

/** The path of a segment. */
export function segmentPath(number: number): string {
  return `${DIR}/${String(number).padStart(12, '0')}.wal`;
}
