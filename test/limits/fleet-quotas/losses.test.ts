/** What hard quotas lose with a fleet, and what not: lives that ended, counts that are old, collectors that are slow, full or silent. */
import t from 'tap';
import { freeOf } from '../../../src/limits/fleet-quotas/allowance.ts';
import { Changes } from '../../../src/limits/fleet-quotas/changes.ts';
import { keptAhead, keptLife, keptRow } from '../../../src/limits/fleet-quotas/kept-row.ts';
import { OriginLog } from '../../../src/limits/fleet-quotas/origin-log.ts';
import { row } from '../../../src/limits/fleet-quotas/row.ts';
import { CounterStore } from '../../../src/limits/quotas/counter-store.ts';
import { GaugeStore } from '../../../src/limits/quotas/gauge-store.ts';
import type { Identified } from '../../../src/pipeline/index.ts';
import type { Tenant } from '../../../src/tenants/index.ts';
import { exchangeForTest } from '../../pipeline/exchange-for-test.ts';
import { tenant } from '../world.ts';
import { after, dayOf, type Kept, keep, kept, MemoryKeeper, only, pass, settle, wait } from './kept-world.ts';
import { actorOf, Fleet, type Sidecar } from './world.ts';

const hard = (limit: number, per = 'day'): object => ({ api_calls: { per, limit, mode: 'hard' } });
const used = (fleet: Fleet, sidecar: Sidecar): number => fleet.line(sidecar, 'api_calls').used;

/** Asks at all until nothing is admitted any more for ten seconds; how many were. */
async function spend(fleet: Fleet, sidecars: readonly Sidecar[]): Promise<number> {
  let admitted = 0;
  for (let silentMs = 0; silentMs < 10_000; ) {
    let more = 0;
    for (const each of sidecars) more += fleet.ask(each, 10);
    silentMs = more === 0 ? silentMs + 500 : 0;
    admitted += more;
    await pass(fleet, 500);
  }
  return admitted;
}

t.test('sidecars that are replaced one by one, or killed among others, cost the next day nothing', async (t) => {
  const keeper = new MemoryKeeper();
  const [fleet, ...keepers] = await kept(4, keeper, hard(100), '2026-11-26T02:00:00Z');
  const olds = [...fleet.sidecars];
  const news: Sidecar[] = [];
  for (const [at, old] of olds.entries()) {
    const next = fleet.add();
    await keep(fleet, next, keeper);
    news.push(next);
    fleet.account(next);
    await pass(fleet, 6000);
    // The last is killed.
    if (at === 3) fleet.end(old, 'dead');
    else {
      fleet.leave(old);
      await (keepers[at] as Kept).checkpoint.leave();
    }
    await pass(fleet, 1000);
  }
  for (const old of olds) fleet.forget(old);
  // Who is left tells on what they said.
  await pass(fleet, 12_000);
  const late = fleet.add();
  await keep(fleet, late, keeper);
  await pass(fleet, 6000);
  fleet.clock.setWall('2026-11-27T03:00:00Z');
  await pass(fleet, 15_000);
  t.equal(await spend(fleet, [...news, late]), 100);
  t.equal(used(fleet, late), 100);
});

t.test('a life of which only older charters are known here may have spent what nobody here knows', async (t) => {
  const fleet = await Fleet.of(hard(300), 1);
  const { fleet: quotas } = only(fleet);
  const [day, root] = [dayOf(fleet), actorOf(50)];
  for (const at of [8, 9]) {
    const shared = row({ kind: 'share', day: day - 9 + at, meter: root, from: root, to: root }, 0, 2 ** 32);
    quotas.claims.merge({ ...shared, from: root });
    quotas.claims.merge({ ...shared, to: actorOf(at), y: 2 ** 31 });
    quotas.kept.restore(keptLife(actorOf(at), day, false));
  }
  quotas.kept.restored();
  fleet.account(only(fleet));
  await pass(fleet, 5000);
  t.equal(used(fleet, only(fleet)), freeOf(300), 'the one that had a part of a charter of its last day is known');
});

t.test('what a refused request declares is no bound', async (t) => {
  const LIMIT = 1_000_000;
  const quotas = { bytes_in: { per: 'day', limit: LIMIT, mode: 'hard' } };
  for (const length of ['5000', '600000', '900000000000', '600000000000000']) {
    const keeper = new MemoryKeeper();
    const [fleet] = await kept(1, keeper, quotas);
    const one = only(fleet);
    const x = exchangeForTest({ method: 'POST' }) as Identified;
    x.tenant = fleet.snapshot.tenants.get('acme') as Tenant;
    x.headers.append('content-length', length);
    t.match(one.quotas.check(fleet.account(one), x, fleet.clock.now(), true), { code: 'quota-exceeded' }, length);
    await wait(fleet, 500);
    const isOver = Number(length) > LIMIT;
    const ahead = isOver ? [] : [Math.min(2 * Number(length), LIMIT)];
    t.same(
      keeper.said('ahead').map((said) => JSON.parse(said.slice(said.lastIndexOf('[')))),
      ahead.map((units) => [units]),
    );
    t.equal(fleet.line(one, 'bytes_in').cap, isOver ? freeOf(LIMIT) : ahead[0]);
    t.equal(fleet.line(one, 'bytes_in').asked, isOver ? 0 : Number(length), 'nor is it asked of others');
  }
  // Of versions that did not know.
  const fleet = await Fleet.of(quotas, 1);
  const { fleet: next } = only(fleet);
  for (const [at, units] of [5000, 2 ** 52].entries()) {
    next.kept.restore(keptLife(actorOf(8 + at), dayOf(fleet), false));
    next.kept.restore(keptAhead('acme', 'bytes_in', dayOf(fleet), actorOf(8 + at), units));
  }
  next.kept.restored();
  fleet.account(only(fleet));
  await pass(fleet, 2000);
  t.equal(fleet.line(only(fleet), 'bytes_in').used, 5000 + LIMIT);
});

t.test('counts are kept until their window is over, though nobody runs who makes totals', async (t) => {
  const keeper = new MemoryKeeper();
  const month = { ...hard(300, 'month'), tokens: { per: 'day', limit: 1000 }, seats: { gauge: true, limit: 9 } };
  const [fleet, { checkpoint }] = await kept(1, keeper, month, '2026-11-02T12:00:00Z');
  only(fleet).quotas.report(fleet.account(only(fleet)), [{ meter: 'tokens', sign: '', units: 4 }]);
  t.equal(await spend(fleet, fleet.sidecars), 300);
  only(fleet).fleet.leave();
  await checkpoint.leave();
  keeper.expire(Date.parse('2026-11-09T12:00:00Z'));
  t.match(keeper.said('count'), [/^count acme api_calls \d+ \w+ \[300,0\]$/], 'of a day only those of the month');
  const [next, [life]] = await after(1, 1, keeper, month, '2026-11-09T12:00:00Z');
  await pass(next, 5000);
  t.equal(used(next, life as Sidecar), 300);
  t.equal(await spend(next, [life as Sidecar]), 0);
  keeper.expire(Date.parse('2026-12-03T00:00:00Z'));
  t.same(keeper.said('count'), [], 'and no longer');
  const unknown = row({ kind: 'count', tenant: 'nobody', meter: 'tokens', day: 100, from: actorOf(1) }, 1);
  t.equal(keptRow(unknown)?.untilMs, 142 * 86_400_000, 'of what nobody knows here as the longest window is');
});

t.test(
  'a collector without room has nothing for certain: that is said, and told once more when there is some',
  async (t) => {
    const keeper = new MemoryKeeper();
    keeper.room = 0;
    const [fleet, { checkpoint, lines }] = await kept(1, keeper, hard(300));
    const [one, today] = [only(fleet), dayOf(fleet)];
    t.notOk(checkpoint.isKept);
    t.match(
      lines.filter(({ event }) => event === 'quota.not_kept'),
      [{ event: 'quota.not_kept', remedy: /collectors of their own/ }],
    );
    t.equal(fleet.ask(one, 100), 100, 'quotas do not hang on it');
    const { counters } = one.fleet;
    for (let i = 0; i < 500; i++) counters.add(counters.open(`t-${i}`, 'tokens', today), 1);
    const { calls } = keeper;
    await pass(fleet, 30_000);
    t.ok(keeper.calls - calls <= 1, 'it is not asked all the time');
    keeper.room = 2;
    await pass(fleet, 60_000);
    t.notOk(checkpoint.isKept);
    t.equal(fleet.ask(one, 100), 100);
    keeper.room = Number.POSITIVE_INFINITY;
    await pass(fleet, 60_000);
    t.ok(checkpoint.isKept);
    t.equal(keeper.said('count').length, 501, 'those that were refused too');
    t.match(keeper.said('count'), [`count acme api_calls ${today} ${one.actor} [200,0]`]);
    t.equal(fleet.ask(one, 100), freeOf(300));
    t.equal(lines.filter(({ event }) => event === 'quota.not_kept').length, 1, 'said once');
    keeper.room = keeper.rows.size;
    counters.add(counters.open('late', 'tokens', today), 1);
    await pass(fleet, 1500);
    t.notOk(checkpoint.isKept, 'at once');
    keeper.room = Number.POSITIVE_INFINITY;
    await pass(fleet, 60_000);
    t.ok(checkpoint.isKept);
    keeper.trouble = new Error('it is down');
    await pass(fleet, 5000);
    t.match(lines.at(-1), { event: 'quota.not_kept', remedy: /is there/ });
  },
);

t.test('of a collector that began anew and has no room all is told once more', async (t) => {
  const keeper = new MemoryKeeper();
  const [fleet, { checkpoint }] = await kept(1, keeper, hard(300));
  const { counters } = only(fleet).fleet;
  for (let i = 0; i < 300; i++)
    counters.merge({ tenant: `t-${i}`, meter: 'tokens', day: dayOf(fleet), actor: actorOf(9), count: 1, credit: 0 });
  await pass(fleet, 2000);
  keeper.rows.clear();
  keeper.storeId = 'b';
  keeper.room = 250;
  let calls = 0;
  keeper.during = () => {
    // A call of others' rows fails: those are not lost.
    if (keeper.storeId === 'b' && ++calls === 3) throw new Error('once');
  };
  await pass(fleet, 10_000);
  t.notOk(checkpoint.isKept);
  keeper.room = Number.POSITIVE_INFINITY;
  await pass(fleet, 61_000);
  t.ok(checkpoint.isKept);
  t.equal(keeper.said('count').filter((each) => each.includes(actorOf(9))).length, 300);
});

t.test(
  'what is counted while it is handed over goes with the next, and hard quotas do not wait for all of it',
  async (t) => {
    const keeper = new MemoryKeeper();
    const [fleet, { checkpoint }] = await kept(1, keeper, hard(300_000));
    const one = only(fleet);
    const { counters } = one.fleet;
    const rows = Array.from({ length: 2500 }, (_, i) => counters.open(`t-${i}`, 'tokens', dayOf(fleet)));
    const count = (): void => {
      for (const each of rows) counters.add(each, 1);
    };
    count();
    // All of them count once in each call.
    keeper.during = () =>
      new Promise((resolve) => {
        fleet.clock.after(200, () => {
          count();
          resolve();
        });
      });
    await wait(fleet, 1100);
    const free = freeOf(300_000);
    for (let second = 0; second < 6; second++) {
      t.equal(fleet.ask(one, 2 * free), free, `in second ${second}`);
      await wait(fleet, 1000);
      t.ok(checkpoint.isKept, 'who answers is there');
    }
    t.equal(fleet.line(one, 'api_calls').cap, 7 * free);
    keeper.during = () => {};
    await wait(fleet, 3000);
    const all = counters.valueOf('t-2499', 'tokens', dayOf(fleet));
    t.equal(keeper.said('count').filter((each) => each.endsWith(` [${all},0]`)).length, 2500, 'the last of all');
  },
);

t.test('of many hard quotas each goes on as soon as it is kept', async (t) => {
  const keeper = new MemoryKeeper();
  const names = Array.from({ length: 300 }, (_, i) => `t-${i}`);
  const fleet = await Fleet.of(hard(3000), 1, ['acme', ...names].map((name) => tenant(name)).join(''));
  const one = only(fleet);
  await keep(fleet, one, keeper);
  for (const name of names) fleet.account(one, name);
  await pass(fleet, 5000);
  for (const name of names) t.equal(fleet.ask(one, 1, name), 1);
  let open = (): void => {};
  let calls = 0;
  // Before the last call, which has what is not urgent.
  keeper.during = () => (++calls === 3 ? new Promise((resolve) => (open = resolve)) : undefined);
  await wait(fleet, 1000);
  t.same(keeper.sizes.slice(-3), [200, 100, 200]);
  const caps = new Set(names.map((name) => fleet.line(one, 'api_calls', name).cap));
  t.same([...caps], [1 + freeOf(3000)]);
  open();
  await settle();
});

t.test('what changes behind a mark goes with the next one', (t) => {
  const [actor, other] = [actorOf(0), actorOf(1)];
  const [counters, own] = [new CounterStore({ actor }), new OriginLog(actor)];
  const changes = new Changes({ counters, gauges: new GaugeStore(actor), own, endOf: () => undefined });
  const tell = (meter: string): boolean =>
    own.put(row({ kind: 'count', tenant: 'acme', meter, day: 100, from: other }, 1));
  const next = (max: number): (string | undefined)[] =>
    changes.next(max).rows.map(({ key }) => Buffer.from(key).toString('latin1').split(' ')[2]);
  for (const meter of ['a', 'b']) tell(meter);
  changes.mark();
  t.same(next(1), ['a']);
  changes.done(0);
  tell('c');
  t.same(next(9), ['b']);
  t.same(next(9), ['b'], 'until it is kept');
  changes.done(0);
  t.same(next(9), []);
  t.ok(changes.isBehind);
  changes.mark();
  t.same(next(9), ['c']);
  changes.done(1);
  t.notOk(changes.isBehind);
  changes.mark();
  t.same(next(9), ['c'], 'there was no room for it');
  changes.done(0);
  t.notOk(changes.isBehind);

  const counted = ['d', 'e', 'f'].map((meter) => counters.open('acme', meter, 100));
  const count = (): void => {
    for (const each of counted) counters.add(each, 1);
  };
  count();
  changes.mark();
  for (const meter of ['d', 'e', 'f']) {
    t.same(next(1), [meter]);
    changes.done(0);
    count();
  }
  t.same(next(1), [], 'whatever is counted meanwhile');

  counters.merge({ tenant: 'acme', meter: 'g', day: 100, actor: other, count: 1, credit: 0 });
  changes.begin();
  changes.mark();
  const all = next(9);
  t.ok(all.includes('g'));
  changes.mark();
  t.same(next(9), all, 'what others counted too, until it is kept');
  t.end();
});

t.test('a life is charged once in a window, however often the fleet is lost behind it', async (t) => {
  const keeper = new MemoryKeeper();
  await kept(3, keeper, hard(300, 'month'), '2026-11-02T12:00:00Z');
  for (const [gone, wall] of [
    [3, '2026-11-03T12:00:00Z'],
    [4, '2026-11-04T12:00:00Z'],
    [5, '2026-11-09T12:00:00Z'],
    [6, '2026-11-12T12:00:00Z'],
  ] as const) {
    keeper.expire(Date.parse(wall));
    const [fleet, [life]] = await after(gone, 1, keeper, hard(300, 'month'), wall);
    fleet.account(life as Sidecar);
    await pass(fleet, 30_000);
    t.equal(used(fleet, life as Sidecar), gone * freeOf(300), wall);
    // Days that are over become totals.
    (life as Sidecar).fleet.counters.close(dayOf(fleet), dayOf(fleet) - 33);
    (life as Sidecar).fleet.closed(dayOf(fleet), dayOf(fleet) - 33);
    await pass(fleet, 15_000);
  }
});

t.test('where the day of the charter is a total already, lives are charged on the day that it is', async (t) => {
  const fleet = await Fleet.of(hard(300, 'month'), 1);
  fleet.clock.setWall('2026-11-02T12:00:00Z');
  const one = only(fleet);
  fleet.account(one);
  await pass(fleet, 3000);
  fleet.clock.setWall('2026-11-03T12:00:00Z');
  t.equal(fleet.ask(one, 10), 10);
  fleet.clock.setWall('2026-11-05T12:00:00Z');
  const day = dayOf(fleet);
  one.fleet.counters.close(day, day - 33);
  one.fleet.kept.restore(keptLife(actorOf(8), day - 1, false));
  for (let i = 0; i < 2; i++) {
    one.fleet.kept.restored();
    await pass(fleet, 1000);
    t.equal(used(fleet, one), 10 + freeOf(300));
  }
  t.equal(one.fleet.counters.valueOf('acme', 'api_calls', day), freeOf(300));
});

t.test('who leaves waits a second and a half for a collector that says nothing', async (t) => {
  const keeper = new MemoryKeeper();
  const [fleet, { checkpoint }] = await kept(1, keeper, hard(300));
  let open = (): void => {};
  keeper.gate = new Promise((resolve) => (open = resolve));
  const { counters } = only(fleet).fleet;
  for (let i = 0; i < 500; i++) counters.add(counters.open(`t-${i}`, 'tokens', dayOf(fleet)), 1);
  await wait(fleet, 1000);
  only(fleet).fleet.leave();
  let isLeft = false;
  void checkpoint.leave().then(() => (isLeft = true));
  await wait(fleet, 1450);
  t.notOk(isLeft);
  await wait(fleet, 50);
  t.ok(isLeft);
  const { calls } = keeper;
  open();
  await settle();
  t.equal(keeper.calls, calls, 'and tells it nothing any more');
  t.match(keeper.said('life'), [/,0\]$/]);
});

t.test('a farewell is said behind all that was counted, and not while something is in flight', async (t) => {
  const keeper = new MemoryKeeper();
  const [fleet, { checkpoint }] = await kept(1, keeper, hard(300));
  const { counters } = only(fleet).fleet;
  for (let i = 0; i < 900; i++) counters.add(counters.open(`t-${i}`, 'tokens', dayOf(fleet)), 1);
  let calls = 0;
  keeper.during = () => {
    if (++calls === 4) throw new Error('down');
  };
  only(fleet).fleet.leave();
  await checkpoint.leave();
  t.match(keeper.said('life'), [/,0\]$/], 'the collector does not have all');

  const other = new MemoryKeeper();
  other.trouble = new Error('down');
  const [late, keeping] = await kept(1, other, hard(300));
  // The life is said only now.
  late.line(only(late), 'api_calls').reserved = 1;
  other.trouble = undefined;
  const again = await keep(late, only(late), other);
  keeping.checkpoint.close();
  only(late).fleet.leave();
  await again.checkpoint.leave();
  t.match(other.said('life'), [/,0\]$/]);
});

t.test('what a collector had is looked at line by line, some in a turn', async (t) => {
  const names = Array.from({ length: 100 }, (_, i) => `t-${i}`);
  const fleet = await Fleet.of(hard(3000), 1, names.map((name) => tenant(name)).join(''));
  const one = only(fleet);
  await pass(fleet, 1000);
  for (const name of names) fleet.account(one, name);
  one.fleet.kept.restore(keptLife(actorOf(8), dayOf(fleet), false));
  one.fleet.kept.restored();
  const charged = (): number => names.filter((name) => fleet.line(one, 'api_calls', name).used > 0).length;
  t.equal(charged(), 0);
  t.ok(one.fleet.isBehind);
  let before = 0;
  for (let turn = 0; one.fleet.isBehind && turn < 20; turn++) {
    one.fleet.turn();
    const now = charged();
    t.ok(now - before <= 20, `${now - before} in a turn`);
    before = now;
  }
  t.equal(charged(), 100);
});
