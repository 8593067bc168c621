/** Where requests go: one pool of connections an upstream, its health, and the bound on who may wait for a connection. */
import type { Clock } from '../core/index.ts';
import { type Metrics, OTHER, UPSTREAMS_SHOWN_MAX } from '../telemetry/index.ts';
import type { SidecarConfig } from '../tenants/index.ts';
import { RESPONSE_HEAD_BYTES_MAX } from '../wire/index.ts';
import { LazyPool } from './lazy-pool.ts';
import { Turns } from './turns.ts';
import { addressOf, type UpstreamAddress } from './upstream-address.ts';
import type { UpstreamPool } from './upstream-pool.ts';

export type UpstreamError = 'connect' | 'reset' | 'timeout' | 'malformed';

export interface Upstream {
  readonly name: string;
  /** How to dial it, for the paths that need a connection of their own. */
  readonly address: UpstreamAddress;
  readonly pool: UpstreamPool;
  readonly connectTimeoutMs: number;
  /** Without a byte of an answer that has begun. */
  readonly idleTimeoutMs: number;
  /** Every request takes one, on whichever connection it goes; tunnels do not: they last, and the client's connection bounds them. */
  readonly turns: Turns;
  /** 0 when it may be tried, else ms until it is tried again. */
  closedMs(): number;
  failed(error: UpstreamError): void;
  succeeded(): void;
}

export interface Upstreams {
  readonly names: ReadonlySet<string>;
  /** By name, as the boot configuration says them. */
  readonly addresses: ReadonlyMap<string, string>;
  get(name: string): Upstream | undefined;
  close(): Promise<void>;
}

/** The name of the upstream every request goes to unless a route says otherwise. */
export const APPLICATION = 'application';

/** Requests that wait for a connection, for each connection there may be. */
const WAITING_PER_CONNECTION = 4;
/** Connection failures in a row before an upstream is left alone for a while. */
const FAILURES_MAX = 3;
/** How long it is left alone, doubling: a restart of the application takes a second or two, and is noticed within one. */
const PAUSE_MS = 50;
const PAUSE_MS_MAX = 1000;
/** Idle connections are closed before most servers close theirs (node:http 5 s, nginx 75 s). */
const IDLE_MS = 4000;

const TIMEOUTS: ReadonlySet<string> = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT']);
const UNREACHED: ReadonlySet<string> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ENOENT',
  'EHOSTUNREACH',
  'ENOTFOUND',
]);
const UNSOUND: ReadonlySet<string> = new Set(['UND_ERR_HEADERS_OVERFLOW', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH']);

export interface UpstreamOptions {
  readonly config: SidecarConfig;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

export function openUpstreams({ config, clock, metrics }: UpstreamOptions): Upstreams {
  const byName = new Map<string, PooledUpstream>();
  const addresses = new Map([[APPLICATION, config.upstream], ...config.upstreams]);
  for (const [name, url] of addresses) byName.set(name, new PooledUpstream(name, url, config.wire, clock));
  const all = [...byName.values()];
  const [shown, others] = [all.slice(0, UPSTREAMS_SHOWN_MAX), all.slice(UPSTREAMS_SHOWN_MAX)];
  metrics.collected({
    name: 'reeve_upstream_errors_total',
    help: 'Failed attempts by upstream and reason.',
    type: 'counter',
    labels: ['upstream', 'reason'],
    collect(emit) {
      for (const each of shown) each.errors.forEach((count, reason) => emit([each.name, reason], count));
      const rest = new Map<UpstreamError, number>();
      for (const { errors } of others)
        errors.forEach((count, reason) => rest.set(reason, (rest.get(reason) ?? 0) + count));
      rest.forEach((count, reason) => emit([OTHER, reason], count));
    },
  });
  metrics.collected({
    name: 'reeve_upstream_up',
    help: '0 while an upstream is left alone after failed connections.',
    type: 'gauge',
    labels: ['upstream'],
    collect(emit) {
      for (const each of shown) emit([each.name], Number(each.closedMs() <= 0));
      if (others.length > 0) emit([OTHER], Number(others.every((each) => each.closedMs() <= 0)));
    },
  });
  return {
    names: new Set(byName.keys()),
    addresses,
    get: (name) => byName.get(name),
    async close() {
      await Promise.all(all.map((each) => each.pool.destroy()));
    },
  };
}

class PooledUpstream implements Upstream {
  readonly name: string;
  readonly address: UpstreamAddress;
  readonly pool: UpstreamPool;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly turns: Turns;
  readonly errors = new Map<UpstreamError, number>();
  readonly #clock: Clock;
  #failures = 0;
  #closedUntil = 0;

  constructor(name: string, url: string, wire: SidecarConfig['wire'], clock: Clock) {
    this.name = name;
    this.#clock = clock;
    this.connectTimeoutMs = wire.connectTimeoutMs;
    this.idleTimeoutMs = wire.idleTimeoutMs;
    this.turns = new Turns(wire.upstreamConnectionsMax, wire.upstreamConnectionsMax * WAITING_PER_CONNECTION);
    this.address = addressOf(url);
    const isSocket = 'socketPath' in this.address;
    this.pool = new LazyPool(isSocket ? 'http://localhost' : new URL(url).origin, {
      ...(isSocket ? this.address : {}),
      connections: wire.upstreamConnectionsMax,
      keepAliveTimeout: IDLE_MS,
      headersTimeout: wire.responseTimeoutMs,
      bodyTimeout: wire.idleTimeoutMs,
      connect: { timeout: wire.connectTimeoutMs, noDelay: true },
      maxHeaderSize: RESPONSE_HEAD_BYTES_MAX,
      strictContentLength: true,
    });
  }

  closedMs(): number {
    return this.#closedUntil === 0 ? 0 : Math.max(0, this.#closedUntil - this.#clock.now());
  }

  failed(error: UpstreamError): void {
    this.errors.set(error, (this.errors.get(error) ?? 0) + 1);
    if (error !== 'connect') return;
    this.#failures++;
    if (this.#failures < FAILURES_MAX) return;
    this.#closedUntil = this.#clock.now() + Math.min(PAUSE_MS * 2 ** (this.#failures - FAILURES_MAX), PAUSE_MS_MAX);
  }

  succeeded(): void {
    this.#failures = 0;
    this.#closedUntil = 0;
  }
}

/** What became of an attempt, by the codes of undici, llhttp and the kernel. */
export function reasonOf(cause: Error): UpstreamError {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  if (TIMEOUTS.has(code)) return 'timeout';
  if (UNREACHED.has(code)) return 'connect';
  // Undici's parser errors come without a code at times, and their names say it.
  const isParser = code.startsWith('HPE_') || cause.name === 'HTTPParserError';
  if (isParser || UNSOUND.has(code) || /bad (response|upgrade)/.test(cause.message)) return 'malformed';
  return 'reset';
}
