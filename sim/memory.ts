/** What the limits hold of a tenant, as memory: of one that asks for nothing, and of one that is asked for at 50 sidecars. */
import { setTimeout as sleep } from 'node:timers/promises';
import { systemHeap, type TenantId, type TenantIndex } from '../src/core/index.ts';
import type { FleetRates } from '../src/limits/fleet/fleet-rates.ts';
import { LimitState } from '../src/limits/state.ts';
import type { RequestRate, Tenant } from '../src/tenants/index.ts';
import { fleetOf, hearAll, tickAll } from './heard-fleet.ts';
import { SimProcess, SimTime } from './time.ts';

const TENANTS = 10_000;
const PEERS = 50;
/** Collections in a row that free nothing any more. */
const STILL = 5;
/** States that are made and kept: an odd number has a median. Of three one run in some was 10 bytes off, by garbage of what ran before. */
const TIMES = 7;
const LIMIT: RequestRate = { perSec: 100, burst: 10, credits: { earn: 0.1, capUnits: 100 }, text: '100/s' };
const PLAIN: RequestRate = { ...LIMIT, credits: undefined };

/** Bytes a tenant. `requests` alone, as most plans are; `all`: somebody uses everything there is, so that its arrays are there for all. */
export interface TenantMemory {
  readonly idlePlain: number;
  readonly idle: number;
  readonly hot: number;
}

export async function measureMemory(): Promise<TenantMemory> {
  const tenants = Array.from({ length: TENANTS }, (_, at) => tenantOf(at));
  const fresh = (): LimitState => {
    const state = new LimitState(fleetOf(PEERS, clock));
    state.reserve(TENANTS);
    return state;
  };
  return {
    idlePlain: await bytesOf(() => {
      const state = fresh();
      touch(state, tenants[TENANTS - 1] as Tenant, PLAIN);
      return state;
    }),
    idle: await bytesOf(() => {
      const state = fresh();
      useAll(state, tenants[TENANTS - 1] as Tenant);
      return state;
    }),
    hot: await bytesOf(() => {
      const state = fresh();
      for (const tenant of tenants) touch(state, tenant, LIMIT);
      useAll(state, tenants[0] as Tenant);
      hearAll(state.fleet as FleetRates, PEERS, tenants, clock, 1);
      tickAll(state.fleet as FleetRates);
      return state;
    }),
  };
}

const clock = new SimProcess(new SimTime());

function tenantOf(index: number): Tenant {
  return { id: `tenant-${index}` as TenantId, index: index as TenantIndex, allowance: { requests: LIMIT } } as Tenant;
}

/** As a request does. */
function touch(state: LimitState, tenant: Tenant, limit: RequestRate): void {
  state.claim(tenant, 1, clock.now());
  state.fleet?.offer(tenant, limit, 1);
  state.requests.take(tenant.index, limit, 1, clock.now(), 0);
  state.fleet?.admit(tenant.index, 1);
}

function useAll(state: LimitState, tenant: Tenant): void {
  touch(state, tenant, LIMIT);
  state.credit(tenant.index, LIMIT, clock.now());
  for (const each of [state.egress, state.degraded, state.deprioritized])
    each.take(tenant.index, LIMIT, 1, clock.now(), 0);
  for (const each of [state.over, state.staysDegraded, state.staysDeprioritized]) each.mark(tenant.index, clock.now());
}

/** Heap and buffers that stay, a tenant: what a fleet takes without one is not theirs. */
async function bytesOf(make: () => LimitState): Promise<number> {
  const empty = (): LimitState => new LimitState(fleetOf(PEERS, clock));
  return ((await growthOf(make)) - (await growthOf(empty))) / TENANTS;
}

/** Bytes that one more takes, the others kept: the median, for garbage of the one before may be freed only with the next. */
async function growthOf(make: () => LimitState): Promise<number> {
  // The first is not counted: with it come code and shapes.
  const kept = [make()];
  const grown: number[] = [];
  for (let before = await stays(); kept.length <= TIMES; ) {
    kept.push(make());
    const after = await stays();
    grown.push(after - before);
    before = after;
  }
  // They are still needed here.
  if (kept.some(({ fleet }) => fleet === undefined)) throw new Error('there is no fleet');
  return grown.sort((a, b) => a - b)[TIMES >> 1] as number;
}

/** Buffers that are garbage are freed beside the loop: what is left is known when the sum has not fallen for some time. */
async function stays(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let still = 0; still < STILL; still++) {
    systemHeap.shrink();
    await sleep(20);
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    if (heapUsed + arrayBuffers < least - 10_000) still = 0;
    least = Math.min(least, heapUsed + arrayBuffers);
  }
  return least;
}
