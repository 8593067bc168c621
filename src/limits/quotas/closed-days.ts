/**
 * Totals of days that are over, by series: a ring of 64 days for each that has any, so that a day is found without looking.
 *
 * Bounds: `DAYS_MAX` days a series. 4 bytes a series, and 1 KiB a ring, which is given on when its series is dropped.
 */
import { enlarged, enlargedInts, roomFor } from '../arrays.ts';

/** Longest window, 31 days, and the day before it in another zone, with room; a power of two, so that a ring has no gap. */
export const DAYS_MAX = 64;
/** No ring; no day. */
const NONE = -1;

export class ClosedDays {
  readonly #free: number[] = [];
  /** By series. */
  #ringOf: Int32Array = new Int32Array(0);
  /** By ring: the day and the total of `day % DAYS_MAX`. */
  #day: Float64Array = new Float64Array(0);
  #total: Float64Array = new Float64Array(0);
  #rings = 0;

  /** A series that is new has none. */
  begin(series: number): void {
    if (series >= this.#ringOf.length) this.#ringOf = enlargedInts(this.#ringOf, roomFor(series + 1), NONE);
    this.#ringOf[series] = NONE;
  }

  /** Undefined: it was not closed. */
  totalOf(series: number, day: number): number | undefined {
    const at = this.#placeOf(series, day);
    return at !== NONE && this.#day[at] === day ? (this.#total[at] as number) : undefined;
  }

  set(series: number, day: number, total: number): void {
    if (this.#ringOf[series] === NONE) this.#ringOf[series] = this.#open();
    const at = this.#placeOf(series, day);
    this.#day[at] = day;
    this.#total[at] = total;
  }

  *of(series: number): Generator<{ readonly day: number; readonly total: number }> {
    const ring = this.#ringOf[series] as number;
    if (ring === NONE) return;
    for (let at = ring * DAYS_MAX; at < (ring + 1) * DAYS_MAX; at++)
      if (this.#day[at] !== NONE) yield { day: this.#day[at] as number, total: this.#total[at] as number };
  }

  /** Whether nothing is left of the series. */
  forgetBefore(series: number, oldest: number): boolean {
    const ring = this.#ringOf[series] as number;
    if (ring === NONE) return true;
    let isEmpty = true;
    for (let at = ring * DAYS_MAX; at < (ring + 1) * DAYS_MAX; at++) {
      if ((this.#day[at] as number) < oldest) this.#day[at] = NONE;
      isEmpty &&= this.#day[at] === NONE;
    }
    return isEmpty;
  }

  /** The series is no more. */
  drop(series: number): void {
    const ring = this.#ringOf[series] as number;
    if (ring !== NONE) this.#free.push(ring);
    this.#ringOf[series] = NONE;
  }

  #placeOf(series: number, day: number): number {
    const ring = this.#ringOf[series] as number;
    return ring === NONE ? NONE : ring * DAYS_MAX + (day % DAYS_MAX);
  }

  #open(): number {
    const ring = this.#free.pop() ?? this.#rings++;
    const end = (ring + 1) * DAYS_MAX;
    if (end > this.#day.length) {
      this.#day = enlarged(this.#day, roomFor(end));
      this.#total = enlarged(this.#total, roomFor(end));
    }
    this.#day.fill(NONE, ring * DAYS_MAX, end);
    return ring;
  }
}
