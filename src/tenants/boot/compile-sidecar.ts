/** A sound boot file as the sidecar looks at it: numbers for texts, and what nobody set. */
import { join } from 'node:path';
import { parseDurationMs, parsePercent, parseRatePerSec, parseSizeBytes } from '../../core/index.ts';
import { sidecarSettings } from '../generated/settings.ts';
import type { SidecarDocument } from '../schema.ts';
import type { CollectorConfig, GossipConfig, SidecarConfig } from './sidecar.ts';

export function compileSidecar({ metadata, spec }: SidecarDocument): SidecarConfig {
  const value = (path: string): unknown => {
    const found = path
      .split('.')
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], spec);
    return found ?? sidecarSettings.find((each) => each.path === path)?.default;
  };
  const text = (path: string) => value(path) as string;
  const ms = (path: string) => parseDurationMs(text(path)) as number;
  // `1.0001KiB` is no whole number, and Node refuses it.
  const bytes = (path: string) => Math.floor(parseSizeBytes(text(path)) as number);
  const number = (path: string) => value(path) as number;
  const isOn = (path: string) => value(path) as boolean;
  return {
    name: metadata.name,
    upstream: spec.upstream,
    upstreams: new Map(Object.entries(spec.upstreams ?? {}).map(([name, url]) => [name, url as string])),
    tenancy: {
      dir: text('tenancy.dir'),
      allowShrink: isOn('tenancy.allowShrink'),
      removeGraceMs: ms('tenancy.removeGrace'),
    },
    stateDir: spec.stateDir,
    inbound: {
      host: text('inbound.host'),
      port: number('inbound.port'),
      class: value('inbound.class') as 'edge',
      trust: value('inbound.trust') as 'credentials',
      strict: isOn('inbound.strict'),
      trustedProxies: spec.inbound?.trustedProxies ?? [],
    },
    identity: {
      sources: value('identity.sources') as SidecarConfig['identity']['sources'],
      header: text('identity.header'),
      pathPrefix: text('identity.pathPrefix'),
      apiKeyHeader: text('identity.apiKeyHeader'),
      pepperFile: spec.identity?.pepperFile,
      injectCredentials: isOn('identity.injectCredentials'),
    },
    anonymous: { perSec: parseRatePerSec(text('anonymous.limit')) as number, burst: number('anonymous.burst') },
    gossip: spec.gossip && {
      keyFile: spec.gossip.keyFile,
      seeds: spec.gossip.seeds as GossipConfig['seeds'],
      cluster: text('gossip.cluster'),
      name: spec.gossip.name,
      host: text('gossip.host'),
      port: number('gossip.port'),
      advertise: spec.gossip.advertise,
      partition: value('gossip.partition') as 'hold',
    },
    metering: spec.metering && {
      dir: spec.metering.dir ?? join(spec.stateDir as string, 'spool'),
      collector: spec.metering.collector && {
        address: spec.metering.collector.address,
        tls: tlsOf(spec.metering.collector.tls),
        tokenFile: spec.metering.collector.tokenFile,
      },
      durability: value('metering.durability') as 'interval',
      granularity: value('metering.granularity') as 'raw',
      maxBytes: bytes('metering.maxBytes'),
      onFull: value('metering.onFull') as 'failOpen',
      streamEveryMs: ms('metering.streamEvery'),
      traceIds: isOn('metering.traceIds'),
    },
    wire: {
      headBytesMax: bytes('wire.headBytesMax'),
      headersMax: number('wire.headersMax'),
      targetBytesMax: bytes('wire.targetBytesMax'),
      bodyBytesMax: bytes('wire.bodyBytesMax'),
      headTimeoutMs: ms('wire.headTimeout'),
      idleTimeoutMs: ms('wire.idleTimeout'),
      connectTimeoutMs: ms('wire.connectTimeout'),
      responseTimeoutMs: ms('wire.responseTimeout'),
      connectionsMax: number('wire.connectionsMax'),
      upstreamConnectionsMax: number('wire.upstreamConnectionsMax'),
      via: isOn('wire.via'),
      fastPath: isOn('wire.fastPath'),
    },
    admission: {
      enabled: isOn('admission.enabled'),
      // Without one the limit is not learned.
      min: spec.admission?.min ?? number('admission.max'),
      max: number('admission.max'),
      tolerance: number('admission.tolerance'),
      waitMaxMs: ms('admission.wait'),
    },
    status: { host: text('status.host'), port: number('status.port') },
    admin: { host: text('admin.host'), port: number('admin.port') },
    application: { host: text('application.host'), port: number('application.port') },
    drain: { delayMs: ms('drain.delay'), graceMs: ms('drain.grace') },
    log: {
      level: value('log.level') as 'info',
      access: value('log.access') as 'errors',
      sample: parsePercent(text('log.sample')) as number,
    },
  };
}

function tlsOf(
  tls:
    | {
        enabled?: boolean | undefined;
        caFile?: string | undefined;
        certFile?: string | undefined;
        keyFile?: string | undefined;
      }
    | undefined,
): CollectorConfig['tls'] {
  if (tls === undefined || tls.enabled === false) return undefined;
  return { caFile: tls.caFile, certFile: tls.certFile, keyFile: tls.keyFile };
}
