/** perf beside a process that works: in which code each of its threads was, again and again. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findProgram } from '../datapath/systems/program.ts';
import { type Frame, isKernel, partOf, type RoomOf, systemCallOf } from './parts.ts';

/** Of the CPU time of all threads. No divisor of what else happens at a fixed rate. */
export const SAMPLES_PER_SEC = 1999;
/** From the start of the load until perf looks, and from its end to that of the load, s. 1: the load's programs have started by then. */
export const LEAD_SEC = 1;
/** Of stacks as text. 256 MiB, half of the longest string of V8: 40 seconds of a full core at 3.2 KB a sample, twice what is recorded. */
const TEXT_BYTES_MAX = 256 * 2 ** 20;
const REMEDY = 'run as root, or `sysctl kernel.perf_event_paranoid=1 kernel.kptr_restrict=0`';

export const perfMissing = (): string | undefined =>
  findProgram('perf') === undefined ? 'perf: bench/peers/install.sh (linux-perf)' : undefined;

/** Records for so long, once the load is on; resolves with a file in the folder. Rejects with what perf says where it may not. */
export async function record(o: { pid: number; core: number; seconds: number; dir: string }): Promise<string> {
  await sleep(LEAD_SEC * 1000);
  const file = join(o.dir, 'perf.data');
  // Everywhere the same clock, also where the machine has counters; and nothing is copied into ~/.debug.
  const what = ['-e', 'cpu-clock', '-F', String(SAMPLES_PER_SEC), '-g', '-N', '-p', String(o.pid), '-o', file];
  const args = ['-c', String(o.core), 'perf', 'record', '-q', ...what, '--', 'sleep', String(o.seconds)];
  await promisify(execFile)('taskset', args);
  return file;
}

/** Samples by part. */
export async function countParts(file: string, pid: number, roomOf: RoomOf): Promise<Map<string, number>> {
  const args = ['script', '-i', file, '--no-inline', '-F', 'tid,ip,sym,dso'];
  const { stdout } = await promisify(execFile)('perf', args, { maxBuffer: TEXT_BYTES_MAX });
  return countsOf(stdout, pid, roomOf);
}

/**
 * Of what `perf script` says: a line with the thread, a line for each frame, an empty line. Throws where the kernel or the names of its
 * functions are missing: its part would be counted as somebody else's, or not at all.
 */
export function countsOf(text: string, pid: number, roomOf: RoomOf): Map<string, number> {
  const counts = new Map<string, number>();
  let hasKernel = false;
  let hasNames = false;
  for (const sample of text.split('\n\n')) {
    if (sample.trim() === '') continue;
    const [thread = '', ...lines] = sample.trimStart().split('\n');
    const frames = lines.map(frameOf);
    hasKernel ||= isKernel(frames[0] ?? UNREAD);
    hasNames ||= frames.some((frame) => systemCallOf(frame) !== undefined);
    const part = Number(thread) === pid ? partOf(frames.length === 0 ? [UNREAD] : frames, roomOf) : 'other threads';
    counts.set(part, (counts.get(part) ?? 0) + 1);
  }
  if (!hasKernel) throw new Error(`perf has no samples of the kernel: ${REMEDY}`);
  if (!hasNames) throw new Error(`perf has no names of the kernel's system calls: ${REMEDY}`);
  return counts;
}

/** As perf writes what it does not know itself. */
const UNREAD: Frame = { symbol: '[unknown]', object: '[unknown]' };

/** `ffffffff816bb48a vfs_write ([kernel.kallsyms])` */
function frameOf(line: string): Frame {
  const [, symbol, object] = /^\s*[0-9a-f]+ (.*) \((.*)\)$/.exec(line) ?? [];
  return symbol === undefined || object === undefined ? UNREAD : { symbol, object };
}
