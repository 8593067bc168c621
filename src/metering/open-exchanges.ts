// hot path
/**
 * Exchanges that are not over, in the order of their last record, or of their coming: what a stream has used so far is recorded before its
 * end. They are linked by slots of their own, so that one that is short costs no allocation; what of a long one was recorded stands beside.
 *
 *   oldest ⇄ … ⇄ newest        told: of those that were recorded in part
 *
 * Bound: the requests in flight.
 */
import type { MonotonicMs } from '../core/index.ts';
import type { Exchange } from '../pipeline/index.ts';

/** What was recorded of an exchange that goes on. */
export interface Told {
  /** Until when. */
  readonly at: MonotonicMs;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly hasUpstreamTime: boolean;
  readonly hasUnits: boolean;
}

export class OpenExchanges {
  #oldest: Exchange | undefined;
  #newest: Exchange | undefined;
  readonly #told = new Map<Exchange, Told>();

  enter(x: Exchange): void {
    x.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = x;
    else this.#newest.newer = x;
    this.#newest = x;
  }

  /** It is over. What was recorded of it before; undefined: nothing. */
  leave(x: Exchange): Told | undefined {
    this.#unlink(x);
    if (this.#told.size === 0) return undefined;
    const told = this.#told.get(x);
    this.#told.delete(x);
    return told;
  }

  /** The one whose last record, or beginning, is longest ago. */
  get oldest(): Exchange | undefined {
    return this.#oldest;
  }

  /** What was recorded of one that goes on; undefined: nothing. */
  told(x: Exchange): Told | undefined {
    return this.#told.get(x);
  }

  /** It was recorded in part, and is the last in line. */
  tell(x: Exchange, told: Told): void {
    this.#told.set(x, told);
    this.#unlink(x);
    this.enter(x);
  }

  #unlink(x: Exchange): void {
    const { older, newer } = x;
    if (older !== undefined) older.newer = newer;
    else if (this.#oldest === x) this.#oldest = newer;
    if (newer !== undefined) newer.older = older;
    else if (this.#newest === x) this.#newest = older;
    x.older = undefined;
    x.newer = undefined;
  }
}
