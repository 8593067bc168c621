export type { BootResult, GivenSetting } from './boot/boot.ts';
export { bootFlags, bootSidecar } from './boot/boot.ts';
export type { CollectorConfig, GossipConfig, MeteringConfig, SidecarConfig } from './boot/sidecar.ts';
export type { Difference } from './difference.ts';
export { diffSnapshots } from './difference.ts';
export { foldFindings, formatFinding } from './findings.ts';
export type { Setting } from './generated/settings.ts';
export { sidecarSettings } from './generated/settings.ts';
export type { Inspection } from './inspect.ts';
export { inspectTenancy } from './inspect.ts';
export { LoaderThread } from './loader-thread.ts';
export type {
  Allowance,
  ApiKey,
  ByteRate,
  Finding,
  IdentityProvider,
  Plan,
  Quota,
  QuotaAction,
  QuotaThreshold,
  RequestRate,
  Route,
  Rung,
  Snapshot,
  Tenant,
  TenantState,
} from './model.ts';
export { emptySnapshot, routeOf } from './model.ts';
export type { Reload } from './reload.ts';
export type { Tenancy, TenancyOptions, TenancyStatus } from './tenancy.ts';
export { openTenancy } from './tenancy.ts';
export { unknownUpstreams } from './unknown-upstreams.ts';
