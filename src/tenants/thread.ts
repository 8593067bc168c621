/** Threads beside the loop: each with a bound on its heap, and with compiled code from the cache when the process uses one. */
import { getCompileCacheDir } from 'node:module';
import { type Transferable, Worker, workerData } from 'node:worker_threads';

/** What thread-entry.ts is given. */
export interface ThreadData {
  readonly module: string;
  readonly isCached: boolean;
  readonly data: unknown;
}

/** New space of a thread, MB. 4: what it reads lives long or dies at once; the default of 48 would only be resident. */
const YOUNG_MB = 4;

/** `module` is run in a thread of its own. */
export function startThread(
  module: URL,
  { data, heapMb, transfer }: { data?: unknown; heapMb: number; transfer?: Transferable[] },
): Worker {
  const isCached = getCompileCacheDir() !== undefined;
  return new Worker(new URL('./thread-entry.ts', import.meta.url), {
    workerData: { module: module.href, isCached, data } satisfies ThreadData,
    transferList: transfer ?? [],
    // What was loaded into the process before it, such as for tests or tracing, is not for the threads, and would cost each its start.
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: YOUNG_MB },
  });
}

/** In the thread: what `startThread` was given. */
export function threadData<T>(): T {
  return (workerData as ThreadData).data as T;
}
