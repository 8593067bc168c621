// hot path
/** By what the application knows whose request it is. Towards it they stand before all that stages inject, and nobody else may say them. */
import type { Tenant } from '../tenants/index.ts';

export const TENANT_FIELD = 'x-tenant-id';
export const PLAN_FIELD = 'x-tenant-plan';

/** Name and value alternating. Without a tenant, as where a chain identifies nobody, none. */
export function tenantFields(tenant: Tenant | undefined): string[] {
  return tenant === undefined ? [] : [TENANT_FIELD, tenant.id, PLAN_FIELD, tenant.plan.name];
}
