/** What a log of own counts may say behind the end of a process: no less than was certain then, no more than was ever counted, and nothing twice. */
import type { Claims } from '../src/limits/fleet-quotas/claims.ts';
import type { ClosedTotal, CounterStore } from '../src/limits/quotas/counter-store.ts';
import type { GaugeStore } from '../src/limits/quotas/gauge-store.ts';

export interface Stores {
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  readonly claims: Claims;
}

/** All that stores hold, by what it is of; counts, credits and claims grow only. */
export interface State {
  /** Of a tenant, a day and an actor: units counted, and given back. */
  readonly rows: ReadonlyMap<string, readonly [count: number, credit: number]>;
  /** Of a tenant and a day that is closed. */
  readonly totals: ReadonlyMap<string, number>;
  /** Of a tenant and a day: what it holds. */
  readonly values: ReadonlyMap<string, number>;
  /** Of a tenant: when it was reported last. */
  readonly gauges: ReadonlyMap<string, number>;
  readonly claims: ReadonlyMap<string, number>;
}

export const NOTHING: State = {
  rows: new Map(),
  totals: new Map(),
  values: new Map(),
  gauges: new Map(),
  claims: new Map(),
};

export function stateOf({ counters, gauges, claims }: Stores): State {
  const all = [...counters.all()];
  const days = all.flatMap(({ totals, rows }) => [...totals, ...rows]);
  const byDay = (each: ClosedTotal): [string, number] => [dayKey(each), each.total];
  return {
    rows: new Map(
      all.flatMap(({ rows }) => rows.map((row) => [`${dayKey(row)} ${row.actor}`, [row.count, row.credit]])),
    ),
    totals: new Map(all.flatMap(({ totals }) => totals.map(byDay))),
    values: new Map(days.map((each) => [dayKey(each), counters.valueOf(each.tenant, each.meter, each.day)])),
    gauges: new Map([...gauges.rows()].map(({ tenant, at }) => [tenant, at])),
    // Whose heir a life is another look judges.
    claims: new Map(
      [...claims.rows()].flatMap(({ kind, tenant, day, from, to, x }) =>
        kind === 'will' ? [] : [[`${tenant} ${day} ${from} ${to}`, x]],
      ),
    ),
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
  /** The most that a day ever held. */
  readonly #fullest = new Map<string, number>();
  readonly #reported = new Map<string, Set<number>>();

  note(at: number, state: State): void {
    this.#since.push({ at, state });
    for (const [key, row] of state.rows) this.#atMost(key, row);
    for (const [key, total] of state.totals) known(this.#totals, key).add(total);
    for (const [key, value] of state.values)
      this.#fullest.set(key, Math.max(value, this.#fullest.get(key) ?? Number.NEGATIVE_INFINITY));
    for (const [key, reported] of state.gauges) known(this.#reported, key).add(reported);
    for (const [key, x] of state.claims) this.#atMost(key, [x, 0]);
  }

  /** What stood there at that time outlives everything. */
  certain(at: number): void {
    while (this.#since[0] !== undefined && this.#since[0].at <= at)
      this.floor = (this.#since.shift() as { state: State }).state;
  }

  /** What is wrong with what was read. `told`: of these days others said totals, of which what was read may be another. */
  judge(read: State, told: ReadonlyMap<string, unknown>): string | undefined {
    const { rows, totals, gauges, claims } = read;
    for (const [key, value] of read.values)
      if (value > (this.#fullest.get(key) ?? 0))
        return `${key} holds ${value}, and held ${this.#fullest.get(key)} at most`;
    for (const key of this.floor.values.keys()) {
      const least = this.#leastOf(key);
      if ((read.values.get(key) ?? 0) < least) return `${key} holds ${read.values.get(key)} of ${least}`;
    }
    for (const [key, [count, credit]] of rows) {
      const [most, back] = this.#most.get(key) ?? [0, 0];
      if (count > most || credit > back)
        return `${key} says ${count} and ${credit} back, and no more than ${most} and ${back} were counted`;
    }
    for (const [key, [count, credit]] of this.floor.rows) {
      const day = key.slice(0, key.lastIndexOf(' '));
      // Its counts are in what it was closed with.
      if (totals.has(day)) continue;
      const [read, back] = rows.get(key) ?? [0, 0];
      if (read < count || back < credit) return `${key} says ${read} and ${back} back of ${count} and ${credit}`;
    }
    for (const [key, total] of totals)
      if (!told.has(key) && this.#totals.get(key)?.has(total) !== true)
        return `${key} was closed with ${total}, which it never had`;
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
      this.#fullest.clear();
    }
    this.note(at, read);
    if (isCertain) this.certain(at);
  }

  /** The least that a day has held since then: what is given back makes it less. */
  #leastOf(key: string): number {
    return Math.min(
      ...[this.floor, ...this.#since.map(({ state }) => state)].map(({ values }) => values.get(key) ?? 0),
    );
  }

  #atMost(key: string, [count, credit]: readonly [number, number]): void {
    const [most, back] = this.#most.get(key) ?? [0, 0];
    this.#most.set(key, [Math.max(most, count), Math.max(back, credit)]);
  }
}

function dayKey({ tenant, day }: { readonly tenant: string; readonly day: number }): string {
  return `${tenant} ${day}`;
}

function known(all: Map<string, Set<number>>, key: string): Set<number> {
  let found = all.get(key);
  if (found === undefined) all.set(key, (found = new Set()));
  return found;
}
