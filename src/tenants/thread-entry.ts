/** The first module of every thread. A thread does not inherit the compile cache, and without it compiles for 100 ms what was compiled before. */
import { enableCompileCache } from 'node:module';
import { getPriority, platform, setPriority } from 'node:os';
import { workerData } from 'node:worker_threads';
import type { ThreadData } from './thread.ts';

const { module, isCached } = workerData as ThreadData;
/** How nice a thread is to the loop that moves requests: 10, below normal. On Linux it is the thread's own; elsewhere it would be the process's. */
const NICE = 10 * Number(platform() === 'linux');

// Never nicer to others than it was: to take priority back needs a privilege.
setPriority(Math.max(getPriority(), NICE));
if (isCached) enableCompileCache();
await import(module);
