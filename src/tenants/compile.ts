/** Validated documents to the objects of a snapshot: units parsed, defaults applied, what a schema cannot say checked. */
import {
  parseByteRatePerSec,
  parseDurationMs,
  parsePercent,
  parseRatePerSec,
  parseSizeBytes,
  type TenantId,
  type TenantIndex,
} from '../core/index.ts';
import type { Allowance, ApiKey, ByteRate, IdentityProvider, Plan, RequestRate, Route, Rung, Tenant } from './model.ts';
import type { IdentityProviderDocument, PlanDocument, RouteDocument, TenantDocument } from './schema.ts';

/** A problem that only the meaning shows; `path` in the document. */
export interface Objection {
  readonly severity: 'error' | 'warning';
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly remedy: string | undefined;
}

type RatesDocument = NonNullable<PlanDocument['spec']['rate']>;
type RequestsDocument = NonNullable<RatesDocument['requests']>;

const NO_ALLOWANCE: Allowance = { requests: undefined, egress: undefined, concurrency: undefined, shadow: false };
const DEFAULT_LADDER: readonly Rung[] = [{ kind: 'credit' }, { kind: 'reject' }];
const LATER = 'takes effect in a later version';

export function compilePlan(document: PlanDocument, index: number): Plan {
  const { spec } = document;
  const allowance = allow(NO_ALLOWANCE, spec);
  return {
    name: document.metadata.name,
    index,
    weight: spec.weight ?? 1,
    allowance,
    ladder: spec.degrade === undefined ? DEFAULT_LADDER : ladder(spec.degrade),
  };
}

/** The allowance of `base` with what `change` names laid over it, key by key. */
function allow(base: Allowance, change: { rate?: RatesDocument; concurrency?: number; shadow?: boolean }): Allowance {
  return {
    requests: change.rate?.requests === undefined ? base.requests : requestRate(change.rate.requests, base.requests),
    egress: change.rate?.egress === undefined ? base.egress : byteRate(change.rate.egress.limit),
    concurrency: change.concurrency ?? base.concurrency,
    shadow: change.shadow ?? base.shadow,
  };
}

function requestRate(document: RequestsDocument, base?: RequestRate): RequestRate {
  const perSec = parseRatePerSec(document.limit) as number;
  // An override of the limit alone keeps the plan's proportions.
  const scale = base === undefined ? undefined : perSec / base.perSec;
  const burst =
    document.burst ??
    (base === undefined || scale === undefined ? Math.max(perSec, 1) : Math.max(base.burst * scale, 1));
  return { perSec, burst, credits: creditsOf(document, perSec, base), text: document.limit };
}

function creditsOf(document: RequestsDocument, perSec: number, base: RequestRate | undefined): RequestRate['credits'] {
  if (document.credits !== undefined) {
    return {
      earn: parsePercent(document.credits.earn) as number,
      capUnits: (perSec * (parseDurationMs(document.credits.cap) as number)) / 1e3,
    };
  }
  if (base?.credits === undefined) return undefined;
  return { earn: base.credits.earn, capUnits: (base.credits.capUnits * perSec) / base.perSec };
}

function byteRate(text: string): ByteRate {
  return { bytesPerSec: parseByteRatePerSec(text) as number, text };
}

function ladder(rungs: NonNullable<PlanDocument['spec']['degrade']>): Rung[] {
  return rungs.flatMap((rung): Rung[] => {
    if (rung === 'credit' || rung === 'reject') return [{ kind: rung }];
    if (typeof rung === 'string') return [];
    if ('shape' in rung) return [{ kind: 'shape', delayMsMax: parseDurationMs(rung.shape) as number }];
    if ('features' in rung) return [{ kind: 'features', features: rung.features }];
    return 'route' in rung ? [{ kind: 'route' }] : [];
  });
}

export function objectToPlan({ spec }: PlanDocument): Objection[] {
  const objections: Objection[] = [];
  const warn = (path: (string | number)[]) =>
    objections.push({ severity: 'warning', path: ['spec', ...path], message: LATER, remedy: undefined });
  if (spec.quotas !== undefined) warn(['quotas']);
  for (const [at, rung] of (spec.degrade ?? []).entries()) {
    if (rung === 'deprioritize' || (typeof rung === 'object' && 'stale' in rung)) warn(['degrade', at]);
  }
  return [...objections, ...objectToRates(['spec'], spec.rate)];
}

function objectToRates(path: readonly string[], rates: RatesDocument | undefined): Objection[] {
  const requests = rates?.requests;
  if (requests === undefined) return [];
  const at = [...path, 'rate', 'requests'];
  const objections: Objection[] = [];
  if (parseRatePerSec(requests.limit) === 0) {
    objections.push({
      severity: 'error',
      path: [...at, 'limit'],
      message: 'a rate of zero admits nobody',
      remedy: 'use state: suspended to refuse a tenant',
    });
  }
  if (requests.burst !== undefined && requests.burst < 1) {
    objections.push({
      severity: 'error',
      path: [...at, 'burst'],
      message: 'a burst under 1 admits nobody',
      remedy: 'use at least 1',
    });
  }
  return objections;
}

export interface TenantFacts {
  readonly plan: Plan;
  readonly index: TenantIndex;
  readonly file: string;
}

export function compileTenant(document: TenantDocument, { plan, index, file }: TenantFacts): Tenant {
  const { metadata, spec } = document;
  const name = metadata.name;
  return {
    id: name as TenantId,
    index,
    state: spec.state ?? 'active',
    plan,
    allowance: spec.overrides === undefined ? plan.allowance : allow(plan.allowance, spec.overrides),
    timezone: spec.timezone ?? 'UTC',
    labels: metadata.labels ?? {},
    claims: [...new Set([name, ...(spec.identity?.claims ?? [])])],
    hosts: (spec.identity?.hosts ?? []).map((host) => host.toLowerCase()),
    apiKeys: (spec.identity?.apiKeys ?? []).map(apiKey),
    source: file,
  };
}

function apiKey({ id, hash, expires }: { id: string; hash: string; expires?: string }): ApiKey {
  return {
    id,
    hash: Buffer.from(hash.slice('hmac-sha256:'.length), 'hex'),
    expiresMs: expires === undefined ? Number.POSITIVE_INFINITY : Date.parse(expires),
  };
}

/** Zones that were found good; the tz database knows about 600. */
const goodZones = new Set<string>(['UTC']);

export function objectToTenant({ spec }: TenantDocument): Objection[] {
  const objections = objectToRates(['spec', 'overrides'], spec.overrides?.rate);
  if (spec.timezone !== undefined && !isZone(spec.timezone)) {
    objections.push({
      severity: 'error',
      path: ['spec', 'timezone'],
      message: `expected an IANA time zone such as Europe/Berlin, got ${JSON.stringify(spec.timezone)}`,
      remedy: undefined,
    });
  }
  for (const [at, key] of (spec.identity?.apiKeys ?? []).entries()) {
    if (key.expires === undefined || !Number.isNaN(Date.parse(key.expires))) continue;
    objections.push({
      severity: 'error',
      path: ['spec', 'identity', 'apiKeys', at, 'expires'],
      message: `expected a date such as 2027-01-01, got ${JSON.stringify(key.expires)}`,
      remedy: undefined,
    });
  }
  return objections;
}

function isZone(zone: string): boolean {
  if (goodZones.has(zone)) return true;
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
  } catch {
    return false;
  }
  if (goodZones.size < 1000) goodZones.add(zone);
  return true;
}

export function compileProvider(document: IdentityProviderDocument, jwks: IdentityProvider['jwks']): IdentityProvider {
  const { spec, metadata } = document;
  return {
    name: metadata.name,
    issuer: spec.issuer,
    audiences: spec.audiences,
    algorithms: spec.algorithms,
    jwks,
    tenantClaim: spec.tenantClaim,
    tokenType: spec.tokenType?.toLowerCase(),
    clockSkewMs: parseDurationMs(spec.clockSkew ?? '5s') as number,
  };
}

export function objectToProvider({ spec }: IdentityProviderDocument): Objection[] {
  const algorithms: readonly string[] = spec.algorithms;
  const symmetric = algorithms.filter((each) => each.startsWith('HS')).length;
  if (symmetric === 0 || symmetric === algorithms.length) return [];
  return [
    {
      severity: 'error',
      path: ['spec', 'algorithms'],
      message: 'HS* together with public-key algorithms lets a public key be used as a secret',
      remedy: 'use two IdentityProviders',
    },
  ];
}

export function compileRoute(document: RouteDocument, index: number): Route {
  const { spec, metadata } = document;
  const isPrefix = spec.match.path.endsWith('/*');
  return {
    name: metadata.name,
    index,
    path: isPrefix ? { kind: 'prefix', text: spec.match.path.slice(0, -1) } : { kind: 'exact', text: spec.match.path },
    methods: spec.match.methods === undefined ? undefined : new Set(spec.match.methods),
    cost: spec.cost ?? 1,
    isCritical: spec.critical ?? false,
    rate: spec.rate === undefined ? undefined : requestRate(spec.rate.requests),
    degradedUpstream: spec.degraded?.upstream,
    timeoutMs: spec.timeout === undefined ? undefined : parseDurationMs(spec.timeout),
    bodyBytesMax: spec.bodyMax === undefined ? undefined : parseSizeBytes(spec.bodyMax),
  };
}

export function objectToRoute({ spec }: RouteDocument): Objection[] {
  return spec.rate === undefined ? [] : objectToRates(['spec'], { requests: spec.rate.requests });
}

/** Most specific first: exact before prefix, longer before shorter, with methods before without, then by name. */
export function sortRoutes(routes: Iterable<Route>): Route[] {
  const rank = (route: Route) =>
    (route.path.kind === 'exact' ? 1e6 : 0) + route.path.text.length * 2 + (route.methods === undefined ? 0 : 1);
  return [...routes].sort((a, b) => rank(b) - rank(a) || (a.name < b.name ? -1 : 1));
}
