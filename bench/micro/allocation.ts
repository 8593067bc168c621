/** Bytes that a work leaves on the heap, garbage included. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { median } from '../datapath/statistics.ts';

/** Of one round. At 1 KiB each, a quarter of the smallest young generation: nothing is collected in it. */
const TIMES = 256;
const ROUNDS = 9;
/** Each; below it a difference is that of the rounds. */
const TOLERATED_BYTES = 1;

/**
 * Of one time, the median of rounds. What the measurement itself leaves is that of doing nothing. Below zero where that left more than the
 * work. Throws when something was collected in most rounds.
 */
export function bytesOf(work: () => void): number {
  const each = (grown(work) - grown(() => {})) / TIMES;
  return Math.abs(each) < TOLERATED_BYTES ? 0 : Math.round(each);
}

function grown(work: () => void): number {
  setFlagsFromString('--expose-gc');
  // Of the young alone: a full collection throws away code as well.
  const gc = runInNewContext('gc') as (options: { type: 'minor' }) => void;
  const measured: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    gc({ type: 'minor' });
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < TIMES; i++) work();
    measured.push(process.memoryUsage().heapUsed - before);
  }
  // A heap that shrank was collected meanwhile, and says nothing of what was allocated.
  const sound = measured.filter((bytes) => bytes >= 0);
  if (sound.length < ROUNDS / 2)
    throw new Error(`the heap shrank in ${ROUNDS - sound.length} of ${ROUNDS} rounds: what is allocated is not known`);
  return median(sound);
}
