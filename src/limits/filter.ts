// hot path
/** How limits stand in the path: decide, take, give back. The only file of the room that knows of requests and headers. */
import type { Clock, Timers } from '../core/index.ts';
import type { Exchange, Filter, Grant, Identified, KeptAnswer, Reply, Verdict } from '../pipeline/index.ts';
import type { Allowance, Tenant } from '../tenants/index.ts';
import {
  type Ask,
  type Decided,
  debitEgress,
  decide,
  markOver,
  type Over,
  take,
  WAITING_ALL_MAX,
  WAITING_MAX,
} from './decide.ts';
import type { DecisionCounts } from './decision-counts.ts';
import { EGRESS } from './fleet/limit-numbers.ts';
import { joined, policyOf, remainingOf } from './headers.ts';
import type { Account } from './quotas/account.ts';
import { quotaPolicies, quotasLeft } from './quotas/quota-headers.ts';
import { type Quotas, USAGE_HEADER } from './quotas/quotas.ts';
import type { StaleAnswers } from './stale/stale-answers.ts';
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
  stale: grantOf('stale'),
};
const DEGRADED_ROUTE = grantOf('degrade', true);
const REFUSED_BY_QUOTA: Decided = {
  kind: 'refuse',
  over: 'requests',
  waitMs: 0,
  rung: undefined,
  paidAs: 'refuse',
  cameToLow: false,
  cameToLess: false,
  isAmple: false,
};
const SHADOWED = grantOf('pass', false, true);
const REFUSED = {
  requests: 'refused_requests',
  route: 'refused_route',
  egress: 'refused_egress',
  concurrency: 'refused_concurrency',
} as const;
/** A disk is synced in a few ms, a collector answers in some more. */
const HOLD_MS_MAX = 250;
/** Its slot is another's now: it began before the tenant was removed. */
const GONE: Reply = { code: 'tenant-unknown', detail: 'The tenant is not known here any more.' };

export interface LimitsWorld {
  readonly state: LimitState;
  readonly counts: DecisionCounts;
  readonly quotas: Quotas;
  readonly stale: StaleAnswers;
  readonly clock: Clock;
  readonly timers: Timers;
}

/**
 * `onThrow: 'deny'`: the stage is arithmetic on arrays and cannot be away; if it throws, its arrays cannot be trusted, and going
 * on would be a service without limits.
 */
export function limitsFilter({
  state,
  counts,
  quotas,
  stale,
  clock,
  timers,
}: LimitsWorld): Filter<Identified, { grant: Grant }> {
  let waitingAll = 0;
  // One for all requests, filled anew for each: a decision is made at once, and allocates nothing.
  let ask: { -readonly [K in keyof Ask]: Ask[K] } | undefined;
  let asking: Identified | undefined;
  let answer: KeptAnswer | undefined;

  const isAnswered = (staleMsMax: number): boolean => {
    answer = stale.find(asking as Identified, staleMsMax, (ask as Ask).now);
    return answer !== undefined;
  };

  const wait = async (x: Identified, ms: number): Promise<undefined> => {
    const { tenant, permit } = x;
    waitingAll++;
    state.changeWaiting(tenant.index, 1);
    await timers.sleep(ms);
    waitingAll--;
    if (state.isAlive(tenant.index, permit)) state.changeWaiting(tenant.index, -1);
    x.admittedAt = clock.now();
    return undefined;
  };

  const mayWait = ({ index }: Tenant): boolean => state.waiting(index) < WAITING_MAX && waitingAll < WAITING_ALL_MAX;

  const checkQuotas = (account: Account, x: Identified, now: number): Reply | undefined =>
    quotas.check(account, x, now, mayWait(x.tenant));

  /** What a client is told is left; of quotas by which it is refused, `refusal`, nothing. */
  const leftOf = (
    { tenant, route }: Identified,
    account: Account | undefined,
    now: number,
    refusal?: Reply,
  ): string => {
    const left = remainingOf(state, tenant, route, now);
    return account === undefined ? left : joined(left, quotasLeft(account, clock.wallMs(), refusal));
  };

  /** Takes what the request takes of its quotas; how long it waits for them, ms. In shadow it is told nothing and waits for nothing. */
  const takeQuotas = (account: Account | undefined, x: Identified, now: number): number => {
    x.admittedAt = now;
    if (account === undefined) return 0;
    // By what was in force before it: the request that reaches a mark is the last below it.
    const { isSoft, isDegraded } = account;
    const waitMs = quotas.take(account, x, now);
    if (x.tenant.allowance.shadow || !isSoft) return 0;
    x.inject('x-tenant-quota-state', 'soft');
    return x.route?.isCritical ? 0 : grantQuotas(x, isDegraded, waitMs);
  };

  const mayHold = (account: Account, x: Identified): boolean =>
    !x.tenant.allowance.shadow && mayWait(x.tenant) && quotas.isHeldUp(account, x);

  /** `isFirst`: it was not held. */
  const admit = (x: Identified, isFirst: boolean): Verdict | Promise<Verdict> => {
    const { tenant } = x;
    const now = clock.now();
    if (!state.claim(tenant, x.snapshot.generation, now)) return GONE;
    if (isFirst) state.offer(tenant, x.route);
    ask ??= { tenant, route: x.route, now, waitingAll, isAnswered };
    ask.tenant = tenant;
    ask.route = x.route;
    ask.now = now;
    ask.waitingAll = waitingAll;
    asking = x;
    if (isFirst && tenant.plan.staleMsMax > 0) stale.begin(x, now);
    const decided = decide(state, ask);
    const account = quotas.accounts.of(tenant, now);
    const overQuota = account === undefined || x.route?.isCritical ? undefined : checkQuotas(account, x, now);
    const isByQuotaAlone = overQuota !== undefined && decided.kind !== 'refuse';
    if (isFirst && isByQuotaAlone && mayHold(account as Account, x)) return hold(x);
    if (decided.over !== undefined) markOver(state, ask, decided);
    // What it would have sent nobody knows: as much as others do.
    if (decided.kind === 'refuse' && decided.over === 'egress') state.fleet?.offerUsual(tenant.index, EGRESS);
    if (tenant.allowance.shadow) {
      shadow(x, state, counts, ask, overQuota === undefined ? decided : REFUSED_BY_QUOTA);
      takeQuotas(account, x, now);
      return undefined;
    }
    if (overQuota !== undefined) {
      counts.add(tenant.plan, 'refused_quota');
      x.left = leftOf(x, account, now, overQuota);
      return overQuota;
    }
    if (decided.kind === 'refuse') {
      counts.add(tenant.plan, REFUSED[decided.over]);
      x.left = leftOf(x, account, now);
      return refusal(tenant, decided.over, decided.waitMs);
    }
    take(state, ask, decided);
    x.permit = state.enter(tenant.index);
    x.grant = decided.rung?.kind === 'route' ? DEGRADED_ROUTE : GRANTS[decided.kind];
    const waitMs = Math.max(decided.waitMs, takeQuotas(account, x, now));
    counts.add(tenant.plan, (x.grant as Grant).decision);
    if (decided.kind === 'stale') return answer;
    tellApplication(x, decided);
    return waitMs > 0 ? wait(x, waitMs) : undefined;
  };

  /** What a hard quota has, and may not spend yet: decides again when more of what was spent is kept. */
  const hold = async (x: Identified): Promise<Verdict> => {
    const { tenant } = x;
    const { index } = tenant;
    const life = state.life(index);
    const until = clock.now() + HOLD_MS_MAX;
    waitingAll++;
    state.changeWaiting(index, 1);
    let isHeldUp = true;
    for (let now = clock.now(); isHeldUp && now < until; now = clock.now()) {
      await Promise.race([quotas.whenKept(), timers.sleep(until - now)]);
      const account = state.isAlive(index, life) ? quotas.accounts.of(tenant, clock.now()) : undefined;
      isHeldUp = account !== undefined && quotas.isHeldUp(account, x);
    }
    waitingAll--;
    if (state.isAlive(index, life)) state.changeWaiting(index, -1);
    return admit(x, false);
  };

  return {
    name: 'limits',
    onThrow: 'deny',
    onRequest: (x) => admit(x, true),
    onResponse(x, head) {
      const { tenant } = x;
      const { headers } = head;
      // A slot that changed hands says nothing of its new owner.
      if (tenant === undefined || !state.isOwner(tenant)) return;
      if (x.grant !== undefined && !state.isAlive(tenant.index, x.permit)) return;
      const now = clock.now();
      const account = quotas.accounts.of(tenant, now);
      // What passed no limit never reached the application: the answer is ours.
      if (headers.hasSuspect && x.grant !== undefined && headers.has(USAGE_HEADER)) {
        x.usage = quotas.reportHeader(account, tenant, headers.all(USAGE_HEADER));
        headers.remove(USAGE_HEADER);
      }
      if (tenant.plan.staleMsMax > 0 && isOfApplication(x)) stale.see(x as Identified, head, now, clock.wallMs());
      const rates = policyOf(tenant.allowance, x.route?.rate);
      const policy = account === undefined ? rates : joined(rates, quotaPolicies(account));
      if (policy === '') return;
      // An application's own would be read as parts of ours: both are lists (RFC 9651 §3.1).
      if (headers.has('ratelimit') || headers.has('ratelimit-policy')) headers.removeWhere(isRateLimit);
      headers.append('RateLimit-Policy', policy);
      headers.append('RateLimit', x.left === '' ? leftOf(x as Identified, account, now) : x.left);
    },
    onDone(x, outcome) {
      if (x.reservation !== 0) quotas.release(x);
      const isThere = x.grant !== undefined && state.isAlive(x.tenant.index, x.permit);
      if (x.copy !== undefined) stale.end(x, outcome, isThere);
      if (!isThere) return;
      const now = clock.now();
      const account = quotas.accounts.of(x.tenant, now);
      if (account !== undefined) quotas.done(account, x, now);
      state.leave(x.tenant.index);
      debitEgress(state, x.tenant, x.responseBytes, now);
    },
  };
}

/** What thresholds of quotas make of a request that the rates admitted; how long it waits, ms. */
function grantQuotas(x: Exchange, isDegraded: boolean, waitMs: number): number {
  const { decision } = x.grant as Grant;
  if (decision === 'degrade' || decision === 'stale') return waitMs;
  if (isDegraded) x.grant = x.route?.degradedUpstream === undefined ? GRANTS.degrade : DEGRADED_ROUTE;
  else if (waitMs > 0) x.grant = GRANTS.shape;
  return waitMs;
}

/** An answer of ours, and one from before, say nothing new of it. */
function isOfApplication({ grant, headAt }: Exchange): boolean {
  return grant !== undefined && headAt > 0 && grant.decision !== 'stale';
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
  const { kind } = decided;
  x.grant = kind === 'pass' || kind === 'notice' || kind === 'credit' ? GRANTS[kind] : SHADOWED;
  return undefined;
}

/** `x-tenant-degrade: 1` near the limit; `2; features="…"` when the application should do less; `x-tenant-priority: low` behind others. */
function tellApplication(x: Exchange, { kind, rung }: Decided): void {
  if (x.grant?.decision === 'degrade')
    x.inject('x-tenant-degrade', rung?.kind === 'features' ? `2; features="${rung.features.join(' ')}"` : '2');
  else if (kind === 'notice') x.inject('x-tenant-degrade', '1');
  else if (kind === 'deprioritize') x.inject('x-tenant-priority', 'low');
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
