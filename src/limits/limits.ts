/** The limits of one sidecar: state that survives reloads, the stage of the chain, and its explanation. */
import type { Clock, Timers } from '../core/index.ts';
import type { Filter, Grant, Identified } from '../pipeline/index.ts';
import type { Metrics } from '../telemetry/index.ts';
import type { Snapshot, Tenant } from '../tenants/index.ts';
import { DecisionCounts } from './decision-counts.ts';
import { explain, type LimitsExplanation } from './explain.ts';
import { limitsFilter } from './filter.ts';
import type { FleetRates } from './fleet/fleet-rates.ts';
import { isSameRate } from './gcra.ts';
import { LimitState } from './state.ts';

export interface LimitsOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: Metrics;
  /** What the whole fleet takes; undefined: this sidecar is alone. */
  readonly fleet?: FleetRates;
}

export interface Limits {
  readonly filter: Filter<Identified, { grant: Grant }>;
  /** On a swap: what is gone is forgotten, so that nobody inherits a slot's counts; what changed keeps what was spent. */
  use(next: Snapshot, previous: Snapshot): void;
  /** Spends nothing. */
  explain(
    snapshot: Snapshot,
    tenant: Tenant,
    ask: { readonly method: string; readonly path: string },
  ): LimitsExplanation;
}

export function createLimits({ clock, timers, metrics, fleet }: LimitsOptions): Limits {
  const state = new LimitState(fleet);
  const counts = new DecisionCounts(metrics);
  return {
    filter: limitsFilter({ state, counts, clock, timers }),
    use(next, previous) {
      const now = clock.now();
      state.reserve(Math.max(next.tenantSlots, previous.tenantSlots));
      for (const id of state.owners()) {
        const before = previous.tenants.get(id);
        const after = next.tenants.get(id);
        if (before === undefined || before === after) continue;
        if (after === undefined) state.forget(before.index, next.generation);
        else state.settle(before, after, now);
      }
      useRoutes(state, next, previous, now);
    },
    explain: (snapshot, tenant, ask) => explain(state, snapshot, tenant, ask, clock.now()),
  };
}

/** By name: an index that is free goes to the next route, even within one swap. */
function useRoutes({ routes }: LimitState, next: Snapshot, previous: Snapshot, now: number): void {
  const rates = new Map(next.routes.map(({ name, rate }) => [name, rate]));
  for (const { name, index, rate } of previous.routes) {
    const after = rates.get(name);
    if (after === undefined) routes.forgetRoute(index);
    else if (rate !== undefined && !isSameRate(rate, after)) routes.settle(index, rate, after, now);
  }
  routes.turn(now);
}
