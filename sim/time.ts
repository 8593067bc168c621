/**
 * Virtual time: one queue of events for all simulated processes, run in order of time and, within an instant, of scheduling. Nothing depends on
 * anything but what was scheduled, so a seed repeats a run to the last event.
 *
 *   heap   [ 3.0 ms #7 | 5.2 ms #1 | 5.2 ms #4 | … ]        O(log n) each; a cancelled event stays until its time and does nothing
 */
import type { Clock, MonotonicMs, Random, Timer, Timers } from '../src/core/index.ts';

interface Event {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** When runs begin, wall ms: in a year nobody mistakes for now, at 3:33 UTC. */
export const EPOCH_MS = 2_000_000_000_000;

export class SimTime {
  #nowMs = 0;
  #order = 0;
  #ran = 0;
  readonly #heap: Event[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events run so far. */
  get ran(): number {
    return this.#ran;
  }

  at(atMs: number, run: () => void): Timer {
    const event: Event = { atMs: Math.max(atMs, this.#nowMs), order: this.#order++, run };
    this.#push(event);
    return {
      cancel: () => {
        event.run = undefined;
      },
    };
  }

  after(delayMs: number, run: () => void): Timer {
    return this.at(this.#nowMs + delayMs, run);
  }

  /** Runs all that is due within `ms`, and moves the time there. */
  run(ms: number): void {
    this.runUntil(() => false, ms);
  }

  /** The same until `isDone`, asked after each event; whether it became true. */
  runUntil(isDone: () => boolean, ms: number): boolean {
    const endMs = this.#nowMs + ms;
    while (this.#step(endMs)) if (isDone()) return true;
    this.#nowMs = endMs;
    return isDone();
  }

  /** The same where promises are awaited: what follows from an event has happened before the next one. */
  async settleUntil(isDone: () => boolean, ms: number): Promise<boolean> {
    const endMs = this.#nowMs + ms;
    await settled();
    while (this.#step(endMs)) {
      await settled();
      if (isDone()) return true;
    }
    this.#nowMs = endMs;
    return isDone();
  }

  /** Runs the next event that is due by `endMs`; whether there was one. */
  #step(endMs: number): boolean {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= endMs; next = this.#heap[0]) {
      this.#pop();
      this.#nowMs = next.atMs;
      if (next.run === undefined) continue;
      this.#ran++;
      next.run();
      return true;
    }
    return false;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(event, heap[above] as Event)) break;
      heap[at] = heap[above] as Event;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    const size = heap.length;
    if (size === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= size) break;
      if (below + 1 < size && isBefore(heap[below + 1] as Event, heap[below] as Event)) below++;
      if (!isBefore(heap[below] as Event, last)) break;
      heap[at] = heap[below] as Event;
      at = below;
    }
    heap[at] = last;
  }
}

/** Within a promise's continuation, ticks come when no other is left. */
function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/**
 * One simulated process: its clock and its timers. Paused, it does nothing until it goes on; then its timers come first, late, and behind them what
 * arrived meanwhile, as in Node. Killed, it does nothing any more.
 */
export class SimProcess implements Clock, Timers {
  readonly time: SimTime;
  /** Added to wall time, ms. */
  skewMs = 0;
  #isDown = false;
  #isPaused = false;
  #heldTimers: (() => void)[] = [];
  #heldArrivals: (() => void)[] = [];

  constructor(time: SimTime) {
    this.time = time;
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  now(): MonotonicMs {
    return this.time.nowMs as MonotonicMs;
  }

  wallMs(): number {
    return EPOCH_MS + this.time.nowMs + this.skewMs;
  }

  kill(): void {
    this.#isDown = true;
    this.#heldTimers = [];
    this.#heldArrivals = [];
  }

  pause(ms: number): void {
    this.#isPaused = true;
    this.time.after(ms, () => this.#goOn());
  }

  /** Something from outside: a frame, an answer. */
  arrive(run: () => void): void {
    if (this.#isDown) return;
    if (this.#isPaused) this.#heldArrivals.push(run);
    else run();
  }

  after(delayMs: number, run: () => void): Timer {
    let isCancelled = false;
    const once = (): void => {
      if (!isCancelled && !this.#isDown) run();
    };
    const timer = this.time.after(delayMs, () => {
      if (this.#isPaused) this.#heldTimers.push(once);
      else once();
    });
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  every(periodMs: number, run: () => void): Timer {
    const again = (): void => {
      timer = this.after(periodMs, again);
      run();
    };
    let timer = this.after(periodMs, again);
    return { cancel: () => timer.cancel() };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Behind everything of this instant. */
  afterPoll(run: () => void): void {
    this.after(0, run);
  }

  yieldLoop(): Promise<void> {
    return this.sleep(0);
  }

  #goOn(): void {
    this.#isPaused = false;
    const held = [...this.#heldTimers, ...this.#heldArrivals];
    this.#heldTimers = [];
    this.#heldArrivals = [];
    for (const run of held) if (!this.#isDown) run();
  }
}

/** xoshiro128** 1.1 (Blackman, Vigna), seeded by splitmix32: fast, and the same everywhere. */
export class SeededRandom implements Random {
  readonly #state = new Uint32Array(4);

  constructor(seed: number) {
    let x = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      x = (x + 0x9e3779b9) >>> 0;
      let z = x;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      this.#state[i] = (z ^ (z >>> 16)) >>> 0;
    }
  }

  /** Another stream, which depends on this one's place. */
  fork(): SeededRandom {
    return new SeededRandom(this.#next());
  }

  hex(bytes: number): string {
    let text = '';
    for (let i = 0; i < bytes; i++) text += (this.#next() >>> 24).toString(16).padStart(2, '0');
    return text;
  }

  float(): number {
    return this.#next() / 2 ** 32;
  }

  #next(): number {
    const s = this.#state;
    const [a, b, c, d] = s as unknown as [number, number, number, number];
    const scrambled = Math.imul(rotated(Math.imul(b, 5), 7), 9) >>> 0;
    s[2] = c ^ a;
    s[3] = d ^ b;
    s[1] = b ^ (s[2] as number);
    s[0] = a ^ (s[3] as number);
    s[2] = (s[2] as number) ^ (b << 9);
    s[3] = rotated(s[3] as number, 11);
    return scrambled;
  }
}

function rotated(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}
