/** What an identity provider would publish and sign, made anew for each demo; private keys stay in memory. */
import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export const ISSUER = 'https://id.example';
const DAY_SEC = 86_400;

export interface Credentials {
  /** A JWK set. */
  readonly keySet: string;
  readonly pepper: string;
  /** A token for an external id; `more` changes claims. */
  token(org: string, more?: Readonly<Record<string, unknown>>): string;
  /** A token that claims no algorithm. */
  unsigned(org: string): string;
  apiKey(id: string): { readonly key: string; readonly hash: string };
}

export function makeCredentials(): Credentials {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const kid = randomBytes(6).toString('hex');
  const pepper = randomBytes(32).toString('base64url');
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const payload = (org: string, more: object): string => {
    const now = Math.floor(Date.now() / 1000);
    return part({ iss: ISSUER, aud: 'api', org_id: org, iat: now, exp: now + DAY_SEC, ...more });
  };
  return {
    keySet: JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' }] }),
    pepper,
    token(org, more = {}) {
      const signed = `${part({ alg: 'ES256', typ: 'JWT', kid })}.${payload(org, more)}`;
      return `${signed}.${sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
    },
    unsigned: (org) => `${part({ alg: 'none', typ: 'JWT' })}.${payload(org, {})}.AA`,
    apiKey(id) {
      const key = `rk_${id}_${randomBytes(24).toString('base64url')}`;
      return { key, hash: `hmac-sha256:${createHmac('sha256', pepper).update(key).digest('hex')}` };
    },
  };
}
