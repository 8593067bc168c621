/** Keys, tokens and API keys for tests, signed with node:crypto so that nothing of ours vouches for itself. */
import { createHmac, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';

export const ISSUER = 'https://id.test';
export const AUDIENCE = 'api';
export const PEPPER = 'pepper-for-tests';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
export const rsaPrivate: KeyObject = rsa.privateKey;
export const rsaPublic: KeyObject = rsa.publicKey;

/** A JWK set as a provider publishes it. */
export function keySet(): string {
  return JSON.stringify({
    keys: [{ ...rsa.publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: 'RS256' }],
  });
}

export const base64url = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

export function claimsFor(org: string, more: object = {}): object {
  const now = Math.floor(Date.now() / 1000);
  return { iss: ISSUER, aud: AUDIENCE, org_id: org, iat: now, exp: now + 3600, ...more };
}

/** A good RS256 token for an external id, with what `more` and `header` change. */
export function tokenFor(org: string, more: object = {}, header: object = {}): string {
  const signed = `${base64url({ alg: 'RS256', typ: 'JWT', kid: 'k1', ...header })}.${base64url(claimsFor(org, more))}`;
  return `${signed}.${createSign('RSA-SHA256').update(signed).sign(rsa.privateKey).toString('base64url')}`;
}

export function apiKeyFor(id: string): { key: string; hash: string } {
  const key = `rk_${id}_secret-of-${id}`;
  return { key, hash: `hmac-sha256:${createHmac('sha256', PEPPER).update(key).digest('hex')}` };
}
