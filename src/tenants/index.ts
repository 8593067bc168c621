export type {
  Allowance,
  ApiKey,
  ByteRate,
  Finding,
  IdentityProvider,
  Plan,
  RequestRate,
  Route,
  Rung,
  Snapshot,
  Tenant,
  TenantState,
} from './model.ts';
export { emptySnapshot, routeOf } from './model.ts';
export type { SidecarDocument } from './schema.ts';
