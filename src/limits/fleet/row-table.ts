// hot path
/**
 * The rows that one member says, 20 bytes each: every sidecar keeps them of every other, so there are as many as members times limits.
 *
 *   word 0   version of the name           ┐
 *        1   version of the row            ├ the lower 32 bits; 0: there is none
 *        2   units admitted                ┘
 *        3   at, ms above a base, 24 bits; rate, 8
 *        4   our limit + 1, 24 bits; demand, 8          0: none is known
 *
 * The upper bits of words 0 to 2 stand in an array of their own, which is made with the first value that needs it: 12 bytes more a row of a
 * member that wrote 2^32 entries, or admitted so many units of a limit.
 *
 * Accuracy: `at` is whole ms. A row that is older than 2.3 h may be taken for one of 2.3 h; what is said of an age ends at 44 min.
 */
import { enlargedWords, roomFor } from '../arrays.ts';

/** No number: there is no room for one more limit, or nothing is known of it. */
export const UNKNOWN = -1;
/** Limits of one member. 2^17: each of 100,000 tenants. 20 bytes each at whoever hears of them. */
export const ROWS_MAX = 2 ** 17;

const WORDS = 5;
const ADMITTED = 2;
const RATE = 3;
const DEMAND = 4;
const WIDE_WORDS = 3;
const WIDE = 2 ** 32;
/** ms that an `at` can be above the base. */
const SPAN_MS = 2 ** 24;

/** What of a row has a version. */
export const NAME = 0;
export const ROW = 1;
export type Part = typeof NAME | typeof ROW;

export class RowTable {
  /** Numbers that were ever used: each is below. */
  size = 0;
  #room = 0;
  #words: Uint32Array = new Uint32Array(0);
  #upper: Uint32Array = new Uint32Array(0);
  /** Far below any time, until there is a row. */
  #base = Number.NEGATIVE_INFINITY;

  /** Room for the number. */
  reach(number: number): void {
    if (number < this.size) return;
    this.size = number + 1;
    if (number < this.#room) return;
    this.#room = Math.min(ROWS_MAX, roomFor(number + 1));
    this.#words = enlargedWords(this.#words, this.#room * WORDS);
    if (this.#upper.length > 0) this.#upper = enlargedWords(this.#upper, this.#room * WIDE_WORDS);
  }

  /** 0: there is none. The number is below `size`, here and below. */
  version(number: number, part: Part): number {
    return this.#wide(number, part);
  }

  setVersion(number: number, part: Part, version: number): void {
    this.#setWide(number, part, version);
  }

  /** Units. */
  admitted(number: number): number {
    return this.#wide(number, ADMITTED);
  }

  /** On the scale of rates. */
  rate(number: number): number {
    return (this.#words[number * WORDS + RATE] as number) & 255;
  }

  demand(number: number): number {
    return (this.#words[number * WORDS + DEMAND] as number) & 255;
  }

  at(number: number): number {
    return this.#base + ((this.#words[number * WORDS + RATE] as number) >>> 8);
  }

  /** `UNKNOWN`: none of ours. */
  limit(number: number): number {
    return ((this.#words[number * WORDS + DEMAND] as number) >>> 8) - 1;
  }

  setLimit(number: number, limit: number): void {
    this.#words[number * WORDS + DEMAND] = ((limit + 1) << 8) | this.demand(number);
  }

  /** `admitted`: whole units. `at`: ms; what is before the base counts as the base. */
  set(number: number, admitted: number, demand: number, rate: number, at: number): void {
    if (at - this.#base > SPAN_MS - 1) this.#rebase(at);
    this.#setWide(number, ADMITTED, admitted);
    this.#words[number * WORDS + RATE] = (Math.max(0, Math.round(at - this.#base)) << 8) | rate;
    this.#words[number * WORDS + DEMAND] = ((this.limit(number) + 1) << 8) | demand;
  }

  /** The number that means a limit of ours, or `UNKNOWN`. Looks at all. */
  numberOf(limit: number): number {
    for (let number = 0; number < this.size; number++) if (this.limit(number) === limit) return number;
    return UNKNOWN;
  }

  /** Moves the base up to half a span before now, every 2.3 h. Rows from before it are as old as it. */
  #rebase(now: number): void {
    const base = Math.floor(now) - SPAN_MS / 2;
    const shift = base - this.#base;
    this.#base = base;
    for (let at = RATE; at < this.size * WORDS; at += WORDS) {
      const word = this.#words[at] as number;
      this.#words[at] = (Math.max(0, (word >>> 8) - shift) << 8) | (word & 255);
    }
  }

  #wide(number: number, word: number): number {
    const lower = this.#words[number * WORDS + word] as number;
    return this.#upper.length === 0 ? lower : lower + (this.#upper[number * WIDE_WORDS + word] as number) * WIDE;
  }

  #setWide(number: number, word: number, value: number): void {
    // An array of words takes a number modulo 2^32.
    this.#words[number * WORDS + word] = value;
    if (value >= WIDE && this.#upper.length === 0) this.#upper = new Uint32Array(this.#room * WIDE_WORDS);
    if (this.#upper.length > 0) this.#upper[number * WIDE_WORDS + word] = Math.floor(value / WIDE);
  }
}
