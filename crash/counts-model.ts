/** What a log of own counts may say behind the end of a process: no less than was certain then, no more than was ever counted, and nothing twice. */
import type { Claims } from '../src/limits/fleet-quotas/claims.ts';
import type { CounterStore } from '../src/limits/quotas/counter-store.ts';
import type { GaugeStore } from '../src/limits/quotas/gauge-store.ts';

export interface Stores {
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  readonly claims: Claims;
}

/** All that stores hold, by what it is of; each number grows only. */
export interface State {
  /** Of a tenant, a day and an actor: units counted, and given back. */
  readonly rows: ReadonlyMap<string, readonly [count: number, credit: number]>;
  /** Of a tenant and a day that is closed. */
  readonly totals: ReadonlyMap<string, number>;
  /** Of a tenant: when it was reported last. */
  readonly gauges: ReadonlyMap<string, number>;
  readonly claims: ReadonlyMap<string, number>;
}

export const NOTHING: State = { rows: new Map(), totals: new Map(), gauges: new Map(), claims: new Map() };

export function stateOf({ counters, gauges, claims }: Stores): State {
  return {
    rows: new Map(
      [...counters.rows()].map(({ tenant, day, actor, count, credit }) => [
        `${dayKey(tenant, day)} ${actor}`,
        [count, credit],
      ]),
    ),
    totals: new Map([...counters.closed()].map(({ tenant, day, total }) => [dayKey(tenant, day), total])),
    gauges: new Map([...gauges.rows()].map(({ tenant, at }) => [tenant, at])),
    claims: new Map([...claims.rows()].map(({ tenant, from, to, x }) => [`${tenant} ${from} ${to}`, x])),
  };
}

export class CountsModel {
  /** What is on the medium, whatever happens. */
  floor: State = NOTHING;
  /** What stores held since then, oldest first. */
  #since: { readonly at: number; readonly state: State }[] = [];
  /** The most that was ever counted of each; totals by the day that was closed. */
  readonly #most = new Map<string, readonly [number, number]>();
  readonly #totals = new Map<string, Set<number>>();
  readonly #reported = new Map<string, Set<number>>();

  note(at: number, state: State): void {
    this.#since.push({ at, state });
    for (const [key, row] of state.rows) this.#atMost(key, row);
    for (const [key, total] of state.totals) known(this.#totals, key).add(total);
    for (const [key, reported] of state.gauges) known(this.#reported, key).add(reported);
    for (const [key, x] of state.claims) this.#atMost(key, [x, 0]);
  }

  /** What stood there at that time outlives everything. */
  certain(at: number): void {
    while (this.#since[0] !== undefined && this.#since[0].at <= at)
      this.floor = (this.#since.shift() as { state: State }).state;
  }

  /** What is wrong with what was read. */
  judge({ rows, totals, gauges, claims }: State): string | undefined {
    for (const [key, [count, credit]] of rows) {
      const [most, back] = this.#most.get(key) ?? [0, 0];
      if (count > most || credit > back)
        return `${key} says ${count} and ${credit} back, and no more than ${most} and ${back} were counted`;
      if (totals.has(key.slice(0, key.lastIndexOf(' ')))) return `${key} is counted, and its day is a total`;
    }
    for (const [key, [count, credit]] of this.floor.rows) {
      if (totals.has(key.slice(0, key.lastIndexOf(' ')))) continue;
      const [read, back] = rows.get(key) ?? [0, 0];
      if (read < count || back < credit) return `${key} says ${read} and ${back} back of ${count} and ${credit}`;
    }
    for (const [key, total] of totals)
      if (this.#totals.get(key)?.has(total) !== true) return `${key} was closed with ${total}, which it never had`;
    for (const [key, total] of this.floor.totals)
      if (totals.get(key) !== total) return `the total of ${key}, ${total}, is ${totals.get(key)} now`;
    for (const [key, at] of gauges)
      if (this.#reported.get(key)?.has(at) !== true) return `the level of ${key} is of ${at}, when nobody reported one`;
    for (const [key, at] of this.floor.gauges)
      if ((gauges.get(key) ?? 0) < at) return `the level of ${key} is of ${gauges.get(key)} and not of ${at}`;
    for (const [key, x] of claims)
      if (x > (this.#most.get(key)?.[0] ?? 0)) return `the claim ${key} is ${x}, which nobody made`;
    for (const [key, x] of this.floor.claims)
      if ((claims.get(key) ?? 0) < x) return `the claim ${key} is ${claims.get(key)} of ${x}`;
    return undefined;
  }

  /** From here on what was read is what there is. `isCertain`: the files were written anew. */
  adopt(at: number, read: State, isCertain: boolean): void {
    this.#since = [];
    if (isCertain) {
      this.#most.clear();
      this.#totals.clear();
    }
    this.note(at, read);
    if (isCertain) this.certain(at);
  }

  #atMost(key: string, [count, credit]: readonly [number, number]): void {
    const [most, back] = this.#most.get(key) ?? [0, 0];
    this.#most.set(key, [Math.max(most, count), Math.max(back, credit)]);
  }
}

function dayKey(tenant: string, day: number): string {
  return `${tenant} ${day}`;
}

function known(all: Map<string, Set<number>>, key: string): Set<number> {
  let found = all.get(key);
  if (found === undefined) all.set(key, (found = new Set()));
  return found;
}
