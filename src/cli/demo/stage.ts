/** The demo's world: a working directory, two services and a sidecar before each, all real processes on free ports. */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Closer, ReeveError } from '../../core/index.ts';
import { type Credentials, makeCredentials } from './credentials.ts';

const ROOT = join(import.meta.dirname, '../../..');
const START_MS_MAX = 15_000;

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
  /** Writes the tenants' file anew, by rename. Says when the rename began, on the monotonic clock. */
  rewriteTenants(change: (text: string) => string): number;
  close(): Promise<void>;
}

export async function openStage(): Promise<Stage> {
  const closer = new Closer();
  try {
    return await build(closer);
  } catch (cause) {
    await closer.close();
    throw cause;
  }
}

async function build(closer: Closer): Promise<Stage> {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-demo-'));
  closer.add(() => rmSync(dir, { recursive: true, force: true }));
  const credentials = makeCredentials();
  const apiKey = credentials.apiKey('k1');
  const tenancy = join(dir, 'tenancy');
  cpSync(join(ROOT, 'config/tenancy'), tenancy, { recursive: true });
  writeFileSync(join(tenancy, 'keys.json'), credentials.keySet);
  writeFileSync(join(dir, 'pepper'), credentials.pepper, { mode: 0o600 });
  const file = join(tenancy, 'tenants.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace(`hmac-sha256:${'0'.repeat(64)}`, apiKey.hash));

  const decisions = new Map<string, Map<string, number>>();
  const payments = await startService(closer, 'payments', {});
  const paymentsSidecar = await startSidecarProcess(closer, 'payments', payments, dir, () => {});
  const orders = await startService(closer, 'orders', { PAYMENTS_URL: `http://127.0.0.1:${paymentsSidecar.inbound}` });
  const sidecar = await startSidecarProcess(closer, 'orders', orders, dir, (line) => noteDecision(decisions, line));
  return {
    dir,
    credentials,
    apiKey: apiKey.key,
    tenants: tenantsOf(readFileSync(file, 'utf8')),
    orders: { url: `http://127.0.0.1:${orders}`, sidecar },
    decisions,
    rewriteTenants(change) {
      writeFileSync(join(dir, 'next.yaml'), change(readFileSync(file, 'utf8')));
      const began = performance.now();
      renameSync(join(dir, 'next.yaml'), file);
      return began;
    },
    close: () => closer.close(),
  };
}

/** Name, plan and first external id of each tenant of the sample: read as text, so that the demo trusts no code of ours. */
function tenantsOf(text: string): DemoTenant[] {
  const pattern = /metadata: \{ name: ([a-z]+)[^\n]*\nspec:\n {2}plan: ([a-z]+)[\s\S]*?claims: \[ ?(org_\d+) ?\]/g;
  return [...text.matchAll(pattern)].map(([, name, plan, org]) => ({ name, plan, org }) as DemoTenant);
}

async function startService(closer: Closer, name: string, env: Record<string, string>): Promise<number> {
  const child = start(closer, [join(ROOT, `examples/services/${name}.ts`)], { ...env, PORT: '0' });
  return Number(await firstMatch(child, name, /listens on (\d+)/, () => {}));
}

async function startSidecarProcess(
  closer: Closer,
  name: string,
  port: number,
  dir: string,
  onLine: (line: string) => void,
): Promise<Ports> {
  const child = start(closer, [join(ROOT, 'src/cli/reeve.mjs'), 'sidecar'], {
    REEVE_UPSTREAM: `http://127.0.0.1:${port}`,
    REEVE_UPSTREAMS: `exports-lite=http://127.0.0.1:${port}`,
    REEVE_TENANCY_DIR: join(dir, 'tenancy'),
    REEVE_STATE_DIR: join(dir, `state-${name}`),
    REEVE_IDENTITY_PEPPER_FILE: join(dir, 'pepper'),
    REEVE_INBOUND_HOST: '127.0.0.1',
    REEVE_INBOUND_PORT: '0',
    REEVE_STATUS_HOST: '127.0.0.1',
    REEVE_STATUS_PORT: '0',
    REEVE_ADMIN_PORT: '0',
    REEVE_INBOUND_CLASS: name === 'orders' ? 'edge' : 'mesh',
    REEVE_LOG_ACCESS: 'all',
  });
  return JSON.parse(
    await firstMatch(child, `the sidecar of ${name}`, /"sidecar\.started".*"ports":(\{[^}]*\})/, onLine),
  ) as Ports;
}

function start(closer: Closer, args: string[], env: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  closer.add(async () => {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 5000);
    await ended;
    clearTimeout(late);
  });
  return child;
}

/** The first line that matches; every further line goes to `onLine`. */
function firstMatch(
  child: ChildProcess,
  name: string,
  pattern: RegExp,
  onLine: (line: string) => void,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(
      () => reject(new ReeveError('demo-failed', `${name} did not start within ${START_MS_MAX / 1000} s`)),
      START_MS_MAX,
    );
    child.once('exit', (code) =>
      reject(new ReeveError('demo-failed', `${name} exited with ${code} before it was ready`)),
    );
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const match = pattern.exec(line)?.[1];
      if (match === undefined) return onLine(line);
      clearTimeout(late);
      resolve(match);
    });
  });
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
