/** Tenants and addresses as the fleets of the simulator have them. */
import type { TenantId, TenantIndex } from '../src/core/index.ts';
import type { Allowance, Tenant } from '../src/tenants/index.ts';

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
