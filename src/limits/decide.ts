// hot path
/**
 * One decision: every limit that applies is checked, then all are taken, or none. Over the limit the plan's ladder is walked
 * from the first rung to the last; whoever falls off its end is refused.
 */
import type { Route, Rung, Tenant } from '../tenants/index.ts';
import type { LimitState } from './state.ts';

/** What becomes of a request, and what it was over. */
export interface Decided {
  readonly kind: 'pass' | 'notice' | 'credit' | 'shape' | 'degrade' | 'refuse';
  /** For `shape` how long to wait, for `refuse` when a retry makes sense; ms. */
  readonly waitMs: number;
  readonly over: 'nothing' | 'requests' | 'route' | 'egress' | 'concurrency';
  /** The rung of `degrade`. */
  readonly rung: Rung | undefined;
}

const PASS: Decided = { kind: 'pass', waitMs: 0, over: 'nothing', rung: undefined };
const NOTICE: Decided = { kind: 'notice', waitMs: 0, over: 'nothing', rung: undefined };

/** Share of the burst that is left when a tenant is told that it is near its limit. */
const NOTICE_SHARE = 0.2;
/** Response bytes that may go at once, in seconds of the egress rate. */
const EGRESS_BURST_SEC = 1;
/** Requests of one tenant that wait at once. */
export const WAITING_MAX = 64;
/** Admission is bounded without it; guards memory when many tenants are shaped at once. */
export const WAITING_ALL_MAX = 4096;

export interface Ask {
  readonly tenant: Tenant;
  readonly route: Route | undefined;
  readonly now: number;
  /** Requests of all tenants that wait now. */
  readonly waitingAll: number;
}

interface Waits {
  requests: number;
  route: number;
  egress: number;
}

/** Scratch, so that the path allocates nothing: decisions are synchronous and one at a time. */
const waits: Waits = { requests: 0, route: 0, egress: 0 };

/** Decides without spending. `take` spends what was decided. */
export function decide(state: LimitState, ask: Ask): Decided {
  const { tenant, route, now } = ask;
  const { allowance, index } = tenant;
  const isCritical = route?.isCritical === true;
  if (allowance.concurrency !== undefined && state.inFlight(index) >= allowance.concurrency && !isCritical) {
    return { kind: 'refuse', waitMs: CONCURRENCY_RETRY_MS, over: 'concurrency', rung: undefined };
  }
  measure(state, ask);
  const wait = Math.max(waits.requests, waits.route, waits.egress);
  if (wait === 0) return isNear(state, ask) || state.isOverLong(index, now) ? NOTICE : PASS;
  if (isCritical) return NOTICE;
  return walk(state, ask, wait);
}

/** A slot is free when some request ends; nobody knows when. */
const CONCURRENCY_RETRY_MS = 1000;

function measure(state: LimitState, { tenant, route, now }: Ask): void {
  const { allowance, index } = tenant;
  const cost = route?.cost ?? 1;
  waits.requests = allowance.requests === undefined ? 0 : state.requests.waitMs(index, allowance.requests, cost, now);
  waits.route = route?.rate === undefined ? 0 : state.route(route.index).waitMs(index, route.rate, 1, now);
  waits.egress =
    allowance.egress === undefined ? 0 : state.egress.waitMs(index, egressRate(allowance.egress.bytesPerSec), 0, now);
}

/** Whether the request leaves less than a fifth of the burst. */
function isNear(state: LimitState, { tenant, route, now }: Ask): boolean {
  const { requests } = tenant.allowance;
  return (
    requests !== undefined &&
    state.requests.left(tenant.index, requests, now) - (route?.cost ?? 1) < requests.burst * NOTICE_SHARE
  );
}

function walk(state: LimitState, ask: Ask, wait: number): Decided {
  const { tenant, route, now } = ask;
  const { index, allowance } = tenant;
  const cost = route?.cost ?? 1;
  const over = waits.requests > 0 ? 'requests' : waits.route > 0 ? 'route' : 'egress';
  const isOnlyRequests = waits.route === 0 && waits.egress === 0;
  for (const rung of tenant.plan.ladder) {
    if (rung.kind === 'reject') break;
    if (rung.kind === 'credit') {
      if (isOnlyRequests && allowance.requests !== undefined && state.credit(index, allowance.requests, now) >= cost)
        return { kind: 'credit', waitMs: 0, over, rung };
    } else if (rung.kind === 'shape') {
      const isRoom = state.waiting(index) < WAITING_MAX && ask.waitingAll < WAITING_ALL_MAX;
      if (wait <= rung.delayMsMax && isRoom) return { kind: 'shape', waitMs: wait, over, rung };
    } else if (mayDegrade(state, ask, rung, isOnlyRequests)) return { kind: 'degrade', waitMs: 0, over, rung };
  }
  return { kind: 'refuse', waitMs: wait, over, rung: undefined };
}

/** Degraded service is for what would be refused for the request rate, and has an allowance of its own. */
function mayDegrade(state: LimitState, { tenant, route, now }: Ask, rung: Rung, isOnlyRequests: boolean): boolean {
  const { requests } = tenant.allowance;
  if (requests === undefined || !isOnlyRequests) return false;
  if (rung.kind === 'route' && route?.degradedUpstream === undefined) return false;
  return state.degraded.waitMs(tenant.index, requests, route?.cost ?? 1, now) === 0;
}

/** Spends what an admitted request takes. */
export function take(state: LimitState, { tenant, route, now }: Ask, decided: Decided): void {
  const { allowance, index } = tenant;
  const { requests } = allowance;
  const cost = route?.cost ?? 1;
  if (route?.rate !== undefined) state.route(route.index).take(index, route.rate, 1, now, WAITING_MAX);
  if (requests === undefined) return;
  if (decided.kind === 'credit') state.spendCredit(index, cost);
  else if (decided.kind === 'degrade') state.degraded.take(index, requests, cost, now, 0);
  else {
    // Banks what was idle until now, before the bucket is touched.
    state.credit(index, requests, now);
    // What waits has reserved its place, however far ahead; what is critical leaves at most a burst of debt, or its own cost.
    state.requests.take(
      index,
      requests,
      cost,
      now,
      decided.kind === 'shape' ? Number.POSITIVE_INFINITY : Math.max(requests.burst, cost),
    );
  }
}

/** Debits response bytes when they are known. A response larger than the rate leaves a debt of at most a minute. */
export function debitEgress(state: LimitState, { allowance, index }: Tenant, bytes: number, now: number): void {
  if (allowance.egress === undefined || bytes === 0) return;
  const rate = egressRate(allowance.egress.bytesPerSec);
  state.egress.take(index, rate, bytes, now, rate.perSec * EGRESS_DEBT_SEC_MAX);
}

const EGRESS_DEBT_SEC_MAX = 60;

export function egressRate(bytesPerSec: number): { perSec: number; burst: number } {
  return { perSec: bytesPerSec, burst: bytesPerSec * EGRESS_BURST_SEC };
}
