/**
 * What lives that ended without a farewell, and of whom nobody but a collector knows, may have spent of hard quotas beyond what it has of them.
 * That much is counted as used, once, under a name that all make alike, so that the rights of those who come after are what is left for certain.
 *
 * A life that has a part in the charter of a window is not meant: what it held stands in its rights.
 *
 * Bound: rows that a collector keeps of a fleet.
 */
import { createHash } from 'node:crypto';
import type { Line } from '../quotas/account.ts';
import type { CounterStore } from '../quotas/counter-store.ts';
import { freeOf } from './allowance.ts';
import type { Members } from './members.ts';
import type { Shares } from './shares.ts';

export interface GoneWorld {
  readonly counters: CounterStore;
  readonly members: Members;
  readonly shares: Shares;
}

export class Gone {
  readonly #o: GoneWorld;
  /** Who did not say farewell, and the last day on which a collector heard of it, in UTC. */
  readonly #lives = new Map<string, number>();
  readonly #ahead = new Map<string, number>();
  /** Of lines that were charged: by which charter of which window, and of how many lives. */
  readonly #charged = new WeakMap<Line, string>();

  constructor(world: GoneWorld) {
    this.#o = world;
  }

  /** A life that a collector knows. */
  life(actor: string, day: number, hasLeft: boolean): void {
    if (hasLeft) this.#lives.delete(actor);
    else this.#lives.set(actor, day);
  }

  /** How far ahead of what is kept it could be with a window; else it is `freeOf` the limit. */
  ahead(actor: string, tenant: string, meter: string, from: number, units: number): void {
    this.#ahead.set(`${actor} ${tenant} ${meter} ${from}`, units);
  }

  /** Counts what may have been spent of the line. */
  charge(tenant: string, line: Line): void {
    if (this.#lives.size === 0) return;
    const { counters, members, shares } = this.#o;
    const charter = shares.charterOf(line.from);
    if (charter === undefined) return;
    const by = `${charter} ${line.from} ${this.#lives.size}`;
    if (this.#charged.get(line) === by) return;
    this.#charged.set(line, by);
    const known = new Set([...members.remembered, ...shares.holders(charter)]);
    const { meter, limit } = line.quota;
    // All who come after go by the same charter.
    const day = Math.min(Math.max(charter, line.from), line.to - 1);
    for (const [life, last] of this.#lives) {
      // A day begins somewhere before it does in UTC.
      if (last < line.from - 1 || known.has(life)) continue;
      const count = Math.max(freeOf(limit), this.#ahead.get(`${life} ${tenant} ${meter} ${line.from}`) ?? 0);
      counters.merge({ tenant, meter, day, actor: nameOf(life), count, credit: 0 });
    }
  }
}

/** Nobody's life: of 64 random bits. */
function nameOf(life: string): string {
  return createHash('sha256').update(`gone ${life}`).digest('hex').slice(0, 16);
}
