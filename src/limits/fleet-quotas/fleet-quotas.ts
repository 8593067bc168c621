/**
 * Quotas of the fleet, from one of its sidecars: the rows it tells, what the others tell, and the stores in which both meet.
 *
 *   counters, gauges, claims ─ tick ─▶ own log ─ gossip, cold lane ─▶ logs of the others ─▶ counters, gauges, claims
 *
 * Each member tells the rows it wrote. Those of a life that gossip does not remember any more are told on by one of who hold them (the
 * highest random weight of actor and member), as are the totals of closed days: whoever joins learns them, and nothing is lost.
 *
 * Bounds: those of the stores and of the logs; a log a member that gossip remembers.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../core/index.ts';
import type { Lane, Member, Written } from '../../gossip/index.ts';
import type { Surroundings } from '../fleet/attendance.ts';
import type { Account, Line } from '../quotas/account.ts';
import { CounterStore } from '../quotas/counter-store.ts';
import { GaugeStore } from '../quotas/gauge-store.ts';
import type { Inheritance } from '../quotas/own-log.ts';
import type { Fleet, Quotas } from '../quotas/quotas.ts';
import { Announcer } from './announcer.ts';
import { Claims } from './claims.ts';
import { CountTeller, TOLD_BYTES_PER_SEC } from './count-teller.ts';
import { Escrow } from './escrow.ts';
import { Founding } from './founding.ts';
import { Heirs } from './heirs.ts';
import { Members } from './members.ts';
import { OriginLog } from './origin-log.ts';
import { type FleetRow, KINDS, type RowKey, type RowKind, row } from './row.ts';
import { Shares } from './shares.ts';

/** ms. */
export const QUOTA_TICK_MS = 250;
/** Ticks after which counts are told: once a second. */
const TELL_TICKS = 4;
/** Ticks after which it is looked whose rows nobody tells. */
const ADOPT_TICKS = 40;
const DAY_MS = 86_400_000;
/** A day is over everywhere 12 h after it is in UTC. */
const OVER_MS = DAY_MS / 2;
/** Days are closed so much later when somebody is missing, ms. */
const CLOSE_LATE_MS = 3 * DAY_MS;
/** Rights of windows that ended so many days ago are forgotten: the longest window has 31. */
const CLAIM_DAYS = 40;

export interface FleetQuotasOptions {
  /** The incarnation that gossip has of this process. */
  readonly actor: string;
  readonly clock: Clock;
  /** Another bound is for tests. */
  readonly claimsMax?: number;
}

/** What became of rows that came in. */
export type RowResult = 'merged' | 'known' | 'refused';

export class FleetQuotas implements Lane, Fleet {
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  readonly claims: Claims;
  readonly escrow: Escrow;
  readonly counts: Record<RowResult, number> = { merged: 0, known: 0, refused: 0 };
  readonly #clock: Clock;
  readonly #members: Members;
  readonly #heirs: Heirs;
  readonly #founding: Founding;
  readonly #announcer: Announcer;
  readonly #own: OriginLog;
  readonly #teller: CountTeller;
  /** By member slot; 0 is the own one. */
  readonly #logs: (OriginLog | undefined)[];
  #quotas: Quotas | undefined;
  /** Whose rows this sidecar tells besides its own, and of which closed days. */
  readonly #told = new Set<string>();
  readonly #toldDays = new Set<number>();
  /** The version up to which own levels are told. */
  #gauged = 0;
  #ticks = 0;
  #toldAt: number;
  #missingSince: number | undefined;
  readonly #known = new Set<'disk' | 'others'>();
  #isHeirless = false;
  /** What is being read changed who has which part. */
  #hasNewParts = false;
  #isClosed = false;

  constructor({ actor, clock, claimsMax }: FleetQuotasOptions) {
    this.claims = new Claims(claimsMax);
    this.#own = new OriginLog(actor);
    this.#logs = [this.#own];
    this.#clock = clock;
    this.#toldAt = clock.now();
    this.counters = new CounterStore({
      actor,
      onChange: (tenant, meter, day, units) => this.#quotas?.addOthers(tenant, meter, day, units),
    });
    this.gauges = new GaugeStore(actor);
    this.#teller = new CountTeller(this.counters, this.#own);
    this.#members = new Members(actor);
    const [shares, heirs, members] = [new Shares(this.claims), new Heirs(this.claims), this.#members];
    this.#heirs = heirs;
    this.escrow = new Escrow(this.claims, shares, heirs, members);
    this.#founding = new Founding({ claims: this.claims, shares, heirs, members, escrow: this.escrow }, clock.now());
    this.#announcer = new Announcer(this.claims, this.#members);
  }

  get actor(): string {
    return this.#members.self;
  }

  /** Rows told by this sidecar, those that wait to be told, and those held of others. */
  get size(): { readonly own: number; readonly waiting: number; readonly others: number } {
    const others = this.#logs.reduce((sum, log, slot) => sum + (slot === 0 ? 0 : (log?.size ?? 0)), 0);
    return { own: this.#own.size, waiting: this.#teller.waiting, others };
  }

  /** By whom the fleet is known; before it is said this sidecar is alone. */
  follow(surroundings: Surroundings): void {
    this.#members.follow(surroundings);
  }

  /** The quotas that decide by what is known here. */
  serve(quotas: Quotas): void {
    this.#quotas = quotas;
    this.escrow.serve(quotas);
  }

  /** What the disk had is known; and the others' state was pulled, or there is nobody. After both charters may be begun. */
  know(what: 'disk' | 'others'): void {
    this.#known.add(what);
  }

  get #isReady(): boolean {
    return this.#known.size === 2;
  }

  /** This sidecar left, and nobody was there to inherit what it had: its next life may. */
  get isHeirless(): boolean {
    return this.#isHeirless;
  }

  /** An earlier life of this process, whose rows stood on disk. */
  inherit(actor: string, as: Inheritance): void {
    this.#adopt(actor);
    if (as === 'heir') this.#heirs.leave(this.#today, actor, this.actor);
    else if (as === 'next') this.#heirs.goOn(this.#today, actor, this.actor);
  }

  // What quotas ask of a fleet.

  open(tenant: string, line: Line, isNew: boolean): void {
    this.escrow.open(tenant, line, isNew);
  }

  flush(tenant: string, line: Line): void {
    this.escrow.flush(tenant, line);
  }

  lacks(tenant: string, line: Line, units: number): void {
    this.escrow.lacks(tenant, line, units);
  }

  crossed({ id }: Account, line: Line, mark: number, announce: () => void): void {
    const { meter, per } = line.quota;
    const day = per === 'none' ? Math.floor(this.gauges.reportedAt(id, meter) / 1000) : line.from;
    this.#announcer.reached({ tenant: id, meter, day, mark, announce }, this.#clock.now());
  }

  /** Nobody who could have counted is missing, or somebody has been for long. */
  mayClose(): boolean {
    const now = this.#clock.now();
    if (this.#members.isComplete) this.#missingSince = undefined;
    else this.#missingSince ??= now;
    return this.#missingSince === undefined || now - this.#missingSince > CLOSE_LATE_MS;
  }

  /** Days before this were made totals; what belongs to them is forgotten. */
  closed(before: number, oldest: number): void {
    const isOver = ({ kind, day }: RowKey): boolean => isPast(kind, day, before, oldest);
    for (const log of this.#logs) log?.drop(isOver);
    this.claims.drop(isOver);
    this.#teller.drop(before);
    for (const day of this.#toldDays) if (day < oldest) this.#toldDays.delete(day);
  }

  /** Every `QUOTA_TICK_MS`. True when something should reach the others at once. */
  tick(): boolean {
    if (this.#isClosed) return false;
    const now = this.#clock.now();
    const isUrgent = this.escrow.trade();
    this.#announcer.look(now);
    if (++this.#ticks % TELL_TICKS === 0) {
      this.escrow.tell(Math.max(1e-3, (now - this.#toldAt) / 1000));
      this.#toldAt = now;
      if (this.#isReady && this.#founding.look(now, this.#clock.wallMs())) this.escrow.assessAll();
      this.#tellCounts(TOLD_BYTES_PER_SEC / this.#members.reachable.length);
    }
    if (this.#isReady && this.#ticks % ADOPT_TICKS === 0) this.#adoptAll();
    this.#tellClaims();
    return isUrgent;
  }

  /** Nothing is admitted here any more: says what was spent last, and who inherits. */
  leave(): void {
    this.escrow.close();
    this.#tellCounts(Number.POSITIVE_INFINITY);
    this.#tellClaims();
    this.#isHeirless = this.#founding.leave(this.#today) === undefined;
    this.#tellClaims();
    this.#isClosed = true;
  }

  // What gossip asks of a lane.

  version(slot: number): number {
    return this.#logs[slot]?.version ?? 0;
  }

  write(slot: number, after: number, bytes: Uint8Array, offset: number, end: number): Written {
    return this.#logs[slot]?.write(after, bytes, offset, end) ?? { offset, upTo: after };
  }

  read(slot: number, after: number, upTo: number, bytes: Uint8Array): boolean {
    const rows = this.#logs[slot]?.read(after, upTo, bytes);
    if (rows === undefined) {
      this.counts.refused++;
      return false;
    }
    this.#hasNewParts = false;
    for (const each of rows) this.#take(each);
    // A charter is a row a member: all of it is looked at once.
    if (this.#hasNewParts) this.escrow.assessAll();
    return true;
  }

  onMember(member: Member): void {
    this.#members.note(member);
    this.#logs[member.slot] ??= new OriginLog(member.incarnation);
  }

  onForgotten(slot: number): void {
    this.#members.forget(slot);
    this.#logs[slot] = undefined;
  }

  /** Whatever it says, nobody but this sidecar knows what it wrote itself. */
  #take(news: FleetRow): void {
    const isNews = news.from !== this.actor && this.#merge(news);
    this.counts[isNews ? 'merged' : 'known']++;
    if (isNews && this.#told.has(news.from)) this.#own.put(news);
  }

  #merge(news: FleetRow): boolean {
    const { kind, tenant, meter, day, from: actor, x, y } = news;
    if (kind === 'count') return this.counters.merge({ tenant, meter, day, actor, count: x, credit: y }) === 'merged';
    if (kind === 'total') return this.#mergeTotal(news);
    if (kind === 'gauge') {
      const isNews = this.gauges.merge({ tenant, meter, value: y, at: x, actor });
      if (isNews) this.#quotas?.levelChanged(tenant, meter);
      return isNews;
    }
    const isNews = this.claims.merge(news);
    if (isNews && (kind === 'share' || kind === 'will')) this.#hasNewParts = true;
    else if (isNews) this.escrow.learn(news);
    return isNews;
  }

  /** Of a day that is not over yet, a total is not the last word. */
  #mergeTotal({ tenant, meter, day, x }: FleetRow): boolean {
    const over = Math.floor((this.#clock.wallMs() - OVER_MS) / DAY_MS);
    if (day >= over || this.counters.mergeTotal({ tenant, meter, day, total: x }) !== 'merged') return false;
    this.#quotas?.markStale(tenant);
    return true;
  }

  /** In UTC. */
  get #today(): number {
    return Math.floor(this.#clock.wallMs() / DAY_MS);
  }

  /** About so many bytes of them. Of hard quotas all, for what is spent is told behind them. */
  #tellCounts(bytes: number): void {
    this.#teller.tell(bytes, ({ tenant, meter }) => this.#quotas?.hardLine(tenant, meter) !== undefined);
    const { gauges } = this;
    const gauged = gauges.version;
    for (const { tenant, meter, value, at, actor } of gauges.changedSince(this.#gauged))
      this.#own.put(row({ kind: 'gauge', tenant, meter, from: actor }, at, value));
    this.#gauged = gauged;
  }

  /** In the order of kinds: see row.ts. */
  #tellClaims(): void {
    for (const each of inOrder(this.claims.takeChanged())) this.#own.put(each);
  }

  /** Tells on what nobody else does. */
  #adoptAll(): void {
    const { remembered, reachable } = this.#members;
    const isHeir = (of: string): boolean => heirOf(of, reachable) === this.actor;
    for (const actor of this.#actors())
      if (!remembered.has(actor) && !this.#told.has(actor) && isHeir(actor)) this.#adopt(actor);
    const days = new Set<number>();
    for (const { day } of this.counters.closed()) if (!this.#toldDays.has(day)) days.add(day);
    const mine = new Set([...days].filter((day) => isHeir(`day ${day}`)));
    for (const day of mine) this.#toldDays.add(day);
    if (mine.size === 0) return;
    for (const { tenant, meter, day, total } of this.counters.closed())
      if (mine.has(day)) this.#own.put(row({ kind: 'total', tenant, meter, day }, total));
  }

  #actors(): Set<string> {
    const actors = new Set(this.counters.actors());
    for (const { actor } of this.gauges.rows()) actors.add(actor);
    for (const { from } of this.claims.rows()) actors.add(from);
    return actors;
  }

  #adopt(actor: string): void {
    this.#told.add(actor);
    for (const { tenant, meter, day, count, credit } of this.counters.rowsOf(actor))
      this.#own.put(row({ kind: 'count', tenant, meter, day, from: actor }, count, credit));
    for (const { tenant, meter, value, at, actor: of } of this.gauges.rows())
      if (of === actor) this.#own.put(row({ kind: 'gauge', tenant, meter, from: actor }, at, value));
    for (const each of inOrder([...this.#writtenBy(actor)])) this.#own.put(each);
  }

  /** What it gave of its own, and of what it had of others: whoever reads its will must have read that. */
  *#writtenBy(actor: string): Generator<FleetRow> {
    const isMeant = new Map<string, boolean>();
    for (const each of this.claims.rows()) {
      let isIts = isMeant.get(each.from);
      if (isIts === undefined) {
        isIts = [...this.#heirs.ownersOf(each.from)].includes(actor);
        isMeant.set(each.from, isIts);
      }
      if (isIts) yield each;
    }
  }
}

function inOrder(rows: FleetRow[]): FleetRow[] {
  return rows.sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
}

/** Whether what a row says is over. An event of a gauge has a second for its day. */
function isPast(kind: RowKind, day: number, before: number, oldest: number): boolean {
  if (kind === 'count') return day < before;
  if (kind === 'total') return day < oldest;
  if (kind === 'gauge') return false;
  return day > 1e6 ? day < before * 86_400 : day < before - CLAIM_DAYS;
}

/** By rendezvous (Thaler, Ravishankar 1998): who goes leaves only its own to others. */
function heirOf(of: string, members: readonly string[]): string {
  let [heir, most] = ['', ''];
  for (const member of members) {
    const weight = createHash('sha256').update(`${of} ${member}`).digest('hex');
    if (weight > most) [heir, most] = [member, weight];
  }
  return heir;
}
