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

export const systemTimers: Timers = {
  after(delayMs, run) {
    const handle = setTimeout(run, delayMs).unref();
    return { cancel: () => clearTimeout(handle) };
  },
  every(periodMs, run) {
    const handle = setInterval(run, periodMs).unref();
    return { cancel: () => clearInterval(handle) };
  },
  sleep: (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs)),
  afterPoll: (run) => void setImmediate(run),
  yieldLoop: () => new Promise((resolve) => setImmediate(resolve)),
};
