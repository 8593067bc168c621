/**
 * What only one object may have: an external id, a host name, a key id of a tenant; the match of a route. Whoever has it live keeps it.
 * Of newcomers that ask for the same, none gets it: it is never settled by the order of files.
 */

export interface Clash {
  /** `claim "org_1"`, `host "a.example"`, `match "/x" of GET`. */
  readonly what: string;
  readonly other: string;
  /** The other has it live; else it asks for it in the same change, and neither gets it. */
  readonly isHeld: boolean;
}

/** What each object of a change would hold, by its name; nothing when it goes. */
export type Movers = ReadonlyMap<string, readonly string[]>;

const NOTHING: readonly string[] = [];

export class Holdings {
  readonly #holderOf = new Map<string, string>();
  readonly #heldBy = new Map<string, readonly string[]>();

  /** Who must be refused: their old holdings stay, so those are not free for others. */
  refusedOf(movers: Movers): Map<string, Clash> {
    const refused = new Map<string, Clash>();
    for (;;) {
      const found = this.#judge(movers, refused);
      if (found.size === 0) break;
      for (const [name, clash] of found) refused.set(name, clash);
    }
    return refused;
  }

  /** Takes the change, but for those who are refused. */
  take(movers: Movers, refused: ReadonlyMap<string, Clash>): void {
    for (const name of movers.keys()) if (!refused.has(name)) this.#release(name);
    for (const [name, holds] of movers) if (!refused.has(name)) this.hold(name, holds);
  }

  #judge(movers: Movers, refused: ReadonlyMap<string, Clash>): Map<string, Clash> {
    const claimant = new Map<string, string>();
    const found = new Map<string, Clash>();
    const clash = (name: string, what: string, other: string, isHeld: boolean): void =>
      void found.set(name, { what, other, isHeld });
    for (const [name, holds] of movers) {
      if (refused.has(name)) continue;
      for (const what of holds) {
        const holder = this.#holderOf.get(what);
        const isKept = holder !== undefined && (!movers.has(holder) || refused.has(holder));
        const rival = claimant.get(what);
        if (isKept && holder !== name) clash(name, what, holder, true);
        else if (rival === undefined || rival === name) claimant.set(what, name);
        else if (holder === name) clash(rival, what, name, true);
        else {
          clash(name, what, rival, holder === rival);
          if (holder !== rival) clash(rival, what, name, false);
        }
        if (holder === name) claimant.set(what, name);
      }
    }
    return found;
  }

  #release(name: string): void {
    for (const what of this.#heldBy.get(name) ?? NOTHING)
      if (this.#holderOf.get(what) === name) this.#holderOf.delete(what);
    this.#heldBy.delete(name);
  }

  /** Without judgement: of one who held it before. */
  hold(name: string, holds: readonly string[]): void {
    if (holds.length === 0) return;
    for (const what of holds) this.#holderOf.set(what, name);
    this.#heldBy.set(name, holds);
  }
}
