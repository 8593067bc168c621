/**
 * Snapshots from changes, on the loop that moves requests: what did not change is shared with the generation before, and no step
 * takes longer than one part of a change.
 */
import type { TenantId, TenantIndex } from '../../core/index.ts';
import type { ChangePart, PlanRow, RouteRow, TenantRow } from '../change.ts';
import {
  type ApiKey,
  emptySnapshot,
  type IdentityProvider,
  type Plan,
  type Route,
  type Snapshot,
  type Tenant,
} from '../model.ts';
import { RouteIndex } from './route-index.ts';
import { Slots } from './slots.ts';
import { TenantView } from './tenant-view.ts';

type Index = ReadonlyMap<string, number>;
/** By what tenants are found beside their names: keys that come, go and move. */
const KEYS = ['claims', 'hosts', 'apiKeys'] as const;
type Keys = (typeof KEYS)[number];
type Indexed = Keys | 'names';

export class SnapshotBuilder {
  #snapshot: Snapshot = emptySnapshot;
  readonly #slots = { tenants: new Slots(), plans: new Slots(), routes: new Slots() };
  #indexes: Readonly<Record<Indexed, Index>> = {
    names: new Map(),
    claims: new Map(),
    hosts: new Map(),
    apiKeys: new Map(),
  };
  #tenants: readonly (Tenant | undefined)[] = [];
  #routes: ReadonlyMap<string, Route> = new Map();

  /** The next generation. `yieldLoop` lets requests be served between two parts. One change at a time: the caller sees to that. */
  async next(
    parts: Iterable<ChangePart> | AsyncIterable<ChangePart>,
    yieldLoop: () => Promise<void>,
  ): Promise<Snapshot> {
    const draft = new Draft(this.#snapshot, this.#tenants, this.#routes, this.#indexes, this.#slots);
    for await (const part of parts) {
      draft.apply(part);
      await yieldLoop();
    }
    this.#tenants = draft.tenants;
    this.#routes = draft.routes;
    this.#indexes = draft.indexes;
    draft.releaseSlots();
    const view = (keys: Indexed): TenantView => new TenantView(draft.indexes[keys], draft.tenants);
    const before = this.#snapshot;
    const routes = draft.routes === draft.previousRoutes ? before.routes : sortRoutes(draft.routes.values());
    this.#snapshot = {
      generation: before.generation + 1,
      tenants: view('names'),
      plans: draft.plans,
      providers: draft.providers,
      routes,
      routeIndex: routes === before.routes ? before.routeIndex : new RouteIndex(routes),
      tenantByClaim: view('claims'),
      tenantByHost: view('hosts'),
      tenantByApiKeyId: view('apiKeys'),
      tenantSlots: this.#slots.tenants.length,
    };
    return this.#snapshot;
  }
}

/** A generation in the making: copies what is changed, when it is first changed. */
class Draft {
  readonly previousRoutes: ReadonlyMap<string, Route>;
  plans: Map<string, Plan>;
  providers: Map<string, IdentityProvider>;
  routes: ReadonlyMap<string, Route>;
  readonly tenants: (Tenant | undefined)[];
  readonly indexes: Record<Indexed, Index>;
  readonly #slots: Readonly<Record<'tenants' | 'plans' | 'routes', Slots>>;
  readonly #copied = new Map<Indexed, Map<string, number>>();
  readonly #left: Record<'tenants' | 'plans' | 'routes', string[]> = { tenants: [], plans: [], routes: [] };

  constructor(
    { plans, providers }: Snapshot,
    tenants: readonly (Tenant | undefined)[],
    routes: ReadonlyMap<string, Route>,
    indexes: Readonly<Record<Indexed, Index>>,
    slots: Readonly<Record<'tenants' | 'plans' | 'routes', Slots>>,
  ) {
    this.plans = new Map(plans);
    this.providers = new Map(providers);
    this.previousRoutes = this.routes = routes;
    this.tenants = tenants.slice();
    this.indexes = { ...indexes };
    this.#slots = slots;
  }

  apply(part: ChangePart): void {
    if (part.kind === 'Tenant') {
      for (const row of part.put) this.#putTenant(row);
      for (const name of part.drop) this.#dropTenant(name);
    } else if (part.kind === 'Plan') {
      for (const row of part.put) this.plans.set(row.name, planOf(row, this.#slots.plans.of(row.name)));
      for (const name of part.drop) this.#drop('plans', this.plans, name);
    } else if (part.kind === 'Route') {
      const routes = new Map(this.routes);
      for (const row of part.put) routes.set(row.name, routeOf(row, this.#slots.routes.of(row.name)));
      for (const name of part.drop) this.#drop('routes', routes, name);
      this.routes = routes;
    } else {
      for (const provider of part.put) this.providers.set(provider.name, provider);
      for (const name of part.drop) this.providers.delete(name);
    }
  }

  /** After the last part: a slot that changes hands within one generation would be taken for one that did not. */
  releaseSlots(): void {
    for (const kind of ['tenants', 'plans', 'routes'] as const)
      for (const name of this.#left[kind]) this.#slots[kind].release(name);
  }

  #drop(kind: 'plans' | 'routes', objects: Map<string, unknown>, name: string): void {
    objects.delete(name);
    this.#left[kind].push(name);
  }

  #putTenant(row: TenantRow): void {
    const slot = this.#slots.tenants.of(row.name);
    const before = this.tenants[slot];
    const tenant = tenantOf(row, slot, this.plans.get(row.plan) as Plan, before);
    this.tenants[slot] = tenant;
    if (before === undefined) this.#write('names').set(row.name, slot);
    for (const keys of KEYS) this.#move(keys, slot, keysOf(before, keys), keysOf(tenant, keys));
  }

  #dropTenant(name: string): void {
    const slot = this.#slots.tenants.of(name);
    const tenant = this.tenants[slot];
    this.tenants[slot] = undefined;
    this.#write('names').delete(name);
    for (const keys of KEYS) this.#move(keys, slot, keysOf(tenant, keys), NONE);
    this.#left.tenants.push(name);
  }

  /** Another tenant may have taken over a key before this one let it go. */
  #move(keys: Keys, slot: number, before: readonly string[], after: readonly string[]): void {
    if (before === after || areSame(before, after)) return;
    const index = this.#write(keys);
    for (const each of before) if (index.get(each) === slot) index.delete(each);
    for (const each of after) index.set(each, slot);
  }

  #write(keys: Indexed): Map<string, number> {
    const known = this.#copied.get(keys);
    if (known !== undefined) return known;
    const copy = new Map(this.indexes[keys]);
    this.#copied.set(keys, copy);
    this.indexes[keys] = copy;
    return copy;
  }
}

const NONE: readonly string[] = [];

function keysOf(tenant: Tenant | undefined, keys: Keys): readonly string[] {
  if (tenant === undefined) return NONE;
  return keys === 'apiKeys' ? tenant.apiKeys.map((each) => each.id) : tenant[keys];
}

function planOf({ name, weight, allowance, ladder, source }: PlanRow, index: number): Plan {
  return { name, index, weight, allowance, ladder, source };
}

function routeOf(row: RouteRow, index: number): Route {
  return { ...row, index };
}

/**
 * What a change did not touch is the object there was before: a change of all tenants at once leaves the collector, which stops the loop,
 * little to move.
 */
function tenantOf(row: TenantRow, slot: number, plan: Plan, before: Tenant | undefined): Tenant {
  return {
    id: before?.id ?? (row.name as TenantId),
    index: slot as TenantIndex,
    state: row.state,
    plan,
    allowance: row.allowance ?? plan.allowance,
    timezone: before?.timezone === row.timezone ? before.timezone : row.timezone,
    labels: kept(before?.labels ?? NO_LABELS, row.labels, areSameLabels),
    claims: kept(before?.claims ?? NONE, row.claims, areSame),
    hosts: kept(before?.hosts ?? NONE, row.hosts, areSame),
    apiKeys: row.apiKeys.length === 0 ? NO_KEYS : row.apiKeys,
    source: before?.source === row.source ? before.source : row.source,
  };
}

const NO_LABELS: Readonly<Record<string, string>> = {};
const NO_KEYS: readonly ApiKey[] = [];

function kept<T>(before: T, now: T, areEqual: (a: T, b: T) => boolean): T {
  return areEqual(before, now) ? before : now;
}

function areSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each, at) => each === b[at]);
}

function areSameLabels(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

/** Most specific first: exact before prefix, longer before shorter, with methods before without, then by name. */
export function sortRoutes(routes: Iterable<Route>): Route[] {
  const rank = (route: Route) =>
    (route.path.kind === 'exact' ? 1e6 : 0) + route.path.text.length * 2 + (route.methods === undefined ? 0 : 1);
  return [...routes].sort((a, b) => rank(b) - rank(a) || (a.name < b.name ? -1 : 1));
}
