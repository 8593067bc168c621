// hot path
/** How limits stand in the path: decide, take, give back. The only file of the room that knows of requests and headers. */
import type { Clock, Timers } from '../core/index.ts';
import type { Exchange, Filter, Grant, Identified, Reply, Verdict } from '../pipeline/index.ts';
import type { Tenant } from '../tenants/index.ts';
import { type Ask, type Decided, debitEgress, decide, take } from './decide.ts';
import type { CountedDecision, DecisionCounts } from './decision-counts.ts';
import { policyOf, remainingOf } from './headers.ts';
import type { LimitState } from './state.ts';

const grantOf = (decision: Grant['decision'], useDegradedRoute = false, isShadowed = false): Grant =>
  Object.freeze({ decision, useDegradedRoute, isShadowed });
const GRANTS = {
  pass: grantOf('pass'),
  notice: grantOf('notice'),
  credit: grantOf('credit'),
  shape: grantOf('shape'),
  degrade: grantOf('degrade'),
};
const DEGRADED_ROUTE = grantOf('degrade', true);
const SHADOWED = grantOf('pass', false, true);

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
      state.claim(tenant, now);
      const ask: Ask = { tenant, route: x.route, now, waitingAll };
      const decided = decide(state, ask);
      if (decided.over !== 'nothing') state.markOver(tenant.index, now);
      if (tenant.allowance.shadow && decided.over !== 'nothing' && decided.kind !== 'credit')
        return shadow(x, state, counts);
      if (decided.kind === 'refuse') {
        counts.add(tenant.plan, `refused_${decided.over}` as CountedDecision);
        return refusal(tenant, decided);
      }
      counts.add(tenant.plan, decided.kind);
      take(state, ask, decided);
      x.permit = state.enter(tenant.index);
      x.grant = grant(decided);
      tellApplication(x, decided);
      return decided.kind === 'shape' ? wait(x, decided.waitMs) : undefined;
    },
    onResponse(x, head) {
      if (x.tenant === undefined) return;
      const policy = policyOf(x.tenant.allowance);
      if (policy === '' || (x.grant !== undefined && !state.isAlive(x.tenant.index, x.permit))) return;
      head.headers.append('RateLimit-Policy', policy);
      head.headers.append('RateLimit', remainingOf(state, x.tenant, clock.now()));
    },
    onDone(x) {
      if (x.grant === undefined || !state.isAlive(x.tenant.index, x.permit)) return;
      state.leave(x.tenant.index);
      debitEgress(state, x.tenant, x.responseBytes, clock.now());
    },
  };
}

function grant(decided: Decided): Grant {
  if (decided.kind === 'degrade') return decided.rung?.kind === 'route' ? DEGRADED_ROUTE : GRANTS.degrade;
  return GRANTS[decided.kind as keyof typeof GRANTS];
}

/** Nothing is spent: what would have been refused must not change what is decided next. */
function shadow(x: Exchange & { tenant: Tenant }, state: LimitState, counts: DecisionCounts): undefined {
  counts.add(x.tenant.plan, 'shadow_refused');
  x.permit = state.enter(x.tenant.index);
  x.grant = SHADOWED;
  return undefined;
}

/** `x-tenant-degrade: 1` near the limit; `2; features="…"` when the application should do less. */
function tellApplication(x: Exchange, { kind, rung }: Decided): void {
  if (kind === 'notice') x.inject.push('x-tenant-degrade', '1');
  else if (kind === 'degrade')
    x.inject.push('x-tenant-degrade', rung?.kind === 'features' ? `2; features="${rung.features.join(' ')}"` : '2');
}

function refusal(tenant: Tenant, { over, waitMs }: Decided): Reply {
  if (over === 'concurrency') {
    return {
      code: 'concurrency-exceeded',
      detail: `More than ${tenant.allowance.concurrency} requests at once.`,
      retryAfterMs: waitMs,
      members: { 'violated-policies': ['concurrency'] },
    };
  }
  const what =
    over === 'egress'
      ? `the response rate of ${tenant.allowance.egress?.text}`
      : over === 'route'
        ? 'the rate of this route'
        : `the request rate of ${tenant.allowance.requests?.text}`;
  return {
    code: 'quota-exceeded',
    detail: `The tenant is over ${what}.`,
    retryAfterMs: waitMs,
    members: { 'violated-policies': [over] },
  };
}
