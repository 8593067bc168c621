/**
 * What lives that ended without a farewell, and of whom nobody but a collector knows, may have spent of hard quotas beyond what it has of them.
 * That much is counted as used, once, under a name that all make alike, so that the rights of those who come after are what is left for certain.
 *
 * A life is not meant when its rights are known here, for what it spent stands in them: it has a part in the charter of the window, or had one in
 * a charter of its last day or later, or left a will, or is there.
 *
 * Bounds: lives, and charges, that a collector keeps of a fleet; and a charge a life and line that is open.
 */
import { createHash } from 'node:crypto';
import type { Line } from '../quotas/account.ts';
import type { CounterStore } from '../quotas/counter-store.ts';
import { freeOf } from './allowance.ts';
import type { Heirs } from './heirs.ts';
import type { Members } from './members.ts';
import type { FleetRow } from './row.ts';
import type { Shares } from './shares.ts';

export interface GoneWorld {
  readonly counters: CounterStore;
  readonly members: Members;
  readonly shares: Shares;
  readonly heirs: Heirs;
  /** In UTC. */
  readonly today: () => number;
}

interface Life {
  /** The last on which a collector heard of it, in UTC. */
  readonly day: number;
  /** Under which it is charged. */
  readonly name: string;
}

interface Charge {
  readonly name: string;
  readonly day: number;
  units: number;
}

/** Of names that are charged: of 2^16 lives one has such a name by chance, which changes nothing. */
const PREFIX = 'dead';

export class Gone {
  readonly #o: GoneWorld;
  /** Who did not say farewell. */
  readonly #lives = new Map<string, Life>();
  readonly #ahead = new Map<string, number>();
  /** By tenant and meter: what was charged by those who were here before, and here. Days of them may be totals by now. */
  readonly #charges = new Map<string, Charge[]>();
  /** Of lines that were charged: by which charter of which window, and of how many lives. */
  readonly #charged = new WeakMap<Line, string>();

  constructor(world: GoneWorld) {
    this.#o = world;
  }

  /** A life that a collector knows. */
  life(actor: string, day: number, hasLeft: boolean): void {
    if (hasLeft) this.#lives.delete(actor);
    else this.#lives.set(actor, { day, name: nameOf(actor) });
  }

  /** How far ahead of what is kept it could be with a window; else it is `freeOf` the limit. */
  ahead(actor: string, tenant: string, meter: string, from: number, units: number): void {
    this.#ahead.set(`${actor} ${tenant} ${meter} ${from}`, units);
  }

  /** A row that a collector has: perhaps somebody charged that. */
  see({ kind, tenant, meter, day, from, x }: FleetRow): void {
    if (kind === 'count' && from.startsWith(PREFIX)) this.#note(tenant, meter, { name: from, day, units: x });
  }

  /** Counts what may have been spent of the line. */
  charge(tenant: string, line: Line): void {
    if (this.#lives.size === 0) return;
    const charter = this.#o.shares.charterOf(line.from);
    if (charter === undefined) return;
    const by = `${charter} ${line.from} ${this.#lives.size}`;
    if (this.#charged.get(line) === by) return;
    this.#charged.set(line, by);
    const reachable = new Set(this.#o.members.reachable);
    const { meter, limit } = line.quota;
    for (const [life, { day, name }] of this.#lives) {
      // A day begins somewhere before it does in UTC.
      if (day < line.from - 1 || reachable.has(life) || this.#isKnown(life, day, charter)) continue;
      const ahead = this.#ahead.get(`${life} ${tenant} ${meter} ${line.from}`) ?? 0;
      const units = Math.max(freeOf(limit), Math.min(limit, ahead));
      // All that live now go by the same charter, so it is on one day; where that is a total already, on this one.
      if (!this.#count(tenant, line, charter, name, units)) this.#count(tenant, line, this.#o.today(), name, units);
    }
  }

  /** Whether what it could spend is known here, up to its last day. */
  #isKnown(life: string, lastDay: number, charter: number): boolean {
    const { shares, heirs } = this.#o;
    return shares.holds(charter, life) || shares.latestOf(life) >= lastDay || heirs.hasLeft(life);
  }

  /** On the day of the window that is next to one, unless it is counted on others. False: that day is a total. */
  #count(tenant: string, line: Line, near: number, name: string, units: number): boolean {
    const { meter } = line.quota;
    const day = Math.min(Math.max(near, line.from), line.to - 1);
    const count = units - this.#chargedBut(day, tenant, line, name);
    if (count <= 0) return true;
    if (this.#o.counters.merge({ tenant, meter, day, actor: name, count, credit: 0 }) === 'closed') return false;
    this.#note(tenant, meter, { name, day, units: count });
    return true;
  }

  /** In the window, on other days. */
  #chargedBut(day: number, tenant: string, { quota, from, to }: Line, name: string): number {
    let units = 0;
    for (const each of this.#charges.get(`${tenant} ${quota.meter}`) ?? [])
      if (each.name === name && each.day !== day && each.day >= from && each.day < to) units += each.units;
    return units;
  }

  #note(tenant: string, meter: string, charge: Charge): void {
    const key = `${tenant} ${meter}`;
    const charges = this.#charges.get(key) ?? [];
    this.#charges.set(key, charges);
    const known = charges.find(({ name, day }) => name === charge.name && day === charge.day);
    if (known === undefined) charges.push(charge);
    else known.units = Math.max(known.units, charge.units);
  }
}

/** Nobody's life. */
function nameOf(life: string): string {
  return PREFIX + createHash('sha256').update(`gone ${life}`).digest('hex').slice(PREFIX.length, 16);
}
