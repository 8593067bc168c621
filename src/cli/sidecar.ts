/**
 * Wires the rooms into one running sidecar. Opens in this order and closes in the reverse:
 *
 *   metrics → identity, limits → tenancy (its first snapshot prepares identity) → upstreams → proxy → admin → status
 */
import { readFile } from 'node:fs/promises';
import { type AdminView, createHealth, type Health, openAdmin, openStatus } from '../admin/index.ts';
import { Closer, ReeveError, systemClock, systemRandom, systemTimers } from '../core/index.ts';
import { createIdentity, type Identity, isProtectedName } from '../identity/index.ts';
import { createLimits, type Limits } from '../limits/index.ts';
import type { Pipeline } from '../pipeline/index.ts';
import { buildChain, createObserver, openProxy, openUpstreams, type Proxy } from '../proxy/index.ts';
import { createLog, createMetrics, type Log, type Metrics } from '../telemetry/index.ts';
import { openTenancy, type SidecarConfig, type Snapshot, type Tenancy } from '../tenants/index.ts';
import { version } from './version.ts';

export interface RunningSidecar {
  readonly ports: { readonly inbound: number; readonly status: number; readonly admin: number };
  readonly tenancy: Tenancy;
  readonly metrics: Metrics;
  /** Not ready at once, no new connections, requests in flight finish within the grace; then everything closes. */
  drain(): Promise<void>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
