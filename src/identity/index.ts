export { prefixOf } from './anonymous.ts';
export { replyOfState } from './filter.ts';
export type { Identity, IdentityOptions } from './identity.ts';
export { createIdentity } from './identity.ts';
export { isProtectedName } from './protected-names.ts';
export { PLAN_FIELD, TENANT_FIELD, tenantFields } from './tenant-fields.ts';
