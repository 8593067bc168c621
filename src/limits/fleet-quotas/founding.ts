/**
 * Who begins a charter, and how who comes later gets a part.
 *
 *   all see each other ─ 3 s ─┐
 *   most do ────────── 60 s ─┴─▶ the first by name begins the charter of the day and gives all an equal part
 *   somebody has nothing ─ 6 s ─▶ the richest gives half of what it has, less what it spent already
 *   somebody leaves ─▶ the poorest inherits it all
 *   somebody crashes, and comes back with its disk ─▶ has its part again (comeback.ts), and gives nothing of it to who has nothing: they ask
 *
 * Two sides of a cut are never both most of the members, as long as they expect the same members: seeds that name everybody (dns, file) see to
 * that. Who began for the same day without knowing of each other: the first by name holds, and for as long as both were believed a fleet
 * could have spent a hard quota twice.
 */
import type { MonotonicMs } from '../../core/index.ts';
import { DAY_MS } from '../quotas/calendar.ts';
import type { Claims } from './claims.ts';
import { SETTLE_MS } from './comeback.ts';
import type { Escrow } from './escrow.ts';
import type { Heirs } from './heirs.ts';
import { ALL, type Deficit } from './holdings.ts';
import type { Members } from './members.ts';
import { row } from './row.ts';
import { lengthOf, type Part, type Shares, WHOLE } from './shares.ts';

const HOUR_MS = 3_600_000;
/** A day begins somewhere 14 h before it does in UTC; an hour more, so that its charter is everywhere by then. */
const AHEAD_MS = 15 * HOUR_MS;
/**
 * The same where somebody is missing: by then all who are behind a cut are known to be. A round of probes takes 0.5 s a member, and a suspicion
 * ten seconds, ms.
 */
const MISSING_MS = 60_000;
/** Who comes back with its disk has its own by then, and needs nothing of others, ms. */
const GIVE_MS = 2 * SETTLE_MS;
/** Windows of which a giver keeps something; where more are nearly used up, newcomers get rights when they ask. */
const KEEPS_MAX = 256;

export interface Parts {
  readonly claims: Claims;
  readonly shares: Shares;
  readonly heirs: Heirs;
  readonly members: Members;
  readonly escrow: Escrow;
}

export class Founding {
  readonly #claims: Claims;
  readonly #shares: Shares;
  readonly #heirs: Heirs;
  readonly #members: Members;
  readonly #escrow: Escrow;
  #known = '';
  #since: number;

  constructor({ claims, shares, heirs, members, escrow }: Parts, now: number) {
    this.#claims = claims;
    this.#shares = shares;
    this.#heirs = heirs;
    this.#members = members;
    this.#escrow = escrow;
    this.#since = now;
  }

  /** Each second. `begins`: days on which windows begin that were asked for here. */
  look(now: MonotonicMs, wallMs: number, begins: Iterable<number>): void {
    const reachable = this.#members.reachable;
    const known = reachable.join();
    if (known !== this.#known) this.#since = now;
    this.#known = known;
    const { isAlone, isComplete } = this.#members;
    const calmMs = now - this.#since;
    if (!isAlone && calmMs < SETTLE_MS) return;
    if (isAlone || isComplete || calmMs >= MISSING_MS) this.#begin(reachable, Math.floor((wallMs + AHEAD_MS) / DAY_MS));
    if (isAlone || calmMs >= GIVE_MS) for (const charter of this.#charters(begins)) this.#giveOf(charter, reachable);
  }

  /** Whoever has least inherits all this sidecar has; undefined: nobody is there. */
  leave(day: number): string | undefined {
    const { self, reachable } = this.#members;
    const charter = this.#shares.newest;
    const wealth = charter === undefined ? undefined : this.#wealth(charter);
    const has = (actor: string): number => wealth?.get(actor) ?? 0;
    // Who said farewell may still be taken for there.
    const [poorest] = reachable
      .filter((each) => each !== self && !this.#heirs.hasLeft(each))
      .sort((a, b) => has(a) - has(b));
    if (poorest !== undefined) this.#heirs.leave(day, self, poorest);
    return poorest;
  }

  #begin(reachable: readonly string[], day: number): void {
    const { self, isMost } = this.#members;
    const { newest } = this.#shares;
    if (!isMost || reachable[0] !== self || (newest !== undefined && newest >= day)) return;
    // Where there is no room there is no charter; claims say so.
    if (!this.#shares.begin(day, self)) return;
    for (const [at, actor] of reachable.entries())
      if (actor !== self) this.#shares.give(day, self, actor, slice({ begin: 0, end: WHOLE }, at, reachable.length));
  }

  /** Those by which windows go, and the newest: windows that begin soon go by it. */
  #charters(begins: Iterable<number>): Set<number> {
    const charters = new Set([this.#shares.newest]);
    for (const day of begins) charters.add(this.#shares.charterOf(day));
    return new Set([...charters].filter((each) => each !== undefined));
  }

  /** Gives to who has nothing of a charter. */
  #giveOf(charter: number, reachable: readonly string[]): void {
    const { self } = this.#members;
    const wealth = this.#wealth(charter);
    const could = this.#wealth(charter, (actor) => this.#isToGive(actor));
    const has = (actor: string): number => could.get(actor) ?? 0;
    const poor = reachable.filter((actor) => !wealth.has(actor));
    const richest = reachable.reduce((best, each) => (has(each) > has(best) ? each : best));
    if (poor.length === 0 || richest !== self || has(self) === 0) return;
    this.#escrow.sayAll();
    const [giver, part] = this.#largest(charter);
    // The first of so many slices stays here.
    for (const [at, actor] of poor.entries()) this.#give(charter, giver, actor, slice(part, at + 1, poor.length + 1));
  }

  #give(charter: number, giver: string, to: string, part: Part): void {
    if (part.begin >= part.end || this.#shares.given(charter, giver, to) !== undefined) return;
    const deficits = this.#escrow.deficits(giver, charter, part, KEEPS_MAX);
    if (deficits?.every((each) => this.#keep(each, giver, to)) === true) this.#shares.give(charter, giver, to, part);
  }

  #keep({ tenant, meter, day, units }: Deficit, from: string, to: string): boolean {
    const key = { kind: 'keep', tenant, meter, day, from, to } as const;
    return this.#claims.put(units === undefined ? row(key, 0, ALL) : row(key, units));
  }

  /**
   * Whether the parts of an actor may be given on. What one spent last that crashed may stand nowhere, so that of windows of which nothing is known
   * nobody knows what to keep: whoever has something of such gives its own alone.
   */
  #isToGive(actor: string): boolean {
    const owner = this.#heirs.ownerOf(actor);
    return owner === actor || !this.#heirs.hasOfCrash(owner);
  }

  /** The largest part that is this sidecar's to give, and whose it was. */
  #largest(charter: number): [owner: string, part: Part] {
    let found: [string, Part] = [this.#members.self, { begin: 0, end: 0 }];
    for (const actor of this.#shares.holders(charter))
      if (this.#heirs.ownerOf(actor) === this.#members.self && this.#isToGive(actor))
        for (const part of this.#shares.partsOf(charter, actor))
          if (part.end - part.begin > found[1].end - found[1].begin) found = [actor, part];
    return found;
  }

  /** What is whose, inherited parts included; who has nothing is not in it. `counts`: whose parts. */
  #wealth(charter: number, counts: (actor: string) => boolean = () => true): ReadonlyMap<string, number> {
    const wealth = new Map<string, number>();
    for (const each of this.#shares.holders(charter)) {
      if (!counts(each)) continue;
      const owner = this.#heirs.ownerOf(each);
      const has = (wealth.get(owner) ?? 0) + lengthOf(this.#shares.partsOf(charter, each));
      if (has > 0) wealth.set(owner, has);
    }
    return wealth;
  }
}

/** One of so many equal slices of a part. */
function slice({ begin, end }: Part, at: number, slices: number): Part {
  // Up: a third of 90 is 30, not 29.99.
  const cut = (i: number): number => begin + Math.ceil(((end - begin) * i) / slices);
  return { begin: cut(at), end: cut(at + 1) };
}
