/** Quotas over stores that others write to, and that are full. */
import t from 'tap';
import type { Account, Line } from '../../../src/limits/quotas/account.ts';
import { CounterStore } from '../../../src/limits/quotas/counter-store.ts';
import { GaugeStore } from '../../../src/limits/quotas/gauge-store.ts';
import { QuotaCounts } from '../../../src/limits/quotas/quota-counts.ts';
import { Quotas } from '../../../src/limits/quotas/quotas.ts';
import { Zones } from '../../../src/limits/quotas/zones.ts';
import type { Identified } from '../../../src/pipeline/index.ts';
import { createLog, createMetrics } from '../../../src/telemetry/index.ts';
import type { Tenant } from '../../../src/tenants/index.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { exchangeForTest } from '../../pipeline/exchange-for-test.ts';
import { plan, snapshotOf, tenant } from '../world.ts';

const SELF = 'f'.repeat(16);
const OTHER = '1'.repeat(16);
/** 26 November 2026. */
const TODAY = 20_783;

async function open(spec: object, o: { seriesMax?: number; gaugesMax?: number } = {}) {
  const clock = new ManualClock();
  clock.setWall('2026-11-26T12:00:00Z');
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ clock, level: 'info', write: (line) => void lines.push(JSON.parse(line) as never) });
  const snapshot = await snapshotOf(plan('free', { quotas: spec }), tenant('acme') + tenant('globex'));
  const counters: CounterStore = new CounterStore({
    actor: SELF,
    onChange: (name, meter, day, units) => quotas.accounts.addOthers(name, meter, day, units),
    ...(o.seriesMax === undefined ? {} : { seriesMax: o.seriesMax }),
  });
  const gauges = new GaugeStore(SELF, o.gaugesMax);
  const counts = new QuotaCounts({
    clock,
    log,
    metrics: createMetrics({ timers: clock }),
    series: () => 0,
    isWriting: () => true,
  });
  const quotas: Quotas = new Quotas({ counters, gauges, zones: new Zones(), counts, clock, timers: clock });
  const of = (name: string): Account =>
    quotas.accounts.of(snapshot.tenants.get(name) as Tenant, clock.now()) as Account;
  return {
    clock,
    counters,
    quotas,
    lines,
    of,
    line: (name: string, meter: string): Line => of(name).lineOf(meter) as Line,
    /** Whether one more request is admitted. */
    ask(name: string): boolean {
      const x = exchangeForTest() as Identified;
      x.tenant = snapshot.tenants.get(name) as Tenant;
      const account = of(name);
      if (quotas.check(account, x, clock.now(), true) !== undefined) return false;
      quotas.take(account, x, clock.now());
      return true;
    },
  };
}

const events = (lines: readonly Record<string, unknown>[]): string[] =>
  lines.map((each) => `${each['event']} ${each['tenant.id']} ${each['at'] ?? each['meter']}`);

t.test('what others counted counts here with the next request, and a mark it passes is said', async (t) => {
  const w = await open({ api_calls: { limit: 10, mode: 'hard' } });
  t.ok(w.ask('acme'));
  w.counters.merge({ tenant: 'acme', meter: 'api_calls', day: TODAY, actor: OTHER, count: 8, credit: 0 });
  w.counters.merge({ tenant: 'nobody-here', meter: 'api_calls', day: TODAY, actor: OTHER, count: 8, credit: 0 });
  t.ok(w.ask('acme'));
  t.notOk(w.ask('acme'));
  t.same(events(w.lines), ['quota.crossed acme 80%', 'quota.crossed acme 100%']);
  w.counters.merge({ tenant: 'globex', meter: 'api_calls', day: TODAY - 1, actor: OTHER, count: 10, credit: 0 });
  t.notOk(w.ask('globex'), 'what is known of the month');
});

t.test('a store that is full: the quota holds in memory, and that is said once a minute', async (t) => {
  const w = await open({ api_calls: { limit: 3, mode: 'hard' }, tokens: { limit: 100 } }, { seriesMax: 1 });
  t.same(
    Array.from({ length: 4 }, () => w.ask('acme')),
    [true, true, true, false],
  );
  t.same(
    Array.from({ length: 4 }, () => w.ask('globex')),
    [true, true, true, false],
  );
  w.quotas.report(w.of('acme'), [{ meter: 'tokens', sign: '', units: 5 }]);
  t.equal(w.line('acme', 'tokens').used, 5);
  w.quotas.report(w.of('acme'), [{ meter: 'tokens', sign: '-', units: 2 }]);
  t.equal(w.line('acme', 'tokens').used, 3);
  t.same(
    events(w.lines).filter((each) => each.startsWith('quota.store_full')),
    ['quota.store_full globex api_calls'],
  );
  w.clock.advance(60_000);
  w.quotas.report(w.of('acme'), [{ meter: 'tokens', sign: '', units: 1 }]);
  t.equal(events(w.lines).at(-1), 'quota.store_full acme tokens');
});

t.test('a gauge for which there is no room keeps what it was', async (t) => {
  const w = await open({ seats: { gauge: true, limit: 3 } }, { gaugesMax: 1 });
  w.quotas.report(w.of('acme'), [{ meter: 'seats', sign: '', units: 2 }]);
  w.quotas.report(w.of('globex'), [{ meter: 'seats', sign: '', units: 2 }]);
  t.same([w.line('acme', 'seats').used, w.line('globex', 'seats').used], [2, 0]);
  t.same(events(w.lines), ['quota.store_full globex seats']);
});

t.test('days close once each, 14 h after they end in UTC, and accounts go on', async (t) => {
  const w = await open({ api_calls: { limit: 100 } });
  w.quotas.accounts.start();
  w.ask('acme');
  const hour = (): void => w.clock.advance(3_600_000);
  for (let i = 0; i < 25; i++) hour();
  w.ask('acme');
  t.equal(w.counters.size.cells, 2, 'it is 13:00 of the next day');
  hour();
  t.equal(w.counters.size.cells, 1);
  const { closings } = w.counters;
  hour();
  t.equal(w.counters.closings, closings);
  w.ask('acme');
  t.equal(w.line('acme', 'api_calls').used, 3);
  t.equal(w.counters.valueOf('acme', 'api_calls', TODAY), 1);
  w.quotas.accounts.stop();
  t.equal(w.clock.pending, 0);
});

t.test('a slot whose account was left behind by another tenant is emptied before it is used', async (t) => {
  const w = await open({ api_calls: { limit: 2, mode: 'hard' }, seats: { gauge: true, limit: 5, mode: 'hard' } });
  w.ask('acme');
  w.ask('acme');
  t.notOk(w.ask('acme'));
  const acme = w.of('acme').tenant;
  const globex = w.of('globex').tenant;
  const moved = { ...globex, index: acme.index };
  const account = w.quotas.accounts.of(moved, w.clock.now()) as Account;
  t.equal(account.id, 'globex');
  t.equal(account.lineOf('api_calls')?.used, 0);
  w.quotas.report(account, [{ meter: 'seats', sign: '', units: 5 }]);
  const x = exchangeForTest() as Identified;
  x.tenant = moved;
  t.match(w.quotas.check(account, x, w.clock.now(), true), { members: { 'violated-policies': ['seats'] } });
});

t.test('a day that others closed counts by its total, and what it reaches is said', async (t) => {
  const w = await open({ api_calls: { limit: 10 } });
  w.ask('acme');
  w.counters.mergeTotal({ tenant: 'acme', meter: 'api_calls', day: TODAY - 3, total: 8 });
  w.quotas.accounts.markStale('acme');
  w.quotas.accounts.markStale('nobody-here');
  t.equal(w.line('acme', 'api_calls').used, 9);
  t.same(events(w.lines), ['quota.crossed acme 80%']);
});
