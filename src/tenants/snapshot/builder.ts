/**
 * Snapshots from changes, on the loop that moves requests: what did not change is shared with the generation before, and no step
 * takes longer than one part of a change.
 */
import { type ChangePart, type Holding, IDENTITIES, type Identities } from '../change.ts';
import { emptySnapshot, type IdentityProvider, type Plan, type Route, type Snapshot } from '../model.ts';
import { RouteIndex } from './route-index.ts';
import { Slots } from './slots.ts';
import { TenantStore } from './tenant-store.ts';
import { TenantView } from './tenant-view.ts';

type Index = ReadonlyMap<string, number>;
/** By what tenants are found. */
type Indexed = Identities | 'names';

type Slotted = 'tenants' | 'plans' | 'routes';

/** What a generation is made of that the next one shares. */
interface Parts {
  readonly snapshot: Snapshot;
  readonly tenants: TenantStore;
  readonly routes: ReadonlyMap<string, Route>;
  readonly indexes: Readonly<Record<Indexed, Index>>;
  readonly slots: Readonly<Record<Slotted, Slots>>;
}

export class SnapshotBuilder {
  #before: Parts = {
    snapshot: emptySnapshot,
    tenants: new TenantStore(new Map()),
    routes: new Map(),
    indexes: { names: new Map(), claims: new Map(), hosts: new Map(), apiKeys: new Map() },
    slots: { tenants: new Slots(), plans: new Slots(), routes: new Slots() },
  };

  /** The next generation. `yieldLoop` lets requests be served between two parts. One change at a time: the caller sees to that. */
  async next(
    parts: Iterable<ChangePart> | AsyncIterable<ChangePart>,
    yieldLoop: () => Promise<void>,
  ): Promise<Snapshot> {
    const draft = new Draft(this.#before);
    for await (const part of parts) {
      draft.apply(part);
      await yieldLoop();
    }
    this.#before = draft.finish();
    return this.#before.snapshot;
  }
}

/** A generation in the making: copies what is changed, when it is first changed. */
class Draft {
  readonly #before: Parts;
  readonly #plans: Map<string, Plan>;
  readonly #providers: Map<string, IdentityProvider>;
  readonly #tenants: TenantStore;
  readonly #slots: Record<Slotted, Slots>;
  readonly #indexes: Record<Indexed, Index>;
  readonly #copied = new Map<Indexed, Map<string, number>>();
  /** Slots that are free when all is applied: one that changed hands within a generation would be taken for one that did not. */
  readonly #left: Record<Slotted, number[]> = { tenants: [], plans: [], routes: [] };
  #routes: ReadonlyMap<string, Route>;

  constructor(before: Parts) {
    const { snapshot, slots } = before;
    this.#before = before;
    this.#plans = new Map(snapshot.plans);
    this.#providers = new Map(snapshot.providers);
    this.#tenants = new TenantStore(this.#plans, before.tenants);
    this.#routes = before.routes;
    this.#indexes = { ...before.indexes };
    this.#slots = {
      tenants: new Slots(slots.tenants),
      plans: new Slots(slots.plans),
      routes: new Slots(slots.routes),
    };
  }

  apply(part: ChangePart): void {
    if (part.kind === 'Tenant') this.#applyTenants(part);
    else if (part.kind === 'Plan') this.#applyPlans(part);
    else if (part.kind === 'Route') this.#applyRoutes(part);
    else {
      for (const provider of part.put) this.#providers.set(provider.name, provider);
      for (const name of part.drop) this.#providers.delete(name);
    }
  }

  finish(): Parts {
    for (const kind of ['tenants', 'plans', 'routes'] as const)
      for (const slot of this.#left[kind]) this.#slots[kind].release(slot);
    const { snapshot: before, routes: routesBefore } = this.#before;
    const { names, claims, hosts, apiKeys } = this.#indexes;
    const view = (...slots: readonly Index[]): TenantView => new TenantView(this.#tenants, ...slots);
    const routes = this.#routes === routesBefore ? before.routes : sortRoutes(this.#routes.values());
    return {
      snapshot: {
        generation: before.generation + 1,
        tenants: view(names),
        plans: this.#plans,
        providers: this.#providers,
        routes,
        routeIndex: routes === before.routes ? before.routeIndex : new RouteIndex(routes),
        tenantByClaim: view(names, claims),
        tenantByHost: view(hosts),
        tenantByApiKeyId: view(apiKeys),
        tenantSlots: this.#slots.tenants.length,
      },
      tenants: this.#tenants,
      routes: this.#routes,
      indexes: this.#indexes,
      slots: this.#slots,
    };
  }

  #applyPlans({ put, drop }: PartOf<'Plan'>): void {
    for (const row of put) {
      const { name } = row;
      const index = this.#plans.get(name)?.index ?? this.#slots.plans.take();
      this.#plans.set(name, { ...row, index });
    }
    for (const name of drop) this.#leave('plans', this.#plans, name);
  }

  #applyRoutes({ put, drop }: PartOf<'Route'>): void {
    const routes = new Map(this.#routes);
    for (const row of put)
      routes.set(row.name, { ...row, index: routes.get(row.name)?.index ?? this.#slots.routes.take() });
    for (const name of drop) this.#leave('routes', routes, name);
    this.#routes = routes;
  }

  #leave(kind: 'plans' | 'routes', objects: Map<string, Plan | Route>, name: string): void {
    this.#left[kind].push((objects.get(name) as Plan | Route).index);
    objects.delete(name);
  }

  #applyTenants({ put, documents, drop, taken, left }: PartOf<'Tenant'>): void {
    for (let at = 0; at < put.length; at++) this.#tenants.put(this.#slotOf(put[at] as string), documents, at);
    for (const keys of IDENTITIES) this.#move(keys, left[keys], taken[keys]);
    for (const name of drop) {
      const slot = this.#slotOf(name);
      this.#tenants.drop(slot);
      this.#write('names').delete(name);
      this.#left.tenants.push(slot);
    }
  }

  /** The tenant's own; a newcomer's is given to it. */
  #slotOf(name: string): number {
    const known = this.#indexes.names.get(name);
    if (known !== undefined) return known;
    const slot = this.#slots.tenants.take();
    this.#write('names').set(name, slot);
    return slot;
  }

  /** Another tenant may have taken over a key before this one let it go. */
  #move(keys: Identities, left: readonly Holding[], taken: readonly Holding[]): void {
    if (left.length + taken.length === 0) return;
    const index = this.#write(keys);
    for (const [key, tenant] of left) if (index.get(key) === this.#slotOf(tenant)) index.delete(key);
    for (const [key, tenant] of taken) index.set(key, this.#slotOf(tenant));
  }

  #write(keys: Indexed): Map<string, number> {
    const known = this.#copied.get(keys);
    if (known !== undefined) return known;
    const copy = new Map(this.#indexes[keys]);
    this.#copied.set(keys, copy);
    this.#indexes[keys] = copy;
    return copy;
  }
}

type PartOf<K extends ChangePart['kind']> = Extract<ChangePart, { kind: K }>;

/** Most specific first: exact before prefix, longer before shorter, with methods before without, then by name. */
export function sortRoutes(routes: Iterable<Route>): Route[] {
  const rank = (route: Route) =>
    (route.path.kind === 'exact' ? 1e6 : 0) + route.path.text.length * 2 + (route.methods === undefined ? 0 : 1);
  return [...routes].sort((a, b) => rank(b) - rank(a) || (a.name < b.name ? -1 : 1));
}
