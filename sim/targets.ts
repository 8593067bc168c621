/** What figures must reach, and which of them do not. */
import { QUOTA_SCENARIOS } from './quota-scenarios.ts';

/** Of a figure over all seeds. */
export interface Spread {
  readonly p1: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface Target {
  /** What 99 of 100 seeds must reach, and should. Smaller is better, but for a mean, which may be off 100 by so much. */
  readonly must: number;
  readonly goal: number;
  /** The scenarios that measure it. */
  readonly by: readonly string[];
}

const hard = QUOTA_SCENARIOS.filter(({ isHard }) => isHard).map(({ name }) => name);

/** Of the figures of limits (docs/fleet.md, docs/quotas.md). */
export const TARGETS: Readonly<Record<string, Target>> = {
  mean_pct: { must: 2, goal: 0.5, by: ['steady'] },
  steady_excess_pct: { must: 3, goal: 1, by: ['steady'] },
  flash_excess_pct: { must: 15, goal: 5, by: ['flash'] },
  surge_excess_pct: { must: 15, goal: 5, by: ['surge'] },
  shift_excess_pct: { must: 15, goal: 5, by: ['shift'] },
  partition_excess_pct: { must: 15, goal: 5, by: ['partition'] },
  partition_strict_excess_pct: { must: 15, goal: 5, by: ['partition-strict'] },
  skew_mean_pct: { must: 2, goal: 0.5, by: ['skew'] },
  skew_excess_pct: { must: 3, goal: 1, by: ['skew'] },
  keys_mean_pct: { must: 2, goal: 0.5, by: ['keys'] },
  keys_excess_pct: { must: 3, goal: 1, by: ['keys'] },
  keys_refused_frames: { must: 0, goal: 0, by: ['keys'] },
  strict_excess_pct: { must: 0, goal: 0, by: ['strict', 'strict-chaos'] },
  false_reject_pct: { must: 0.5, goal: 0.05, by: ['within'] },
  reconverge_ms: { must: 1500, goal: 500, by: ['shift'] },
  views_settled_ms: { must: 15_000, goal: 10_000, by: ['views'] },
  crash_reclaim_ms: { must: 4000, goal: 1500, by: ['crash'] },
  gossip_bytes_per_s: { must: 64_000, goal: 20_000, by: ['many'] },
  gossip_quota_bytes_per_s: { must: 64_000, goal: 20_000, by: ['quota-many'] },
  idle_bytes_per_tenant: { must: 128, goal: 64, by: ['many'] },
  hot_bytes_per_tenant: { must: 1500, goal: 800, by: ['many'] },
  hard_quota_exceeded: { must: 0, goal: 0, by: hard },
  soft_quota_error_pct: { must: 0.1, goal: 0.01, by: ['quota-soft'] },
  counts_lost_rolling: { must: 0, goal: 0, by: ['quota-rolling', 'quota-restart', 'quota-rolling-soft'] },
  counts_lost_crash: {
    must: 0,
    goal: 0,
    by: ['quota-crash', 'quota-crash-disk', 'quota-power', 'quota-blackout', 'quota-disk-full'],
  },
  events_per_crossing: { must: 1, goal: 1, by: ['quota-soft', 'quota-hard'] },
};

/** Targets that the scenarios which were run do not reach, or should have measured and did not. */
export function missedBy(scenarios: readonly string[], figures: Readonly<Record<string, Spread>>): string[] {
  return Object.entries(TARGETS)
    .filter(([name, { must, by }]) => {
      const figure = figures[name];
      if (figure === undefined) return by.some((each) => scenarios.includes(each));
      // A figure that is no number reaches nothing.
      return !(worst(name, figure) <= must);
    })
    .map(([name]) => name);
}

/** How far from what is wanted, in the worst of a hundred seeds. */
function worst(name: string, { p1, p99 }: Spread): number {
  return name.endsWith('mean_pct') ? Math.max(Math.abs(p1 - 100), Math.abs(p99 - 100)) : p99;
}
