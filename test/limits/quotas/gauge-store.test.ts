import fc from 'fast-check';
import t from 'tap';
import { type GaugeRow, GaugeStore } from '../../../src/limits/quotas/gauge-store.ts';

const actor = (name: number): string => name.toString(16).padStart(16, '0');

t.test('the last report stands, in whatever order and however often they come', async (t) => {
  const rows = fc.array(
    fc.record({
      tenant: fc.constantFrom('acme', 'globex'),
      meter: fc.constant('storage_bytes'),
      value: fc.nat(100),
      at: fc.integer({ min: 1, max: 5 }),
      actor: fc.constantFrom(actor(1), actor(2)),
    }),
    { maxLength: 20 },
  );
  // One actor says one thing at one moment.
  const consistent = rows.map((all) => [
    ...new Map(all.map((each) => [`${each.tenant} ${each.at} ${each.actor}`, each])).values(),
  ]);
  await fc.assert(
    fc.property(consistent, fc.infiniteStream(fc.nat()), (all, random) => {
      const of = (order: readonly GaugeRow[]): number[] => {
        const store = new GaugeStore(actor(9));
        for (const each of order) store.merge(each);
        return ['acme', 'globex'].map((tenant) => store.valueOf(tenant, 'storage_bytes'));
      };
      const shuffled = [...all, ...all].map((each) => [random.next().value, each] as const).sort((a, b) => a[0] - b[0]);
      t.same(of(shuffled.map(([, each]) => each)), of(all));
    }),
    { seed: 42, numRuns: 200 },
  );
});

t.test('own reports come out once, are never older than what they replace, and never below 0', async (t) => {
  const store = new GaugeStore(actor(1), 2);
  t.ok(store.set('acme', 'seats', 5, 1000));
  const first = store.version;
  t.ok(store.set('acme', 'seats', -3, 10), 'a clock that was set back');
  t.same(
    [...store.changedSince(first)].map(({ value, at }) => [value, at]),
    [[0, 1001]],
  );
  t.same([...store.changedSince(store.version)], []);
  t.ok(store.merge({ tenant: 'globex', meter: 'seats', value: 7, at: 5, actor: actor(2) }));
  t.same(
    [...store.changedSince(0)].map(({ tenant }) => tenant),
    ['acme'],
    "others' do not",
  );
  t.notOk(store.set('initech', 'seats', 1, 1), 'full');
  t.notOk(store.merge({ tenant: 'initech', meter: 'seats', value: 1, at: 1, actor: actor(2) }));
  t.equal(store.valueOf('initech', 'seats'), 0);
  t.same([store.size, [...store.rows()].length], [2, 2]);
  store.set('acme', 'seats', 2 ** 60, 2000);
  t.equal(store.valueOf('acme', 'seats'), 2 ** 50);
});

t.test('what can be no row changes nothing', async (t) => {
  const store = new GaugeStore(actor(1));
  const row = { tenant: 'acme', meter: 'seats', value: 5, at: 5, actor: actor(2) };
  for (const bad of [{ tenant: '' }, { meter: '' }, { value: -1 }, { at: Number.NaN }, { actor: 'x' }])
    t.notOk(store.merge({ ...row, ...bad }), JSON.stringify(bad));
  t.equal(store.size, 0);
});

t.test('when it was last reported', async (t) => {
  const store = new GaugeStore(actor(1));
  t.equal(store.reportedAt('acme', 'storage_bytes'), 0);
  store.set('acme', 'storage_bytes', 5, 1000);
  t.equal(store.reportedAt('acme', 'storage_bytes'), 1000);
});
