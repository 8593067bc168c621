/** Medians, and how sure one can be of them. */
import { seeded } from './tenants.ts';

export interface Estimate {
  readonly median: number;
  /** 95 % interval. */
  readonly low: number;
  readonly high: number;
}

/** Resamples for an interval. 2,000: its ends move by less than 1 % of its width between seeds. */
const RESAMPLES = 2000;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** The median of rounds with a percentile-bootstrap interval (Efron and Tibshirani 1993, §13.3). Seeded: the same rounds give the same interval. */
export function estimate(rounds: readonly number[]): Estimate {
  return bootstrap(rounds, median);
}

/** The same of another statistic; `median` is its value over all rounds. */
export function bootstrap<T>(rounds: readonly T[], statistic: (rounds: readonly T[]) => number): Estimate {
  const random = seeded(rounds.length);
  const resampled = Array.from({ length: RESAMPLES }, () =>
    statistic(rounds.map(() => rounds[Math.floor(random() * rounds.length)] as T)),
  ).sort((a, b) => a - b);
  return {
    median: statistic(rounds),
    low: resampled[Math.floor(RESAMPLES * 0.025)] as number,
    high: resampled[Math.ceil(RESAMPLES * 0.975) - 1] as number,
  };
}
