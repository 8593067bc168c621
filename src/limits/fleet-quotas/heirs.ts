/**
 * Whose it is now what was somebody's who left: parts of charters, and rights.
 *
 *   a ─will─▶ b ─will─▶ c            c is there: all of it is c's
 *   a ─will─▶ b ─will─▶ a            all stopped at once and left it to one another: nobody of the ring is there, and each knows all that the
 *   └─next─▶ a'  └─next─▶ b'         others did, for a will is the last that its writer says. What was a's is its next life's, if that has a's disk
 *
 * A ring stays one, and only the next life of a knows that it is: so nobody else ever takes itself for the owner of what a had.
 *
 * Bound: the wills there are.
 */
import type { Claims } from './claims.ts';
import { row } from './row.ts';

/** What a will says: who inherits, and who is the next life of its writer. */
const [HEIR, NEXT] = [1, 2] as const;

export class Heirs {
  readonly #claims: Claims;
  #version = -1;
  readonly #heirs = new Map<string, string>();
  readonly #nexts = new Map<string, string>();
  /** Found already: who is at the end of the wills; `undefined`: they are a ring. */
  readonly #ends = new Map<string, string | undefined>();
  readonly #owners = new Map<string, string>();

  constructor(claims: Claims) {
    this.#claims = claims;
  }

  /** `from` leaves all it has to `to`. False when there is no room. */
  leave(day: number, from: string, to: string): boolean {
    return this.#claims.put(row({ kind: 'will', day, from, to }, HEIR));
  }

  /** `to` is the process that `from` was before. */
  goOn(day: number, from: string, to: string): boolean {
    return this.#claims.put(row({ kind: 'will', day, from, to }, NEXT));
  }

  /** Whether it said whose all it had is. */
  hasLeft(actor: string): boolean {
    this.#look();
    return this.#heirs.has(actor);
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
    for (const life of this.#lives(actor)) {
      const seen = new Set<string>();
      for (let at: string | undefined = life; at !== undefined && !seen.has(at); at = this.#heirs.get(at)) {
        seen.add(at);
        yield at;
      }
    }
  }

  /** The actor, and where the wills are a ring its next life, and so on. */
  *#lives(actor: string): Generator<string> {
    const seen = new Set<string>();
    for (let life: string | undefined = actor; life !== undefined && !seen.has(life); life = this.#nexts.get(life)) {
      seen.add(life);
      yield life;
      if (this.#endOf(life) !== undefined) return;
    }
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
    for (const each of [this.#heirs, this.#nexts, this.#ends, this.#owners]) each.clear();
    for (const { from, to, x } of this.#claims.ofKind('will')) {
      const said = x === HEIR ? this.#heirs : this.#nexts;
      // Of two, which none but a forger writes, all take the same.
      if (to < (said.get(from) ?? 'g')) said.set(from, to);
    }
  }
}
