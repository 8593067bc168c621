/**
 * Which hours share a file: those that come late when they are written, all others when files are made one.
 *
 * An hour's files are made a day's, days a week's, weeks four. All periods begin at multiples of their length since 1970, so each lies within one
 * of the next. What comes late for a large file waits until it is worth writing it anew.
 */
import type { SumFile } from './manifest.ts';

const HOUR_S = 3600;
const DAY_S = 86_400;
/** Hours that are older when they are written come late, and share a file a day. */
const LATE_S = 2 * DAY_S;
const PERIODS_S = [DAY_S, 7 * DAY_S, 28 * DAY_S] as const;
/** After its end: most of what comes late has come. */
const SLACK_S = 2 * 3600;
/** Small files beside a large one. */
const SMALL_MAX = 8;
/** The small ones together have this part of the large one. */
const PART_MIN = 0.25;

export interface Merge {
  readonly kind: SumFile['kind'];
  readonly files: readonly SumFile[];
}

/** Hours in a row that share a file: each has its own, but those that come late. */
export function spansOf(hours: readonly number[], sealS: number): readonly (readonly [from: number, to: number])[] {
  const spans = new Map<number, [number, number]>();
  for (const hour of hours) {
    const isLate = hour < sealS - LATE_S;
    const key = isLate ? hour - (hour % DAY_S) : hour;
    const span = spans.get(key);
    if (span === undefined) spans.set(key, [hour, hour + HOUR_S]);
    else {
      span[0] = Math.min(span[0], hour);
      span[1] = Math.max(span[1], hour + HOUR_S);
    }
  }
  return [...spans.values()];
}

/** The next to do; undefined: nothing is worth it. */
export function nextMerge(files: readonly SumFile[], nowS: number): Merge | undefined {
  for (const periodS of PERIODS_S) {
    const periods = new Map<number, SumFile[]>();
    for (const file of files) {
      const period = Math.floor(file.fromS / periodS);
      // Minutes are kept for a few days: days of them are large enough.
      if (file.kind === 'minutes' && periodS > DAY_S) continue;
      if (file.toS > (period + 1) * periodS || (period + 1) * periodS + SLACK_S > nowS) continue;
      const key = file.kind === 'hours' ? period : -1 - period;
      const group = periods.get(key) ?? [];
      periods.set(key, group);
      group.push(file);
    }
    for (const group of periods.values()) if (isWorth(group)) return { kind: (group[0] as SumFile).kind, files: group };
  }
  return undefined;
}

function isWorth(group: readonly SumFile[]): boolean {
  if (group.length < 2) return false;
  const largest = Math.max(...group.map(({ bytes }) => bytes));
  const rest = group.reduce((sum, { bytes }) => sum + bytes, -largest);
  return group.length > SMALL_MAX || rest >= largest * PART_MIN;
}
