/**
 * Long work on the loop in slices: call `pace()` between items and await what it returns, if anything. The loop that moves
 * requests is the one that compiles the tenancy, and no slice may be noticed there.
 */
import type { Clock, Timers } from '../core/index.ts';

export interface Pace {
  (): Promise<void> | undefined;
  /** Yields in any case: before a step that cannot be cut. */
  turn(): Promise<void>;
}

/** Longest slice, ms. 1: a tenth of the pause the design allows; the loop's own turn costs about 0.05. */
const SLICE_MS = 1;
/** Items between two looks at the clock. */
const STRIDE = 32;

export function createPace({ clock, timers }: { clock: Clock; timers: Timers }): Pace {
  let began = clock.now();
  let items = 0;
  const turn = (): Promise<void> =>
    timers.yieldLoop().then(() => {
      began = clock.now();
    });
  const pace = (): Promise<void> | undefined =>
    ++items % STRIDE !== 0 || clock.now() - began < SLICE_MS ? undefined : turn();
  return Object.assign(pace, { turn });
}
