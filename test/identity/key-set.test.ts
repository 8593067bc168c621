import { generateKeyPairSync, type JsonWebKey } from 'node:crypto';
import t from 'tap';
import { readKeySet } from '../../src/identity/key-set.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const rsaJwk = rsa.publicKey.export({ format: 'jwk' });
const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
const ed = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
const secret = (bytes: number, more: object = {}): object => ({
  kty: 'oct',
  k: Buffer.alloc(bytes, 1).toString('base64url'),
  ...more,
});
/** How many keys each algorithm got, and how many were left out. */
async function sorted(keys: unknown, algorithms: readonly string[]): Promise<Record<string, number>> {
  const set = readKeySet(JSON.stringify({ keys }), algorithms);
  const counts = algorithms.map((each): [string, number] => [
    each,
    set.keys.filter(({ algorithm }) => algorithm === each).length,
  ]);
  return { ...Object.fromEntries(counts), ignored: set.ignored.length };
}

t.test('a key is for the algorithms that fit it, and that the provider allows', async (t) => {
  t.same(await sorted([rsaJwk], ['RS256', 'PS512', 'ES256']), { RS256: 1, PS512: 1, ES256: 0, ignored: 0 });
  t.same(await sorted([{ ...rsaJwk, alg: 'PS512' }], ['RS256', 'PS512']), { RS256: 0, PS512: 1, ignored: 0 });
  t.same(await sorted([ec, ed], ['ES256', 'ES384', 'EdDSA']), { ES256: 1, ES384: 0, EdDSA: 1, ignored: 0 });
  t.same(
    await sorted(
      [
        { ...ed, alg: 'Ed25519' },
        { ...ed, alg: 'EdDSA' },
      ],
      ['EdDSA'],
    ),
    { EdDSA: 2, ignored: 0 },
  );
  t.same(await sorted([secret(32), secret(48)], ['HS256', 'HS384']), { HS256: 2, HS384: 1, ignored: 0 });
  t.same(await sorted([{ ...rsaJwk, use: 'sig', key_ops: ['verify'] }], ['RS256']), { RS256: 1, ignored: 0 });
});

t.test('weak, foreign and broken keys are left out', async (t) => {
  const padded = Buffer.concat([Buffer.alloc(200), Buffer.from(weak.n as string, 'base64url')]).toString('base64url');
  const cases: readonly (readonly [string, unknown, string])[] = [
    ['null', null, 'RS256'],
    ['a number', 5, 'RS256'],
    ['a text', 'key', 'RS256'],
    ['1,024 bits', weak, 'RS256'],
    ['1,024 bits behind zeros', { ...weak, n: padded }, 'RS256'],
    ['16,384 bits', { ...rsaJwk, n: Buffer.alloc(2048, 0xff).toString('base64url') }, 'RS256'],
    ['no bits at all', { kty: 'RSA', n: '', e: 'AQAB' }, 'RS256'],
    ['zero', { kty: 'RSA', n: 'AAAA', e: 'AQAB' }, 'RS256'],
    ['no modulus', { kty: 'RSA', e: 'AQAB' }, 'RS256'],
    ['for encryption', { ...rsaJwk, use: 'enc' }, 'RS256'],
    ['to encrypt with', { ...rsaJwk, key_ops: ['encrypt'] }, 'RS256'],
    ['operations no list', { ...rsaJwk, key_ops: 5 }, 'RS256'],
    ['for another algorithm', { ...rsaJwk, alg: 'RS512' }, 'RS256'],
    ['no exponent', { kty: 'RSA', n: rsaJwk.n }, 'RS256'],
    ['an empty exponent', { ...rsaJwk, e: '' }, 'RS256'],
    ['the exponent 1, by which every text is its own signature', { ...rsaJwk, e: 'AQ' }, 'RS256'],
    ['the same behind zeros', { ...rsaJwk, e: 'AAAB' }, 'RS256'],
    ['an even exponent', { ...rsaJwk, e: 'AQAC' }, 'RS256'],
    ['another curve', ec, 'ES384'],
    ['a curve of another type', { ...ed, kty: 'EC' }, 'EdDSA'],
    ['no point of the curve', { kty: 'EC', crv: 'P-256', x: 'a', y: 'b' }, 'ES256'],
    ['a short secret', secret(31), 'HS256'],
    ['a secret that fits another hash', secret(32), 'HS512'],
    ['a secret to encrypt with', secret(32, { key_ops: ['encrypt'] }), 'HS256'],
    ['no secret', { kty: 'oct' }, 'HS256'],
    ['a public key as a secret', rsaJwk, 'HS256'],
    ['a secret as a public key', secret(256), 'RS256'],
  ];
  for (const [name, key, algorithm] of cases)
    t.same(await sorted([key], [algorithm]), { [algorithm]: 0, ignored: 1 }, name);
});

t.test('a private key verifies with its public half alone', async (t) => {
  const set = readKeySet(JSON.stringify({ keys: [rsa.privateKey.export({ format: 'jwk' })] as JsonWebKey[] }), [
    'RS256',
  ]);
  t.match(set.keys[0]?.key, { type: 'public' });
});

t.test('a set is bounded, and what is left out is said without key material', async (t) => {
  const set = readKeySet(JSON.stringify({ keys: Array.from({ length: 120 }, () => secret(32)) }), ['HS256']);
  t.equal(set.keys.length, 100);
  t.same(set.ignored, ['keys beyond the first 100']);
  const { ignored } = readKeySet(JSON.stringify({ keys: [secret(5)] }), ['HS256']);
  t.notMatch(ignored.join(), /AQEB/);
});

t.test('what is no set is refused as a whole', async (t) => {
  for (const text of ['', 'x', 'null', '{}', '{"keys":{}}']) t.throws(() => readKeySet(text, ['RS256']), text);
});
