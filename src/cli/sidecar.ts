/**
 * Wires the rooms into one running sidecar. Opens in this order and closes in the reverse:
 *
 *   metrics → state directory → metering → identity, limits → tenancy (its first snapshot prepares identity) → upstreams → proxy → admin → application → status
 */
import { readFile } from 'node:fs/promises';
import { createHealth, openAdmin, openApplication, openStatus } from '../admin/index.ts';
import { Closer, LoopLag, ReeveError, systemClock, systemRandom, systemTimers } from '../core/index.ts';
import { createIdentity, isProtectedName } from '../identity/index.ts';
import { createAdmission, createLimits } from '../limits/index.ts';
import { AccessLog, buildChain, createObserver, openProxy, openUpstreams } from '../proxy/index.ts';
import { createLog, createMetrics, type Log, LogOutput, type Metrics } from '../telemetry/index.ts';
import { emptySnapshot, type LoaderThread, openTenancy, type SidecarConfig, type Tenancy } from '../tenants/index.ts';
import { watchMismatches } from './mismatches.ts';
import { version } from './version.ts';

/** To tell a collector the rest, also where requests took the whole grace, ms. */
const TELL_MS_MIN = 2000;

export interface RunningSidecar {
  readonly ports: {
    readonly inbound: number;
    readonly status: number;
    readonly admin: number;
    readonly gossip?: number;
    readonly application: number;
  };
  readonly tenancy: Tenancy;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Not ready at once; after the delay no new connections; what is in flight finishes within the grace; then everything closes. */
  drain(): Promise<void>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface SidecarOptions {
  /** Default: lines on standard output at the configured level. */
  readonly log?: Log;
  /** What stands before each line there. */
  readonly linePrefix?: string;
  /** A thread that reads the tenancy already; it is closed with the sidecar, or when the start fails. */
  readonly loader?: LoaderThread;
}

/** Rejects with a ReeveError that names the place and the remedy; what was opened by then is closed again. */
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
  const { loader, linePrefix = '' } = options;
  if (loader !== undefined) closer.add(() => loader.close());
  const output = new LogOutput({
    stream: process.stdout,
    timers: systemTimers,
    prefix: linePrefix,
    onReaderBack: (dropped) => log.warn('log.lines_dropped', { dropped }),
  });
  // Whoever ends the process but the kernel: its last records are written.
  process.once('exit', output.flush);
  closer.add(() => {
    output.close();
    process.off('exit', output.flush);
  });
  const log: Log =
    options.log ??
    createLog({
      clock: systemClock,
      level: config.log.level,
      write: (line) => output.write(line),
      writeRecord: (bytes, length) => output.writeRecord(bytes, length),
      base: { 'service.name': config.name },
    });
  const lag = new LoopLag({ clock: systemClock, timers: systemTimers });
  closer.add(() => lag.close());
  const world = {
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    log,
    lag,
    metrics: createMetrics({ timers: systemTimers, lag }),
  };
  world.metrics.collected({
    name: 'reeve_log_lines_dropped_total',
    help: 'Log lines that were dropped because their reader stalled or is gone.',
    type: 'counter',
    labels: [],
    collect: (emit) => emit([], output.dropped),
  });
  // Given back behind all that writes there.
  if (config.stateDir !== undefined) closer.add((await import('./state-dir.ts')).lockStateDir(config.stateDir));
  // Closed behind all that records.
  const metering =
    config.metering === undefined ? undefined : await (await import('./meter.ts')).openMeter(config, world);
  if (metering !== undefined) closer.add(() => metering.close());
  const pepper = await readPepper(config);
  const identity = createIdentity({
    ...world,
    config: { ...config.identity, ...config.inbound, anonymous: config.anonymous },
    pepper,
  });
  // Loaded by who takes part in one.
  const fleet =
    config.gossip && (await (await import('./fleet.ts')).openFleet(config.gossip, world, config.metering?.collector));
  if (fleet !== undefined) closer.add(() => fleet.close());
  const limits = createLimits({
    ...world,
    stateDir: config.stateDir,
    ...(fleet === undefined ? {} : { fleet: fleet.rates, fleetQuotas: fleet.quotas }),
  });
  // What was used before a restart is known before the first request.
  await limits.open();
  closer.add(() => limits.close());
  fleet?.start();
  const tenancy = await openTenancy({
    ...world,
    ...config.tenancy,
    stateDir: config.stateDir,
    ...(loader === undefined ? {} : { loader }),
    prepare: (next) => identity.prepare(next),
  });
  closer.add(() => tenancy.close());
  limits.use(tenancy.snapshot, emptySnapshot);
  tenancy.onSwap((next, previous) => limits.use(next, previous));

  const upstreams = openUpstreams({ ...world, config });
  closer.add(() => upstreams.close());
  const admission = createAdmission({
    ...world,
    admission: config.admission,
    connectionsMax: config.wire.upstreamConnectionsMax,
    upstreams: upstreams.names,
  });
  watchMismatches(tenancy, config, upstreams.names, log);
  const failures = new Map<string, number>();
  world.metrics.collected({
    name: 'reeve_stage_failures_total',
    help: 'Throws of a stage; a defect. What then happens is said by the stage.',
    type: 'counter',
    labels: ['stage'],
    collect: (emit) => failures.forEach((count, stage) => emit([stage], count)),
  });
  const access = new AccessLog({ ...world, access: config.log });
  const pipeline = buildChain({
    observe: createObserver({ ...world, access }),
    identity,
    metering: metering?.filter,
    limits,
    admission,
    upstreams: upstreams.addresses,
    onStageThrow(stage, cause) {
      failures.set(stage, (failures.get(stage) ?? 0) + 1);
      log.error('stage.failed', { stage, cause });
    },
  });
  const proxy = await openProxy({
    ...world,
    config,
    access,
    upstreams,
    isProtectedName,
    isTrustedProxy: identity.isTrustedProxy,
    snapshot: () => tenancy.snapshot,
    pipeline: () => pipeline,
    commits: metering?.commits,
  });
  closer.add(async () => void (await proxy.close()));

  let isDraining = false;
  const admin = await openAdmin({
    ...config.admin,
    timers: systemTimers,
    view: {
      version,
      stages: pipeline.stages,
      identity: { ...config.identity, trust: config.inbound.trust, hasPepper: pepper !== undefined },
      upstreams: upstreams.addresses,
      snapshot: () => tenancy.snapshot,
      status: () => tenancy.status,
      findings: () => tenancy.findings(),
      whyLeftOut: (name) => tenancy.whyLeftOut(name),
      explainLimits: (tenant, ask) => limits.explain(tenancy.snapshot, tenant, ask),
      members: () => fleet?.members(),
      metering: () => metering?.status(),
      explainAdmission: (tenant, upstream) => admission.explain(upstream, tenant),
      traffic: () => ({ connections: proxy.connections, inFlight: proxy.inFlight, isDraining }),
    },
  });
  closer.add(() => admin.close());
  const application = await openApplication({
    ...config.application,
    timers: systemTimers,
    report(body) {
      const reported = limits.report(tenancy.snapshot, body);
      if (reported.kind === 'counted') metering?.report(reported.tenant, reported.units);
      return reported;
    },
  });
  closer.add(() => application.close());
  const health = createHealth({
    lag,
    generation: () => tenancy.snapshot.generation,
    isDraining: () => isDraining,
    isPulled: () => fleet?.isReady !== false,
  });
  world.metrics.collected({
    name: 'reeve_build_info',
    help: 'Always 1; the version is a label.',
    type: 'gauge',
    labels: ['version', 'node_version'],
    collect: (emit) => emit([version, process.version], 1),
  });
  const status = await openStatus({ ...world, ...config.status, health });
  closer.add(() => status.close());

  const ports = {
    inbound: proxy.port,
    status: status.port,
    admin: admin.port,
    application: application.port,
    ...(fleet === undefined ? {} : { gossip: fleet.port }),
  };
  log.info('sidecar.started', {
    ports,
    tenants: tenancy.snapshot.tenants.size,
    generation: tenancy.snapshot.generation,
    version,
  });
  return {
    ports,
    tenancy,
    metrics: world.metrics,
    log,
    async drain() {
      isDraining = true;
      log.info('sidecar.draining', { in_flight: proxy.inFlight });
      const until = systemClock.now() + config.drain.graceMs;
      const cut = await proxy.drain(config.drain);
      await fleet?.leave();
      // What the last requests used is recorded by now.
      await metering?.drain(Math.max(TELL_MS_MIN, until - systemClock.now()));
      await closer.close();
      log.info('sidecar.stopped', { cut });
    },
    close: () => closer.close(),
    [Symbol.asyncDispose]: () => closer.close(),
  };
}

async function readPepper({ identity }: SidecarConfig): Promise<Buffer | undefined> {
  if (identity.pepperFile === undefined) return undefined;
  let text: string;
  try {
    // A trailing newline is what editors and `echo` add, never a part of the secret.
    text = (await readFile(identity.pepperFile, 'utf8')).trimEnd();
  } catch (cause) {
    throw new ReeveError('pepper-unreadable', `the pepper cannot be read: ${(cause as NodeJS.ErrnoException).code}`, {
      place: identity.pepperFile,
      remedy: 'mount the secret, or leave apiKey out of identity.sources',
      cause,
    });
  }
  // Under an empty secret anyone who reads the tenancy can find keys offline.
  if (text === '')
    throw new ReeveError('pepper-empty', 'the pepper is empty', {
      place: identity.pepperFile,
      remedy: 'write a secret of 32 random bytes, such as from openssl rand -base64 32',
    });
  return Buffer.from(text);
}
