/** Wires sources, keys, cache and table into the two stages of the chain. */
import { BlockList, isIPv6 } from 'node:net';
import type { Clock, Timers } from '../core/index.ts';
import type { Exchange, Filter, IdentitySource, Sanitised } from '../pipeline/index.ts';
import type { Log, Metrics } from '../telemetry/index.ts';
import { emptySnapshot, type SidecarConfig, type Snapshot, type Tenant } from '../tenants/index.ts';
import { AnonymousTable } from './anonymous.ts';
import { type IdentifyOptions, identifyFilter, sanitiseFilter } from './filter.ts';
import { KeyStore } from './key-store.ts';
import { apiKeySource } from './sources/api-key.ts';
import { headerSource, hostSource, pathSource } from './sources/hints.ts';
import { jwtSource } from './sources/jwt.ts';
import type { Source } from './sources/source.ts';
import { TokenCache } from './token-cache.ts';

export interface IdentityOptions {
  readonly config: SidecarConfig['identity'] &
    Pick<SidecarConfig['inbound'], 'trust' | 'strict' | 'trustedProxies'> & {
      readonly anonymous: SidecarConfig['anonymous'];
    };
  /** The secret under which API keys are hashed; without it every API key is refused. */
  readonly pepper: Buffer | undefined;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface Identity {
  readonly sanitise: Filter<Exchange, { sanitised: true }>;
  readonly identify: Filter<Sanitised, { tenant: Tenant; source: IdentitySource }>;
  /** Loads the keys of a generation before it becomes current. Never rejects. */
  prepare(next: Snapshot): Promise<void>;
  /** Whether a peer's forwarding headers are believed. */
  isTrustedProxy(peer: string): boolean;
}

/** As long as a claim may be. */
const EXTERNAL_ID_CHARS_MAX = 256;

const REASONS = [
  'credential-missing',
  'credential-invalid',
  'credential-expired',
  'identity-unavailable',
  'tenant-mismatch',
  'tenant-unknown',
  'tenant-pending',
  'tenant-readonly',
  'tenant-suspended',
  'tenant-offboarding',
] as const;

export function createIdentity(options: IdentityOptions): Identity {
  const { config, clock, log, metrics } = options;
  const cache = new TokenCache();
  const anonymous = new AnonymousTable(clock, config.anonymous);
  // Bounds the lines that verified tenants cause. A table of its own: what one tenant does must not change what a stranger is told.
  const noted = new AnonymousTable(clock, config.anonymous);
  const fetches = metrics.counters({
    name: 'reeve_jwks_fetches_total',
    help: 'Fetches of key sets by URL.',
    labels: { result: ['ok', 'failed'] },
  });
  const keys = new KeyStore({ ...options, countFetch: (result) => fetches.add(fetches.index(result)) });
  const isTrustedProxy = trustOf(config.trustedProxies);
  const spoofs = metrics.counter({
    name: 'reeve_spoofing_attempts_total',
    help: 'Requests that carried a protected header from outside.',
  });
  const failures = metrics.counters({
    name: 'reeve_identity_failures_total',
    help: 'Requests that were not identified, by reason.',
    labels: { reason: REASONS },
  });
  metrics.gauge({ name: 'reeve_identity_cached_tokens', help: 'Verified tokens held.', read: () => cache.size });
  metrics.gauge({
    name: 'reeve_anonymous_prefixes',
    help: 'Peer prefixes in the table of unidentified traffic.',
    read: () => anonymous.size,
  });

  const onRefusal: IdentifyOptions['onRefusal'] = (x, reply, proven, why) => {
    failures.add(failures.index(reply.code));
    const waitMs = proven === undefined ? anonymous.charge(x.peer) : 0;
    if (waitMs > 0)
      return {
        code: 'anonymous-rate',
        detail: 'Too many requests without a verified tenant from this network.',
        retryAfterMs: waitMs,
      };
    if (proven === undefined || noted.charge(x.peer) === 0)
      log.warn('identity.refused', {
        reason: reply.code,
        detail: why?.detail,
        sources: why?.sources,
        external_id: why?.externalId?.slice(0, EXTERNAL_ID_CHARS_MAX),
        request_id: x.id,
        tenant: proven?.id,
        peer: x.peer,
        host: x.host,
        method: x.method,
      });
    return reply;
  };
  const onSpoof = (x: Exchange, removed: number): void => {
    spoofs.add();
    if (noted.charge(x.peer) === 0)
      log.warn('identity.spoofing', {
        request_id: x.id,
        peer: x.peer,
        host: x.host,
        fields: removed,
        refused: config.strict,
      });
  };

  let current = emptySnapshot;
  return {
    sanitise: sanitiseFilter({ isStrict: config.strict, isTrustedProxy, onSpoof }),
    identify: identifyFilter({
      sources: sourcesOf(options, cache, keys),
      credentialHeaders: config.injectCredentials ? [] : ['authorization', config.apiKeyHeader],
      onRefusal,
    }),
    isTrustedProxy,
    async prepare(next) {
      await keys.prepare(next, current);
      current = next;
    },
  };
}

function sourcesOf({ config, clock, pepper, metrics }: IdentityOptions, cache: TokenCache, keys: KeyStore): Source[] {
  const isProof = config.trust === 'network';
  const tokens = metrics.counters({
    name: 'reeve_identity_tokens_total',
    help: 'Tokens by what the cache knew of them.',
    labels: { result: ['hit', 'miss', 'refused_hit'] },
  });
  const indexes = { hit: tokens.index('hit'), miss: tokens.index('miss'), refused_hit: tokens.index('refused_hit') };
  return config.sources.map((name): Source => {
    if (name === 'jwt') return jwtSource({ clock, cache, keys, count: (result) => tokens.add(indexes[result]) });
    if (name === 'apiKey') return apiKeySource({ header: config.apiKeyHeader, pepper, clock });
    if (name === 'host') return hostSource(isProof);
    return name === 'path' ? pathSource(isProof, config.pathPrefix) : headerSource(isProof, config.header);
  });
}

function trustOf(ranges: readonly string[]): (peer: string) => boolean {
  if (ranges.length === 0) return () => false;
  const trusted = new BlockList();
  for (const range of ranges) {
    const [address, bits] = range.split('/') as [string, string | undefined];
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    trusted.addSubnet(address, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  }
  return (peer) => trusted.check(peer, isIPv6(peer) ? 'ipv6' : 'ipv4');
}
