// hot path
/** How limits stand in the path: decide, take, give back. The only file of the room that knows of requests and headers. */
import type { Clock, Timers } from '../core/index.ts';
import type { Exchange, Filter, Grant, Identified, Reply, Verdict } from '../pipeline/index.ts';
import type { Allowance, Tenant } from '../tenants/index.ts';
import { type Ask, type Decided, debitEgress, decide, type Over, take } from './decide.ts';
import type { DecisionCounts } from './decision-counts.ts';
import { policyOf, remainingOf } from './headers.ts';
import type { LimitState } from './state.ts';

const grantOf = (decision: Grant['decision'], useDegradedRoute = false, isShadowed = false): Grant =>
  Object.freeze({ decision, useDegradedRoute, isShadowed });
const GRANTS = {
  pass: grantOf('pass'),
  notice: grantOf('notice'),
  credit: grantOf('credit'),
  shape: grantOf('shape'),
  deprioritize: grantOf('deprioritize'),
  degrade: grantOf('degrade'),
};
const DEGRADED_ROUTE = grantOf('degrade', true);
const SHADOWED = grantOf('pass', false, true);
const REFUSED = {
  requests: 'refused_requests',
  route: 'refused_route',
  egress: 'refused_egress',
  concurrency: 'refused_concurrency',
} as const;
/** Its slot is another's now: it began before the tenant was removed. */
const GONE: Reply = { code: 'tenant-unknown', detail: 'The tenant is not known here any more.' };

export interface LimitsWorld {
  readonly state: LimitState;
  readonly counts: DecisionCounts;
  readonly clock: Clock;
  readonly timers: Timers;
}

/**
 * `onThrow: 'deny'`: the stage is arithmetic on arrays and cannot be away; if it throws, its arrays cannot be trusted, and going
 * on would be a service without limits.
 */
export function limitsFilter({ state, counts, clock, timers }: LimitsWorld): Filter<Identified, { grant: Grant }> {
  let waitingAll = 0;
  // One for all requests, filled anew for each: a decision is made at once, and allocates nothing.
  let ask: { -readonly [K in keyof Ask]: Ask[K] } | undefined;

  const wait = async ({ tenant, permit }: Identified, ms: number): Promise<undefined> => {
    waitingAll++;
    state.changeWaiting(tenant.index, 1);
    await timers.sleep(ms);
    waitingAll--;
    if (state.isAlive(tenant.index, permit)) state.changeWaiting(tenant.index, -1);
    return undefined;
  };

  return {
    name: 'limits',
    onThrow: 'deny',
    onRequest(x): Verdict | Promise<Verdict> {
      const { tenant } = x;
      const now = clock.now();
      if (!state.claim(tenant, x.snapshot.generation, now)) return GONE;
      ask ??= { tenant, route: x.route, now, waitingAll };
      ask.tenant = tenant;
      ask.route = x.route;
      ask.now = now;
      ask.waitingAll = waitingAll;
      const decided = decide(state, ask);
      if (decided.over !== undefined) state.markOver(tenant.index, now);
      if (tenant.allowance.shadow) return shadow(x, state, counts, ask, decided);
      if (decided.kind === 'refuse') {
        counts.add(tenant.plan, REFUSED[decided.over]);
        return refusal(tenant, decided.over, decided.waitMs);
      }
      counts.add(tenant.plan, decided.kind);
      take(state, ask, decided);
      x.permit = state.enter(tenant.index);
      x.grant = decided.rung?.kind === 'route' ? DEGRADED_ROUTE : GRANTS[decided.kind];
      tellApplication(x, decided);
      return decided.kind === 'shape' ? wait(x, decided.waitMs) : undefined;
    },
    onResponse(x, { headers }) {
      const { tenant } = x;
      // A slot that changed hands says nothing of its new owner.
      if (tenant === undefined || !state.isOwner(tenant)) return;
      if (x.grant !== undefined && !state.isAlive(tenant.index, x.permit)) return;
      const policy = policyOf(tenant.allowance, x.route?.rate);
      if (policy === '') return;
      // An application's own would be read as parts of ours: both are lists (RFC 9651 §3.1).
      if (headers.has('ratelimit') || headers.has('ratelimit-policy')) headers.removeWhere(isRateLimit);
      headers.append('RateLimit-Policy', policy);
      headers.append('RateLimit', remainingOf(state, tenant, x.route, clock.now()));
    },
    onDone(x) {
      if (x.grant === undefined || !state.isAlive(x.tenant.index, x.permit)) return;
      state.leave(x.tenant.index);
      debitEgress(state, x.tenant, x.responseBytes, clock.now());
    },
  };
}

function isRateLimit(name: string): boolean {
  return name === 'ratelimit' || name === 'ratelimit-policy';
}

/**
 * Decides and counts as if it were in force, and lets everything pass at once and whole. What would have been refused spends nothing,
 * as it would have; what would have been delayed or degraded spends what that costs.
 */
function shadow(
  x: Exchange & { tenant: Tenant },
  state: LimitState,
  counts: DecisionCounts,
  ask: Ask,
  decided: Decided,
): undefined {
  const isRefused = decided.kind === 'refuse';
  counts.add(x.tenant.plan, isRefused ? 'shadow_refused' : decided.kind);
  if (!isRefused) take(state, ask, decided);
  x.permit = state.enter(x.tenant.index);
  x.grant = decided.over === undefined || decided.kind === 'credit' ? GRANTS[decided.kind] : SHADOWED;
  return undefined;
}

/** `x-tenant-degrade: 1` near the limit; `2; features="…"` when the application should do less; `x-tenant-priority: low` behind others. */
function tellApplication(x: Exchange, { kind, rung }: Decided): void {
  if (kind === 'notice') x.inject.push('x-tenant-degrade', '1');
  else if (kind === 'deprioritize') x.inject.push('x-tenant-priority', 'low');
  else if (kind === 'degrade')
    x.inject.push('x-tenant-degrade', rung?.kind === 'features' ? `2; features="${rung.features.join(' ')}"` : '2');
}

function refusal({ allowance }: Tenant, over: Over, waitMs: number): Reply {
  return {
    code: over === 'concurrency' ? 'concurrency-exceeded' : 'quota-exceeded',
    detail: detailOf(allowance, over),
    retryAfterMs: waitMs,
    // The names that `RateLimit-Policy` announces.
    members: { 'violated-policies': [over] },
  };
}

function detailOf({ requests, egress, concurrency }: Allowance, over: Over): string {
  if (over === 'concurrency') return `More than ${concurrency} requests at once.`;
  if (over === 'route') return 'The tenant is over the rate of this route.';
  return over === 'egress'
    ? `The tenant is over the response rate of ${egress?.text}.`
    : `The tenant is over the request rate of ${requests?.text}.`;
}
