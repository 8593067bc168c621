/** The laws of the counter, against sums made by hand; and the defects that other counters of its kind have. */
import fc from 'fast-check';
import t from 'tap';
import { DAYS_MAX } from '../../../src/limits/quotas/closed-days.ts';
import { type CounterRow, CounterStore } from '../../../src/limits/quotas/counter-store.ts';

const SELF = 'f'.repeat(16);
const actor = (name: number): string => name.toString(16).padStart(16, '0');
const row = (more: Partial<CounterRow> = {}): CounterRow => ({
  tenant: 'acme',
  meter: 'api_calls',
  day: 100,
  actor: actor(1),
  count: 10,
  credit: 0,
  ...more,
});
const storeOf = (more: object = {}): CounterStore => new CounterStore({ actor: SELF, ...more });

const rows = fc.array(
  fc.record({
    tenant: fc.constantFrom('acme', 'globex'),
    meter: fc.constantFrom('api_calls', 'bytes_out'),
    day: fc.integer({ min: 100, max: 102 }),
    actor: fc.constantFrom(actor(1), actor(2), actor(3)),
    count: fc.nat(1000),
    credit: fc.nat(100),
  }),
  { maxLength: 40 },
);

/** All that can be asked of a store. */
function seen(store: CounterStore): unknown {
  const values: Record<string, number> = {};
  for (const tenant of ['acme', 'globex'])
    for (const meter of ['api_calls', 'bytes_out'])
      for (let day = 100; day <= 102; day++) values[`${tenant} ${meter} ${day}`] = store.valueOf(tenant, meter, day);
  return { values, rows: [...store.rows()].map((each) => JSON.stringify(each)).sort() };
}

t.test('merge is commutative, associative and idempotent', async (t) => {
  await fc.assert(
    fc.property(rows, fc.infiniteStream(fc.nat()), fc.nat(), (all, random, cut) => {
      const inOrder = storeOf();
      for (const each of all) inOrder.merge(each);
      const shuffled = storeOf();
      const twice = [...all, ...all].map((each) => [random.next().value, each] as const).sort((a, b) => a[0] - b[0]);
      for (const [, each] of twice) shuffled.merge(each);
      // In groups: what one store made of the first part is merged into what another made of the rest.
      const [first, rest] = [storeOf(), storeOf()];
      for (const [at, each] of all.entries()) (at < cut % (all.length + 1) ? first : rest).merge(each);
      for (const each of first.rows()) rest.merge(each);
      t.same(seen(shuffled), seen(inOrder));
      t.same(seen(rest), seen(inOrder));
    }),
    { seed: 42, numRuns: 200 },
  );
});

t.test('the value is the sum of the largest counts, and without credits never falls', async (t) => {
  await fc.assert(
    fc.property(rows, (all) => {
      const store = storeOf();
      const largest = new Map<string, number>();
      const sums = new Map<string, number>();
      for (const each of all.map((one) => ({ ...one, credit: 0 }))) {
        const cell = `${each.tenant} ${each.meter} ${each.day}`;
        const before = store.valueOf(each.tenant, each.meter, each.day);
        store.merge(each);
        const known = largest.get(`${cell} ${each.actor}`) ?? 0;
        largest.set(`${cell} ${each.actor}`, Math.max(known, each.count));
        sums.set(cell, (sums.get(cell) ?? 0) + Math.max(0, each.count - known));
        const after = store.valueOf(each.tenant, each.meter, each.day);
        if (after < before || after !== sums.get(cell)) return false;
      }
      return true;
    }),
    { seed: 42, numRuns: 300 },
  );
  t.pass('seed 42');
});

const totals = fc.array(
  fc.record({
    tenant: fc.constantFrom('acme', 'globex'),
    meter: fc.constant('api_calls'),
    day: fc.integer({ min: 100, max: 102 }),
    total: fc.nat(1500),
  }),
  { maxLength: 20 },
);

t.test('totals of others: in any order and as often, none makes a day less, and the largest stands', async (t) => {
  await fc.assert(
    fc.property(rows, totals, fc.infiniteStream(fc.nat()), (counted, said, random) => {
      const [inOrder, shuffled] = [storeOf(), storeOf()];
      for (const store of [inOrder, shuffled]) for (const each of counted) store.merge(each);
      for (const each of said) {
        const before = inOrder.valueOf(each.tenant, each.meter, each.day);
        inOrder.mergeTotal(each);
        if (inOrder.valueOf(each.tenant, each.meter, each.day) !== Math.max(before, each.total)) return false;
        if (inOrder.mergeTotal(each) !== 'known') return false;
      }
      const twice = [...said, ...said].map((each) => [random.next().value, each] as const).sort((a, b) => a[0] - b[0]);
      for (const [, each] of twice) shuffled.mergeTotal(each);
      return JSON.stringify(seen(shuffled)) === JSON.stringify(seen(inOrder));
    }),
    { seed: 42, numRuns: 200 },
  );
  t.pass('seed 42');
});

t.test(
  'what is kept in its order is the same for the next life, whatever was counted, closed and opened again',
  async (t) => {
    const step = fc.record({
      kind: fc.constantFrom('add', 'add', 'refund', 'merge', 'total', 'close'),
      tenant: fc.constantFrom('acme', 'globex'),
      day: fc.integer({ min: 100, max: 102 }),
      units: fc.integer({ min: 1, max: 9 }),
    });
    await fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const store = storeOf();
        for (const { kind, tenant, day, units } of steps) {
          const meter = 'api_calls';
          if (kind === 'add') store.add(store.open(tenant, meter, day), units);
          else if (kind === 'refund') store.refund(store.open(tenant, meter, day), units);
          else if (kind === 'merge') store.merge(row({ tenant, day, count: units }));
          else if (kind === 'total') store.mergeTotal({ tenant, meter, day, total: 10 * units });
          else store.close(day, 0);
        }
        const next = new CounterStore({ actor: actor(9) });
        for (const kept of store.all()) {
          for (const total of kept.totals) next.restore(total);
          for (const each of kept.rows) next.recall(each);
        }
        return JSON.stringify(seen(next)) === JSON.stringify(seen(store));
      }),
      { seed: 42, numRuns: 300 },
    );
    t.pass('seed 42');
  },
);

t.test('closed and open days together are the truth, whoever counted, gossiped, restarted and closed', async (t) => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('add' as const),
        who: fc.nat(2),
        units: fc.integer({ min: 1, max: 9 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('refund' as const), who: fc.nat(2), units: fc.constant(1) }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('gossip' as const), who: fc.nat(2), units: fc.nat(2) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('restart' as const), who: fc.nat(2), units: fc.constant(0) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('day' as const), who: fc.constant(0), units: fc.constant(0) }),
    },
  );
  await fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      let lives = 0;
      const begin = (): CounterStore => new CounterStore({ actor: actor(++lives) });
      const stores = [begin(), begin(), begin()];
      let day = 100;
      let truth = 0;
      const tell = (from: CounterStore, to: CounterStore): void => {
        for (const each of from.rows()) to.merge(each);
      };
      const everybody = (): void => {
        for (const from of stores) for (const to of stores) tell(from, to);
      };
      for (const { kind, who, units } of steps) {
        const store = stores[who] as CounterStore;
        if (kind === 'add' || kind === 'refund') {
          const own = store.open('acme', 'm', day);
          if (kind === 'add') store.add(own, units);
          else store.refund(own, units);
          truth += kind === 'add' ? units : -units;
        } else if (kind === 'gossip') tell(store, stores[units] as CounterStore);
        else if (kind === 'restart') {
          const next = begin();
          for (const each of store.rows()) next.merge(each);
          for (const each of store.closed()) next.restore(each);
          stores[who] = next;
        } else {
          // A day closes when everybody has said everything of it.
          everybody();
          day++;
          for (const each of stores) each.close(day, 0);
        }
      }
      everybody();
      return stores.every((each) => each.sum('acme', 'm', 100, day + 1) === truth);
    }),
    { seed: 42, numRuns: 500 },
  );
  t.pass('seed 42');
});

t.test('changes come out once each, in the order of their versions, with the newest numbers', async (t) => {
  await fc.assert(
    fc.property(
      fc.array(fc.record({ day: fc.nat(5), units: fc.integer({ min: 1, max: 9 }) }), { maxLength: 60 }),
      fc.nat(60),
      (steps, cut) => {
        const store = storeOf();
        const other = storeOf({ actor: actor(9) });
        let version = 0;
        for (const [at, { day, units }] of steps.entries()) {
          store.add(store.open('acme', 'm', day), units);
          if (at !== cut) continue;
          for (const each of store.changedSince(0)) other.merge(each);
          version = store.version;
        }
        const changed = [...store.changedSince(version)];
        const touched = new Set(steps.slice(version === 0 ? 0 : cut + 1).map(({ day }) => day));
        for (const each of changed) other.merge(each);
        const versions = changed.map((each) => each.version);
        return (
          changed.length === touched.size &&
          versions.every((each, i) => i === 0 || each > (versions[i - 1] as number)) &&
          [0, 1, 2, 3, 4, 5].every((day) => store.valueOf('acme', 'm', day) === other.valueOf('acme', 'm', day))
        );
      },
    ),
    { seed: 42, numRuns: 500 },
  );
  t.pass('seed 42');
});

t.test('what changes or closes while the changes are read neither ends nor repeats them', async (t) => {
  const store = storeOf();
  for (let day = 100; day < 104; day++) store.add(store.open('acme', 'm', day), day);
  const read: [number, number][] = [];
  for (const { day, count } of store.changedSince(0)) {
    read.push([day, count]);
    store.add(store.open('acme', 'm', 102), 1);
    if (day === 102) store.close(104, 0);
  }
  t.same(read, [
    [100, 100],
    [101, 101],
    [102, 104],
  ]);
  t.same([...store.changedSince(0)], [], 'what is closed is no row any more');
  t.equal(store.sum('acme', 'm', 100, 104), 100 + 101 + 105 + 103);
});

t.test(
  "limitador's defect: a window that begins by a local count begins at that count, not at others' of the window before",
  async (t) => {
    const store = storeOf();
    store.merge(row({ count: 900, day: 100 }));
    store.add(store.open('acme', 'api_calls', 100), 50);
    store.add(store.open('acme', 'api_calls', 101), 1);
    t.equal(store.valueOf('acme', 'api_calls', 101), 1);
    t.equal(store.valueOf('acme', 'api_calls', 100), 950, 'and the day before keeps everybody');
  },
);

t.test(
  "limitador's defect: a process that restarts counts on, and nothing of it is hidden behind its past",
  async (t) => {
    const peer = storeOf({ actor: actor(8) });
    const before = storeOf({ actor: actor(1) });
    before.add(before.open('acme', 'm', 100), 10);
    for (const each of before.changedSince(0)) peer.merge(each);
    const after = storeOf({ actor: actor(2) });
    after.add(after.open('acme', 'm', 100), 3);
    for (const each of peer.rows()) after.merge(each);
    for (const each of after.changedSince(0)) peer.merge(each);
    t.equal(after.valueOf('acme', 'm', 100), 13);
    t.equal(peer.valueOf('acme', 'm', 100), 13);
    t.equal(
      before.merge(row({ actor: actor(1), tenant: 'acme', meter: 'm', count: 1000 })),
      'known',
      'nobody else knows what it counted',
    );
  },
);

t.test('of a closed day nothing is taken any more; a clock that was set back opens it again', async (t) => {
  const store = storeOf();
  store.add(store.open('acme', 'api_calls', 100), 7);
  store.close(101, 0);
  t.equal(store.merge(row({ count: 5 })), 'closed');
  t.equal(store.valueOf('acme', 'api_calls', 100), 7);
  store.add(store.open('acme', 'api_calls', 100), 2);
  t.equal(store.valueOf('acme', 'api_calls', 100), 9);
  t.equal(store.merge(row({ count: 5 })), 'closed', 'it is in what the day was closed with');
  t.equal(store.recall(row({ actor: actor(7), count: 1 })), 'merged', 'what an earlier life kept is not');
  t.equal(store.recall(row({ actor: actor(7), count: 1 })), 'known');
  t.equal(store.recall(row({ count: -1 })), 'malformed');
  t.equal(store.valueOf('acme', 'api_calls', 100), 10);
  store.refund(store.open('acme', 'api_calls', 100), 1);
  store.close(101, 0);
  t.equal(store.valueOf('acme', 'api_calls', 100), 9);
  t.same([...store.closed()], [{ tenant: 'acme', meter: 'api_calls', day: 100, total: 9 }]);
});

t.test('what an earlier life kept is in the total behind it, and on top of the total before it', async (t) => {
  const store = storeOf();
  const total = { tenant: 'acme', meter: 'api_calls', day: 100, total: 7 };
  store.recall(row({ count: 6 }));
  store.restore(total);
  t.equal(store.valueOf('acme', 'api_calls', 100), 7);
  store.recall(row({ count: 3 }));
  t.equal(store.valueOf('acme', 'api_calls', 100), 10);
  t.same([...store.all()], [{ totals: [total], rows: [row({ count: 3 })] }]);
});

t.test('a total that is restored stands for the rows of its day', async (t) => {
  const store = storeOf();
  for (const day of [99, 100, 101]) store.merge(row({ day }));
  t.ok(store.restore({ tenant: 'acme', meter: 'api_calls', day: 100, total: 25 }));
  t.equal(store.sum('acme', 'api_calls', 99, 102), 45);
  t.equal([...store.rows()].length, 2);
});

t.test('memory is that of what counted: what is old and empty goes, and its room is used again', async (t) => {
  const store = storeOf();
  for (let round = 0; round < 3; round++) {
    for (let tenant = 0; tenant < 50; tenant++)
      for (let day = 0; day < 4; day++) {
        store.add(store.open(`t${tenant}`, `m${round}`, day + round * 100), 1);
        store.merge(row({ tenant: `t${tenant}`, meter: `m${round}`, day: day + round * 100, actor: actor(round) }));
      }
    t.same(store.size, { series: 50, cells: 200, rows: 400 });
    store.close(round * 100 + 4, 0);
    t.same(store.size, { series: 50, cells: 0, rows: 0 });
    t.equal(store.sum('t7', `m${round}`, 0, 1000), 44);
    store.close(round * 100 + 4, round * 100 + 4);
    t.same(store.size, { series: 0, cells: 0, rows: 0 });
    t.equal(store.valueOf('t7', `m${round}`, round * 100), 0);
  }
  const kept = storeOf();
  kept.add(kept.open('acme', 'm', 100), 5);
  kept.close(200, 0);
  kept.close(200, 150);
  kept.add(kept.open('acme', 'm', 100 + DAYS_MAX), 1);
  kept.close(200, 150);
  t.equal(kept.valueOf('acme', 'm', 100), 0, 'a day of 64 days before is not taken for this one');
  t.equal(kept.valueOf('acme', 'm', 100 + DAYS_MAX), 1);
  kept.add(kept.open('acme', 'm', 300), 2);
  kept.close(200, 190);
  t.equal(kept.size.series, 1, 'what still counts stays');
});

t.test('bounds: there is room for so much, and the rest is told so', async (t) => {
  const store = storeOf({ seriesMax: 2 });
  t.equal(store.open('a', 'm', 1) >= 0, true);
  t.equal(store.merge(row({ tenant: 'b' })), 'merged');
  t.equal(store.open('c', 'm', 1), -1);
  t.equal(store.merge(row({ tenant: 'c' })), 'full');
  t.notOk(store.restore({ tenant: 'c', meter: 'm', day: 1, total: 1 }));
  const narrow = storeOf({ rowsMax: 2 });
  t.equal(narrow.merge(row()), 'merged');
  t.equal(narrow.merge(row({ actor: actor(2) })), 'merged');
  t.equal(narrow.merge(row({ actor: actor(3) })), 'full');
  t.equal(narrow.open('acme', 'api_calls', 100), -1);
  t.equal(narrow.open('acme', 'api_calls', 101), -1, 'a cell, but no row');
  t.equal(narrow.open('acme', 'api_calls', 102), -1, 'not even a cell');
  t.equal(narrow.merge(row({ day: 102 })), 'full');
  t.equal(narrow.valueOf('acme', 'api_calls', 100), 20);
  const meters = storeOf({ seriesMax: 5000 });
  for (let i = 0; i < 1024; i++) meters.merge(row({ meter: `m${i}` }));
  t.equal(meters.merge(row({ meter: 'more' })), 'full');
  t.equal(meters.merge(row({ tenant: 'globex', meter: 'm5' })), 'merged');
});

t.test('what can be no row changes nothing', async (t) => {
  const changed: string[] = [];
  const store = storeOf({ onChange: (tenant: string, meter: string) => changed.push(`${tenant} ${meter}`) });
  for (const bad of [
    { tenant: '' },
    { tenant: 'x'.repeat(64) },
    { tenant: 5 as never },
    { meter: '' },
    { day: 1.5 },
    { day: -1 },
    { day: 2 ** 40 },
    { actor: 'me' },
    { count: -1 },
    { count: Number.NaN },
    { count: 2 ** 51 },
    { credit: '5' as never },
  ]) {
    t.equal(store.merge(row(bad)), 'malformed', JSON.stringify(bad));
  }
  t.same(store.size, { series: 0, cells: 0, rows: 0 });
  t.same(changed, []);
  t.equal(store.merge(row()), 'merged');
  t.equal(store.merge(row()), 'known');
  t.equal(store.merge(row({ count: 4 })), 'known');
  t.same(changed, ['acme api_calls']);
});

t.test('of two totals of a day the larger stands; it closes the day where it is open', async (t) => {
  const store = storeOf({ seriesMax: 1 });
  const total = (units: number, tenant = 'acme') => ({ tenant, meter: 'api_calls', day: 100, total: units });
  store.merge(row({ count: 10 }));
  t.equal(store.mergeTotal(total(7)), 'merged', 'here more was known');
  t.equal(store.valueOf('acme', 'api_calls', 100), 10);
  t.equal(store.size.rows, 0);
  t.equal(store.mergeTotal(total(10)), 'known');
  t.equal(store.mergeTotal(total(12)), 'merged');
  t.equal(store.valueOf('acme', 'api_calls', 100), 12);
  t.equal(store.mergeTotal(total(-1)), 'malformed');
  t.equal(store.mergeTotal(total(1, 'globex')), 'full');
  t.equal(store.totals, 2);
  t.same([...store.ownRowsOf('acme', 'bytes_in')], []);
});
