/** Time as the rest of the house sees it: injected, so that tests and simulators own it. */

/** Milliseconds on a clock that never goes back; the zero point is the process start. Never compare across processes. */
export type MonotonicMs = number & { readonly __unit: 'monotonic ms' };

export interface Clock {
  /** Monotonic, ms, with sub-millisecond fractions. For durations, rates and deadlines. */
  now(): MonotonicMs;
  /** Wall time, ms since 1970 UTC. Only for what the outside names by date: logs, token expiry, file records. */
  wallMs(): number;
}

/** Taken once: Node gives the global by a getter, which costs as much as the reading. */
const { performance } = globalThis;

export const systemClock: Clock = {
  now: () => performance.now() as MonotonicMs,
  wallMs: () => Date.now(),
};
