/** Quotas through the real sidecar, with both engines: real sockets, real disks, real kills. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { createLog, type Log } from '../../src/telemetry/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { becomes } from '../helpers/processes.ts';
import { type Ending, httpBackend, type SidecarForTest, sidecarForTest } from '../helpers/sidecar.ts';
import { document, makeTenancy, plan, type TenancyDir, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const ENGINES = [
  ['fast', 'true'],
  ['general', 'false'],
] as const;

interface Explained {
  readonly quotas: readonly { meter: string; used: number; reserved: number; state: string; until?: string }[];
}

/** What a client, the application and the operator do. */
async function open(
  t: Ending,
  o: { files: Record<string, string>; upstream: string; engine: string; settings?: Record<string, string> },
): Promise<{
  sidecar: SidecarForTest;
  lines: Record<string, unknown>[];
  ask(name: string, path?: string, init?: RequestInit): Promise<Response & { text: never; body: never; said: string }>;
  quotas(name: string): Promise<Record<string, Explained['quotas'][number]>>;
  post(body: unknown, more?: RequestInit): Promise<{ status: number; json: Record<string, unknown> }>;
}> {
  const lines: Record<string, unknown>[] = [];
  const log: Log = createLog({
    clock: new ManualClock(),
    level: 'info',
    write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  const tenancy = makeTenancy({ 'tenants.yaml': tenant('acme') + tenant('globex'), ...o.files });
  const settings = { 'wire.fastPath': o.engine, stateDir: tenancy.stateDir, ...o.settings };
  const sidecar = await sidecarForTest(t, o.upstream, { tenancy, settings, log });
  return {
    sidecar,
    lines,
    async ask(name, path = '/', init = {}) {
      const headers = { authorization: `Bearer ${tokenFor(`org_${name}`)}`, ...init.headers };
      const answer = await fetch(`${sidecar.url}${path}`, { ...init, headers });
      const said = await answer.text();
      return Object.assign(answer, { said }) as never;
    },
    async quotas(name) {
      const answer = await fetch(`http://127.0.0.1:${sidecar.ports.admin}/v1/limits/${name}`);
      const { quotas } = (await answer.json()) as Explained;
      return Object.fromEntries(quotas.map((each) => [each.meter, each]));
    },
    async post(body, more = {}) {
      const answer = await fetch(`http://127.0.0.1:${sidecar.ports.application}/v1/usage`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...more,
      });
      return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
    },
  };
}

for (const [engine, fastPath] of ENGINES) {
  t.test(`${engine}: a hard quota of N admits exactly N of many at once`, async (t) => {
    let served = 0;
    const upstream = await httpBackend(t, (_req, res) => {
      served++;
      setTimeout(() => res.end('ok'), 5);
    });
    const files = { 'plans.yaml': plan('free', { quotas: { api_calls: { per: 'day', limit: 100, mode: 'hard' } } }) };
    const { ask } = await open(t, { files, upstream, engine: fastPath });
    const statuses: number[] = [];
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        for (let i = 0; i < 12; i++) statuses.push((await ask('acme')).status);
      }),
    );
    t.equal(statuses.filter((each) => each === 200).length, 100);
    t.equal(served, 100);
    const refused = await ask('acme');
    t.equal(refused.status, 429);
    t.match(JSON.parse(refused.said), { code: 'quota-exceeded', 'violated-policies': ['api_calls-day'] });
    const seconds = Number(refused.headers.get('retry-after'));
    t.ok(seconds > 0 && seconds <= 86_400, `${seconds} s`);
    t.match(refused.headers.get('ratelimit-policy'), '"api_calls-day";q=100;w=86400;qu="requests"');
    t.match(refused.headers.get('ratelimit'), /"api_calls-day";r=0;t=\d+/);
    t.equal((await ask('globex')).status, 200, 'and nobody else has used anything');
  });

  t.test(`${engine}: the soft ladder walks, and each step is said once`, async (t) => {
    const seen: Record<string, unknown>[] = [];
    const upstream = await httpBackend(t, (req, res) => {
      seen.push({ state: req.headers['x-tenant-quota-state'], degrade: req.headers['x-tenant-degrade'] });
      res.end('application');
    });
    const lite = await httpBackend(t, (_req, res) => res.end('lite'));
    const files = {
      'plans.yaml': plan('free', {
        quotas: {
          api_calls: {
            limit: 10,
            thresholds: [
              { at: '50%', do: 'notify' },
              { at: '70%', do: 'shape', rate: '20/s' },
              { at: '100%', do: 'degrade' },
              { at: '120%', do: 'reject' },
            ],
          },
        },
      }),
      'routes.yaml':
        document('Route', 'all', { match: { path: '/*' }, degraded: { upstream: 'lite' } }) +
        document('Route', 'pay', { match: { path: '/pay' }, critical: true }),
    };
    const { ask, lines, quotas, sidecar } = await open(t, {
      files,
      upstream,
      engine: fastPath,
      settings: { upstreams: `lite=${lite}` },
    });
    const answers: (string | number)[] = [];
    for (let i = 0; i < 14; i++) {
      const { status, said } = await ask('acme');
      answers.push(status === 200 ? said : status);
    }
    t.same(answers, [...Array(10).fill('application'), 'lite', 'lite', 429, 429]);
    t.same(
      seen.map(({ state }) => state),
      [...Array(5).fill(undefined), ...Array(5).fill('soft')],
    );
    t.equal((await ask('acme', '/pay')).said, 'application', 'what is critical is counted and never refused');
    t.match((await quotas('acme'))['api_calls'], { used: 13, state: 'reject' });
    t.same(
      lines.filter(({ event }) => event === 'quota.crossed').map(({ at, do: does }) => `${at} ${does}`),
      ['50% notify', '70% shape', '100% degrade', '120% reject'],
    );
    const metrics = await (await fetch(`http://127.0.0.1:${sidecar.ports.status}/metrics`)).text();
    for (const action of ['notify', 'shape', 'degrade', 'reject'])
      t.match(metrics, `reeve_quota_crossings_total{action="${action}"} 1`);
    t.match(metrics, 'reeve_limit_decisions_total{plan="free",decision="refused_quota"} 2');
    t.match(metrics, 'reeve_quota_log_writing 1');
    t.equal((await ask('globex')).said, 'application');
  });

  t.test(
    `${engine}: what the application reports in its answers counts for that tenant, and no client sees it`,
    async (t) => {
      const upstream = await httpBackend(t, (req, res) => {
        const usage = req.headers['x-say'];
        if (usage !== undefined) res.setHeader('X-Reeve-Usage', usage);
        if (req.headers['x-twice'] !== undefined) res.setHeader('X-Reeve-Usage', ['llm_tokens=1', 'llm_tokens=2']);
        res.end('ok');
      });
      const files = {
        'plans.yaml': plan('free', {
          quotas: {
            llm_tokens: { per: 'day', limit: 1000, unit: 'tokens', mode: 'hard', estimate: 10 },
            storage_bytes: { gauge: true, limit: '10KiB' },
            bytes_in: { limit: '1MiB' },
            bytes_out: { limit: '1MiB' },
            compute_ms: { limit: 1000 },
          },
        }),
      };
      const { ask, lines, quotas, sidecar } = await open(t, { files, upstream, engine: fastPath });
      const say = async (name: string, usage: string): Promise<void> => {
        const { headers, status } = await ask(name, '/', { headers: { 'x-say': usage } });
        t.equal(status, 200);
        t.notOk(headers.has('x-reeve-usage'), 'it is not for clients');
      };
      await say('acme', 'llm_tokens=812, storage_bytes=+1024');
      await say('globex', 'llm_tokens=5,storage_bytes=77');
      await say('acme', 'storage_bytes=-24 , llm_tokens=-12');
      t.notOk((await ask('acme', '/', { headers: { 'x-twice': '1' } })).headers.has('x-reeve-usage'));
      t.match(await quotas('acme'), { llm_tokens: { used: 803, reserved: 0 }, storage_bytes: { used: 1000 } });
      t.match(await quotas('globex'), { llm_tokens: { used: 5 }, storage_bytes: { used: 77 } });
      for (const bad of ['llm_tokens', 'llm_tokens=1e3', 'x=1, , y=2', 'Tenant=acme', `a=${'1'.repeat(2000)}`])
        await say('acme', bad);
      await say('acme', 'unheard_of=5, api_calls=100');
      t.match(await quotas('acme'), { llm_tokens: { used: 803 } });
      t.equal(lines.filter(({ event }) => event === 'usage.malformed').length, 1, 'one line a minute');
      const metrics = await (await fetch(`http://127.0.0.1:${sidecar.ports.status}/metrics`)).text();
      t.match(metrics, 'reeve_usage_reports_total{result="malformed"} 5');
      t.match(metrics, 'reeve_usage_reports_total{result="unknown_meter"} 2');
      await ask('acme', '/', { method: 'POST', body: 'x'.repeat(500) });
      t.ok(await becomes(async () => (await quotas('acme'))['bytes_in']?.used === 500));
      t.equal((await quotas('acme'))['bytes_out']?.used, 10 * 2);
      t.ok(((await quotas('acme'))['compute_ms']?.used as number) > 0);
      await say('acme', 'llm_tokens=200');
      const refused = await ask('acme');
      t.equal(refused.status, 429);
      t.match(refused.headers.get('ratelimit-policy'), '"storage_bytes";q=10240;qu="storage_bytes"');
      t.match(JSON.parse(refused.said), { 'violated-policies': ['llm_tokens-day'], detail: /1000 tokens a day/ });
    },
  );

  t.test(`${engine}: POST /v1/usage counts for a tenant that exists, on loopback and as JSON`, async (t) => {
    const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
    const files = {
      'plans.yaml': plan('free', {
        quotas: { llm_tokens: { limit: 1000 }, seats: { gauge: true, limit: 5, mode: 'hard' } },
      }),
    };
    const { ask, post, quotas, sidecar } = await open(t, { files, upstream, engine: fastPath });
    t.same(await post({ tenant: 'acme', usage: { llm_tokens: 812, seats: '+2', other: 1 } }), {
      status: 200,
      json: { counted: ['llm_tokens', 'seats'], ignored: ['other'] },
    });
    t.same(await post({ tenant: 'acme', usage: { llm_tokens: -2, seats: 5 } }), {
      status: 200,
      json: { counted: ['llm_tokens', 'seats'], ignored: [] },
    });
    t.match(await quotas('acme'), { llm_tokens: { used: 810 }, seats: { used: 5, state: 'exhausted' } });
    t.match(await quotas('globex'), { llm_tokens: { used: 0 }, seats: { used: 0 } });
    const full = await ask('acme');
    t.equal(full.status, 429);
    t.notOk(full.headers.has('retry-after'), 'nobody knows when a level falls');
    await post({ tenant: 'acme', usage: { seats: 4 } });
    t.equal((await ask('acme')).status, 200);
    t.match(await post({ tenant: 'nobody', usage: { llm_tokens: 1 } }), {
      status: 404,
      json: { code: 'tenant-unknown' },
    });
    for (const bad of [
      'no json',
      '[]',
      '"x"',
      { tenant: 5, usage: { llm_tokens: 1 } },
      { tenant: 'acme' },
      { tenant: 'acme', usage: [1] },
      { tenant: 'acme', usage: {} },
      { tenant: 'acme', usage: { llm_tokens: 1 }, more: 1 },
      { tenant: 'acme', usage: { 'Llm-Tokens': 1 } },
      { tenant: 'acme', usage: { llm_tokens: 'many' } },
      { tenant: 'acme', usage: { llm_tokens: null } },
      { tenant: 'acme', usage: { llm_tokens: 2e15 } },
      { tenant: 'acme', usage: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`m${i}`, 1])) },
    ])
      t.match(await post(bad), { status: 400, json: { code: 'malformed-usage', detail: String } });
    t.match(await post('x'.repeat(20_000)), { status: 413, json: { code: 'body-too-large' } });
    t.match(await post({}, { headers: { 'content-type': 'text/plain' } }), { status: 415 });
    const at = `http://127.0.0.1:${sidecar.ports.application}`;
    t.equal((await fetch(`${at}/v1/usage`)).status, 405);
    t.equal((await fetch(`${at}/v1/usage`, { method: 'PUT', body: '{}' })).headers.get('allow'), 'GET, HEAD, POST');
    t.equal((await fetch(`${at}/v1/other`, { method: 'POST', body: '{}' })).status, 404);
    t.match(await (await fetch(`${at}/`)).text(), /POST \/v1\/usage/);
    t.match(await quotas('acme'), { llm_tokens: { used: 810 } });
  });

  t.test(`${engine}: counts survive a restart and a reload, and a tenant that was away`, async (t) => {
    const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
    const tenancy: TenancyDir = makeTenancy();
    const planOf = (limit: number): string => plan('free', { quotas: { api_calls: { limit, mode: 'hard' } } });
    const files = { 'plans.yaml': planOf(5), 'acme.yaml': tenant('acme'), 'tenants.yaml': tenant('globex') };
    const settings = { stateDir: tenancy.stateDir, 'tenancy.removeGrace': '0ms', 'tenancy.allowShrink': 'true' };
    t.teardown(() => tenancy.cleanUp());
    const first = await open(t, { files, upstream, engine: fastPath, settings });
    for (let i = 0; i < 3; i++) await first.ask('acme');
    await first.sidecar.close();
    const { ask, quotas, sidecar } = await open(t, { files, upstream, engine: fastPath, settings });
    const statuses = async (count: number): Promise<number[]> => {
      const all: number[] = [];
      for (let i = 0; i < count; i++) all.push((await ask('acme')).status);
      return all;
    };
    t.same(await statuses(3), [200, 200, 429], 'three before the restart, two after it');
    sidecar.tenancyDir.write('plans.yaml', planOf(6));
    t.ok(await becomes(async () => (await statuses(1))[0] === 200), 'a limit that rises keeps what was used');
    t.same(await statuses(1), [429]);
    sidecar.tenancyDir.remove('acme.yaml');
    t.ok(await becomes(async () => (await statuses(1))[0] === 403), 'it is gone');
    sidecar.tenancyDir.write('initech.yaml', tenant('initech'));
    t.ok(await becomes(async () => (await ask('initech')).status === 200), 'whoever gets its slot');
    t.equal((await quotas('initech'))['api_calls']?.used, 1, 'gets none of its counts');
    sidecar.tenancyDir.write('acme.yaml', tenant('acme'));
    t.ok(await becomes(async () => (await statuses(1))[0] === 429), 'back, and it finds what it had used');
    t.equal((await quotas('acme'))['api_calls']?.used, 6);
    await sleep(1200);
    t.match(readFileSync(join(tenancy.stateDir, 'quotas.log'), 'utf8'), /"c","acme","api_calls"/);
  });
}
