/** Signatures and claims, held against jose: what one accepts the other does, of tokens in every algorithm, whole and damaged. */
import {
  createHmac,
  createSecretKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import fc from 'fast-check';
import { type CryptoKey, errors, importJWK, jwtVerify, SignJWT } from 'jose';
import t from 'tap';
import { refusalOfClaims } from '../../src/identity/claims.ts';
import { readKeySet } from '../../src/identity/key-set.ts';
import { isSignedBy } from '../../src/identity/signature.ts';
import { base64url } from '../helpers/tokens.ts';

const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const CURVES = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' } as const;
const SECRETS = ['HS256', 'HS384', 'HS512'];
const ALGORITHMS = [...RSA, ...Object.keys(CURVES), 'EdDSA', ...SECRETS];

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

function secretFor(algorithm: string): KeyObject {
  if (RSA.includes(algorithm)) return rsa;
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519').privateKey;
  if (SECRETS.includes(algorithm)) return createSecretKey(randomBytes(64));
  return generateKeyPairSync('ec', { namedCurve: CURVES[algorithm as keyof typeof CURVES] }).privateKey;
}

/** As a key set holds it: of a private key the public half. */
function jwkOf(key: KeyObject): JsonWebKey {
  if (key.type === 'secret') return key.export({ format: 'jwk' });
  const { kty, n, e, crv, x, y } = key.export({ format: 'jwk' });
  return JSON.parse(JSON.stringify({ kty, n, e, crv, x, y })) as JsonWebKey;
}

const NOW_SEC = 1_800_000_000;
const REQUIRED = { issuer: 'i', audience: ['a', 'b'], requiredClaims: ['exp'], clockTolerance: 5 };

async function joseAccepts(token: string, key: CryptoKey | Uint8Array, algorithm: string): Promise<boolean> {
  const options = { ...REQUIRED, algorithms: [algorithm], currentDate: new Date(NOW_SEC * 1000) };
  return await jwtVerify(token, key, options).then(
    () => true,
    (cause) => {
      if (cause instanceof errors.JOSEError) return false;
      throw cause;
    },
  );
}

t.test(
  'each algorithm: good signatures are good, damaged ones and those of other keys are not, as jose has it',
  async (t) => {
    for (const algorithm of ALGORITHMS) {
      const secret = secretFor(algorithm);
      const jwk = jwkOf(secret);
      const set = readKeySet(JSON.stringify({ keys: [jwk] }), [algorithm]);
      const key = set.keys[0]?.key as KeyObject;
      const theirs = (await importJWK(jwk, algorithm)) as CryptoKey;
      const token = await new SignJWT({ iss: 'i', aud: 'a', exp: NOW_SEC + 60 })
        .setProtectedHeader({ alg: algorithm })
        .sign(secret);
      const cut = token.lastIndexOf('.');
      const [signed, signature] = [token.slice(0, cut), Buffer.from(token.slice(cut + 1), 'base64url')];
      t.ok(isSignedBy(key, algorithm, signed, signature), algorithm);
      t.ok(await joseAccepts(token, theirs, algorithm));
      const flipped = Buffer.from(signature);
      flipped[3] = (flipped[3] as number) ^ 1;
      for (const [what, bytes] of [
        ['a bit flipped', flipped],
        ['cut', signature.subarray(0, -1)],
        ['longer', Buffer.concat([signature, Buffer.alloc(1)])],
        ['empty', Buffer.alloc(0)],
        ['zero', Buffer.alloc(signature.length)],
      ] as const) {
        t.notOk(isSignedBy(key, algorithm, signed, bytes), `${algorithm}, ${what}`);
        t.notOk(await joseAccepts(`${signed}.${bytes.toString('base64url')}`, theirs, algorithm));
      }
      t.notOk(isSignedBy(key, algorithm, `${signed}x`, signature), `${algorithm}, another text`);
      if (algorithm === 'EdDSA') continue;
      const sibling = algorithm.slice(0, 2) + (algorithm.endsWith('256') ? '512' : '256');
      t.notOk(isSignedBy(key, sibling, signed, signature), `${algorithm} is not ${sibling}`);
    }
  },
);

t.test('RS and PS of one key are not each other', async (t) => {
  const key = readKeySet(JSON.stringify({ keys: [jwkOf(rsa)] }), ['RS256']).keys[0]?.key as KeyObject;
  for (const [made, read] of [
    ['RS256', 'PS256'],
    ['PS256', 'RS256'],
  ] as const) {
    const token = await new SignJWT({}).setProtectedHeader({ alg: made }).sign(rsa);
    const cut = token.lastIndexOf('.');
    const signature = Buffer.from(token.slice(cut + 1), 'base64url');
    t.ok(isSignedBy(key, made, token.slice(0, cut), signature));
    t.notOk(isSignedBy(key, read, token.slice(0, cut), signature));
  }
});

/** Near the edges, and what is no time at all. */
const time = fc.oneof(
  fc.integer({ min: NOW_SEC - 8, max: NOW_SEC + 8 }),
  fc.double({ min: NOW_SEC - 8, max: NOW_SEC + 8, noNaN: true }),
  fc.constantFrom<unknown>(undefined, null, 'x', String(NOW_SEC), true, [], {}, 0, -1, 1e300),
);
const audience = fc.oneof(
  fc.constantFrom<unknown>('a', 'b', 'c', '', undefined, null, 5, {}, { a: 1 }),
  fc.array(fc.constantFrom<unknown>('a', 'b', 'c', null, 1, ['a']), { maxLength: 3 }),
);

t.test('claims are refused where jose refuses them, and where they come from the future', async (t) => {
  const secret = randomBytes(32);
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(audience, time, time, time, async (aud, exp, nbf, iat) => {
      const claims = JSON.parse(JSON.stringify({ iss: 'i', aud, exp, nbf, iat })) as Record<string, unknown>;
      const ours = refusalOfClaims(claims, { audiences: REQUIRED.audience, clockSkewMs: 5000 }, NOW_SEC * 1000);
      const signed = `${base64url({ alg: 'HS256' })}.${base64url(claims)}`;
      const token = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
      const isFromFuture = typeof claims['iat'] === 'number' && claims['iat'] > NOW_SEC + 5;
      const theirs = (await joseAccepts(token, secret, 'HS256')) && !isFromFuture;
      if (theirs) accepted++;
      return (ours === undefined) === theirs;
    }),
    { numRuns: 3000 },
  );
  t.ok(accepted > 30, `${accepted} were good`);
});

t.test('a time that is no number of this world is none', async (t) => {
  const claims = JSON.parse('{"aud":"a","exp":1e999}') as Record<string, unknown>;
  t.match(refusalOfClaims(claims, { audiences: ['a'], clockSkewMs: 0 }, 0), { detail: 'malformed' });
});
