/**
 * Bytes of the JavaScript heap allocated a request, from V8's own trace: each collection says how much was allocated since the last.
 * A young generation of 1 MiB makes them frequent, so that what is cut off at the ends is little. Memory outside the heap (buffers of
 * sockets) is not in it.
 */
import { readFileSync, statSync } from 'node:fs';
import type { Ground } from './ground.ts';
import type { Job } from './job.ts';
import { type System, startSystem } from './system.ts';
import type { Tokens } from './tokens.ts';
import { writeTraffic } from './traffic.ts';
import { type Load, wrk } from './wrk.ts';

const FLAGS = ['--trace-gc', '--trace-gc-nvp', '--max-semi-space-size=1', '--min-semi-space-size=1'];

export interface Allocation {
  readonly requests: number;
  readonly bytes: number;
  /** That the collections of it held the loop for. More than in service: the young generation is a quarter as large here or less. */
  readonly pausedMs: number;
}

/** The first load compiles the code and fills the caches, and is not counted. */
export async function measureAllocation(
  ground: Ground,
  system: System,
  job: Job,
  tokens: Tokens,
  { repeats, countSeconds }: { readonly repeats: number; readonly countSeconds: number },
): Promise<Allocation[]> {
  const place = await ground.place(system.name, job, tokens, { nodeFlags: FLAGS });
  await using running = await startSystem(system, place, ground.cores.system);
  const traffic = writeTraffic(ground.dir, job, tokens);
  const load = (): Promise<Load> =>
    wrk({ port: place.port, core: ground.cores.load, traffic, seconds: countSeconds, name: system.name });
  await load();
  const all: Allocation[] = [];
  for (let at = 0; at < repeats; at++) {
    const from = statSync(running.tree.logFile).size;
    const { requests } = await load();
    const trace = readFileSync(running.tree.logFile).subarray(from).toString('latin1');
    const sum = (form: RegExp): number =>
      [...trace.matchAll(form)].reduce((total, [, value]) => total + Number(value), 0);
    all.push({ requests, bytes: sum(/ allocated=(\d+)/g), pausedMs: sum(/ pause=([\d.]+)/g) });
  }
  return all;
}
