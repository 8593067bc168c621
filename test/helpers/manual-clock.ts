/** A clock and timers that a test moves by hand. */
import type { Clock, MonotonicMs, Timer, Timers } from '../../src/core/index.ts';

export class ManualClock implements Clock, Timers {
  #now = 1000;
  #wall = Date.now();
  readonly #due: { at: number; run: () => void }[] = [];

  now(): MonotonicMs {
    return this.#now as MonotonicMs;
  }

  wallMs(): number {
    return this.#wall;
  }

  /** Sets the wall clock, as an operator or a time server does; a second passes. */
  setWall(at: number | string): void {
    this.advance(1000);
    this.#wall = typeof at === 'string' ? Date.parse(at) : at;
  }

  /** Moves time and runs what is due, in order. */
  advance(ms: number): void {
    this.#now += ms;
    this.#wall += ms;
    const due = this.#due.filter((each) => each.at <= this.#now).sort((a, b) => a.at - b.at);
    for (const each of due) {
      this.#due.splice(this.#due.indexOf(each), 1);
      each.run();
    }
  }

  /** Timers that are neither due nor cancelled. */
  get pending(): number {
    return this.#due.length;
  }

  after(delayMs: number, run: () => void): Timer {
    const entry = { at: this.#now + delayMs, run };
    this.#due.push(entry);
    return { cancel: () => void this.#due.splice(this.#due.indexOf(entry), this.#due.includes(entry) ? 1 : 0) };
  }

  every(periodMs: number, run: () => void): Timer {
    return this.after(periodMs, run);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  afterPoll(run: () => void): void {
    setImmediate(run);
  }

  yieldLoop(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}
