/** What gossip carries for limits: rows of rates, which are worth most when they are fresh, and behind them rows of quotas. */
import type { Delegate } from '../gossip/index.ts';
import type { FleetRates } from './fleet/fleet-rates.ts';
import type { FleetQuotas } from './fleet-quotas/fleet-quotas.ts';

export function carriageOf(rates: FleetRates, quotas: FleetQuotas): Delegate {
  return {
    version: (slot) => rates.version(slot),
    write: (slot, after, bytes, offset, end) => rates.write(slot, after, bytes, offset, end),
    read: (slot, after, upTo, bytes) => rates.read(slot, after, upTo, bytes),
    cold: quotas.lane,
    onMember(member) {
      rates.onMember(member);
      quotas.onMember(member);
    },
    onForgotten(slot) {
      rates.onForgotten(slot);
      quotas.onForgotten(slot);
    },
  };
}
