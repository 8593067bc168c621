/**
 * What no run may show, looked at whenever it can change. The first violation ends the run.
 *
 *   a request is admitted ─▶ a strict limit: never more than limit and burst · a hard quota: never more than the limit
 *   a tick                ─▶ what a sidecar says it admitted never falls, and is never more than it admitted
 *   rows came in          ─▶ what it believes of another never falls, and is never more than that one admitted
 *   who is there          ─▶ views.ts
 */
import type { TenantId } from '../src/core/index.ts';
import type { FleetRates } from '../src/limits/fleet/fleet-rates.ts';
import type { FleetQuotas } from '../src/limits/fleet-quotas/fleet-quotas.ts';

/** Of sums of fractions, units. */
const ROUNDING = 1e-6;
/** Of ten thousand tenants not all can be looked at behind each delta: so many are, each time others. */
const GLANCE = 8;

/** What only the simulator knows: units that were really admitted, by incarnation and tenant. */
export class Truth {
  readonly #admitted = new Map<string, Map<string, number>>();

  add(incarnation: string, tenant: string, units: number): void {
    let own = this.#admitted.get(incarnation);
    if (own === undefined) this.#admitted.set(incarnation, (own = new Map()));
    own.set(tenant, (own.get(tenant) ?? 0) + units);
  }

  of(incarnation: string, tenant: string): number {
    return this.#admitted.get(incarnation)?.get(tenant) ?? 0;
  }
}

/** One of the fleet, as far as invariants go. */
export interface Watched {
  readonly name: string;
  readonly gossip: {
    readonly self: { readonly incarnation: string };
    member(slot: number): { readonly incarnation: string; readonly name: string } | undefined;
  };
}

export class Invariants {
  readonly truth = new Truth();
  readonly #now: () => number;
  #violation: string | undefined;
  #glance = 0;

  /** `now`: virtual time, ms. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The first, and when it was seen; undefined: all held so far. */
  get violation(): string | undefined {
    return this.#violation;
  }

  broke(what: string): void {
    this.#violation ??= `at ${(this.#now() / 1000).toFixed(3)} s ${what}`;
  }

  /** The first tenant is looked at each time, of the others a few. */
  watchRates(sidecar: Watched & { readonly fleet: FleetRates }, tenants: readonly { readonly id: TenantId }[]): void {
    const { name, fleet, gossip } = sidecar;
    const [first] = tenants as [{ readonly id: TenantId }];
    /** Of the first tenant, by slot; 0: what it says of itself. */
    const counts: number[] = [];
    const look = (slot: number): void => {
      const member = slot === 0 ? { ...gossip.self, name: 'itself' } : gossip.member(slot);
      if (member === undefined) return;
      const count = fleet.admittedBy(slot, first.id);
      if (count < (counts[slot] ?? 0))
        this.broke(`${name} had counted ${counts[slot]} of ${member.name}, and counts ${count} now`);
      counts[slot] = count;
      this.#compare(name, member, first.id, count);
      for (let i = Math.min(GLANCE, tenants.length - 1); i > 0; i--) {
        const { id } = tenants[++this.#glance % tenants.length] as { readonly id: TenantId };
        this.#compare(name, member, id, fleet.admittedBy(slot, id));
      }
    };
    after(fleet, 'tick', () => look(0));
    after(fleet, 'read', (isTaken, slot) => isTaken && look(slot));
    after(fleet, 'onForgotten', (_, slot) => {
      counts[slot] = 0;
    });
  }

  /** Each row that comes in is looked at, whoever's; what all counts of a day are together, of one tenant and meter. */
  watchQuotas({ name, fleet }: { readonly name: string; readonly fleet: FleetQuotas }, id: TenantId, of: string): void {
    const { counters, actor } = fleet;
    const sums = new Map<number, number>();
    let own = 0;
    const look = (day: number): void => {
      const sum = counters.valueOf(id, of, day);
      const before = sums.get(day) ?? 0;
      if (sum < before) this.broke(`${name} had counted ${before} on day ${day}, and counts ${sum} now`);
      sums.set(day, sum);
    };
    after(counters, 'merge', (merged, { tenant, day, actor: from, count }) => {
      this.#compare(name, { incarnation: from, name: from }, tenant, count);
      if (merged === 'merged' && tenant === id) look(day);
    });
    after(fleet, 'tick', () => {
      let now = 0;
      for (const { count } of counters.ownRowsOf(id, of)) now += count;
      if (now < own) this.broke(`${name} had counted ${own} of itself, and counts ${now} now`);
      own = now;
      this.#compare(name, { incarnation: actor, name: 'itself' }, id, now);
    });
  }

  #compare(
    name: string,
    of: { readonly incarnation: string; readonly name: string },
    tenant: string,
    count: number,
  ): void {
    const truth = this.truth.of(of.incarnation, tenant);
    if (count > truth + ROUNDING)
      this.broke(`${name} believes ${count} of ${of.name}, which admitted ${truth} of ${tenant}`);
  }
}

/** No more than `perSec` and `burst`, in no stretch of time: what was admitted drains at `perSec` and never stands above `burst`. */
export class StrictMeter {
  readonly #perSec: number;
  readonly #burst: number;
  #level = 0;
  #at = 0;

  constructor(perSec: number, burst: number) {
    this.#perSec = perSec;
    this.#burst = burst;
  }

  /** Counts a unit that is admitted at `now`, ms; whether it may be. */
  admit(now: number): boolean {
    this.#level = Math.max(0, this.#level - ((now - this.#at) * this.#perSec) / 1000) + 1;
    this.#at = now;
    return this.#level <= this.#burst + ROUNDING;
  }
}

type Method = (...args: never[]) => unknown;

/** Looks behind each call of a method of one object. */
export function after<T, K extends keyof T>(
  object: T,
  key: K,
  then: T[K] extends Method ? (result: ReturnType<T[K]>, ...args: Parameters<T[K]>) => void : never,
): void {
  const method = (object[key] as Method).bind(object) as (...args: unknown[]) => unknown;
  const look = then as unknown as (...args: unknown[]) => void;
  object[key] = ((...args: unknown[]) => {
    const result = method(...args);
    look(result, ...args);
    return result;
  }) as T[K];
}
