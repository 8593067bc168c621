/**
 * What a collector keeps of quotas, as rows that it does not read. Of two of one key the later one says more: their numbers only grow.
 *
 *   key                                 value            version      kept
 *   count TENANT METER DAY FROM         [count, credit]  their sum    until its window is over, and its day would be a total if somebody ran
 *   total TENANT METER DAY              [total]          total        as long as a window can need it
 *   gauge TENANT METER                  [at, value, from]  at         a year
 *   ahead TENANT METER DAY FROM         [units]          units        as a total: of the window that begins on the day, see allowance.ts
 *   life FROM                           [day, 1: left]   2 day + left  as a total: the last day on which it was there, in UTC
 *
 * Key and value are Latin-1: names have no space.
 */
import { DAY_MS } from '../quotas/calendar.ts';
import { type FleetRow, row } from './row.ts';

export interface KeptRow {
  readonly key: Uint8Array;
  readonly version: number;
  readonly value: Uint8Array;
  /** Wall ms. */
  readonly untilMs: number;
}

/** What a kept row says. */
export type Kept =
  | { readonly kind: 'row'; readonly row: FleetRow }
  | {
      readonly kind: 'ahead';
      readonly tenant: string;
      readonly meter: string;
      readonly day: number;
      readonly from: string;
      readonly units: number;
    }
  | { readonly kind: 'life'; readonly from: string; readonly day: number; readonly hasLeft: boolean };

/** A day becomes a total 14 h after it ended, three days later at most; and a day more. */
const COUNT_DAYS = 6;
/** A window is over everywhere 12 h after it is in UTC. */
const OVER_DAYS = 2;
/** The longest window has 31 days. */
const WINDOW_DAYS = 40;
const GAUGE_DAYS = 400;
/** Of a key and a value together. */
const TEXT_MAX = 256;

/** Undefined: of a kind that is not kept. `end`: of the window of a count's day, where it is known here. */
export function keptRow({ kind, tenant, meter, day, from, x, y }: FleetRow, end?: number): KeptRow | undefined {
  if (kind === 'count')
    return kept(`count ${tenant} ${meter} ${day} ${from}`, [x, y], x + y, countsUntil(day, end ?? day + WINDOW_DAYS));
  if (kind === 'total') return kept(`total ${tenant} ${meter} ${day}`, [x], x, day + WINDOW_DAYS);
  if (kind === 'gauge') return kept(`gauge ${tenant} ${meter}`, [x, y, from], x, Math.floor(x / DAY_MS) + GAUGE_DAYS);
  return undefined;
}

export function keptAhead(tenant: string, meter: string, day: number, from: string, units: number): KeptRow {
  return kept(`ahead ${tenant} ${meter} ${day} ${from}`, [units], units, day + WINDOW_DAYS);
}

export function keptLife(from: string, day: number, hasLeft: boolean): KeptRow {
  const left = hasLeft ? 1 : 0;
  return kept(`life ${from}`, [day, left], 2 * day + left, day + WINDOW_DAYS);
}

/** Where nobody runs, nobody makes totals. */
function countsUntil(day: number, end: number): number {
  return Math.max(day + COUNT_DAYS, end + OVER_DAYS);
}

function kept(key: string, value: readonly unknown[], version: number, untilDay: number): KeptRow {
  const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
  return { key: bytes(key), version, value: bytes(JSON.stringify(value)), untilMs: untilDay * DAY_MS };
}

/** Undefined: no version writes that. Whoever takes a row looks whether its numbers can be. */
export function readKept({ key, value }: KeptRow): Kept | undefined {
  if (key.length + value.length > TEXT_MAX) return undefined;
  const [kind, a = '', b = '', c = '', from = ''] = textOf(key).split(' ');
  const numbers = listOf(textOf(value));
  const [x, y, who] = numbers as [number, number, string];
  if (kind === 'count') return rowOf(row({ kind, tenant: a, meter: b, day: Number(c), from }, x, y));
  if (kind === 'total') return rowOf(row({ kind, tenant: a, meter: b, day: Number(c) }, x));
  if (kind === 'gauge') return rowOf(row({ kind, tenant: a, meter: b, from: String(who) }, x, y));
  if (kind === 'ahead' && Number.isFinite(x)) return { kind, tenant: a, meter: b, day: Number(c), from, units: x };
  if (kind === 'life' && Number.isInteger(x)) return { kind, from: a, day: x, hasLeft: y === 1 };
  return undefined;
}

function rowOf(each: FleetRow): Kept {
  return { kind: 'row', row: each };
}

function textOf({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('latin1');
}

function listOf(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
