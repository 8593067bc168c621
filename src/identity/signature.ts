/** Signatures of tokens (RFC 7518, RFC 8037), checked at once: a promise and a trip to another thread cost more than most of them. */
import { constants, createHmac, type KeyObject, timingSafeEqual, verify } from 'node:crypto';

/** Whether `signature` is of `signed` under `key`. The algorithm is the key's, never the token's. */
export function isSignedBy(key: KeyObject, algorithm: string, signed: string, signature: Buffer): boolean {
  const hash = algorithm === 'EdDSA' ? null : `sha${algorithm.slice(2)}`;
  if (!algorithm.startsWith('HS'))
    return verify(hash, Buffer.from(signed, 'latin1'), { key, ...paddingOf(algorithm) }, signature);
  const expected = createHmac(hash as string, key)
    .update(signed)
    .digest();
  return expected.length === signature.length && timingSafeEqual(expected, signature);
}

function paddingOf(algorithm: string): object {
  if (algorithm.startsWith('ES')) return { dsaEncoding: 'ieee-p1363' };
  if (algorithm.startsWith('PS'))
    return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return algorithm.startsWith('RS') ? { padding: constants.RSA_PKCS1_PADDING } : {};
}
