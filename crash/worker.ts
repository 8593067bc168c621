/** A thread of the runner: histories of one kind, a range of seeds at a time. */
import { parentPort } from 'node:worker_threads';
import { KINDS } from './kinds.ts';
import { type Job, runRange } from './runner.ts';

parentPort?.on('message', async (job: Job) => {
  const kind = KINDS.find(({ name }) => name === job.kind);
  parentPort?.postMessage(kind === undefined ? undefined : await runRange(kind, job));
});
