import { request } from 'node:http';
import t from 'tap';
import { createHealth, describeTenant, openAdmin } from '../../src/admin/index.ts';
import { systemTimers } from '../../src/core/index.ts';
import { inspectTenancy, type Tenant } from '../../src/tenants/index.ts';
import { lateLoop } from '../helpers/late-loop.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { httpBackend, sidecarForTest } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { apiKeyFor, PEPPER, tokenFor } from '../helpers/tokens.ts';

const get = (
  port: number,
  path: string,
  o: { host?: string; method?: string; accept?: string } = {},
): Promise<{ status: number; text: string }> =>
  new Promise((resolve) => {
    const req = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method: o.method ?? 'GET',
        headers: { host: o.host ?? 'localhost', accept: o.accept ?? '*/*' },
      },
      (res) => {
        let text = '';
        res
          .on('data', (chunk: Buffer) => (text += chunk.toString()))
          .on('end', () => resolve({ status: res.statusCode ?? 0, text }));
      },
    );
    req.end();
  });

t.test('the admin API shows what there is, and no secret', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const tenants =
    Array.from({ length: 5 }, (_, i) => tenant(`t${i}`)).join('') +
    tenant('acme', {
      identity: {
        claims: ['org_acme'],
        apiKeys: [
          { id: 'k1', hash: apiKeyFor('k1').hash, expires: '2030-01-01' },
          { id: 'k2', hash: apiKeyFor('k2').hash },
        ],
      },
    });
  const sidecar = await sidecarForTest(t, upstream, {
    tenancy: makeTenancy({ 'tenants.yaml': tenants, 'bad.yaml': 'kind: x\n' }),
  });
  const { admin, status } = sidecar.ports;
  const json = async (path: string): Promise<Record<string, never>> =>
    JSON.parse((await get(admin, path)).text) as Record<string, never>;
  t.match(await json('/'), { endpoints: { '/v1/version': String } });
  t.match(await json('/v1/version'), { version: '0.1.0' });
  t.match(await json('/v1/config'), {
    generation: 1,
    tenants: 6,
    isFromLastGood: false,
    findings: [{ severity: 'error', text: /bad\.yaml/ }],
  });
  t.match(await json('/v1/traffic'), { isDraining: false });
  const first = await json('/v1/tenants?limit=4');
  t.match(first, { total: 6, tenants: [{ name: 'acme', plan: 'free', state: 'active' }, {}, {}, {}], next: 't2' });
  t.match(await json('/v1/tenants?limit=x&after=t2'), { tenants: [{ name: 't3' }, { name: 't4' }] });
  t.match(await json('/v1/tenants/acme'), {
    name: 'acme',
    identity: {
      claims: ['acme', 'org_acme'],
      apiKeys: [{ id: 'k1', expires: '2030-01-01T00:00:00.000Z' }, { id: 'k2' }],
    },
  });
  t.match(await json('/v1/limits/acme?method=POST&path=/x'), { tenant: 'acme', wouldGet: { decision: 'pass' } });
  t.match(await json('/v1/explain?tenant=acme'), {
    stages: ['observe', 'readiness', 'sanitise', 'identify', 'limits', 'routing', 'admission'],
    identify: { passes: true },
    route: null,
  });
  let all = '';
  for (const path of ['/', '/v1/config', '/v1/tenants', '/v1/tenants/acme', '/v1/explain?tenant=acme', '/metrics'])
    all += (await get(path === '/metrics' ? status : admin, path)).text;
  for (const secret of [PEPPER, apiKeyFor('k1').hash.slice(12), apiKeyFor('k1').key, '"n":'])
    t.notOk(all.includes(secret), 'no secret');
  for (const [path, code] of [
    ['/v1/tenants/none', 404],
    ['/v1/gossip', 404],
    ['/v1/metering', 404],
    ['/v1/limits/none', 404],
    ['/v1/explain', 404],
    ['/v1/nothing', 404],
    ['/v2/config', 404],
    ['/v1/tenants/%ff', 404],
  ] as const)
    t.equal((await get(admin, path)).status, code, path);
  t.equal((await get(admin, '/', { host: 'evil.test' })).status, 403);
  t.equal((await get(admin, '/', { method: 'POST' })).status, 405);
  t.equal((await get(admin, '/', { method: 'HEAD' })).text, '');
});

t.test('the status listener: metrics, health, and nothing of tenants but the busiest', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const sidecar = await sidecarForTest(t, upstream);
  const { status, inbound } = sidecar.ports;
  for (const path of ['/livez', '/readyz', '/startupz'])
    t.match(await get(status, path), { status: 200, text: /ok/ }, path);
  await exchangeRaw(inbound, `GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${tokenFor('org_acme')}\r\n\r\n`, {
    responses: 1,
  });
  const [a, b] = await Promise.all([get(status, '/metrics'), get(status, '/metrics')]);
  t.match(a.text, /reeve_requests_total\{plan="free",decision="pass",code_class="2xx"\} 1/);
  t.equal(b.status, 200);
  t.equal((await get(status, '/other')).status, 404);
  t.equal((await get(status, '/metrics', { method: 'HEAD' })).status, 200);
  const draining = sidecar.drain();
  t.match(await get(status, '/readyz'), { status: 503, text: /draining/ });
  await draining;
});

t.test('whoever prefers OpenMetrics gets it, with exemplars that name a trace and its tenant', async (t) => {
  let seen: string | undefined;
  const upstream = await httpBackend(t, (req, res) => {
    seen = req.headers['traceparent'] as string;
    res.end('ok');
  });
  const sidecar = await sidecarForTest(t, upstream);
  const { status, inbound } = sidecar.ports;
  const ask = (fields: string) => exchangeRaw(inbound, `GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`, { responses: 1 });
  const theirs = `00-${'e'.repeat(32)}-${'f'.repeat(16)}-01`;
  await ask(`Traceparent: ${theirs}\r\n`);
  await ask(`Traceparent: ${theirs}\r\nAuthorization: Bearer ${tokenFor('org_acme')}\r\n`);
  const traceId = (seen as unknown as string).slice(3, 35);
  const exemplars = (text: string) => text.split('\n').filter((line) => line.includes(' # {'));
  const prometheus = 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1';
  const [open, plain] = await Promise.all([get(status, '/metrics', { accept: prometheus }), get(status, '/metrics')]);
  t.match(exemplars(open.text), [
    new RegExp(
      `^reeve_request_duration_seconds_bucket\\{plan="free",le="[^"]+"\\} 1 # \\{trace_id="${traceId}",tenant="acme"\\} 0\\.\\d+ \\d+`,
    ),
  ]);
  t.equal(exemplars(open.text).length, 1, 'a refusal leaves none, nor what a stranger calls his trace');
  t.ok(open.text.endsWith('# EOF\n'));
  t.same(exemplars(plain.text), []);
  for (const accept of [
    'text/plain',
    'application/openmetrics-text;q=0',
    'text/plain;q=0.9,application/openmetrics-text;q=0.5',
  ])
    t.notMatch((await get(status, '/metrics', { accept })).text, /EOF/, accept);
});

t.test('health names the reasons; a port that is taken names its setting', async (t) => {
  let generation = 0;
  let isPulled = true;
  const { lag, turn } = lateLoop();
  const pass = (times: number, ms: number): void => {
    for (let i = 0; i < times; i++) turn(ms);
  };
  const health = createHealth({
    lag,
    generation: () => generation,
    isDraining: () => false,
    isPulled: () => isPulled,
  });
  t.match(health.ready(), [/no configuration/]);
  t.match(health.started(), [/no configuration/]);
  generation = 1;
  t.same([...health.ready(), ...health.started(), ...health.live()], []);
  isPulled = false;
  t.match(health.started(), [/state of the fleet/]);
  pass(600, 100);
  pass(13, 2200);
  t.same(health.live(), []);
  pass(1, 2200);
  t.match(health.live(), [/the event loop is 2100 ms late/], 'for half of the last minute');
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const sidecar = await sidecarForTest(t, upstream);
  await t.rejects(
    openAdmin({ host: '127.0.0.1', port: sidecar.ports.admin, timers: systemTimers, view: {} as never }),
    {
      code: 'listen-failed',
      remedy: /--admin-port, its variable, or admin\.port in the file/,
    },
  );
});

t.test('a tenant is shown with its quotas', async (t) => {
  const thresholds = [{ at: '80%', do: 'notify' }];
  const tenancy = makeTenancy({
    'plans.yaml': plan('free', {
      quotas: { api_calls: { per: 'month', limit: 50, thresholds }, seats: { gauge: true, limit: 5, mode: 'hard' } },
    }),
  });
  const { snapshot } = await inspectTenancy(tenancy.dir);
  tenancy.cleanUp();
  t.match(describeTenant(snapshot.tenants.get('acme') as Tenant), {
    limits: {
      quotas: {
        api_calls: { limit: 50, per: 'month', mode: 'soft', thresholds: [{ at: '80%', do: 'notify' }] },
        seats: { limit: 5, per: 'gauge', mode: 'hard' },
      },
    },
  });
});
