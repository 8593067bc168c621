/**
 * How late the loop of this thread is: one timer for all who ask. Each monitor of Node's own wakes the process 50 or 100 times a second, which is
 * most of what an idle sidecar does.
 *
 *   every 100 ms ─▶ late by ─▶ [ the last minute, a slot each 100 ms ] ─▶ over(ms)
 *
 * Accuracy: a pause is seen up to 100 ms shorter than it is, by where it falls between two measurements.
 */
import type { Clock, MonotonicMs } from './clock.ts';
import type { Timer, Timers } from './timers.ts';

const PERIOD_MS = 100;
/** One minute. */
const KEPT = 600;

export class LoopLag {
  readonly #clock: Clock;
  readonly #late = new Float64Array(KEPT);
  readonly #timer: Timer;
  #count = 0;
  #before: MonotonicMs;
  #worst = 0;

  constructor({ clock, timers }: { clock: Clock; timers: Timers }) {
    this.#clock = clock;
    this.#before = clock.now();
    this.#timer = timers.every(PERIOD_MS, () => this.#measure());
  }

  #measure(): void {
    const late = this.#lateNow();
    // A pause takes as many slots as it lasted: what is over a minute ago leaves, however seldom the loop comes round.
    const slots = Math.min(KEPT, 1 + Math.floor(late / PERIOD_MS));
    for (let i = 0; i < slots; i++) this.#late[this.#count++ % KEPT] = late;
    this.#worst = Math.max(this.#worst, late);
    this.#before = this.#clock.now();
  }

  #lateNow(): number {
    return Math.max(0, this.#clock.now() - this.#before - PERIOD_MS);
  }

  /** By how much it was late, ms, ascending: a number for each 100 ms of the last `ms`, at most a minute. */
  over(ms: number): Float64Array {
    const count = Math.min(this.#count, KEPT, Math.ceil(ms / PERIOD_MS));
    return Float64Array.from({ length: count }, (_, i) => this.#late[(this.#count - 1 - i) % KEPT] as number).sort();
  }

  /** The most it was late since this was asked last, ms, the pause that is not measured yet with it. For one who asks. */
  takeWorst(): number {
    const worst = Math.max(this.#worst, this.#lateNow());
    this.#worst = 0;
    return worst;
  }

  close(): void {
    this.#timer.cancel();
  }
}

/** Of ascending numbers; 0 without any. */
export function quantileOf(ascending: Float64Array, share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(share * ascending.length))] ?? 0;
}
