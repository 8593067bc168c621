/** The boot file, compiled: defaults applied, units parsed, paths made absolute. */

export interface SidecarConfig {
  readonly name: string;
  readonly upstream: string;
  readonly upstreams: ReadonlyMap<string, string>;
  readonly tenancy: { readonly dir: string; readonly allowShrink: boolean; readonly removeGraceMs: number };
  readonly stateDir: string | undefined;
  readonly inbound: {
    readonly host: string;
    readonly port: number;
    readonly class: 'edge' | 'mesh';
    readonly trust: 'credentials' | 'network';
    readonly strict: boolean;
    /** CIDR texts, validated. */
    readonly trustedProxies: readonly string[];
  };
  readonly identity: {
    readonly sources: readonly ('jwt' | 'apiKey' | 'host' | 'path' | 'header')[];
    readonly header: string;
    readonly pathPrefix: string;
    readonly apiKeyHeader: string;
    readonly pepperFile: string | undefined;
    readonly injectCredentials: boolean;
  };
  readonly anonymous: { readonly perSec: number; readonly burst: number };
  /** Undefined: this sidecar is alone. */
  readonly gossip: GossipConfig | undefined;
  /** Undefined: what is used is not recorded. */
  readonly metering: MeteringConfig | undefined;
  readonly wire: {
    readonly headBytesMax: number;
    readonly headersMax: number;
    readonly targetBytesMax: number;
    readonly bodyBytesMax: number;
    readonly headTimeoutMs: number;
    readonly idleTimeoutMs: number;
    readonly connectTimeoutMs: number;
    readonly responseTimeoutMs: number;
    readonly connectionsMax: number;
    readonly upstreamConnectionsMax: number;
    readonly via: boolean;
    readonly fastPath: boolean;
  };
  /** Admission to each upstream. */
  readonly admission: {
    readonly enabled: boolean;
    /** Requests unanswered at once. */
    readonly min: number;
    readonly max: number;
    readonly tolerance: number;
    readonly waitMaxMs: number;
  };
  readonly status: { readonly host: string; readonly port: number };
  readonly admin: { readonly host: string; readonly port: number };
  readonly application: { readonly host: string; readonly port: number };
  /** `delayMs` is a part of `graceMs`. */
  readonly drain: { readonly delayMs: number; readonly graceMs: number };
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly access: 'off' | 'errors' | 'sampled' | 'all';
    /** Share of requests in [0, 1]. */
    readonly sample: number;
  };
}

export interface GossipConfig {
  readonly keyFile: string;
  readonly seeds: { readonly dns: string } | { readonly file: string } | { readonly list: readonly string[] };
  readonly cluster: string;
  readonly name: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly advertise: string | undefined;
  readonly partition: 'hold' | 'strict' | 'open';
}

export interface MeteringConfig {
  readonly dir: string;
  /** Undefined: records stay in the spool. */
  readonly collector: CollectorConfig | undefined;
  readonly durability: 'os' | 'interval' | 'strict';
  readonly granularity: 'raw' | 'window';
  /** Of the spool. */
  readonly maxBytes: number;
  readonly onFull: 'failOpen' | 'failClosed';
  /** After how long what is not over is recorded in part. */
  readonly streamEveryMs: number;
  readonly traceIds: boolean;
}

export interface CollectorConfig {
  /** Host and port. */
  readonly address: string;
  /** Undefined: in plain text. */
  readonly tls:
    | {
        readonly caFile: string | undefined;
        readonly certFile: string | undefined;
        readonly keyFile: string | undefined;
      }
    | undefined;
  readonly tokenFile: string | undefined;
}
