/**
 * The processes that are killed: sidecars and a collector on fixed ports, each started again as often as it ends. Whoever starts one says how
 * it will end: at a moment, or at one of its calls to the disk.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const root = join(import.meta.dirname, '..');
/** Until it says that it started; one that is slower is a finding. */
const START_MS_MAX = 20_000;
/** To end in order. */
const END_MS_MAX = 30_000;

/** How a life ends. */
export type Fate =
  | { readonly kind: 'moment'; readonly afterMs: number }
  /** At the `count`th such call; when it does not come within `patienceMs`, at a moment after all. */
  | { readonly kind: 'point'; readonly point: string; readonly count: number; readonly patienceMs: number }
  /** At the first such call of a stop that begins after so long. */
  | { readonly kind: 'parting'; readonly point: string; readonly afterMs: number }
  | { readonly kind: 'none' };

export interface Role {
  readonly name: string;
  /** What runs; default: the command. */
  readonly program?: string;
  /** Of the command. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What its log says once it serves. */
  readonly started: string;
}

export class Actor {
  readonly role: Role;
  /** The last lines it wrote: what a person needs when something is wrong. At most 50. */
  readonly lines: string[] = [];
  #child: ChildProcess | undefined;
  #ended: Promise<number | null> = Promise.resolve(null);
  /** Not at its point: by who asked for it. */
  #isFromOutside = false;

  constructor(role: Role) {
    this.role = role;
  }

  /**
   * Lives one life. Resolves with the point it died at, `moment` for a kill from outside, undefined when it stopped in order before it came to its
   * point. Rejects when it ended by itself. `role`: this time.
   */
  async live(fate: Fate, role: Role = this.role): Promise<string | undefined> {
    const started = this.#spawn(fate, role);
    const signal = this.#ended.then(() => this.#child?.signalCode);
    if (fate.kind === 'parting') return this.#part(fate, started);
    if (fate.kind === 'point') {
      const isDead = await Promise.race([
        signal,
        started.then(() => sleep(fate.patienceMs)),
        sleep(START_MS_MAX, undefined, { ref: false }),
      ]);
      if (isDead === 'SIGKILL') return this.#isFromOutside ? 'moment' : fate.point;
      if (isDead !== undefined) throw this.#wrong(`ended by ${isDead}`);
    } else {
      await started;
      if (fate.kind === 'moment') await Promise.race([signal, sleep(fate.afterMs)]);
    }
    if (this.#child?.exitCode !== null) throw this.#wrong(`exited with ${this.#child?.exitCode}`);
    this.kill();
    await this.#ended;
    return 'moment';
  }

  async #part(
    { point, afterMs }: Extract<Fate, { kind: 'parting' }>,
    started: Promise<void>,
  ): Promise<string | undefined> {
    await Promise.race([started, this.#ended]);
    await Promise.race([this.#ended, sleep(afterMs)]);
    this.#child?.kill('SIGTERM');
    const end = await Promise.race([this.#ended.then(() => 'ended'), sleep(END_MS_MAX, 'late', { ref: false })]);
    if (end === 'late') throw this.#wrong('did not stop');
    if (this.#child?.signalCode === 'SIGKILL') return this.#isFromOutside ? 'moment' : point;
    if (this.#child?.exitCode === 0) return undefined;
    throw this.#wrong(`stopped with ${this.#child?.exitCode}`);
  }

  /** Starts it for good. */
  async start(): Promise<void> {
    await this.#spawn({ kind: 'none' }, this.role);
  }

  /** By SIGKILL; resolves when it is gone. */
  async end(): Promise<void> {
    this.kill();
    await this.#ended;
  }

  kill(): void {
    this.#isFromOutside = true;
    this.#child?.kill('SIGKILL');
  }

  /** In order, by SIGTERM. Rejects when it does not exit with 0. */
  async stop(): Promise<void> {
    this.#child?.kill('SIGTERM');
    const code = await Promise.race([this.#ended, sleep(END_MS_MAX, 'late' as const, { ref: false })]);
    if (code === 0) return;
    this.kill();
    throw this.#wrong(code === 'late' ? 'did not stop' : `stopped with ${code}`);
  }

  #spawn(fate: Fate, role: Role): Promise<void> {
    const at = fate.kind === 'point' ? `${fate.point}:${fate.count}` : fate.kind === 'parting' ? fate.point : undefined;
    const preload = at === undefined ? [] : ['--import', join(root, 'crash/failpoint.mjs')];
    const point = at === undefined ? {} : { CRASH_AT: at };
    const child = spawn(process.execPath, [...preload, join(root, role.program ?? 'src/cli/reeve.mjs'), ...role.args], {
      env: { PATH: process.env['PATH'] ?? '', ...role.env, ...point },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#isFromOutside = false;
    this.#ended = new Promise((resolve) => child.once('exit', resolve));
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        if (this.lines.length > 50) this.lines.shift();
        if (line.includes(this.role.started)) resolve();
      });
    const late = new Promise<void>((_, reject) => {
      const timer = setTimeout(() => reject(this.#wrong('did not start')), START_MS_MAX);
      void Promise.race([promise, this.#ended]).then(() => clearTimeout(timer));
    });
    late.catch(() => {});
    return Promise.race([promise, late, this.#ended.then(() => {})]);
  }

  #wrong(what: string): Error {
    return new Error(`${this.role.name} ${what}:\n${this.lines.slice(-12).join('\n')}`);
  }
}
