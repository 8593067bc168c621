// hot path
/**
 * What is asked for, told from what was asked for in each turn: smoothed while it differs by chance, at once when it does not.
 *
 *   asked ┤      ┌──╮  ╭─╮
 *         ┤      │  ╰──╯ ╰──      a leap counts in full
 *         ┤──────┘                chance is smoothed
 *
 * Requests that come at random differ by √n where n are expected (Poisson), each by as much as one costs.
 */

/** What is asked for is smoothed over this, s; that of a small limit over as many units of it, and at most this long: few requests say little. */
const SMOOTH_SEC = 0.5;
const SMOOTH_UNITS = 30;
const SMOOTH_SEC_MAX = 3;
/** Standard deviations from which on it is no chance: one turn in 16,000. */
const LEAP = 4;
/** Where next to nothing is expected so many requests more are needed. */
const LEAP_ASKS = 3;
/** Of a turn, in how bunched requests come. */
const SPREAD_WEIGHT = 0.1;
/** How much of a leap counts; not all, for it began within the turn. */
const LEAP_WEIGHT = 0.9;

/** Over what a limit's demand is smoothed, s. `unit`: what a request costs. */
export function smoothSec(perSec: number, unit: number, least: number = SMOOTH_SEC): number {
  return Math.min(SMOOTH_SEC_MAX, Math.max(least, (SMOOTH_UNITS * unit) / perSec));
}

/**
 * How much more than by chance requests come in bunches: the variance of a turn by that of Poisson, at least 1. Of a turn that differs by
 * a leap no more counts than the least leap.
 */
export function nextSpread(spread: number, offered: number, expected: number, unit: number): number {
  if (expected <= unit) return Math.max(1, spread);
  const seen = Math.min(LEAP ** 2, (offered - expected) ** 2 / (unit * expected));
  return Math.max(1, spread + SPREAD_WEIGHT * (seen - spread));
}

/** Whether so many units within a turn are another demand than the one that lets so many be expected. */
export function isLeap(offered: number, expected: number, unit: number, spread: number): boolean {
  const off = offered - expected;
  return Math.abs(off) > LEAP * Math.sqrt(spread * unit * expected) + (off > 0 ? LEAP_ASKS * unit : 0);
}

/** What is known of a demand: units a second, a request's units, see `nextSpread`. */
export interface Demand {
  readonly perSec: number;
  readonly unit: number;
  readonly spread: number;
}

/** The new demand, units a second, of which `limit` are allowed. `seconds`: the length of the turn. */
export function nextDemand({ perSec, unit, spread }: Demand, offered: number, seconds: number, limit: number): number {
  const smooth = 1 - Math.exp(-seconds / smoothSec(limit, unit));
  const weight = isLeap(offered, perSec * seconds, unit, spread) ? Math.max(smooth, LEAP_WEIGHT) : smooth;
  return perSec + weight * (offered / seconds - perSec);
}
