/** JSON is stable, tables are for terminals, colours only where they are wanted. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { hasTerminal, reeve, reeveOnTerminal, reeveProcess } from '../helpers/command.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { childSidecar, httpBackend, REEVE, root, settings } from '../helpers/sidecar.ts';
import { document, makeTenancy, plan, tenant } from '../helpers/tenancy.ts';

/** The names of keys, as deep as they go: what a program that reads the output may count on. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])];
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shapeOf(each)]));
}

const sample = {
  'plans.yaml': plan('free', {
    rate: { requests: { limit: '5/s', burst: 5 }, egress: { limit: '1MiB/s' } },
    concurrency: 3,
    quotas: {
      api_calls: { limit: 50, thresholds: [{ at: '2%', do: 'shape', rate: '100%' }] },
      seats: { gauge: true, limit: 5, mode: 'hard' },
    },
    degrade: ['credit', 'reject'],
  }),
  'routes.yaml': document('Route', 'exports', {
    match: { path: '/exports/*' },
    cost: 2,
    critical: true,
    rate: { requests: { limit: '1/min', burst: 1 } },
  }),
};

/** A finding, as JSON has it. */
const finding = {
  severity: 'string',
  file: 'string',
  line: 'number',
  column: 'number',
  kind: 'string',
  name: 'string',
  path: 'string',
  message: 'string',
  remedy: 'string',
  wants: 'string',
  text: 'string',
} as const;

t.test('JSON: every command that prints data, key by key', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const dir = makeTenancy(sample);
  const other = makeTenancy({ 'tenants.yaml': tenant('acme', { plan: 'none' }) });
  t.teardown(() => dir.cleanUp());
  t.teardown(() => other.cleanUp());
  const sidecar = await childSidecar(t, settings(upstream, dir));
  const admin = ['--admin', `http://127.0.0.1:${sidecar.ports.admin}`];
  const shape = async (...args: string[]): Promise<unknown> =>
    shapeOf(JSON.parse((await reeve([...args, '-o', 'json'])).stdout));
  t.same(await shape('version'), { reeve: 'string', node: 'string' });
  t.same(await shape('tenants', 'list', ...admin), { tenants: [{ name: 'string', plan: 'string', state: 'string' }] });
  const one = {
    name: 'string',
    state: 'string',
    plan: 'string',
    timezone: 'string',
    billingDay: 'number',
    labels: {},
    source: 'string',
    limits: {
      requests: { limit: 'string', burst: 'number' },
      egress: 'string',
      concurrency: 'number',
      quotas: {
        api_calls: {
          limit: 'number',
          unit: 'string',
          per: 'string',
          mode: 'string',
          thresholds: [{ at: 'string', do: 'string', rate: 'string' }],
        },
        seats: {
          limit: 'number',
          unit: 'string',
          per: 'string',
          mode: 'string',
          thresholds: [{ at: 'string', do: 'string' }],
        },
      },
      shadow: 'boolean',
    },
    identity: { claims: ['string'], hosts: ['string'], apiKeys: [{ id: 'string' }] },
  };
  t.same(await shape('tenants', 'get', 'acme', ...admin), one);
  t.same(await shape('tenants', 'get', 'acme', '--tenancy', dir.dir), one);
  t.same(await shape('limits', 'check', 'acme', '--path', '/exports/1', ...admin), {
    generation: 'number',
    tenant: 'string',
    method: 'string',
    path: 'string',
    stages: ['string'],
    identify: {
      state: 'string',
      passes: 'boolean',
      sources: [{ name: 'string', isProof: 'boolean', accepts: ['string'] }],
    },
    route: 'string',
    limits: {
      tenant: 'string',
      plan: 'string',
      shadow: 'boolean',
      requests: { limit: 'string', burst: 'number', left: 'number', credit: 'number' },
      egress: { limit: 'string', left: 'number' },
      concurrency: { limit: 'number', inFlight: 'number' },
      waiting: 'number',
      quotas: [
        {
          meter: 'string',
          mode: 'string',
          per: 'string',
          used: 'number',
          reserved: 'number',
          limit: 'number',
          unit: 'string',
          from: 'string',
          until: 'string',
          state: 'string',
        },
      ],
      isOverLong: 'boolean',
      ladder: ['string'],
      route: { name: 'string', cost: 'number', critical: 'boolean', limit: 'string', left: 'number' },
      wouldGet: { decision: 'string', because: 'string', waitMs: 'number', over: 'string' },
    },
    admission: {
      upstream: 'string',
      limit: 'number',
      unanswered: 'number',
      open: 'number',
      waiting: 'number',
      waitingOfTenant: 'number',
      wouldWait: 'boolean',
      usualMs: 'number',
    },
    upstream: 'string',
    wouldGet: {
      decision: 'string',
      status: 'object',
      code: 'object',
      because: 'string',
      waitMs: 'number',
      rung: 'object',
    },
  });
  t.same(await shape('check', '--live', '--tenancy', other.dir, ...admin), {
    success: 'boolean',
    categories: [
      {
        categoryName: 'string',
        checks: [{ description: 'string', result: 'string', error: 'string', hint: 'string' }],
      },
    ],
  });
  t.same(await shape('config', 'validate', other.dir), {
    valid: 'boolean',
    files: 'number',
    tenants: 'number',
    findings: [finding],
  });
  t.same(await shape('config', 'diff', dir.dir, other.dir), {
    differences: [{ kind: 'string', name: 'string', change: 'string', changes: [{ key: 'string', before: 'string' }] }],
    notCompared: [{ kind: 'string', name: 'string', unreadIn: 'string' }],
    errors: [{ dir: 'string', ...finding }],
  });
  t.match(await shape('config', 'explain', 'Plan.spec.rate'), {
    key: 'string',
    value: 'string',
    keys: { requests: 'string' },
  });
  t.match(await shape('config', 'schema', 'Plan'), { $schema: 'string' });
});

t.test('a request is explained: who decides, which route, what is left, what it would get', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const dir = makeTenancy({
    ...sample,
    'more.yaml':
      plan('open') +
      plan('tiny', { rate: { requests: { limit: '1/min', burst: 1 } }, degrade: [{ shape: '10s' }], shadow: true }) +
      plan('shaped', { rate: { requests: { limit: '30/min', burst: 1 } }, degrade: [{ shape: '10s' }] }) +
      plan('closed', { rate: { requests: { limit: '1/min', burst: 1 } }, degrade: ['reject'] }) +
      tenant('free-of-limits', { plan: 'open' }) +
      tenant('quiet', { plan: 'tiny', identity: { hosts: ['quiet.test'] } }) +
      tenant('slow', { plan: 'shaped', identity: { hosts: ['slow.test'] } }) +
      tenant('over', { plan: 'closed', identity: { claims: ['org_over'], hosts: ['over.test'] } }) +
      tenant('gone', { state: 'suspended' }),
  });
  t.teardown(() => dir.cleanUp());
  const sidecar = await childSidecar(
    t,
    settings(upstream, dir, { 'identity.sources': 'host', 'inbound.trust': 'network' }),
  );
  const check = (...args: string[]) =>
    reeve(['limits', 'check', ...args, '--admin', `http://127.0.0.1:${sidecar.ports.admin}`]);
  t.equal(
    (await check('acme', '--path', '/exports/1', '--method', 'POST')).stdout
      .replace(/generation \d+/, 'generation N')
      .replace(/until [-\dT:.]+Z/, 'until THEN'),
    `tenant       acme, active, plan free
config       generation N
identity     host: Host: acme.test
route        exports, cost 2, 1/min, 1 left, critical
requests     5/s, 5 of 5 left, 0 in credit
egress       1MiB/s, 1048576 bytes left
concurrency  0 of 3, 0 waiting
quota        api_calls: 0 of 50 requests, soft, a month, until THEN: ok
quota        seats: 0 of 5 seats, hard, a gauge: ok
admission    application: 0 of 256 unanswered, 0 waiting
ladder       credit → reject
POST /exports/1 would get: √ pass, route exports is critical; goes to application
`,
  );
  t.match(
    (await check('free-of-limits')).stdout,
    /identity +host: nothing here[\s\S]*requests +no limit\negress +no limit/,
  );
  t.match(await check('gone'), { status: 0, stdout: /would get: × 403 tenant-suspended, the tenant is suspended\n/ });
  t.match((await check('quiet')).stdout, /plan tiny in shadow/);
  for (const name of ['over', 'slow', 'quiet'])
    await exchangeRaw(sidecar.ports.inbound, `GET / HTTP/1.1\r\nHost: ${name}.test\r\n\r\n`, { responses: 1 });
  t.match(
    (await check('slow')).stdout,
    /√ shape \(shape: 10000ms\), over the request rate 30\/min; goes to application, after (\d+ ms|\d\.?\d? s)\n/,
  );
  t.match(
    (await check('quiet')).stdout,
    /√ pass, over the request rate 1\/min, but its plan is in shadow; goes to application\n/,
  );
  t.match(
    (await check('over')).stdout,
    /× 429 quota-exceeded, over the request rate 1\/min \(retry after (\d+ ms|\d+\.?\d? s|1m)\)/,
  );
});

t.test('a table only on a terminal, colours only where they are wanted', { skip: !hasTerminal }, async (t) => {
  const list = ['tenants', 'list', '--tenancy', 'config/tenancy'];
  t.match(reeveProcess(list).stdout, /^acme\tpro\tactive\n/);
  t.match(reeveOnTerminal(list, { NO_COLOR: '1' }).stdout, /^NAME +PLAN +STATE\nacme +pro +active\n/);
  const coloured = reeveOnTerminal(list).stdout;
  t.ok(coloured.startsWith('\u001b[1mNAME\u001b[22m       \u001b[1mPLAN'), 'colours are no width');
  for (const args of [list, ['config', 'validate', 'config/tenancy'], ['check', '--tenancy', 'config/tenancy']]) {
    t.notOk((await reeve(args)).stdout.includes('\u001b'), 'no colour into a pipe');
    t.ok((await reeve(args, { FORCE_COLOR: '1' })).stdout.includes('\u001b') || args === list, 'FORCE_COLOR');
  }
});

t.test('a pipe that was closed early is no failure', async (t) => {
  const child = spawn(process.execPath, [REEVE, 'config', 'schema'], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdout.destroy();
  const code = await new Promise((resolve) => child.once('close', resolve));
  t.same([code, stderr], [0, '']);
});

t.test('the check of a machine names what is missing there', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const port = upstream.split(':')[2] as string;
  const boot = join(dir.dir, '../sidecar.yaml');
  const write = (spec: object): void =>
    writeFileSync(boot, document('Sidecar', 's', { tenancy: { dir: 'tenancy' }, ...spec }).replace('\n---', ''));
  write({
    upstream,
    upstreams: { lite: 'unix:/nowhere' },
    inbound: { host: '127.0.0.1', port: Number(port) },
    stateDir: 'sidecar.yaml/state',
    identity: { pepperFile: 'nowhere' },
  });
  t.match(await reeve(['check', '--config', boot]), {
    status: 1,
    stdout:
      /× pepper is readable\n.*ENOENT[\s\S]*× state directory is writable[\s\S]*√ application accepts[\s\S]*‼ lite accepts[\s\S]*‼ ports are free\n.*127\.0\.0\.1:\d+\n.*--live[\s\S]*√ API keys can be verified/,
  });
  write({
    upstream,
    stateDir: 'new/state',
    inbound: { port: 0 },
    status: { port: 0 },
    admin: { port: 0 },
    application: { port: 0 },
  });
  t.match(await reeve(['check', '--config', boot]), {
    status: 0,
    stdout:
      /√ state directory is writable; it will be made in \/[\s\S]*√ ports are free[\s\S]*‼ API keys can be verified\n.*sidecar\.yaml.*spec\.identity\.pepperFile: .*refused/,
  });
  t.match(await reeve(['config', 'validate', boot, dir.dir]), {
    status: 0,
    stdout:
      /sidecar\.yaml warning: Sidecar "s" spec\.identity\.pepperFile: tenants such as "\w+" have API keys[\s\S]*1 warning/,
  });
  write({ upstream, identity: { pepperFile: 'pepper', sources: ['jwt'] } });
  t.match((await reeve(['config', 'validate', boot, dir.dir])).stdout, /spec\.identity\.sources: .*\(add apiKey/);
  write({ upstream, identity: { pepperFile: 'pepper' } });
  t.match((await reeve(['config', 'validate', boot, dir.dir])).stdout, / 0 warnings/);
  t.match((await reeve(['config', 'validate', dir.dir])).stdout, / 0 warnings/, 'without a boot file nobody knows');
  const empty = makeTenancy({ 'tenants.yaml': '', 'bad.yaml': 'kind: x\n' });
  t.teardown(() => empty.cleanUp());
  t.match(await reeve(['check', '--tenancy', empty.dir]), {
    status: 1,
    stdout: /× document is sound[\s\S]*‼ there is a tenant[\s\S]*Status check results are ×/,
  });
});

t.test('a live check tells of a broken file and of a mount that is away', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const dir = makeTenancy({ 'bad.yaml': 'kind: x\n' });
  t.teardown(() => dir.cleanUp());
  const given = settings(upstream, dir, { stateDir: dir.stateDir });
  const check = (ports: { admin: number }) => reeve(['check', '--live', '--admin', `http://127.0.0.1:${ports.admin}`]);
  const first = await childSidecar(t, given);
  t.match(await check(first.ports), { status: 1, stdout: /× files hold no errors\n.*bad\.yaml/ });
  first.child.kill('SIGTERM');
  await first.exited;
  const second = await childSidecar(t, { ...given, 'tenancy.dir': '/nowhere' });
  t.match((await check(second.ports)).stdout, /‼ configuration is from its files\n.*last known good/);
  const third = await childSidecar(t, settings(upstream, { ...dir, dir: '/nowhere' }));
  t.match(await check(third.ports), { status: 1, stdout: /× configuration is loaded\n.*generation 0/ });
});

t.test('what runs on its last good version, and who is left out, is said by name', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const broken = plan('small', { concurrency: 0 });
  const dir = makeTenancy({ 'small.yaml': plan('small'), 'more.yaml': tenant('alpha', { plan: 'small' }) });
  t.teardown(() => dir.cleanUp());
  const given = settings(upstream, dir, { stateDir: dir.stateDir });
  const admin = ({ ports }: { ports: { admin: number } }) => ['--admin', `http://127.0.0.1:${ports.admin}`];
  const first = await childSidecar(t, given);
  first.child.kill('SIGTERM');
  await first.exited;
  dir.write('small.yaml', broken);
  const kept = await childSidecar(t, given);
  t.match(await reeve(['check', '--live', ...admin(kept)]), {
    status: 1,
    stdout:
      /‼ configuration is from its files\n.*on the last good version of each: Plan "small"\n[\s\S]*× files hold no errors\n[\s\S]*until then last good versions go on/,
  });
  t.match(await reeve(['tenants', 'get', 'alpha', ...admin(kept)]), { status: 0 });
  const cold = await childSidecar(t, settings(upstream, dir));
  t.match(await reeve(['check', '--live', ...admin(cold)]), {
    status: 1,
    stdout:
      /√ configuration is from its files\n× each tenant of the files is in force\n.*left out: alpha\n[\s\S]*× files hold no errors\n[\s\S]*what they say there is not in force/,
  });
  const why =
    /The tenant "alpha" stands in the files and is not in force: small\.yaml:1:\d+ Plan "small" spec\.concurrency/;
  for (const command of [
    ['limits', 'check'],
    ['limits', 'watch', '--count', '1'],
    ['tenants', 'get'],
  ])
    t.match(await reeve([...command, 'alpha', ...admin(cold)]), { status: 1, stderr: why }, command.join(' '));
  t.match(await reeve(['limits', 'check', 'alpa', ...admin(cold)]), { status: 1, stderr: /there is no tenant "alpa"/ });
  t.match(await reeve(['tenants', 'list', ...admin(cold)]), {
    status: 0,
    stdout: /^acme\tfree\tactive\nglobex\tfree\tactive\n$/,
    stderr: 'reeve: not in force: alpha (`reeve tenants get NAME` says why)\n',
  });
});
