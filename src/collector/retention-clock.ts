/**
 * The time that retention goes by. The wall clock of a machine can jump, and what was deleted by it does not come back: this one follows it at twice
 * the pace of the monotonic clock at most, and never goes back.
 *
 *   wall      ───────┐ +410 d, 20 s        ┌─────
 *                    └─── …                │        a jump that lasts is followed after as long as it was wide
 *   retained  ─────────────── at most 40 s further
 */
import type { Clock } from '../core/index.ts';
import type { Log } from '../telemetry/index.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Behind a jump, so that one that lasts is caught up with. */
const PACE = 2;
/** How far behind the wall clock it is said. A slewed clock, a machine that slept for minutes: not. */
const SAID_MS = HOUR_MS;

/** What a save keeps of it. */
export interface Retained {
  /** Wall ms. */
  readonly retainedMs: number;
  /** When it was saved, by the wall clock then. */
  readonly savedMs: number;
}

export class RetentionClock {
  readonly #clock: Clock;
  readonly #log: Log;
  #atMs: number;
  #readMs: number;
  #isSaid = false;

  /** `startMs`: wall ms; it begins no later. */
  constructor(clock: Clock, log: Log, startMs: number) {
    this.#clock = clock;
    this.#log = log;
    this.#atMs = Math.min(startMs, clock.wallMs());
    this.#readMs = clock.now();
  }

  /** Wall ms; never later than the wall clock. Ask it now and then: it says what jumped. */
  nowMs(): number {
    const wallMs = this.#clock.wallMs();
    const nowMs = this.#clock.now();
    const most = this.#atMs + PACE * (nowMs - this.#readMs);
    this.#readMs = nowMs;
    this.#atMs = Math.max(this.#atMs, Math.floor(Math.min(wallMs, most)));
    this.#say(wallMs - this.#atMs);
    return Math.min(wallMs, this.#atMs);
  }

  word(): Retained {
    return { retainedMs: this.nowMs(), savedMs: this.#clock.wallMs() };
  }

  #say(behindMs: number): void {
    const isBehind = behindMs > SAID_MS;
    if (isBehind && !this.#isSaid)
      this.#log.warn('collector.clock_jumped', {
        aheadSec: Math.round(behindMs / 1000),
        retainedAs: new Date(this.#atMs).toISOString(),
        remedy:
          'look at the clock; if it is right, nothing is to be done, or a start with --trust-clock deletes what is due at once',
      });
    this.#isSaid = isBehind;
  }
}

/**
 * Where it goes on at a start. How long the process was away only the wall clock says: it is believed for a day at most. `lastMs`: of the newest that was
 * received before, where no save says more; 0: there is nothing that could be deleted.
 */
export function retentionStart(saved: Partial<Retained> | undefined, lastMs: number, wallMs: number): number {
  const { retainedMs, savedMs } = saved ?? {};
  if (retainedMs === undefined || savedMs === undefined)
    return lastMs === 0 ? wallMs : Math.min(wallMs, lastMs + DAY_MS);
  return Math.min(wallMs, retainedMs + Math.min(Math.max(wallMs - savedMs, 0), DAY_MS));
}
