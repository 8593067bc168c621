/** System calls a request, counted by strace on all threads. Tracing slows a system down, so that its batches are larger than else. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
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

/** For strace to be on every thread, ms. */
const ATTACH_MS = 300;

export const straceMissing = (): string | undefined =>
  findProgram('strace') === undefined ? `strace: ${INSTALL}` : undefined;

export async function countSyscalls(
  ground: Ground,
  stage: Stage,
  running: Running,
  seconds: number,
): Promise<Syscalls> {
  const { tree, place } = running;
  const file = join(place.dir, 'strace');
  tree.continue();
  const pids = tree.pids().flatMap((pid) => ['-p', String(pid)]);
  const args = ['-c', String(ground.cores.load), 'strace', '-f', '-c', '-o', file, ...pids];
  const tracer = spawn('taskset', args, { stdio: 'ignore' });
  const ended = once(tracer, 'exit');
  try {
    await sleep(ATTACH_MS);
    const { requests } = await wrk(place.port, ground.cores.load, stage.traffic, seconds, running.system.name);
    running.sent += requests;
    tracer.kill('SIGINT');
    await ended;
    const byName = readTable(readFileSync(file, 'utf8'));
    return { requests, calls: Object.values(byName).reduce((sum, each) => sum + each, 0), byName };
  } finally {
    tracer.kill('SIGINT');
    await ended;
    tree.stop();
  }
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
