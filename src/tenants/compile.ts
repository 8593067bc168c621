/** Validated documents to what a snapshot is built of: units parsed, defaults applied. */
import {
  parseByteRatePerSec,
  parseDurationMs,
  parsePercent,
  parseRatePerSec,
  parseSizeBytes,
  type TenantId,
  type TenantIndex,
} from '../core/index.ts';
import type { PlanRow, RouteRow } from './change.ts';
import { compileQuotas, overrideQuotas } from './compile-quotas.ts';
import type {
  Allowance,
  ApiKey,
  ByteRate,
  IdentityProvider,
  Plan,
  RequestRate,
  Rung,
  Tenant,
  TenantState,
} from './model.ts';
import type { IdentityProviderDocument, PlanDocument, RouteDocument, TenantDocument } from './schema.ts';

type RatesDocument = NonNullable<PlanDocument['spec']['rate']>;
type RequestsDocument = NonNullable<RatesDocument['requests']>;

const NO_ALLOWANCE: Allowance = {
  requests: undefined,
  egress: undefined,
  concurrency: undefined,
  quotas: [],
  shadow: false,
};
const DEFAULT_LADDER: readonly Rung[] = [{ kind: 'credit' }, { kind: 'reject' }];

export function compilePlan(document: PlanDocument, source: string): PlanRow {
  const { spec } = document;
  const { requests, ...rest } = allow(NO_ALLOWANCE, spec);
  const allowance = { ...rest, requests, quotas: compileQuotas(spec.quotas, requests?.perSec) };
  const rungs = spec.degrade === undefined ? DEFAULT_LADDER : spec.degrade.map(rungOf);
  return {
    name: document.metadata.name,
    weight: spec.weight ?? 1,
    allowance,
    ladder: rungs,
    staleMsMax: Math.max(0, ...rungs.map((rung) => (rung.kind === 'stale' ? rung.staleMsMax : 0))),
    source,
  };
}

/** The allowance of `base` with what `change` names laid over it, key by key. */
function allow(base: Allowance, change: { rate?: RatesDocument; concurrency?: number; shadow?: boolean }): Allowance {
  return {
    requests: change.rate?.requests === undefined ? base.requests : requestRate(change.rate.requests, base.requests),
    egress: change.rate?.egress === undefined ? base.egress : byteRate(change.rate.egress.limit),
    concurrency: change.concurrency ?? base.concurrency,
    quotas: base.quotas,
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
  const isStrict = document.strict ?? base?.isStrict ?? false;
  // What is banked would be admitted beyond the limit.
  const credits = isStrict ? undefined : creditsOf(document, perSec, base);
  return { perSec, burst, credits, text: document.limit, ...(isStrict && { isStrict }) };
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

function rungOf(rung: NonNullable<PlanDocument['spec']['degrade']>[number]): Rung {
  if (typeof rung === 'string') return { kind: rung };
  if ('shape' in rung) return { kind: 'shape', delayMsMax: parseDurationMs(rung.shape) as number };
  if ('stale' in rung) return { kind: 'stale', staleMsMax: parseDurationMs(rung.stale) as number };
  return 'features' in rung ? { kind: 'features', features: rung.features } : { kind: 'route' };
}

function overridden(ofPlan: Allowance, overrides: NonNullable<TenantDocument['spec']['overrides']>): Allowance {
  const allowance = allow(ofPlan, overrides);
  return { ...allowance, quotas: overrideQuotas(ofPlan.quotas, overrides.quotas ?? {}, allowance.requests?.perSec) };
}

/** `index`: the slot of its name. */
export function compileTenant(
  { metadata, spec }: TenantDocument,
  index: TenantIndex,
  plan: Plan,
  source: string,
): Tenant {
  return {
    id: metadata.name as TenantId,
    index,
    state: stateOf(spec),
    plan,
    allowance: spec.overrides === undefined ? plan.allowance : overridden(plan.allowance, spec.overrides),
    timezone: spec.timezone ?? 'UTC',
    billingDay: spec.billingDay ?? 1,
    labels: metadata.labels ?? {},
    claims: claimsOf(metadata.name, spec.identity?.claims),
    hosts: hostsOf(spec.identity?.hosts),
    apiKeys: (spec.identity?.apiKeys ?? []).map(apiKey),
    source,
  };
}

export function stateOf({ state }: TenantDocument['spec']): TenantState {
  return state ?? 'active';
}

/** Every external id of a tenant, its own name first, each once. */
export function claimsOf(name: string, claims: readonly string[] | undefined): string[] {
  return claims === undefined ? [name] : [...new Set([name, ...claims])];
}

export function hostsOf(hosts: readonly string[] | undefined): string[] {
  return hosts === undefined ? [] : hosts.map((host) => host.toLowerCase());
}

function apiKey({ id, hash, expires }: { id: string; hash: string; expires?: string }): ApiKey {
  return {
    id,
    hash: Buffer.from(hash.slice('hmac-sha256:'.length), 'hex'),
    expiresMs: expires === undefined ? Number.POSITIVE_INFINITY : Date.parse(expires),
  };
}

export function compileProvider(
  document: IdentityProviderDocument,
  jwks: IdentityProvider['jwks'],
  source: string,
): IdentityProvider {
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
    source,
  };
}

export function compileRoute(document: RouteDocument, source: string): RouteRow {
  const { spec, metadata } = document;
  const isPrefix = spec.match.path.endsWith('/*');
  return {
    name: metadata.name,
    path: isPrefix ? { kind: 'prefix', text: spec.match.path.slice(0, -1) } : { kind: 'exact', text: spec.match.path },
    methods: spec.match.methods === undefined ? undefined : new Set(spec.match.methods),
    cost: spec.cost ?? 1,
    isCritical: spec.critical ?? false,
    rate: spec.rate === undefined ? undefined : requestRate(spec.rate.requests),
    degradedUpstream: spec.degraded?.upstream,
    timeoutMs: spec.timeout === undefined ? undefined : parseDurationMs(spec.timeout),
    bodyBytesMax: spec.bodyMax === undefined ? undefined : parseSizeBytes(spec.bodyMax),
    source,
  };
}
