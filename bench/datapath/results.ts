/** The raw rounds of a run: what figures and tables are made from, and what is kept as JSON. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Allocation } from './allocation.ts';
import type { Job } from './job.ts';
import type { LatencyWindow } from './latency.ts';
import type { Syscalls } from './syscalls.ts';
import { perCpuSec, type Window } from './window.ts';

export interface Contest {
  readonly job: Job;
  /** What each system was found to do before it was measured. */
  readonly passed: Readonly<Record<string, readonly string[]>>;
  readonly rounds: readonly (readonly Window[])[];
}

export interface LatencyRun {
  readonly perSec: number;
  readonly rounds: readonly (readonly LatencyWindow[])[];
}

export interface Results {
  readonly command: string;
  readonly startedAt: string;
  readonly commit: string;
  readonly subject: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly notes: Readonly<Record<string, string>>;
  /** What is not installed. */
  readonly missing: string[];
  /** Requests a second with no proxy between, which tells the headroom of the generator. */
  directPerSec: number;
  readonly contests: Contest[];
  readonly latency: LatencyRun[];
  readonly syscalls: Record<string, Syscalls[]>;
  readonly allocation: Record<string, Allocation[]>;
  readonly idleRssMb: Record<string, number[]>;
  /** By system; absent where there is no fast engine. */
  readonly fastShare: Record<string, number>;
}

export const FOLDER: string = join(import.meta.dirname, '../results');

export function keep(results: object, name: string): string {
  mkdirSync(FOLDER, { recursive: true });
  const file = join(FOLDER, `${name}-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.json`);
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
  return file;
}

export function contestOf({ contests }: Results, job: Job): Contest | undefined {
  return contests.find(
    ({ job: other }) =>
      other.level === job.level && other.algorithm === job.algorithm && other.tokensPerTenant === job.tokensPerTenant,
  );
}

/** By round, how many times the work of `against` the system does in the same CPU time; undefined when one is not there. */
export function ratios(contest: Contest | undefined, system: string, against: string): number[] | undefined {
  const ours = valuesOf(contest, system, perCpuSec);
  const theirs = valuesOf(contest, against, perCpuSec);
  return ours.length === 0 || theirs.length === 0
    ? undefined
    : ours.map((each, round) => each / (theirs[round] as number));
}

/** One value a round. */
export function valuesOf(contest: Contest | undefined, system: string, value: (window: Window) => number): number[] {
  return (contest?.rounds ?? []).flatMap((windows) => windows.filter((window) => window.system === system).map(value));
}
