// hot path
/**
 * What requests in flight have reserved of hard quotas until it is known what they took. A request holds a number; what it stands for
 * is given back once.
 *
 *   slot s ─▶ [ line, units ] × 16        as many slots as requests of such tenants were ever in flight at once: the listener bounds them
 */
import { enlarged } from '../arrays.ts';
import type { Line } from './account.ts';

/** Of the plan and of the tenant: 8 each. */
const LINES_MAX = 16;

export class Reservations {
  readonly #lines: (Line | undefined)[] = [];
  #units: Float64Array = new Float64Array(0);
  readonly #free: number[] = [];
  /** 0 is no reservation. */
  #slots = 1;

  /** `slot`: of the request; 0 when it has none yet. Returns it. */
  add(slot: number, line: Line, units: number): number {
    const mine = slot === 0 ? this.#open() : slot;
    line.reserved += units;
    let at = mine * LINES_MAX;
    while (this.#lines[at] !== undefined) at++;
    this.#lines[at] = line;
    this.#units[at] = units;
    return mine;
  }

  /** `slot`: of a request that has one. */
  release(slot: number): void {
    for (let at = slot * LINES_MAX; at < (slot + 1) * LINES_MAX; at++) {
      const line = this.#lines[at];
      if (line === undefined) break;
      line.reserved -= this.#units[at] as number;
      this.#lines[at] = undefined;
    }
    this.#free.push(slot);
  }

  #open(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const slot = this.#slots++;
    const end = (slot + 1) * LINES_MAX;
    if (end > this.#units.length) this.#units = enlarged(this.#units, end * 2);
    for (let at = this.#lines.length; at < end; at++) this.#lines.push(undefined);
    return slot;
  }
}
