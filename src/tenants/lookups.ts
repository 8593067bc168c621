/** By what tenants are found: the maps of a snapshot, made of the ones before by what changed. */
import type { Snapshot, Tenant } from './model.ts';
import type { Pace } from './pace.ts';

export type Lookups = Pick<Snapshot, 'tenantByClaim' | 'tenantByHost' | 'tenantByApiKeyId'>;

/** `gone`: versions that are live now and will not be; `come`: those that take their place. */
export async function nextLookups(
  before: Lookups,
  gone: Iterable<Tenant>,
  come: Iterable<Tenant>,
  pace: Pace,
): Promise<Lookups> {
  await pace.turn();
  const tenantByClaim = new Map(before.tenantByClaim);
  await pace.turn();
  const tenantByHost = new Map(before.tenantByHost);
  await pace.turn();
  const tenantByApiKeyId = new Map(before.tenantByApiKeyId);
  for (const tenant of gone) {
    const slice = pace();
    if (slice !== undefined) await slice;
    for (const each of tenant.claims) tenantByClaim.delete(each);
    for (const each of tenant.hosts) tenantByHost.delete(each);
    for (const each of tenant.apiKeys) tenantByApiKeyId.delete(each.id);
  }
  for (const tenant of come) {
    const slice = pace();
    if (slice !== undefined) await slice;
    for (const each of tenant.claims) tenantByClaim.set(each, tenant);
    for (const each of tenant.hosts) tenantByHost.set(each, tenant);
    for (const each of tenant.apiKeys) tenantByApiKeyId.set(each.id, tenant);
  }
  return { tenantByClaim, tenantByHost, tenantByApiKeyId };
}
