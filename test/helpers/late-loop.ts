/** The lag of a loop that is late by hand. */
import { LoopLag, systemTimers, type Timer } from '../../src/core/index.ts';
import { ManualClock } from './manual-clock.ts';

export interface LateLoop {
  readonly clock: ManualClock;
  readonly lag: LoopLag;
  /** A turn came round after so many ms; 100 is in time. */
  turn(ms: number): void;
}

export function lateLoop(): LateLoop {
  const clock = new ManualClock();
  let measure = (): void => {};
  const every = (_ms: number, run: () => void): Timer => {
    measure = run;
    return { cancel() {} };
  };
  const lag = new LoopLag({ clock, timers: { ...systemTimers, every } });
  return {
    clock,
    lag,
    turn(ms) {
      clock.advance(ms);
      measure();
    },
  };
}
