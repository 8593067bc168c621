/** What a collector keeps of quotas, and what hard ones hold back for it; on one clock, with a collector made of a map. */
import t from 'tap';
import { Allowance, freeOf } from '../../../src/limits/fleet-quotas/allowance.ts';
import { registerCheckpoint } from '../../../src/limits/fleet-quotas/fleet-counts.ts';
import { FleetQuotas } from '../../../src/limits/fleet-quotas/fleet-quotas.ts';
import { type KeptRow, keptAhead, keptLife, keptRow, readKept } from '../../../src/limits/fleet-quotas/kept-row.ts';
import { row } from '../../../src/limits/fleet-quotas/row.ts';
import type { Identified } from '../../../src/pipeline/index.ts';
import { createMetrics } from '../../../src/telemetry/index.ts';
import type { Tenant } from '../../../src/tenants/index.ts';
import { exchangeForTest } from '../../pipeline/exchange-for-test.ts';
import { after, dayOf, type Kept, keep, kept, MemoryKeeper, only, pass, settle, wait } from './kept-world.ts';
import { actorOf, Fleet, type Sidecar } from './world.ts';

const HARD = { api_calls: { per: 'day', limit: 300, mode: 'hard' }, tokens: { per: 'day', limit: 1000 } };

function asked(fleet: Fleet): Identified {
  const x = exchangeForTest() as Identified;
  x.tenant = fleet.snapshot.tenants.get('acme') as Tenant;
  return x;
}

t.test(
  'a fleet that is gone with its disks: counts are as they were, and of hard quotas what is left for certain',
  async (t) => {
    const keeper = new MemoryKeeper();
    const [old] = await kept(3, keeper, HARD);
    for (let i = 0; i < 4; i++) {
      for (const each of old.sidecars) t.equal(old.ask(each, 10), 10);
      await pass(old, 500);
    }
    t.equal(keeper.said('life').length, 3);
    const [fleet, lives] = await after(3, 3, keeper, HARD);
    for (const each of lives) t.equal(each.fleet.counters.valueOf('acme', 'api_calls', dayOf(fleet)), 120);
    await pass(fleet, 5000);
    for (const each of lives)
      t.equal(
        fleet.line(each, 'api_calls').used,
        120 + 3 * freeOf(300),
        'what they may have spent last is taken for spent',
      );
    let admitted = 0;
    for (let i = 0; i < 60; i++) {
      for (const each of lives) admitted += fleet.ask(each, 4);
      await pass(fleet, 250);
    }
    t.ok(admitted <= 180, `${admitted}, and 120 before: not more than 300`);
    t.ok(admitted >= 180 - 3 * (freeOf(300) + 1), `${admitted} are all that is left for certain`);
    const [again] = await after(6, 1, keeper, HARD);
    await pass(again, 5000);
    t.equal(
      again.line(again.sidecars[6] as Sidecar, 'api_calls').used,
      120 + admitted + 6 * freeOf(300),
      'and once more, of which the first three are charged once',
    );
  },
);

t.test('who said farewell spent nothing that is not kept; nor did who has a part of the charter', async (t) => {
  const keeper = new MemoryKeeper();
  const [old, one, other] = await kept(2, keeper, HARD);
  for (const each of old.sidecars) t.equal(old.ask(each, 10), 10);
  await pass(old, 1000);
  for (const each of old.sidecars) each.fleet.leave();
  for (const each of [one, other] as Kept[]) await each.checkpoint.leave();
  t.match(keeper.said('life'), [/,1\]$/, /,1\]$/]);
  const [fleet, [life]] = await after(2, 1, keeper, HARD);
  await pass(fleet, 5000);
  t.equal(fleet.line(life as Sidecar, 'api_calls').used, 20);
  t.equal(fleet.ask(life as Sidecar, 16), 16);
  // It crashes, and who comes next finds one that lives.
  const joined = fleet.add();
  await keep(fleet, joined, keeper);
  await pass(fleet, 5000);
  fleet.end(life as Sidecar, 'dead');
  fleet.forget(life as Sidecar);
  const last = fleet.add();
  await keep(fleet, last, keeper);
  await pass(fleet, 5000);
  t.equal(fleet.line(last, 'api_calls').used, 36, 'what a holder of the charter may have spent is in its rights');
  t.equal(fleet.line(joined, 'api_calls').used, 36);
});

t.test('a sidecar that leaves while requests are in flight does not say that it spent no more', async (t) => {
  const keeper = new MemoryKeeper();
  const [fleet, { checkpoint }] = await kept(1, keeper, HARD);
  const line = fleet.line(only(fleet), 'api_calls');
  line.reserved = 1;
  only(fleet).fleet.leave();
  await checkpoint.leave();
  t.match(keeper.said('life'), [/,0\]$/]);
});

t.test('a hard quota goes no further ahead of the collector than it may, and on as soon as that answers', async (t) => {
  const keeper = new MemoryKeeper();
  const [fleet] = await kept(1, keeper, HARD);
  const one = only(fleet);
  let open = (): void => {};
  keeper.gate = new Promise((resolve) => (open = resolve));
  t.equal(fleet.ask(one, 30), freeOf(300), 'ahead of what it has, which is nothing');
  const account = fleet.account(one);
  const refusal = one.quotas.check(account, asked(fleet), fleet.clock.now(), true);
  t.match(refusal, {
    code: 'quota-exceeded',
    retryAfterMs: 2000,
    detail: /there is more, but this sidecar has to account/,
  });
  await wait(fleet, 1000);
  t.equal(fleet.ask(one, 1), 0);
  open();
  await settle();
  t.equal(fleet.ask(one, 30), freeOf(300));
  // What is half of it ahead is handed over at once, not only each quarter of a second.
  await wait(fleet, 50);
  t.equal(fleet.ask(one, 8), 8);
  const { calls } = keeper;
  await wait(fleet, 50);
  t.equal(keeper.calls, calls + 1);
});

t.test('a request that needs more than that says so, and is admitted once it is kept', async (t) => {
  const keeper = new MemoryKeeper();
  const quotas = { tokens: { per: 'day', limit: 1000, mode: 'hard', estimate: 100 } };
  const fleet = await Fleet.of(quotas, 1);
  const one = only(fleet);
  await keep(fleet, one, keeper);
  fleet.line(one, 'tokens');
  await pass(fleet, 2000);
  t.equal(fleet.ask(one, 1), 0);
  await wait(fleet, 100);
  t.match(keeper.said('ahead'), [/^ahead acme tokens \d+ 0{15}1 \[200\]$/]);
  t.equal(fleet.ask(one, 3), 2);
  const [next, [life]] = await after(1, 1, keeper, quotas);
  await pass(next, 2000);
  t.equal(next.line(life as Sidecar, 'tokens').used, 200, 'so much may have been spent, though nothing was reported');
});

t.test(
  'a collector that does not answer holds nothing up after two seconds, and holds again when it is back',
  async (t) => {
    const keeper = new MemoryKeeper();
    const [fleet, { checkpoint, lines }] = await kept(1, keeper, HARD);
    const one = only(fleet);
    t.ok(checkpoint.isKept);
    keeper.trouble = new Error('it is down');
    const { calls } = keeper;
    t.equal(fleet.ask(one, 100), freeOf(300));
    await pass(fleet, 3000);
    t.notOk(checkpoint.isKept);
    t.equal(fleet.ask(one, 100), 100, 'quotas do not hang on it');
    await pass(fleet, 30_000);
    t.match(
      lines.map(({ event }) => event),
      ['quota.kept', 'quota.not_kept'],
      'said once',
    );
    t.ok(keeper.calls - calls < 14, `${keeper.calls - calls} calls: ever less often`);
    keeper.trouble = undefined;
    await pass(fleet, 11_000);
    t.ok(checkpoint.isKept);
    t.equal(lines.length, 3);
    t.match(keeper.said('count'), [`count acme api_calls ${dayOf(fleet)} ${one.actor} [${100 + freeOf(300)},0]`]);
    t.equal(fleet.ask(one, 100), freeOf(300));
    checkpoint.close();
    t.equal(fleet.ask(one, 10), 10, 'nothing is held for a collector that nobody talks to');
  },
);

t.test('a start does not wait for a collector that is away, and takes what it has later', async (t) => {
  const keeper = new MemoryKeeper();
  const [old] = await kept(1, keeper, HARD);
  t.equal(old.ask(only(old), 10), 10);
  await pass(old, 1000);
  keeper.trouble = new Error('it is down');
  const fleet = await Fleet.of(HARD, 2);
  const [gone, life] = fleet.sidecars as [Sidecar, Sidecar];
  fleet.end(gone, 'dead');
  fleet.forget(gone);
  const { checkpoint, lines } = await keep(fleet, life, keeper);
  t.match(lines, [{ event: 'quota.not_restored', remedy: /metering\.collector/ }]);
  await checkpoint.leave();
  const again = await keep(fleet, life, keeper);
  fleet.line(life, 'api_calls');
  await pass(fleet, 5000);
  t.equal(fleet.ask(life, 100), 100, 'the quota begins anew');
  keeper.trouble = undefined;
  await pass(fleet, 11_000);
  t.equal(fleet.line(life, 'api_calls').used, 110 + freeOf(300));
  t.equal(again.checkpoint.counts.restored, 2);
  let metrics = '';
  const away = createMetrics({ timers: fleet.clock });
  registerCheckpoint(away, checkpoint);
  for await (const chunk of away.exposition()) metrics += chunk;
  t.match(metrics, /^reeve_quota_kept 0$/m);
  const registry = createMetrics({ timers: fleet.clock });
  registerCheckpoint(registry, again.checkpoint);
  for await (const chunk of registry.exposition()) metrics += chunk;
  t.match(metrics, /^reeve_quota_kept 1$/m);
  t.match(metrics, /^reeve_quota_kept_rows_total\{result="restored"\} 2$/m);
  t.match(metrics, /^reeve_quota_keep_failures_total [1-9]/m);
});

t.test('a collector that began anew is told all, what others counted too', async (t) => {
  const keeper = new MemoryKeeper();
  const quotas = { ...HARD, seats: { gauge: true, limit: 9 } };
  const [fleet] = await kept(2, keeper, quotas);
  for (const each of fleet.sidecars) fleet.ask(each, 10);
  const [one, other] = fleet.sidecars as [Sidecar, Sidecar];
  one.quotas.report(fleet.account(one), [{ meter: 'seats', sign: '', units: 4 }]);
  one.fleet.counters.restore({ tenant: 'acme', meter: 'tokens', day: 100, total: 7 });
  fleet.end(other, 'dead');
  await pass(fleet, 2000);
  const before = [...keeper.rows.keys()];
  t.match(keeper.said('gauge'), [/^gauge acme seats \[\d+,4,"0{15}1"\]$/]);
  keeper.rows.clear();
  keeper.storeId = 'b';
  await pass(fleet, 6000);
  t.same(
    [...keeper.rows.keys()].filter((key) => !key.startsWith('life')).sort(),
    [...before.filter((key) => !key.startsWith('life')), 'total acme tokens 100'].sort(),
  );
  t.match(keeper.said('life'), [/^life 0{15}1 /]);
  // What was allowed ahead of the old one is asked of the new one.
  one.fleet.kept.allowance.lacks(fleet.line(one, 'api_calls'), 100);
  await wait(fleet, 100);
  t.equal(keeper.said('ahead').length, 1);
  keeper.rows.clear();
  keeper.storeId = 'c';
  await pass(fleet, 6000);
  t.match(keeper.said('ahead'), [/\[200\]$/]);
});

t.test('many rows go in calls of 200, and what there is no room for is counted', async (t) => {
  const keeper = new MemoryKeeper();
  const [fleet, { checkpoint }] = await kept(1, keeper, HARD);
  const { counters } = only(fleet).fleet;
  for (let i = 0; i < 4500; i++) counters.add(counters.open(`t-${i}`, 'tokens', dayOf(fleet)), 1);
  keeper.room = 4000;
  await pass(fleet, 2000);
  t.same(
    keeper.sizes.filter((size) => size >= 100),
    [...Array.from({ length: 22 }, () => 200), 100],
  );
  t.equal(keeper.rows.size, 4000);
  t.equal(checkpoint.counts.refused, 4501 - 4000);
});

t.test('totals of closed days are kept by who tells them, and restored behind the counts', async (t) => {
  const keeper = new MemoryKeeper();
  const [fleet] = await kept(1, keeper, HARD);
  const one = only(fleet);
  t.equal(fleet.ask(one, 10), 10);
  await pass(fleet, 1000);
  const day = dayOf(fleet);
  fleet.clock.advance(3 * 86_400_000);
  one.fleet.counters.close(day + 1, day - 30);
  one.fleet.closed(day + 1, day - 30);
  await pass(fleet, 15_000);
  t.match(keeper.said('total'), [`total acme api_calls ${day} [10]`, `total acme tokens ${day} [0]`].slice(0, 1));
  const [next, [life]] = await after(1, 1, keeper, HARD);
  next.clock.advance(3 * 86_400_000);
  await keep(next, life as Sidecar, keeper);
  t.equal((life as Sidecar).fleet.counters.valueOf('acme', 'api_calls', day), 10);
  t.same(
    [...(life as Sidecar).fleet.counters.closed()].map(({ total }) => total),
    [10],
  );
});

t.test('the life is said anew each day; a life of the day before yesterday spent nothing of today', async (t) => {
  const keeper = new MemoryKeeper();
  const [fleet] = await kept(1, keeper, HARD);
  fleet.clock.advance(86_400_000);
  await pass(fleet, 1000);
  t.match(keeper.said('life'), [new RegExp(`\\[${dayOf(fleet)},0\\]$`)]);
  const [next, [life]] = await after(1, 1, keeper, HARD);
  next.clock.advance(3 * 86_400_000);
  await pass(next, 5000);
  t.equal(next.line(life as Sidecar, 'api_calls').used, 0);
});

t.test(
  'without a tenancy nothing is spent; and what was handed over of a line that is gone changes nothing',
  async (t) => {
    const fleet = await Fleet.of(HARD, 1);
    const { clock } = fleet;
    const quotas = new FleetQuotas({ actor: actorOf(7), clock });
    quotas.kept.restored();
    quotas.turn();
    quotas.escrow.learn(
      row({ kind: 'grant', tenant: 'acme', meter: 'api_calls', from: actorOf(1), to: actorOf(2) }, 1),
    );
    t.same([quotas.kept.isEndowed, quotas.kept.isSpending, quotas.unreachable], [false, false, 0]);
    quotas.leave();
    const allowance = new Allowance(() => {});
    const line = fleet.line(only(fleet), 'api_calls');
    for (const at of [() => allowance.asks(line), () => allowance.lacks(line, 5)]) at();
    t.notOk(allowance.isTouched);
    allowance.open('acme', line);
    allowance.become('held');
    line.spent = 50;
    allowance.asks(line);
    const said = allowance.say();
    allowance.drop(line);
    allowance.confirm(said);
    allowance.open('acme', line);
    t.equal(allowance.capOf(line), freeOf(300));
    allowance.lacks(line, 20);
    t.equal(allowance.say()[0]?.ahead, 40);
    allowance.confirm(allowance.say());
    allowance.lacks(line, 30);
    t.equal(allowance.say()[0]?.ahead, undefined, 'it may be so far ahead already');
  },
);

t.test('rows that cannot be are left out', async (t) => {
  const fleet = await Fleet.of(HARD, 1);
  const { fleet: quotas } = only(fleet);
  const [from, day] = [actorOf(9), dayOf(fleet)];
  const good = keptRow(row({ kind: 'count', tenant: 'acme', meter: 'tokens', day, from }, 5, 1)) as KeptRow;
  const bytes = (of: string): Uint8Array => Buffer.from(of);
  const bad: KeptRow[] = [
    { ...good, value: bytes('[5') },
    { ...good, value: bytes('{}') },
    { ...good, value: bytes('["5",1]') },
    { ...good, value: bytes(`[${2 ** 51},1]`) },
    { ...good, key: bytes(`count acme tokens ${day} nobody`) },
    { ...good, key: bytes('count') },
    { ...good, key: bytes('other acme') },
    { ...good, key: bytes('x'.repeat(300)) },
    { ...good, key: bytes(`ahead acme tokens ${day} ${from}`), value: bytes('["x"]') },
    { ...good, key: bytes(`life ${from}`), value: bytes('[]') },
    { ...keptLife(quotas.actor, day, false) },
  ];
  for (const each of bad) quotas.kept.restore(each);
  t.equal(quotas.counters.valueOf('acme', 'tokens', day), 0);
  quotas.kept.restore(good);
  t.equal(quotas.counters.valueOf('acme', 'tokens', day), 4);
  t.equal(keptRow(row({ kind: 'want' }, 1)), undefined, 'rights are not kept');
  for (const each of [keptAhead('a', 'b', 3, from, 7), keptLife(from, 3, true)]) t.not(readKept(each), undefined);
  t.match(readKept(keptRow(row({ kind: 'gauge', tenant: 'a', meter: 'b', from }, 9, 2)) as KeptRow), {
    row: { kind: 'gauge', from, x: 9, y: 2 },
  });
});

t.test('what was kept of lives is charged once there is a charter, and once', async (t) => {
  const fleet = await Fleet.of(HARD, 1);
  const one = only(fleet);
  one.fleet.kept.restore(keptLife(actorOf(8), dayOf(fleet), false));
  one.fleet.kept.restored();
  const line = fleet.line(one, 'api_calls');
  t.equal(line.used, 0, 'there is none');
  await pass(fleet, 2000);
  t.equal(fleet.line(one, 'api_calls').used, freeOf(300));
  one.fleet.kept.restored();
  t.equal(line.used, freeOf(300));
});

t.test('a sidecar without a part may spend what it was granted, once the collector knows of it', async (t) => {
  const keeper = new MemoryKeeper();
  const fleet = await Fleet.of(HARD, 2);
  const [one, other] = fleet.sidecars as [Sidecar, Sidecar];
  const [day, from] = [dayOf(fleet), one.actor];
  const charter = row({ kind: 'share', day, meter: from, from, to: from }, 0, 2 ** 32);
  const grant = row({ kind: 'grant', tenant: 'acme', meter: 'api_calls', day, from, to: other.actor }, 9);
  for (const each of [charter, grant]) other.fleet.claims.merge(each);
  await keep(fleet, other, keeper);
  t.equal(fleet.ask(other, 20), 0);
  await wait(fleet, 100);
  t.match(keeper.said('life'), [/^life 0{15}2 /]);
  t.equal(fleet.ask(other, 20), 9);
});
