/**
 * How late the loop of this thread is: one timer for all who ask. Each monitor of Node's own wakes the process 50 or 100 times a second, which is
 * most of what an idle sidecar does.
 *
 *   every 100 ms ─▶ late by ─▶ [ the last minute ] ─▶ over(ms)
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

  constructor({ clock, timers }: { clock: Clock; timers: Timers }) {
    this.#clock = clock;
    this.#before = clock.now();
    this.#timer = timers.every(PERIOD_MS, () => this.#measure());
  }

  #measure(): void {
    const now = this.#clock.now();
    this.#late[this.#count++ % KEPT] = Math.max(0, now - this.#before - PERIOD_MS);
    this.#before = now;
  }

  /** By how much it was late, ms, ascending: about one number for each 100 ms of the last `ms`, at most a minute. */
  over(ms: number): Float64Array {
    const count = Math.min(this.#count, KEPT, Math.ceil(ms / PERIOD_MS));
    return Float64Array.from({ length: count }, (_, i) => this.#late[(this.#count - 1 - i) % KEPT] as number).sort();
  }

  close(): void {
    this.#timer.cancel();
  }
}

/** Of ascending numbers; 0 without any. */
export function quantileOf(ascending: Float64Array, share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(share * ascending.length))] ?? 0;
}
