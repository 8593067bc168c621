/** A decision explained without making it: for `reeve limits check` and the admin API. */
import { type Route, type Rung, routeOf, type Snapshot, type Tenant } from '../tenants/index.ts';
import { decide, type Over } from './decide.ts';
import type { FleetExplanation } from './fleet/fleet-rates.ts';
import { egressRate, type LimitState } from './state.ts';

export interface LimitsExplanation {
  readonly tenant: string;
  readonly plan: string;
  readonly shadow: boolean;
  readonly requests:
    | { readonly limit: string; readonly burst: number; readonly left: number; readonly credit: number }
    | undefined;
  /** Who has which share of the request rate; undefined where this sidecar is alone. */
  readonly fleet: FleetExplanation | undefined;
  /** `left`: response bytes that may go now; negative in debt. */
  readonly egress: { readonly limit: string; readonly left: number } | undefined;
  readonly concurrency: { readonly limit: number | undefined; readonly inFlight: number };
  readonly waiting: number;
  readonly isOverLong: boolean;
  readonly ladder: readonly string[];
  readonly route:
    | {
        readonly name: string;
        readonly cost: number;
        readonly critical: boolean;
        readonly limit: string | undefined;
        /** Requests left of `limit`; undefined without one. */
        readonly left: number | undefined;
      }
    | undefined;
  /** What a request would get now; `rung` is the step of the ladder it stands on, `over` what it is over. */
  readonly wouldGet: {
    readonly decision: string;
    readonly because: string;
    readonly waitMs: number;
    readonly over: Over | 'nothing';
    readonly rung: string | undefined;
  };
}

export function explain(
  state: LimitState,
  snapshot: Snapshot,
  tenant: Tenant,
  ask: { method: string; path: string },
  now: number,
): LimitsExplanation {
  state.claim(tenant, snapshot.generation, now);
  const route = routeOf(snapshot, ask.method, ask.path);
  const { allowance, index, plan } = tenant;
  const decided = decide(state, { tenant, route, now, waitingAll: 0 });
  return {
    tenant: tenant.id,
    plan: plan.name,
    shadow: allowance.shadow,
    requests: allowance.requests && {
      limit: allowance.requests.text,
      burst: allowance.requests.burst,
      left: round(state.requestsLeft(index, allowance.requests, now)),
      credit: round(state.credit(index, allowance.requests, now)),
    },
    fleet: state.fleet?.explain(index),
    egress: allowance.egress && {
      limit: allowance.egress.text,
      left: round(state.egress.left(index, egressRate(allowance.egress), now)),
    },
    concurrency: { limit: allowance.concurrency, inFlight: state.inFlight(index) },
    waiting: state.waiting(index),
    isOverLong: state.isOverLong(index, now),
    ladder: plan.ladder.map(rungText),
    route: route && {
      name: route.name,
      cost: route.cost,
      critical: route.isCritical,
      limit: route.rate?.text,
      left: route.rate && round(state.routes.left(route.index, index, route.rate, now)),
    },
    wouldGet: {
      decision: decided.kind,
      because: because(decided.over, tenant, route),
      waitMs: round(decided.waitMs),
      over: decided.over ?? 'nothing',
      rung: decided.rung && rungText(decided.rung),
    },
  };
}

function because(over: Over | undefined, { allowance }: Tenant, route: Route | undefined): string {
  if (over === undefined) return route?.isCritical === true ? `route ${route.name} is critical` : 'within every limit';
  if (over === 'concurrency') return `${allowance.concurrency} requests are in flight`;
  if (over === 'route') return `over the rate ${route?.rate?.text} of route ${route?.name}`;
  return over === 'egress'
    ? `over the response rate ${allowance.egress?.text}`
    : `over the request rate ${allowance.requests?.text}`;
}

function rungText(rung: Rung): string {
  if (rung.kind === 'shape') return `shape: ${rung.delayMsMax}ms`;
  if (rung.kind === 'features') return `features: ${rung.features.join(' ')}`;
  return rung.kind === 'route' ? 'route: degraded' : rung.kind;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
