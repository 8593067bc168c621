/**
 * One event a crossing and fleet. All who see a mark reached say so; after 2 s the first of them by name announces it. Who is silent, because
 * it crashed or is behind a cut, is taken over from: the next announces 5 s later, and so on. In a cut each side announces once.
 *
 *   reached ─▶ event row (reached) ── 2 s ──▶ first of those that say so? ─▶ log, count, event row (announced)
 *                                             no ─ 5 s each ─▶ announced by now? ─▶ nothing : the same
 *
 * A mark is announced once a window; that of a gauge once a report that reached it.
 *
 * Bound: `PENDING_MAX` crossings that wait; beyond, they are announced at once.
 */
import type { Claims } from './claims.ts';
import type { Members } from './members.ts';
import { type FleetRow, NOBODY, row } from './row.ts';

export const ELECT_MS = 2000;
export const TAKEOVER_MS = 5000;
const PENDING_MAX = 4096;

export interface Crossing {
  readonly tenant: string;
  readonly meter: string;
  /** The day on which the window begins; of a gauge the second of its last report. */
  readonly day: number;
  /** Units. */
  readonly mark: number;
  readonly announce: () => void;
}

interface Pending extends Crossing {
  readonly since: number;
}

export class Announcer {
  readonly #claims: Claims;
  readonly #members: Members;
  readonly #pendingMax: number;
  readonly #pending: Pending[] = [];

  /** Another bound is for tests. */
  constructor(claims: Claims, members: Members, pendingMax: number = PENDING_MAX) {
    this.#claims = claims;
    this.#members = members;
    this.#pendingMax = pendingMax;
  }

  get waiting(): number {
    return this.#pending.length;
  }

  reached(crossing: Crossing, now: number): void {
    if (this.#isAnnounced(crossing)) return;
    const { tenant, meter, day, mark } = crossing;
    const isKept = this.#claims.put(row({ ...this.#key, tenant, meter, day }, mark, 0));
    if (isKept && this.#pending.length < this.#pendingMax) this.#pending.push({ ...crossing, since: now });
    else crossing.announce();
  }

  /** Announces what is due. */
  look(now: number): void {
    const reachable = new Set(this.#members.reachable);
    for (const each of this.#pending.splice(0)) {
      if (this.#isAnnounced(each)) continue;
      if (now - each.since < ELECT_MS + TAKEOVER_MS * this.#before(each, reachable)) this.#pending.push(each);
      else this.#announce(each);
    }
  }

  #announce({ tenant, meter, day, mark, announce }: Crossing): void {
    announce();
    this.#claims.put(row({ ...this.#key, tenant, meter, day }, mark, mark));
  }

  get #key() {
    return { kind: 'event', from: this.#members.self, to: NOBODY } as const;
  }

  /** Others that saw it and come before this one. */
  #before(crossing: Crossing, reachable: ReadonlySet<string>): number {
    let before = 0;
    for (const { x, from } of this.#events(crossing))
      if (x >= crossing.mark && from < this.#members.self && reachable.has(from)) before++;
    return before;
  }

  #isAnnounced(crossing: Crossing): boolean {
    return this.#events(crossing).some(({ y }) => y >= crossing.mark);
  }

  #events({ tenant, meter, day }: Crossing): FleetRow[] {
    return [...this.#claims.bag(tenant, meter, day).values()].filter(({ kind }) => kind === 'event');
  }
}
