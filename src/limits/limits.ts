/** The limits of one sidecar: state that survives reloads, the stage of the chain, and its explanation. */
import type { Clock, Timers } from '../core/index.ts';
import type { Filter, Grant, Identified } from '../pipeline/index.ts';
import type { Metrics } from '../telemetry/index.ts';
import type { Snapshot, Tenant } from '../tenants/index.ts';
import { DecisionCounts } from './decision-counts.ts';
import { explain, type LimitsExplanation } from './explain.ts';
import { limitsFilter } from './filter.ts';
import { LimitState } from './state.ts';

export interface LimitsOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: Metrics;
}

export interface Limits {
  readonly filter: Filter<Identified, { grant: Grant }>;
  /** On a swap: what is gone is forgotten, so that nobody inherits a slot's counts. */
  use(next: Snapshot, previous: Snapshot): void;
  /** Spends nothing. */
  explain(
    snapshot: Snapshot,
    tenant: Tenant,
    ask: { readonly method: string; readonly path: string },
  ): LimitsExplanation;
}

export function createLimits({ clock, timers, metrics }: LimitsOptions): Limits {
  const state = new LimitState();
  const counts = new DecisionCounts(metrics);
  return {
    filter: limitsFilter({ state, counts, clock, timers }),
    use(next, previous) {
      if (next.tenants.size < previous.tenants.size || next.tenants !== previous.tenants) {
        for (const [id, tenant] of previous.tenants) if (!next.tenants.has(id)) state.forget(tenant.index);
      }
      const routes = new Set(next.routes.map((route) => route.index));
      for (const route of previous.routes) if (!routes.has(route.index)) state.forgetRoute(route.index);
    },
    explain: (snapshot, tenant, ask) => explain(state, snapshot, tenant, ask, clock.now()),
  };
}
