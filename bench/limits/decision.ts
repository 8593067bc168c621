/** What a decision costs, as the chain runs it: `offer`, `decide` and `take` for a tenant of 10,000, each time another. */
import { fleetOf, hearAll, tickAll } from '../../sim/heard-fleet.ts';
import { SimProcess, SimTime } from '../../sim/time.ts';
import { systemHeap, type TenantId, type TenantIndex } from '../../src/core/index.ts';
import { type Ask, decide, take } from '../../src/limits/decide.ts';
import { TICK_MS } from '../../src/limits/index.ts';
import { LimitState } from '../../src/limits/state.ts';
import type { Plan, Tenant } from '../../src/tenants/index.ts';

const TENANTS = 10_000;
const TIMES = 200_000;
const WARM_ROUNDS = 5;
/** Of a second's limit, asked for at each of the others in one tick: the least of which something is said. */
const HEARD = 0.02;

export interface DecisionCost {
  readonly ns: number;
  readonly bytes: number;
}

interface Decisions {
  /** Winds the clock on; not measured. */
  wind(): void;
  run(): void;
}

/** `perSec`: requests of all tenants together; they may have 167,500,000. `peers`: others in the fleet, who said once that they were asked for something of each tenant, well within what it may have. */
export function measureDecision(rounds: number, perSec: number, peers = 0): DecisionCost {
  const work = decisions(1000 / perSec, peers);
  return { ns: nanosecondsOf(work, rounds), bytes: bytesOf(work) };
}

/** One round: the tenants come as customers do, some far more often than others, in an order that no cache foresees. */
function decisions(stepMs: number, peers: number): Decisions {
  const clock = new SimProcess(new SimTime());
  const fleet = peers === 0 ? undefined : fleetOf(peers, clock);
  const state = new LimitState(fleet);
  state.reserve(TENANTS);
  const tenants = Array.from({ length: TENANTS }, (_, index) => tenantAt(index));
  for (const tenant of tenants) state.claim(tenant, 1, 0);
  if (fleet !== undefined) hearAll(fleet, peers, tenants, clock, HEARD);
  const order = new Uint16Array(1 << 16);
  let seed = 42;
  for (let i = 0; i < order.length; i++) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    // The square of a uniform number: half of the requests are of a quarter of the tenants.
    order[i] = Math.floor((seed / 2 ** 32) ** 2 * TENANTS);
  }
  const ask: { -readonly [K in keyof Ask]: Ask[K] } = {
    tenant: tenants[0] as Tenant,
    route: undefined,
    now: performance.now(),
    waitingAll: 0,
    isAnswered: () => false,
  };
  // As a clock gives them, objects on the heap: beside a text they stay that, and what is measured is not what making them costs.
  const times: (number | string)[] = ['begin'];
  let begun = 0;
  const wind = (): void => {
    for (let i = 1; i <= TIMES; i++) times[i] = begun + i * stepMs + 0.001;
    begun += TIMES * stepMs;
    clock.time.run(TICK_MS);
    if (fleet !== undefined) tickAll(fleet);
  };
  const run = (): void => {
    for (let i = 0; i < TIMES; i++) {
      const now = times[i + 1] as number;
      const tenant = tenants[order[i & 0xffff] as number] as Tenant;
      state.claim(tenant, 1, now);
      state.offer(tenant, undefined);
      ask.tenant = tenant;
      ask.now = now;
      const decided = decide(state, ask);
      if (decided.kind === 'refuse') continue;
      take(state, ask, decided);
      state.enter(tenant.index);
      state.leave(tenant.index);
    }
  };
  return { wind, run };
}

/** Plans and their allowances are shared, as tenants of one plan share them. */
const PLANS: readonly Plan[] = [2000, 5000, 10_000, 50_000].map((perSec, index) => ({
  name: `plan${index}`,
  index,
  weight: 1,
  allowance: {
    requests: { perSec, burst: perSec, credits: undefined, text: `${perSec}/s` },
    egress: undefined,
    concurrency: 64,
    shadow: false,
    quotas: [],
  },
  ladder: [{ kind: 'credit' }, { kind: 'reject' }],
  staleMsMax: 0,
  source: 'plans.yaml',
}));

function tenantAt(index: number): Tenant {
  const plan = PLANS[index % PLANS.length] as Plan;
  return {
    id: `t${index}` as TenantId,
    index: index as TenantIndex,
    state: 'active',
    plan,
    allowance: plan.allowance,
    timezone: 'UTC',
    billingDay: 1,
    labels: {},
    claims: [`t${index}`],
    hosts: [],
    apiKeys: [],
    source: 'tenants.yaml',
  };
}

/**
 * CPU of this thread, so that neighbours on the machine count only by the caches they empty. Kernels tell it in steps of 4 ms, which are 20 ns a decision of
 * a round: so the mean of the rounds, without a tenth of them at either end.
 */
function nanosecondsOf({ wind, run }: Decisions, rounds: number): number {
  const measured: number[] = [];
  for (let round = -WARM_ROUNDS; round < rounds; round++) {
    wind();
    const before = process.threadCpuUsage();
    run();
    const { user, system } = process.threadCpuUsage(before);
    if (round >= 0) measured.push(((user + system) * 1000) / TIMES);
  }
  const rest = measured.sort((a, b) => a - b).slice(Math.floor(rounds / 10), Math.ceil((rounds * 9) / 10));
  return rest.reduce((sum, ns) => sum + ns, 0) / rest.length;
}

/** Bytes a decision leaves on the heap, garbage included; of some rounds the least, for a round in which code is compiled leaves more. */
function bytesOf({ wind, run }: Decisions): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    wind();
    systemHeap.shrink();
    const before = process.memoryUsage().heapUsed;
    run();
    least = Math.min(least, process.memoryUsage().heapUsed - before);
  }
  return Math.max(0, Math.round(least / TIMES));
}
