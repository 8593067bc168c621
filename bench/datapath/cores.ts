/** Which core does what: the system under test alone on one, everything that loads it on another. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Cores {
  readonly system: number;
  readonly load: number;
}

export function chooseCores(): Cores {
  const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const allowed = list.split(',').flatMap((range) => {
    const [from, to] = range.split('-').map(Number) as [number, number?];
    return Array.from({ length: (to ?? from) - from + 1 }, (_, i) => from + i);
  });
  if (allowed.length < 2) throw new Error(`the comparison needs two cores, this process may use ${list}`);
  return { system: allowed[0] as number, load: allowed[1] as number };
}

/** Moves this process, all its threads and what it starts from now on to one core. */
export function moveSelfTo(core: number): void {
  spawnSync('taskset', ['-a', '-c', '-p', String(core), String(process.pid)]);
}
