/**
 * The read-only admin API, on loopback. What it shows are names, limits and counts: no key, hash or secret is in it. A Host that is
 * no loopback name is refused, so that no page in a browser can read it by way of a name that resolves here.
 */
import type { Timers } from '../core/index.ts';
import { type Finding, formatFinding, type Snapshot, type TenancyStatus, type Tenant } from '../tenants/index.ts';
import { type Asked, type ExplainView, explain } from './explanation.ts';
import { json, type Listener, listen, type Page, problem } from './listener.ts';

/** What the API looks at; wired by the command line. */
export interface AdminView extends Omit<ExplainView, 'snapshot'> {
  readonly version: string;
  snapshot(): Snapshot;
  status(): TenancyStatus;
  findings(): readonly Finding[];
  /** Of a name that is no tenant in force: by which finding it is left out, when it stands in the files. */
  whyLeftOut(name: string): string | undefined;
  /** Of the fleet; undefined when this sidecar is alone. */
  members(): unknown;
  /** Of what is recorded; undefined when nothing is. */
  metering(): unknown;
  traffic(): { readonly connections: number; readonly inFlight: number; readonly isDraining: boolean };
}

const PAGE_MAX = 1000;
const ENDPOINTS: Readonly<Record<string, string>> = {
  '/v1/version': 'the version',
  '/v1/config':
    'generation, last reload, what goes on from its last good version, tenants left out, upstreams, findings, files',
  '/v1/tenants?after=NAME&limit=N': 'tenants by name, at most 1,000 a page',
  '/v1/tenants/NAME': 'one tenant',
  '/v1/limits/NAME?method=GET&path=/': 'what the tenant has left, and what the limits would say now',
  '/v1/explain?tenant=NAME&method=GET&path=/': 'one request explained: identity, route, limits, what it would get',
  '/v1/gossip': 'the members of the fleet as this sidecar knows them',
  '/v1/metering': 'whether what is used arrives at its collector',
  '/v1/traffic': 'connections and requests in flight',
};

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  readonly timers: Timers;
  readonly view: AdminView;
}

export function openAdmin(o: AdminOptions): Promise<Listener> {
  return listen({ ...o, name: 'admin' }, (url, req) => {
    if (!isLoopback(req.headers.host))
      return problem(403, 'not-loopback', 'The Host of an admin request must be a loopback name.');
    return route(o.view, url);
  });
}

/** Whether a Host names this machine from inside. */
export function isLoopback(host: string | undefined): boolean {
  return host !== undefined && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i.test(host);
}

function route(view: AdminView, { pathname, searchParams }: URL): Page {
  if (pathname === '/') return json({ endpoints: ENDPOINTS });
  const [, version, page, name, ...rest] = pathname.split('/').map(decodeSegment);
  if (rest.length > 0) return nothingThere();
  if (version === 'v1' && name === undefined) {
    if (page === 'version') return json({ version: view.version });
    if (page === 'config') return json(configOf(view));
    if (page === 'traffic') return json(view.traffic());
    if (page === 'gossip') return membersPage(view.members());
    if (page === 'metering') return meteringPage(view.metering());
    if (page === 'tenants') return json(tenantsPage(view.snapshot(), searchParams));
    if (page === 'explain')
      return withTenant(view, searchParams.get('tenant') ?? '', (tenant) =>
        explain({ ...view, snapshot: view.snapshot() }, tenant, askOf(searchParams)),
      );
  }
  if (version === 'v1' && page === 'tenants' && name !== undefined) return withTenant(view, name, describeTenant);
  if (version === 'v1' && page === 'limits' && name !== undefined)
    return withTenant(view, name, (tenant) => view.explainLimits(tenant, askOf(searchParams)));
  return nothingThere();
}

function membersPage(members: unknown): Page {
  return members === undefined
    ? problem(404, 'no-gossip', 'This sidecar is alone: no gossip is configured (spec.gossip).')
    : json(members);
}

function meteringPage(metering: unknown): Page {
  return metering === undefined
    ? problem(404, 'no-metering', 'This sidecar records no usage: no metering is configured (spec.metering).')
    : json(metering);
}

function nothingThere(): Page {
  return problem(404, 'not-found', `There is no such page; ${Object.keys(ENDPOINTS).join(' ')}`);
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** A route is matched by the path alone, as in the path of a request. */
function askOf(query: URLSearchParams): Asked {
  return { method: query.get('method') ?? 'GET', path: (query.get('path') ?? '/').replace(/\?.*$/s, '') };
}

function withTenant(view: AdminView, name: string, show: (tenant: Tenant) => unknown): Page {
  const tenant = view.snapshot().tenants.get(name);
  if (tenant !== undefined) return json(show(tenant));
  const why = view.whyLeftOut(name);
  return why === undefined
    ? problem(404, 'tenant-unknown', `There is no tenant ${JSON.stringify(name)}; /v1/tenants lists them.`)
    : problem(
        404,
        'tenant-left-out',
        `The tenant ${JSON.stringify(name)} stands in the files and is not in force: ${why}`,
      );
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
    upstreams: Object.fromEntries(view.upstreams),
    findings: view
      .findings()
      .slice(0, PAGE_MAX)
      .map((finding) => ({ severity: finding.severity, text: formatFinding(finding) })),
    files: files.slice(0, PAGE_MAX),
  };
}

/** Tenants by name; `next` is where the following page begins, also when that tenant is gone by then. */
function tenantsPage(snapshot: Snapshot, query: URLSearchParams): unknown {
  const limit = Math.min(Math.max(Math.floor(Number(query.get('limit') ?? 100)) || 100, 1), PAGE_MAX);
  const names = sortedNames(snapshot);
  const after = query.get('after');
  const first = after === null ? 0 : names.findIndex((name) => name > after);
  const page = first === -1 ? [] : names.slice(first, first + limit);
  const isMore = first !== -1 && first + limit < names.length;
  return {
    total: names.length,
    tenants: page.map((name) => {
      const tenant = snapshot.tenants.get(name) as Tenant;
      return { name, plan: tenant.plan.name, state: tenant.state };
    }),
    ...(isMore ? { next: page.at(-1) } : {}),
  };
}

/** Sorted once a generation: 10,000 names take about 4 ms, which no page may cost anew. */
const sorted = new WeakMap<Snapshot, readonly string[]>();

function sortedNames(snapshot: Snapshot): readonly string[] {
  const known = sorted.get(snapshot);
  if (known !== undefined) return known;
  const names = [...snapshot.tenants.keys()].sort();
  sorted.set(snapshot, names);
  return names;
}

/** What a tenant may and who it is; of its keys only the ids. */
export function describeTenant(tenant: Tenant): Record<string, unknown> {
  const { requests, egress, concurrency, quotas, shadow } = tenant.allowance;
  return {
    name: tenant.id,
    state: tenant.state,
    plan: tenant.plan.name,
    timezone: tenant.timezone,
    billingDay: tenant.billingDay,
    labels: tenant.labels,
    source: tenant.source,
    limits: {
      requests: requests && { limit: requests.text, burst: requests.burst, credits: requests.credits },
      egress: egress?.text,
      concurrency,
      quotas: Object.fromEntries(
        quotas.map(({ meter, limit, per, isHard, unit, thresholds }) => [
          meter,
          {
            limit,
            unit,
            per: per === 'none' ? 'gauge' : per,
            mode: isHard ? 'hard' : 'soft',
            thresholds: thresholds.map(({ text, action, rate }) => ({ at: text, do: action, rate })),
          },
        ]),
      ),
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
