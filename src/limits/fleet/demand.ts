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
/** How much of a leap counts; not all, for it began within the turn. */
const LEAP_WEIGHT = 0.9;

/** Over what a limit's demand is smoothed, s. `unit`: what a request costs. */
export function smoothSec(perSec: number, unit: number, least: number = SMOOTH_SEC): number {
  return Math.min(SMOOTH_SEC_MAX, Math.max(least, (SMOOTH_UNITS * unit) / perSec));
}

/** Whether so many units within a turn are another demand than the one that lets so many be expected. */
export function isLeap(offered: number, expected: number, unit: number): boolean {
  const off = offered - expected;
  return Math.abs(off) > LEAP * Math.sqrt(unit * expected) + (off > 0 ? LEAP_ASKS * unit : 0);
}

/** The new demand, units a second. `seconds`: the length of the turn. */
export function nextDemand(demand: number, offered: number, seconds: number, perSec: number, unit: number): number {
  const smooth = 1 - Math.exp(-seconds / smoothSec(perSec, unit));
  const weight = isLeap(offered, demand * seconds, unit) ? Math.max(smooth, LEAP_WEIGHT) : smooth;
  return demand + weight * (offered / seconds - demand);
}
