/**
 * Quotas of the fleet, from one of its sidecars: the rows it tells, what the others tell, and the stores in which both meet.
 *
 *   counters, gauges, claims ─ tick ─▶ own log ─ gossip, cold lane ─▶ logs of the others ─▶ counters, gauges, claims
 *
 * Each member tells the rows it wrote. Those of a life that gossip does not remember any more are told on by one of who hold them, as are the
 * totals of closed days (adoption.ts): whoever joins learns them, and nothing is lost.
 *
 * Bounds: those of the stores and of the logs; a log a member that gossip remembers. A turn takes about a millisecond: what is longer goes on
 * in the next ones.
 */
import type { Clock } from '../../core/index.ts';
import type { Lane, Member } from '../../gossip/index.ts';
import type { Surroundings } from '../fleet/attendance.ts';
import type { Account, Line } from '../quotas/account.ts';
import type { Accounts } from '../quotas/accounts.ts';
import { DAY_MS } from '../quotas/calendar.ts';
import { CounterStore } from '../quotas/counter-store.ts';
import { GaugeStore } from '../quotas/gauge-store.ts';
import type { LastLife } from '../quotas/own-log.ts';
import type { Fleet } from '../quotas/shared.ts';
import { Adoption } from './adoption.ts';
import { Allowances } from './allowances.ts';
import { Announcer } from './announcer.ts';
import { Arrivals } from './arrivals.ts';
import { Chores } from './chores.ts';
import { ClaimTeller } from './claim-teller.ts';
import { Claims } from './claims.ts';
import { Comeback } from './comeback.ts';
import { CountTeller, TOLD_BYTES_PER_SEC } from './count-teller.ts';
import { Escrow } from './escrow.ts';
import { Founding } from './founding.ts';
import { Heirs } from './heirs.ts';
import { heritageOf } from './heritage.ts';
import { KeptQuotas } from './kept-quotas.ts';
import { MemberLogs } from './member-logs.ts';
import { Members } from './members.ts';
import { OnDisk } from './on-disk.ts';
import { OriginLog } from './origin-log.ts';
import { Retention } from './retention.ts';
import { type FleetRow, type RowKey, row } from './row.ts';
import { Shares } from './shares.ts';
import { Spent } from './spent.ts';

/** ms. */
export const QUOTA_TICK_MS = 250;
/** Ticks after which counts are told: once a second. */
const TELL_TICKS = 4;
/** Ticks after which it is looked whose rows nobody tells, and at all lines. */
const LOOK_TICKS = 40;
/** Ticks after which rows of rights that are over are forgotten: ten minutes. */
const SWEEP_TICKS = 2400;
/** Rows that can be looked at in the time in which a line is reckoned anew. */
const REFRESH_STEPS = 20;
/** Days are closed so much later when somebody is missing, ms. */
const CLOSE_LATE_MS = 3 * DAY_MS;

export interface FleetQuotasOptions {
  /** The incarnation that gossip has of this process. */
  readonly actor: string;
  readonly clock: Clock;
  /** There is no gossip: nobody else can be there. */
  readonly isLone?: boolean;
  /** Other bounds are for tests. */
  readonly claimsMax?: number;
  readonly seriesMax?: number;
}

export class FleetQuotas implements Fleet {
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  readonly claims: Claims;
  readonly escrow: Escrow;
  /** What a collector keeps of it. */
  readonly kept: KeptQuotas;
  /** What of it this sidecar's disk has. */
  readonly onDisk: OnDisk;
  readonly comeback: Comeback;
  readonly #clock: Clock;
  readonly #members: Members;
  readonly #heirs: Heirs;
  readonly #founding: Founding;
  readonly #allowances = new Allowances();
  readonly #announcer: Announcer;
  readonly #retention: Retention;
  readonly #adoption: Adoption;
  readonly #chores = new Chores();
  readonly #own: OriginLog;
  readonly #teller: CountTeller;
  readonly #claimTeller: ClaimTeller;
  readonly #logs: MemberLogs;
  readonly #arrivals: Arrivals;
  #accounts: Accounts | undefined;
  /** Days on which windows begin that were asked for here, as of the last look at all lines. */
  #begins: ReadonlySet<number> = new Set();
  #lookedParts = 0;
  /** Days before these were closed, and are forgotten. */
  #closed = { before: 0, oldest: 0 };
  /** The version up to which own levels are told. */
  #gauged = 0;
  #ticks = 0;
  #missingSince: number | undefined;
  readonly #known = new Set<'disk' | 'others'>();
  #isHeirless = false;
  #isClosed = false;

  constructor({ actor, clock, isLone, claimsMax, seriesMax }: FleetQuotasOptions) {
    const claims = (this.claims = new Claims(claimsMax));
    this.#own = new OriginLog(actor, seriesMax);
    this.#clock = clock;
    this.counters = new CounterStore({
      actor,
      onChange: (tenant, meter, day, units) => this.#accounts?.addOthers(tenant, meter, day, units),
    });
    this.gauges = new GaugeStore(actor);
    this.#teller = new CountTeller(this.counters, this.#own);
    this.#retention = new Retention(clock);
    const members = (this.#members = new Members(actor, isLone));
    const [shares, heirs] = [new Shares(claims), new Heirs(claims)];
    this.#heirs = heirs;
    const { counters, gauges } = this;
    this.onDisk = new OnDisk(this.#allowances.disk);
    this.#claimTeller = new ClaimTeller(claims, this.onDisk, this.#own);
    this.kept = new KeptQuotas({
      allowance: this.#allowances.collector,
      ...{ counters, gauges, own: this.#own, members, shares, heirs },
      today: () => this.#today,
      accounts: () => this.#accounts,
      take: (each) => this.#arrivals.take(each),
      reopen: () => this.#chores.begin('reopen', () => this.#reopen()),
    });
    const spent = new Spent({
      ...{ self: actor, claims, clock },
      tellCounts: (tenant, meter) => this.#teller.tellOf(tenant, meter),
      isForgotten: (tenant, meter, day) => this.#retention.isForgotten(tenant, meter, day),
    });
    const charge = (tenant: string, line: Line): void => {
      if (this.#isReady) this.kept.charge(tenant, line);
    };
    this.escrow = new Escrow({ claims, shares, heirs, members, spent, clock, charge });
    this.#founding = new Founding({ claims, shares, heirs, members, escrow: this.escrow }, clock.now());
    this.comeback = new Comeback({
      ...{ members, claims, heirs },
      tell: (each) => this.#own.put(each),
      adopt: (writers) => this.#chores.begin('adopt-left', () => this.#adoption.adopt(writers)),
    });
    this.#announcer = new Announcer(claims, members);
    this.#adoption = new Adoption({ counters, gauges, claims, heirs, members, put: (each) => this.#own.put(each) });
    this.#arrivals = new Arrivals({
      ...{ self: actor, clock, counters, gauges, claims, retention: this.#retention },
      ...{ escrow: this.escrow, comeback: this.comeback, adoption: this.#adoption },
      accounts: () => this.#accounts,
    });
    this.#logs = new MemberLogs(this.#own, (each) => this.#arrivals.take(each));
  }

  get actor(): string {
    return this.#members.self;
  }

  /** Rows told by this sidecar, those that wait to be told, and those held of others. */
  get size(): { readonly own: number; readonly waiting: number; readonly others: number } {
    const waiting = this.#teller.waiting + this.#claimTeller.waiting;
    return { own: this.#own.size, waiting, others: this.#logs.others };
  }

  /** What became of rows that came in; refused are whole deltas. */
  get counts(): { readonly merged: number; readonly known: number; readonly refused: number } {
    return { ...this.#arrivals.counts, refused: this.#logs.refused };
  }

  /** Hard quotas that were asked for here and are not used up, and of which nothing is to be had: who holds it cannot be reached, or crashed. */
  get unreachable(): number {
    let count = 0;
    for (const { line } of this.#accounts?.hard() ?? []) if (line.unused >= 1 && line.left < 1) count++;
    return count;
  }

  /** Hard quotas that were asked for here and are refused, for nobody has parted them yet: most of the members must see each other. */
  get unparted(): number {
    let count = 0;
    for (const { line } of this.#accounts?.hard() ?? []) if (!line.isParted) count++;
    return count;
  }

  /** How many members are there, this one included, of how many that should be. */
  get seen(): { readonly members: number; readonly expected: number } {
    return this.#members.seen;
  }

  /** By whom the fleet is known; before it is said this sidecar is alone. */
  follow(surroundings: Surroundings): void {
    this.#members.follow(surroundings);
  }

  /** What decides by what is known here. */
  serve(accounts: Accounts): void {
    this.#accounts = accounts;
    this.escrow.serve(accounts);
    this.#retention.serve((tenant, meter, day) => accounts.windowEnd(tenant, meter, day));
  }

  /** What the disk had is known; and the others' state was pulled, or there is nobody. After both charters may be begun. */
  know(what: 'disk' | 'others'): void {
    this.#known.add(what);
    if (this.#isReady && this.#members.isLone) this.#lookAtMembers();
  }

  #lookAtMembers(): void {
    const now = this.#clock.now();
    this.comeback.look(now);
    this.#founding.look(now, this.#clock.wallMs(), this.#begins);
  }

  get #isReady(): boolean {
    return this.#known.size === 2;
  }

  /** This sidecar left, and nobody may inherit what it had but its next life. */
  get isHeirless(): boolean {
    return this.#isHeirless;
  }

  /** What this life says of the one before. */
  heritage(last: LastLife): FleetRow[] {
    return heritageOf({ claims: this.claims, heirs: this.#heirs, self: this.actor, today: this.#today }, last);
  }

  /** Earlier lives of this process, whose rows stood on disk: nobody else may have them. `heritage`: it stands there too. */
  inherit(lives: readonly string[], heritage: readonly FleetRow[]): void {
    for (const each of heritage)
      if (each.kind === 'will') this.comeback.hold(each);
      // Told behind what was counted, as all that was spent.
      else this.claims.merge(each);
    this.#chores.begin('inherit', () => this.#adoption.adopt(new Set(lives)));
  }

  // What quotas ask of a fleet.

  get parts(): number {
    return this.escrow.parts;
  }

  open(tenant: string, line: Line, isNew: boolean): void {
    this.#allowances.open(tenant, line);
    this.escrow.open(tenant, line, isNew);
  }

  flush(tenant: string, line: Line): void {
    // What nobody could be told of is still to stand on disk.
    if (this.escrow.flush(tenant, line)) this.#allowances.drop(line);
  }

  asks(tenant: string, line: Line): void {
    this.#allowances.asks(line);
    this.escrow.asks(tenant, line);
  }

  lacks(tenant: string, line: Line, units: number): void {
    if (line.isAhead(units)) this.#allowances.lacks(line, units);
    if (line.lacksRights(units)) this.escrow.lacks(tenant, line, units);
  }

  whenKept(): Promise<void> {
    return this.#allowances.whenKept();
  }

  crossed({ id }: Account, line: Line, mark: number, announce: () => void): void {
    if (this.#members.isLone) return announce();
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
    this.#closed = { before, oldest };
    this.#teller.drop(before);
    this.#adoption.forget(oldest);
    this.#chores.begin('sweep', () => this.#sweep());
  }

  /** Every `QUOTA_TICK_MS`. True when something should reach the others at once. */
  tick(): boolean {
    if (this.#isClosed) return false;
    const now = this.#clock.now();
    if (this.#isReady) this.comeback.look(now);
    const isUrgent = this.escrow.trade();
    this.#announcer.look(now);
    this.#ticks++;
    if (this.#ticks % TELL_TICKS === 0) {
      this.escrow.beginTelling();
      if (this.#isReady) this.#founding.look(now, this.#clock.wallMs(), this.#begins);
      this.#teller.begin(TOLD_BYTES_PER_SEC / this.#members.reachable.length);
      this.#tellGauges();
    }
    if (this.#ticks % SWEEP_TICKS === 0) this.#chores.begin('sweep', () => this.#sweep());
    if (this.#isReady && this.#ticks % LOOK_TICKS === 0) this.#chores.begin('adopt', () => this.#adoption.look());
    if (this.#ticks % LOOK_TICKS === 0 || this.parts !== this.#lookedParts) this.#beginLook();
    this.turn();
    return isUrgent;
  }

  /** Whether a tick is not done: the rest is for the next turns of the loop. */
  get isBehind(): boolean {
    return !this.#isClosed && (this.escrow.isBehind || this.#teller.isBehind || this.#chores.isBehind);
  }

  /** Goes on with what a tick began. */
  turn(): void {
    if (this.#isClosed) return;
    this.escrow.turn();
    this.#teller.turn();
    this.#chores.turn();
    this.#adoption.tell();
    this.#claimTeller.tell();
  }

  /**
   * Nothing is admitted here any more: says what was spent last, and who inherits. Resolves when the others may be told, which may be never where a
   * disk does not answer: whoever waits has a bound.
   */
  async leave(): Promise<void> {
    const isSaid = this.escrow.close();
    this.#teller.begin(Number.POSITIVE_INFINITY);
    this.#teller.turn(Number.POSITIVE_INFINITY);
    this.#tellGauges();
    for (const name of ['inherit', 'adopt-left', 'adopt']) this.#chores.finish(name);
    const isTold = this.#adoption.tell(Number.POSITIVE_INFINITY);
    this.#claimTeller.tell();
    // Whoever inherits must know all that was spent, or would spend it once more.
    if (isSaid && isTold && this.#claimTeller.waiting === 0 && !this.claims.isMissing)
      this.#isHeirless = this.comeback.inherits || this.#founding.leave(this.#today) === undefined;
    this.#isClosed = true;
    await this.#claimTeller.tellAll();
  }

  // What gossip asks of a delegate.

  get lane(): Lane {
    return this.#logs;
  }

  onMember(member: Member): void {
    this.#members.note(member);
    this.#logs.note(member);
  }

  onForgotten(slot: number): void {
    this.#members.forget(slot);
    this.#logs.forget(slot);
  }

  /** In UTC. */
  get #today(): number {
    return Math.floor(this.#clock.wallMs() / DAY_MS);
  }

  #tellGauges(): void {
    const { gauges } = this;
    const gauged = gauges.version;
    for (const { tenant, meter, value, at, actor } of gauges.changedSince(this.#gauged))
      this.#own.put(row({ kind: 'gauge', tenant, meter, from: actor }, at, value));
    this.#gauged = gauged;
  }

  #beginLook(): void {
    const { parts } = this;
    this.#chores.begin('look', () => {
      this.#lookedParts = parts;
      return this.#look();
    });
  }

  *#reopen(): Generator<void> {
    for (const { tenant, line } of this.#accounts?.hard() ?? []) {
      this.open(tenant, line, false);
      for (let step = 0; step < REFRESH_STEPS; step++) yield;
    }
  }

  /** All hard quotas that were asked for here: who has which part of them may have changed. */
  *#look(): Generator<void> {
    const begins = new Set<number>();
    for (const { tenant, line } of this.#accounts?.hard() ?? []) {
      begins.add(line.from);
      const steps = this.escrow.refresh(tenant, line) ? REFRESH_STEPS : 1;
      for (let step = 0; step < steps; step++) yield;
    }
    this.#begins = begins;
  }

  /** Forgets what is over. */
  *#sweep(): Generator<void> {
    const { before, oldest } = this.#closed;
    this.#retention.begin();
    const isOver = (key: RowKey): boolean => {
      if (key.kind === 'count') return key.day < before;
      if (key.kind === 'total') return key.day < oldest;
      if (key.kind === 'gauge' || !this.#retention.isOver(key)) return false;
      if (key.kind !== 'event') this.#retention.forgot(key.day);
      return true;
    };
    yield* this.claims.dropping(isOver);
    yield* this.#logs.dropping(isOver);
  }
}
