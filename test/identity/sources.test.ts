/** What each source yields, and what becomes of it where they meet: through the real stages, under a clock of the test. */
import { createHmac, generateKeyPairSync } from 'node:crypto';
import t from 'tap';
import { provider, tenant } from '../helpers/tenancy.ts';
import { apiKeyFor, base64url, ISSUER, keySet, tokenFor } from '../helpers/tokens.ts';
import { identityWorld } from './world.ts';

const bearer = (org: string, more: object = {}, header: object = {}): string[] => [
  'Authorization',
  `Bearer ${tokenFor(org, more, header)}`,
];
const all = { 'identity.sources': 'jwt,apiKey,host,path,header' };
const trusting = { ...all, 'inbound.trust': 'network' };

t.test('a token that is found again costs no signature, and is judged by its tenant now', async (t) => {
  const w = await identityWorld();
  const fields = bearer('org_acme');
  for (let i = 0; i < 4; i++) t.equal(await w.who(fields), 'acme');
  t.equal(await w.count('reeve_identity_tokens_total{result="miss"}'), 1);
  t.equal(await w.count('reeve_identity_tokens_total{result="hit"}'), 3);
  await w.load({ 'tenants.yaml': tenant('acme', { state: 'suspended' }) });
  t.equal(await w.who(fields), 'tenant-suspended');
  t.equal(await w.count('reeve_identity_tokens_total{result="hit"}'), 4);
});

t.test('a refusal is remembered for a second', async (t) => {
  const w = await identityWorld();
  const fields = bearer('org_acme', { aud: 'other' });
  for (let i = 0; i < 3; i++) t.equal(await w.who(fields), 'credential-invalid');
  t.equal(await w.count('reeve_identity_tokens_total{result="refused_hit"}'), 2);
  w.clock.advance(1000);
  t.equal(await w.who(fields), 'credential-invalid');
  t.equal(await w.count('reeve_identity_tokens_total{result="miss"}'), 2);
});

t.test('a token longer than any is refused, and held nowhere', async (t) => {
  const w = await identityWorld();
  const fields = bearer('org_acme', { x: 'y'.repeat(9000) });
  for (let i = 0; i < 3; i++) t.equal(await w.who(fields), 'credential-invalid');
  t.equal(await w.count('reeve_identity_tokens_total{result="refused_hit"}'), 0);
});

t.test('times: from exp on expired, from the future refused, skew tolerated both ways', async (t) => {
  const w = await identityWorld();
  const now = Math.floor(w.clock.wallMs() / 1000);
  for (const [claims, who] of [
    [{ exp: now - 4 }, 'acme'],
    [{ exp: now - 6 }, 'credential-expired'],
    [{ iat: now + 4 }, 'acme'],
    [{ iat: now + 7 }, 'credential-invalid'],
    [{ nbf: now + 4 }, 'acme'],
    [{ nbf: now + 7 }, 'credential-invalid'],
    [{ iat: undefined }, 'acme'],
    [{ exp: undefined }, 'credential-invalid'],
  ] as const)
    t.equal(await w.who(bearer('org_acme', claims)), who, JSON.stringify(claims));
  const fields = bearer('org_acme', { exp: now + 20 });
  t.equal(await w.who(fields), 'acme');
  w.clock.advance(19_000);
  t.equal(await w.who(fields), 'acme');
  w.clock.advance(7000);
  t.equal(await w.who(fields), 'credential-expired', 'a cached token ends when it says');
});

t.test(
  'an issuer may have two providers, one for each kind of algorithm: the answer that helps is given',
  async (t) => {
    const secret = Buffer.alloc(32, 7);
    const sign = (claims: object, header: object = {}): string => {
      const text = `${base64url({ alg: 'HS256', ...header })}.${base64url({ iss: ISSUER, aud: 'api', org_id: 'org_acme', ...claims })}`;
      return `Bearer ${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
    };
    const secrets = JSON.stringify({ keys: [{ kty: 'oct', k: secret.toString('base64url') }] });
    for (const [first, second] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      const w = await identityWorld({
        'secrets.json': secrets,
        'providers.yaml': provider(first) + provider(second, { algorithms: ['HS256'], jwks: { file: 'secrets.json' } }),
      });
      const exp = Math.floor(w.clock.wallMs() / 1000) + 600;
      t.equal(await w.who(bearer('org_acme')), 'acme');
      t.equal(await w.who(['Authorization', sign({ exp })]), 'acme');
      t.equal(await w.who(['Authorization', sign({ exp: 5 })]), 'credential-expired', `${first} first`);
      t.equal(await w.who(bearer('org_acme', { exp: 5 })), 'credential-expired', `${first} first`);
      t.equal(await w.who(['Authorization', `${sign({ exp })}A`]), 'credential-invalid');
      const away = await identityWorld({
        'secrets.json': secrets,
        'providers.yaml':
          provider(first, { jwks: { url: 'http://127.0.0.1:1/', allowPrivate: true } }) +
          provider(second, { algorithms: ['HS256'], jwks: { file: 'secrets.json' } }),
      });
      t.equal(await away.who(bearer('org_acme')), 'identity-unavailable', `${first} first`);
    }
  },
);

t.test('the type of a token may be fixed, with or without its prefix', async (t) => {
  for (const tokenType of ['at+jwt', 'AT+JWT', 'application/at+jwt']) {
    const w = await identityWorld({ 'providers.yaml': provider('main', { tokenType }) });
    t.equal(await w.who(bearer('org_acme', {}, { typ: 'at+jwt' })), 'acme', tokenType);
    t.equal(await w.who(bearer('org_globex', {}, { typ: 'application/AT+jwt' })), 'globex', tokenType);
    t.equal(await w.who(bearer('org_acme')), 'credential-invalid');
    t.equal(await w.who(bearer('org_acme', {}, { typ: undefined })), 'credential-invalid');
  }
});

t.test('an algorithm without a key, an issuer without a provider', async (t) => {
  const w = await identityWorld({ 'providers.yaml': provider('main', { algorithms: ['RS256', 'ES256'] }) });
  t.equal(await w.who(bearer('org_acme', {}, { alg: 'ES256' })), 'credential-invalid');
  t.equal(await w.who(bearer('org_acme', { iss: 'https://other.test' })), 'credential-invalid');
  t.equal(await w.who(bearer('org_acme')), 'acme');
});

t.test(
  'a key is found by its name, however many stand before it; a token without a name may be of any of the first',
  async (t) => {
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' });
    const [good] = (JSON.parse(keySet()) as { keys: object[] }).keys;
    const nameless = { ...good, kid: undefined };
    const withKeys = (keys: object[]) => identityWorld({ 'keys.json': JSON.stringify({ keys }) });
    const crowd = Array.from({ length: 6 }, () => stranger);
    t.equal(await (await withKeys([...crowd, good as object])).who(bearer('org_acme')), 'acme');
    t.equal(await (await withKeys([stranger, nameless])).who(bearer('org_acme')), 'acme');
    const short = await withKeys([stranger, good as object]);
    t.equal(await short.who(bearer('org_acme', {}, { kid: undefined })), 'acme');
    t.equal(await short.who(bearer('org_acme', {}, { kid: 'k2' })), 'credential-invalid');
    const long = await withKeys([...crowd, nameless]);
    t.equal(await long.who(bearer('org_acme')), 'credential-invalid', 'a token costs four signatures at most');
  },
);

t.test('what is no token at all', async (t) => {
  const w = await identityWorld();
  for (const text of ['x', 'a.b.c', tokenFor('org_acme').slice(1), `${tokenFor('org_acme')}=`])
    t.equal(await w.who(['Authorization', `Bearer ${text}`]), 'credential-invalid', text.slice(0, 20));
});

t.test('one Authorization field, of one scheme, or none', async (t) => {
  const w = await identityWorld();
  const token = tokenFor('org_acme');
  t.equal(await w.who(['authorization', `bEaReR   ${token}`]), 'acme');
  for (const value of [
    '',
    'Bearer',
    'Bearer ',
    `Basic ${token}`,
    `Bearer${token}`,
    `Bearer\0${token}`,
    `Bearer\t${token}`,
    token,
  ])
    t.equal(await w.who(['Authorization', value]), 'credential-missing', value.slice(0, 20));
  t.equal(await w.who([...bearer('org_acme'), ...bearer('org_acme')]), 'credential-invalid');
});

t.test('two live keys a tenant, each until its day', async (t) => {
  const [one, two, other] = [apiKeyFor('one'), apiKeyFor('two'), apiKeyFor('other')];
  const expires = new Date(Date.now() + 3_600_000).toISOString();
  const files = {
    'tenants.yaml':
      tenant('acme', {
        identity: {
          apiKeys: [
            { id: 'one', hash: one.hash },
            { id: 'two', hash: two.hash, expires },
          ],
        },
      }) + tenant('globex', { identity: { apiKeys: [{ id: 'other', hash: other.hash }] } }),
  };
  const w = await identityWorld(files, { 'identity.sources': 'apiKey' });
  t.equal(await w.who(['X-Api-Key', one.key]), 'acme');
  t.equal(await w.who(['X-Api-Key', two.key]), 'acme');
  t.equal(await w.who(['X-Api-Key', one.key, 'Authorization', `Bearer ${two.key}`]), 'credential-invalid');
  t.equal(
    await w.who(['X-Api-Key', one.key, 'Authorization', 'Basic x']),
    'acme',
    'another scheme is the application’s',
  );
  for (const [name, fields] of [
    ['the id of one with the secret of another', ['X-Api-Key', other.key.replace('rk_other', 'rk_one')]],
    ['two Authorization fields', ['X-Api-Key', one.key, 'Authorization', 'x', 'Authorization', 'y']],
    ['no secret', ['X-Api-Key', 'rk_one']],
    ['an empty secret', ['X-Api-Key', 'rk_one_']],
    ['the hash itself', ['X-Api-Key', `rk_one_${one.hash}`]],
    ['a space', ['X-Api-Key', `${one.key} `]],
    ['another case', ['X-Api-Key', one.key.toUpperCase()]],
    ['empty', ['X-Api-Key', '']],
    ['a name of every object', ['X-Api-Key', 'rk___proto___x']],
  ] as const)
    t.equal(await w.who(fields), 'credential-invalid', name);
  w.clock.advance(Date.parse(expires) - 1 - w.clock.wallMs());
  t.equal(await w.who(['X-Api-Key', two.key]), 'acme');
  w.clock.advance(1);
  t.equal(await w.who(['X-Api-Key', two.key]), 'credential-expired');
  t.equal(await w.who(['X-Api-Key', one.key]), 'acme');
  const without = await identityWorld(files, { 'identity.sources': 'apiKey' }, null);
  t.equal(await without.who(['X-Api-Key', one.key]), 'credential-invalid', 'no pepper, no key');
});

t.test('hints must agree, and tell a stranger and a tenant nothing of who exists', async (t) => {
  const w = await identityWorld({}, all);
  for (const path of ['/t/globex/x', '/t/nobody/x', '/'])
    for (const org of ['globex', 'nobody']) t.equal(await w.who(['X-Org', org], { path }), 'credential-missing', path);
  t.equal(await w.who(bearer('org_acme'), { path: '/t/acme/x' }), 'acme');
  for (const path of ['/t/globex/x', '/t/nobody/x', '/t/nobody'])
    t.equal(await w.who(bearer('org_acme'), { path }), 'tenant-mismatch', path);
  for (const org of ['globex', 'nobody', ''])
    t.equal(await w.who([...bearer('org_acme'), 'X-Org', org]), 'tenant-mismatch', org);
  t.equal(await w.who(bearer('org_acme'), { host: 'globex.test' }), 'tenant-mismatch');
  t.equal(await w.who(bearer('org_acme'), { host: 'unknown.test' }), 'acme', 'a host of nobody is no hint');
  t.equal(await w.who(bearer('org_acme'), { path: '/t/' }), 'acme', 'an empty segment is none');
});

t.test('a path that another server would resolve to another names nobody', async (t) => {
  const acme = bearer('org_acme');
  const w = await identityWorld({}, all);
  const proof = await identityWorld({}, trusting);
  for (const path of [
    '/t/acme/../globex/x',
    '/t/acme/%2e%2E/globex/x',
    '/t/acme/.%2e/globex',
    '/t/acme/..%2fglobex',
    '/t/acme/..%5Cglobex',
    '/t/acme\\..\\globex',
    '/t/acme/..;x=1/globex',
    '/x/../t/globex',
    '/./t/globex',
    '/t/acme/..',
  ]) {
    t.equal(await w.who(acme, { path }), 'tenant-mismatch', path);
    t.equal(await proof.who([], { path }), 'tenant-mismatch', path);
  }
  for (const path of ['/t/acme/.well-known/x', '/t/acme/a..b', '/t/acme/...', '/t/acme/%20', '/t/acme/a;b=../c'])
    t.equal(await w.who(acme, { path }), 'acme', path);
});

t.test('a path that is spelled so that only a server behind reads the prefix in it names nobody', async (t) => {
  const acme = bearer('org_acme');
  const w = await identityWorld({}, all);
  const proof = await identityWorld({}, trusting);
  for (const path of [
    '//t/globex/o',
    '/t//globex/o',
    '///t/globex/o',
    '//any.host/t/globex/o',
    '/T/globex/o',
    '/%74/globex/o',
    '/%54/globex/o',
    '/%2574/globex/o',
    '/t%2Fglobex/o',
    '/%2Ft/globex/o',
    '/\\t/globex/o',
    '/t\\globex/o',
    '/t;x=1/globex/o',
    '/;x/t/globex/o',
    '/t/%67lobex/o',
    '/t/acme;x/o',
    '/t/globex\\o',
    '/t//',
  ]) {
    t.equal(await w.who(acme, { path }), 'tenant-mismatch', path);
    t.equal(await proof.who([], { path }), 'tenant-mismatch', path);
  }
  for (const path of [
    '/t/acme//o',
    '/t/acme/%74',
    '/t',
    '/ta/globex',
    '/x/t/globex',
    '/files/a%20b;v=1',
    '/x//y',
    '/%c3%a9/t/',
  ])
    t.equal(await w.who(acme, { path }), 'acme', path);
  const root = await identityWorld({}, { ...all, 'identity.pathPrefix': '/' });
  for (const path of ['//globex/o', '/%67lobex/o', '/globex;x/o', '/globex/o'])
    t.equal(await root.who(acme, { path }), 'tenant-mismatch', path);
  for (const path of ['/', '/acme/o', '/orders/%20']) t.equal(await root.who(acme, { path }), 'acme', path);
});

t.test('a header that an application may read as the one counts as a second', async (t) => {
  const w = await identityWorld({}, trusting);
  t.equal(await w.who(['X-Org', 'acme']), 'acme');
  for (const fields of [
    ['X-Org', 'acme', 'X-Org', 'acme'],
    ['X-Org', 'acme', 'X_Org', 'globex'],
    ['X.Org', 'globex', 'X-Org', 'acme'],
    ['X_Org', 'acme'],
  ])
    t.equal(await w.who(fields), 'tenant-mismatch', fields.join());
  t.equal(await w.who(['X-Orga', 'globex', 'X-Org', 'acme']), 'acme');
});

t.test('where the network is trusted all that prove must agree', async (t) => {
  const w = await identityWorld({}, trusting);
  t.equal(await w.who([], { host: 'acme.test' }), 'acme');
  t.equal(await w.who(['X-Org', 'acme'], { host: 'globex.test' }), 'tenant-mismatch');
  t.equal(await w.who([], { path: '/t/nobody' }), 'tenant-unknown');
  t.equal(await w.who(bearer('org_acme'), { host: 'globex.test' }), 'tenant-mismatch');
});

t.test('the log tells the operator why, out of a bounded set; the client is told nothing of it', async (t) => {
  const secret = 'canary-of-a-claim';
  const { key, hash } = apiKeyFor('k1');
  const old = apiKeyFor('k2');
  const files = {
    'providers.yaml': provider('main', { algorithms: ['RS256', 'ES256'] }),
    'tenants.yaml': tenant('acme', {
      identity: {
        claims: ['org_acme'],
        apiKeys: [
          { id: 'k1', hash },
          { id: 'k2', hash: old.hash, expires: '2020-01-01' },
        ],
      },
    }),
  };
  const w = await identityWorld(files, { 'anonymous.burst': '1000' });
  const now = Math.floor(w.clock.wallMs() / 1000);
  const good = tokenFor('org_acme', { sub: secret });
  const apiKey = (text: string): string[] => ['X-Api-Key', text];
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ['signature', ['Authorization', `Bearer ${good.slice(0, -6)}AAAAAA`]],
    ['audience', bearer('org_acme', { aud: secret })],
    ['issuer unknown', bearer('org_acme', { iss: secret })],
    ['algorithm', bearer('org_acme', {}, { alg: 'PS256' })],
    ['type', bearer('org_acme', {}, { typ: 'logout+jwt' })],
    ['expired', bearer('org_acme', { exp: now - 60, sub: secret })],
    ['not yet valid', bearer('org_acme', { nbf: now + 60 })],
    ['not yet valid', bearer('org_acme', { iat: now + 60 })],
    ['no tenant claim', bearer('org_acme', { org_id: undefined, sub: secret })],
    ['tenant unknown', bearer('org_nobody', { sub: secret })],
    ['no usable key', bearer('org_acme', {}, { kid: 'rotated-away' })],
    ['no usable key', bearer('org_acme', {}, { alg: 'ES256' })],
    ['malformed', ['Authorization', `Bearer ${secret}`]],
    ['malformed', bearer('org_acme', { exp: undefined })],
    ['malformed', bearer('org_acme', { nbf: 'soon' })],
    ['malformed', ['Authorization', `Bearer ${good}`, 'Authorization', `Bearer ${good}`]],
    ['malformed', bearer('org_acme', { sub: secret.repeat(600) })],
    ['signature', apiKey(`${key}x`)],
    ['no usable key', apiKey('rk_k9_secret')],
    ['expired', apiKey(old.key)],
    ['malformed', apiKey('rk_k1')],
  ];
  const answers = new Set<string>();
  for (const [detail, fields] of rows) {
    w.lines.length = 0;
    const { reply } = await w.ask(fields);
    t.match(w.lines, [new RegExp(`^identity.refused .*"detail":"${detail}"`)], `${detail}: ${fields[1]?.slice(0, 40)}`);
    t.notMatch(w.lines.join(), new RegExp(`${secret}|eyJ|secret-of`));
    answers.add(JSON.stringify(reply));
    if (detail === 'tenant unknown') t.match(w.lines, [/"external_id":"org_nobody"/]);
    else t.notMatch(w.lines.join(), /external_id/);
  }
  const hinted = await identityWorld({}, all);
  await hinted.ask([...bearer('org_acme'), 'X-Org', secret], { host: 'globex.test' });
  t.match(hinted.lines, [/^identity.refused .*"sources":"jwt: acme, host: globex, header: nobody"/], 'who disagrees');
  t.notMatch(hinted.lines.join(), new RegExp(secret));
  t.equal(answers.size, 3, 'invalid, expired, unknown: no more than before');
  const bare = await identityWorld(files, {}, null);
  await bare.ask(apiKey(key));
  t.match(bare.lines, [/"detail":"no usable key"/], 'without a pepper');
});
