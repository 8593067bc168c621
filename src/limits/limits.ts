/** The limits of one sidecar: state that survives reloads, the stage of the chain, and its explanation. */
import type { Clock, Random, Timer, Timers } from '../core/index.ts';
import type { Filter, Grant, Identified } from '../pipeline/index.ts';
import type { Log, Metrics } from '../telemetry/index.ts';
import type { Snapshot, Tenant } from '../tenants/index.ts';
import { DecisionCounts } from './decision-counts.ts';
import { explain, type LimitsExplanation } from './explain.ts';
import { limitsFilter } from './filter.ts';
import { registerFleetRates } from './fleet/fleet-metrics.ts';
import type { FleetRates } from './fleet/fleet-rates.ts';
import { ROUTE } from './fleet/limit-numbers.ts';
import { registerFleetQuotas } from './fleet-quotas/fleet-counts.ts';
import { FleetQuotas } from './fleet-quotas/fleet-quotas.ts';
import { leaveQuotas, tickQuotas } from './fleet-quotas/ticking.ts';
import { isSameRate } from './gcra.ts';
import { CounterStore } from './quotas/counter-store.ts';
import { GaugeStore } from './quotas/gauge-store.ts';
import { ownDisk } from './quotas/own-disk.ts';
import { OwnLog } from './quotas/own-log.ts';
import { QuotaCounts } from './quotas/quota-counts.ts';
import { Quotas, type Reported } from './quotas/quotas.ts';
import { usageOfBody } from './quotas/usage-report.ts';
import { Zones } from './quotas/zones.ts';
import { StaleAnswers } from './stale/stale-answers.ts';
import { LimitState } from './state.ts';

export interface LimitsOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What the whole fleet takes; undefined: this sidecar is alone. */
  readonly fleet?: FleetRates;
  /** What the whole fleet used; undefined as well. */
  readonly fleetQuotas?: FleetQuotas;
  /** Where counts of quotas are kept; undefined: in memory alone. */
  readonly stateDir?: string | undefined;
}

/** What became of what an application posted. */
export type UsageReported =
  | ({ readonly kind: 'counted'; readonly tenant: string } & Reported)
  | { readonly kind: 'malformed'; readonly detail: string }
  | { readonly kind: 'unknown_tenant'; readonly tenant: string };

export interface Limits {
  readonly filter: Filter<Identified, { grant: Grant }>;
  /** On a swap: what is gone is forgotten, so that nobody inherits a slot's counts; what changed keeps what was spent. */
  use(next: Snapshot, previous: Snapshot): void;
  /** Reads what was counted before a restart, and begins to keep what is counted. Before the first request; never rejects. */
  open(): Promise<void>;
  close(): Promise<void>;
  /** What an application posts of a tenant's use: `{ "tenant", "usage" }`. */
  report(snapshot: Snapshot, body: string): UsageReported;
  /** Spends nothing. */
  explain(
    snapshot: Snapshot,
    tenant: Tenant,
    ask: { readonly method: string; readonly path: string },
  ): LimitsExplanation;
}

export function createLimits(options: LimitsOptions): Limits {
  const { clock, timers, metrics, fleet } = options;
  const state = new LimitState(fleet);
  const counts = new DecisionCounts(metrics);
  if (fleet !== undefined) registerFleetRates(metrics, fleet);
  const kept = keepCounts(options);
  const { quotas } = kept;
  const stale = new StaleAnswers(metrics);
  return {
    filter: limitsFilter({ state, counts, quotas, stale, clock, timers }),
    open: kept.open,
    close: kept.close,
    report(snapshot, body) {
      const read = usageOfBody(body);
      if (typeof read === 'string') {
        kept.counts.report('malformed');
        return { kind: 'malformed', detail: read };
      }
      const tenant = snapshot.tenants.get(read.tenant);
      if (tenant === undefined) {
        kept.counts.report('unknown_tenant');
        return { kind: 'unknown_tenant', tenant: read.tenant };
      }
      return {
        kind: 'counted',
        tenant: tenant.id,
        ...quotas.report(quotas.accounts.of(tenant, clock.now()), read.usages),
      };
    },
    use(next, previous) {
      const now = clock.now();
      kept.warnOf(next);
      quotas.accounts.use(next);
      state.reserve(Math.max(next.tenantSlots, previous.tenantSlots));
      for (const id of state.owners()) {
        const before = previous.tenants.get(id);
        const after = next.tenants.get(id);
        if (before === undefined || before === after) continue;
        if (after === undefined) {
          state.forget(before.index, next.generation);
          stale.forget(id);
        } else {
          state.settle(before, after, now);
          // Nobody sees any more what its answers of now say of those kept.
          if (after.plan.staleMsMax === 0) stale.forget(id);
        }
      }
      useRoutes(state, next, previous, now);
    },
    explain: (snapshot, tenant, ask) =>
      explain({ state, quotas, stale, clock, claims: options.fleetQuotas?.claims }, snapshot, tenant, ask),
  };
}

interface KeptCounts {
  readonly quotas: Quotas;
  readonly counts: QuotaCounts;
  /** Says once that counts are not kept, when there is something to count. */
  warnOf(snapshot: Snapshot): void;
  open(): Promise<void>;
  close(): Promise<void>;
}

/** The stores of what quotas count, the log that keeps them, and the quotas over them. */
function keepCounts(options: LimitsOptions): KeptCounts {
  const { clock, timers, log, metrics, stateDir } = options;
  const alone = options.fleetQuotas === undefined && stateDir !== undefined ? fleetOfOne(options) : undefined;
  const fleet = options.fleetQuotas ?? alone?.quotas;
  const { counters, gauges } = fleet ?? aloneStores(options.random.hex(8));
  const ownLog =
    stateDir === undefined
      ? undefined
      : new OwnLog({ dir: stateDir, disk: ownDisk, counters, gauges, fleet, timers, log });
  const counts = new QuotaCounts({
    clock,
    log,
    metrics,
    series: () => counters.size.series + gauges.size,
    isWriting: () => ownLog?.isWriting ?? false,
  });
  const quotas: Quotas = new Quotas({ counters, gauges, zones: new Zones(), counts, fleet, clock, timers });
  fleet?.serve(quotas.accounts);
  if (fleet !== undefined) registerFleetQuotas({ clock, log, metrics }, fleet);
  let isSaid = ownLog !== undefined;
  return {
    quotas,
    counts,
    warnOf({ plans }) {
      if (isSaid || ![...plans.values()].some(({ allowance }) => allowance.quotas.length > 0)) return;
      isSaid = true;
      log.warn('quota.counts_not_kept', { remedy: 'set stateDir, or every restart begins the quotas anew' });
    },
    async open() {
      await ownLog?.open();
      fleet?.know('disk');
      alone?.start();
      quotas.accounts.start();
    },
    async close() {
      quotas.accounts.stop();
      await alone?.leave();
      await ownLog?.close();
    },
  };
}

interface FleetOfOne {
  readonly quotas: FleetQuotas;
  /** Once the disk is read. */
  start(): void;
  leave(): Promise<void>;
}

/** Who is alone, with a disk, spends of hard quotas what stands there, as in a fleet: so that a kill does not let it spend more than there is. */
function fleetOfOne({ clock, timers, random }: LimitsOptions): FleetOfOne {
  const quotas = new FleetQuotas({ actor: random.hex(8), clock, isLone: true });
  let ticks: Timer | undefined;
  return {
    quotas,
    start() {
      quotas.know('others');
      ticks = tickQuotas(quotas, timers);
    },
    async leave() {
      ticks?.cancel();
      await leaveQuotas(quotas, timers);
    },
  };
}

function aloneStores(actor: string): { readonly counters: CounterStore; readonly gauges: GaugeStore } {
  return { counters: new CounterStore({ actor }), gauges: new GaugeStore(actor) };
}

/** By name: an index that is free goes to the next route, even within one swap. */
function useRoutes({ routes, fleet }: LimitState, next: Snapshot, previous: Snapshot, now: number): void {
  const rates = new Map(next.routes.map(({ name, rate }) => [name, rate]));
  for (const { name, index, rate } of previous.routes) {
    const after = rates.get(name);
    if (after === undefined) {
      routes.forgetRoute(index);
      fleet?.forgetPart(ROUTE + index);
    } else if (rate !== undefined && !isSameRate(rate, after)) routes.settle(index, rate, after, now);
  }
  routes.turn(now);
}
