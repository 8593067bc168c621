/** A tenancy of 10,000 tenants and 500 rated routes is edited: what the limits do with it, on the loop that moves requests. */
import t from 'tap';
import { systemRandom } from '../../src/core/index.ts';
import { createLimits } from '../../src/limits/index.ts';
import type { Admitted, Identified } from '../../src/pipeline/index.ts';
import { createMetrics, silentLog } from '../../src/telemetry/index.ts';
import type { Route, Snapshot, Tenant } from '../../src/tenants/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { plan, route, snapshotOf, tenant } from '../limits/world.ts';
import { exchangeForTest } from '../pipeline/exchange-for-test.ts';

const TENANTS = 10_000;
const ROUTES = 500;
/** The loop may be held for so long, ms, by a machine that takes less than CHORE_MS for the chore. */
const HOLD_MS = 10;
const CHORE_MS = 6.5;
const CHORE_ENTRIES = 20_000;

/** Takes this thread as long as the machine is slow, ms: entries of a map, made and looked up. */
function choreMs(): number {
  const began = performance.now();
  const entries = new Map(Array.from({ length: CHORE_ENTRIES }, (_, index) => [`t${index}`, { index }]));
  let sum = 0;
  for (const key of entries.keys()) sum += entries.get(key)?.index ?? 0;
  if (sum === 0) throw new Error('nothing was summed');
  return performance.now() - began;
}

/** As the builder makes it: what is edited is made anew, with equal numbers. */
async function large(): Promise<{ first: Snapshot; edited: (change: Partial<Route>) => Snapshot; retiered: Snapshot }> {
  const small = await snapshotOf(
    plan('free', { rate: { requests: { limit: '100/s' }, egress: { limit: '1MiB/s' } } }),
    tenant('acme'),
    route('r', { match: { path: '/r' }, rate: { requests: { limit: '1/h', burst: 50 } } }),
  );
  const [acme] = [...small.tenants.values()] as [Tenant];
  const [only] = small.routes as [Route];
  const of = (change: (each: Tenant) => Tenant): ReadonlyMap<string, Tenant> =>
    new Map(
      Array.from({ length: TENANTS }, (_, index) => [
        `t${index}`,
        change({ ...acme, id: `t${index}`, index } as unknown as Tenant),
      ]),
    );
  const routes = (change: Partial<Route>): Route[] =>
    Array.from({ length: ROUTES }, (_, index) => ({
      ...only,
      rate: { ...(only.rate as NonNullable<Route['rate']>) },
      ...change,
      name: `r${index}`,
      index,
    }));
  const first: Snapshot = { ...small, tenants: of((each) => each), tenantSlots: TENANTS, routes: routes({}) };
  const twice = (each: Tenant): Tenant => ({
    ...each,
    allowance: {
      ...each.allowance,
      requests: each.allowance.requests && { ...each.allowance.requests, perSec: 200, burst: 200 },
      egress: each.allowance.egress && { ...each.allowance.egress, bytesPerSec: 2e6 },
    },
  });
  return {
    first,
    edited: (change) => ({ ...first, generation: first.generation + 1, routes: routes(change) }),
    retiered: { ...first, generation: first.generation + 1, tenants: of(twice) },
  };
}

t.test('no swap holds the loop for long, or allocates by tenants times routes', async (t) => {
  const { first, edited, retiered } = await large();
  const clock = new ManualClock();
  const limits = createLimits({
    clock,
    timers: clock,
    random: systemRandom,
    log: silentLog,
    metrics: createMetrics({ timers: clock }),
  });
  limits.use(first, { ...first, tenants: new Map(), routes: [] });
  let at = 0;
  let refused = 0;
  for (const one of first.tenants.values()) {
    for (let i = 0; i < 10; i++) {
      const x = exchangeForTest({ snapshot: first, route: first.routes[at++ % ROUTES] as Route });
      x.tenant = one;
      if (limits.filter.onRequest?.(x as Identified) !== undefined) refused++;
      limits.filter.onDone?.(x as Admitted, { kind: 'forwarded', status: 200 });
    }
  }
  t.equal(refused, 0);
  const rate = { ...(first.routes[0]?.rate as NonNullable<Route['rate']>), perSec: 1, burst: 60 };
  const gone: Snapshot = { ...first, generation: 9, tenants: new Map(), routes: [] };
  for (const [what, next] of [
    ['a cost of every route', edited({ cost: 2 })],
    ['the rate of every route', edited({ rate })],
    ['the rates of every tenant', retiered],
    ['every tenant and route gone', gone],
  ] as const) {
    const bytes = process.memoryUsage().arrayBuffers;
    // Each is measured thrice, there and back, and up to fifteen times on a machine that compiles yet or does something else: the least is what it takes.
    const took: number[] = [];
    const chores: number[] = [];
    const allowedMs = (): number => HOLD_MS * Math.max(1, Math.min(...chores) / CHORE_MS);
    while (took.length < 3 || (Math.min(...took) >= allowedMs() && took.length < 15)) {
      chores.push(choreMs());
      const began = performance.now();
      limits.use(next, first);
      took.push(performance.now() - began);
      if (next !== gone) limits.use(first, next);
    }
    const grown = (process.memoryUsage().arrayBuffers - bytes) / 2 ** 20;
    const ms = Math.min(...took);
    t.ok(
      ms < allowedMs(),
      `${what}: ${took.map((each) => each.toFixed(1)).join(', ')} ms, ${allowedMs().toFixed(1)} allowed`,
    );
    t.ok(grown < 4, `${what}: ${grown.toFixed(1)} MiB`);
    t.comment(
      `figure limits.use, ${TENANTS} tenants, ${ROUTES} rated routes, ${what}: ${ms.toFixed(1)} ms, ${grown.toFixed(1)} MiB`,
    );
  }
});
