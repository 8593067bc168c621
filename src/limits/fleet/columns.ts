/**
 * What is kept of each limit, by its number: one array a value. What a request asks for, of a limit that is another with each request, is side by side in
 * `requested` instead: 64 bytes, which come from memory together. There the value V of limit N stands at `N * ROW + V`.
 */
import { enlarged } from '../arrays.ts';

/** The limit, units a second and at once; 0: asked for elsewhere only. */
export const PER_SEC = 0;
export const BURST = 1;
/** In this turn: units and requests asked for, units admitted. */
export const OFFERED = 2;
export const ASKS = 3;
export const ADMITTED = 4;
/** See `Share`. */
export const SHARE = 5;
export const TOLERANCE = 6;
export const BORROW = 7;
export const ROW = 8;

const COLUMNS = [
  /** Units admitted here since it was named. */
  'admitted',
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
  /** When it was last asked for and last reckoned with, ms. */
  'activeAt',
  'tickedAt',
] as const;

export type Columns = Record<(typeof COLUMNS)[number] | 'requested', Float64Array>;

export function newColumns(): Columns {
  return Object.fromEntries([...COLUMNS, 'requested'].map((each) => [each, new Float64Array(0)])) as Columns;
}

export function enlarge(columns: Columns, length: number): void {
  for (const each of COLUMNS) columns[each] = enlarged(columns[each], length);
  columns.requested = enlarged(columns.requested, length * ROW);
}

/** Whatever comes next at the number begins with nothing. */
export function clear(columns: Columns, number: number): void {
  for (const each of COLUMNS) columns[each][number] = 0;
  columns.requested.fill(0, number * ROW, (number + 1) * ROW);
}
