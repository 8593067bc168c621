/** The key file beside the documents that an IdentityProvider names: where it is, and whether its text can serve. */
import type { IdentityProvider } from '../model.ts';

type JwksDocument = { readonly file: string } | { readonly url: string; readonly allowPrivate?: boolean };

export function keySource(jwks: JwksDocument, keys: string | undefined): IdentityProvider['jwks'] {
  return 'file' in jwks
    ? { file: keyFileOf(jwks.file), text: keys as string }
    : { url: jwks.url, allowPrivate: jwks.allowPrivate ?? false };
}

export function keyFileOf(path: string): string {
  return path.replace(/^\.\//, '');
}

const KEY_TYPES: Readonly<Record<string, string>> = { RS: 'RSA', PS: 'RSA', ES: 'EC', Ed: 'OKP', HS: 'oct' };

/** Whether some key is of the kind that some algorithm needs; a secret of 32 bytes at least. Whether it verifies is for who uses it. */
export function hasUsableKey(text: string, algorithms: readonly string[]): boolean {
  const { keys } = JSON.parse(text) as { keys: readonly ({ kty?: unknown; k?: unknown } | null)[] };
  const types = algorithms.map((each) => KEY_TYPES[each.slice(0, 2)]);
  return keys.some((key) => {
    const isLong = key?.kty !== 'oct' || (typeof key.k === 'string' && key.k.length >= SECRET_CHARS_MIN);
    return types.includes(key?.kty as string) && isLong;
  });
}

/** 32 bytes in base64url (RFC 7518 §3.2). */
const SECRET_CHARS_MIN = 43;

/** What is wrong with a key set's text, or undefined. The keys themselves are judged by who uses them. */
export function objectToKeySet(file: string, text: string | undefined): string | undefined {
  if (text === undefined) return `there is no key file ${JSON.stringify(file)} in the tenancy directory`;
  try {
    const { keys } = JSON.parse(text) as { keys?: unknown };
    return Array.isArray(keys) && keys.length <= 100 ? undefined : 'the key file is not a JWK set of at most 100 keys';
  } catch {
    return 'the key file is not JSON';
  }
}
