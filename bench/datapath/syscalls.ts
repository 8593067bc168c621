/** System calls a request, counted by strace on all threads. Tracing slows a system down, so that its batches are larger than else. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ground } from './ground.ts';
import type { Stage } from './stage.ts';
import type { Running } from './system.ts';
import { findProgram, INSTALL } from './systems/program.ts';
import { wrk } from './wrk.ts';

export interface Syscalls {
  readonly requests: number;
  readonly calls: number;
  readonly byName: Readonly<Record<string, number>>;
}

/** For the connections to be made, ms: what they cost is not the cost of a request. */
const CONNECT_MS = 300;
const POLL_MS = 50;

export const straceMissing = (): string | undefined =>
  findProgram('strace') === undefined ? `strace: ${INSTALL}` : undefined;

/** For so many requests, s: they take under a second where nothing else runs. */
const SECONDS_MAX = 5;

/** A tracer that came too late, or went too soon, has seen next to nothing: each request takes one call at least. */
const ATTEMPTS = 3;

/** Rejects when no attempt saw what went on. */
export async function countSyscalls(
  ground: Ground,
  stage: Stage,
  running: Running,
  requestsMin: number,
): Promise<Syscalls> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const seen = await trace(ground, stage, running, requestsMin);
    if (seen.calls >= seen.requests) return seen;
  }
  throw new Error(`strace saw fewer calls of ${running.system.name} than requests, ${ATTEMPTS} times`);
}

/** Traces only while requests flow; how many they were, the application has counted. */
async function trace(ground: Ground, stage: Stage, running: Running, requestsMin: number): Promise<Syscalls> {
  const { tree, place, system } = running;
  const file = join(place.dir, 'strace');
  tree.continue();
  const { promise: until, resolve: endLoad } = Promise.withResolvers<void>();
  const { traffic } = stage;
  const seconds = SECONDS_MAX * 3;
  const load = wrk({ port: place.port, core: ground.cores.load, traffic, seconds, name: system.name, until });
  // Its failure is seen where it is awaited.
  load.catch(() => {});
  await sleep(CONNECT_MS);
  const pids = tree.pids();
  const args = [
    '-c',
    String(ground.cores.load),
    'strace',
    '-f',
    '-c',
    '-o',
    file,
    ...pids.flatMap((pid) => ['-p', String(pid)]),
  ];
  const tracer = spawn('taskset', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(tracer, 'exit');
  try {
    await attached(tracer.stderr, pids.length);
    const before = await ground.answered();
    const deadline = performance.now() + SECONDS_MAX * 1000;
    let requests = 0;
    // The count itself is a request to the application.
    for (let asked = 1; requests < requestsMin && performance.now() < deadline; asked++) {
      await sleep(POLL_MS);
      requests = (await ground.answered()) - before - asked;
    }
    tracer.kill('SIGINT');
    await ended;
    endLoad();
    running.sent += (await load).requests;
    const byName = readTable(readFileSync(file, 'utf8'));
    return { requests, calls: Object.values(byName).reduce((sum, each) => sum + each, 0), byName };
  } finally {
    endLoad();
    tracer.kill('SIGINT');
    await ended;
    tree.stop();
  }
}

/** strace says so for each process, with all its threads. */
async function attached(said: Readable, processes: number): Promise<void> {
  let text = '';
  for await (const chunk of said) {
    text += String(chunk);
    if ((text.match(/attached/g) ?? []).length >= processes) return;
  }
  throw new Error(`strace did not attach: ${text}`);
}

/** Columns: share, seconds, µs a call, calls, errors (may be empty), name. */
function readTable(text: string): Record<string, number> {
  const byName: Record<string, number> = {};
  for (const line of text.split('\n')) {
    const columns = line.trim().split(/\s+/);
    const name = columns.at(-1);
    const calls = Number(columns[3]);
    if (columns.length >= 5 && name !== undefined && name !== 'total' && Number.isInteger(calls)) byName[name] = calls;
  }
  return byName;
}
