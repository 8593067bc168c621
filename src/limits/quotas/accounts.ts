// hot path
/**
 * Which account is a tenant's, and in which windows its lines count. An account is opened when a request first asks, and looked up anew in the store when
 * its day is over and when the configuration changes; in between a request adds to numbers and compares each with one mark.
 *
 *   tenant ─▶ account: day ─┬─▶ line: window of its meter, what is used there, next mark
 *                           └─▶ line …                 days that are over everywhere become totals, each hour
 *
 * Bounds: an account a tenant with quotas that asked.
 */
import type { Timer, Timers } from '../../core/index.ts';
import type { Snapshot, Tenant } from '../../tenants/index.ts';
import { ACTIONS, Account, Line } from './account.ts';
import { DAY_MS, longestFrom, windowOf } from './calendar.ts';
import { isSpent } from './need.ts';
import type { Tally, TallyOptions } from './tally.ts';
import type { Zones } from './zones.ts';

const HOUR_MS = 3_600_000;
/** A day is over everywhere 12 h after it is in UTC; 2 h more for what comes late. */
const CLOSE_AFTER_MS = 14 * HOUR_MS;
/** The longest window has 31 days; two more for zones and for what is not closed yet. */
const KEEP_DAYS = 33;
/** How soon it is noticed that the wall clock was set, ms. */
const LOOK_MS = 1000;

export interface AccountsOptions extends TallyOptions {
  readonly zones: Zones;
  readonly timers: Timers;
  readonly tally: Tally;
  /** A tenant has an account from now on: whatever is kept by its index begins anew. */
  readonly onOpen: (tenant: Tenant) => void;
}

export class Accounts {
  readonly #o: AccountsOptions;
  /** By tenant index. */
  readonly #accounts: (Account | undefined)[] = [];
  readonly #byId = new Map<string, Account>();
  #closedBefore = 0;
  #snapshot: Snapshot | undefined;
  #sweeping: Timer | undefined;

  constructor(options: AccountsOptions) {
    this.#o = options;
  }

  /** Of a tenant whose slot is its own; undefined when it has no quotas. */
  of(tenant: Tenant, now: number): Account | undefined {
    if (tenant.allowance.quotas.length === 0) return undefined;
    let account = this.#accounts[tenant.index];
    if (account === undefined || account.id !== tenant.id) account = this.#open(tenant);
    if (now >= account.lookAt) this.#look(account, now);
    if (account.hasHard) this.#renew(account);
    return account;
  }

  /** Others have other parts: what may be spent here is another. */
  #renew({ id, lines }: Account): void {
    const { fleet } = this.#o;
    if (fleet === undefined) return;
    const { parts } = fleet;
    for (const line of lines) if (line.parts !== parts && isSpent(line)) fleet.open(id, line, false);
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
    this.#o.tally.level(account, line);
  }

  /** Others reported another level. */
  levelChanged(tenant: string, meter: string): void {
    const account = this.#byId.get(tenant);
    const line = account?.lineOf(meter);
    if (account === undefined || line?.quota.per !== 'none') return;
    line.used = this.#o.gauges.valueOf(tenant, meter);
    this.#o.tally.level(account, line);
  }

  /** Hard quotas with a window that were asked for here. */
  *hard(): Generator<{ readonly tenant: string; readonly line: Line }> {
    for (const account of this.#byId.values())
      if (account.hasHard) for (const line of account.lines) if (isSpent(line)) yield { tenant: account.id, line };
  }

  /** Of a tenant there is, in the window that is now. */
  hardLine(tenant: string, meter: string): Line | undefined {
    const known = this.#snapshot?.tenants.get(tenant);
    const line = known && this.of(known, this.#o.clock.now())?.lineOf(meter);
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
    this.#o.onOpen(tenant);
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
        if (ACTIONS.indexOf(threshold.action) > action) this.#o.tally.crossed(account, line, threshold);
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
        if (isSame) this.#o.tally.crossed(account, line, threshold);
      });
      line.policyName = per === 'none' ? meter : `${meter}-${per}`;
      line.policy = policyOf(line);
    }
    account.survey();
  }
}

/** The next request looks it up anew. */
function stale(account: Account): void {
  account.until = 0;
  account.lookAt = 0;
}

/** The largest integer of a structured field (RFC 9651 §3.3.1). */
const INTEGER_MAX = 999_999_999_999_999;

/** `"api_calls-month";q=5000000;w=2678400;qu="requests"`. */
function policyOf({ policyName, quota, startMs, endMs }: Line): string {
  const window = quota.per === 'none' ? '' : `;w=${Math.round((endMs - startMs) / 1000)}`;
  return `"${policyName}";q=${Math.min(Math.floor(quota.limit), INTEGER_MAX)}${window};qu="${quota.unit}"`;
}
