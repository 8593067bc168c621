/**
 * Rights to spend of hard quotas (a bounded counter: Balegas et al. 2015). The rights of all are the limit; each spends only rights it holds,
 * and gives of them to who wants some. So no cut, crash or late row makes the fleet exceed a hard quota: what cannot be given is refused.
 *
 *   rights = part of the limit + granted to it − granted by it (holdings.ts)          spent ≤ rights, here, always
 *
 *   refused, or 5 s left ─▶ want ─gossip─▶ the richest give of what they do not need ─▶ grant ─gossip─▶ spent
 *
 * What an actor had that left is its heir's, and what one had that crashed its next life's, if that has its disk: who moves it to itself when it needs it. Else
 * it is lost until the window ends: nobody knows what it spent last.
 *
 * Bounds: lines that were asked for lately; a turn tells of `TURN_LINES`, and asks and gives for as many.
 */
import type { Clock } from '../../core/index.ts';
import type { Line } from '../quotas/account.ts';
import { isSpent } from '../quotas/need.ts';
import { type Deficit, free, type HardLines, type Holding, Holdings, type HoldingsWorld, ownFree } from './holdings.ts';
import { type FleetRow, NOBODY, row } from './row.ts';
import type { Part } from './shares.ts';
import type { Spent } from './spent.ts';
import { type Answer, patienceMs, Wants } from './wants.ts';

/** Rights for so long are kept in hand, s: a want is answered in about two. */
const NEAR_SEC = 5;
/** Over what the demand here is smoothed: the weight of the last second. */
const SMOOTH = 0.3;
/** Of those that could give, so many do: else each want would leave a row of each member. */
const GIVERS_MAX = 8;
/** About half a millisecond. */
const TURN_LINES = 50;
/** A want is answered in about two seconds; what is still lacking then is said again, no sooner and ever less often, ms. */
const AGAIN_MS = 2000;

export interface EscrowWorld extends HoldingsWorld {
  readonly spent: Spent;
  readonly clock: Clock;
  /** Counts what lives that are gone may have spent of it (gone.ts). */
  readonly charge: (tenant: string, line: Line) => void;
}

/** A line of which more is needed than may be spent here. */
interface Short {
  readonly tenant: string;
  /** Since it was last looked at. */
  isShort: boolean;
  /** The largest that was refused, units. */
  most: number;
  tries: number;
  dueAt: number;
}

export class Escrow {
  readonly #o: EscrowWorld;
  readonly #holdings: Holdings;
  #lines: HardLines = { hard: () => [], hardLine: () => undefined };
  /** Lines that were asked for lately, and those of them that are to be told of. */
  readonly #active = new Map<Line, string>();
  #telling: Iterator<[Line, string]> | undefined;
  readonly #short = new Map<Line, Short>();
  readonly #wants = new Wants();
  #seen = 0;
  #isClosed = false;
  /** How often this sidecar gave rights, got some, and wanted some. */
  readonly counts: { given: number; got: number; wanted: number } = { given: 0, got: 0, wanted: 0 };

  constructor(world: EscrowWorld) {
    this.#o = world;
    this.#holdings = new Holdings(world);
  }

  serve(lines: HardLines): void {
    this.#lines = lines;
  }

  /** See `Fleet.parts`. */
  get parts(): number {
    const { claims, members } = this.#o;
    return claims.changesOf('share') + claims.changesOf('will') + members.changes;
  }

  /** See `Fleet.open`. */
  open(tenant: string, line: Line, isNew: boolean): void {
    if (isNew) this.#o.spent.restore(tenant, line);
    this.assess(tenant, line);
  }

  /** See `Fleet.asks`. */
  asks(tenant: string, line: Line): void {
    if (this.#active.has(line)) return;
    this.#active.set(line, tenant);
    line.toldAt = this.#o.clock.now();
  }

  /** Its window is over, or its tenant gone: what it spent is said now. False: it could not be. */
  flush(tenant: string, line: Line): boolean {
    const isSaid = this.#o.spent.leave(tenant, line);
    this.#active.delete(line);
    this.#short.delete(line);
    // What is asked for from now on is news again.
    line.asked = 0;
    return isSaid;
  }

  /** Some request needed more than there is here. */
  lacks(tenant: string, line: Line, units: number): void {
    line.lacked = Math.max(units, line.lacked);
    const short = this.#shortOf(tenant, line);
    if (units <= short.most) return;
    short.most = units;
    short.dueAt = 0;
  }

  #shortOf(tenant: string, line: Line): Short {
    let short = this.#short.get(line);
    if (short === undefined) {
      short = { tenant, isShort: true, most: 0, tries: 0, dueAt: 0 };
      this.#short.set(line, short);
    }
    short.isShort = true;
    return short;
  }

  /** Something that others said of rights is news. */
  learn(news: FleetRow): void {
    const { self } = this.#o.members;
    if (news.kind === 'want') {
      if (news.from !== self) this.#wants.add(news, this.#o.clock.now());
    } else if (news.kind === 'grant' || news.kind === 'keep') {
      const line = this.#lines.hardLine(news.tenant, news.meter);
      if (line?.from !== news.day) return;
      if (news.to === self) {
        this.counts.got++;
        this.#short.delete(line);
      }
      this.assess(news.tenant, line);
    }
  }

  /** What may be spent here, and is held elsewhere. */
  assess(tenant: string, line: Line): void {
    const { members, shares, spent } = this.#o;
    this.#o.charge(tenant, line);
    const holdings = this.#holdings.of(tenant, line);
    const own = holdings.get(members.self) as Holding;
    if (ownFree(own) - line.reserved < need(line)) this.#inherit(tenant, line, own);
    const before = line.rights;
    line.rights =
      this.#isClosed || spent.isLost(line) || !own.isKnown ? 0 : own.rights - owedBy(own, holdings.values());
    line.parts = this.parts;
    if (line.rights > before) this.#wants.wake({ tenant, meter: line.quota.meter });
    line.isParted = shares.charterOf(line.from) !== undefined;
    // Before that all of it is still to come, where it can.
    line.elsewhere = !line.isParted && members.isSure ? line.quota.limit : 0;
    const reachable = new Set(members.reachable);
    // What estates have is to be had, though nobody has to be asked for it.
    for (const [owner, each] of holdings)
      if (reachable.has(owner)) line.elsewhere += owner === members.self ? own.left : Math.max(0, free(each));
  }

  /** Each second: what was spent is to be said, and what is asked for here is to be learnt; `turn` does it. */
  beginTelling(): void {
    this.#telling ??= this.#active.entries();
  }

  /** Whether lines wait to be told of. */
  get isBehind(): boolean {
    return this.#telling !== undefined;
  }

  /** Tells of so many lines. */
  turn(): void {
    for (let i = 0; i < TURN_LINES && this.#telling !== undefined; i++) {
      const next = this.#telling.next();
      if (next.done === true) this.#telling = undefined;
      else this.#tell(...next.value);
    }
  }

  #tell(line: Line, tenant: string): void {
    if (!isSpent(line)) return void this.#active.delete(line);
    const now = this.#o.clock.now();
    // Who was asked for lately was so for a second, mostly.
    const seconds = Math.max(1, (now - line.toldAt) / 1000);
    line.toldAt = now;
    line.askedPerSec += SMOOTH * (line.asked / seconds - line.askedPerSec);
    const isSaid = this.#report(tenant, line);
    if (line.asked === 0 && line.askedPerSec < 1e-3) {
      line.askedPerSec = 0;
      if (isSaid) this.#active.delete(line);
    }
    line.asked = 0;
    this.refresh(tenant, line);
    if (line.inHand < need(line)) this.#shortOf(tenant, line);
  }

  /** Looks a line up anew if others have other parts by now; whether it did. */
  refresh(tenant: string, line: Line): boolean {
    const isStale = line.parts !== this.parts;
    if (isStale) this.assess(tenant, line);
    return isStale;
  }

  /** What was counted of a line, and what was spent. False: not all of it could be said. */
  #report(tenant: string, line: Line): boolean {
    const credited = this.#o.spent.creditSaid(tenant, line);
    const isSaid = this.#o.spent.say(tenant, line);
    // What was given back can be given away.
    if (line.credited > credited) this.#wants.wake({ tenant, meter: line.quota.meter });
    return isSaid;
  }

  /** Wants what is lacking, and gives what others want. True when others should hear of it at once. */
  trade(): boolean {
    const { clock, members } = this.#o;
    const { given, wanted } = this.counts;
    const now = clock.now();
    const reachable = new Set(members.reachable);
    if (this.parts !== this.#seen) this.#wakeAll();
    this.#seen = this.parts;
    this.#askFor(now);
    this.#wants.answer(now, TURN_LINES, (want) => (reachable.has(want.from) ? this.#give(want) : 'unmet'));
    return this.counts.given > given || this.counts.wanted > wanted;
  }

  #wakeAll(): void {
    this.#wants.wakeAll();
    for (const short of this.#short.values()) short.dueAt = 0;
  }

  #askFor(now: number): void {
    let left = TURN_LINES;
    for (const [line, short] of this.#short) {
      if (short.dueAt > now || left-- <= 0) continue;
      if (!short.isShort || this.#want(short.tenant, line)) this.#short.delete(line);
      short.isShort = false;
      short.dueAt = now + patienceMs(short.tries++);
    }
  }

  /** Nothing is spent here any more. What requests in flight have reserved counts as spent. False when not all that was spent could be said. */
  close(): boolean {
    this.#isClosed = true;
    for (const { tenant, line } of this.#lines.hard()) {
      line.rights = 0;
      this.#o.spent.say(tenant, line, line.reserved);
    }
    return this.#o.spent.isAllSaid;
  }

  /** Says all that was spent: of what was asked for in the last second nothing may be said. */
  sayAll(): void {
    for (const [line, tenant] of this.#active) this.#o.spent.say(tenant, line);
  }

  /** What a part of the limit less would be too little for what was spent of it; undefined: it cannot be said, or is too much. */
  deficits(actor: string, charter: number, part: Part, max: number): Deficit[] | undefined {
    if (!this.#o.spent.isSaid) return undefined;
    return this.#holdings.deficits(actor, charter, part, max, this.#lines);
  }

  /** Says that more is wanted; true when there is enough here. */
  #want(tenant: string, line: Line): boolean {
    this.assess(tenant, line);
    if (line.inHand >= need(line)) return true;
    if (line.elsewhere < 1 || this.#o.shares.charterOf(line.from) === undefined) return false;
    const wanted = Math.ceil(line.rights - line.inHand + 2 * need(line));
    line.lacked = 0;
    const { meter } = line.quota;
    const key = { kind: 'want', tenant, meter, day: line.from, from: this.#o.members.self, to: NOBODY } as const;
    const { x, y } = this.#o.claims.get(key) ?? { x: 0, y: 0 };
    const now = this.#o.clock.now();
    const isMore = wanted > x - y;
    // Who met the last one does not remember it, and may have got back what was given: it is said anew, for what is wanted now.
    if (!isMore && now - line.wantedAt < AGAIN_MS) return false;
    if (this.#o.claims.put(isMore ? row(key, y + wanted, y) : row(key, x + 1, x + 1 - wanted))) {
      this.counts.wanted++;
      line.wantedAt = now;
    }
    return false;
  }

  #give(want: FleetRow): Answer {
    const { tenant, meter, day, from: wanter } = want;
    const { self } = this.#o.members;
    const line = this.#lines.hardLine(tenant, meter);
    if (line?.from !== day) return 'met';
    const holdings = this.#holdings.of(tenant, line);
    const gap = want.x - want.y - (holdings.get(wanter)?.rights ?? 0);
    if (gap <= 0) return 'met';
    const part = this.#part(holdings, wanter);
    const missing = Math.ceil(gap * part);
    const own = holdings.get(self) as Holding;
    const units = Math.floor(Math.min(missing, this.#spare(own, line)));
    const given = units >= 1 && this.#giveTo(want, units, line, own) ? units : 0;
    if (given > 0) this.counts.given++;
    this.assess(tenant, line);
    if (part > 0 && missing <= given) return 'met';
    return free(own) - given < 1 ? 'empty' : 'unmet';
  }

  #giveTo(want: FleetRow, units: number, line: Line, own: Holding): boolean {
    if (ownFree(own) < units) this.#inherit(want.tenant, line, own);
    return ownFree(own) >= units && this.#grant(want, this.#o.members.self, want.from, units);
  }

  /** Who is asked for it as well keeps what it needs, and half. */
  #spare(own: Holding, line: Line): number {
    const has = this.#o.spent.isLost(line) ? 0 : free(own) - line.reserved;
    return line.askedPerSec > 0 ? Math.min(has - need(line), has / 2) : has;
  }

  /** What of a want is this sidecar's to give, by what all have: nothing when others are richer. */
  #part(holdings: ReadonlyMap<string, Holding>, wanter: string): number {
    const { members } = this.#o;
    const reachable = new Set(members.reachable);
    const riches: [owner: string, has: number][] = [];
    for (const [owner, holding] of holdings)
      if (owner !== wanter && reachable.has(owner)) riches.push([owner, Math.max(0, free(holding))]);
    const richest = riches.sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).slice(0, GIVERS_MAX);
    const sum = richest.reduce((all, [, has]) => all + has, 0);
    const mine = richest.find(([owner]) => owner === members.self)?.[1] ?? 0;
    return sum === 0 ? 0 : mine / sum;
  }

  /** Moves here what is left of estates. Who left says nothing any more: what it moved to itself now nobody would know of. */
  #inherit(tenant: string, line: Line, own: Holding): void {
    if (this.#isClosed) return;
    const key = { tenant, meter: line.quota.meter, day: line.from };
    const { self } = this.#o.members;
    for (const estate of own.estates.values())
      for (const [actor, has] of estate.has) {
        const units = Math.floor(Math.min(has, estate.left));
        if (units < 1 || !this.#grant(key, actor, self, units)) continue;
        estate.left -= units;
        own.left -= units;
        own.rights += units;
      }
  }

  #grant(
    { tenant, meter, day }: Pick<FleetRow, 'tenant' | 'meter' | 'day'>,
    from: string,
    to: string,
    units: number,
  ): boolean {
    const key = { kind: 'grant', tenant, meter, day, from, to } as const;
    return this.#o.claims.put(row(key, (this.#o.claims.get(key)?.x ?? 0) + units));
  }
}

/**
 * Where a limit was lowered some gave more than they had of it: what they have less than nothing all others take off, each by what it has, as far as it is
 * known.
 */
function owedBy(own: Holding, all: Iterable<Holding>): number {
  let [debt, has] = [0, 0];
  for (const each of all) {
    const units = ownFree(each);
    if (units < 0) debt -= units;
    else has += units;
  }
  return debt === 0 || has === 0 ? 0 : Math.ceil((Math.min(debt, has) * Math.max(0, ownFree(own))) / has);
}

/** Units that should be in hand: for what is asked here in a while, and for the largest that was refused. */
function need(line: Line): number {
  return Math.max(1, line.lacked, NEAR_SEC * line.askedPerSec);
}
