/** A system under test, described by data: what it is, what it can do, how it is started. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Job, Level } from './job.ts';
import { ProcessTree } from './process-tree.ts';
import type { Tokens } from './tokens.ts';

/** Takes records off a system's hands, as a log collector beside it does. */
export interface RecordSink {
  readonly port: number;
  readonly lines: number;
}

export interface Place {
  /** A directory of its own, on tmpfs where there is one. */
  readonly dir: string;
  readonly port: number;
  readonly statusPort: number;
  readonly upstreamPort: number;
  /** Where records may be sent that are written in batches. */
  readonly sink: RecordSink;
  readonly job: Job;
  readonly tokens: Tokens;
  readonly tenants: number;
  /** Flags for Node, when the system runs on it. */
  readonly nodeFlags: readonly string[];
}

export interface Launch {
  readonly command: readonly string[];
  /** With which the system itself judges its files before it is started. */
  readonly validate?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface System {
  readonly name: string;
  readonly levels: readonly Level[];
  /** Where it had to be configured worse or better than the others. */
  readonly note: string;
  readonly isNode: boolean;
  /** What is not installed, or undefined. */
  missing(): string | undefined;
  version(): string;
  /** Writes its files into `place.dir`. */
  prepare(place: Place): Launch;
  /** Where its records of requests are after it ended: a file in its directory, or the sink. */
  readonly records: string | 'sink';
  /** Path on the status port. */
  readonly metricsPath: string;
  /** Share of the requests that took the fast engine, from its metrics. Absent where there is none. */
  fastShare?(metricsText: string): number;
}

export interface Running extends AsyncDisposable {
  readonly system: System;
  readonly place: Place;
  readonly tree: ProcessTree;
  /** Requests answered until now that must have left a record. */
  sent: number;
}

/** From the start to an open port, ms, and as much to judge its files. Envoy takes some seconds for 10,000 descriptors. */
const READY_MS = 30_000;

export async function startSystem(system: System, place: Place, core: number): Promise<Running> {
  mkdirSync(place.dir, { recursive: true });
  const launch = system.prepare(place);
  if (launch.validate !== undefined) await validated(system.name, launch.validate);
  const tree = ProcessTree.start({ ...launch, core, logFile: join(place.dir, 'output.log') });
  try {
    await opened(tree, place.port, system.name);
  } catch (cause) {
    await tree.end();
    throw cause;
  }
  return { system, place, tree, sent: 0, [Symbol.asyncDispose]: () => tree.end() };
}

async function validated(name: string, [program, ...args]: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)(program as string, args, { timeout: READY_MS });
  } catch (cause) {
    const { stdout = '', stderr = '' } = cause as { stdout?: string; stderr?: string };
    const said = `${stdout}${stderr}`.slice(-2000) || (cause as Error).message;
    throw new Error(`${name} refuses its configuration: ${said}`, { cause });
  }
}

export async function opened(tree: ProcessTree, port: number, name: string): Promise<void> {
  const deadline = performance.now() + READY_MS;
  while (!(await isOpen(port))) {
    if (tree.hasExited || performance.now() > deadline)
      throw new Error(`${name} did not open its port: ${readFileSync(tree.logFile, 'utf8').slice(-2000)}`);
    await sleep(20);
  }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
