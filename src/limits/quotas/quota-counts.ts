/** What operators see of quotas: one line in the log and one count a crossing, reports by result, and how the counts are kept. */
import type { Clock } from '../../core/index.ts';
import type { HotCounters, Log, Metrics } from '../../telemetry/index.ts';
import type { QuotaThreshold } from '../../tenants/index.ts';
import { ACTIONS, type Account, type Line } from './account.ts';

/** - `counted`. - `malformed`: none of it was. - `unknown_meter`: no quota of the tenant has the meter. - `unknown_tenant`. */
export type ReportResult = 'counted' | 'malformed' | 'unknown_meter' | 'unknown_tenant';

/** One line a minute says how an application's reports are wrong; all are counted. */
const SAID_MS = 60_000;

export interface QuotaCountsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly series: () => number;
  readonly isWriting: () => boolean;
}

export class QuotaCounts {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #crossings: HotCounters;
  readonly #reports: HotCounters;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor({ clock, log, metrics, series, isWriting }: QuotaCountsOptions) {
    this.#clock = clock;
    this.#log = log;
    this.#crossings = metrics.counters({
      name: 'reeve_quota_crossings_total',
      help: 'Thresholds of quotas that tenants reached, by what happens from there on.',
      labels: { action: ACTIONS },
    });
    this.#reports = metrics.counters({
      name: 'reeve_usage_reports_total',
      help: 'Usage that the application reported, by what became of it: one a meter, or one for a report that is malformed or of nobody.',
      labels: { result: ['counted', 'malformed', 'unknown_meter', 'unknown_tenant'] },
    });
    metrics.gauge({
      name: 'reeve_quota_series',
      help: 'Pairs of tenant and meter that quotas count, those of removed tenants included until their windows are over.',
      read: series,
    });
    metrics.gauge({
      name: 'reeve_quota_log_writing',
      help: '1 while what quotas count reaches the disk; 0 when it is in memory alone.',
      read: () => (isWriting() ? 1 : 0),
    });
  }

  crossed({ id }: Account, { quota, used, endMs }: Line, { text, action }: QuotaThreshold): void {
    this.#crossings.add(this.#crossings.index(action));
    this.#log.warn('quota.crossed', {
      'tenant.id': id,
      meter: quota.meter,
      at: text,
      do: action,
      used,
      limit: quota.limit,
      per: quota.per,
      ...(quota.per === 'none' ? {} : { window_ends: new Date(endMs).toISOString() }),
    });
  }

  report(result: ReportResult): void {
    this.#reports.add(this.#reports.index(result));
  }

  /** `text`: of the application, cut by the log. */
  malformed(tenant: string, text: string): void {
    this.report('malformed');
    const now = this.#clock.now();
    if (now - this.#saidAt < SAID_MS) return;
    this.#saidAt = now;
    this.#log.warn('usage.malformed', {
      'tenant.id': tenant,
      text: text.slice(0, 200),
      remedy: 'such as x-reeve-usage: storage_bytes=+1024, llm_tokens=812',
    });
  }

  full(tenant: string, meter: string): void {
    const now = this.#clock.now();
    if (now - this.#fullAt < SAID_MS) return;
    this.#fullAt = now;
    this.#log.error('quota.store_full', {
      'tenant.id': tenant,
      meter,
      effect: 'counted in memory until the window or the configuration changes, and not kept',
    });
  }

  #fullAt = Number.NEGATIVE_INFINITY;
}
