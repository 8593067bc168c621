/** What the limits hold of a tenant, as memory: of one that asks for nothing, and of one that is asked for at 50 sidecars. */
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { MonotonicMs, TenantId, TenantIndex } from '../src/core/index.ts';
import type { Member } from '../src/gossip/index.ts';
import { FleetRates, TICK_MS } from '../src/limits/fleet/fleet-rates.ts';
import { LimitState } from '../src/limits/state.ts';
import type { RequestRate, Tenant } from '../src/tenants/index.ts';

const TENANTS = 10_000;
const PEERS = 50;
/** Collections in a row that free nothing any more. */
const STILL = 10;
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
    const state = new LimitState(fleetOf(PEERS));
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
      const said = rowsOf(tenants);
      for (const tenant of tenants) touch(state, tenant, LIMIT);
      useAll(state, tenants[0] as Tenant);
      for (let slot = 1; slot <= PEERS; slot++)
        for (const { after, upTo, bytes } of said)
          if (!(state.fleet as FleetRates).read(slot, after, upTo, bytes)) throw new Error('a row is refused');
      tickAll(state.fleet as FleetRates);
      return state;
    }),
  };
}

const clock = { now: () => now as MonotonicMs, wallMs: () => now };
let now = 1000;

function tenantOf(index: number): Tenant {
  return { id: `tenant-${index}` as TenantId, index: index as TenantIndex, allowance: { requests: LIMIT } } as Tenant;
}

function fleetOf(peers: number): FleetRates {
  const fleet = new FleetRates({ clock, partition: 'hold' });
  for (let slot = 0; slot <= peers; slot++) {
    const incarnation = String(slot).padStart(16, '0');
    const address = `10.0.0.${slot}:7946`;
    const member: Member = { slot, state: 'alive', isListed: true, name: `pod-${slot}`, incarnation, address };
    fleet.onMember(member);
  }
  return fleet;
}

/** As a request does. */
function touch(state: LimitState, tenant: Tenant, limit: RequestRate): void {
  state.claim(tenant, 1, now);
  state.fleet?.offer(tenant, limit, 1);
  state.requests.take(tenant.index, limit, 1, now, 0);
  state.fleet?.admit(tenant.index, 1);
}

/** A tick is done in slices. */
function tickAll(fleet: FleetRates): void {
  do fleet.tick();
  while (fleet.isBehind);
}

function useAll(state: LimitState, tenant: Tenant): void {
  touch(state, tenant, LIMIT);
  state.credit(tenant.index, LIMIT, now);
  for (const each of [state.egress, state.degraded, state.deprioritized]) each.take(tenant.index, LIMIT, 1, now, 0);
  for (const each of [state.over, state.staysDegraded, state.staysDeprioritized]) each.mark(tenant.index, now);
}

/** What one sidecar says of all tenants, in the pieces that gossip carries. */
function rowsOf(tenants: readonly Tenant[]): { after: number; upTo: number; bytes: Uint8Array }[] {
  const other = fleetOf(1);
  for (const tenant of tenants) {
    // Far over the limit: of each there is something to say.
    other.offer(tenant, LIMIT, LIMIT.perSec);
    other.admit(tenant.index, LIMIT.burst);
  }
  now += TICK_MS;
  tickAll(other);
  if (other.version(0) < 2 * tenants.length) throw new Error('of some tenants nothing is said');
  const pieces: { after: number; upTo: number; bytes: Uint8Array }[] = [];
  const room = new Uint8Array(32 * 1024);
  for (let after = 0; after < other.version(0); ) {
    const { offset, upTo } = other.write(0, after, room, 0, room.length);
    if (offset === 0) throw new Error('nothing fits');
    pieces.push({ after, upTo, bytes: room.slice(0, offset) });
    after = upTo;
  }
  return pieces;
}

/** Heap and buffers that stay, a tenant. */
async function bytesOf(make: () => LimitState): Promise<number> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  // Buffers that are garbage are freed beside the loop: what is left is known when the sum has not fallen for some time.
  const used = async (): Promise<number> => {
    let least = Number.POSITIVE_INFINITY;
    for (let still = 0; still < STILL; still++) {
      gc();
      await sleep(50);
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      if (heapUsed + arrayBuffers < least - 10_000) still = 0;
      least = Math.min(least, heapUsed + arrayBuffers);
    }
    return least;
  };
  // Once, so that code and shapes are there; and what a fleet takes without a tenant is not theirs.
  make();
  const nothing = await used();
  const empty = new LimitState(fleetOf(PEERS));
  const before = await used();
  const state = make();
  const after = await used();
  // They are still needed here.
  if (state.inFlight(0) !== 0 || empty.fleet === undefined) throw new Error('somebody is in flight');
  return (after - before - (before - nothing)) / TENANTS;
}
