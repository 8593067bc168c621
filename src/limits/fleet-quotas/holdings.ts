/**
 * Who holds what of a window of a hard quota, by what is known here.
 *
 *   rights of an actor  = part of the limit (shares.ts) + granted to it − granted by it + kept of what it gave − kept by who gave
 *   … that has estates  + all that those had who left it to it, less what they spent, less `freeOf` the limit for each of them that crashed
 *
 * What an actor spends it may spend of its own or of its estates': only the sum says what is left. One that crashed may have spent a little that
 * stands nowhere: that much is taken for spent in every window that it saw, and no more than there was.
 *
 * Accuracy: what was used and stands in nobody's rights (before there were any) is taken off the limit first, as far as it is known. Of whom
 * something is missing here, because there was no room for it, nothing is believed to be left.
 */
import type { Line } from '../quotas/account.ts';
import { freeOf } from './allowance.ts';
import type { Claims } from './claims.ts';
import type { Heirs } from './heirs.ts';
import type { Members } from './members.ts';
import { type Part, type Shares, unitsOf } from './shares.ts';

/** Of a gift: `y` of a row that keeps all of it, because nobody knows what it is worth. */
export const ALL = 1;

export interface Holding {
  rights: number;
  spent: number;
  /** Nothing is missing that it or who left something to it gave or spent. */
  isKnown: boolean;
}

/** What of a window whoever gives a part of the limit away must keep. */
export interface Deficit {
  readonly tenant: string;
  readonly meter: string;
  readonly day: number;
  /** Undefined: all that the part is worth, which is not known here: the tenant is gone, or its quota. */
  readonly units: number | undefined;
}

export interface HardLines {
  /** Those that were asked for here. */
  hard(): Iterable<{ readonly tenant: string; readonly line: Line }>;
  /** Of a tenant known here, in the window that is now. */
  hardLine(tenant: string, meter: string): Line | undefined;
}

export interface HoldingsWorld {
  readonly claims: Claims;
  readonly shares: Shares;
  readonly heirs: Heirs;
  readonly members: Members;
}

export class Holdings {
  readonly #claims: Claims;
  readonly #shares: Shares;
  readonly #heirs: Heirs;
  readonly #members: Members;

  constructor({ claims, shares, heirs, members }: HoldingsWorld) {
    this.#claims = claims;
    this.#shares = shares;
    this.#heirs = heirs;
    this.#members = members;
  }

  /** Of all that have something of the line's window now, this sidecar included; who is gone, and left it to nobody, too. */
  of(tenant: string, line: Line): Map<string, Holding> {
    const charter = this.#shares.charterOf(line.from);
    const holdings = new Map<string, Holding>([[this.#members.self, { rights: 0, spent: 0, isKnown: true }]]);
    const estates = new Map<string, number>();
    for (const [actor, { rights, spent }] of this.#actors(tenant, line, charter)) {
      const owner = this.#heirs.ownerOf(actor);
      const holding = holdings.get(owner) ?? { rights: 0, spent: 0, isKnown: true };
      holdings.set(owner, holding);
      holding.isKnown &&= this.#isKnown(actor, line.from, charter);
      if (actor === owner) {
        holding.rights += rights;
        holding.spent += spent;
      } else estates.set(owner, (estates.get(owner) ?? 0) + rights - spent);
    }
    // A day begins somewhere before it does in UTC.
    for (const [owner, left] of estates) {
      const lost = this.#heirs.crashesOf(owner, line.from - 1) * freeOf(line.quota.limit);
      (holdings.get(owner) as Holding).rights += Math.max(0, left - lost);
    }
    return holdings;
  }

  /** What each ever had, and what it spent; what somebody left to another is still its own. */
  #actors(tenant: string, line: Line, charter: number | undefined): Map<string, Pick<Holding, 'rights' | 'spent'>> {
    const { self } = this.#members;
    const actors = new Map<string, Pick<Holding, 'rights' | 'spent'>>();
    const of = (actor: string): Pick<Holding, 'rights' | 'spent'> => {
      let has = actors.get(actor);
      if (has === undefined) actors.set(actor, (has = { rights: 0, spent: 0 }));
      return has;
    };
    of(self).spent = line.spent - line.credited;
    if (charter === undefined) return actors;
    const outside = this.#outside(tenant, line);
    const worth = (parts: readonly Part[]): number => unitsOf(parts, line.quota.limit, outside);
    for (const actor of this.#shares.holders(charter)) of(actor).rights = worth(this.#shares.partsOf(charter, actor));
    for (const { kind, from, to, x, y } of this.#claims.bag(tenant, line.quota.meter, line.from).values()) {
      if (kind === 'spent' && from !== self) of(from).spent = x - y;
      else if (kind === 'grant') {
        of(from).rights -= x;
        of(to).rights += x;
      } else if (kind === 'keep') {
        // No more than was given, and nothing when nothing was.
        const gift = this.#shares.given(charter, from, to);
        const units = gift === undefined ? 0 : Math.min(worth([gift]), y >= ALL ? Number.POSITIVE_INFINITY : x);
        of(from).rights += units;
        of(to).rights -= units;
      }
    }
    return actors;
  }

  /**
   * What this sidecar must keep of `part` when it gives that away, so that what it and those whose heir it is spent stays its own. Undefined: it
   * cannot be said, or more than `max` windows are concerned.
   */
  deficits(charter: number, part: Part, max: number, lines: HardLines): Deficit[] | undefined {
    const deficits: Deficit[] = [];
    for (const [day, bags] of this.#claims.byDay) {
      if (this.#shares.charterOf(day) !== charter) continue;
      for (const actor of this.#shares.holders(charter))
        if (this.#isMine(actor) && !this.#isKnown(actor, day, charter)) return undefined;
      for (const bag of bags.values()) {
        const deficit = this.#deficit(part, bag, lines);
        if (deficit !== undefined && deficits.push(deficit) > max) return undefined;
      }
    }
    return deficits;
  }

  #isMine(actor: string): boolean {
    return this.#heirs.ownerOf(actor) === this.#members.self;
  }

  #deficit(part: Part, bag: ReturnType<Claims['bag']>, lines: HardLines): Deficit | undefined {
    for (const { kind, tenant, meter, day, from, to } of bag.values()) {
      if (tenant === '' || kind === 'event' || !(this.#isMine(from) || this.#isMine(to))) continue;
      const line = lines.hardLine(tenant, meter);
      if (line === undefined) return { tenant, meter, day, units: undefined };
      // Its window is over.
      if (line.from !== day) return undefined;
      const holding = this.of(tenant, line).get(this.#members.self) as Holding;
      const loss = unitsOf([part], line.quota.limit, this.#outside(tenant, line));
      const units = Math.ceil(loss + line.reserved - free(holding));
      return units > 0 ? { tenant, meter, day, units } : undefined;
    }
    return undefined;
  }

  #isKnown(actor: string, day: number, charter: number | undefined): boolean {
    const claims = this.#claims;
    return !claims.hasMissed(actor, day) && (charter === undefined || !claims.hasMissed(actor, charter));
  }

  /** Units that were used and are in nobody's rights. */
  #outside(tenant: string, line: Line): number {
    let inside = line.spent - line.credited;
    for (const { kind, from, x, y } of this.#claims.bag(tenant, line.quota.meter, line.from).values())
      if (kind === 'spent' && from !== this.#members.self) inside += x - y;
    return Math.max(0, line.used - inside);
  }
}

export function free({ rights, spent, isKnown }: Holding): number {
  return isKnown ? rights - spent : 0;
}
