/** A collector as a process of its own, and the CPU time it took: of all its threads, from /proc. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Of the kernel's clock, a second: getconf CLK_TCK, 100 on every Linux that Node runs on. */
const TICKS_PER_SEC = 100;

interface Said {
  readonly event: string;
  readonly severity: string;
  readonly ports: { readonly grpc: number; readonly http: number };
}

export class CollectorProcess {
  readonly #child: ChildProcess;
  readonly ports: { readonly grpc: number; readonly http: number };
  /** From its start until it listened, ms. */
  readonly startMs: number;

  private constructor(child: ChildProcess, ports: { grpc: number; http: number }, startMs: number) {
    this.#child = child;
    this.ports = ports;
    this.startMs = startMs;
  }

  static async start(dir: string): Promise<CollectorProcess> {
    const began = performance.now();
    const words = [
      '--dir',
      dir,
      '--grpc-port',
      '0',
      '--http-port',
      '0',
      '--status-port',
      '0',
      '--status-host',
      '127.0.0.1',
    ];
    const launcher = join(import.meta.dirname, '../../src/cli/reeve.mjs');
    const child = spawn(process.execPath, [launcher, 'collector', ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
    return new Promise((resolve, reject) => {
      child.once('exit', () => reject(new Error('the collector did not start')));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const { event, severity, ports } = JSON.parse(line) as Said;
        if (event === 'collector.started') resolve(new CollectorProcess(child, ports, performance.now() - began));
        if (severity === 'error') process.stderr.write(`${line}\n`);
      });
    });
  }

  /** Of the process until now, seconds. */
  get cpuSec(): number {
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SEC;
  }

  get residentMiB(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.#child.pid}/status`, 'utf8'))?.[1]) / 1024;
  }

  async ask<T>(path: string): Promise<T> {
    const answer = await fetch(`http://127.0.0.1:${this.ports.http}${path}`);
    if (answer.status !== 200) throw new Error(await answer.text());
    return (await answer.json()) as T;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await exited;
  }
}
