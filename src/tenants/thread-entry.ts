/** The first module of every thread. A thread does not inherit the compile cache, and without it compiles for 100 ms what was compiled before. */
import { enableCompileCache } from 'node:module';
import { workerData } from 'node:worker_threads';
import { stepBack } from './priority.ts';
import type { ThreadData } from './thread.ts';

const { module, isCached } = workerData as ThreadData;

stepBack();
if (isCached) enableCompileCache();
await import(module);
