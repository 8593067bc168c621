/** Between which bounds a value with a unit may be, by what it is used for. A pattern says how it is written, not what a timer can bear. */
import {
  parseByteRatePerSec,
  parseDurationMs,
  parsePercent,
  parseRatePerSec,
  parseSizeBytes,
} from '../../core/index.ts';
import { parseQuota } from '../compile-quotas.ts';

export interface Range {
  readonly what: string;
  readonly least: string;
  readonly most: string;
  readonly parse: (text: string) => number | undefined;
}

const range = (what: string, parse: Range['parse'], least: string, most: string): Range => ({
  what,
  least,
  most,
  parse,
});

/** 10^9/s: sums of it stay exact for 100 days. 0.1/d: what is told in seconds stays an integer of 15 digits. */
export const RATE: Range = range('a rate', parseRatePerSec, '0.1/d', '1_000_000_000/s');
export const BYTE_RATE: Range = range('a byte rate', parseByteRatePerSec, '1B/d', '1_000_000MB/s');
export const PERCENT: Range = range('a percentage', parsePercent, '0%', '100%');
/** A longer bank is no burst any more. */
export const BANK: Range = range('a duration', parseDurationMs, '0ms', '30d');
/** Requests that wait hold their connections; longer than clients wait helps nobody. */
export const DELAY: Range = range('a duration', parseDurationMs, '1ms', '10s');
/** An answer from yesterday is none. */
export const STALE: Range = range('a duration', parseDurationMs, '1s', '1d');
/** Far below 2^31 - 1 ms: a timer that is asked for more fires after 1 ms. */
export const TIMEOUT: Range = range('a duration', parseDurationMs, '1ms', '1h');
/** What is looked at each second comes no sooner. */
export const STREAM: Range = range('a duration', parseDurationMs, '1s', '1d');
export const DRAIN: Range = range('a duration', parseDurationMs, '0ms', '1h');
/** Below 2^31 - 1 ms too. */
export const REMOVAL: Range = range('a duration', parseDurationMs, '0ms', '1d');
/** RFC 7519 §4.1.4: usually no more than a few minutes. More accepts tokens that expired. */
export const SKEW: Range = range('a duration', parseDurationMs, '0ms', '10min');
export const BODY: Range = range('a size', parseSizeBytes, '1B', '1024TiB');
/** Held in memory for each connection. */
export const HEAD: Range = range('a size', parseSizeBytes, '1KiB', '16MiB');

/** Beyond ten times the limit nobody looks any more. */
export const THRESHOLD: Range = range('a percentage', parsePercent, '1%', '1000%');
export const SHARE_OF_RATE: Range = range('a percentage', parsePercent, '1%', '100%');
/** Sums of it stay exact: 2^50 is above. */
export const QUOTA: Range = range('a quota', parseQuota, '0.001', '1_000_000_000_000_000');

/** What is wrong with a value that is written as it should be, or undefined. */
export function outside(
  { what, least, most, parse }: Range,
  text: string,
): { readonly message: string; readonly remedy: string } | undefined {
  const [value, min, max] = [parse(text), parse(least), parse(most)] as [number, number, number];
  if (value >= min && value <= max) return undefined;
  const got = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  return {
    message: `expected ${what} from ${least} to ${most}, got ${got}`,
    remedy: value < min ? `use at least ${least}` : `use at most ${most}`,
  };
}
