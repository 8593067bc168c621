/** What a schema cannot say of quotas: gauges that have no window, thresholds that rise, shares of a rate that is there. */
import { parsePercent } from '../../core/index.ts';
import { sourceOf } from '../compile-quotas.ts';
import type { PlanDocument, TenantDocument } from '../schema.ts';
import type { Objection } from './objection.ts';
import { outside, QUOTA, RATE, type Range, SHARE_OF_RATE, THRESHOLD } from './ranges.ts';

type QuotaDocument = NonNullable<PlanDocument['spec']['quotas']>[string];
type OverrideDocument = NonNullable<NonNullable<TenantDocument['spec']['overrides']>['quotas']>[string];
type ThresholdDocument = NonNullable<QuotaDocument['thresholds']>[number];
type Path = readonly (string | number)[];

/** `hasRate`: whether there is a request rate to take a share of, as far as the document can know. */
export function toQuotas(
  path: Path,
  quotas: Readonly<Record<string, QuotaDocument | OverrideDocument>> | undefined,
  hasRate: boolean,
): Objection[] {
  return Object.entries(quotas ?? {}).flatMap(([meter, quota]) => toQuota([...path, meter], meter, quota, hasRate));
}

function toQuota(path: Path, meter: string, quota: QuotaDocument, hasRate: boolean): Objection[] {
  const objections = inRange([...path, 'limit'], String(quota.limit), QUOTA);
  if (quota.gauge === true && quota.per !== undefined)
    objections.push(error([...path, 'per'], 'a gauge has no window', 'leave out per, or gauge'));
  if (quota.gauge === true && sourceOf(meter) !== 'reported')
    objections.push(
      error([...path, 'gauge'], `${meter} is counted here and is no level`, 'use a meter that the application reports'),
    );
  for (const [at, each] of (quota.thresholds ?? []).entries()) {
    const before = quota.thresholds?.[at - 1];
    objections.push(...toThreshold([...path, 'thresholds', at], each, before, hasRate));
  }
  return objections;
}

function toThreshold(
  path: Path,
  { at, do: action, rate }: ThresholdDocument,
  before: ThresholdDocument | undefined,
  hasRate: boolean,
): Objection[] {
  const objections = inRange([...path, 'at'], at, THRESHOLD);
  if (before !== undefined && (parsePercent(at) as number) <= (parsePercent(before.at) as number))
    objections.push(error([...path, 'at'], `is not above ${before.at} before it`, 'write thresholds from low to high'));
  if ((action === 'shape') !== (rate !== undefined))
    objections.push(
      action === 'shape'
        ? error(path, 'shape needs a rate', 'such as rate: 50%')
        : error([...path, 'rate'], `${action} has no rate`, 'leave out rate, or use do: shape'),
    );
  if (rate === undefined) return objections;
  const isShare = rate.endsWith('%');
  objections.push(...inRange([...path, 'rate'], rate, isShare ? SHARE_OF_RATE : RATE));
  if (isShare && !hasRate)
    objections.push(error([...path, 'rate'], 'the plan has no request rate to take a share of', 'such as rate: 10/s'));
  return objections;
}

function inRange(path: Path, text: string, range: Range): Objection[] {
  const found = outside(range, text);
  return found === undefined ? [] : [error(path, found.message, found.remedy)];
}

function error(path: Path, message: string, remedy: string): Objection {
  return { severity: 'error', path, isKey: false, message, remedy };
}
