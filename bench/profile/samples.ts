/** perf beside a process that works: in which code each of its threads was, again and again. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from '../datapath/systems/program.ts';
import { type Frame, partOf, type RoomOf } from './parts.ts';

/** Of the CPU time of all threads. No divisor of what else happens at a fixed rate. */
export const SAMPLES_PER_SEC = 1999;
/** Of stacks as text: half a minute of samples. */
const TEXT_BYTES_MAX = 512 * 2 ** 20;

export const perfMissing = (): string | undefined =>
  findProgram('perf') === undefined ? 'perf: bench/peers/install.sh (linux-perf)' : undefined;

/** Records for so long; resolves with a file in the folder. Rejects with what perf says where it may not. */
export async function record(o: { pid: number; core: number; seconds: number; dir: string }): Promise<string> {
  const file = join(o.dir, 'perf.data');
  const args = ['record', '-q', '-g', '-F', String(SAMPLES_PER_SEC), '-p', String(o.pid), '-o', file, '--'];
  await promisify(execFile)('taskset', ['-c', String(o.core), 'perf', ...args, 'sleep', String(o.seconds)]);
  return file;
}

/** Samples by part. */
export async function countParts(file: string, pid: number, roomOf: RoomOf): Promise<Map<string, number>> {
  const args = ['script', '-i', file, '--no-inline', '-F', 'tid,ip,sym,dso'];
  const { stdout } = await promisify(execFile)('perf', args, { maxBuffer: TEXT_BYTES_MAX });
  const counts = new Map<string, number>();
  for (const sample of stdout.split('\n\n')) {
    const [thread = '', ...lines] = sample.trimStart().split('\n');
    const frames = lines.map(frameOf).filter((frame) => frame !== undefined);
    if (frames.length === 0) continue;
    const part = Number(thread) === pid ? partOf(frames, roomOf) : 'other threads';
    counts.set(part, (counts.get(part) ?? 0) + 1);
  }
  return counts;
}

/** `ffffffff816bb48a vfs_write ([kernel.kallsyms])` */
function frameOf(line: string): Frame | undefined {
  const [, symbol, object] = /^\s*[0-9a-f]+ (.*) \((.*)\)$/.exec(line) ?? [];
  return symbol === undefined || object === undefined ? undefined : { symbol, object };
}
