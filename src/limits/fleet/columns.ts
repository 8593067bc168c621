/** What is kept of each limit, by its number: one array a value. */
import { enlarged } from '../arrays.ts';

const COLUMNS = [
  /** The limit, units a second and at once; 0: asked for elsewhere only. */
  'perSec',
  'burst',
  /** Units admitted here since it was named. */
  'admitted',
  /** In this turn: units and requests asked for, units admitted. */
  'offeredNow',
  'asksNow',
  'admittedNow',
  /** What a request costs. */
  'unit',
  /** See `nextSpread`. */
  'spread',
  /** Units a second asked for here, what of that the others may know, and what is admitted. */
  'demand',
  'known',
  'rate',
  /** The share, smoothed as the rate is. */
  'shareThen',
  /** See `ShareState`. */
  'level',
  'integral',
  /** See `Share`. */
  'share',
  'tolerance',
  'borrow',
  /** When it was last asked for and last reckoned with, ms. */
  'activeAt',
  'tickedAt',
] as const;

export type Columns = Record<(typeof COLUMNS)[number], Float64Array>;

export function newColumns(): Columns {
  return Object.fromEntries(COLUMNS.map((each) => [each, new Float64Array(0)])) as Columns;
}

export function enlarge(columns: Columns, length: number): void {
  for (const each of COLUMNS) columns[each] = enlarged(columns[each], length);
}

/** Whatever comes next at the number begins with nothing. */
export function clear(columns: Columns, number: number): void {
  for (const each of COLUMNS) columns[each][number] = 0;
}
