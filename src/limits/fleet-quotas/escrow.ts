/**
 * Rights to spend of hard quotas (a bounded counter: Balegas et al. 2015). The rights of all are the limit; each spends only rights it holds,
 * and gives of them to who wants some. So no cut, crash or late row makes the fleet exceed a hard quota: what cannot be given is refused.
 *
 *   rights = part of the limit (shares.ts) + granted to it − granted by it          spent ≤ rights, here, always
 *
 *   refused, or 5 s left ─▶ want ─gossip─▶ the richest give of what they do not need ─▶ grant ─gossip─▶ spent
 *
 * What an actor had that left is its heir's, who moves it to itself when it needs it. What one had that crashed is lost until the window ends:
 * nobody knows what it spent last.
 *
 * Accuracy: what was used and stands in nobody's rights (before there were any) is taken off the limit first, as far as it is known.
 */
import type { Line } from '../quotas/account.ts';
import type { Claims } from './claims.ts';
import type { Heirs } from './heirs.ts';
import type { Members } from './members.ts';
import { type FleetRow, NOBODY, row } from './row.ts';
import { type Shares, unitsOf } from './shares.ts';

/** Rights for so long are kept in hand, s: a want is answered in about two. */
const NEAR_SEC = 5;
/** Over what the demand here is smoothed: the weight of the last second. */
const SMOOTH = 0.3;
/** Of those that could give, so many do: else each want would leave a row of each member. */
const GIVERS_MAX = 8;
/** Wants that are looked at in a turn; the others come with the next. */
const WANTS_MAX = 1000;

/** The hard quotas of this sidecar; quotas.ts. */
export interface HardLines {
  /** Those that were asked for here. */
  hard(): Iterable<{ readonly tenant: string; readonly line: Line }>;
  /** Of a tenant known here, in the window that is now. */
  hardLine(tenant: string, meter: string): Line | undefined;
}

interface Holding {
  rights: number;
  spent: number;
}

export class Escrow {
  readonly #claims: Claims;
  readonly #shares: Shares;
  readonly #heirs: Heirs;
  readonly #members: Members;
  #lines: HardLines = { hard: () => [], hardLine: () => undefined };
  readonly #short = new Map<Line, string>();
  readonly #wants = new Map<string, FleetRow>();
  #isClosed = false;
  /** How often this sidecar gave rights, got some, and wanted some. */
  readonly counts: { given: number; got: number; wanted: number } = { given: 0, got: 0, wanted: 0 };

  constructor(claims: Claims, shares: Shares, heirs: Heirs, members: Members) {
    this.#claims = claims;
    this.#shares = shares;
    this.#heirs = heirs;
    this.#members = members;
  }

  serve(lines: HardLines): void {
    this.#lines = lines;
  }

  /** See `Fleet.open`. */
  open(tenant: string, line: Line, isNew: boolean): void {
    if (isNew) this.#restore(tenant, line);
    this.assess(tenant, line);
  }

  #restore(tenant: string, line: Line): void {
    const spent = this.#claims.get(this.#key('spent', tenant, line));
    line.spent = spent?.x ?? 0;
    line.credited = spent?.y ?? 0;
  }

  /** Its window is over, or its tenant gone: what it spent is said now. */
  flush(tenant: string, line: Line): void {
    this.#say(tenant, line, 0);
    this.#short.delete(line);
  }

  /** Some request needed more than there is here. */
  lacks(tenant: string, line: Line, units: number): void {
    line.lacked = Math.max(units, line.lacked);
    this.#short.set(line, tenant);
  }

  /** Something that others said of rights is news. */
  learn(news: FleetRow): void {
    if (news.kind === 'want') {
      if (news.from !== this.#members.self) this.#wants.set(`${news.tenant} ${news.meter} ${news.from}`, news);
    } else if (news.kind === 'grant' || news.kind === 'keep') {
      const line = this.#lines.hardLine(news.tenant, news.meter);
      if (line?.from !== news.day) return;
      if (news.to === this.#members.self) this.counts.got++;
      this.assess(news.tenant, line);
    }
  }

  /** Shares changed: every line is reckoned anew. */
  assessAll(): void {
    for (const { tenant, line } of this.#lines.hard()) this.assess(tenant, line);
  }

  /** What may be spent here, and is held elsewhere. What estates have is moved here when it is needed. */
  assess(tenant: string, line: Line): void {
    const holdings = this.#holdings(tenant, line);
    const own = holdings.get(this.#members.self) as Holding;
    // Who left says nothing any more: what it moved to itself now nobody would know of.
    if (!this.#isClosed && free(own) - line.reserved < need(line)) this.#inherit(tenant, line, holdings, own);
    const reachable = new Set(this.#members.reachable);
    line.rights = this.#isClosed ? 0 : own.rights;
    // Before there is a charter all of it is still to come.
    line.elsewhere = this.#shares.charterOf(line.from) === undefined ? line.quota.limit : 0;
    for (const [actor, each] of holdings) {
      const owner = this.#heirs.ownerOf(actor);
      if (owner !== this.#members.self && reachable.has(owner)) line.elsewhere += Math.max(0, free(each));
    }
  }

  /** Each second: what was spent is said, and what is asked for here is learnt. */
  tell(seconds: number): void {
    for (const { tenant, line } of this.#lines.hard()) {
      if (line.asked === 0 && line.askedPerSec === 0) continue;
      line.askedPerSec += SMOOTH * (line.asked / seconds - line.askedPerSec);
      if (line.asked === 0 && line.askedPerSec < 1e-3) line.askedPerSec = 0;
      line.asked = 0;
      this.#say(tenant, line, 0);
      if (line.rights - line.spent + line.credited - line.reserved < need(line)) this.#short.set(line, tenant);
    }
  }

  /** Wants what is lacking, and gives what others want. True when others should hear of it at once. */
  trade(): boolean {
    const { given, wanted } = this.counts;
    for (const [line, tenant] of this.#short) this.#want(tenant, line);
    this.#short.clear();
    const reachable = new Set(this.#members.reachable);
    for (const [key, want] of [...this.#wants].slice(0, WANTS_MAX)) {
      this.#wants.delete(key);
      if (reachable.has(want.from) && this.#give(want)) this.#wants.set(key, want);
    }
    return this.counts.given > given || this.counts.wanted > wanted;
  }

  /** Nothing is spent here any more. What requests in flight have reserved counts as spent. */
  close(): void {
    this.#isClosed = true;
    for (const { tenant, line } of this.#lines.hard()) {
      line.rights = 0;
      this.#say(tenant, line, line.reserved);
    }
  }

  /** Those by which windows here go, and the newest: windows that begin soon go by it. */
  charters(): Set<number> {
    const charters = new Set<number>();
    const note = (charter: number | undefined): void => void (charter !== undefined && charters.add(charter));
    for (const { line } of this.#lines.hard()) note(this.#shares.charterOf(line.from));
    note(this.#shares.newest);
    return charters;
  }

  /** What a part of the limit less would be too little for what was spent of it, by line; undefined: it cannot be said. The actor has some part. */
  deficits(actor: string, charter: number, loss: (limit: number, outside: number) => number): Deficit[] | undefined {
    const deficits: Deficit[] = [];
    const seen = new Set<string>();
    for (const each of this.#claims.rows()) {
      if (each.tenant === '' || each.kind === 'event' || (each.from !== actor && each.to !== actor)) continue;
      const window = `${each.tenant} ${each.meter} ${each.day}`;
      if (this.#shares.charterOf(each.day) !== charter || seen.has(window)) continue;
      seen.add(window);
      const line = this.#lines.hardLine(each.tenant, each.meter);
      // Nobody knows its limit any more, or its window is over.
      if (line === undefined) return undefined;
      if (line.from !== each.day) continue;
      const outside = this.#outside(each.tenant, line);
      const holding = this.#holdings(each.tenant, line).get(actor) as Holding;
      const held = actor === this.#members.self ? line.reserved : 0;
      const units = Math.ceil(loss(line.quota.limit, outside) + held - free(holding));
      if (units > 0) deficits.push({ tenant: each.tenant, meter: each.meter, day: each.day, units });
    }
    return deficits;
  }

  #want(tenant: string, line: Line): void {
    this.assess(tenant, line);
    const spent = line.spent - line.credited + line.reserved;
    if (line.rights - spent >= need(line) || line.elsewhere < 1) return;
    if (this.#shares.charterOf(line.from) === undefined) return;
    const wanted = Math.ceil(spent + 2 * need(line));
    line.lacked = 0;
    if (this.#claims.put(row({ ...this.#key('want', tenant, line) }, wanted))) this.counts.wanted++;
  }

  /** Whether more is wanted than there was to give. */
  #give(want: FleetRow): boolean {
    const { tenant, meter, day, from: wanter } = want;
    const { self } = this.#members;
    const line = this.#lines.hardLine(tenant, meter);
    if (line?.from !== day) return false;
    const holdings = this.#holdings(tenant, line);
    const gap = want.x - (holdings.get(wanter)?.rights ?? 0);
    if (gap <= 0) return false;
    const part = this.#part(holdings, wanter);
    let left = Math.ceil(gap * part);
    for (const [actor, holding] of holdings) {
      if (left <= 0) break;
      if (this.#heirs.ownerOf(actor) !== self) continue;
      const has = actor === self ? free(holding) - line.reserved : free(holding);
      // Who is asked for it as well keeps what it needs, and half.
      const spare = actor === self && line.askedPerSec > 0 ? Math.min(has - need(line), has / 2) : has;
      const units = Math.floor(Math.min(left, spare));
      if (units < 1) continue;
      left -= units;
      this.#grant(want, actor, wanter, units);
      this.counts.given++;
    }
    this.assess(tenant, line);
    return left > 0 || part === 0;
  }

  /** What of a want is this sidecar's to give, by what all have: nothing when others are richer. */
  #part(holdings: ReadonlyMap<string, Holding>, wanter: string): number {
    const reachable = new Set(this.#members.reachable);
    const riches = new Map<string, number>();
    for (const [actor, holding] of holdings) {
      const owner = this.#heirs.ownerOf(actor);
      if (owner !== wanter && reachable.has(owner))
        riches.set(owner, (riches.get(owner) ?? 0) + Math.max(0, free(holding)));
    }
    const richest = [...riches].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).slice(0, GIVERS_MAX);
    const sum = richest.reduce((all, [, has]) => all + has, 0);
    const mine = richest.find(([owner]) => owner === this.#members.self)?.[1] ?? 0;
    return sum === 0 ? 0 : mine / sum;
  }

  /** Moves here what is left of those whose heir this sidecar is. */
  #inherit(tenant: string, line: Line, holdings: ReadonlyMap<string, Holding>, own: Holding): void {
    const { self } = this.#members;
    const key = { tenant, meter: line.quota.meter, day: line.from };
    for (const [actor, holding] of holdings) {
      const units = Math.floor(free(holding));
      if (actor === self || units < 1 || this.#heirs.ownerOf(actor) !== self) continue;
      if (this.#grant(key, actor, self, units)) own.rights += units;
    }
  }

  #grant(
    { tenant, meter, day }: Pick<FleetRow, 'tenant' | 'meter' | 'day'>,
    from: string,
    to: string,
    units: number,
  ): boolean {
    const key = { kind: 'grant', tenant, meter, day, from, to } as const;
    return this.#claims.put(row(key, (this.#claims.get(key)?.x ?? 0) + units));
  }

  #say(tenant: string, line: Line, held: number): void {
    const x = line.spent + held;
    if (x > 0) this.#claims.put(row(this.#key('spent', tenant, line), x, line.credited));
  }

  #key(kind: 'spent' | 'want', tenant: string, line: Line) {
    return { kind, tenant, meter: line.quota.meter, day: line.from, from: this.#members.self, to: NOBODY } as const;
  }

  /** Units that were used and are in nobody's rights. */
  #outside(tenant: string, line: Line): number {
    let inside = line.spent - line.credited;
    for (const { kind, from, x, y } of this.#claims.bag(tenant, line.quota.meter, line.from).values())
      if (kind === 'spent' && from !== this.#members.self) inside += x - y;
    return Math.max(0, line.used - inside);
  }

  /** Of all that have or had something of the line's window, this sidecar included. */
  #holdings(tenant: string, line: Line): Map<string, Holding> {
    const { self } = this.#members;
    const holdings = new Map<string, Holding>();
    const of = (actor: string): Holding => {
      const holding = holdings.get(actor) ?? { rights: 0, spent: 0 };
      holdings.set(actor, holding);
      return holding;
    };
    of(self).spent = line.spent - line.credited;
    const charter = this.#shares.charterOf(line.from);
    if (charter === undefined) return holdings;
    const outside = this.#outside(tenant, line);
    for (const actor of this.#shares.holders(charter))
      of(actor).rights = unitsOf(this.#shares.partsOf(charter, actor), line.quota.limit, outside);
    for (const { kind, from, to, x, y } of this.#claims.bag(tenant, line.quota.meter, line.from).values()) {
      if (kind === 'spent' && from !== self) of(from).spent = x - y;
      else if (kind === 'grant' || kind === 'keep') {
        of(from).rights += kind === 'grant' ? -x : x;
        of(to).rights += kind === 'grant' ? x : -x;
      }
    }
    return holdings;
  }
}

/** What of a line whoever gives a part of the limit away must keep. */
export interface Deficit {
  readonly tenant: string;
  readonly meter: string;
  readonly day: number;
  readonly units: number;
}

function free({ rights, spent }: Holding): number {
  return rights - spent;
}

/** Units that should be in hand: for what is asked here in a while, and for the largest that was refused. */
function need(line: Line): number {
  return Math.max(1, line.lacked, NEAR_SEC * line.askedPerSec);
}
