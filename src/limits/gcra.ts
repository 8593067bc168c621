// hot path
/**
 * The generic cell rate algorithm (ITU-T I.371, virtual scheduling) on typed arrays: one number a tenant, the theoretical
 * arrival time. A bucket that is full has it in the past; what is spent lies ahead of now.
 *
 *            now                     now + burst·T
 *   ──────────┼────────────┬──────────────┼────────▶ ms        T = 1000 / perSec
 *             │◀── spent ─▶│◀── left ────▶│
 *                       arrival
 */

/** A rate as the arithmetic needs it. */
export interface Rate {
  readonly perSec: number;
  readonly burst: number;
}

export class Gcra {
  #arrivals: Float64Array;
  /** The rate under which each arrival was written: a changed limit converts what was spent, so nobody gets a fresh burst. */
  #rates: Float64Array;

  constructor(slots: number) {
    this.#arrivals = new Float64Array(slots);
    this.#rates = new Float64Array(slots);
  }

  grow(slots: number): void {
    if (slots <= this.#arrivals.length) return;
    this.#arrivals = enlarged(this.#arrivals, slots);
    this.#rates = enlarged(this.#rates, slots);
  }

  forget(slot: number): void {
    this.#arrivals[slot] = 0;
    this.#rates[slot] = 0;
  }

  /** 0 when `cost` conforms now, else ms until it would. What costs more than the burst conforms when the bucket is full. */
  waitMs(slot: number, rate: Rate, cost: number, now: number): number {
    const interval = 1000 / rate.perSec;
    const arrival = this.#arrivalAt(slot, rate, now) + cost * interval;
    const wait = arrival - now - Math.max(rate.burst, cost) * interval;
    return wait > EPSILON_MS ? wait : 0;
  }

  /** Spends `cost`, whether or not it conforms; what does not conform becomes debt, at most `debtMax` units beyond the burst. */
  take(slot: number, rate: Rate, cost: number, now: number, debtMax: number): void {
    const interval = 1000 / rate.perSec;
    const arrival = this.#arrivalAt(slot, rate, now) + cost * interval;
    this.#arrivals[slot] = Math.min(arrival, now + (rate.burst + debtMax) * interval);
  }

  /** Units that could be spent now; negative in debt. */
  left(slot: number, rate: Rate, now: number): number {
    return rate.burst - ((this.#arrivalAt(slot, rate, now) - now) * rate.perSec) / 1000;
  }

  /** Since when the bucket has been full: in the past only while it is. */
  arrival(slot: number): number {
    return this.#arrivals[slot] as number;
  }

  #arrivalAt(slot: number, rate: Rate, now: number): number {
    const arrival = this.#arrivals[slot] as number;
    const before = this.#rates[slot] as number;
    if (before !== rate.perSec) {
      this.#rates[slot] = rate.perSec;
      if (arrival > now && before > 0) {
        // Spent units stay spent, as far as the new burst goes.
        const spent = Math.min(((arrival - now) * before) / 1000, rate.burst);
        this.#arrivals[slot] = now + (spent * 1000) / rate.perSec;
        return this.#arrivals[slot] as number;
      }
    }
    return Math.max(arrival, now);
  }
}

/** Below this a wait is rounding: 1 ns. */
const EPSILON_MS = 1e-6;

export function enlarged(array: Float64Array, slots: number): Float64Array {
  const larger = new Float64Array(Math.max(slots, array.length * 2));
  larger.set(array);
  return larger;
}
