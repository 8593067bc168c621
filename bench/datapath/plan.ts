/**
 * How long a run is: every comparison in full, or the figures alone in under a minute. Where a must is at stake, many short rounds: the
 * nearer two windows are, the more they share of what disturbs the machine.
 */
import { job } from './figures.ts';
import { type Job, levels } from './job.ts';
import type { System } from './system.ts';

export interface Plan {
  readonly contests: readonly {
    readonly job: Job;
    /** Names; undefined: every system that knows the level. */
    readonly only?: readonly string[];
    readonly rounds: number;
    readonly seconds: number;
    readonly warmSeconds: number;
    /** Only what is compiled while it runs is warmed. */
    readonly warmsNodeOnly?: boolean;
  }[];
  readonly latency: {
    readonly only?: readonly string[];
    readonly perSec: readonly number[];
    readonly rounds: number;
    readonly seconds: number;
    readonly triesMax: number;
  };
  /** Systems whose system calls and allocation are counted; undefined: all. */
  readonly counted?: readonly string[];
  readonly repeats: number;
  /** How long allocation is counted. */
  readonly countSeconds: number;
  /** Over how many requests system calls are counted. */
  readonly tracedRequests: number;
}

export function fullPlan(): Plan {
  const each = { rounds: 6, seconds: 3, warmSeconds: 5 };
  return {
    contests: [
      { job: job('W4'), rounds: 20, seconds: 2.5, warmSeconds: 10 },
      { job: job('W4', 'RS256'), ...each },
      { job: job('W5'), ...each },
      { job: job('W4', 'HS256', 4), ...each },
      ...levels.filter((level) => level < 'W4').map((level) => ({ job: job(level), ...each })),
    ],
    latency: { perSec: [1000, 5000], rounds: 14, seconds: 3, triesMax: 3 },
    repeats: 3,
    countSeconds: 2,
    tracedRequests: 10_000,
  };
}

/** Everything the targets need, in half the time: fewer and shorter rounds; below W4, and with four tokens a tenant, `rivals` alone. */
export function briefPlan(rivals: readonly string[]): Plan {
  const each = { rounds: 5, seconds: 2, warmSeconds: 4 };
  return {
    ...fullPlan(),
    contests: [
      { job: job('W4'), rounds: 12, seconds: 2, warmSeconds: 10 },
      { job: job('W4', 'RS256'), ...each },
      { job: job('W5'), ...each },
      { job: job('W4', 'HS256', 4), only: rivals, ...each },
      ...levels.filter((level) => level < 'W4').map((level) => ({ job: job(level), only: rivals, ...each })),
    ],
    latency: { perSec: [1000], rounds: 14, seconds: 3, triesMax: 3 },
    repeats: 2,
    tracedRequests: 5000,
  };
}

/** `all`: whom it is held against where all are. */
export function quickPlan({ name }: System, all: readonly string[]): Plan {
  const each = { rounds: 2, seconds: 0.5, warmSeconds: 2, warmsNodeOnly: true };
  return {
    contests: [
      { job: job('W4'), only: all, ...each },
      { job: job('W4', 'RS256'), only: [name, 'nginx-njs', 'haproxy'], ...each },
      { job: job('W5'), only: [name, 'envoy'], ...each },
    ],
    latency: { only: [name, 'haproxy'], perSec: [1000], rounds: 2, seconds: 0.6, triesMax: 1 },
    counted: [name],
    repeats: 2,
    countSeconds: 1.5,
    tracedRequests: 2000,
  };
}

/** What does not depend on the machine: the subject beside one peer of this repository, and what a request takes. */
export function gatePlan({ name }: System, peer: string): Plan {
  return {
    contests: [{ job: job('W4'), only: [name, peer], rounds: 6, seconds: 1, warmSeconds: 2 }],
    latency: { only: [], perSec: [], rounds: 0, seconds: 0, triesMax: 1 },
    counted: [name],
    repeats: 3,
    countSeconds: 2,
    tracedRequests: 5000,
  };
}
