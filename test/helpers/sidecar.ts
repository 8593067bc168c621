/** Real sidecars for tests: in this process, or as a child. Every one is ended by the test that began it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type RunningSidecar, startSidecar } from '../../src/cli/sidecar.ts';
import { type Log, silentLog } from '../../src/telemetry/index.ts';
import { bootFlags, formatFinding, type SidecarConfig } from '../../src/tenants/index.ts';
import { makeTenancy, type TenancyDir } from './tenancy.ts';

/** `ENGINE=general npm test -- …` runs the same tests without the fast engine, which is on by default. */
export const engine: 'fast' | 'general' = process.env['ENGINE'] === 'general' ? 'general' : 'fast';

/** What a test registers its endings with. */
export interface Ending {
  teardown(end: () => unknown): void;
}

export const root: string = join(import.meta.dirname, '../..');

const isCovered = process.env['_TAPJS_PROCESSINFO_COVERAGE_'] === '1';

const LAUNCHER = join(root, 'src/cli/reeve.mjs');
/** What a process of the command runs: the launcher as it is installed; the sources where their lines are counted. */
export const REEVE: string = isCovered ? join(root, 'src/cli/main.ts') : LAUNCHER;

/** What the test runner is no longer to do in processes of ours: its hooks cost each, and each of its threads, 100 ms; only coverage needs them, where the lines of that process count. */
export function environmentOf(env: NodeJS.ProcessEnv, isCounted = true): NodeJS.ProcessEnv {
  if (isCovered && isCounted) return { ...env, NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache') };
  const { NODE_OPTIONS: _, ...rest } = env;
  return rest;
}

export function settings(
  upstream: string,
  tenancy: TenancyDir,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    upstream,
    'tenancy.dir': tenancy.dir,
    'identity.pepperFile': tenancy.pepperFile,
    'inbound.host': '127.0.0.1',
    'inbound.port': '0',
    'status.host': '127.0.0.1',
    'status.port': '0',
    'admin.port': '0',
    'application.port': '0',
    'wire.fastPath': String(engine === 'fast'),
    ...more,
  };
}

/** Everything on that registers metrics: part of a fleet in which nobody else is, and metering for no collector. */
export function allOn(tenancy: TenancyDir): Record<string, string> {
  // Nobody listens there.
  const collector = { 'metering.collector.address': '127.0.0.1:9' };
  return { ...fleetOfOne(tenancy), ...collector, 'metering.dir': join(tenancy.stateDir, 'spool') };
}

/** Part of a fleet in which nobody else is: what gossip counts is registered then. */
function fleetOfOne({ stateDir }: TenancyDir): Record<string, string> {
  const keyFile = join(stateDir, 'gossip-keys');
  writeFileSync(keyFile, Buffer.alloc(32, 1).toString('base64'));
  return {
    ...{ 'gossip.keyFile': keyFile, 'gossip.seeds.list': '127.0.0.1:9' },
    ...{ 'gossip.host': '127.0.0.1', 'gossip.port': '0' },
  };
}

export function configFor(given: Readonly<Record<string, string>>): SidecarConfig {
  const boot = bootFlags(
    Object.entries(given).map(([path, text]) => ({ path, text, place: path })),
    '/',
  );
  if (boot.config === undefined) throw new Error(boot.findings.map(formatFinding).join('\n'));
  return boot.config;
}

export interface SidecarForTest extends RunningSidecar {
  readonly url: string;
  readonly port: number;
  readonly tenancyDir: TenancyDir;
}

export async function sidecarForTest(
  t: Ending,
  upstream: string,
  o: { tenancy?: TenancyDir; settings?: Readonly<Record<string, string>>; log?: Log } = {},
): Promise<SidecarForTest> {
  const tenancyDir = o.tenancy ?? makeTenancy();
  const running = await startSidecar(configFor(settings(upstream, tenancyDir, o.settings)), {
    log: o.log ?? silentLog,
  });
  t.teardown(async () => {
    await running.close();
    tenancyDir.cleanUp();
  });
  return { ...running, tenancyDir, port: running.ports.inbound, url: `http://127.0.0.1:${running.ports.inbound}` };
}

/** What the admin API says of client connections and of requests in flight. */
export async function traffic(sidecar: SidecarForTest): Promise<{ inFlight: number; connections: number }> {
  const answer = await fetch(`http://127.0.0.1:${sidecar.ports.admin}/v1/traffic`);
  return (await answer.json()) as { inFlight: number; connections: number };
}

export async function listening(t: Ending, server: Server | NetServer, host = '127.0.0.1'): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  t.teardown(() => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

export async function httpBackend(t: Ending, handler: RequestListener, host = '127.0.0.1'): Promise<string> {
  return `http://${host}:${await listening(t, createServer({ keepAliveTimeout: 60_000 }, handler), host)}`;
}

export interface ChildSidecar {
  readonly child: ChildProcess;
  readonly ports: {
    readonly inbound: number;
    readonly status: number;
    readonly admin: number;
    readonly application: number;
  };
  readonly lines: string[];
  /** Resolves with the exit code. */
  readonly exited: Promise<number | null>;
}

/** `reeve sidecar` as a process, ready when this resolves. `env` are variables of its own, `nodeArgs` flags of its Node. */
export async function childSidecar(
  t: Ending,
  given: Readonly<Record<string, string>>,
  more: {
    readonly env?: Readonly<Record<string, string>>;
    readonly nodeArgs?: readonly string[];
    /** Its lines count where lines are counted: it starts in seconds then, so that only who tests the command itself asks for it. */
    readonly isCounted?: boolean;
    /** A command that runs it, such as one that enters a namespace. */
    readonly within?: readonly string[];
  } = {},
): Promise<ChildSidecar> {
  const env: NodeJS.ProcessEnv = { ...environmentOf(process.env, more.isCounted ?? false), ...more.env };
  for (const [path, text] of Object.entries(given))
    env[
      `REEVE_${path
        .replaceAll('.', '_')
        .replaceAll(/[A-Z]/g, (letter) => `_${letter}`)
        .toUpperCase()}`
    ] = text;
  const node = [process.execPath, ...(more.nodeArgs ?? []), more.isCounted ? REEVE : LAUNCHER, 'sidecar'];
  // The test runner puts its hooks back into whatever is spawned, but for what env(1) takes away.
  const bare = more.isCounted ? node : ['env', '-u', 'NODE_OPTIONS', ...node];
  const [command, ...args] = [...(more.within ?? []), ...bare];
  const child = spawn(command as string, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.stderr?.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
  const ports = await new Promise<ChildSidecar['ports']>((resolve, reject) => {
    void exited.then((code) => reject(new Error(`the sidecar exited with ${code}: ${lines.join('')}`)));
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      lines.push(line);
      if (line.includes('"sidecar.started"')) resolve((JSON.parse(line) as { ports: ChildSidecar['ports'] }).ports);
    });
  });
  return { child, ports, lines, exited };
}
