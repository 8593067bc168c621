import t from 'tap';
import type { TenantIndex } from '../../src/core/index.ts';
import { FleetRates } from '../../src/limits/fleet/fleet-rates.ts';
import { EGRESS, LimitNumbers, REQUESTS, ROUTE } from '../../src/limits/fleet/limit-numbers.ts';
import { UNKNOWN } from '../../src/limits/fleet/row-table.ts';
import { TICK_MS } from '../../src/limits/fleet/ticks.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { peer, type Two, two } from './two.ts';
import { plan, route, tenant, world } from './world.ts';

const ACME = 0 as TenantIndex;
/** Requests each ms: of `perMs` parts to the first; what each admitted. */
function run(it: Two, seconds: number, path: string, toFirst: number, bytes = 0, every = 1): [number, number] {
  const admitted: [number, number] = [0, 0];
  for (let ms = 1; ms <= seconds * 1000; ms++) {
    it.clock.advance(1);
    if (ms % every === 0) {
      const at = (ms / every) % 10 < toFirst * 10 ? 0 : 1;
      const asked = it.worlds[at].ask('acme', { path });
      asked.done(bytes);
      if (asked.verdict === undefined) admitted[at]++;
    }
    if (ms % TICK_MS === 0) it.turn();
  }
  return admitted;
}

t.test('the rate of a route is the rate of the fleet, shared by demand', async (t) => {
  const it = await two(
    plan('free', { rate: { requests: { limit: '100000/s' } } }),
    route('dear', { match: { path: '/dear' }, rate: { requests: { limit: '100/s', burst: 10 } } }),
  );
  run(it, 3, '/dear', 0.8, 0, 3);
  const [first, second] = run(it, 10, '/dear', 0.8, 0, 3);
  t.ok(Math.abs(first + second - 1000) <= 20, `${first + second} of 1000`);
  t.ok(Math.abs(first / (first + second) - 0.8) < 0.06, `${first} of ${first + second}`);
  const explained = it.worlds[0].limits.explain(it.worlds[0].snapshot, it.worlds[0].tenant('acme'), {
    method: 'GET',
    path: '/dear',
  });
  t.ok(Math.abs((explained.route?.here ?? 0) - 80) < 15, `${explained.route?.here} here`);
  t.match(it.worlds[0].told('acme', '/dear'), /"route";r=\d+;t=\d+/);
  t.match(it.fleets[0].explain(ACME, ROUTE), { members: 2, peers: [{ name: 'pod' }] });
  t.equal(it.fleets[0].explain(ACME, ROUTE + 1), undefined);

  // Within the rate a burst at one of them borrows from the bucket.
  it.clock.advance(5000);
  it.turn();
  it.worlds[0].one('acme', '/dear');
  it.clock.advance(100);
  it.turn();
  let burst = 0;
  while (it.worlds[0].one('acme', '/dear') !== 'quota-exceeded') burst++;
  t.ok(burst >= 6 && burst <= 20, `${burst} at once`);

  // A route that goes takes its numbers along; what comes at its index is another.
  await it.worlds[0].load(
    plan('free', { rate: { requests: { limit: '100000/s' } } }),
    tenant('acme'),
    route('other', { match: { path: '/dear' }, rate: { requests: { limit: '100/s', burst: 10 } } }),
  );
  t.equal(it.fleets[0].explain(ACME, ROUTE), undefined);
  t.equal(it.worlds[0].one('acme', '/dear'), 'pass');
});

t.test('response bytes are the bytes of the fleet, also where requests are refused for them', async (t) => {
  const it = await two(plan('free', { rate: { egress: { limit: '1MiB/s' } } }));
  const size = 10_240;
  run(it, 4, '/', 0.8, size, 2);
  const [first, second] = run(it, 10, '/', 0.8, size, 2);
  const bytesPct = (100 * (first + second) * size) / (10 * 1024 * 1024);
  t.ok(Math.abs(bytesPct - 100) <= 4, `${bytesPct} % of the limit`);
  t.ok(Math.abs(first / (first + second) - 0.8) < 0.08, `${first} of ${first + second}`);
  const { egress } = it.worlds[0].limits.explain(it.worlds[0].snapshot, it.worlds[0].tenant('acme'), {
    method: 'GET',
    path: '/',
  });
  t.ok(Math.abs((egress?.here ?? 0) / 1024 / 1024 - 0.8) < 0.15, `${egress?.here} here`);
  t.match(it.worlds[0].told('acme', '/'), /"egress";r=\d+;t=\d+/);
  const { size: limits } = it.fleets[0];
  it.fleets[0].offerUsual(77 as TenantIndex, EGRESS);
  t.equal(it.fleets[0].size, limits, 'of a tenant that nobody saw nothing is kept');
});

t.test('numbers are of whom they were given to, until they are given back', async (t) => {
  const numbers = new LimitNumbers(3);
  const [one, two] = [numbers.take('a'), numbers.take('a egress')];
  numbers.keep(5, REQUESTS, one);
  numbers.keep(5, EGRESS, two);
  numbers.keep(5, ROUTE + 7, one);
  t.same([numbers.take('a'), numbers.used, numbers.size, numbers.nameOf(two)], [one, 2, 2, 'a egress']);
  t.same(
    [5, 4, 6].map((slot) => numbers.find(slot, REQUESTS)),
    [one, UNKNOWN, UNKNOWN],
  );
  t.same(
    [REQUESTS, EGRESS, ROUTE, ROUTE + 7].map((part) => numbers.find(5, part)),
    [one, two, UNKNOWN, one],
  );
  numbers.give(one);
  t.same([numbers.find(5, REQUESTS), numbers.find(5, ROUTE + 7), numbers.byName('a')], [UNKNOWN, UNKNOWN, undefined]);
  t.equal(numbers.take('b'), one, 'given to the next');
  t.equal(numbers.find(5, REQUESTS), UNKNOWN, 'and not to who had it');
  t.same([numbers.take('c'), numbers.take('d')], [2, UNKNOWN], 'no more than the bound');
  numbers.forgetSlot(5);
  numbers.forgetSlot(5000);
  t.equal(numbers.find(5, EGRESS), UNKNOWN);
  numbers.keep(1, ROUTE, two);
  numbers.forgetPart(ROUTE);
  t.equal(numbers.find(1, ROUTE), UNKNOWN);
  let stale = 0;
  for (let life = 0; life < 2 ** 15; life++) {
    numbers.keep(9, REQUESTS, one);
    numbers.give(one);
    if (numbers.find(9, REQUESTS) !== UNKNOWN) stale++;
    numbers.take('b');
  }
  t.equal(stale, 0, 'however many lives it had');
});

t.test('a limit nobody asks for gives its number back, here and at the others', async (t) => {
  const it = await two(plan('free', { rate: { requests: { limit: '100/s', burst: 10 } } }));
  const [first, second] = it.fleets;
  const one = (name: string): void => {
    for (let i = 0; i < 5; i++) it.worlds[0].one(name);
    it.clock.advance(100);
    it.turn();
  };
  one('acme');
  t.same([first.size, second.size], [1, 1]);
  it.clock.advance(500_000);
  it.turn();
  t.same([first.size, second.size], [1, 1]);
  one('globex');
  it.clock.advance(200_000);
  it.turn();
  it.clock.advance(100);
  it.turn();
  t.same([first.size, second.size], [1, 1], 'that of globex');
  t.equal(first.explain(ACME), undefined);
  one('acme');
  t.same([first.size, second.size], [2, 2]);
  t.equal(second.admittedBy(1, 'acme') > 0, true, 'it is told anew, under a number that had another name');
  t.match(first.explain(ACME), { members: 2 });
  // Who is gone says nothing any more: its numbers do not hold ours.
  second.onForgotten(1);
  it.clock.advance(700_000);
  second.tick();
  t.equal(second.size, 0);
});

t.test('of many limits each turn of the loop reckons with some', async (t) => {
  const clock = new ManualClock();
  const fleet = new FleetRates({ clock, partition: 'hold' });
  fleet.onMember(peer);
  const w = await world(plan('free', { rate: { requests: { limit: '100/s' } } }));
  const limit = { perSec: 100, burst: 10 };
  for (let at = 0; at < 10_000; at++)
    for (let asked = 0; asked < 8; asked++)
      fleet.offer({ ...w.tenant('acme'), id: `t-${at}` as never, index: at as TenantIndex }, limit, 1);
  clock.advance(TICK_MS);
  fleet.tick();
  t.ok(fleet.isBehind);
  t.equal(fleet.version(0), 2 * 4096);
  fleet.tick();
  t.ok(fleet.isBehind);
  fleet.tick();
  t.notOk(fleet.isBehind);
  t.equal(fleet.version(0), 20_000);
  t.notOk(fleet.tick(), 'until the next');
  t.notOk(fleet.isBehind);
});

t.test('what of a fleet can be scraped: who counts, what is shared, and how old what is known is', async (t) => {
  const it = await two(plan('free', { rate: { requests: { limit: '100/s' } } }));
  const [first] = it.worlds;
  const scraped = async (): Promise<Record<string, number>> => {
    let text = '';
    for await (const chunk of first.metrics.exposition()) text += chunk;
    const lines = [...text.matchAll(/^reeve_fleet_(\w+) (\S+)$/gm)];
    return Object.fromEntries(lines.map(([, name, value]) => [name, Number(value)]));
  };
  t.same(await scraped(), { members: 2, part: 1, limits: 0, rows_total: 0, row_age_seconds: 0 });
  run(it, 2, '/', 0.5, 0, 4);
  const { rows_total: rows, row_age_seconds: age, ...others } = await scraped();
  t.same(others, { members: 2, part: 1, limits: 1 });
  t.ok((rows as number) > 2, `${rows} rows`);
  t.ok((age as number) < 1.5, `${age} s`);

  // The other goes on, and nothing is heard of it any more.
  for (let turn = 0; turn < 40; turn++) {
    it.clock.advance(TICK_MS);
    first.one('acme');
    it.fleets[0].tick();
  }
  const silent = await scraped();
  t.ok((silent['row_age_seconds'] as number) >= 4 && (silent['row_age_seconds'] as number) < 5.5);
  t.equal(silent['rows_total'], rows);

  // Of whom nothing counts no age is of interest.
  it.fleets[0].follow({ expected: 4, isIsolated: true, isFound: true });
  it.clock.advance(TICK_MS);
  first.one('acme');
  it.fleets[0].tick();
  t.match(await scraped(), { members: 1, part: 0.25, row_age_seconds: 0 }, 'who hears nobody counts nobody');
});
