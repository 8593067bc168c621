/** One request of a tenant with three quotas: looked up, checked, taken, done. What limits add for a tenant that has some. */
import { systemClock, systemRandom, systemTimers } from '../../src/core/index.ts';
import { CounterStore } from '../../src/limits/quotas/counter-store.ts';
import { GaugeStore } from '../../src/limits/quotas/gauge-store.ts';
import { QuotaCounts } from '../../src/limits/quotas/quota-counts.ts';
import { Quotas } from '../../src/limits/quotas/quotas.ts';
import { Zones } from '../../src/limits/quotas/zones.ts';
import { Exchange, type Identified } from '../../src/pipeline/index.ts';
import { createMetrics, silentLog } from '../../src/telemetry/index.ts';
import { emptySnapshot, type Quota, type Tenant } from '../../src/tenants/index.ts';
import { HeaderList } from '../../src/wire/index.ts';

const quota = (meter: string, source: Quota['source'], isHard: boolean): Quota => ({
  meter,
  source,
  per: 'month',
  limit: 2 ** 49,
  unit: meter,
  isHard,
  estimate: undefined,
  thresholds: [{ at: 2 ** 48, text: '50%', action: 'notify', rate: undefined, perSec: Number.POSITIVE_INFINITY }],
});

/** Tenants that ask in turn: more than fit a first-level cache. */
const TENANTS = 1024;

export function quotaWork(): () => void {
  const counters: CounterStore = new CounterStore({ actor: systemRandom.hex(8) });
  const clock = systemClock;
  const counts = new QuotaCounts({
    clock,
    log: silentLog,
    metrics: createMetrics({ timers: systemTimers }),
    series: () => 0,
    isWriting: () => true,
  });
  const gauges = new GaugeStore(counters.actor);
  const quotas = new Quotas({ counters, gauges, zones: new Zones(), counts, clock, timers: systemTimers });
  const plan = [
    quota('api_calls', 'calls', false),
    quota('requests', 'calls', true),
    quota('bytes_out', 'bytes_out', true),
  ];
  const exchanges = Array.from({ length: TENANTS }, (_, index) => exchangeOf(index, plan));
  let turn = 0;
  return () => {
    const x = exchanges[(turn = (turn + 1) % TENANTS)] as Identified;
    const account = quotas.accounts.of(x.tenant, 5);
    if (account === undefined || quotas.check(account, x, 0, true) !== undefined) throw new Error('it is refused');
    quotas.take(account, x, 0);
    if (x.reservation !== 0) quotas.release(x);
    quotas.done(account, x, 0);
  };
}

function exchangeOf(index: number, plan: readonly Quota[]): Exchange {
  const x = new Exchange({
    id: 'r',
    trustClass: 'edge',
    snapshot: emptySnapshot,
    acceptedAt: systemClock.now(),
    method: 'GET',
    target: '/',
    path: '/',
    host: 'a',
    port: 0,
    isWhole: true,
    headers: new HeaderList([]),
    peer: '127.0.0.1',
    route: undefined,
  });
  const allowance = { requests: undefined, egress: undefined, concurrency: undefined, quotas: plan, shadow: false };
  x.tenant = {
    id: `t${index}`,
    index,
    allowance,
    timezone: 'Europe/Berlin',
    billingDay: 1,
  } as Partial<Tenant> as Tenant;
  x.responseBytes = 1000;
  return x;
}
