/** Identity as a request meets it, in a real sidecar: what the application is told is what counts. */
import { createServer } from 'node:http';
import t from 'tap';
import type { Log } from '../../src/telemetry/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { type Ending, httpBackend, listening, type SidecarForTest, sidecarForTest } from '../helpers/sidecar.ts';
import { makeTenancy, provider, tenant } from '../helpers/tenancy.ts';
import { apiKeyFor, keySet, tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';

interface Told {
  readonly status: number;
  readonly tenant: string | undefined;
  readonly code: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly seen: readonly string[];
}

async function start(
  t: Ending,
  o: { files?: Record<string, string>; settings?: Record<string, string>; log?: Log } = {},
): Promise<{ sidecar: SidecarForTest; ask(fields?: string, target?: string, method?: string): Promise<Told> }> {
  const upstream = await httpBackend(t, (req, res) => {
    res.setHeader('X-Tenant-Secret', 'inside');
    res.setHeader('X-Reeve-Usage', 'tokens=1');
    res.end(JSON.stringify(req.rawHeaders));
  });
  const sidecar = await sidecarForTest(t, upstream, {
    tenancy: makeTenancy(o.files),
    settings: { 'anonymous.limit': '100000/s', 'anonymous.burst': '100000', ...o.settings },
    log: o.log ?? silentLog,
  });
  return {
    sidecar,
    async ask(fields = '', target = '/', method = 'GET') {
      const host = /(^|\n)host:/i.test(fields) ? '' : `Host: any${NL}`;
      const { responses } = await exchangeRaw(
        sidecar.port,
        `${method} ${target} HTTP/1.1${NL}${host}${fields === '' ? '' : fields + NL}${NL}`,
        { responses: 1, waitMs: 6000 },
      );
      const answer = responses[0] as (typeof responses)[number];
      const seen = answer.status === 200 ? (JSON.parse(answer.body) as string[]) : [];
      const at = seen.indexOf('x-tenant-id');
      return {
        status: answer.status,
        tenant: at === -1 ? undefined : seen[at + 1],
        code: answer.status === 200 ? undefined : (JSON.parse(answer.body) as { code: string }).code,
        headers: answer.headers,
        seen,
      };
    },
  };
}

const bearer = (org: string, more: object = {}, header: object = {}): string =>
  `Authorization: Bearer ${tokenFor(org, more, header)}`;

t.test('a token names its tenant to the application, and nothing of tenants leaves to the client', async (t) => {
  const { ask } = await start(t);
  const told = await ask(bearer('org_acme'));
  t.match(told, { status: 200, tenant: 'acme' });
  t.equal(told.headers['x-tenant-secret'], undefined);
  t.equal(told.headers['x-reeve-usage'], undefined);
  t.equal((await ask(bearer('acme'))).tenant, 'acme', 'its own name always means it');
  t.match(await ask(), { status: 401, code: 'credential-missing' });
  t.equal((await ask()).headers['www-authenticate'], 'Bearer');
  t.match(await ask('Authorization: Basic abc'), { code: 'credential-missing' });
  t.match(await ask(bearer('org_nobody')), { status: 403, code: 'tenant-unknown' });
  t.match(await ask(bearer('org_acme', { exp: 5 })), { status: 401, code: 'credential-expired' });
  t.match(await ask(bearer('org_acme', { iss: 'other' })), { code: 'credential-invalid' });
  t.match(await ask(bearer('org_acme', { iss: 'other' })), { code: 'credential-invalid' });
});

t.test('claims may be nested, numbers, or named with dots; types may be fixed', async (t) => {
  const files = {
    'providers.yaml': provider('main', { tenantClaim: 'app.org', tokenType: 'AT+JWT' }),
    'tenants.yaml': tenant('acme', { identity: { claims: ['4711', 'o'] } }),
  };
  const { ask } = await start(t, { files });
  const at = { typ: 'application/at+jwt' };
  t.equal((await ask(bearer('x', { app: { org: 4711 } }, at))).tenant, 'acme');
  t.equal((await ask(bearer('x', { 'app.org': 'o' }, at))).tenant, 'acme');
  t.match(await ask(bearer('x', { app: 5 }, at)), { code: 'tenant-unknown' });
  t.match(await ask(bearer('x', { app: { org: 'o' } })), { code: 'credential-invalid' });
});

t.test('API keys: by header or as bearer, expired, wrong, doubled, without a pepper', async (t) => {
  const { key, hash } = apiKeyFor('k1');
  const old = apiKeyFor('k2');
  const files = {
    'tenants.yaml': tenant('acme', {
      identity: {
        apiKeys: [
          { id: 'k1', hash },
          { id: 'k2', hash: old.hash, expires: '2020-01-01' },
        ],
      },
    }),
  };
  const { ask } = await start(t, { files });
  t.equal((await ask(`X-Api-Key: ${key}`)).tenant, 'acme');
  t.equal((await ask(`Authorization: Bearer ${key}`)).tenant, 'acme');
  t.equal((await ask(`Authorization: Bearer ${key}${NL}X-Api-Key: ${key}`)).tenant, 'acme');
  t.match(await ask(`X-Api-Key: ${old.key}`), { code: 'credential-expired' });
  for (const bad of [
    `X-Api-Key: ${key}x`,
    'X-Api-Key: rk_k1',
    'X-Api-Key: rk_none_x',
    'X-Api-Key: abc',
    `X-Api-Key: ${key}${NL}X-Api-Key: ${key}`,
    `X-Api-Key: ${key}${NL}Authorization: Bearer ${old.key}`,
    `X-Api-Key: rk_k1_${'x'.repeat(300)}`,
  ])
    t.match(await ask(bad), { status: 401, code: 'credential-invalid' }, bad.slice(0, 40));
  t.match(await ask(`X-Api-Key: ${key}${NL}${bearer('org_nobody')}`), { status: 403 });
  const inside = await start(t, { files, settings: { 'identity.injectCredentials': 'false' } });
  const told = await inside.ask(`X-Api-Key: ${key}`);
  t.notOk(told.seen.includes(key), 'the application does not see the key');
});

t.test('host, path and header are hints that must agree, and proof only where the network is trusted', async (t) => {
  const files = {
    'tenants.yaml':
      tenant('acme', { identity: { claims: ['org_acme'], hosts: ['acme.test'] } }) +
      tenant('globex', { identity: { hosts: ['globex.test'] } }),
  };
  const sources = { 'identity.sources': 'jwt,host,path,header' };
  const { ask } = await start(t, { files, settings: sources });
  t.match(await ask('Host: acme.test'), { code: 'credential-missing' });
  t.equal((await ask(`Host: ACME.test.:80${NL}${bearer('org_acme')}`)).tenant, 'acme');
  for (const other of [
    `Host: globex.test${NL}${bearer('org_acme')}`,
    `X-Org: globex${NL}${bearer('org_acme')}`,
    `X-Org: acme${NL}X-Org: acme${NL}${bearer('org_acme')}`,
  ])
    t.match(await ask(other), { status: 403, code: 'tenant-mismatch' });
  t.match(await ask(bearer('org_acme'), '/t/globex/x'), { code: 'tenant-mismatch' });
  const trusting = await start(t, { files, settings: { ...sources, 'inbound.trust': 'network' } });
  t.equal((await trusting.ask('Host: acme.test')).tenant, 'acme');
  t.equal((await trusting.ask('', '/t/globex/x?y')).tenant, 'globex');
  t.equal((await trusting.ask('', '/t/globex')).tenant, 'globex');
  t.equal((await trusting.ask('X-Org: acme')).tenant, 'acme');
  t.match(await trusting.ask('X-Org: nobody'), { code: 'tenant-unknown' });
  t.match(await trusting.ask('', '/t/'), { code: 'credential-missing' });
  const rooted = await start(t, {
    files,
    settings: { 'identity.sources': 'path', 'identity.pathPrefix': '/', 'inbound.trust': 'network' },
  });
  t.equal((await rooted.ask('', '/acme/x')).tenant, 'acme');
  t.match(await rooted.ask('', '/other/x'), { code: 'credential-missing' });
});

t.test('the state of a tenant decides, at once, also for a token that is cached', async (t) => {
  const { sidecar, ask } = await start(t);
  t.equal((await ask(bearer('org_acme'))).status, 200);
  for (const state of ['pending', 'suspended', 'offboarding']) {
    sidecar.tenancyDir.write('tenants.yaml', tenant('acme', { state }) + tenant('globex'));
    await sidecar.tenancy.refresh();
    t.match(await ask(bearer('org_acme')), { status: 403, code: `tenant-${state}` });
  }
  sidecar.tenancyDir.write('tenants.yaml', tenant('acme', { state: 'readonly' }) + tenant('globex'));
  await sidecar.tenancy.refresh();
  t.equal((await ask(bearer('org_acme'))).status, 200);
  t.match(await ask(bearer('org_acme'), '/', 'DELETE'), { code: 'tenant-readonly' });
});

t.test(
  'strict listeners refuse what others remove; certificates are believed from trusted proxies alone',
  async (t) => {
    const strict = await start(t, { settings: { 'inbound.strict': 'true' } });
    t.match(await strict.ask(`${bearer('org_acme')}${NL}X_Tenant.Id: globex`), {
      status: 400,
      code: 'protected-header',
    });
    const forwarded = `X-Forwarded-Client-Cert: a${NL}X-Forwarded-For: 9.9.9.9`;
    t.notOk(
      (await (await start(t)).ask(`${bearer('org_acme')}${NL}${forwarded}`)).seen.includes('X-Forwarded-Client-Cert'),
    );
    for (const ranges of ['127.0.0.0/8,::1', '127.0.0.1', '::ffff:127.0.0.1,127.0.0.1/32']) {
      const trusting = await start(t, { settings: { 'inbound.trustedProxies': ranges } });
      const { seen } = await trusting.ask(`${bearer('org_acme')}${NL}${forwarded}`);
      t.ok(seen.includes('X-Forwarded-Client-Cert'), ranges);
      t.ok(seen.includes('9.9.9.9, 127.0.0.1'));
    }
  },
);

t.test('unidentified traffic has a bound of its own, and a verified tenant never pays for it', async (t) => {
  const { ask } = await start(t, { settings: { 'anonymous.limit': '1/min', 'anonymous.burst': '3' } });
  const codes: (string | undefined)[] = [];
  for (let i = 0; i < 5; i++) codes.push((await ask()).code);
  t.same(codes, ['credential-missing', 'credential-missing', 'credential-missing', 'anonymous-rate', 'anonymous-rate']);
  t.equal((await ask()).headers['retry-after'] === undefined, false);
  t.equal((await ask(`${bearer('org_acme')}${NL}X-Tenant-Id: x`)).status, 200);
});

t.test('keys from a URL: fetched once, again for an unknown key, kept when the server is away', async (t) => {
  let served: { status: number; body: string; location?: string } = { status: 200, body: keySet() };
  let fetches = 0;
  const server = createServer((_req, res) => {
    fetches++;
    res.writeHead(served.status, served.location === undefined ? {} : { location: served.location }).end(served.body);
  });
  const url = `http://127.0.0.1:${await listening(t, server)}/jwks`;
  const byUrl = (more: object = {}): Record<string, string> => ({
    'providers.yaml': provider('main', { jwks: { url, allowPrivate: true }, ...more }),
  });
  const { ask, sidecar } = await start(t, { files: byUrl() });
  t.equal((await ask(bearer('org_acme'))).status, 200);
  t.match(await ask(bearer('org_acme', {}, { kid: 'other' })), { code: 'credential-invalid' });
  t.ok(fetches <= 2, `${fetches} fetches`);
  sidecar.tenancyDir.write('providers.yaml', provider('main', { jwks: { url, allowPrivate: true }, clockSkew: '6s' }));
  served = { status: 500, body: '' };
  await sidecar.tenancy.refresh();
  t.equal((await ask(bearer('org_globex'))).status, 200, 'keys of the same URL are kept');
  for (const broken of [
    { status: 500, body: '' },
    { status: 302, body: '', location: url },
    { status: 200, body: 'x'.repeat(300_000) },
    { status: 200, body: 'no json' },
  ]) {
    served = broken;
    const without = await start(t, { files: byUrl() });
    t.match(await without.ask(bearer('org_acme')), { status: 503, code: 'identity-unavailable' });
  }
  for (const refused of [{ url }, { url: 'http://id.test/jwks' }, { url: url.replace('127.0.0.1', 'localhost') }]) {
    const without = await start(t, { files: { 'providers.yaml': provider('main', { jwks: refused }) } });
    t.match(await without.ask(bearer('org_acme')), { code: 'identity-unavailable' }, JSON.stringify(refused));
  }
});

t.test('weak, foreign and broken keys are left out', async (t) => {
  const lines: string[] = [];
  const log = {
    ...silentLog,
    warn: (event: string, fields = {}) => void lines.push(`${event} ${JSON.stringify(fields)}`),
  };
  const [good] = (JSON.parse(keySet()) as { keys: object[] }).keys;
  const keys = [
    good,
    null,
    { kty: 'oct', k: 'AAAA' },
    { ...good, use: 'enc' },
    { ...good, alg: 'RS512' },
    { kty: 'RSA', n: 'AQAB', e: 'AQAB' },
    { kty: 'RSA', n: Buffer.alloc(256, 0x80).toString('base64url'), e: '' },
    { kty: 'EC', crv: 'P-256', x: 'a', y: 'b' },
  ];
  const { ask } = await start(t, {
    files: {
      'keys.json': JSON.stringify({ keys }),
      'providers.yaml': provider('main', { algorithms: ['RS256', 'ES256', 'EdDSA'] }),
    },
    log,
  });
  t.equal((await ask(bearer('org_acme'))).status, 200);
  t.ok(lines.filter((line) => line.startsWith('identity.key_ignored')).length >= 5);
});
