/**
 * Timers that notice when they come late. Then it was we who stood still (a stopped process, a starved CPU, a long collection), and what did not
 * arrive meanwhile says nothing of others: `onLate` runs before what was due, and may cancel it.
 */
import type { Clock, Timer, Timers } from '../core/index.ts';

/** From here on a late timer is a pause, ms. 100: a loop that serves requests is often late by 10, and hardly by 100. */
const LATE_MS = 100;

export class OwnTimers {
  readonly #clock: Clock;
  readonly #timers: Timers;
  /** How late, ms. */
  onLate: ((lateMs: number) => void) | undefined;
  #isClosed = false;

  constructor(clock: Clock, timers: Timers) {
    this.#clock = clock;
    this.#timers = timers;
  }

  after(delayMs: number, run: () => void): Timer {
    const due = this.#clock.now() + delayMs;
    let isCancelled = false;
    const timer = this.#timers.after(delayMs, () => {
      if (this.#isClosed) return;
      const lateMs = this.#clock.now() - due;
      if (lateMs >= LATE_MS) this.onLate?.(lateMs);
      if (!isCancelled) run();
    });
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  /** A verdict by default of an answer: what already lies in our sockets is read first. */
  verdict(delayMs: number, run: () => void): Timer {
    let isCancelled = false;
    const timer = this.after(delayMs, () =>
      this.#timers.afterPoll(() => {
        if (!isCancelled && !this.#isClosed) run();
      }),
    );
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  /** Nothing runs any more. */
  close(): void {
    this.#isClosed = true;
  }
}
