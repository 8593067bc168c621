// hot path
/**
 * Quotas of all tenants: what a request is refused for, what it takes, what is counted when it is done, and what the application reports.
 *
 *   check ──▶ take ──────────▶ report (response) ──▶ done
 *   nothing   calls counted,    reported meters       bytes and time counted,
 *   spent     the rest reserved                       reserved given back
 *
 * An account is a tenant's quotas in the window that is now; it is looked up in the store when a request first asks, when its day
 * is over, and when the configuration changes. In between a request adds to numbers and compares each with one mark.
 *
 * Bounds: an account a tenant with quotas that asked; of the rest see the stores.
 */
import type { Timer, Timers } from '../../core/index.ts';
import type { Identified, Reply, UsedUnits } from '../../pipeline/index.ts';
import type { Snapshot, Tenant } from '../../tenants/index.ts';
import { Gcra, type Rate } from '../gcra.ts';
import { ACTIONS, Account, Line } from './account.ts';
import { DAY_MS, longestFrom, windowOf } from './calendar.ts';
import {
  type Asked,
  costOf,
  isExceeded,
  isOnlyAhead,
  isSpent,
  needOf,
  percent,
  refusalBy,
  refusalOf,
  textOf,
} from './need.ts';
import { Reservations } from './reservations.ts';
import type { Fleet } from './shared.ts';
import { Tally, type TallyOptions } from './tally.ts';
import { type Usage, usageOfHeader } from './usage-report.ts';
import type { Zones } from './zones.ts';

const HOUR_MS = 3_600_000;
/** A day is over everywhere 12 h after it is in UTC; 2 h more for what comes late. */
const CLOSE_AFTER_MS = 14 * HOUR_MS;
/** The longest window has 31 days; two more for zones and for what is not closed yet. */
const KEEP_DAYS = 33;
/** How soon it is noticed that the wall clock was set, ms. */
const LOOK_MS = 1000;
/** A request that a threshold slows down waits at most so long, else it is refused. */
export const SHAPE_MS_MAX = 250;
export const USAGE_HEADER = 'x-reeve-usage';

export interface QuotasOptions extends TallyOptions {
  readonly zones: Zones;
  readonly timers: Timers;
}

/** What became of a posted report, by meter. */
export interface Reported {
  readonly counted: readonly string[];
  /** The tenant has no quota of these. */
  readonly ignored: readonly string[];
  /** What was used of each meter, quota or none; of a gauge, by how much it changed. */
  readonly units: readonly UsedUnits[];
}

export class Quotas {
  readonly #o: QuotasOptions;
  /** By tenant index. */
  readonly #accounts: (Account | undefined)[] = [];
  readonly #byId = new Map<string, Account>();
  readonly #reservations = new Reservations();
  readonly #tally: Tally;
  /** By tenant index: what thresholds slow down. */
  readonly #shaped: Gcra = new Gcra(0);
  #shapedSlots = 0;
  #closedBefore = 0;
  #snapshot: Snapshot | undefined;
  #sweeping: Timer | undefined;

  constructor(options: QuotasOptions) {
    this.#o = options;
    this.#tally = new Tally(options);
  }

  /** Whether they are those of a fleet. */
  get isShared(): boolean {
    return this.#o.fleet !== undefined;
  }

  /** Of a tenant whose slot is its own; undefined when it has no quotas. */
  accountOf(tenant: Tenant, now: number): Account | undefined {
    if (tenant.allowance.quotas.length === 0) return undefined;
    let account = this.#accounts[tenant.index];
    if (account === undefined || account.id !== tenant.id) account = this.#open(tenant);
    if (now >= account.lookAt) this.#look(account, now);
    if (account.hasHard) this.#renew(account);
    return account;
  }

  /** Why the request is refused, if it is. Spends nothing. `mayWait`: whether there is room for one more that waits. */
  check(account: Account, x: Asked, now: number, mayWait: boolean): Reply | undefined {
    if (account.hasHard || account.isRejected) {
      let isRefused = account.isRejected;
      for (const line of account.lines) if (isExceeded(line, x)) isRefused = this.#note(account, line, x);
      if (isRefused) return refusalBy(account.lines, x, this.#o.clock.wallMs());
    }
    const { shaper } = account;
    if (shaper === undefined) return undefined;
    const wait = this.#shaped.waitMs(account.tenant.index, shaper.rate as Rate, costOf(x), now);
    if (wait === 0 || (wait <= SHAPE_MS_MAX && mayWait)) return undefined;
    return refusalOf(
      `The tenant has used ${percent(shaper)} of its quota of ${textOf(shaper.quota)} and is slowed down.`,
      [shaper],
      wait,
    );
  }

  /** Whether a request that is refused only lacks that more of what was spent is kept, which is asked for. */
  isHeldUp(account: Account, x: Asked): boolean {
    const { fleet } = this.#o;
    if (fleet === undefined || account.isRejected) return false;
    const lines = account.lines.filter((line) => isExceeded(line, x));
    if (!lines.every((line) => isOnlyAhead(line, x))) return false;
    for (const line of lines) fleet.lacks(account.id, line, needOf(line, x));
    return lines.length > 0;
  }

  /** Resolves when more of what was spent is kept. May be never. Where something is held up, which is in a fleet. */
  whenKept(): Promise<void> {
    return (this.#o.fleet as Fleet).whenKept();
  }

  /** Others have other parts: what may be spent here is another. */
  #renew({ id, lines }: Account): void {
    const { fleet } = this.#o;
    if (fleet === undefined) return;
    const { parts } = fleet;
    for (const line of lines) if (line.parts !== parts && isSpent(line)) fleet.open(id, line, false);
  }

  /** Counts what the request costs, reserves what it may, and says how long it waits, ms. */
  take(account: Account, x: Identified, now: number): number {
    // What is in force is what was in force before it: the request that reaches a mark is the last below it.
    const waitMs = this.#shape(account, x, now);
    for (const line of account.lines) {
      const { source, isHard, per } = line.quota;
      if (source === 'calls') this.#tally.count(account, line, costOf(x));
      else if (isHard && per !== 'none') this.#reserve(x, line);
      if (isHard) this.#ask(account, line, needOf(line, x));
    }
    return waitMs;
  }

  #ask({ id }: Account, line: Line, units: number): void {
    if (units <= 0) return;
    if (line.asked === 0 && isSpent(line)) this.#o.fleet?.asks(id, line);
    line.asked += units;
  }

  #shape(account: Account, x: Identified, now: number): number {
    const { shaper } = account;
    if (shaper === undefined) return 0;
    const { index } = account.tenant;
    const rate = shaper.rate as Rate;
    const wait = this.#shaped.waitMs(index, rate, costOf(x), now);
    // What waits has reserved its place; what is critical does not wait, and leaves a debt of its cost at most.
    this.#shaped.take(index, rate, costOf(x), now, Math.max(costOf(x), rate.perSec * SHAPE_MS_MAX));
    return Math.min(wait, SHAPE_MS_MAX);
  }

  #reserve(x: Identified, line: Line): void {
    const units = needOf(line, x);
    if (units > 0) x.reservation = this.#reservations.add(x.reservation, line, units);
  }

  /** Gives back what was reserved, for whom it may be. */
  release(x: Identified): void {
    this.#reservations.release(x.reservation);
    x.reservation = 0;
  }

  /** Counts what is known now that the request is done. */
  done(account: Account, x: Identified, now: number): void {
    for (const line of account.lines) {
      const { source } = line.quota;
      if (source === 'calls' || source === 'reported') continue;
      const units =
        source === 'bytes_in' ? x.requestBytes : source === 'bytes_out' ? x.responseBytes : tookMs(x.admittedAt, now);
      line.learn(units);
      this.#tally.count(account, line, units);
    }
  }

  /** What an application's answer says was used, for the tenant of that exchange and nobody else; undefined when it is malformed. */
  reportHeader(
    account: Account | undefined,
    tenant: Tenant,
    values: readonly string[],
  ): readonly UsedUnits[] | undefined {
    const text = values.join(',');
    const usages = usageOfHeader(text);
    if (usages !== undefined) return this.report(account, usages).units;
    this.#o.counts.malformed(tenant.id, text);
    return undefined;
  }

  report(account: Account | undefined, usages: readonly Usage[]): Reported {
    const counted: string[] = [];
    const ignored: string[] = [];
    const units: UsedUnits[] = [];
    for (const usage of usages) {
      const line = account?.lineOf(usage.meter);
      units.push({ meter: usage.meter, units: changeOf(line, usage) });
      if (account === undefined || line === undefined || line.quota.source !== 'reported') {
        ignored.push(usage.meter);
        this.#o.counts.report('unknown_meter');
      } else {
        counted.push(usage.meter);
        this.#o.counts.report('counted');
        this.#tally.report(account, line, usage);
      }
    }
    return { counted, ignored, units };
  }

  /** On a swap: who is gone has no account any more; whose quotas changed keeps what was used. */
  use(next: Snapshot): void {
    this.#snapshot = next;
    for (const account of this.#byId.values()) {
      const after = next.tenants.get(account.id);
      if (after === account.tenant) continue;
      const isKept = after !== undefined && after.index === account.tenant.index && after.allowance.quotas.length > 0;
      if (isKept) this.#reform(account, after);
      else this.#drop(account);
    }
  }

  /** Others closed a day of the tenant. */
  markStale(tenant: string): void {
    const account = this.#byId.get(tenant);
    if (account !== undefined) stale(account);
  }

  /** Others counted units on a day, or gave them back. */
  addOthers(tenant: string, meter: string, day: number, units: number): void {
    const account = this.#byId.get(tenant);
    const line = account?.lineOf(meter);
    if (account === undefined || line === undefined || day < line.from || day >= line.to) return;
    line.used = Math.max(0, line.used + units);
    this.#tally.level(account, line);
  }

  /** Others reported another level. */
  levelChanged(tenant: string, meter: string): void {
    const account = this.#byId.get(tenant);
    const line = account?.lineOf(meter);
    if (account === undefined || line?.quota.per !== 'none') return;
    line.used = this.#o.gauges.valueOf(tenant, meter);
    this.#tally.level(account, line);
  }

  /** Hard quotas with a window that were asked for here. */
  *hard(): Generator<{ readonly tenant: string; readonly line: Line }> {
    for (const account of this.#byId.values())
      if (account.hasHard) for (const line of account.lines) if (isSpent(line)) yield { tenant: account.id, line };
  }

  /** Of a tenant there is, in the window that is now. */
  hardLine(tenant: string, meter: string): Line | undefined {
    const known = this.#snapshot?.tenants.get(tenant);
    const line = known && this.accountOf(known, this.#o.clock.now())?.lineOf(meter);
    return line !== undefined && isSpent(line) ? line : undefined;
  }

  /** The day before which the window of a day is over, of the quota as it is now; undefined: none is known. */
  endOf(tenant: string, meter: string, day: number): number | undefined {
    const known = this.#snapshot?.tenants.get(tenant);
    const quota = known?.allowance.quotas.find((each) => each.meter === meter);
    return known === undefined || quota === undefined ? undefined : windowOf(quota.per, day, known.billingDay).to;
  }

  /** See `WindowEnd` of the fleet's: of any quota, hard or not. */
  windowEnd(tenant: string, meter: string, day: number): number | undefined {
    const known = this.#snapshot?.tenants.get(tenant);
    const quota = known?.allowance.quotas.find((each) => each.meter === meter);
    if (known === undefined || quota === undefined) return undefined;
    return windowOf(quota.per, day, known.billingDay).from === day ? longestFrom(day, known.billingDay) : undefined;
  }

  /** Closes days that are over everywhere, each hour. */
  start(): void {
    this.#sweep();
    this.#sweeping = this.#o.timers.after(HOUR_MS, () => this.start());
  }

  stop(): void {
    this.#sweeping?.cancel();
  }

  #sweep(): void {
    const { clock, counters, fleet } = this.#o;
    const before = Math.floor((clock.wallMs() - CLOSE_AFTER_MS) / DAY_MS);
    if (before === this.#closedBefore || fleet?.mayClose() === false) return;
    this.#closedBefore = before;
    counters.close(before, before - KEEP_DAYS);
    fleet?.closed(before, before - KEEP_DAYS);
    // Rows of closed days are others' now.
    for (const account of this.#byId.values()) stale(account);
  }

  #open(tenant: Tenant): Account {
    const other = this.#accounts[tenant.index];
    if (other !== undefined) this.#drop(other);
    const account = new Account(tenant);
    account.lines = tenant.allowance.quotas.map((quota) => new Line(quota));
    this.#accounts[tenant.index] = account;
    this.#byId.set(tenant.id, account);
    if (tenant.index >= this.#shapedSlots) {
      this.#shapedSlots = Math.ceil((tenant.index + 1) * 1.25);
      this.#shaped.grow(this.#shapedSlots);
    }
    this.#shaped.forget(tenant.index);
    return account;
  }

  /** What it used stays in the store, under its name: a tenant that comes back finds it. */
  #drop(account: Account): void {
    for (const line of account.lines) if (isSpent(line)) this.#o.fleet?.flush(account.id, line);
    this.#accounts[account.tenant.index] = undefined;
    this.#byId.delete(account.id);
  }

  #reform(account: Account, tenant: Tenant): void {
    const before = new Map(account.lines.map((line) => [line.quota.meter, line]));
    const kept = new Set(tenant.allowance.quotas.map(({ meter }) => meter));
    for (const [meter, line] of before) if (!kept.has(meter) && isSpent(line)) this.#o.fleet?.flush(account.id, line);
    account.tenant = tenant;
    account.lines = tenant.allowance.quotas.map((quota) => {
      const line = before.get(quota.meter);
      if (line === undefined) return new Line(quota);
      const { action } = line;
      const wasSpent = isSpent(line);
      line.quota = quota;
      // What was counted until now must be known before anybody reckons with rights to it.
      if (!wasSpent && isSpent(line)) this.#o.fleet?.asks(account.id, line);
      line.restart();
      line.climb((threshold) => {
        if (ACTIONS.indexOf(threshold.action) > action) this.#tally.crossed(account, line, threshold);
      });
      return line;
    });
    stale(account);
  }

  /** Once a second, and when the day ends: what day it is by the wall clock, which may have been set. */
  #look(account: Account, now: number): void {
    const wall = this.#o.clock.wallMs();
    if (wall < account.from || wall >= account.until) this.#roll(account, wall);
    account.lookAt = now + Math.min(LOOK_MS, account.until - wall);
  }

  /** Looks the account up anew: a day began, or what was known is no longer so. */
  #roll(account: Account, wall: number): void {
    const { zones, counters, gauges, fleet } = this.#o;
    const { id, tenant } = account;
    const { timezone, billingDay } = tenant;
    account.day = zones.dayAt(timezone, wall);
    account.from = zones.startOf(timezone, account.day);
    account.until = zones.startOf(timezone, account.day + 1);
    for (const line of account.lines) {
      const { meter, per } = line.quota;
      const { from, to } = windowOf(per, account.day, billingDay);
      const startMs = zones.startOf(timezone, from);
      // In the same window whatever is news is said; a new window, or a restart, begins where it is.
      const isSame = line.startMs === startMs && line.to === to;
      if (!isSame && isSpent(line)) fleet?.flush(id, line);
      line.from = from;
      line.to = to;
      line.startMs = startMs;
      line.endMs = zones.startOf(timezone, to);
      line.row = -1;
      line.used = per === 'none' ? gauges.valueOf(id, meter) : Math.max(0, counters.sum(id, meter, from, to));
      if (!isSame && per !== 'none') line.restart();
      if (!isSame) line.beginWindow();
      if (isSpent(line)) fleet?.open(id, line, !isSame);
      line.descend();
      line.climb((threshold) => {
        if (isSame) this.#tally.crossed(account, line, threshold);
      });
      line.policyName = per === 'none' ? meter : `${meter}-${per}`;
      line.policy = policyOf(line);
    }
    account.survey();
  }

  /** A quota that refuses; what it needed, where only this sidecar has too little. What nobody could give is not asked for. */
  #note(account: Account, line: Line, x: Asked): true {
    const need = needOf(line, x);
    if (isSpent(line) && !line.isOver(need) && line.isShort(need)) {
      this.#ask(account, line, need);
      this.#o.fleet?.lacks(account.id, line, need);
    }
    return true;
  }
}

/** The next request looks it up anew. */
function stale(account: Account): void {
  account.until = 0;
  account.lookAt = 0;
}

/** A number without a sign is the new level of a gauge; whatever has no quota is a counter. */
function changeOf(line: Line | undefined, { sign, units }: Usage): number {
  if (sign === '' && line?.quota.per === 'none') return units - line.used;
  return sign === '-' ? -units : units;
}

/** To the thousandth of a ms. */
function tookMs(from: number, to: number): number {
  return Math.round((to - from) * 1000) / 1000;
}

/** The largest integer of a structured field (RFC 9651 §3.3.1). */
const INTEGER_MAX = 999_999_999_999_999;

/** `"api_calls-month";q=5000000;w=2678400;qu="requests"`. */
function policyOf({ policyName, quota, startMs, endMs }: Line): string {
  const window = quota.per === 'none' ? '' : `;w=${Math.round((endMs - startMs) / 1000)}`;
  return `"${policyName}";q=${Math.min(Math.floor(quota.limit), INTEGER_MAX)}${window};qu="${quota.unit}"`;
}
