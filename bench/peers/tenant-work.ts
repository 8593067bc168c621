/**
 * What a sidecar does with a request, for the proxies on Node that are compared: written as a careful engineer would, with what was
 * verified remembered, limits in typed arrays and records written in large pieces, so that the row measures the proxy.
 */
import { createHmac, createPublicKey, type KeyObject, timingSafeEqual, verify } from 'node:crypto';
import { openSync, readFileSync, writeSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';

export interface PeerConfig {
  readonly port: number;
  readonly statusPort: number;
  readonly upstreamPort: number;
  readonly work: WorkConfig;
}

interface WorkConfig {
  readonly level: string;
  readonly algorithm: 'HS256' | 'RS256';
  readonly issuer: string;
  readonly audience: string;
  readonly secret: string;
  readonly publicPem: string;
  readonly recordFile: string;
  /** `NAME TIER PER-SECOND`. */
  readonly limits: readonly string[];
}

export interface Admission {
  /** Index of the tenant; -1 where the level knows no tenants. */
  readonly tenant: number;
  /** The status of a refusal, or 0. */
  readonly refused: number;
}

export interface TenantWork {
  /** The headers are changed in place: what a client forged goes, the tenant comes. */
  admit(headers: IncomingHttpHeaders): Admission;
  record(tenant: number, status: number, bytesIn: number, bytesOut: number, startedMs: number): void;
  metrics(): string;
}

interface Verified {
  readonly tenant: number;
  readonly expSec: number;
}

/** As Reeve's: verified tokens held. */
const TOKENS_MAX = 50_000;
const RECORD_BYTES = 65_536;

export function readConfig(): PeerConfig {
  return JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as PeerConfig;
}

export function serveMetrics(port: number, work: TenantWork): void {
  createServer((_, response) => response.end(work.metrics())).listen(port, '127.0.0.1');
}

export function createTenantWork(config: WorkConfig): TenantWork {
  const { level } = config;
  const tenants = createTenants(config);
  const verified = level >= 'W2' ? createVerifier(config, tenants.indexOf) : undefined;
  const records = level >= 'W4' ? createRecords(config.recordFile) : undefined;
  const statuses = new Float64Array(600);
  const byTenant = new Float64Array(tenants.names.length);

  return {
    admit(headers) {
      if (level === 'W0') return { tenant: -1, refused: 0 };
      let tenant: number | undefined;
      if (verified === undefined) tenant = tenants.indexOf.get(String(headers['x-org']));
      else tenant = verified(headers.authorization);
      if (tenant === undefined) return { tenant: -1, refused: 401 };
      if (level >= 'W3' && !tenants.take(tenant)) return { tenant, refused: 429 };
      headers['x-tenant-id'] = tenants.names[tenant];
      headers['x-tenant-tier'] = tenants.tiers[tenant];
      return { tenant, refused: 0 };
    },
    record(tenant, status, bytesIn, bytesOut, startedMs) {
      if (records === undefined) return;
      (statuses[status] as number)++;
      if (level >= 'W5' && tenant >= 0) (byTenant[tenant] as number)++;
      const tookMs = performance.now() - startedMs;
      records(
        `{"ts":${Date.now()},"t":"${tenants.names[tenant] ?? ''}","s":${status},"bi":${bytesIn},"bo":${bytesOut},"ms":${tookMs.toFixed(2)}}\n`,
      );
    },
    metrics() {
      let text = '# TYPE requests_total counter\n';
      for (let status = 0; status < statuses.length; status++)
        if ((statuses[status] as number) > 0) text += `requests_total{status="${status}"} ${statuses[status]}\n`;
      for (let at = 0; at < byTenant.length; at++)
        if ((byTenant[at] as number) > 0)
          text += `tenant_requests_total{tenant="${tenants.names[at]}"} ${byTenant[at]}\n`;
      return text;
    },
  };
}

interface Tenants {
  readonly names: readonly string[];
  readonly tiers: readonly string[];
  readonly indexOf: ReadonlyMap<string, number>;
  /** False when the tenant is over its limit. */
  take(tenant: number): boolean;
}

/** GCRA (ITU-T I.371): one number a tenant, the time at which its bucket is empty again. */
function createTenants({ limits }: WorkConfig): Tenants {
  const rows = limits.map((line) => line.split(' ') as [string, string, string]);
  const names = rows.map(([name]) => name);
  const perSec = Float64Array.from(rows, ([, , rate]) => Number(rate));
  const emptyAtMs = new Float64Array(rows.length);
  return {
    names,
    tiers: rows.map(([, tier]) => tier),
    indexOf: new Map(names.map((name, index) => [name, index])),
    take(tenant) {
      const now = performance.now();
      const rate = perSec[tenant] as number;
      const next = Math.max(emptyAtMs[tenant] as number, now) + 1000 / rate;
      // The burst is one second of the limit.
      if (next - now > 1000) return false;
      emptyAtMs[tenant] = next;
      return true;
    },
  };
}

function createVerifier(
  config: WorkConfig,
  indexOf: ReadonlyMap<string, number>,
): (authorization: string | undefined) => number | undefined {
  const publicKey = config.algorithm === 'RS256' ? createPublicKey(config.publicPem) : undefined;
  const known = new Map<string, Verified>();
  return (authorization) => {
    if (authorization === undefined || !authorization.startsWith('Bearer ')) return undefined;
    let found = known.get(authorization);
    if (found === undefined) {
      found = verifyToken(authorization.slice(7), config, publicKey, indexOf);
      if (found === undefined) return undefined;
      if (known.size >= TOKENS_MAX) known.delete(known.keys().next().value as string);
      known.set(authorization, found);
    }
    return found.expSec * 1000 > Date.now() ? found.tenant : undefined;
  };
}

function verifyToken(
  token: string,
  { issuer, audience, secret, algorithm }: WorkConfig,
  publicKey: KeyObject | undefined,
  indexOf: ReadonlyMap<string, number>,
): Verified | undefined {
  const [header, payload, signature, ...more] = token.split('.');
  if (header === undefined || payload === undefined || signature === undefined || more.length > 0) return undefined;
  const signed = `${header}.${payload}`;
  const given = Buffer.from(signature, 'base64url');
  if (publicKey === undefined) {
    const wanted = createHmac('sha256', secret).update(signed).digest();
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined;
  } else if (!verify('sha256', Buffer.from(signed), publicKey, given)) return undefined;
  const { alg } = parsed(header) as { alg?: string };
  const claims = parsed(payload) as { iss?: string; aud?: string; tid?: string; exp?: number };
  if (alg !== algorithm || claims.iss !== issuer || claims.aud !== audience) return undefined;
  const tenant = indexOf.get(claims.tid ?? '');
  return tenant === undefined || claims.exp === undefined ? undefined : { tenant, expSec: claims.exp };
}

const parsed = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString());

/** Synchronous: on tmpfs, one call a 64 KiB costs less than a trip through the thread pool. What is pending is written at the end. */
function createRecords(file: string): (line: string) => void {
  const fd = openSync(file, 'a');
  let pending = '';
  const flush = (): void => {
    if (pending !== '') writeSync(fd, pending);
    pending = '';
  };
  setInterval(flush, 1000).unref();
  process.once('SIGTERM', () => {
    flush();
    process.exit(0);
  });
  return (line) => {
    pending += line;
    if (pending.length >= RECORD_BYTES) flush();
  };
}
