/** Tenants and addresses as the fleets of the simulator have them. */
import type { TenantId, TenantIndex } from '../src/core/index.ts';
import type { Allowance, Quota, Tenant } from '../src/tenants/index.ts';
import type { QuotaRule } from './policies.ts';

export function simTenant(id: string, index: number, allowance: Allowance): Tenant {
  return {
    id: id as TenantId,
    index: index as TenantIndex,
    state: 'active',
    plan: {
      name: 'plan',
      index: 0,
      weight: 1,
      allowance,
      ladder: [{ kind: 'reject' }],
      staleMsMax: 0,
      source: '',
    },
    allowance,
    timezone: 'UTC',
    billingDay: 1,
    labels: {},
    claims: [],
    hosts: [],
    apiKeys: [],
    source: '',
  };
}

export function addressOf(place: number): string {
  return `10.0.${place >> 8}.${place & 255}:7946`;
}

/** One with a quota a day; the first is the one that is measured. */
export function quotaTenant(
  meter: string,
  scenario: { readonly isHard: boolean; readonly limit: number },
  rule: QuotaRule,
  index: number,
): Tenant {
  const { limit } = scenario;
  const isHard = scenario.isHard && rule === 'rights';
  const quota: Quota = {
    meter,
    source: 'calls',
    per: 'day',
    limit,
    unit: 'requests',
    isHard,
    estimate: undefined,
    thresholds: [
      {
        at: limit,
        text: '100%',
        action: isHard || rule === 'even' ? 'notify' : 'reject',
        rate: undefined,
        perSec: Number.POSITIVE_INFINITY,
      },
    ],
  };
  const allowance = { requests: undefined, egress: undefined, concurrency: undefined, shadow: false, quotas: [quota] };
  return simTenant(index === 0 ? 'acme' : `tenant-${index}`, index, allowance);
}
