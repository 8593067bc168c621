/** The quotas of a plan, and what a tenant lays over them, key by key. */
import { parseNumber, parsePercent, parseRatePerSec, parseSizeBytes } from '../core/index.ts';
import type { Quota, QuotaSource, QuotaThreshold } from './model.ts';
import type { PlanDocument, TenantDocument } from './schema.ts';

type QuotasDocument = NonNullable<PlanDocument['spec']['quotas']>;
type OverridesDocument = NonNullable<NonNullable<TenantDocument['spec']['overrides']>['quotas']>;
type QuotaDocument = QuotasDocument[string];
type ThresholdDocument = NonNullable<QuotaDocument['thresholds']>[number];

/** What the sidecar counts itself, and under which names. */
const SOURCES: Readonly<Record<string, QuotaSource>> = {
  api_calls: 'calls',
  requests: 'calls',
  bytes_in: 'bytes_in',
  bytes_out: 'bytes_out',
  compute_ms: 'compute_ms',
};
const UNITS: Readonly<Record<QuotaSource, string | undefined>> = {
  calls: 'requests',
  bytes_in: 'content-bytes',
  bytes_out: 'content-bytes',
  compute_ms: 'ms',
  reported: undefined,
};
const DEFAULT_THRESHOLDS: readonly ThresholdDocument[] = [
  { at: '80%', do: 'notify' },
  { at: '100%', do: 'notify' },
];

/** Who counts the meter. */
export function sourceOf(meter: string): QuotaSource {
  return SOURCES[meter] ?? 'reported';
}

/** Units: `5_000_000`, `10GiB`; undefined for what is neither. */
export function parseQuota(limit: number | string): number | undefined {
  return typeof limit === 'number' ? limit : (parseNumber(limit) ?? parseSizeBytes(limit));
}

/** `ratePerSec`: the request rate of the allowance, of which a threshold may take a share. */
export function compileQuotas(documents: QuotasDocument | undefined, ratePerSec: number | undefined): Quota[] {
  return Object.entries(documents ?? {}).map(([meter, document]) => compileQuota(meter, document, ratePerSec));
}

/** Of a tenant that lays something over its plan: the plan's shares are then shares of the tenant's own rate and limits. */
export function overrideQuotas(
  ofPlan: readonly Quota[],
  overrides: OverridesDocument,
  ratePerSec: number | undefined,
): Quota[] {
  const meters = new Set(ofPlan.map(({ meter }) => meter));
  const own = Object.entries(overrides).filter(([meter]) => !meters.has(meter));
  return [
    ...ofPlan.map((quota) => changed(quota, overrides[quota.meter], ratePerSec)),
    ...own.map(([meter, change]) => compileQuota(meter, change, ratePerSec)),
  ];
}

function changed(quota: Quota, change: OverridesDocument[string] | undefined, ratePerSec: number | undefined): Quota {
  const limit = change === undefined ? quota.limit : (parseQuota(change.limit) as number);
  return {
    ...quota,
    limit,
    // A level has no window, whatever is laid over it.
    per: quota.per === 'none' ? 'none' : (change?.per ?? quota.per),
    isHard: change?.mode === undefined ? quota.isHard : change.mode === 'hard',
    thresholds: quota.thresholds.map(({ text, action, rate }) =>
      compileThreshold({ at: text, do: action, ...(rate === undefined ? {} : { rate }) }, limit, ratePerSec),
    ),
  };
}

function compileQuota(meter: string, document: QuotaDocument, ratePerSec: number | undefined): Quota {
  const limit = parseQuota(document.limit) as number;
  const source = sourceOf(meter);
  return {
    meter,
    source,
    per: document.gauge === true ? 'none' : (document.per ?? 'month'),
    limit,
    unit: document.unit ?? UNITS[source] ?? meter,
    isHard: document.mode === 'hard',
    estimate: document.estimate,
    thresholds: (document.thresholds ?? DEFAULT_THRESHOLDS).map((each) => compileThreshold(each, limit, ratePerSec)),
  };
}

function compileThreshold(
  { at, do: action, rate }: ThresholdDocument,
  limit: number,
  ratePerSec: number | undefined,
): QuotaThreshold {
  return {
    at: (parsePercent(at) as number) * limit,
    text: at,
    action,
    rate,
    perSec: rate === undefined ? Number.POSITIVE_INFINITY : perSecOf(rate, ratePerSec),
  };
}

/** A share is only accepted where there is a rate to take it of, which no tenant can take away. */
function perSecOf(rate: string, ratePerSec: number | undefined): number {
  const share = parsePercent(rate);
  return share === undefined ? (parseRatePerSec(rate) as number) : share * (ratePerSec as number);
}
