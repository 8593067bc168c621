/** The story of this folder, told by real processes: verdaccio, a sidecar, npm. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeCredentials } from '../../src/cli/demo/credentials.ts';

const here = import.meta.dirname;
const verdaccio = join(here, 'node_modules/verdaccio/bin/verdaccio');
if (!existsSync(verdaccio)) {
  process.stderr.write('verdaccio is not installed: npm ci --prefix examples/npm-registry\n');
  process.exit(3);
}

const root = mkdtempSync(join(tmpdir(), 'reeve-registry-'));
const children: ChildProcess[] = [];
const checks: [string, boolean][] = [];
const check = (what: string, isGood: boolean): void => {
  checks.push([what, isGood]);
  process.stdout.write(`${isGood ? '√' : '×'} ${what}\n`);
};

function start(args: string[], env: Record<string, string>, ready: RegExp): Promise<string> {
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${args[0]} exited with ${code}`)));
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => ready.test(line) && resolve(line));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** npm as a tenant: its own configuration, cache and token. */
function npm(registry: string, token: string, cwd: string, args: string[]): Promise<{ code: number; output: string }> {
  const rc = join(cwd, '.npmrc');
  writeFileSync(
    rc,
    `registry=http://${registry}/\n//${registry}/:_authToken=${token}\ncache=${join(cwd, '.cache')}\nfetch-retries=4\nfetch-retry-mintimeout=400\naudit=false\nfund=false\nupdate-notifier=false\n`,
  );
  return new Promise((resolve) => {
    execFile(
      'npm',
      [...args, '--userconfig', rc],
      { cwd, env: { PATH: process.env['PATH'] ?? '', HOME: cwd }, timeout: 60_000 },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : 1, output: stdout + stderr }),
    );
  });
}

function project(name: string, manifest: object): string {
  const dir = join(root, name);
  mkdirSync(dir);
  writeFileSync(join(dir, 'package.json'), JSON.stringify(manifest));
  return dir;
}

try {
  const credentials = makeCredentials();
  const [big, small] = [credentials.apiKey('big'), credentials.apiKey('small')];
  const port = await freePort();
  writeFileSync(
    join(root, 'verdaccio.yaml'),
    `storage: ${root}/storage\nauth: { auth-memory: {} }\nuplinks: {}\npackages: { '**': { access: $all, publish: $all, unpublish: $all } }\nlog: { type: stdout, format: json, level: http }\n`.replace(
      'auth: { auth-memory: {} }\n',
      `auth: { htpasswd: { file: ${root}/htpasswd } }\n`,
    ),
  );
  mkdirSync(join(root, 'tenancy'));
  const document = (kind: string, name: string, spec: object): string =>
    `${JSON.stringify({ apiVersion: 'reeve.dev/v1', kind, metadata: { name }, spec })}\n---\n`;
  writeFileSync(
    join(root, 'tenancy/all.yaml'),
    document('Plan', 'team', { rate: { requests: { limit: '100/s', burst: 200 } } }) +
      document('Plan', 'trial', { rate: { requests: { limit: '1/s', burst: 1 } }, degrade: ['reject'] }) +
      document('Tenant', 'big', { plan: 'team', identity: { apiKeys: [{ id: 'big', hash: big.hash }] } }) +
      document('Tenant', 'small', { plan: 'trial', identity: { apiKeys: [{ id: 'small', hash: small.hash }] } }),
  );
  writeFileSync(join(root, 'pepper'), credentials.pepper);
  await start(
    [verdaccio, '--config', join(root, 'verdaccio.yaml'), '--listen', `127.0.0.1:${port}`],
    {},
    /http address/,
  );
  const line = await start(
    [join(here, '../../src/cli/reeve.mjs'), 'sidecar'],
    {
      REEVE_UPSTREAM: `http://127.0.0.1:${port}`,
      REEVE_TENANCY_DIR: join(root, 'tenancy'),
      REEVE_IDENTITY_PEPPER_FILE: join(root, 'pepper'),
      REEVE_IDENTITY_SOURCES: 'apiKey',
      REEVE_IDENTITY_INJECT_CREDENTIALS: 'false',
      REEVE_INBOUND_HOST: '127.0.0.1',
      REEVE_INBOUND_PORT: '0',
      REEVE_STATUS_PORT: '0',
      REEVE_ADMIN_PORT: '0',
      REEVE_APPLICATION_PORT: '0',
    },
    /"sidecar\.started"/,
  );
  const { ports } = JSON.parse(line) as { ports: { inbound: number; status: number } };
  const registry = `127.0.0.1:${ports.inbound}`;

  const author = project('author', { name: 'tiny-thing', version: '1.0.0', main: 'index.js' });
  writeFileSync(join(author, 'index.js'), 'module.exports = 42;\n');
  const published = await npm(registry, big.key, author, ['publish']);
  check('tenant big publishes a package', published.code === 0);
  if (published.code !== 0) process.stdout.write(published.output);
  const user = project('user', { name: 'user', version: '1.0.0', private: true });
  check(
    'tenant big installs it',
    (await npm(registry, big.key, user, ['install', 'tiny-thing'])).code === 0 &&
      existsSync(join(user, 'node_modules/tiny-thing/index.js')),
  );
  check('without a key nobody gets anything', (await fetch(`http://${registry}/tiny-thing`)).status === 401);
  check(
    'with a wrong key nobody does either',
    (await fetch(`http://${registry}/tiny-thing`, { headers: { authorization: 'Bearer rk_big_guess' } })).status ===
      401,
  );
  const ask = (): Promise<Response> =>
    fetch(`http://${registry}/tiny-thing`, { headers: { authorization: `Bearer ${small.key}` } });
  // At once: one after the other, a slow answer would be a second apart from the next question.
  const answers = await Promise.all([ask(), ask(), ask()]);
  const refused = answers.filter(({ status }) => status === 429);
  check(
    'tenant small gets one request a second, then 429 with Retry-After',
    answers.filter(({ status }) => status === 200).length === 1 &&
      refused.length === 2 &&
      refused.every(({ headers }) => headers.get('retry-after') !== null),
  );
  const trial = project('trial', { name: 'trial', version: '1.0.0', private: true });
  check(
    'its npm client waits, comes back and installs',
    (await npm(registry, small.key, trial, ['install', 'tiny-thing'])).code === 0 &&
      existsSync(join(trial, 'node_modules/tiny-thing/index.js')),
  );
  const metrics = await (await fetch(`http://127.0.0.1:${ports.status}/metrics`)).text();
  check(
    'the metrics tell the two apart',
    /reeve_tenant_requests_total\{tenant="big",result="refused"\} 0/.test(metrics) &&
      /reeve_tenant_requests_total\{tenant="small",result="refused"\} [1-9]/.test(metrics),
  );
} finally {
  for (const child of children.reverse()) {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 3000);
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once('exit', resolve));
    clearTimeout(late);
  }
  rmSync(root, { recursive: true, force: true });
}
process.exitCode = checks.every(([, isGood]) => isGood) ? 0 : 1;
