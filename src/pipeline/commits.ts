/**
 * Between what became of a request and its last bytes: whoever writes records has them out of the process before a client sees an answer
 * whole. All that ends in one turn of the loop is written at once.
 */

/** Who waits to go on. */
export interface Held {
  /** What was recorded before stands: go on. Must not throw. */
  release(): void;
}

export interface Commits {
  /**
   * True: `held.release()` is called, once, when the records made so far stand, at the end of this turn of the loop. False: nothing is
   * pending, go on at once. Bound: as many are held as requests are in flight.
   */
  hold(held: Held): boolean;
}
