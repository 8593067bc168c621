/** A request explained is a request decided: what the explanation says is what the same request then gets. */
import t from 'tap';
import { startSidecar } from '../../src/cli/sidecar.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { configFor, httpBackend, settings, sidecarForTest } from '../helpers/sidecar.ts';
import { document, makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { apiKeyFor, tokenFor } from '../helpers/tokens.ts';

const route = (name: string, spec: object): string => document('Route', name, spec);

const plans =
  plan('free') +
  plan('ladder', {
    rate: { requests: { limit: '1/min', burst: 1 } },
    degrade: [{ route: 'degraded' }, { features: ['no-extras'] }, 'reject'],
  }) +
  plan('tight', { rate: { requests: { limit: '1/min', burst: 1 } }, degrade: ['reject'] }) +
  plan('banked', {
    rate: { requests: { limit: '2/s', burst: 1, credits: { earn: '100%', cap: '60s' } } },
    degrade: ['credit', 'reject'],
  }) +
  plan('used', { quotas: { requests: { per: 'day', limit: 4, thresholds: [{ at: '50%', do: 'degrade' }] } } }) +
  plan('narrow', { concurrency: 1 }) +
  plan('shadowed', { shadow: true, rate: { requests: { limit: '1/min', burst: 1 } }, degrade: ['reject'] });

const tenants =
  ['ladder', 'tight', 'banked', 'used', 'narrow', 'shadowed'].map((name) => tenant(name, { plan: name })).join('') +
  ['pending', 'readonly', 'suspended', 'offboarding'].map((state) => tenant(state, { state })).join('') +
  tenant('acme', {
    identity: {
      claims: ['org_acme'],
      hosts: ['acme.test'],
      apiKeys: [
        { id: 'k1', hash: apiKeyFor('k1').hash, expires: '2030-01-01' },
        { id: 'k2', hash: apiKeyFor('k2').hash },
      ],
    },
  });

const routes =
  route('known', { match: { path: '/known' }, degraded: { upstream: 'lite' } }) +
  route('lost', { match: { path: '/lost' }, degraded: { upstream: 'nowhere' } });

interface Answer {
  readonly upstream: string | null;
  readonly route: string | null;
  readonly identify: { readonly passes: boolean; readonly sources: readonly object[] };
  readonly limits: { readonly requests?: { readonly credit: number } };
  readonly wouldGet: { readonly decision: string; readonly status: number | null; readonly code: string | null };
}

t.test('what the explanation says is what the request gets', async (t) => {
  const upstream = await httpBackend(t, (req, res) =>
    req.url === '/hang' ? undefined : res.end(`full ${req.headers['x-tenant-degrade'] ?? ''}`),
  );
  const lite = await httpBackend(t, (_req, res) => res.end('lite'));
  const sidecar = await sidecarForTest(t, upstream, {
    tenancy: makeTenancy({ 'plans.yaml': plans, 'tenants.yaml': tenants, 'routes.yaml': routes }),
    settings: { upstreams: `lite=${lite}` },
  });
  const explain = async (name: string, method = 'GET', path = '/'): Promise<Answer> => {
    const query = new URLSearchParams({ tenant: name, method, path });
    const head = `GET /v1/explain?${query} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const { responses } = await exchangeRaw(sidecar.ports.admin, head, { responses: 1, waitMs: 2000 });
    return JSON.parse(responses[0]?.body ?? '') as Answer;
  };
  const send = async (name: string, method = 'GET', path = '/') => {
    const fields = `Host: a\r\nContent-Length: 0\r\nAuthorization: Bearer ${tokenFor(`org_${name}`)}\r\n`;
    const { responses } = await exchangeRaw(sidecar.port, `${method} ${path} HTTP/1.1\r\n${fields}\r\n`, {
      responses: 1,
      waitMs: path === '/hang' ? 100 : 2000,
    });
    return responses[0];
  };
  /** Explains, sends, and holds the two against each other. */
  const same = async (
    [name, method, path]: [string, string?, string?],
    decision: string,
    got: { status: number; code?: string; body?: string },
  ): Promise<void> => {
    const { wouldGet } = await explain(name, method, path);
    const answer = await send(name, method, path);
    t.equal(wouldGet.decision, decision, `${name} ${method} ${path}: ${JSON.stringify(wouldGet)}`);
    t.equal(answer?.status, got.status);
    t.equal(wouldGet.status ?? 200, got.status);
    t.equal(wouldGet.code, got.code ?? null);
    if (got.code !== undefined) t.match(JSON.parse(answer?.body ?? ''), { code: got.code });
    else t.equal(answer?.body, got.body);
  };

  await same(['acme'], 'pass', { status: 200, body: 'full ' });
  await same(['acme', 'TRACE'], 'refused', { status: 501, code: 'method-not-supported' });
  for (const method of ['get', 'G T', 'TRACK', ''])
    await same(['acme', method], 'refused', { status: 400, code: 'malformed-request' });
  for (const state of ['pending', 'suspended', 'offboarding'])
    await same([state], 'refused', { status: 403, code: `tenant-${state}` });
  await same(['readonly', 'GET'], 'pass', { status: 200, body: 'full ' });
  await same(['readonly', 'POST'], 'refused', { status: 403, code: 'tenant-readonly' });

  // One token: the first request takes it.
  for (const name of ['ladder', 'tight', 'shadowed']) await send(name);
  await same(['tight'], 'refused', { status: 429, code: 'quota-exceeded' });
  await same(['shadowed'], 'pass', { status: 200, body: 'full ' });
  t.match((await explain('ladder', 'GET', '/known')).upstream, 'lite');
  await same(['ladder', 'GET', '/lost?q=1'], 'refused', { status: 502, code: 'upstream-unknown' });
  t.equal((await explain('tight')).upstream, null, 'what is refused goes nowhere');

  const hanging = send('narrow', 'GET', '/hang');
  while ((await explain('narrow')).wouldGet.decision === 'pass') await new Promise(setImmediate);
  await same(['narrow'], 'refused', { status: 429, code: 'concurrency-exceeded' });
  await hanging;
});

t.test('degraded service and credit are explained with their rung', async (t) => {
  const upstream = await httpBackend(t, (req, res) => res.end(`full ${req.headers['x-tenant-degrade'] ?? ''}`));
  const lite = await httpBackend(t, (_req, res) => res.end('lite'));
  const sidecar = await sidecarForTest(t, upstream, {
    tenancy: makeTenancy({ 'plans.yaml': plans, 'tenants.yaml': tenants, 'routes.yaml': routes }),
    settings: { upstreams: `lite=${lite}`, 'identity.sources': 'jwt,apiKey,host,path,header' },
  });
  const text = async (port: number, target: string, fields: string): Promise<string> =>
    (await exchangeRaw(port, `GET ${target} HTTP/1.1\r\n${fields}\r\n`, { responses: 1, waitMs: 2000 })).responses[0]
      ?.body ?? '';
  const explain = async (query: string): Promise<Answer> =>
    JSON.parse(await text(sidecar.ports.admin, `/v1/explain?${query}`, 'Host: localhost\r\n')) as Answer;
  const send = (name: string, path: string): Promise<string> =>
    text(sidecar.port, path, `Host: a\r\nAuthorization: Bearer ${tokenFor(`org_${name}`)}\r\n`);
  await send('ladder', '/');
  t.match(await explain('tenant=ladder&path=/known'), {
    route: 'known',
    upstream: 'lite',
    wouldGet: { decision: 'degrade', code: null, rung: 'route: degraded' },
  });
  t.match(await explain('tenant=ladder&path=/'), {
    route: null,
    upstream: 'application',
    wouldGet: { decision: 'degrade', rung: 'features: no-extras' },
  });
  t.equal(await send('ladder', '/known'), 'lite');
  for (let i = 0; i < 2; i++) t.equal(await send('used', '/known'), 'full ');
  t.match(await explain('tenant=used&path=/known'), {
    upstream: 'lite',
    wouldGet: { decision: 'degrade', because: /quota/, rung: 'route: degraded' },
  });
  t.equal(await send('used', '/known'), 'lite');
  t.match(await explain('tenant=used&path=/'), { upstream: 'application', wouldGet: { decision: 'degrade' } });
  t.equal(await send('used', '/'), 'full 2');
  while (((await explain('tenant=banked')).limits.requests?.credit ?? 0) < 1.5) await new Promise(setImmediate);
  await send('banked', '/');
  t.match(await explain('tenant=banked'), { wouldGet: { decision: 'credit', rung: 'credit', waitMs: 0 } });
  const { identify } = await explain('tenant=acme');
  t.same(identify.sources, [
    { name: 'jwt', isProof: true, accepts: ['a token of https://id.test with org_id acme or org_acme'] },
    {
      name: 'apiKey',
      isProof: true,
      accepts: ['x-api-key: rk_k1_*, until 2030-01-01T00:00:00.000Z', 'x-api-key: rk_k2_*'],
    },
    { name: 'host', isProof: false, accepts: ['Host: acme.test'] },
    { name: 'path', isProof: false, accepts: ['/t/acme/*', '/t/org_acme/*'] },
    { name: 'header', isProof: false, accepts: ['x-org: acme', 'x-org: org_acme'] },
  ]);
});

t.test('without a pepper no API key decides; on a trusted network the host does', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const tenancy = makeTenancy({ 'plans.yaml': plans, 'tenants.yaml': tenants });
  t.teardown(() => tenancy.cleanUp());
  const given = settings(upstream, tenancy, { 'identity.sources': 'apiKey,host', 'inbound.trust': 'network' });
  const { 'identity.pepperFile': _, ...withoutPepper } = given;
  await using sidecar = await startSidecar(configFor(withoutPepper), { log: silentLog });
  const { responses } = await exchangeRaw(
    sidecar.ports.admin,
    'GET /v1/explain?tenant=acme HTTP/1.1\r\nHost: localhost\r\n\r\n',
    { responses: 1, waitMs: 2000 },
  );
  t.match((JSON.parse(responses[0]?.body ?? '') as Answer).identify.sources, [
    { name: 'apiKey', isProof: true, accepts: [], refuses: /no pepper .*\(set identity\.pepperFile\)/ },
    { name: 'host', isProof: true, accepts: ['Host: acme.test'] },
  ]);
});
