/**
 * The read-only admin API, on loopback. What it shows are names, limits and counts: no key, hash or secret is in it. A Host that is
 * no loopback name is refused, so that no page in a browser can read it by way of a name that resolves here.
 */
import type { LimitsExplanation } from '../limits/index.ts';
import {
  type Finding,
  formatFinding,
  routeOf,
  type Snapshot,
  type TenancyStatus,
  type Tenant,
} from '../tenants/index.ts';
import { json, type Listener, listen, type Page, problem } from './listener.ts';

/** What the API looks at; wired by the command line. */
export interface AdminView {
  readonly version: string;
  readonly stages: readonly string[];
  snapshot(): Snapshot;
  status(): TenancyStatus;
  findings(): readonly Finding[];
  explainLimits(tenant: Tenant, ask: { method: string; path: string }): LimitsExplanation;
  traffic(): { readonly connections: number; readonly inFlight: number; readonly isDraining: boolean };
}

const PAGE_MAX = 1000;
const ENDPOINTS: Readonly<Record<string, string>> = {
  '/v1/version': 'the version',
  '/v1/config': 'generation, last reload, findings, files',
  '/v1/tenants?after=NAME&limit=N': 'tenants by name, at most 1,000 a page',
  '/v1/tenants/NAME': 'one tenant',
  '/v1/limits/NAME?method=GET&path=/': 'what the tenant has left, and what a request would get now',
  '/v1/explain?tenant=NAME&method=GET&path=/': 'every stage and what it would say',
  '/v1/traffic': 'connections and requests in flight',
};

export function openAdmin(o: { host: string; port: number; view: AdminView }): Promise<Listener> {
  return listen({ ...o, flag: '--admin-port' }, (url, req) => {
    if (!isLoopback(req.headers.host))
      return problem(403, 'not-loopback', 'The Host of an admin request must be a loopback name.');
    return route(o.view, url);
  });
}

function isLoopback(host: string | undefined): boolean {
  return host !== undefined && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i.test(host);
}

function route(view: AdminView, { pathname, searchParams }: URL): Page {
  const [, version, page, name] = pathname.split('/').map(decodeSegment);
  if (pathname === '/') return json({ endpoints: ENDPOINTS });
  if (version === 'v1' && name === undefined) {
    if (page === 'version') return json({ version: view.version });
    if (page === 'config') return json(configOf(view));
    if (page === 'traffic') return json(view.traffic());
    if (page === 'tenants') return json(tenantsPage(view.snapshot(), searchParams));
    if (page === 'explain')
      return withTenant(view, searchParams.get('tenant') ?? '', (tenant) => explain(view, tenant, askOf(searchParams)));
  }
  if (version === 'v1' && page === 'tenants' && name !== undefined) return withTenant(view, name, describeTenant);
  if (version === 'v1' && page === 'limits' && name !== undefined)
    return withTenant(view, name, (tenant) => view.explainLimits(tenant, askOf(searchParams)));
  return problem(404, 'not-found', `There is no such page; ${Object.keys(ENDPOINTS).join(' ')}`);
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function askOf(query: URLSearchParams): { method: string; path: string } {
  return { method: query.get('method') ?? 'GET', path: query.get('path') ?? '/' };
}

function withTenant(view: AdminView, name: string, show: (tenant: Tenant) => unknown): Page {
  const tenant = view.snapshot().tenants.get(name);
  return tenant === undefined
    ? problem(404, 'tenant-unknown', `There is no tenant ${JSON.stringify(name)}; /v1/tenants lists them.`)
    : json(show(tenant));
}

function configOf(view: AdminView): unknown {
  const { files, ...status } = view.status();
  const snapshot = view.snapshot();
  return {
    ...status,
    tenants: snapshot.tenants.size,
    plans: snapshot.plans.size,
    routes: snapshot.routes.length,
    providers: snapshot.providers.size,
    findings: view
      .findings()
      .slice(0, PAGE_MAX)
      .map((finding) => ({ severity: finding.severity, text: formatFinding(finding) })),
    files: files.slice(0, PAGE_MAX),
  };
}

/** A page in the order of the snapshot; `next` is where the following one begins. */
function tenantsPage(snapshot: Snapshot, query: URLSearchParams): unknown {
  const limit = Math.min(Math.max(Number(query.get('limit') ?? 100) || 100, 1), PAGE_MAX);
  const after = query.get('after');
  const tenants: unknown[] = [];
  let isPast = after === null;
  let last: string | undefined;
  for (const [name, tenant] of snapshot.tenants) {
    if (isPast) {
      if (tenants.length === limit) return { total: snapshot.tenants.size, tenants, next: last };
      tenants.push({ name, plan: tenant.plan.name, state: tenant.state });
      last = name;
    } else if (name === after) isPast = true;
  }
  return { total: snapshot.tenants.size, tenants };
}

function describeTenant(tenant: Tenant): unknown {
  const { requests, egress, concurrency, shadow } = tenant.allowance;
  return {
    name: tenant.id,
    state: tenant.state,
    plan: tenant.plan.name,
    timezone: tenant.timezone,
    labels: tenant.labels,
    source: tenant.source,
    limits: {
      requests: requests && { limit: requests.text, burst: requests.burst, credits: requests.credits },
      egress: egress?.text,
      concurrency,
      shadow,
    },
    identity: {
      claims: tenant.claims,
      hosts: tenant.hosts,
      apiKeys: tenant.apiKeys.map((key) => ({
        id: key.id,
        expires: Number.isFinite(key.expiresMs) ? new Date(key.expiresMs).toISOString() : undefined,
      })),
    },
  };
}

function explain(view: AdminView, tenant: Tenant, ask: { method: string; path: string }): unknown {
  const route = routeOf(view.snapshot(), ask.method, ask.path);
  return {
    generation: view.snapshot().generation,
    stages: view.stages,
    identify: {
      tenant: tenant.id,
      state: tenant.state,
      passes:
        tenant.state === 'active' || (tenant.state === 'readonly' && ['GET', 'HEAD', 'OPTIONS'].includes(ask.method)),
    },
    route: route?.name ?? null,
    limits: view.explainLimits(tenant, ask),
  };
}
