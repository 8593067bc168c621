// hot path
/**
 * One decision: every limit that applies is checked, then all are taken, or none. Over the limit the plan's ladder is walked
 * from the first rung to the last; whoever falls off its end is refused. The walk says what a request is charged to. How it is served is
 * that, or less: the rung that its tenant has come to for a while, so that features and priorities do not come and go with each request.
 */
import type { TenantIndex } from '../core/index.ts';
import type { Route, Rung, Tenant } from '../tenants/index.ts';
import { ROUTE } from './fleet/limit-numbers.ts';
import type { Gcra, Rate } from './gcra.ts';
import type { LimitState } from './state.ts';

/** A limit that a request can be over. */
export type Over = 'requests' | 'route' | 'egress' | 'concurrency';

/**
 * What becomes of a request, and what it was over.
 * - `pass`, `notice`: within every limit; `notice` when near, lately over for long, or critical. - `credit`: paid from the bank.
 * - `shape`: after `waitMs`. - `deprioritize`: now, behind others where they wait. - `degrade`: by `rung`. - `stale`: answered from before.
 * - `refuse`: a retry makes sense after `waitMs`.
 */
export type Decided = (
  | { readonly kind: 'pass' | 'notice'; readonly over: undefined; readonly waitMs: 0; readonly rung: undefined }
  | {
      readonly kind: 'credit' | 'shape' | 'deprioritize' | 'degrade' | 'stale';
      /** Undefined: within every limit, but its tenant is still on the rung. */
      readonly over: Over | undefined;
      readonly waitMs: number;
      readonly rung: Rung;
    }
  | { readonly kind: 'refuse'; readonly over: Over; readonly waitMs: number; readonly rung: undefined }
) & {
  /** What it would be if its tenant were on no rung: it is charged to that. */
  readonly paidAs: Kind;
  /** Whether it came to a rung that spends the allowance of what is deprioritised, or degraded; it may have had no room. */
  readonly cameToLow: boolean;
  readonly cameToLess: boolean;
  /** So far within its limit that nothing is lent to it. */
  readonly isAmple: boolean;
};

type Kind = 'pass' | 'notice' | 'credit' | 'shape' | 'deprioritize' | 'degrade' | 'stale' | 'refuse';

const WITHIN = {
  over: undefined,
  waitMs: 0,
  rung: undefined,
  cameToLow: false,
  cameToLess: false,
  isAmple: false,
} as const;
const AMPLE: Decided = { ...WITHIN, kind: 'pass', paidAs: 'pass', isAmple: true };
const PASS: Decided = { ...WITHIN, kind: 'pass', paidAs: 'pass' };
const NOTICE: Decided = { ...WITHIN, kind: 'notice', paidAs: 'notice' };
/** What is said of a request that is over a limit: one for all, good until the next decision, so that a flood allocates nothing. */
const said = {
  over: 'requests' as Over | undefined,
  waitMs: 0.5,
  rung: undefined as Rung | undefined,
  cameToLow: false,
  cameToLess: false,
  isAmple: false,
  kind: 'refuse' as Kind,
  paidAs: 'refuse' as Kind,
};

function say(kind: Kind, over: Over | undefined, waitMs: number, rung: Rung | undefined): Decided {
  said.kind = kind;
  said.paidAs = kind;
  said.over = over;
  said.waitMs = waitMs;
  said.rung = rung;
  return said as Decided;
}

/** Share of the burst that is left when a tenant is told that it is near its limit. */
const NOTICE_SHARE = 0.2;
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
  /** Whether there is an answer from before for it, at most so long past its freshness, ms. Only asked when it is over a limit. */
  readonly isAnswered: (staleMsMax: number) => boolean;
}

interface Waits {
  requests: number;
  route: number;
  egress: number;
}

/** Scratch, so that the path allocates nothing: decisions are synchronous and one at a time. */
const waits: Waits = { requests: 0, route: 0, egress: 0 };

/** Decides without spending. `take` spends what was decided. What is returned is good until the next decision. */
export function decide(state: LimitState, ask: Ask): Decided {
  const { tenant, route, now } = ask;
  const { allowance, index } = tenant;
  const isCritical = route?.isCritical === true;
  said.cameToLow = false;
  said.cameToLess = false;
  if (allowance.concurrency !== undefined && state.inFlight(index) >= allowance.concurrency && !isCritical) {
    return say('refuse', 'concurrency', CONCURRENCY_RETRY_MS, undefined);
  }
  if (isAmple(state, ask)) return state.over.isOn(index, now) ? lately(state, ask) : AMPLE;
  measure(state, ask);
  if (waits.requests === 0 && waits.route === 0 && waits.egress === 0) {
    if (state.over.isOn(index, now)) return lately(state, ask);
    return isNear(state, ask) ? NOTICE : PASS;
  }
  if (isCritical) return NOTICE;
  const decided = walk(state, ask);
  const { kind } = decided;
  const rung = kind === 'refuse' || kind === 'stale' || kind === 'degrade' ? undefined : staysOn(state, ask);
  return rung === undefined ? decided : serve(rung);
}

/** Within every limit, but over them for long until a moment ago. */
function lately(state: LimitState, ask: Ask): Decided {
  const rung = staysOn(state, ask);
  if (rung === undefined) return NOTICE;
  say('pass', undefined, 0, undefined);
  return serve(rung);
}

/** What was said, served as its tenant is; who pays stays. */
function serve(rung: Rung): Decided {
  said.kind = rung.kind === 'deprioritize' ? 'deprioritize' : 'degrade';
  said.rung = rung;
  return said as Decided;
}

/** The rung that its tenant is on, of those that serve the request. What is critical, or costs nothing, is served whole. */
function staysOn(state: LimitState, { tenant, route, now }: Ask): Rung | undefined {
  const { index, plan } = tenant;
  const isLess = state.staysDegraded.isOn(index, now);
  const isLow = state.staysDeprioritized.isOn(index, now);
  if ((!isLess && !isLow) || route?.isCritical === true || route?.cost === 0) return undefined;
  let low: Rung | undefined;
  for (const rung of plan.ladder) {
    if (rung.kind === 'reject') break;
    if (isLow && rung.kind === 'deprioritize') low = rung;
    if (isLess && isLesser(rung, route)) return rung;
  }
  return low;
}

/** Of a request that was over a limit: how long it is, and on which rungs, begins or goes on. */
export function markOver(state: LimitState, { tenant, now }: Ask, { cameToLow, cameToLess }: Decided): void {
  const { index } = tenant;
  state.over.mark(index, now);
  if (cameToLow) state.staysDeprioritized.mark(index, now);
  if (cameToLess) state.staysDegraded.mark(index, now);
}

/** The usual case in one look: nothing but a request rate, and it is not even near. What is not seen here is seen by `measure`. */
function isAmple(state: LimitState, { tenant, route, now }: Ask): boolean {
  const { requests, egress } = tenant.allowance;
  if (requests === undefined || egress !== undefined || route?.rate !== undefined) return false;
  const here = state.here(tenant.index, requests);
  return (
    state.requests.left(tenant.index, here, now) - (route === undefined ? 1 : route.cost) >= here.burst * NOTICE_SHARE
  );
}

/** A slot is free when some request ends; nobody knows when. */
const CONCURRENCY_RETRY_MS = 1000;

function measure(state: LimitState, { tenant, route, now }: Ask): void {
  const { allowance, index } = tenant;
  const { requests, egress } = allowance;
  const cost = route?.cost ?? 1;
  // What costs nothing is over nothing, in whatever debt the tenant is.
  waits.requests = requests === undefined || cost === 0 ? 0 : requestsWaitMs(state, index, requests, cost, now);
  waits.route = route?.rate === undefined ? 0 : routeWaitMs(state, index, route.index, route.rate, now);
  // Debited when it is known: here only a debt counts.
  waits.egress = egress === undefined ? 0 : state.egress.waitMs(index, state.egressHere(index, egress), 0, now);
}

function requestsWaitMs(state: LimitState, slot: TenantIndex, limit: Rate, cost: number, now: number): number {
  if (isBeyondPart(state, slot, limit, cost)) return NOT_OURS_RETRY_MS;
  const waitMs = state.requests.waitMs(slot, state.here(slot, limit), cost, now);
  return waitMs > 0 && state.canBorrow(slot, limit, cost) ? 0 : waitMs;
}

/** Of a strict limit: it costs more than this sidecar may ever admit at once. */
function isBeyondPart(state: LimitState, slot: TenantIndex, limit: Rate | undefined, cost: number): boolean {
  return limit?.isStrict === true && cost > state.here(slot, limit).burst;
}

/** Another sidecar may admit it: nobody knows when one is asked that does. */
const NOT_OURS_RETRY_MS = 1000;

function routeWaitMs(state: LimitState, slot: TenantIndex, route: number, limit: Rate, now: number): number {
  const part = ROUTE + route;
  const waitMs = state.routes.waitMs(route, slot, state.here(slot, limit, part), now);
  return waitMs > 0 && state.fleet?.canBorrow(slot, 1, part) === true ? 0 : waitMs;
}

/** Whether the request leaves less than a fifth of the burst. */
function isNear(state: LimitState, { tenant, route, now }: Ask): boolean {
  const { requests } = tenant.allowance;
  if (requests === undefined) return false;
  const here = state.here(tenant.index, requests);
  return state.requests.left(tenant.index, here, now) - (route?.cost ?? 1) < here.burst * NOTICE_SHARE;
}

function walk(state: LimitState, ask: Ask): Decided {
  const { tenant, route, now } = ask;
  const { index, allowance } = tenant;
  const cost = route?.cost ?? 1;
  const over = waits.requests > 0 ? 'requests' : waits.route > 0 ? 'route' : 'egress';
  const wait = Math.max(waits.requests, waits.route, waits.egress);
  const isOnlyRequests = waits.route === 0 && waits.egress === 0;
  // Lesser service is for what would be refused for the request rate.
  const isForLesser = isOnlyRequests && allowance.requests?.isStrict !== true;
  for (const rung of tenant.plan.ladder) {
    if (rung.kind === 'reject') break;
    if (rung.kind === 'credit') {
      if (isOnlyRequests && allowance.requests !== undefined && state.credit(index, allowance.requests, now) >= cost)
        return say('credit', over, 0, rung);
    } else if (rung.kind === 'shape') {
      const isRoom = state.waiting(index) < WAITING_MAX && ask.waitingAll < WAITING_ALL_MAX;
      // A part that is not ours does not become ours by waiting.
      if (wait <= rung.delayMsMax && isRoom && !isBeyondPart(state, index, allowance.requests, cost))
        return say('shape', over, wait, rung);
    } else if (rung.kind === 'stale') {
      // Nothing is asked of the application: only what is sent counts.
      if (waits.egress === 0 && ask.isAnswered(rung.staleMsMax)) return say('stale', over, 0, rung);
    } else if (isForLesser && rung.kind === 'deprioritize') {
      said.cameToLow = true;
      if (isWithin(state, state.deprioritized, ask)) return say('deprioritize', over, 0, rung);
    } else if (isForLesser && isLesser(rung, route)) {
      said.cameToLess = true;
      if (isWithin(state, state.degraded, ask)) return say('degrade', over, 0, rung);
    }
  }
  return say('refuse', over, wait, undefined);
}

/** Whether the rung has less of an answer for the route. */
function isLesser({ kind }: Rung, route: Route | undefined): boolean {
  return kind === 'features' || (kind === 'route' && route?.degradedUpstream !== undefined);
}

/** Lesser service has an allowance of its own. */
function isWithin(state: LimitState, allowance: Gcra, { tenant, route, now }: Ask): boolean {
  const here = state.here(tenant.index, tenant.allowance.requests as Rate);
  return allowance.waitMs(tenant.index, here, route?.cost ?? 1, now) === 0;
}

/**
 * Spends what an admitted request takes. Within, `ask` is handed on and not `now`: where the compiler makes a call of it, a number that is no
 * integer would be put on the heap.
 */
export function take(state: LimitState, ask: Ask, decided: Decided): void {
  const { paidAs } = decided;
  if (paidAs === 'stale') return;
  const { tenant, route } = ask;
  const { allowance, index } = tenant;
  const { requests } = allowance;
  const isWaiting = paidAs === 'shape';
  if (route?.rate !== undefined) takeRoute(state, ask, route, route.rate, isWaiting);
  if (requests === undefined) return;
  if (paidAs === 'credit') state.spendCredit(index, route?.cost ?? 1);
  else if (paidAs === 'deprioritize') takeOf(state.deprioritized, state, ask, requests);
  else if (paidAs === 'degrade') takeOf(state.degraded, state, ask, requests);
  else {
    // Banks what was idle until now, before the bucket is touched.
    if (requests.credits !== undefined) state.credit(index, requests, ask.now);
    if (decided.isAmple) takeAmple(state, ask, requests);
    else takeRequests(state, ask, requests, isWaiting);
  }
}

/** Of an allowance for lesser service. */
function takeOf(allowance: Gcra, state: LimitState, { tenant, route, now }: Ask, limit: Rate): void {
  allowance.take(tenant.index, state.here(tenant.index, limit), route?.cost ?? 1, now, 0);
}

/** Nothing is lent, and nothing becomes debt. */
function takeAmple(state: LimitState, { tenant, route, now }: Ask, limit: Rate): void {
  const slot = tenant.index;
  const cost = route?.cost ?? 1;
  state.fleet?.admit(slot, cost);
  state.requests.spend(slot, state.here(slot, limit), cost, now);
}

/** What waits has reserved its place, however far ahead; what is critical leaves at most a burst of debt, or its own cost. */
function takeRequests(state: LimitState, { tenant, route, now }: Ask, limit: Rate, isWaiting: boolean): void {
  const { requests, fleet } = state;
  const slot = tenant.index;
  const cost = route?.cost ?? 1;
  const here = state.here(slot, limit);
  fleet?.admit(slot, cost);
  if (!isWaiting && requests.waitMs(slot, here, cost, now) > 0 && state.canBorrow(slot, limit, cost))
    fleet?.borrow(slot, cost);
  else requests.take(slot, here, cost, now, isWaiting ? Number.POSITIVE_INFINITY : Math.max(here.burst, cost));
}

function takeRoute(state: LimitState, { tenant, now }: Ask, { index }: Route, limit: Rate, isWaiting: boolean): void {
  const { routes, fleet } = state;
  const slot = tenant.index;
  const part = ROUTE + index;
  const here = fleet === undefined ? limit : fleet.rate(slot, limit, part);
  fleet?.admit(slot, 1, part);
  if (!isWaiting && fleet?.canBorrow(slot, 1, part) === true && routes.waitMs(index, slot, here, now) > 0)
    fleet.borrow(slot, 1, part);
  else routes.take(index, slot, here, now, WAITING_MAX);
}

/** Debits response bytes when they are known. A response larger than the rate leaves a debt of at most a minute. */
export function debitEgress(state: LimitState, tenant: Tenant, bytes: number, now: number): void {
  const { allowance, index } = tenant;
  if (allowance.egress === undefined || bytes === 0) return;
  state.tellEgress(tenant, allowance.egress, bytes);
  const rate = state.egressHere(index, allowance.egress);
  state.egress.take(index, rate, bytes, now, rate.perSec * EGRESS_DEBT_SEC_MAX);
}

const EGRESS_DEBT_SEC_MAX = 60;
