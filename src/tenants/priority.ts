/**
 * Who goes first when a core is short: the loop that moves requests, then what is done beside it. Where a system does not tell of
 * threads, or forbids this, everything runs as well, only less smoothly.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority, platform, setPriority } from 'node:os';

/** Below normal. On Linux a priority is a thread's own; elsewhere it would be the whole process's. */
const NICE = 10 * Number(platform() === 'linux');

/** This thread, and those it starts, give way to the loop. */
export function stepBack(): void {
  lower(0);
}

/** So do the threads in which V8 collects and compiles for all others: a thread that steps back would still take a core by what they do for it. */
export function helpersStepBack(threads = '/proc/self/task'): void {
  const ids = attempt(() => readdirSync(threads)) ?? [];
  for (const id of ids)
    if (attempt(() => readFileSync(`${threads}/${id}/comm`, 'utf8')) === 'V8Worker\n') lower(Number(id));
}

/** Never nicer to others than it was: to take priority back needs a privilege. */
function lower(id: number): void {
  attempt(() => setPriority(id, Math.max(getPriority(id), NICE)));
}

/** undefined when it fails: a thread may have ended meanwhile. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
