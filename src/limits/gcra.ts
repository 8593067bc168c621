// hot path
/**
 * The generic cell rate algorithm (ITU-T I.371, annex A) on typed arrays, in its continuous-state form: for each tenant what was spent,
 * and when that was written down. It drains at the rate.
 *
 *   units ▲
 *   burst ┤╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌        left = burst − spent now
 *   spent ┤╲
 *         │   ╲ perSec
 *       0 ┼──────╲─────────▶ ms
 *         at      full again
 *
 * Units and not arrival times: a rate that changes leaves what was spent as it is, a request of an older generation reads by its own
 * rate and changes nothing for the others, and no sum of tiny intervals drifts as the clock grows.
 */
import { enlarged } from './arrays.ts';

/** A rate as the arithmetic needs it. */
export interface Rate {
  readonly perSec: number;
  readonly burst: number;
  /** By no means more, whatever fails. */
  readonly isStrict?: boolean;
}

/** Rates are made anew with every reload: they are the same when their numbers are. */
export function isSameRate(a: Rate, b: Rate): boolean {
  return a.perSec === b.perSec && a.burst === b.burst;
}

/** Of which nobody has spent anything takes no memory: most plans use one of those there are. */
export class Gcra {
  #slots: number;
  /** Of each slot two, side by side: what was spent, and when that was written down. */
  #cells: Float64Array = new Float64Array(0);

  constructor(slots: number) {
    this.#slots = slots;
  }

  grow(slots: number): void {
    this.#slots = slots;
    if (this.#cells.length > 0) this.#allocate();
  }

  forget(slot: number): void {
    if (this.#isUntouched(slot)) return;
    this.#cells[2 * slot] = 0;
    this.#cells[2 * slot + 1] = 0;
  }

  /** 0 when `cost` conforms now, else ms until it would. What costs more than the burst conforms when the bucket is full. */
  waitMs(slot: number, rate: Rate, cost: number, now: number): number {
    const room = Math.max(rate.burst, cost);
    const over = this.#spentNow(slot, rate.perSec, now) + cost - room;
    return over > slackOf(room, rate.perSec, now) ? (over * 1000) / rate.perSec : 0;
  }

  /** Spends `cost`, whether or not it conforms; what does not conform becomes debt, at most `debtMax` units beyond the burst. */
  take(slot: number, rate: Rate, cost: number, now: number, debtMax: number): void {
    if (this.#isUntouched(slot)) this.#allocate();
    const spent = this.#spentNow(slot, rate.perSec, now);
    // A debt that is there already is not forgiven: it may be larger than this one may make it.
    this.#cells[2 * slot] = Math.max(spent, Math.min(spent + cost, rate.burst + debtMax));
    this.#cells[2 * slot + 1] = now;
  }

  /** Spends what is known to conform. */
  spend(slot: number, rate: Rate, cost: number, now: number): void {
    if (this.#isUntouched(slot)) this.#allocate();
    this.#cells[2 * slot] = this.#spentNow(slot, rate.perSec, now) + cost;
    this.#cells[2 * slot + 1] = now;
  }

  /** Units that could be spent now; negative in debt. */
  left(slot: number, rate: Rate, now: number): number {
    return rate.burst - this.#spentNow(slot, rate.perSec, now);
  }

  /** When the bucket is or was full again, ms. */
  fullAt(slot: number, perSec: number): number {
    if (this.#isUntouched(slot)) return 0;
    return (this.#cells[2 * slot + 1] as number) + ((this.#cells[2 * slot] as number) * 1000) / perSec;
  }

  /** The limit changes now: what was spent stays spent, but locks nobody out for longer than the new burst. */
  settle(slot: number, before: Rate, after: Rate, now: number): void {
    if (this.#isUntouched(slot)) return;
    this.#cells[2 * slot] = Math.min(this.#spentNow(slot, before.perSec, now), after.burst);
    this.#cells[2 * slot + 1] = now;
  }

  /** Another burst since a moment, ms: until then it drained at `perSec`, and then `units` more were spent, up to the burst. */
  change(slot: number, perSec: number, burst: number, since: number, units: number): void {
    if (this.#isUntouched(slot)) this.#allocate();
    const from = Math.max(since, this.#cells[2 * slot + 1] as number);
    const spent = this.#spentNow(slot, perSec, from);
    this.#cells[2 * slot] = Math.max(spent, Math.min(spent + units, burst));
    this.#cells[2 * slot + 1] = from;
  }

  /** Nobody has spent anything yet, of whichever slot. */
  #isUntouched(slot: number): boolean {
    return 2 * slot >= this.#cells.length;
  }

  #allocate(): void {
    this.#cells = enlarged(this.#cells, 2 * this.#slots);
  }

  #spentNow(slot: number, perSec: number, now: number): number {
    if (this.#isUntouched(slot)) return 0;
    const elapsedMs = now - (this.#cells[2 * slot + 1] as number);
    const spent = this.#cells[2 * slot] as number;
    if (elapsedMs >= 0) return Math.max(0, spent - (elapsedMs * perSec) / 1000);
    // A clock that was set back: from here on it drains again, instead of after the whole jump.
    this.#cells[2 * slot + 1] = now;
    return spent;
  }
}

/** Whole units that conform where so many are left: a request of these is admitted. Half the slack, so that the rounding here promises none that is not. */
export function wholeUnits(left: number, { perSec, burst }: Rate, now: number): number {
  return Math.max(0, Math.floor(left + slackOf(burst, perSec, now) / 2));
}

/**
 * Below this, in units, being over is rounding: four units in the last place of the sum, and 1 ns and eight units in the last place of the
 * clock at the rate. It lets who waits exactly as long as told be admitted, and is never kept, so it does not add up.
 */
function slackOf(room: number, perSec: number, now: number): number {
  return room * 1e-15 + (1e-9 + now * 2e-18) * perSec;
}
