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

export interface SidecarOptions {
  /** Where log lines go; default: standard output at the configured level. */
  readonly log?: Log;
}

/** Starts a sidecar. Rejects with a ReeveError that names the place and the remedy; what was opened is closed again. */
export async function startSidecar(config: SidecarConfig, options: SidecarOptions = {}): Promise<RunningSidecar> {
  const closer = new Closer();
  try {
    return await open(config, options, closer);
  } catch (cause) {
    await closer.close().catch(() => {});
    throw cause;
  }
}

async function open(config: SidecarConfig, options: SidecarOptions, closer: Closer): Promise<RunningSidecar> {
  const log = options.log ?? standardLog(config);
  const world = { clock: systemClock, timers: systemTimers, random: systemRandom, log };
  const metrics = createMetrics(world);
  const identity = createIdentity({
    ...world,
    metrics,
    config: { ...config.identity, ...config.inbound, anonymous: config.anonymous },
    pepper: await readPepper(config.identity.pepperFile),
  });
  closer.add(() => identity.close());
  const limits = createLimits({ ...world, metrics });
  const tenancy = await openTenancy({
    ...world,
    ...config.tenancy,
    stateDir: config.stateDir,
    metrics,
    prepare: (next) => identity.prepare(next),
  });
  closer.add(() => tenancy.close());

  const upstreams = openUpstreams({ ...world, config, metrics });
  closer.add(() => upstreams.close());
  const pipeline = currentPipeline(config, tenancy, identity, limits, upstreams, metrics, log);
  const proxy = await openProxy({ ...world, config, metrics, upstreams, isProtectedName, snapshot: () => tenancy.snapshot, pipeline });
  closer.add(() => proxy.close());

  return serve(config, { tenancy, limits, metrics, proxy, pipeline, log }, closer);
}
