/**
 * What stands around the systems: a directory on tmpfs, the application behind them, an echo for the checks, sinks for records.
 *
 *   generator ──▶ system under test ──▶ application (nginx, 1 KB) ──/echo──▶ echo
 *    load core        its own core           load core                       load core
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cores } from './cores.ts';
import type { Job } from './job.ts';
import { freePorts } from './ports.ts';
import { ProcessTree } from './process-tree.ts';
import { opened, type Place, type RecordSink } from './system.ts';
import { findProgram, INSTALL } from './systems/program.ts';
import { renderPeer } from './template.ts';
import { TENANTS } from './tenants.ts';
import type { Tokens } from './tokens.ts';

export interface Ground extends AsyncDisposable {
  readonly dir: string;
  readonly cores: Cores;
  readonly upstreamPort: number;
  /** Requests the application has answered until now, this one not. */
  answered(): Promise<number>;
  /** A place for one more system. */
  place(name: string, job: Job, tokens: Tokens, more?: Partial<Place>): Promise<Place>;
}

export const BODY_BYTES = 1024;

/** What nginx sends back must not hold its variables. */
const body = (): string => `{'items':'${'x'.repeat(BODY_BYTES - 12)}'}`;

export async function layGround(cores: Cores): Promise<Ground> {
  for (const program of ['nginx', 'wrk', 'taskset'])
    if (findProgram(program) === undefined) throw new Error(`the comparison needs ${program}: run ${INSTALL}`);
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'reeve-bench-'));
  const remove = (): void => rmSync(dir, { recursive: true, force: true });
  // Also when the run is interrupted: it lies in memory.
  process.once('exit', remove);
  stack.defer(remove);
  const [upstreamPort, echoPort] = (await freePorts(2)) as [number, number];
  await listen(stack, echoServer(), echoPort);
  await startUpstream(stack, join(dir, 'upstream'), upstreamPort, echoPort, cores.load);
  const open = stack.move();
  let count = 0;
  return {
    dir,
    cores,
    upstreamPort,
    async answered() {
      const text = await (await fetch(`http://127.0.0.1:${upstreamPort}/count`)).text();
      // Connections accepted, connections handled, requests.
      return Number(/\n \d+ \d+ (\d+)/.exec(text)?.[1]) - 1;
    },
    async place(name, job, tokens, more = {}) {
      const [port, statusPort, sinkPort] = (await freePorts(3)) as [number, number, number];
      const sink = createSink(sinkPort);
      await listen(open, sink.server, sinkPort);
      const own = join(dir, `${++count}-${name}`);
      return { dir: own, port, statusPort, upstreamPort, sink, job, tokens, tenants: TENANTS, nodeFlags: [], ...more };
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

async function startUpstream(
  stack: AsyncDisposableStack,
  dir: string,
  port: number,
  echoPort: number,
  core: number,
): Promise<void> {
  mkdirSync(dir);
  const config = join(dir, 'nginx.conf');
  const job: Job = { level: 'W0', algorithm: 'HS256', tokensPerTenant: 1 };
  writeFileSync(config, renderPeer('upstream.conf', job, { DIR: dir, PORT: port, ECHO: echoPort, BODY: body() }));
  const command = [findProgram('nginx') as string, '-p', dir, '-c', config];
  const tree = stack.use(ProcessTree.start({ core, command, logFile: join(dir, 'output.log') }));
  await opened(tree, port, 'the application');
}

/** Answers with the headers as they came, duplicates and all, and with the body. */
function echoServer(): Server {
  return createHttpServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () =>
      response.end(JSON.stringify({ rawHeaders: request.rawHeaders, body: Buffer.concat(chunks).toString() })),
    );
  });
}

interface Sink extends RecordSink {
  readonly server: Server;
}

function createSink(port: number): Sink {
  let lines = 0;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) lines++;
    });
  });
  return {
    port,
    server,
    get lines() {
      return lines;
    },
  };
}

async function listen(stack: AsyncDisposableStack, server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  stack.defer(() => {
    server.close();
    server.unref();
  });
}
