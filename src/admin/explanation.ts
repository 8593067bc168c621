/**
 * One request explained without making it: who it would have to prove to be and how, which route it takes, what the limits have left, and
 * what it would get now. For `/v1/explain` and `reeve limits check`; spends nothing and shows no secret.
 */
import { METHODS } from 'node:http';
import { nearest } from '../core/index.ts';
import { replyOfState } from '../identity/index.ts';
import type { AdmissionExplanation, LimitsExplanation } from '../limits/index.ts';
import { APPLICATION, rescues } from '../proxy/index.ts';
import { routeOf, type SidecarConfig, type Snapshot, type Tenant } from '../tenants/index.ts';
import { REFUSED_METHODS } from '../wire/index.ts';

/** How the sidecar finds out who a tenant is: its boot configuration, without the secret. */
export interface IdentityView
  extends Pick<SidecarConfig['identity'], 'sources' | 'header' | 'pathPrefix' | 'apiKeyHeader'> {
  readonly trust: SidecarConfig['inbound']['trust'];
  readonly hasPepper: boolean;
}

export interface SourceExplanation {
  readonly name: IdentityView['sources'][number];
  /** Whether it decides by itself; a hint must agree with what decides, and proves nothing alone. */
  readonly isProof: boolean;
  /** What of a request means this tenant here; empty when nothing does. */
  readonly accepts: readonly string[];
  /** What would mean this tenant, but is refused whatever it holds, and why. */
  readonly refuses?: string;
}

export interface Explanation {
  readonly generation: number;
  readonly tenant: string;
  readonly method: string;
  readonly path: string;
  readonly stages: readonly string[];
  readonly identify: {
    readonly state: Tenant['state'];
    readonly passes: boolean;
    readonly sources: readonly SourceExplanation[];
  };
  readonly route: string | null;
  readonly limits: LimitsExplanation;
  /** The line before the upstream that it would be forwarded to; null when it would not be, or where admission is off. */
  readonly admission: AdmissionExplanation | null;
  /** Where it would be forwarded to; null when it would not be. */
  readonly upstream: string | null;
  /** `status` and `code` of a refusal, null for what is forwarded. */
  readonly wouldGet: {
    readonly decision: string;
    readonly status: number | null;
    readonly code: keyof typeof rescues | null;
    readonly because: string;
    readonly waitMs: number;
    readonly rung: string | null;
  };
}

export interface Asked {
  readonly method: string;
  readonly path: string;
}

export interface ExplainView {
  readonly stages: readonly string[];
  readonly identity: IdentityView;
  /** Name to address. */
  readonly upstreams: ReadonlyMap<string, string>;
  readonly snapshot: Snapshot;
  explainLimits(tenant: Tenant, asked: Asked): LimitsExplanation;
  explainAdmission(tenant: Tenant, upstream: string): AdmissionExplanation | undefined;
}

const NO_PEPPER = 'its API keys: this sidecar has no pepper to verify them (set identity.pepperFile)';

export function explain(view: ExplainView, tenant: Tenant, asked: Asked): Explanation {
  const limits = view.explainLimits(tenant, asked);
  const route = routeOf(view.snapshot, asked.method, asked.path);
  const isDegradedRoute = limits.wouldGet.decision === 'degrade' && limits.wouldGet.rung === 'route: degraded';
  const upstream = (isDegradedRoute ? route?.degradedUpstream : undefined) ?? APPLICATION;
  const wouldGet = outcome(view, tenant, asked, limits, upstream);
  return {
    generation: view.snapshot.generation,
    tenant: tenant.id,
    ...asked,
    stages: view.stages,
    identify: {
      state: tenant.state,
      passes: replyOfState(tenant, asked.method) === undefined,
      sources: view.identity.sources.map((name) => sourceOf(view, tenant, name)),
    },
    route: route?.name ?? null,
    limits,
    admission: (wouldGet.code === null ? view.explainAdmission(tenant, upstream) : undefined) ?? null,
    upstream: wouldGet.code === null ? upstream : null,
    wouldGet,
  };
}

/** The parser in front of every stage knows the registered methods, and these only. */
function notAMethod(method: string): string {
  const near = METHODS.includes(method.toUpperCase()) ? method.toUpperCase() : nearest(method, METHODS);
  const meant = near === undefined ? '' : `; did you mean ${near}?`;
  return `${JSON.stringify(method)} is no HTTP method: they are case-sensitive${meant}`;
}

/** In the order of the stages: the first that refuses decides. */
function outcome(
  { upstreams }: ExplainView,
  tenant: Tenant,
  { method }: Asked,
  { wouldGet, shadow }: LimitsExplanation,
  upstream: string,
): Explanation['wouldGet'] {
  const refused = (code: keyof typeof rescues, because: string, waitMs = 0): Explanation['wouldGet'] => ({
    decision: 'refused',
    status: rescues[code].status,
    code,
    because,
    waitMs,
    rung: null,
  });
  const { because, waitMs } = wouldGet;
  if (!METHODS.includes(method)) return refused('malformed-request', notAMethod(method));
  if (REFUSED_METHODS.has(method)) return refused('method-not-supported', `${method} does not pass`);
  const stopped = replyOfState(tenant, method);
  if (stopped !== undefined) return refused(stopped.code, `the tenant is ${tenant.state}`);
  const forwarded = { status: null, code: null, because, waitMs, rung: wouldGet.rung ?? null };
  if (wouldGet.over === 'nothing' || wouldGet.decision === 'credit')
    return { ...forwarded, decision: wouldGet.decision };
  if (shadow)
    return { ...forwarded, decision: 'pass', waitMs: 0, rung: null, because: `${because}, but its plan is in shadow` };
  if (wouldGet.decision === 'refuse')
    return refused(wouldGet.over === 'concurrency' ? 'concurrency-exceeded' : 'quota-exceeded', because, waitMs);
  return upstreams.has(upstream)
    ? { ...forwarded, decision: wouldGet.decision }
    : refused('upstream-unknown', `${because}, and this sidecar has no upstream ${upstream}`);
}

function sourceOf(
  { identity, snapshot }: ExplainView,
  tenant: Tenant,
  name: IdentityView['sources'][number],
): SourceExplanation {
  const isProof = name === 'jwt' || name === 'apiKey' || identity.trust === 'network';
  const accepts = {
    jwt: () =>
      [...snapshot.providers.values()].map(
        ({ issuer, tenantClaim }) => `a token of ${issuer} with ${tenantClaim} ${tenant.claims.join(' or ')}`,
      ),
    apiKey: () =>
      identity.hasPepper
        ? tenant.apiKeys.map(({ id, expiresMs }) => `${identity.apiKeyHeader}: rk_${id}_*${expiry(expiresMs)}`)
        : [],
    host: () => tenant.hosts.map((host) => `Host: ${host}`),
    path: () => tenant.claims.map((claim) => `${identity.pathPrefix}${claim}/*`),
    header: () => tenant.claims.map((claim) => `${identity.header}: ${claim}`),
  }[name]();
  return {
    name,
    isProof,
    accepts,
    ...(name === 'apiKey' && !identity.hasPepper && tenant.apiKeys.length > 0 ? { refuses: NO_PEPPER } : {}),
  };
}

function expiry(expiresMs: number): string {
  return Number.isFinite(expiresMs) ? `, until ${new Date(expiresMs).toISOString()}` : '';
}
