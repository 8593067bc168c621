// hot path
/**
 * How the use of a line changes: what is counted, given back or set, where it is kept, and the thresholds that are crossed by it.
 *
 *   units ─▶ row of today in the store, used ─▶ next mark reached ─▶ said, once for the fleet
 */
import type { Clock } from '../../core/index.ts';
import type { QuotaThreshold } from '../../tenants/index.ts';
import type { Account, Line } from './account.ts';
import type { CounterStore } from './counter-store.ts';
import type { GaugeStore } from './gauge-store.ts';
import { isSpent } from './need.ts';
import type { QuotaCounts } from './quota-counts.ts';
import type { Fleet } from './shared.ts';
import type { Usage } from './usage-report.ts';

export interface TallyOptions {
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  readonly counts: QuotaCounts;
  /** Undefined: this sidecar is alone. */
  readonly fleet?: Fleet | undefined;
  readonly clock: Clock;
}

export class Tally {
  readonly #o: TallyOptions;

  constructor(options: TallyOptions) {
    this.#o = options;
  }

  /** Of a counter. */
  count(account: Account, line: Line, units: number): void {
    if (units === 0) return;
    if (this.#openRow(account, line)) this.#o.counters.add(line.row, units);
    line.used += units;
    line.spent += units;
    if (line.spent >= line.pressAt) this.#o.fleet?.asks(account.id, line);
    if (line.used >= line.next) this.#climb(account, line);
  }

  /** Up to where the use is. */
  #climb(account: Account, line: Line): void {
    line.climb((threshold) => this.crossed(account, line, threshold));
    account.survey();
  }

  /** Says that a threshold was reached, or has another of the fleet say it. */
  crossed(account: Account, line: Line, threshold: QuotaThreshold): void {
    const { counts, fleet } = this.#o;
    if (fleet === undefined) counts.crossed(account, line, threshold);
    else fleet.crossed(account, line, threshold.at, () => counts.crossed(account, line, threshold));
  }

  /** What an application says was used of a line. */
  report(account: Account, line: Line, { sign, units }: Usage): void {
    if (line.quota.per === 'none') this.#setGauge(account, line, { sign, units });
    else if (sign === '-') this.#refund(account, line, units);
    else {
      line.learn(units);
      this.count(account, line, units);
    }
  }

  #setGauge(account: Account, line: Line, { sign, units }: Pick<Usage, 'sign' | 'units'>): void {
    const change = sign === '-' ? -units : units;
    const value = sign === '' ? units : line.used + change;
    const { meter } = line.quota;
    if (!this.#o.gauges.set(account.id, meter, value, this.#o.clock.wallMs()))
      return this.#o.counts.full(account.id, meter);
    line.used = this.#o.gauges.valueOf(account.id, meter);
    this.level(account, line);
  }

  /** At most what was used: nothing is given in advance. */
  #refund(account: Account, line: Line, units: number): void {
    const credit = Math.min(units, line.used);
    if (credit === 0) return;
    if (this.#openRow(account, line)) this.#o.counters.refund(line.row, credit);
    line.used -= credit;
    line.credited += credit;
    if (isSpent(line)) this.#o.fleet?.asks(account.id, line);
    this.level(account, line);
  }

  /** The use changed, up or down. */
  level(account: Account, line: Line): void {
    if (line.used < line.leave) {
      line.descend();
      account.survey();
    } else if (line.used >= line.next) this.#climb(account, line);
  }

  /** Whether the line has a row of today to count on. */
  #openRow(account: Account, line: Line): boolean {
    if (line.row !== -1) return true;
    line.row = this.#o.counters.open(account.id, line.quota.meter, account.day);
    if (line.row === -1) this.#o.counts.full(account.id, line.quota.meter);
    return line.row !== -1;
  }
}
