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

/** What the clock said when it was held; negative: it is not. */
let held = -1;

export const systemClock: Clock = {
  now: () => (held < 0 ? performance.now() : held) as MonotonicMs,
  wallMs: () => Date.now(),
};

/**
 * Reads the system's clock once for all that is done with one read of a socket: a request asks ten times, and each reading costs a call and a number on the
 * heap. Nothing awaits until it is released.
 */
export function holdClock(): void {
  held = performance.now();
}

/** Reads it anew, if it is held: what ends now did not end when the read began. */
export function renewClock(): void {
  if (held >= 0) held = performance.now();
}

export function releaseClock(): void {
  held = -1;
}
