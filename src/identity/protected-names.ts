// hot path
/**
 * Names by which the inside speaks of tenants. From outside they are removed on every path before anything looks at a header;
 * towards clients they are removed from responses.
 */
import { foldName } from '../wire/index.ts';

/** Whether a header name is protected, after folding: `X_Tenant.Id` is `x-tenant-id`. */
export function isProtectedName(name: string): boolean {
  // Every protected name begins with t or x, and folding changes no letter: most names end here.
  const first = name.charCodeAt(0) | 32;
  if (first !== 116 && first !== 120) return false;
  const folded = foldName(name);
  return (
    folded === 'txn-token' ||
    folded.startsWith('x-tenant-') ||
    folded.startsWith('tenant-') ||
    folded.startsWith('x-reeve-') ||
    folded === FORWARDED_CERT
  );
}

/** Set by proxies that end TLS. Kept from a trusted one: it is they who know. */
export const FORWARDED_CERT = 'x-forwarded-client-cert';
