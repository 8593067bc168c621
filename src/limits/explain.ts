/** A decision explained without making it: for `reeve limits check` and the admin API. */
import type { Clock, TenantIndex } from '../core/index.ts';
import type { Reply } from '../pipeline/index.ts';
import { type QuotaAction, type Route, type Rung, routeOf, type Snapshot, type Tenant } from '../tenants/index.ts';
import type { Headers } from '../wire/index.ts';
import { type Decided, decide, type Over, WAITING_MAX } from './decide.ts';
import type { FleetExplanation } from './fleet/explanation.ts';
import type { FleetRates } from './fleet/fleet-rates.ts';
import { ROUTE } from './fleet/limit-numbers.ts';
import type { Rate } from './gcra.ts';
import { ACTIONS, type Account, type Line } from './quotas/account.ts';
import type { Quotas } from './quotas/quotas.ts';
import type { StaleAnswers } from './stale/stale-answers.ts';
import type { LimitState } from './state.ts';

export interface QuotaExplanation {
  readonly meter: string;
  readonly mode: 'soft' | 'hard';
  readonly per: 'day' | 'month' | 'billing' | 'gauge';
  readonly used: number;
  /** Promised to requests in flight. */
  readonly reserved: number;
  readonly limit: number;
  readonly unit: string;
  /**
   * Of a fleet, of what is used: counted by this sidecar. Of a hard quota what it may count in the window, what others could give it, and what
   * is held by sidecars that cannot be reached, or may have been spent by some that crashed: not used, and not to be had.
   */
  readonly here:
    | {
        readonly used: number;
        readonly rights?: number;
        readonly elsewhere?: number;
        readonly unreachable?: number;
        /** False: nobody has a part yet. */
        readonly isParted?: boolean;
      }
    | undefined;
  /** The window; undefined of a gauge. */
  readonly from: string | undefined;
  readonly until: string | undefined;
  /**
   * What is in force: the most severe action of the thresholds reached; of a hard quota `exhausted` where it is used up, and `held` where the next
   * unit is not to be had here now, though it is not; or `ok`.
   */
  readonly state: QuotaAction | 'exhausted' | 'held' | 'ok';
}

export interface LimitsExplanation {
  readonly tenant: string;
  readonly plan: string;
  readonly shadow: boolean;
  /** `left`: units that may be taken here now, what may be borrowed included, as `RateLimit` says it; negative in debt. */
  readonly requests:
    | { readonly limit: string; readonly burst: number; readonly left: number; readonly credit: number }
    | undefined;
  /** Who has which share of the request rate; undefined where this sidecar is alone. */
  readonly fleet: FleetExplanation | undefined;
  /** `left`: response bytes that may go here now; negative in debt. `here`: bytes a second that may go here, in a fleet. */
  readonly egress: { readonly limit: string; readonly left: number; readonly here: number | undefined } | undefined;
  readonly concurrency: { readonly limit: number | undefined; readonly inFlight: number };
  readonly waiting: number;
  readonly quotas: readonly QuotaExplanation[];
  /** Room for rights of hard quotas, in a fleet: when it is full, new windows of them are refused. `refused`: rows that found none so far. */
  readonly rights: { readonly rows: number; readonly max: number; readonly refused: number } | undefined;
  /** What is kept for the rung `stale`; undefined without one. */
  readonly stale: { readonly answers: number; readonly bytes: number } | undefined;
  readonly isOverLong: boolean;
  readonly ladder: readonly string[];
  readonly route:
    | {
        readonly name: string;
        readonly cost: number;
        readonly critical: boolean;
        readonly limit: string | undefined;
        /** Requests of `limit` that may be taken here now, as of `requests`; undefined without one. */
        readonly left: number | undefined;
        /** Requests a second of `limit` that may be taken here, in a fleet. */
        readonly here: number | undefined;
      }
    | undefined;
  /** What a request would get now; `rung` is the step of the ladder it stands on, `over` what it is over. */
  readonly wouldGet: {
    readonly decision: string;
    readonly because: string;
    readonly waitMs: number;
    readonly over: Over | 'quota' | 'nothing';
    readonly rung: string | undefined;
  };
}

export interface ExplainWorld {
  readonly state: LimitState;
  readonly quotas: Quotas;
  readonly stale: Pick<StaleAnswers, 'sizeOf'>;
  readonly clock: Clock;
  /** Undefined: this sidecar is alone. */
  readonly claims: { readonly size: number; readonly max: number; readonly refused: number } | undefined;
}

export function explain(
  { state, quotas, stale, clock, claims }: ExplainWorld,
  snapshot: Snapshot,
  tenant: Tenant,
  ask: { method: string; path: string },
): LimitsExplanation {
  const now = clock.now();
  state.claim(tenant, snapshot.generation, now);
  const route = routeOf(snapshot, ask.method, ask.path);
  const { allowance, index, plan } = tenant;
  const decided = decide(state, { tenant, route, now, waitingAll: 0, isAnswered: nobodyKnows });
  const account = quotas.accounts.of(tenant, now);
  const asked = { tenant, route, method: ask.method, headers: NO_FIELDS };
  const overQuota =
    account === undefined || route?.isCritical === true
      ? undefined
      : quotas.check(account, asked, now, state.waiting(index) < WAITING_MAX);
  return {
    tenant: tenant.id,
    plan: plan.name,
    shadow: allowance.shadow,
    requests: allowance.requests && {
      limit: allowance.requests.text,
      burst: allowance.requests.burst,
      left: round(requestsLeft(state, index, allowance.requests, now)),
      credit: round(state.credit(index, allowance.requests, now)),
    },
    fleet: state.fleet && fleetOf(state.fleet, tenant),
    egress: allowance.egress && {
      limit: allowance.egress.text,
      left: round(state.egress.left(index, state.egressHere(index, allowance.egress), now)),
      here: state.fleet && round(state.egressHere(index, allowance.egress).perSec),
    },
    concurrency: { limit: allowance.concurrency, inFlight: state.inFlight(index) },
    waiting: state.waiting(index),
    quotas: account === undefined ? [] : account.lines.map((line) => quotaOf(line, quotas.isShared)),
    rights: claims && { rows: claims.size, max: claims.max, refused: claims.refused },
    stale: plan.staleMsMax > 0 ? stale.sizeOf(tenant.id) : undefined,
    isOverLong: state.over.isOn(index, now),
    ladder: plan.ladder.map(rungText),
    route: route && {
      name: route.name,
      cost: route.cost,
      critical: route.isCritical,
      limit: route.rate?.text,
      left: route.rate && round(routeLeft(state, index, route.index, route.rate, now)),
      here: state.fleet && route.rate && round(state.here(index, route.rate, ROUTE + route.index).perSec),
    },
    wouldGet:
      overQuota !== undefined
        ? refusedByQuota(overQuota)
        : account !== undefined && isDegradedByQuota(account, decided, tenant, route)
          ? degradedByQuota(decided, route)
          : {
              decision: decided.kind,
              because: because(decided, tenant, route),
              waitMs: round(decided.waitMs),
              over: decided.over ?? 'nothing',
              rung: decided.rung && rungText(decided.rung),
            },
  };
}

function requestsLeft(state: LimitState, slot: TenantIndex, limit: Rate, now: number): number {
  return leftWith(state.requests.left(slot, state.here(slot, limit), now), state.lent(slot, limit));
}

function routeLeft(state: LimitState, slot: TenantIndex, route: number, limit: Rate, now: number): number {
  const part = ROUTE + route;
  const left = state.routes.left(route, slot, state.here(slot, limit, part), now);
  return leftWith(left, state.lent(slot, limit, part));
}

/** What is lent is there in whatever debt the part here is. */
function leftWith(left: number, lent: number): number {
  return lent > 0 ? Math.max(0, left) + lent : left;
}

function fleetOf(fleet: FleetRates, { index, id, allowance }: Tenant): FleetExplanation | undefined {
  const { requests } = allowance;
  return requests?.isStrict === true ? fleet.explainStrict(index, id, requests) : fleet.explain(index);
}

/** Whether there is an answer from before: it takes a whole request to tell. What it says is what is next on the ladder. */
const nobodyKnows = (): boolean => false;

/** As the admin API knows it. */
const DEGRADED_ROUTE = 'route: degraded';

/** What a request brings whose fields nobody knows. */
const NO_FIELDS: Pick<Headers, 'first'> = { first: () => undefined };

function refusedByQuota({ detail, retryAfterMs }: Reply): LimitsExplanation['wouldGet'] {
  return { decision: 'refuse', because: detail, waitMs: round(retryAfterMs ?? 0), over: 'quota', rung: undefined };
}

/** What the rates admit whole is served less all the same, as by `grantQuotas`. */
function isDegradedByQuota(
  { isDegraded }: Account,
  { kind }: Decided,
  { allowance }: Tenant,
  route: Route | undefined,
): boolean {
  if (allowance.shadow || route?.isCritical === true) return false;
  return isDegraded && kind !== 'degrade' && kind !== 'stale' && kind !== 'refuse';
}

function degradedByQuota({ waitMs }: Decided, route: Route | undefined): LimitsExplanation['wouldGet'] {
  return {
    decision: 'degrade',
    because: 'a quota has reached a threshold that degrades',
    waitMs: round(waitMs),
    over: 'quota',
    rung: route?.degradedUpstream === undefined ? undefined : DEGRADED_ROUTE,
  };
}

function quotaOf(line: Line, isShared: boolean): QuotaExplanation {
  const { quota, used, reserved, startMs, endMs } = line;
  const isGauge = quota.per === 'none';
  return {
    meter: quota.meter,
    mode: quota.isHard ? 'hard' : 'soft',
    per: isGauge ? 'gauge' : quota.per,
    used: round(used),
    reserved: round(reserved),
    limit: quota.limit,
    unit: quota.unit,
    here: isShared && !isGauge ? hereOf(line) : undefined,
    from: isGauge ? undefined : new Date(startMs).toISOString(),
    until: isGauge ? undefined : new Date(endMs).toISOString(),
    state: stateOf(line),
  };
}

function stateOf(line: Line): QuotaExplanation['state'] {
  const { isHard, limit } = line.quota;
  if (isHard && line.used >= limit) return 'exhausted';
  return isHard && (line.unused <= 0 || line.isShort(1)) ? 'held' : (ACTIONS[line.action] ?? 'ok');
}

function hereOf(line: Line): QuotaExplanation['here'] {
  const { quota, spent, credited, rights, elsewhere, isParted, unused, left } = line;
  const used = round(spent - credited);
  if (!quota.isHard) return { used };
  if (!isParted) return { used, rights: round(rights), isParted };
  return { used, rights: round(rights), elsewhere: round(elsewhere), unreachable: round(unused - left) };
}

function because({ over, rung }: Decided, { allowance }: Tenant, route: Route | undefined): string {
  if (over === undefined) {
    if (route?.isCritical === true) return `route ${route.name} is critical`;
    return rung === undefined ? 'within every limit' : 'within every limit, but on this rung within the last 5 s';
  }
  if (over === 'concurrency') return `${allowance.concurrency} requests are in flight`;
  if (over === 'route') return `over the rate ${route?.rate?.text} of route ${route?.name}`;
  return over === 'egress'
    ? `over the response rate ${allowance.egress?.text}`
    : `over the request rate ${allowance.requests?.text}`;
}

function rungText(rung: Rung): string {
  if (rung.kind === 'shape') return `shape: ${rung.delayMsMax}ms`;
  if (rung.kind === 'stale') return `stale: ${rung.staleMsMax}ms`;
  if (rung.kind === 'features') return `features: ${rung.features.join(' ')}`;
  return rung.kind === 'route' ? DEGRADED_ROUTE : rung.kind;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
