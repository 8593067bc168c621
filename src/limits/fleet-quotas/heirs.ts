/**
 * Whose it is now what was somebody's who left: parts of charters, and rights.
 *
 *   a ─will─▶ b ─will─▶ c            c is there: all of it is c's
 *   a ─────crash────▶ a'             its next life has its disk, on which all stands but for a little that a may have spent last (holdings.ts)
 *   a ─will─▶ b ─will─▶ a            all stopped at once and left it to one another: nobody of the ring is there, and each knows all that the
 *   └─next─▶ a'  └─next─▶ b'         others did, for a will is the last that its writer says. What was a's is its next life's, if that has a's disk,
 *                                    and so is what others left to a before
 *
 * A ring stays one, and only the next life of a knows that it is: so nobody else ever takes itself for the owner of what a had.
 *
 * Bound: the wills there are.
 */

import { freeOf } from './allowance.ts';
import type { Claims } from './claims.ts';
import { type FleetRow, row } from './row.ts';

/** What a will says: who inherits, who is the next life of its writer, and who inherits as the next life of one that crashed. */
const [HEIR, NEXT, CRASHED] = [1, 2, 3] as const;
const SAYS = { heir: HEIR, next: NEXT, crash: CRASHED } as const;
export type WillKind = keyof typeof SAYS;

/**
 * - `heir`: `from` leaves all it has to `to`. - `next`: `to` is the process that it was. - `crash`: both, for it could not say so itself; `crashes`: of lives before
 * it, one after the other.
 */
export function willRow(day: number, from: string, to: string, says: WillKind, crashes = 0): FleetRow {
  return row({ kind: 'will', day, from, to }, SAYS[says], says === 'crash' ? crashes : 0);
}

/** On which day it was known, and how many lives before it crashed, one after the other. */
interface Crash {
  readonly day: number;
  readonly before: number;
}

export class Heirs {
  readonly #claims: Claims;
  #version = -1;
  readonly #heirs = new Map<string, string>();
  readonly #nexts = new Map<string, string>();
  /** Found already: who is at the end of the wills; `undefined`: they are a ring. */
  readonly #ends = new Map<string, string | undefined>();
  readonly #owners = new Map<string, string>();
  /** Of who crashed and has an heir. */
  readonly #crashed = new Map<string, Crash>();
  /** Found already: see `crashOf`. */
  readonly #ways = new Map<string, string | undefined>();
  /** And all that come by way of one. */
  #crashes: Map<string, Crash[]> | undefined;

  constructor(claims: Claims) {
    this.#claims = claims;
  }

  /** `from` leaves all it has to `to`. False when there is no room. */
  leave(day: number, from: string, to: string): boolean {
    return this.#claims.put(willRow(day, from, to, 'heir'));
  }

  /** The last that crashed of those that had in turn what was the actor's, itself included: whatever comes by way of it has one owner. */
  crashOf(actor: string): string | undefined {
    this.#look();
    if (!this.#ways.has(actor))
      this.#ways.set(
        actor,
        [...this.ownersOf(actor)].findLast((each) => this.#crashed.has(each)),
      );
    return this.#ways.get(actor);
  }

  /** What lives that come by way of one, and crashed on the day or later, may have spent together of a limit and not kept, units. */
  chargeOf(way: string, since: number, limit: number): number {
    this.#look();
    if (this.#crashes === undefined) {
      this.#crashes = new Map();
      for (const [actor, crash] of this.#crashed) {
        const by = this.crashOf(actor) as string;
        const known = this.#crashes.get(by);
        if (known === undefined) this.#crashes.set(by, [crash]);
        else known.push(crash);
      }
    }
    let units = 0;
    for (const { day, before } of this.#crashes.get(way) ?? []) if (day >= since) units += freeOf(limit, before);
    return units;
  }

  /** Whether something of somebody's that crashed is an owner's. */
  hasOfCrash(owner: string): boolean {
    this.#look();
    for (const actor of this.#crashed.keys()) if (this.ownerOf(actor) === owner) return true;
    return false;
  }

  /** Whether it is said whose all it had is. */
  hasLeft(actor: string): boolean {
    this.#look();
    return this.#heirs.has(actor);
  }

  /** Whether a will hands on something, beside saying which life follows: in a ring that does. */
  handsOn({ from, x }: FleetRow): boolean {
    this.#look();
    return x !== NEXT || this.#isOfRing(from);
  }

  /** Whose it is now what was the actor's. */
  ownerOf(actor: string): string {
    this.#look();
    let owner = this.#owners.get(actor);
    if (owner === undefined) {
      owner = actor;
      for (const each of this.#lives(actor)) owner = each;
      owner = this.#ends.get(owner) ?? owner;
      this.#owners.set(actor, owner);
    }
    return owner;
  }

  /** All that had it in turn, the actor first. */
  *ownersOf(actor: string): Generator<string> {
    this.#look();
    const seen = new Set<string>();
    for (const life of this.#lives(actor)) {
      for (let at: string | undefined = life; at !== undefined && !seen.has(at); at = this.#heirs.get(at)) {
        seen.add(at);
        yield at;
      }
    }
  }

  /** The actor, and where the wills lead into a ring the next life of the first of the ring, and so on. */
  *#lives(actor: string): Generator<string> {
    const seen = new Set<string>();
    for (let life: string | undefined = actor; life !== undefined && !seen.has(life); life = this.#after(life)) {
      seen.add(life);
      yield life;
      if (this.#endOf(life) !== undefined) return;
    }
  }

  #after(life: string): string | undefined {
    return (this.#isOfRing(life) ? this.#nexts : this.#heirs).get(life);
  }

  /** Whether its wills come back to itself. */
  #isOfRing(life: string): boolean {
    const seen = new Set<string>();
    for (let at = this.#heirs.get(life); at !== undefined && !seen.has(at); at = this.#heirs.get(at)) {
      if (at === life) return true;
      seen.add(at);
    }
    return false;
  }

  #endOf(actor: string): string | undefined {
    const way = new Set<string>();
    let at = actor;
    let heir = this.#heirs.get(at);
    for (; heir !== undefined && !this.#ends.has(at) && !way.has(at); heir = this.#heirs.get(at)) {
      way.add(at);
      at = heir;
    }
    // Somebody who left nothing; else what was found before, which nothing was where the way comes back to itself.
    const end = heir === undefined ? at : this.#ends.get(at);
    for (const each of way.add(at)) this.#ends.set(each, end);
    return end;
  }

  /** Reads them anew when there are others. */
  #look(): void {
    const version = this.#claims.changesOf('will');
    if (this.#version === version) return;
    this.#version = version;
    for (const each of [this.#heirs, this.#nexts, this.#ends, this.#owners, this.#crashed, this.#ways]) each.clear();
    this.#crashes = undefined;
    for (const { from, to, day, x, y } of this.#claims.ofKind('will')) {
      if (x === CRASHED) this.#crashed.set(from, { day, before: y });
      // Of two, which none but a forger writes, all take the same.
      for (const said of [...(x === NEXT ? [] : [this.#heirs]), ...(x === HEIR ? [] : [this.#nexts])])
        if (to < (said.get(from) ?? 'g')) said.set(from, to);
    }
  }
}
