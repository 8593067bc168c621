// hot path
/**
 * Whose turn it is at an upstream: as many requests at once as it may have connections, and a bounded line behind them, first come first
 * served. Whoever gives up leaves the line at once: a place held by nobody would be taken from somebody.
 *
 *   take ─▶ [ at once ≤ atOnceMax ] ◀─ [ line ≤ waitingMax ] ◀─ take
 *              └─ leave                    └─ leave
 */
export interface Waiting {
  /** Its turn has come. */
  go(): void;
}

export class Turns {
  readonly #atOnceMax: number;
  readonly #waitingMax: number;
  /** In order of arrival: a Set keeps it, and forgets in constant time. */
  readonly #line = new Set<Waiting>();
  #atOnce = 0;

  constructor(atOnceMax: number, waitingMax: number) {
    this.#atOnceMax = atOnceMax;
    this.#waitingMax = waitingMax;
  }

  /** True when nobody more may wait. */
  get isFull(): boolean {
    return this.#line.size >= this.#waitingMax;
  }

  /** Goes at once when a turn is free, else when one is. Each taker leaves exactly once. */
  take(taker: Waiting): void {
    if (this.#atOnce >= this.#atOnceMax) this.#line.add(taker);
    else {
      this.#atOnce++;
      taker.go();
    }
  }

  /** Gives the turn to the next in line, or leaves the line. */
  leave(taker: Waiting): void {
    if (this.#line.size === 0) {
      this.#atOnce--;
      return;
    }
    if (this.#line.delete(taker)) return;
    const [next] = this.#line;
    if (next === undefined) this.#atOnce--;
    else {
      this.#line.delete(next);
      next.go();
    }
  }
}
