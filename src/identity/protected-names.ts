// hot path
/**
 * Names by which the inside speaks of tenants. From outside they are removed on every path before anything looks at a header;
 * towards clients they are removed from responses.
 *
 * Compared folded, in the widest sense that a server behind us might use: CGI and WSGI read `_` as `-`, PHP reads `.` so too, lighttpd
 * whatever is neither letter nor digit. So `X_Tenant.Id` and `x~tenant~id` are `x-tenant-id`.
 */

/** Whether a header name is protected, whatever its case and separators. Allocates nothing. */
export function isProtectedName(name: string): boolean {
  // Every protected name begins with t or x, and folding changes no letter: most names end here.
  const first = name.charCodeAt(0) | 32;
  if (first === LETTER_T) return begins(name, 'tenant-') || isName(name, 'txn-token');
  if (first !== LETTER_X) return false;
  return begins(name, 'x-tenant-') || begins(name, 'x-reeve-') || isName(name, FORWARDED_CERT);
}

/** Set by proxies that end TLS. Kept from a trusted one: it is they who know. */
export const FORWARDED_CERT = 'x-forwarded-client-cert';

/** What a trusted proxy may not say either. Only the exact name of its certificate header passes; its folds are forgeries. */
export function isForgedByTrusted(name: string): boolean {
  return isProtectedName(name) && name !== FORWARDED_CERT;
}

/** Whether the name, folded, is this one. */
export function isName(name: string, folded: string): boolean {
  return name.length === folded.length && begins(name, folded);
}

const LETTER_T = 116;
const LETTER_X = 120;
const HYPHEN = 45;

function begins(name: string, folded: string): boolean {
  if (name.length < folded.length) return false;
  for (let i = 0; i < folded.length; i++) if (fold(name.charCodeAt(i)) !== folded.charCodeAt(i)) return false;
  return true;
}

/** A letter in lower case, a digit as it is, anything else a hyphen. */
function fold(code: number): number {
  if (code >= 97 && code <= 122) return code;
  if (code >= 65 && code <= 90) return code + 32;
  return code >= 48 && code <= 57 ? code : HYPHEN;
}
