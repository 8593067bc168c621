/** Runs many histories, a thread a core. It knows nothing of what is in them. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { HistoryKind } from './history.ts';

/** At once to a thread. */
const RANGE = 250;

/** Seeds from `first` up to and without `end`. */
export interface Job {
  readonly kind: string;
  readonly first: number;
  readonly end: number;
}

export interface Tally {
  readonly histories: number;
  readonly violations: number;
  /** The lowest seed that broke something, and what. */
  readonly firstViolation: { readonly seed: number; readonly violation: string } | undefined;
  /** Of those that broke something, SEEDS_MAX at most. */
  readonly seeds: readonly number[];
  readonly counts: Readonly<Record<string, number>>;
}

const SEEDS_MAX = 20;
const NOTHING: Tally = { histories: 0, violations: 0, firstViolation: undefined, seeds: [], counts: {} };

/** In this thread. */
export async function runRange(kind: HistoryKind, { first, end }: Omit<Job, 'kind'>): Promise<Tally> {
  let tally = NOTHING;
  for (let seed = first; seed < end; seed++) {
    const { violation, counts } = await kind.run(seed);
    const found = violation === undefined ? undefined : { seed, violation };
    const seeds = found === undefined ? [] : [seed];
    tally = sum(tally, { histories: 1, violations: seeds.length, firstViolation: found, seeds, counts });
  }
  return tally;
}

/** Over all cores. `onDone` is told the sum so far. */
export async function runHistories(
  kind: string,
  first: number,
  count: number,
  onDone: (tally: Tally) => void,
): Promise<Tally> {
  const end = first + count;
  let next = first;
  let tally = NOTHING;
  const work = async (): Promise<void> => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url));
    try {
      while (next < end) {
        const from = next;
        next = Math.min(end, from + RANGE);
        const part = await ask(worker, { kind, first: from, end: next });
        tally = sum(tally, part);
        onDone(tally);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), Math.ceil(count / RANGE)) }, work));
  return tally;
}

function ask(worker: Worker, job: Job): Promise<Tally> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (tally: Tally) => {
      worker.off('error', reject);
      resolve(tally);
    });
    worker.postMessage(job);
  });
}

function sum(a: Tally, b: Tally): Tally {
  const counts: Record<string, number> = { ...a.counts };
  for (const [name, count] of Object.entries(b.counts)) counts[name] = (counts[name] ?? 0) + count;
  const [x, y] = [a.firstViolation, b.firstViolation];
  const firstViolation = x === undefined || (y !== undefined && y.seed < x.seed) ? y : x;
  const seeds = [...a.seeds, ...b.seeds].sort((p, q) => p - q).slice(0, SEEDS_MAX);
  const [histories, violations] = [a.histories + b.histories, a.violations + b.violations];
  return { histories, violations, firstViolation, seeds, counts };
}
