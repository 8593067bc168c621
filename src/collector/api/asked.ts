/** What a query string asks for, checked: times, dimensions, meters. What is wrong is said with what would be right. */
import { nearest, parseDurationMs } from '../../core/index.ts';
import {
  BUILT_IN_METERS,
  DIMENSIONS,
  type Dimension,
  type Question,
  type Source,
  STEPS,
  type Step,
} from '../rollups.ts';

/** The client's mistake. */
export class Mistake extends Error {
  readonly parameter: string;

  constructor(parameter: string, message: string) {
    super(message);
    this.parameter = parameter;
  }
}

/** More rows than this are for an export. */
export const ROWS_MAX = 100_000;
export const TOP_MAX = 1000;
/** The seconds that are kept as seconds. */
export const TOP_LAST_MS = 120_000;
const DEFAULT_LAST = '30d';
/** A short time is summed up from minutes, so that its ends are right. */
const SHORT_S = 24 * 3600;
const TEXT = /^[\x20-\x7e\xa0-\xff]{1,63}$/;
const OPERATION = /^[\x20-\x7e\xa0-\xff]{1,127}$/;
const METER = /^[\x21-\x7e]{1,63}$/;
const ISO = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/;

export interface Keeping {
  readonly nowMs: number;
  readonly keepMinutesS: number;
}

/** A point in time, ms: a date, a time with its zone, or how long ago. */
export function timeOf(parameter: string, text: string, nowMs: number): number {
  const agoMs = parseDurationMs(text);
  if (agoMs !== undefined) return Math.max(0, nowMs - agoMs);
  const ms = ISO.test(text) ? Date.parse(text) : Number.NaN;
  if (ms >= 0) return ms;
  throw new Mistake(
    parameter,
    `expected a time such as 2026-11-01, 2026-11-01T12:00:00Z or 30d (ago), got ${JSON.stringify(text)}`,
  );
}

/** `from` and `to` in whole windows of so many seconds, seconds; `to` is no later than the window of now. */
export function rangeOf(query: URLSearchParams, nowMs: number): { readonly fromMs: number; readonly toMs: number } {
  const fromMs = timeOf('from', query.get('from') ?? DEFAULT_LAST, nowMs);
  const toMs = query.get('to') === null ? nowMs : timeOf('to', query.get('to') as string, nowMs);
  if (fromMs >= toMs) throw new Mistake('from', 'it is not before `to`');
  return { fromMs, toMs };
}

export function aligned(fromMs: number, toMs: number, unitS: number): { readonly fromS: number; readonly toS: number } {
  const unitMs = unitS * 1000;
  return { fromS: (Math.floor(fromMs / unitMs) * unitMs) / 1000, toS: (Math.ceil(toMs / unitMs) * unitMs) / 1000 };
}

/** Of `/v1/usage`. */
export function questionOf(query: URLSearchParams, { nowMs, keepMinutesS }: Keeping): Question {
  const { fromMs, toMs } = rangeOf(query, nowMs);
  const { by, step } = groupingOf(query.get('by'));
  const oldestS = nowMs / 1000 - keepMinutesS;
  if (step === '1m' && fromMs / 1000 < oldestS)
    throw new Mistake('from', `minutes are kept for ${Math.round(keepMinutesS / 86_400)} days; ask by hours`);
  const isShort = (toMs - fromMs) / 1000 <= SHORT_S && fromMs / 1000 >= oldestS;
  const source: Source = step === '1m' || (step === undefined && isShort) ? 'minutes' : 'hours';
  const stepS = step === undefined ? undefined : STEPS[step];
  return {
    source,
    ...aligned(fromMs, toMs, Math.max(stepS ?? 0, source === 'minutes' ? 60 : 3600)),
    by,
    ...(stepS === undefined ? {} : { stepS }),
    where: whereOf(query),
    ...meterOf(query),
    ...largestOf(query),
  };
}

function largestOf(query: URLSearchParams): Pick<Question, 'rowsMax' | 'isTop'> {
  if (query.get('top') === null) return { rowsMax: ROWS_MAX, isTop: false };
  if (query.get('meter') === null) throw new Mistake('top', 'it needs a meter by which rows are large');
  return { rowsMax: countOf('top', query.get('top') as string), isTop: true };
}

function countOf(parameter: string, text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= TOP_MAX) return count;
  throw new Mistake(parameter, `expected 1 to ${TOP_MAX}, got ${JSON.stringify(text)}`);
}

/** Of `/v1/usage/top`. */
export function topOf(query: URLSearchParams, nowMs: number): Question {
  const last = query.get('last') ?? '60s';
  const lastMs = parseDurationMs(last);
  if (lastMs === undefined || lastMs < 1000 || lastMs > TOP_LAST_MS)
    throw new Mistake('last', `expected 1s to ${TOP_LAST_MS / 1000}s, got ${JSON.stringify(last)}`);
  const limit = countOf('limit', query.get('limit') ?? '20');
  const { by, step } = groupingOf(query.get('by') ?? 'tenant');
  if (step !== undefined) throw new Mistake('by', 'the top is of one time; ask /v1/usage for windows');
  // The second that runs is not whole.
  const toS = Math.floor(nowMs / 1000) + 1;
  return {
    source: 'seconds',
    fromS: toS - Math.round(lastMs / 1000),
    toS,
    by,
    where: whereOf(query),
    meter: meterOf(query).meter ?? 'requests',
    rowsMax: limit,
    isTop: true,
  };
}

function groupingOf(text: string | null): { by: readonly Dimension[]; step: Step | undefined } {
  const by: Dimension[] = [];
  let step: Step | undefined;
  const known = [...DIMENSIONS, '1m', '1h', '1d'];
  for (const word of (text ?? '').split(',').filter((each) => each !== '')) {
    if (!known.includes(word)) {
      const near = nearest(word, known);
      throw new Mistake(
        'by',
        `expected some of ${known.join(', ')}, got ${JSON.stringify(word)}${near === undefined ? '' : `; did you mean ${near}?`}`,
      );
    }
    if (Object.hasOwn(STEPS, word)) {
      if (step !== undefined) throw new Mistake('by', 'windows have one length');
      step = word as Step;
    } else if (!by.includes(word as Dimension)) by.push(word as Dimension);
  }
  return { by, step };
}

function whereOf(query: URLSearchParams): Question['where'] {
  const where: Partial<Record<Dimension, string>> = {};
  for (const dimension of DIMENSIONS) {
    const value = query.get(dimension);
    if (value === null) continue;
    const isText = (dimension === 'operation' ? OPERATION : TEXT).test(value);
    const isGood = dimension === 'status' ? /^[0-5]$/.test(value) : value === '' || isText;
    if (!isGood)
      throw new Mistake(
        dimension,
        `expected ${dimension === 'status' ? 'the first digit of a status' : 'a name'}, got ${JSON.stringify(value.slice(0, 80))}`,
      );
    where[dimension] = value;
  }
  return where;
}

function meterOf(query: URLSearchParams): { readonly meter?: string } {
  const meter = query.get('meter');
  if (meter === null) return {};
  if (METER.test(meter)) return { meter };
  throw new Mistake(
    'meter',
    `expected ${BUILT_IN_METERS.join(', ')} or a meter of the application's, got ${JSON.stringify(meter.slice(0, 80))}`,
  );
}
