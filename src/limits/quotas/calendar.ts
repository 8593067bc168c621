/**
 * Days and the windows that are made of them. A day is its number: whole days since 1 January 1970 in the calendar, wherever that day
 * then begins on Earth. No zone and no clock is in here.
 */
import type { Quota } from '../../tenants/index.ts';

/** Of UTC. */
export const DAY_MS = 86_400_000;

/** Days `from` to `to`, the last not included. */
export interface Days {
  readonly from: number;
  readonly to: number;
}

/** `month`: 1 to 12; beyond, of the years around. `day`: 1 to 31. */
export function dayNumber(year: number, month: number, day: number): number {
  return Date.UTC(year, month - 1, day) / DAY_MS;
}

/** The window of the day. A gauge's is its day: it has none, and whoever asks compares it with nothing. */
export function windowOf(per: Quota['per'], day: number, billingDay: number): Days {
  if (per === 'day' || per === 'none') return { from: day, to: day + 1 };
  const date = new Date(day * DAY_MS);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth() + 1];
  const anchor = per === 'month' ? 1 : billingDay;
  const ofThisMonth = anchorDay(year, month, anchor);
  return day >= ofThisMonth
    ? { from: ofThisMonth, to: anchorDay(year, month + 1, anchor) }
    : { from: anchorDay(year, month - 1, anchor), to: ofThisMonth };
}

/** The end of the longest window that begins on the day, whatever a quota is for: it may become one for longer. */
export function longestFrom(day: number, billingDay: number): number {
  const windows = (['month', 'billing'] as const).map((per) => windowOf(per, day, billingDay));
  return Math.max(day + 1, ...windows.map(({ from, to }) => (from === day ? to : 0)));
}

/** The anchor in that month, or the month's last day when it has none: a period that begins on the 31st begins on 28 February too. */
function anchorDay(year: number, month: number, anchor: number): number {
  return Math.min(dayNumber(year, month, anchor), dayNumber(year, month + 1, 1) - 1);
}
