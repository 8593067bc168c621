/** Verification keys of one provider: a JWK set (RFC 7517), weak and unfit keys left out. */
import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';

export interface VerificationKey {
  /** The one algorithm it is for; a key that fits several stands there once for each. */
  readonly algorithm: string;
  readonly kid: string | undefined;
  readonly key: KeyObject;
}

export interface KeySet {
  /** False once another set took its place; whatever was verified with it must be verified anew. */
  isCurrent: boolean;
  readonly keys: readonly VerificationKey[];
  /** Keys that were left out, and why, for the log. No key material. */
  readonly ignored: readonly string[];
}

const KEYS_MAX = 100;
const RSA_BITS_MIN = 2048;
/** A signature is checked on the loop: one of 8,192 bits takes less than a millisecond. */
const RSA_BITS_MAX = 8192;
/** RFC 7518 §3.2: a secret is at least as long as the hash. */
const SECRET_BYTES_MIN: Readonly<Record<string, number>> = { HS256: 32, HS384: 48, HS512: 64 };
const CURVE_OF: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521', EdDSA: 'Ed25519' };

/** RFC 7517 §4. */
interface Jwk extends JsonWebKey {
  readonly kid?: string;
  readonly alg?: string;
  readonly use?: string;
  readonly key_ops?: readonly string[];
}

/** Throws when `text` is no JWK set at all. */
export function readKeySet(text: string, algorithms: readonly string[]): KeySet {
  const set = JSON.parse(text) as { keys: (Jwk | null)[] };
  const keys: VerificationKey[] = [];
  const ignored: string[] = [];
  for (const [at, jwk] of set.keys.slice(0, KEYS_MAX).entries()) {
    const fit = algorithms.filter((algorithm) => jwk !== null && isFor(jwk, algorithm));
    if (jwk === null || fit.length === 0)
      ignored.push(`key ${at}: fits none of ${algorithms.join(', ')}, is weak, or is not for signatures`);
    else
      for (const algorithm of fit) {
        try {
          keys.push({ algorithm, kid: jwk.kid, key: importKey(jwk) });
        } catch {
          ignored.push(`key ${at}: cannot be imported for ${algorithm}`);
        }
      }
  }
  if (set.keys.length > KEYS_MAX) ignored.push(`keys beyond the first ${KEYS_MAX}`);
  return { isCurrent: true, keys, ignored };
}

/** A private key in the set verifies with its public half alone. Whether it has the members that its kind needs is known here: see isFor. */
function importKey({ kty, k, n, e, crv, x, y }: Jwk): KeyObject {
  if (kty === 'oct') return createSecretKey(k as string, 'base64url');
  const members = Object.entries({ kty, n, e, crv, x, y }).filter(([, value]) => value !== undefined);
  return createPublicKey({ key: Object.fromEntries(members) as JsonWebKey, format: 'jwk' });
}

function isFor(jwk: Jwk, algorithm: string): boolean {
  if (jwk.alg !== undefined && jwk.alg !== algorithm && !(algorithm === 'EdDSA' && jwk.alg === 'Ed25519')) return false;
  if (jwk.use !== undefined && jwk.use !== 'sig') return false;
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) return false;
  const secretMin = SECRET_BYTES_MIN[algorithm];
  if (secretMin !== undefined)
    return jwk.kty === 'oct' && typeof jwk.k === 'string' && Buffer.from(jwk.k, 'base64url').length >= secretMin;
  const curve = CURVE_OF[algorithm];
  if (curve !== undefined) return jwk.crv === curve && jwk.kty === (algorithm === 'EdDSA' ? 'OKP' : 'EC');
  if (jwk.kty !== 'RSA' || typeof jwk.n !== 'string' || typeof jwk.e !== 'string') return false;
  const bits = bitsOf(jwk.n);
  return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX && isExponent(jwk.e);
}

/** Odd and at least 3 (RFC 8017 §3.1). With 1 every text is its own signature, and nothing below us looks. */
function isExponent(exponent: string): boolean {
  const digits = digitsOf(exponent);
  return digits !== '1' && /[13579bdf]$/.test(digits);
}

/** Length of the number, not of its bytes: zeros before it make no key stronger. */
function bitsOf(modulus: string): number {
  const digits = digitsOf(modulus);
  return digits === '' ? 0 : digits.length * 4 - (Math.clz32(Number.parseInt(digits.charAt(0), 16)) - 28);
}

/** Hexadecimal, without zeros before it. */
function digitsOf(number: string): string {
  return Buffer.from(number, 'base64url').toString('hex').replace(/^0+/, '');
}
