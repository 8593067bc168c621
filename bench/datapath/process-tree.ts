/** A process and its descendants: started on a core, stopped and continued, looked at through /proc, ended by id. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';

export interface Cost {
  /** Time on a core, of all threads. */
  readonly cpuNs: number;
  /** Time spent ready and waiting for a core: the alarm for a disturbed measurement. */
  readonly waitNs: number;
}

export interface StartOptions {
  readonly core: number;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Both outputs are appended here. */
  readonly logFile: string;
}

/** From the request to end to the kill, ms: Reeve, the slowest, takes under 500 with no connections on a busy machine. */
const GRACE_MS = 5000;

/** What runs now. A stopped process outlives its parent and would wait for ever: however this process ends, they end before it. */
const alive = new Set<ProcessTree>();

process.on('exit', () => {
  for (const tree of alive) tree.kill();
});
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(1));

export class ProcessTree {
  readonly pid: number;
  readonly logFile: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #hasExited = false;

  static start(o: StartOptions): ProcessTree {
    return new ProcessTree(o);
  }

  private constructor({ core, command, env, cwd, logFile }: StartOptions) {
    const log = openSync(logFile, 'a');
    this.#child = spawn('taskset', ['-c', String(core), ...command], {
      stdio: ['ignore', log, log],
      ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
      ...(cwd === undefined ? {} : { cwd }),
    });
    closeSync(log);
    if (this.#child.pid === undefined) throw new Error('taskset is not here: apt-get install util-linux');
    this.pid = this.#child.pid;
    this.logFile = logFile;
    alive.add(this);
    this.#exited = new Promise((resolve) =>
      this.#child.once('exit', () => {
        this.#hasExited = true;
        alive.delete(this);
        resolve();
      }),
    );
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** Itself first. */
  pids(): number[] {
    const all = [this.pid];
    const parents = parentsOfAll();
    for (const pid of all) for (const [child, parent] of parents) if (parent === pid) all.push(child);
    return all;
  }

  /** A thread that ended takes its time with it; none of the systems ends threads under load. */
  cost(pids: readonly number[] = this.pids()): Cost {
    let cpuNs = 0;
    let waitNs = 0;
    for (const pid of pids)
      for (const task of listed(`/proc/${pid}/task`)) {
        const [ran, waited] = text(`/proc/${pid}/task/${task}/schedstat`).split(' ').map(Number);
        cpuNs += ran ?? 0;
        waitNs += waited ?? 0;
      }
    return { cpuNs, waitNs };
  }

  rssMb(): number {
    let kib = 0;
    for (const pid of this.pids()) kib += Number(/^VmRSS:\s+(\d+)/m.exec(text(`/proc/${pid}/status`))?.[1] ?? 0);
    return kib / 1024;
  }

  /** Takes no time of the core until it continues. */
  stop(): void {
    for (const pid of this.pids()) signal(pid, 'SIGSTOP');
  }

  continue(): void {
    for (const pid of this.pids()) signal(pid, 'SIGCONT');
  }

  kill(): void {
    for (const pid of this.pids()) signal(pid, 'SIGKILL');
  }

  async end(): Promise<void> {
    if (this.#hasExited) return;
    this.continue();
    signal(this.pid, 'SIGTERM');
    const kill = setTimeout(() => this.kill(), GRACE_MS);
    await this.#exited;
    clearTimeout(kill);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}

function parentsOfAll(): Map<number, number> {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // The name in parentheses may hold spaces and parentheses; the parent is the second field after it.
    const stat = text(`/proc/${name}/stat`);
    parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  return parents;
}

/** Empty when the process ended between two looks. */
function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function listed(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}
