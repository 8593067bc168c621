/**
 * How many label sets a family can have at worst. Whoever counts by plan or tenant takes the bound from here, and a test adds the
 * families up: a sidecar has at most 1,500 series whatever its tenancy and its traffic.
 */

/** Plans with rows of their own. 11: a row is 73 series, of which 60 are decisions by class of status and buckets of time. */
export const PLANS_MAX = 11;
/** Tenants with series of their own, the busiest. */
export const TENANTS_SHOWN_MAX = 50;
/** Upstreams with series of their own; a service with more fallbacks than that is not known. */
export const UPSTREAMS_SHOWN_MAX = 8;
/** What has no row of its own shares this one, so that sums are whole. */
export const OTHER = '__other__';

/** Values of each label of a collected family. A label that is missing here is unbounded, which the test of the sum finds. */
const LABEL_VALUES_MAX: Readonly<Record<string, number>> = {
  /** The named ones, `-` for nobody's, and the others. */
  plan: PLANS_MAX + 2,
  tenant: TENANTS_SHOWN_MAX + 1,
  upstream: UPSTREAMS_SHOWN_MAX + 1,
  decision: 11,
  code_class: 6,
  result: 2,
  severity: 2,
  state: 4,
  /** connect, reset, timeout, malformed. */
  reason: 4,
  /** Of the chain; a test holds the real number below it. */
  stage: 12,
  version: 1,
  node_version: 1,
};

/** Every value with every other. */
export function labelSetsMax(labels: readonly string[]): number {
  return labels.reduce((product, label) => product * (LABEL_VALUES_MAX[label] ?? Number.POSITIVE_INFINITY), 1);
}
