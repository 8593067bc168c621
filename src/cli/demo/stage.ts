/** The demo's world: a working directory, two services with a sidecar before each, one more sidecar for degraded exports, and a collector; all real processes on free ports. */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Closer, ReeveError } from '../../core/index.ts';
import { packageRoot } from '../root.ts';
import { type Credentials, makeCredentials } from './credentials.ts';

const ROOT = packageRoot();
/** The service that degraded exports go to, as its upstream and its sidecar are called. */
export const LITE = 'exports-lite';
const START_MS_MAX = 15_000;
const END_MS_MAX = 5000;

export interface DemoTenant {
  readonly name: string;
  readonly plan: string;
  readonly org: string;
}

export interface Ports {
  readonly inbound: number;
  readonly status: number;
  readonly admin: number;
}

export interface Stage {
  readonly dir: string;
  readonly credentials: Credentials;
  readonly apiKey: string;
  readonly tenants: readonly DemoTenant[];
  readonly orders: { readonly url: string; readonly sidecar: Ports };
  /** Decisions by tenant, from the access log of the orders sidecar. */
  readonly decisions: Map<string, Map<string, number>>;
  /** URL of the collector's API. */
  readonly collector: string;
  /** Ends the orders sidecar by SIGKILL, and starts it again. */
  killSidecar(): Promise<void>;
  /** Ends the collector in order, runs something while it is away, and starts it again. */
  withoutCollector(run: () => Promise<void>): Promise<void>;
  /** Rejects when a process ends that is still needed. */
  readonly lost: Promise<never>;
  /** Writes the tenants' file anew, by rename. Says when the rename began, on the monotonic clock. */
  rewriteTenants(change: (text: string) => string): number;
  close(): Promise<void>;
}

export async function openStage(): Promise<Stage> {
  const cast = new Cast();
  try {
    return await build(cast);
  } catch (cause) {
    await cast.close();
    throw cause;
  }
}

/** A process that may end and begin again. */
interface Player {
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

/** The processes of the demo. */
class Cast {
  readonly closer: Closer = new Closer();
  readonly lost: Promise<never>;
  readonly #onLost: (cause: ReeveError) => void;
  #isClosing = false;

  constructor() {
    const { promise, reject } = Promise.withResolvers<never>();
    this.lost = promise;
    this.#onLost = reject;
    // Whoever waits on the stage hears of it; until then it is no unhandled rejection.
    promise.catch(() => {});
  }

  /** Ends all of them. */
  close(): Promise<void> {
    this.#isClosing = true;
    return this.closer.close();
  }

  start(name: string, args: string[], env: Record<string, string>): ChildProcess & Player {
    // Nobody would end it.
    if (this.#isClosing) throw new ReeveError('demo-failed', `the demo is over, ${name} does not start any more`);
    const child = spawn(process.execPath, args, {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    let isNeeded = true;
    child.once('exit', (code, signal) => {
      if (!this.#isClosing && isNeeded)
        this.#onLost(new ReeveError('demo-failed', `${name} ended (${code ?? signal}) while it was needed`));
    });
    this.closer.add(async () => {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), END_MS_MAX);
      await ended;
      clearTimeout(late);
    });
    return Object.assign(child, {
      async end(signal: 'SIGTERM' | 'SIGKILL') {
        isNeeded = false;
        child.kill(signal);
        await ended;
      },
    });
  }
}

async function build(cast: Cast): Promise<Stage> {
  const { closer } = cast;
  const dir = mkdtempSync(join(tmpdir(), 'reeve-demo-'));
  closer.add(() => rmSync(dir, { recursive: true, force: true }));
  const credentials = makeCredentials();
  const apiKey = credentials.apiKey('k1');
  const tenancy = join(dir, 'tenancy');
  cpSync(join(ROOT, 'config/tenancy'), tenancy, { recursive: true });
  writeFileSync(join(tenancy, 'keys.json'), credentials.keySet);
  writeFileSync(join(dir, 'pepper'), credentials.pepper, { mode: 0o600 });
  const file = join(tenancy, 'tenants.yaml');
  // What the comment there says to put in its place.
  const apiKeys = `apiKeys: [{ id: k1, hash: "${apiKey.hash}" }]`;
  writeFileSync(file, readFileSync(file, 'utf8').replace(/# apiKeys:.*/, apiKeys));

  const decisions = new Map<string, Map<string, number>>();
  const [firstCollector, payments] = await Promise.all([
    startCollectorProcess(cast, dir, { grpc: 0, http: 0 }),
    startService(cast, 'payments', {}),
  ]);
  let collector = firstCollector;
  const ofPayments = await startSidecarProcess(cast, { of: 'payments', upstream: payments, dir, collector }, () => {});
  const orders = await startService(cast, 'orders', { PAYMENTS_URL: `http://127.0.0.1:${ofPayments.ports.inbound}` });
  const onLine = (line: string): void => {
    noteDecision(decisions, line);
    showFinding(line);
  };
  // Its application is the same; what it records is its own.
  const ofLite = await startSidecarProcess(cast, { of: LITE, upstream: orders, dir, collector }, () => {});
  const place = { of: 'orders', upstream: orders, lite: ofLite.ports.inbound, dir, collector } as const;
  let ofOrders = await startSidecarProcess(cast, place, onLine);
  return {
    dir,
    credentials,
    apiKey: apiKey.key,
    tenants: tenantsOf(readFileSync(file, 'utf8')),
    orders: { url: `http://127.0.0.1:${orders}`, sidecar: ofOrders.ports },
    collector: `http://127.0.0.1:${collector.ports.http}`,
    async killSidecar() {
      await ofOrders.player.end('SIGKILL');
      ofOrders = await startSidecarProcess(cast, { ...place, ports: ofOrders.ports }, onLine);
    },
    async withoutCollector(run) {
      await collector.player.end('SIGTERM');
      await run();
      collector = await startCollectorProcess(cast, dir, collector.ports);
    },
    decisions,
    lost: cast.lost,
    rewriteTenants(change) {
      writeFileSync(join(dir, 'next.yaml'), change(readFileSync(file, 'utf8')));
      const began = performance.now();
      renameSync(join(dir, 'next.yaml'), file);
      return began;
    },
    close: () => cast.close(),
  };
}

/** Name, plan and first external id of each tenant of the sample: read as text, so that the demo trusts no code of ours. */
function tenantsOf(text: string): DemoTenant[] {
  const pattern = /metadata: \{ name: ([a-z]+)[^\n]*\nspec:\n {2}plan: ([a-z]+)[\s\S]*?claims: \[ ?(org_\d+) ?\]/g;
  return [...text.matchAll(pattern)].map(([, name, plan, org]) => ({ name, plan, org }) as DemoTenant);
}

async function startService(cast: Cast, name: string, env: Record<string, string>): Promise<number> {
  const child = cast.start(name, [join(ROOT, `examples/services/${name}.ts`)], { ...env, PORT: '0' });
  return Number(await firstMatch(cast, child, name, /listens on (\d+)/, () => {}));
}

interface Placed<P> {
  readonly player: Player;
  readonly ports: P;
}

interface SidecarPlace {
  readonly of: 'orders' | 'payments' | typeof LITE;
  /** Port of its application. */
  readonly upstream: number;
  /** Where degraded exports go; default: there too. */
  readonly lite?: number;
  readonly dir: string;
  readonly collector: Placed<CollectorPorts>;
  /** Those it had before. */
  readonly ports?: Ports;
}

async function startSidecarProcess(
  cast: Cast,
  { of, upstream, lite = upstream, dir, collector, ports }: SidecarPlace,
  onLine: (line: string) => void,
): Promise<Placed<Ports>> {
  const name = `the sidecar of ${of}`;
  const boot = join(dir, `sidecar-${of}.yaml`);
  writeFileSync(boot, `apiVersion: reeve.dev/v1\nkind: Sidecar\nmetadata: { name: ${of} }\nspec: {}\n`);
  const player = cast.start(name, [join(ROOT, 'src/cli/reeve.mjs'), 'sidecar', '--config', boot], {
    REEVE_UPSTREAM: `http://127.0.0.1:${upstream}`,
    REEVE_UPSTREAMS: `${LITE}=http://127.0.0.1:${lite}`,
    REEVE_TENANCY_DIR: join(dir, 'tenancy'),
    REEVE_STATE_DIR: join(dir, `state-${of}`),
    REEVE_IDENTITY_PEPPER_FILE: join(dir, 'pepper'),
    REEVE_INBOUND_HOST: '127.0.0.1',
    REEVE_INBOUND_PORT: String(ports?.inbound ?? 0),
    REEVE_STATUS_HOST: '127.0.0.1',
    REEVE_STATUS_PORT: String(ports?.status ?? 0),
    REEVE_ADMIN_PORT: String(ports?.admin ?? 0),
    REEVE_APPLICATION_PORT: '0',
    REEVE_INBOUND_CLASS: of === 'orders' ? 'edge' : 'mesh',
    REEVE_METERING_COLLECTOR_ADDRESS: `127.0.0.1:${collector.ports.grpc}`,
    REEVE_LOG_ACCESS: 'all',
  });
  const text = await firstMatch(cast, player, name, /"sidecar\.started".*"ports":(\{[^}]*\})/, onLine);
  return { player, ports: JSON.parse(text) as Ports };
}

interface CollectorPorts {
  readonly grpc: number;
  readonly http: number;
}

async function startCollectorProcess(cast: Cast, dir: string, ports: CollectorPorts): Promise<Placed<CollectorPorts>> {
  const player = cast.start('the collector', [join(ROOT, 'src/cli/reeve.mjs'), 'collector'], {
    REEVE_COLLECTOR_DIR: join(dir, 'collector'),
    REEVE_COLLECTOR_GRPC_PORT: String(ports.grpc),
    REEVE_COLLECTOR_HTTP_PORT: String(ports.http),
    REEVE_COLLECTOR_STATUS_HOST: '127.0.0.1',
    REEVE_COLLECTOR_STATUS_PORT: '0',
  });
  const pattern = /"collector\.started".*"ports":(\{[^}]*\})/;
  const text = await firstMatch(cast, player, 'the collector', pattern, () => {});
  return { player, ports: JSON.parse(text) as CollectorPorts };
}

/** The first line that matches; every further line goes to `onLine`. */
function firstMatch(
  { lost }: Cast,
  child: ChildProcess,
  name: string,
  pattern: RegExp,
  onLine: (line: string) => void,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const late = setTimeout(
    () => reject(new ReeveError('demo-failed', `${name} did not start within ${START_MS_MAX / 1000} s`)),
    START_MS_MAX,
  );
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    const match = pattern.exec(line)?.[1];
    if (match === undefined) onLine(line);
    else resolve(match);
  });
  return Promise.race([promise, lost]).finally(() => clearTimeout(late));
}

/** Who edits a file of the demo sees what is wrong with it. */
function showFinding(line: string): void {
  if (!line.includes('"config.finding"')) return;
  process.stderr.write(`${(JSON.parse(line) as { finding: string }).finding}\n`);
}

function noteDecision(decisions: Map<string, Map<string, number>>, line: string): void {
  if (!line.includes('"http.request"')) return;
  const entry = JSON.parse(line) as Record<string, string | undefined>;
  const tenant = entry['tenant.id'];
  if (tenant === undefined) return;
  const counts = decisions.get(tenant) ?? new Map<string, number>();
  decisions.set(tenant, counts);
  const decision = entry['reeve.decision'] as string;
  counts.set(decision, (counts.get(decision) ?? 0) + 1);
}
