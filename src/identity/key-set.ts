/** Verification keys of one provider: a JWK set (RFC 7517), weak and unfit keys left out. */
import { type CryptoKey, importJWK, type JWK } from 'jose';

export interface VerificationKey {
  readonly kid: string | undefined;
  readonly key: CryptoKey | Uint8Array;
}

export interface KeySet {
  /** False once another set took its place; whatever was verified with it must be verified anew. */
  isCurrent: boolean;
  readonly byAlgorithm: ReadonlyMap<string, readonly VerificationKey[]>;
  /** Keys that were left out, and why, for the log. No key material. */
  readonly ignored: readonly string[];
}

const KEYS_MAX = 100;
const RSA_BITS_MIN = 2048;
/** RFC 7518 §3.2: a secret is at least as long as the hash. */
const SECRET_BYTES_MIN: Readonly<Record<string, number>> = { HS256: 32, HS384: 48, HS512: 64 };
const CURVE_OF: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521', EdDSA: 'Ed25519' };

/** Throws when `text` is no JWK set at all. */
export async function readKeySet(text: string, algorithms: readonly string[]): Promise<KeySet> {
  const { keys } = JSON.parse(text) as { keys: (JWK & { use?: string; key_ops?: string[] })[] };
  const byAlgorithm = new Map<string, VerificationKey[]>();
  const ignored: string[] = [];
  for (const [at, jwk] of keys.slice(0, KEYS_MAX).entries()) {
    const fit = algorithms.filter((algorithm) => isFor(jwk, algorithm));
    if (fit.length === 0)
      ignored.push(`key ${at}: fits none of ${algorithms.join(', ')}, is weak, or is not for signatures`);
    for (const algorithm of fit) {
      try {
        const imported =
          jwk.kty === 'oct'
            ? Buffer.from(jwk.k as string, 'base64url')
            : ((await importJWK(publicPart(jwk), algorithm)) as CryptoKey);
        const list = byAlgorithm.get(algorithm) ?? [];
        byAlgorithm.set(algorithm, list);
        list.push({ kid: jwk.kid, key: imported });
      } catch {
        ignored.push(`key ${at}: cannot be imported for ${algorithm}`);
      }
    }
  }
  return { isCurrent: true, byAlgorithm, ignored };
}

/** A private key in the set verifies with its public half alone. */
function publicPart(jwk: JWK): JWK {
  const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, oth: _oth, k: _k, ...rest } = jwk;
  return { ...rest, ext: true };
}

function isFor(jwk: JWK & { use?: string; key_ops?: string[] }, algorithm: string): boolean {
  if (typeof jwk !== 'object' || jwk === null) return false;
  if (jwk.alg !== undefined && jwk.alg !== algorithm && !(algorithm === 'EdDSA' && jwk.alg === 'Ed25519')) return false;
  if (jwk.use !== undefined && jwk.use !== 'sig') return false;
  const secretMin = SECRET_BYTES_MIN[algorithm];
  if (secretMin !== undefined)
    return jwk.kty === 'oct' && typeof jwk.k === 'string' && Buffer.from(jwk.k, 'base64url').length >= secretMin;
  const curve = CURVE_OF[algorithm];
  if (curve !== undefined) return jwk.crv === curve && jwk.kty === (algorithm === 'EdDSA' ? 'OKP' : 'EC');
  return jwk.kty === 'RSA' && typeof jwk.n === 'string' && bitsOf(jwk.n) >= RSA_BITS_MIN;
}

function bitsOf(modulus: string): number {
  const bytes = Buffer.from(modulus, 'base64url');
  return bytes.length * 8 - Math.clz32(bytes[0] ?? 0) + 24;
}
