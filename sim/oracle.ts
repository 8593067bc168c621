/** What one bucket for the whole fleet would have done with the same requests, and how far what was done is from it. */

/** Windows are looked at in steps of this, ms. */
const STEP_MS = 10;

export class Oracle {
  readonly #perSec: number;
  readonly #burst: number;
  #level: number;
  #at = 0;
  /** By step: units. */
  readonly #offered: number[] = [];
  readonly #admitted: number[] = [];
  readonly #allowed: number[] = [];

  constructor(perSec: number, burst: number) {
    this.#perSec = perSec;
    this.#burst = burst;
    this.#level = burst;
  }

  /** One request, of one unit. */
  note(now: number, isAdmitted: boolean): void {
    const step = Math.floor(now / STEP_MS);
    while (this.#offered.length <= step) {
      this.#offered.push(0);
      this.#admitted.push(0);
      this.#allowed.push(0);
    }
    this.#level = Math.min(this.#burst, this.#level + ((now - this.#at) * this.#perSec) / 1000);
    this.#at = now;
    (this.#offered[step] as number) += 1;
    if (isAdmitted) (this.#admitted[step] as number) += 1;
    if (this.#level < 1) return;
    this.#level -= 1;
    (this.#allowed[step] as number) += 1;
  }

  /** Units admitted from `from` to `to`, ms, in percent of the limit. */
  meanPct(from: number, to: number): number {
    return (100 * this.#sum(this.#admitted, from, to)) / (((to - from) / 1000) * this.#perSec);
  }

  /** The worst second within `from` and `to`: what was admitted beyond the limit and its burst, in percent of a second's limit. Not below 0. */
  excessPct(from: number, to: number): number {
    let worst = 0;
    for (const admitted of this.#windows(this.#admitted, from, to))
      worst = Math.max(worst, admitted - this.#perSec - this.#burst);
    return (100 * worst) / this.#perSec;
  }

  /** The least and the most that was admitted in a second, in percent of the limit. */
  rangePct(from: number, to: number): [least: number, most: number] {
    const windows = this.#windows(this.#admitted, from, to);
    return [(100 * Math.min(...windows)) / this.#perSec, (100 * Math.max(...windows)) / this.#perSec];
  }

  /** What was refused and one bucket would have admitted, in percent of what was asked for. */
  falseRejectPct(from: number, to: number): number {
    const missing = this.#sum(this.#allowed, from, to) - this.#sum(this.#admitted, from, to);
    return (100 * Math.max(0, missing)) / this.#sum(this.#offered, from, to);
  }

  /** Of what one bucket would have admitted, percent that was. */
  servedPct(from: number, to: number): number {
    return (100 * this.#sum(this.#admitted, from, to)) / this.#sum(this.#allowed, from, to);
  }

  /** From `from` on: ms until every following second up to `to` stays within `pct` percent of the limit. */
  settledMs(from: number, to: number, pct: number): number {
    const windows = this.#windows(this.#admitted, from, to);
    let settled = windows.length;
    while (settled > 0 && Math.abs((100 * (windows[settled - 1] as number)) / this.#perSec - 100) <= pct) settled--;
    return settled * STEP_MS;
  }

  /** In each tenth of a second, percent of the limit. */
  admittedPct(): number[] {
    const steps = 100 / STEP_MS;
    return Array.from({ length: Math.ceil(this.#admitted.length / steps) }, (_, at) =>
      Math.round((1000 * this.#sum(this.#admitted, at * 100, (at + 1) * 100)) / this.#perSec),
    );
  }

  #windows(values: readonly number[], from: number, to: number): number[] {
    const length = 1000 / STEP_MS;
    const first = Math.ceil(from / STEP_MS);
    const last = Math.floor(to / STEP_MS) - length;
    const sums: number[] = [];
    let sum = 0;
    for (let at = first; at < first + length; at++) sum += values[at] ?? 0;
    for (let at = first; at <= last; at++) {
      sums.push(sum);
      sum += (values[at + length] ?? 0) - (values[at] ?? 0);
    }
    return sums;
  }

  #sum(values: readonly number[], from: number, to: number): number {
    let sum = 0;
    for (let at = Math.ceil(from / STEP_MS); at < Math.floor(to / STEP_MS); at++) sum += values[at] ?? 0;
    return sum;
  }
}
