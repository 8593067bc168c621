/** How often a command looks: `--count`. */
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
