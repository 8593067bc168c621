/**
 * Who holds what of a window of a hard quota, by what is known here.
 *
 *   rights = part of the limit (shares.ts) + granted to it − granted by it + kept of what it gave − kept by who gave
 *
 * Accuracy: what was used and stands in nobody's rights (before there were any) is taken off the limit first, as far as it is known. Of whom
 * something is missing here, because there was no room for it, nothing is believed to be left.
 */
import type { Line } from '../quotas/account.ts';
import type { Claims } from './claims.ts';
import type { Members } from './members.ts';
import { type Part, type Shares, unitsOf } from './shares.ts';

/** Of a gift: `y` of a row that keeps all of it, because nobody knows what it is worth. */
export const ALL = 1;

export interface Holding {
  rights: number;
  spent: number;
  /** Nothing that it gave or spent is missing. */
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

export class Holdings {
  readonly #claims: Claims;
  readonly #shares: Shares;
  readonly #members: Members;

  constructor(claims: Claims, shares: Shares, members: Members) {
    this.#claims = claims;
    this.#shares = shares;
    this.#members = members;
  }

  /** Of all that have or had something of the line's window, this sidecar included. */
  of(tenant: string, line: Line): Map<string, Holding> {
    const { self } = this.#members;
    const holdings = new Map<string, Holding>();
    const charter = this.#shares.charterOf(line.from);
    const of = (actor: string): Holding => {
      let holding = holdings.get(actor);
      if (holding === undefined) {
        holding = { rights: 0, spent: 0, isKnown: this.#isKnown(actor, line.from, charter) };
        holdings.set(actor, holding);
      }
      return holding;
    };
    of(self).spent = line.spent - line.credited;
    if (charter === undefined) return holdings;
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
    return holdings;
  }

  /**
   * What an actor, who has some part, must keep of `part` when it gives that away, so that what it spent stays its own. Undefined: it cannot be
   * said, or more than `max` windows are concerned.
   */
  deficits(actor: string, charter: number, part: Part, max: number, lines: HardLines): Deficit[] | undefined {
    const deficits: Deficit[] = [];
    for (const [day, bags] of this.#claims.byDay) {
      if (this.#shares.charterOf(day) !== charter) continue;
      if (!this.#isKnown(actor, day, charter)) return undefined;
      for (const bag of bags.values()) {
        const deficit = this.#deficit(actor, part, bag, lines);
        if (deficit !== undefined && deficits.push(deficit) > max) return undefined;
      }
    }
    return deficits;
  }

  #deficit(actor: string, part: Part, bag: ReturnType<Claims['bag']>, lines: HardLines): Deficit | undefined {
    for (const { kind, tenant, meter, day, from, to } of bag.values()) {
      if (tenant === '' || kind === 'event' || (from !== actor && to !== actor)) continue;
      const line = lines.hardLine(tenant, meter);
      if (line === undefined) return { tenant, meter, day, units: undefined };
      // Its window is over.
      if (line.from !== day) return undefined;
      const holding = this.of(tenant, line).get(actor) as Holding;
      const held = actor === this.#members.self ? line.reserved : 0;
      const loss = unitsOf([part], line.quota.limit, this.#outside(tenant, line));
      const units = Math.ceil(loss + held - free(holding));
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
