/** Times at the command line: how often a command looks (`--count`), and how long something takes, for a person. */
import { ReeveError } from '../core/index.ts';

/** What was typed, or `otherwise`. Throws a ReeveError of usage. */
export function timesOf(count: string | undefined, otherwise: number): number {
  if (count === undefined) return otherwise;
  const times = /^\d{1,9}$/.test(count) ? Number(count) : 0;
  if (times > 0) return times;
  throw new ReeveError('usage', `expected a whole number of 1 or more, got ${JSON.stringify(count)}`, {
    place: '--count',
  });
}

const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
] as const;
/** Of the four; what is smaller matters to nobody. */
const UNITS_SHOWN = 3;

/** `120 ms`, `2.5 s`, `1h 36m 45s`, `24d 3h 20m`: never less than it is, so that who waits so long waited enough. */
export function durationText(ms: number): string {
  if (ms <= 999) return `${Math.ceil(ms)} ms`;
  if (ms <= 59_900) return `${Math.ceil(ms / 100) / 10} s`;
  const all = Math.ceil(ms / 1000);
  const first = UNITS.findIndex(([, seconds]) => all >= seconds);
  const shown = UNITS.slice(first, first + UNITS_SHOWN);
  const [, smallest] = shown.at(-1) as (typeof UNITS)[number];
  let left = Math.ceil(all / smallest) * smallest;
  const parts = shown.map(([unit, seconds]) => {
    const count = Math.floor(left / seconds);
    left -= count * seconds;
    return count === 0 ? '' : `${count}${unit}`;
  });
  return parts.filter((part) => part !== '').join(' ');
}
