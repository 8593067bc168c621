/** Brands for the two numbers and names that must never be mixed up. */

/** A tenant's name as written in its document: `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`. */
export type TenantId = string & { readonly __brand: 'tenant id' };

/** A tenant's dense slot in typed arrays. Stable while the tenant exists, reused after it was removed. */
export type TenantIndex = number & { readonly __brand: 'tenant index' };
