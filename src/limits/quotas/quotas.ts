// hot path
/**
 * Quotas of all tenants: what a request is refused for, what it takes, what is counted when it is done, and what the application reports.
 *
 *   check ──▶ take ──────────▶ report (response) ──▶ done
 *   nothing   calls counted,    reported meters       bytes and time counted,
 *   spent     the rest reserved                       reserved given back
 *
 * Bounds: see the accounts (accounts.ts) and the stores.
 */
import type { TenantIndex } from '../../core/index.ts';
import type { Identified, Reply, UsedUnits } from '../../pipeline/index.ts';
import type { Tenant } from '../../tenants/index.ts';
import { Gcra, type Rate } from '../gcra.ts';
import type { Account, Line } from './account.ts';
import { Accounts, type AccountsOptions } from './accounts.ts';
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
import { Tally } from './tally.ts';
import { type Usage, usageOfHeader } from './usage-report.ts';

/** A request that a threshold slows down waits at most so long, else it is refused. */
export const SHAPE_MS_MAX = 250;
export const USAGE_HEADER = 'x-reeve-usage';

export type QuotasOptions = Omit<AccountsOptions, 'tally' | 'onOpen'>;

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
  readonly accounts: Accounts;
  readonly #reservations = new Reservations();
  readonly #tally: Tally;
  /** By tenant index: what thresholds slow down. */
  readonly #shaped: Gcra = new Gcra(0);
  #shapedSlots = 0;

  constructor(options: QuotasOptions) {
    this.#o = options;
    this.#tally = new Tally(options);
    this.accounts = new Accounts({ ...options, tally: this.#tally, onOpen: ({ index }) => this.#beginShaping(index) });
  }

  /** Whether they are those of a fleet. */
  get isShared(): boolean {
    return this.#o.fleet !== undefined;
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

  #beginShaping(index: TenantIndex): void {
    if (index >= this.#shapedSlots) {
      this.#shapedSlots = Math.ceil((index + 1) * 1.25);
      this.#shaped.grow(this.#shapedSlots);
    }
    this.#shaped.forget(index);
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

/** A number without a sign is the new level of a gauge; whatever has no quota is a counter. */
function changeOf(line: Line | undefined, { sign, units }: Usage): number {
  if (sign === '' && line?.quota.per === 'none') return units - line.used;
  return sign === '-' ? -units : units;
}

/** To the thousandth of a ms. */
function tookMs(from: number, to: number): number {
  return Math.round((to - from) * 1000) / 1000;
}
