/**
 * Who holds what of a window of a hard quota, by what is known here.
 *
 *   rights of an actor = part of the limit (shares.ts) + granted to it − granted by it + kept of what it gave − kept by who gave
 *   its estates        = what is left of each that left its own to it; of those that come by way of one that crashed what all of them leave together,
 *                        less `freeOf` the limit for each that crashed
 *
 * It moves them to itself before it spends them, so that in a ring of wills each has spent of its own alone. One that crashed may have spent, of its own or
 * of what was left to it, and moved a little that stands nowhere: that much is taken for spent in each window that it saw. All that came by
 * way of it has one owner, also where a ring parts what another had.
 *
 * Accuracy: what was used and stands in nobody's rights (before there were any) is taken off the limit first, as far as it is known. Of whom
 * something is missing here, because there was no room for it, nothing is believed to be left.
 */
import type { Line } from '../quotas/account.ts';
import type { Bag, Claims } from './claims.ts';
import type { Heirs } from './heirs.ts';
import type { Members } from './members.ts';
import { type FleetRow, NOBODY } from './row.ts';
import { type Part, type Shares, unitsOf } from './shares.ts';

/** Of a gift: `y` of a row that keeps all of it, because nobody knows what it is worth. */
export const ALL = 1;

export interface Holding {
  rights: number;
  spent: number;
  /** Nothing that it gave or spent is missing. */
  isKnown: boolean;
  /** By the one that crashed on their way, or each for itself. */
  readonly estates: Map<string, Estate>;
  /** What may be moved of them in all. */
  left: number;
}

export interface Estate {
  /** What each of its actors has left. */
  readonly has: Map<string, number>;
  /** What may be moved of them together. */
  left: number;
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
    const holdings = new Map<string, Holding>();
    const of = (owner: string): Holding => {
      let holding = holdings.get(owner);
      if (holding === undefined)
        holdings.set(owner, (holding = { rights: 0, spent: 0, isKnown: true, estates: new Map(), left: 0 }));
      return holding;
    };
    of(this.#members.self);
    for (const [actor, { rights, spent }] of this.#actors(tenant, line, charter)) {
      const isKnown = this.#isKnown(actor, line.from, charter);
      const owner = this.#heirs.ownerOf(actor);
      // Of who something is missing it may be anything that others have.
      if (actor === owner) Object.assign(of(owner), { rights, spent, isKnown });
      else this.#estateOf(of(owner), actor).has.set(actor, isKnown ? rights - spent : Number.NEGATIVE_INFINITY);
    }
    for (const holding of holdings.values())
      for (const [way, estate] of holding.estates) {
        // A day begins somewhere before it does in UTC.
        const charge = this.#heirs.chargeOf(way, line.from - 1, line.quota.limit);
        estate.left = Math.max(
          0,
          [...estate.has.values()].reduce((sum, each) => sum + each, -charge),
        );
        holding.left += estate.left;
      }
    return holdings;
  }

  #estateOf({ estates }: Holding, actor: string): Estate {
    const way = this.#heirs.crashOf(actor) ?? actor;
    let estate = estates.get(way);
    if (estate === undefined) estates.set(way, (estate = { has: new Map(), left: 0 }));
    return estate;
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
      else if (kind === 'grant' && to === NOBODY) {
        // It crashed, and may have spent so much: what is not known of that nobody has.
        of(from).rights -= Math.max(0, x - this.#said(tenant, line, from));
      } else if (kind === 'grant') {
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
   * What an actor must keep of `part` when this sidecar, whose it is, gives that away, so that what it spent and gave stays its own. Undefined: it
   * cannot be said, or more than `max` windows are concerned.
   */
  deficits(actor: string, charter: number, part: Part, max: number, lines: HardLines): Deficit[] | undefined {
    const deficits: Deficit[] = [];
    const add = (deficit: Deficit | undefined): boolean => deficit === undefined || deficits.push(deficit) <= max;
    for (const [day, bags] of this.#claims.byDay) {
      if (this.#shares.charterOf(day) !== charter) continue;
      if (!this.#isKnown(actor, day, charter)) return undefined;
      for (const bag of bags.values()) if (!add(this.#deficitOf(actor, part, bag, lines))) return undefined;
    }
    if (actor !== this.#members.self) return deficits;
    // What is reserved stands in no claim.
    for (const { tenant, line } of lines.hard())
      if (line.reserved > 0 && this.#shares.charterOf(line.from) === charter && !this.#isNamed(actor, tenant, line))
        if (!add(this.#deficit(actor, part, tenant, line))) return undefined;
    return deficits;
  }

  /** Whether something of the window stands in claims that is the actor's. */
  #isNamed(actor: string, tenant: string, line: Line): boolean {
    const bag = this.#claims.bag(tenant, line.quota.meter, line.from);
    return [...bag.values()].some((each) => concerns(each, actor));
  }

  #deficitOf(actor: string, part: Part, bag: Bag, lines: HardLines): Deficit | undefined {
    for (const each of bag.values()) {
      if (!concerns(each, actor)) continue;
      const { tenant, meter, day } = each;
      const line = lines.hardLine(tenant, meter);
      if (line === undefined) return { tenant, meter, day, units: undefined };
      // Its window is over.
      return line.from === day ? this.#deficit(actor, part, tenant, line) : undefined;
    }
    return undefined;
  }

  #deficit(actor: string, part: Part, tenant: string, line: Line): Deficit | undefined {
    const { quota, from: day, reserved } = line;
    const { self } = this.#members;
    const own = this.of(tenant, line).get(self) as Holding;
    const has = actor === self ? ownFree(own) - reserved : (this.#estateOf(own, actor).has.get(actor) as number);
    const units = Math.ceil(unitsOf([part], quota.limit, this.#outside(tenant, line)) - has);
    return units > 0 ? { tenant, meter: quota.meter, day, units } : undefined;
  }

  #isKnown(actor: string, day: number, charter: number | undefined): boolean {
    const claims = this.#claims;
    return !claims.hasMissed(actor, day) && (charter === undefined || !claims.hasMissed(actor, charter));
  }

  /** What an actor said that it spent. */
  #said(tenant: string, { quota, from: day }: Line, from: string): number {
    return this.#claims.get({ kind: 'spent', tenant, meter: quota.meter, day, from, to: NOBODY })?.x ?? 0;
  }

  /** Units that were used and are in nobody's rights. */
  #outside(tenant: string, line: Line): number {
    let inside = line.spent - line.credited;
    for (const { kind, from, to, x, y } of this.#claims.bag(tenant, line.quota.meter, line.from).values())
      if (kind === 'spent' && from !== this.#members.self) inside += x - y;
      else if (kind === 'grant' && to === NOBODY) inside += Math.max(0, y - this.#said(tenant, line, from));
    return Math.max(0, line.used - inside);
  }
}

function concerns({ kind, tenant, from, to }: FleetRow, actor: string): boolean {
  return tenant !== '' && kind !== 'event' && (from === actor || to === actor);
}

/** Units that may be spent or given. */
export function free(holding: Holding): number {
  return ownFree(holding) + holding.left;
}

/** The same without its estates. */
export function ownFree({ rights, spent, isKnown }: Holding): number {
  return isKnown ? rights - spent : 0;
}
