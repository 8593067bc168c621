/** Timers as an injected capability; every handle can be cancelled, and none keeps the process alive by itself. */

export interface Timer {
  cancel(): void;
}

export interface Timers {
  after(delayMs: number, run: () => void): Timer;
  every(periodMs: number, run: () => void): Timer;
  /** Resolves after `delayMs`. */
  sleep(delayMs: number): Promise<void>;
  /** Runs once what has arrived by now is read: behind the events of this turn of the loop. */
  afterPoll(run: () => void): void;
  /** Lets sockets and timers that are due run first. For long work that must not hold the loop. */
  yieldLoop(): Promise<void>;
}

/** 2^31 - 1: setTimeout fires after 1 ms when it is asked for more. 25 days early is late enough. */
const DELAY_MS_MAX = 2 ** 31 - 1;

const bounded = (delayMs: number): number => Math.min(delayMs, DELAY_MS_MAX);

export const systemTimers: Timers = {
  after(delayMs, run) {
    const handle = setTimeout(run, bounded(delayMs)).unref();
    return { cancel: () => clearTimeout(handle) };
  },
  every(periodMs, run) {
    const handle = setInterval(run, bounded(periodMs)).unref();
    return { cancel: () => clearInterval(handle) };
  },
  sleep: (delayMs) => new Promise((resolve) => setTimeout(resolve, bounded(delayMs))),
  afterPoll: (run) => void setImmediate(run),
  yieldLoop: () => new Promise((resolve) => setImmediate(resolve)),
};
