/**
 * Tells on what nobody else does: rows of a life that gossip does not remember any more, and totals of closed days. One of who hold them does,
 * the highest random weight of actor and member.
 *
 *   look ─▶ whose? ─▶ rows wait, by kind ─▶ own log, in the order in which they must be known, some a turn
 *
 * Bound: rows that wait are rows of the stores.
 */
import { createHash } from 'node:crypto';
import type { CounterStore } from '../quotas/counter-store.ts';
import type { GaugeStore } from '../quotas/gauge-store.ts';
import type { Claims } from './claims.ts';
import type { Heirs } from './heirs.ts';
import type { Members } from './members.ts';
import { type FleetRow, KINDS, row } from './row.ts';

/** Rows told on in a turn: about half a millisecond. */
const TURN_ROWS = 100;

export interface AdoptionWorld {
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  readonly claims: Claims;
  readonly heirs: Heirs;
  readonly members: Members;
  /** False: there is no room. */
  readonly put: (row: FleetRow) => boolean;
}

export class Adoption {
  readonly #o: AdoptionWorld;
  /** Whose rows are told here, and of which closed days. */
  readonly #told = new Set<string>();
  readonly #days = new Set<number>();
  #daysSeen = '';
  /** By kind. */
  readonly #waiting: FleetRow[][] = KINDS.map(() => []);
  /** Rows of some are still gathered. */
  #gathering = 0;

  constructor(world: AdoptionWorld) {
    this.#o = world;
  }

  /** Something of somebody's is news. */
  hear(news: FleetRow): void {
    if (this.#told.has(news.from)) this.#wait(news);
  }

  /** Days before this are forgotten. */
  forget(oldest: number): void {
    for (const day of this.#days) if (day < oldest) this.#days.delete(day);
  }

  /** Looks whose rows nobody else tells; a step a row. */
  *look(): Generator<void> {
    const { members, counters, claims, gauges } = this.#o;
    const { remembered, reachable } = members;
    const isHeir = (of: string): boolean => heirOf(of, reachable) === members.self;
    const actors = new Set(counters.actors());
    for (const { actor } of gauges.rows()) yield void actors.add(actor);
    for (const { from } of claims.byWindow()) yield void actors.add(from);
    const mine = new Set<string>();
    for (const actor of actors) {
      if (!remembered.has(actor) && !this.#told.has(actor) && isHeir(actor)) mine.add(actor);
      yield;
    }
    if (mine.size > 0) yield* this.adopt(mine);
    yield* this.#adoptDays(reachable.join(), isHeir);
  }

  /** All that these wrote; a step a row. */
  *adopt(actors: ReadonlySet<string>): Generator<void> {
    const { counters, gauges, claims } = this.#o;
    this.#gathering++;
    for (const actor of actors) this.#told.add(actor);
    for (const { actor, tenant, meter, day, count, credit } of counters.rows()) {
      if (actors.has(actor)) this.#wait(row({ kind: 'count', tenant, meter, day, from: actor }, count, credit));
      yield;
    }
    for (const { tenant, meter, value, at, actor } of gauges.rows()) {
      if (actors.has(actor)) this.#wait(row({ kind: 'gauge', tenant, meter, from: actor }, at, value));
      yield;
    }
    const wrote = new Map<string, boolean>();
    for (const each of claims.byWindow()) {
      // What was said here is told where it stands on disk.
      if (this.#wrote(actors, each.from, wrote) && !claims.isUntold(each)) this.#wait(each);
      yield;
    }
    this.#gathering--;
  }

  /** Whether one of them gave it: of its own, or of what it had of others. Whoever reads its will must have read that. */
  #wrote(actors: ReadonlySet<string>, from: string, known: Map<string, boolean>): boolean {
    let did = known.get(from);
    if (did === undefined) {
      did = [...this.#o.heirs.ownersOf(from)].some((each) => actors.has(each));
      known.set(from, did);
    }
    return did;
  }

  /** Only when there may be others, or somebody else may be their heir. */
  *#adoptDays(reachable: string, isHeir: (of: string) => boolean): Generator<void> {
    const { counters } = this.#o;
    const seen = `${counters.closings} ${counters.totals} ${reachable}`;
    if (seen === this.#daysSeen) return;
    this.#daysSeen = seen;
    const mine = new Map<number, boolean>();
    for (const { tenant, meter, day, total } of counters.closed()) {
      yield;
      let isMine = mine.get(day);
      if (isMine === undefined) {
        isMine = !this.#days.has(day) && isHeir(`day ${day}`);
        mine.set(day, isMine);
      }
      if (isMine) this.#wait(row({ kind: 'total', tenant, meter, day }, total));
    }
    for (const [day, isMine] of mine) if (isMine) this.#days.add(day);
  }

  #wait(news: FleetRow): void {
    (this.#waiting[KINDS.indexOf(news.kind)] as FleetRow[]).push(news);
  }

  /** Tells some of what waits, once all of it does: a will comes behind all that its writer said. False: there is no room. */
  tell(rows: number = TURN_ROWS): boolean {
    if (this.#gathering > 0) return true;
    let left = rows;
    for (const waiting of this.#waiting) {
      const told = waiting.slice(0, left).findIndex((each) => !this.#o.put(each));
      const count = told === -1 ? Math.min(left, waiting.length) : told;
      waiting.splice(0, count);
      left -= count;
      if (told !== -1) return false;
    }
    return true;
  }
}

/** By rendezvous (Thaler, Ravishankar 1998): who goes leaves only its own to others. */
function heirOf(of: string, members: readonly string[]): string {
  let [heir, most] = ['', ''];
  for (const member of members) {
    const weight = createHash('sha256').update(`${of} ${member}`).digest('hex');
    if (weight > most) [heir, most] = [member, weight];
  }
  return heir;
}
