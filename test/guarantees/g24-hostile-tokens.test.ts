/** G24: no token that RFC 8725 warns of is accepted. Each is sent through a real sidecar; the control token of the same shape passes. */
import { createHmac, createSign, generateKeyPairSync, sign } from 'node:crypto';
import t from 'tap';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { engine, httpBackend, sidecarForTest } from '../helpers/sidecar.ts';
import { makeTenancy, provider, tenant } from '../helpers/tenancy.ts';
import { base64url, claimsFor, ISSUER, keySet, rsaPrivate, rsaPublic, tokenFor } from '../helpers/tokens.ts';

const other = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const secret = Buffer.alloc(32, 7);
/** A provider each for the other kinds of algorithm, so that their signatures are verified and not only their names compared. */
const OTHERS = { ES256: 'https://es.test', EdDSA: 'https://ed.test', HS256: 'https://hs.test' } as const;
const NL = '\r\n';
const now = Math.floor(Date.now() / 1000);
const claims = (more: object = {}): object => claimsFor('org_acme', more);
const signed = (header: object | string, payload: object | string, hash = 'RSA-SHA256', key = rsaPrivate): string => {
  const text = `${base64url(header)}.${base64url(payload)}`;
  return `${text}.${createSign(hash).update(text).sign(key).toString('base64url')}`;
};
const rs256 = { alg: 'RS256', typ: 'JWT', kid: 'k1' };
const hmac = (key: string | Buffer, alg = 'HS256'): string => {
  const text = `${base64url({ ...rs256, alg })}.${base64url(claims())}`;
  return `${text}.${createHmac(`sha${alg.slice(2)}`, key)
    .update(text)
    .digest('base64url')}`;
};
const without = (name: string): object => Object.fromEntries(Object.entries(claims()).filter(([key]) => key !== name));
const good = (): string => tokenFor('org_acme');
const pem = rsaPublic.export({ type: 'spki', format: 'pem' }) as string;
const textOf = (alg: keyof typeof OTHERS, more: object = {}): string =>
  `${base64url({ alg })}.${base64url(claims({ iss: OTHERS[alg], ...more }))}`;
const withSignature = (text: string, signature: Buffer): string => `${text}.${signature.toString('base64url')}`;
const es256 = textOf('ES256');
const eddsa = textOf('EdDSA');
const hs256 = textOf('HS256');
const es256Signature = sign('sha256', Buffer.from(es256), { key: ec.privateKey, dsaEncoding: 'ieee-p1363' });
const eddsaSignature = sign(null, Buffer.from(eddsa), ed.privateKey);
/** Order of Ed25519's group, little-endian: S + L verifies where nobody looks at its range (RFC 8032 §5.1.7). */
const ED_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

function malleated(signature: Buffer): Buffer {
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + ED_ORDER;
  const bytes = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse();
  return Buffer.concat([signature.subarray(0, 32), bytes]);
}

function tokens(): Map<string, string> {
  const [head, body, signature] = good().split('.') as [string, string, string];
  const all = new Map<string, string>();
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', 'null']) {
    all.set(`alg ${alg}, no signature`, `${base64url({ ...rs256, alg })}.${base64url(claims())}.`);
    all.set(`alg ${alg}, a signature`, `${base64url({ ...rs256, alg })}.${base64url(claims())}.${signature}`);
  }
  all
    .set('HS256 with the public key as PEM', hmac(pem))
    .set('HS256 with PEM and white space', hmac(`\n ${pem}`))
    .set('HS256 with PEM without its last line end', hmac(pem.trim()));
  all
    .set('HS256 with the key as DER', hmac(rsaPublic.export({ type: 'spki', format: 'der' })))
    .set('HS256 with the JWK text', hmac(JSON.stringify(rsaPublic.export({ format: 'jwk' }))))
    .set('HS256 with the key set', hmac(keySet()));
  all
    .set('HS256 with an empty key', hmac(''))
    .set('HS512 with PEM', hmac(pem, 'HS512'))
    .set('HS256 with the modulus', hmac(String(rsaPublic.export({ format: 'jwk' }).n)));
  for (const kid of [
    '../../../dev/null',
    "' OR 1=1 --",
    '__proto__',
    'constructor',
    'toString',
    'https://evil.test/k',
    'k2',
    '',
  ])
    all.set(`kid ${kid}`, signed({ ...rs256, kid }, claims(), 'RSA-SHA256', other.privateKey));
  all
    .set('kid a number', signed({ ...rs256, kid: 1 }, claims()))
    .set('kid a list', signed({ ...rs256, kid: ['k1'] }, claims()))
    .set('kid an object', signed({ ...rs256, kid: { k1: 1 } }, claims()));
  const evilJwk = other.publicKey.export({ format: 'jwk' });
  all
    .set('jwk of the attacker', signed({ ...rs256, jwk: evilJwk }, claims(), 'RSA-SHA256', other.privateKey))
    .set(
      'jku of the attacker',
      signed({ ...rs256, jku: 'https://evil.test/jwks.json' }, claims(), 'RSA-SHA256', other.privateKey),
    );
  all
    .set(
      'x5u of the attacker',
      signed({ ...rs256, x5u: 'https://evil.test/c.pem' }, claims(), 'RSA-SHA256', other.privateKey),
    )
    .set('x5c of the attacker', signed({ ...rs256, x5c: ['AAAA'] }, claims(), 'RSA-SHA256', other.privateKey));
  all
    .set('ES256 with r = s = 0', withSignature(es256, Buffer.alloc(64)))
    .set(
      'ES256 with r = s = 1',
      withSignature(es256, Buffer.concat([Buffer.alloc(31), Buffer.from([1]), Buffer.alloc(31), Buffer.from([1])])),
    )
    .set(
      'ES256 with r = s = order',
      withSignature(
        es256,
        Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'.repeat(2), 'hex'),
      ),
    )
    .set('ES256 with DER signature', withSignature(es256, sign('sha256', Buffer.from(es256), ec.privateKey)))
    .set(
      'ES256 by an unknown key',
      withSignature(
        es256,
        sign('sha256', Buffer.from(es256), {
          key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
          dsaEncoding: 'ieee-p1363',
        }),
      ),
    )
    .set('ES256 signature longer', withSignature(es256, Buffer.concat([es256Signature, Buffer.alloc(1)])))
    .set('ES256 signature of another token', withSignature(textOf('ES256', { org_id: 'org_globex' }), es256Signature))
    .set('EdDSA, all zero', withSignature(eddsa, Buffer.alloc(64)))
    .set('EdDSA, the neutral point', withSignature(eddsa, Buffer.concat([Buffer.from([1]), Buffer.alloc(63)])))
    .set('EdDSA, S + L', withSignature(eddsa, malleated(eddsaSignature)))
    .set('EdDSA signature of another token', withSignature(textOf('EdDSA', { org_id: 'org_globex' }), eddsaSignature))
    .set('HS256 signature empty', `${hs256}.`)
    .set(
      'HS256 signature cut',
      withSignature(hs256, createHmac('sha256', secret).update(hs256).digest().subarray(0, 16)),
    )
    .set(
      'HS256 with an empty key, where HS256 is allowed',
      withSignature(hs256, createHmac('sha256', '').update(hs256).digest()),
    )
    .set(
      'HS256 with a public key, where HS256 is allowed',
      withSignature(hs256, createHmac('sha256', pem).update(hs256).digest()),
    );
  const eddsaElsewhere = `${base64url({ alg: 'EdDSA' })}.${base64url(claims())}`;
  all.set('EdDSA, not allowed', withSignature(eddsaElsewhere, sign(null, Buffer.from(eddsaElsewhere), ed.privateKey)));
  all
    .set('RS512, not allowed', signed({ ...rs256, alg: 'RS512' }, claims(), 'RSA-SHA512'))
    .set('PS256, not allowed', signed({ ...rs256, alg: 'PS256' }, claims()))
    .set('rs256 in lower case', signed({ ...rs256, alg: 'rs256' }, claims()))
    .set('alg a list', signed({ ...rs256, alg: ['RS256'] }, claims()));
  all
    .set('signature of another key', signed(rs256, claims(), 'RSA-SHA256', other.privateKey))
    .set(
      'signature of another token',
      `${base64url(rs256)}.${base64url(claims({ org_id: 'org_globex' }))}.${signature}`,
    )
    .set('signature cut', `${head}.${body}.${signature.slice(0, -10)}`)
    .set('signature doubled', `${head}.${body}.${signature}${signature}`);
  all
    .set('signature garbage', `${head}.${body}.AAAA`)
    .set('signature missing', `${head}.${body}`)
    .set('signature empty', `${head}.${body}.`)
    .set('payload changed', `${head}.${base64url(claims({ admin: true }))}.${signature}`)
    .set('header changed', `${base64url({ ...rs256, x: 1 })}.${body}.${signature}`);
  for (const exp of [now - 3600, now - 6, 0, -1]) all.set(`exp ${exp}`, tokenFor('org_acme', { exp }));
  for (const exp of ['9999999999', null, true, [now + 999], {}])
    all.set(`exp ${JSON.stringify(exp)}`, tokenFor('org_acme', { exp }));
  all
    .set('exp missing', signed(rs256, without('exp')))
    .set('nbf in the future', tokenFor('org_acme', { nbf: now + 3600 }))
    .set('nbf a text', tokenFor('org_acme', { nbf: 'x' }))
    .set('iat in the future', tokenFor('org_acme', { iat: now + 3600 }));
  for (const aud of ['other', ['other', 'more'], [], '', 'API', { api: 1 }, null, 'api '])
    all.set(`aud ${JSON.stringify(aud)}`, tokenFor('org_acme', { aud }));
  all.set('aud missing', signed(rs256, without('aud'))).set('iss missing', signed(rs256, without('iss')));
  for (const iss of ['https://evil.test', `${ISSUER}/`, ISSUER.toUpperCase(), [ISSUER], null, '', 'https://es.test'])
    all.set(`iss ${JSON.stringify(iss)}`, tokenFor('org_acme', { iss }));
  all
    .set('crit unknown', tokenFor('org_acme', {}, { crit: ['x'], x: 1 }))
    .set('crit b64', tokenFor('org_acme', {}, { crit: ['b64'], b64: false }))
    .set('b64 false', tokenFor('org_acme', {}, { b64: false }))
    .set('zip', tokenFor('org_acme', {}, { zip: 'DEF' }))
    .set('enc', tokenFor('org_acme', {}, { enc: 'A256GCM' }));
  all
    .set('five parts', `${good()}.x.y`)
    .set('four parts', `${good()}.x`)
    .set('leading dot', `.${good()}`)
    .set('trailing dot', `${good()}.`)
    .set('padding', `${head}==.${body}.${signature}`)
    .set('standard alphabet', `${head}.${body}.+${signature.slice(1)}/`)
    .set('stray bits', `${head}.${body}.${signature.slice(0, -1)}${signature.endsWith('B') ? 'C' : 'B'}`);
  all
    .set('space inside', `${head}. ${body}.${signature}`)
    .set('two tokens by comma', `${good()}, ${good()}`)
    .set('two tokens by space', `${good()} ${good()}`);
  const raw = JSON.stringify(claims());
  all
    .set('claim twice', signed(rs256, raw.replace('"org_id"', '"org_id":"org_globex","org_id"')))
    .set('claim twice by escape', signed(rs256, raw.replace('"org_id"', '"org\\u005fid":"org_globex","org_id"')))
    .set('nested claim twice', signed(rs256, raw.replace('{', '{"app":{"org":"org_acme","org":"org_globex"},')))
    .set('claim twice in a list', signed(rs256, raw.replace('{', '{"list":[{"a":1,"a":2}],')))
    .set('alg twice', signed('{"alg":"none","alg":"RS256","kid":"k1"}', claims()));
  all
    .set('payload a list', signed(rs256, '[1]'))
    .set('payload a text', signed(rs256, '"x"'))
    .set('payload no JSON', signed(rs256, 'x'))
    .set('payload null', signed(rs256, 'null'))
    .set('header no JSON', signed('x', claims()))
    .set('payload not UTF-8', `${head}.${Buffer.from([0xff, 0xfe, 0x7b, 0x7d]).toString('base64url')}.${signature}`);
  for (const typ of ['logout+jwt', 'txntoken+jwt', 'JWE', 'application/secevent+jwt'])
    all.set(`typ ${typ}`, tokenFor('org_acme', {}, { typ }));
  all.set('typ a number', tokenFor('org_acme', {}, { typ: 5 }));
  for (const org of [
    ['org_acme'],
    { id: 'org_acme' },
    '',
    null,
    true,
    4711,
    'org_nobody',
    '__proto__',
    'constructor',
    'ORG_ACME',
    'org_acme\0',
    'org_acme ',
  ])
    all.set(`tenant claim ${JSON.stringify(org)}`, tokenFor('org_acme', { org_id: org }));
  all
    .set('tenant claim missing', signed(rs256, without('org_id')))
    .set(
      'tenant claim in __proto__',
      signed(rs256, JSON.stringify(without('org_id')).replace('{', '{"__proto__":{"org_id":"org_acme"},')),
    );
  all.set('9 KiB', tokenFor('org_acme', { x: 'y'.repeat(9000) }));
  return all;
}

t.test('no hostile token is accepted, and the control is', async (t) => {
  let reached = 0;
  const upstream = await httpBackend(t, (_req, res) => {
    reached++;
    res.end('ok');
  });
  const tenancy = makeTenancy({
    'tenants.yaml':
      tenant('acme', { identity: { claims: ['org_acme'] } }) +
      tenant('globex', { identity: { claims: ['org_globex'], hosts: ['globex.test'] } }),
    'others.json': JSON.stringify({
      keys: [
        ec.publicKey.export({ format: 'jwk' }),
        ed.publicKey.export({ format: 'jwk' }),
        { kty: 'oct', k: secret.toString('base64url') },
      ],
    }),
    'others.yaml': Object.entries(OTHERS)
      .map(([alg, issuer]) => provider(alg.toLowerCase(), { issuer, algorithms: [alg], jwks: { file: 'others.json' } }))
      .join(''),
  });
  const sidecar = await sidecarForTest(t, upstream, {
    tenancy,
    settings: { 'anonymous.limit': '100000/s', 'wire.headBytesMax': '2MiB', 'wire.headersMax': '100' },
  });
  const send = async (fields: string, host = 'a'): Promise<number> =>
    (
      await exchangeRaw(sidecar.port, `GET / HTTP/1.1${NL}Host: ${host}${NL}${fields}${NL}${NL}`, {
        responses: 1,
        waitMs: 1000,
      })
    ).responses[0]?.status ?? 0;
  for (const control of [
    good(),
    withSignature(es256, es256Signature),
    withSignature(eddsa, eddsaSignature),
    withSignature(hs256, createHmac('sha256', secret).update(hs256).digest()),
  ])
    t.equal(await send(`Authorization: Bearer ${control}`), 200, 'the control passes');
  reached = 0;
  const all = tokens();
  for (const [name, token] of all) t.notOk([200, 0].includes(await send(`Authorization: Bearer ${token}`)), name);
  const more: readonly [string, string, string?][] = [
    ['a token of acme on the host of globex', `Authorization: Bearer ${good()}`, 'globex.test'],
    ['two Authorization fields', `Authorization: Bearer ${good()}${NL}Authorization: Bearer ${tokenFor('org_globex')}`],
    ['two equal Authorization fields', `Authorization: Bearer ${good()}${NL}Authorization: Bearer ${good()}`],
    ['Basic', `Authorization: Basic ${Buffer.from('acme:x').toString('base64')}`],
    ['a token by another header', `X-Auth: ${good()}`],
    ['1 MB', `Authorization: Bearer ${tokenFor('org_acme', { x: 'y'.repeat(1_000_000) })}`],
  ];
  for (const [name, fields, host] of more) t.notOk([200, 0].includes(await send(fields, host)), name);
  // A verdict that was cached does not outlive its key.
  const before = good();
  t.equal(await send(`Authorization: Bearer ${before}`), 200);
  sidecar.tenancyDir.write(
    'keys.json',
    JSON.stringify({ keys: [{ ...other.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256' }] }),
  );
  await sidecar.tenancy.refresh();
  t.equal(await send(`Authorization: Bearer ${before}`), 401, 'a cached token after its key was replaced');
  t.equal(reached, 1, 'only the control reached the application');
  t.ok(all.size + more.length + 1 >= 80);
  t.comment(`G24 hostile tokens, ${engine} engine: ${reached - 1} of ${all.size + more.length + 1} accepted`);
});
