/**
 * The heap of this thread and what can be done about its size while it runs. Node's V8 takes more as the work wants it and gives hardly
 * any back.
 */
import { performance } from 'node:perf_hooks';
import { getHeapSpaceStatistics, type HeapSpaceInfo, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface Heap {
  /** What new objects are put into, both halves, bytes. */
  newSpaceBytes(): number;
  /** Whether new space may double when much survives, for all threads of the process. */
  setGrowing(isGrowing: boolean): void;
  /**
   * V8 collects in quiet times no more by itself, in all threads of the process: who calls this does. Its timer of eight seconds has run out
   * when a process that was stopped goes on, and the first requests would wait for a collection.
   */
  takeQuietTimes(): void;
  /** Collects everything there is to collect and gives the pages back: about 10 ms for 10 MB, in which nothing else runs in this thread. */
  shrink(): void;
  /** Since when the loop counts its time; given back to `busyShare`. */
  mark(): unknown;
  /** Share of the time since `mark` in which the loop was not waiting, 0 to 1. */
  busyShare(since: unknown): number;
}

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

export const systemHeap: Heap = {
  newSpaceBytes() {
    // Each thread has one.
    const isNew = ({ space_name }: HeapSpaceInfo): boolean => space_name === 'new_space';
    return (getHeapSpaceStatistics().find(isNew) as HeapSpaceInfo).space_size;
  },
  setGrowing: (isGrowing) => setFlagsFromString(`--semi-space-growth-factor=${isGrowing ? 2 : 1}`),
  takeQuietTimes: () => setFlagsFromString('--memory-reducer-gc-count=0'),
  shrink() {
    // A new context has what the flag says. Code is kept between starts under the flags it was compiled with, so none stays set.
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as Collect;
    setFlagsFromString('--no-expose-gc');
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  },
  mark: () => performance.eventLoopUtilization(),
  busyShare: (since) =>
    performance.eventLoopUtilization(since as ReturnType<typeof performance.eventLoopUtilization>).utilization,
};
