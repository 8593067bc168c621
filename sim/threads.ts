/** Runs side by side, one thread a core: each is its own world, so their order changes nothing. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Job, Outcome } from './job.ts';

/** Outcomes in the order of the jobs. Rejects with the first failure. */
export async function runAll(jobs: readonly Job[], onDone: (done: number) => void): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let next = 0;
  let done = 0;
  await Promise.all(
    Array.from({ length: Math.min(availableParallelism(), jobs.length) }, async () => {
      const worker = new Worker(new URL('./job.ts', import.meta.url));
      try {
        while (next < jobs.length) {
          const at = next++;
          outcomes[at] = await ask(worker, jobs[at] as Job);
          onDone(++done);
        }
      } finally {
        await worker.terminate();
      }
    }),
  );
  return outcomes;
}

function ask(worker: Worker, job: Job): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    worker.once('message', ({ outcome, failed }: { outcome?: Outcome; failed?: string }) => {
      worker.removeAllListeners('error');
      if (outcome === undefined) reject(new Error(failed));
      else resolve(outcome);
    });
    worker.once('error', reject);
    worker.postMessage(job);
  });
}
