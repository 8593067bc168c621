/** Virtual time: nothing happens but what was asked for, in the order of its times, and of two at one time in the order of asking. */
import type { Clock, MonotonicMs, Timer, Timers } from '../src/core/index.ts';

interface Due {
  readonly at: number;
  readonly order: number;
  run: (() => void) | undefined;
}

export class VirtualTime {
  #now = 0;
  #order = 0;
  /** A binary heap, the earliest first. */
  readonly #due: Due[] = [];

  get now(): number {
    return this.#now;
  }

  /** Of a machine whose clock runs by `rate` and began at `offset`. */
  clock(offset = 0): Clock {
    return { now: () => (this.#now + offset) as MonotonicMs, wallMs: () => this.#now + WALL_START };
  }

  readonly timers: Timers = {
    after: (delayMs, run) => this.at(this.#now + delayMs, run),
    every: (periodMs, run) => {
      let timer: Timer;
      const again = (): void => {
        timer = this.at(this.#now + periodMs, again);
        run();
      };
      timer = this.at(this.#now + periodMs, again);
      return { cancel: () => timer.cancel() };
    },
    sleep: (delayMs) => new Promise((resolve) => void this.at(this.#now + delayMs, resolve)),
    afterPoll: (run) => void this.at(this.#now, run),
    yieldLoop: () => new Promise((resolve) => void this.at(this.#now, resolve)),
  };

  at(time: number, run: () => void): Timer {
    const due: Due = { at: Math.max(time, this.#now), order: this.#order++, run };
    this.#push(due);
    return {
      cancel: () => {
        due.run = undefined;
      },
    };
  }

  runUntil(end: number): void {
    for (let next = this.#due[0]; next !== undefined && next.at <= end; next = this.#due[0]) {
      this.#pop();
      this.#now = next.at;
      next.run?.();
    }
    this.#now = end;
  }

  #push(due: Due): void {
    const heap = this.#due;
    let at = heap.push(due) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(due, heap[parent] as Due)) break;
      heap[at] = heap[parent] as Due;
      at = parent;
    }
    heap[at] = due;
  }

  #pop(): void {
    const heap = this.#due;
    const last = heap.pop() as Due;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const child = right < heap.length && isBefore(heap[right] as Due, heap[left] as Due) ? right : left;
      if (!isBefore(heap[child] as Due, last)) break;
      heap[at] = heap[child] as Due;
      at = child;
    }
    heap[at] = last;
  }
}

/** 2026-01-01 UTC. */
const WALL_START = 1_767_225_600_000;

function isBefore(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
