/**
 * Keys and tokens. HS256 is signed for each run; RS256 takes some seconds for 10,000, so its tokens and the public key are kept in
 * results/ and the private key is thrown away.
 */
import { createHmac, generateKeyPair, type KeyObject, randomBytes, sign } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Algorithm } from './job.ts';
import { TENANTS, tenantName } from './tenants.ts';

export const ISSUER = 'https://id.bench.example';
export const AUDIENCE = 'bench';

export interface Tokens {
  readonly algorithm: Algorithm;
  /** For HS256, the secret. */
  readonly secret: string;
  /** For RS256, the public key in PEM. */
  readonly publicPem: string;
  /** The same as a JWK set. */
  readonly jwks: string;
  /** By tenant, then by number of the token. */
  readonly good: readonly (readonly string[])[];
  readonly expired: string;
}

const DAY_SEC = 86_400;
const KEPT: string = join(import.meta.dirname, '../results/tokens-rs256.json');

export async function makeTokens(algorithm: Algorithm, perTenant: number): Promise<Tokens> {
  if (algorithm === 'HS256') return signHs256(perTenant);
  if (perTenant > 1) throw new Error('several tokens a tenant are made for HS256 only');
  if (existsSync(KEPT)) {
    const { madeSec, tokens } = JSON.parse(readFileSync(KEPT, 'utf8')) as { madeSec: number; tokens: Tokens };
    if (nowSec() - madeSec < 30 * DAY_SEC) return tokens;
  }
  const tokens = await signRs256();
  mkdirSync(dirname(KEPT), { recursive: true });
  writeFileSync(KEPT, JSON.stringify({ madeSec: nowSec(), tokens }));
  return tokens;
}

const nowSec = (): number => Math.floor(Date.now() / 1000);
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Header and payload of a token as identity providers make them, about 300 bytes. */
function unsigned(algorithm: Algorithm, rank: number, number: number, lifeSec: number): string {
  const iat = nowSec() - 2 * DAY_SEC;
  const claims = {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: `user-${rank}-${number}`,
    tid: tenantName(rank),
    scope: 'items:read items:write',
    iat,
    exp: nowSec() + lifeSec,
  };
  return `${encode({ alg: algorithm, typ: 'JWT', kid: 'k1' })}.${encode(claims)}`;
}

function signHs256(perTenant: number): Tokens {
  const secret = randomBytes(24).toString('hex');
  const signed = (rank: number, number: number, lifeSec: number): string => {
    const text = unsigned('HS256', rank, number, lifeSec);
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  };
  const key = { kty: 'oct', alg: 'HS256', use: 'sig', kid: 'k1', k: Buffer.from(secret).toString('base64url') };
  return {
    algorithm: 'HS256',
    secret,
    publicPem: '',
    jwks: JSON.stringify({ keys: [key] }),
    good: Array.from({ length: TENANTS }, (_, rank) =>
      Array.from({ length: perTenant }, (_, number) => signed(rank, number, 365 * DAY_SEC)),
    ),
    expired: signed(0, 0, -DAY_SEC),
  };
}

async function signRs256(): Promise<Tokens> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  const signed = (rank: number, lifeSec: number): Promise<string> => {
    const text = unsigned('RS256', rank, 0, lifeSec);
    return signInPool(text, privateKey).then((signature) => `${text}.${signature.toString('base64url')}`);
  };
  const all = await Promise.all(Array.from({ length: TENANTS }, (_, rank) => signed(rank, 365 * DAY_SEC)));
  const key = { ...publicKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'k1' };
  return {
    algorithm: 'RS256',
    secret: '',
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    jwks: JSON.stringify({ keys: [key] }),
    good: all.map((token) => [token]),
    expired: await signed(0, -DAY_SEC),
  };
}

function signInPool(text: string, key: KeyObject): Promise<Buffer> {
  return new Promise((resolve, reject) =>
    sign('sha256', Buffer.from(text), key, (cause, signature) => (cause === null ? resolve(signature) : reject(cause))),
  );
}
