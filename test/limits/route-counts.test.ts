import fc from 'fast-check';
import t from 'tap';
import { Gcra, type Rate } from '../../src/limits/gcra.ts';
import { RouteCounts } from '../../src/limits/route-counts.ts';

const SEED = 42;
const SLOTS = 4;
const RATES: readonly Rate[] = [
  { perSec: 1, burst: 3 },
  { perSec: 10, burst: 5 },
  { perSec: 0.01, burst: 2 },
];

t.test('lazily settled counts are those of arrays that are settled at once', (t) => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('take' as const), route: fc.nat(2), slot: fc.nat(SLOTS - 1), gap: fc.nat(3000) }),
    fc.record({ do: fc.constant('swap' as const), rates: fc.array(fc.nat(2), { minLength: 3, maxLength: 3 }) }),
    fc.record({ do: fc.constant('forget' as const), slot: fc.nat(SLOTS - 1) }),
    fc.record({ do: fc.constant('forgetRoute' as const), route: fc.nat(2) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const counts = new RouteCounts(16, 3);
      counts.reserve(SLOTS);
      const dense = [0, 1, 2].map(() => new Gcra(SLOTS));
      let rates = [0, 0, 0];
      let now = 1000;
      for (const each of steps) {
        if (each.do === 'take') {
          now += each.gap;
          const rate = RATES[rates[each.route] as number] as Rate;
          const gcra = dense[each.route] as Gcra;
          const waits = [counts.waitMs(each.route, each.slot, rate, now), gcra.waitMs(each.slot, rate, 1, now)];
          const lefts = [counts.left(each.route, each.slot, rate, now), gcra.left(each.slot, rate, now)];
          if (Math.abs((waits[0] as number) - (waits[1] as number)) > 1e-6) return false;
          if (Math.abs((lefts[0] as number) - (lefts[1] as number)) > 1e-9) return false;
          counts.take(each.route, each.slot, rate, now, 2);
          gcra.take(each.slot, rate, 1, now, 2);
        } else if (each.do === 'swap') {
          for (const [at, next] of each.rates.entries()) {
            const [before, after] = [RATES[rates[at] as number] as Rate, RATES[next] as Rate];
            if (before === after) continue;
            counts.settle(at, before, after, now);
            for (let slot = 0; slot < SLOTS; slot++) dense[at]?.settle(slot, before, after, now);
          }
          rates = each.rates;
          counts.turn(now);
        } else if (each.do === 'forget') {
          counts.forget(each.slot);
          for (const gcra of dense) gcra.forget(each.slot);
        } else {
          counts.forgetRoute(each.route);
          dense[each.route] = new Gcra(SLOTS);
        }
      }
      return counts.size <= 16;
    }),
    { seed: SEED, numRuns: 500 },
  );
  t.pass(`seed ${SEED}`);
  t.end();
});

t.test('memory follows use: what has drained, and what is gone, makes room', (t) => {
  const counts = new RouteCounts();
  const rate = { perSec: 100, burst: 10 };
  counts.reserve(10_000);
  let now = 1000;
  for (let i = 0; i < 100_000; i++) counts.take(i % 500, i % 10_000, rate, (now += 1), 0);
  t.ok(counts.size < 100, `${counts.size} cells for 100,000 pairs that drain in 10 ms each`);
  const slow = { perSec: 0.001, burst: 10 };
  const held = new RouteCounts();
  held.reserve(2000);
  for (let i = 0; i < 2000; i++) held.take(7, i, slow, now, 0);
  const size = held.size;
  held.forgetRoute(7);
  held.forgetRoute(7);
  held.turn(now);
  for (let i = 0; i < 2000; i++) held.take(8, i, slow, now, 0);
  t.equal(held.size, size, 'cells of a route that went');
  for (let i = 0; i < 2000; i++) held.forget(i);
  for (let i = 0; i < 2000; i++) held.take(9, i, slow, now, 0);
  t.equal(held.waitMs(8, 5, { perSec: 1, burst: 1 }, now), 0, 'the tenant that has the slot now has spent nothing');
  held.forget(5);
  held.take(9, 5, slow, now, 0);
  t.equal(held.left(9, 5, slow, now), 9, 'and begins with a whole burst');
  t.ok(held.size <= size + 2, 'cells of tenants that went');
  t.end();
});

t.test('when every cell is in use the pair that drains first is forgotten, of the few next ones', (t) => {
  const counts = new RouteCounts(4, 4);
  const rate = { perSec: 1, burst: 100 };
  counts.reserve(10);
  for (const [slot, times] of [50, 3, 60, 70].entries())
    for (let i = 0; i < times; i++) counts.take(0, slot, rate, 1000, 0);
  counts.take(0, 9, rate, 1000, 0);
  t.equal(counts.size, 4);
  t.same(
    [0, 1, 2, 3, 9].map((slot) => counts.left(0, slot, rate, 1000)),
    [50, 100, 40, 30, 99],
  );
  counts.turn(10_000);
  counts.take(0, 5, rate, 200_000, 0);
  t.equal(counts.size, 4, 'and what drained is taken first');
  t.end();
});

t.test('a route’s table keeps the changes of one round, however often its rate changes', (t) => {
  const counts = new RouteCounts(8, 2);
  counts.reserve(8);
  const slow = (burst: number): Rate => ({ perSec: 1e-6, burst });
  for (let slot = 0; slot < 8; slot++) counts.take(0, slot, slow(1000), 1000, 0);
  let kept = 0;
  for (let i = 0; i < 1000; i++) {
    counts.settle(0, slow(1000 + i), slow(1001 + i), 1000);
    counts.turn(1000);
    kept = Math.max(kept, counts.changesKept(0));
  }
  t.ok(kept <= 6, `${kept} kept`);
  for (let slot = 0; slot < 8; slot++) t.ok(Math.abs(counts.left(0, slot, slow(2000), 1000) - 1999) < 1e-6);
  t.equal(counts.changesKept(1), 0);
  t.end();
});
