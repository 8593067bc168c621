/** Whose turn it is: against an oracle of max-min shares, and the bounds of the line. Seeds are printed. */
import fc from 'fast-check';
import t from 'tap';
import type { Rank, Shed, Waiting } from '../../src/limits/admission/band.ts';
import { FairQueue, type QueueBounds } from '../../src/limits/admission/fair-queue.ts';

const SEED = 42;
const OPEN: QueueBounds = {
  ofTenantMax: 10_000,
  max: 10_000,
  bytesMax: Number.POSITIVE_INFINITY,
  standing: { intervalMs: 1e9, targetMs: 1e9 },
};

interface Line {
  readonly queue: FairQueue;
  readonly shed: { readonly waiting: Waiting; readonly why: Shed }[];
  join(key: string, more?: Partial<Waiting>): Waiting;
}

function line(bounds: Partial<QueueBounds> = {}): Line {
  const shed: { waiting: Waiting; why: Shed }[] = [];
  const queue = new FairQueue({ ...OPEN, ...bounds }, (waiting, why) => void shed.push({ waiting, why }));
  return {
    queue,
    shed,
    join(key, more = {}) {
      const waiting: Waiting = {
        key,
        weight: 1,
        cost: 1,
        bytes: 0,
        since: 0,
        deadline: Number.POSITIVE_INFINITY,
        rank: 'normal',
        ...more,
      };
      queue.join(waiting);
      return waiting;
    },
  };
}

const order = ({ queue }: Line, turns: number, now = 0): string =>
  Array.from({ length: turns }, () => queue.next(now)?.key ?? '-').join('');

/** Max-min shares of `amount` by progressive filling: nobody gets more than asked for, what is left over goes to the others by weight. */
function waterFilling(asked: readonly number[], weights: readonly number[], amount: number): number[] {
  const got = asked.map(() => 0);
  let left = Math.min(
    amount,
    asked.reduce((sum, each) => sum + each, 0),
  );
  while (left > 1e-9) {
    const open = asked.map((_, at) => at).filter((at) => (asked[at] as number) - (got[at] as number) > 1e-12);
    const weight = open.reduce((sum, at) => sum + (weights[at] as number), 0);
    // Up to where the first is full.
    const level = Math.min(
      left / weight,
      ...open.map((at) => ((asked[at] as number) - (got[at] as number)) / (weights[at] as number)),
    );
    for (const at of open) (got[at] as number) += level * (weights[at] as number);
    left -= level * weight;
  }
  return got;
}

const tenants = fc.array(
  fc.record({
    weight: fc.constantFrom(1, 1, 1, 2, 4, 10, 0.5, 0.01),
    costs: fc.array(fc.constantFrom(1, 1, 1, 0.5, 2, 5), { minLength: 0, maxLength: 60 }),
  }),
  { minLength: 1, maxLength: 8 },
);

t.test('turns are max-min fair: those of a water-filling oracle within one quantum and one cost', async (t) => {
  let compared = 0;
  fc.assert(
    fc.property(tenants, fc.double({ min: 0, max: 1, noNaN: true }), (all, share) => {
      const at = line();
      // In turn, so that nobody's queue stands before the others come.
      for (let i = 0; i < 60; i++)
        for (const [index, { weight, costs }] of all.entries())
          if (i < costs.length) at.join(String(index), { weight, cost: costs[i] as number });
      const asked = all.map(({ costs }) => costs.reduce((sum, cost) => sum + cost, 0));
      const total = asked.reduce((sum, each) => sum + each, 0);
      const got = all.map(() => 0);
      let served = 0;
      while (served < total * share) {
        const next = at.queue.next(0) as Waiting;
        (got[Number(next.key)] as number) += next.cost;
        served += next.cost;
      }
      const weights = all.map(({ weight }) => weight);
      const fair = waterFilling(asked, weights, served);
      const costMax = Math.max(0, ...all.flatMap(({ costs }) => costs));
      compared++;
      return got.every((each, index) => Math.abs(each - (fair[index] as number)) <= 1 + costMax + 1e-6);
    }),
    { seed: SEED, numRuns: 400 },
  );
  t.comment(`${compared} lines against the oracle, seed ${SEED}`);
});

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ join: fc.nat(4), cost: fc.constantFrom(1, 1, 0.5, 3) }) },
  { weight: 2, arbitrary: fc.constant('next' as const) },
  { weight: 1, arbitrary: fc.record({ leave: fc.nat(1000) }) },
);

t.test('whoever come and go: two tenants that both wait all along get turns by their weights', async (t) => {
  const WEIGHTS = [1, 2, 4, 1, 0.25];
  const COST_MAX = 3;
  let held = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 100, maxLength: 400 }), (steps) => {
      const at = line();
      const waiting: Waiting[] = [];
      const got = WEIGHTS.map(() => 0);
      // Since when both of a pair wait all along, what each had got by then.
      const marks = new Map<string, readonly [number, number]>();
      let isFair = true;
      for (const each of steps) {
        if (each === 'next') {
          const next = at.queue.next(0);
          if (next !== undefined) {
            (got[Number(next.key)] as number) += next.cost;
            waiting.splice(waiting.indexOf(next), 1);
          } else if (waiting.length > 0) isFair = false;
        } else if ('join' in each)
          waiting.push(at.join(String(each.join), { cost: each.cost, weight: WEIGHTS[each.join] as number }));
        else {
          const [gone] = waiting.splice(each.leave % Math.max(1, waiting.length), 1);
          if (gone !== undefined && !at.queue.leave(gone)) isFair = false;
        }
        for (let a = 0; a < WEIGHTS.length; a++)
          for (let b = a + 1; b < WEIGHTS.length; b++) {
            const pair = `${a} ${b}`;
            if (at.queue.waitingOf(String(a)) === 0 || at.queue.waitingOf(String(b)) === 0) marks.delete(pair);
            else if (!marks.has(pair)) marks.set(pair, [got[a] as number, got[b] as number]);
            else {
              const [before, beforeB] = marks.get(pair) as [number, number];
              const [wa, wb] = [WEIGHTS[a] as number, WEIGHTS[b] as number];
              const apart = ((got[a] as number) - before) / wa - ((got[b] as number) - beforeB) / wb;
              held++;
              // Of each a quantum and the dearest request (Shreedhar and Varghese 1996, theorem 3), and of a fresh tenant its first quantum.
              if (Math.abs(apart) > 3 / Math.min(wa, wb) + COST_MAX / wa + COST_MAX / wb) isFair = false;
            }
          }
      }
      return isFair && at.queue.size === waiting.length;
    }),
    { seed: SEED, numRuns: 200 },
  );
  t.ok(held > 1000, `${held} comparisons, seed ${SEED}`);
});

t.test(
  'equal shares are not max-min shares (kubernetes#95979): what a light tenant leaves goes to the others',
  async (t) => {
    const at = line();
    const got: Record<string, number> = { light: 0, b: 0, c: 0 };
    for (let i = 0; i < 600; i++) {
      at.join('b');
      at.join('c');
      // A tenth of what is served: less than a third.
      if (i % 10 === 0) at.join('light');
      (got[(at.queue.next(0) as Waiting).key] as number) += 1;
    }
    t.ok(Math.abs((got['light'] as number) - 60) <= 1, `${got['light']} of 60 asked for by the light one`);
    t.ok(Math.abs((got['b'] as number) - 270) <= 1 && Math.abs((got['c'] as number) - 270) <= 1, JSON.stringify(got));
  },
);

t.test('a light tenant beside a heavy one, and beside fifty, is next (envoy#14550, envoy#38241)', async (t) => {
  const at = line();
  for (let i = 0; i < 60; i++) for (let heavy = 0; heavy < 50; heavy++) at.join(`h${heavy}`);
  order(at, 100);
  at.join('l');
  t.equal(order(at, 1), 'l');
  // Coming again before its round is over it waits for its turn as the others do.
  at.join('l');
  const turns = Array.from({ length: 60 }, () => at.queue.next(0)?.key);
  t.ok(turns.indexOf('l') > 5 && turns.indexOf('l') <= 51, `turn ${turns.indexOf('l')}`);
});

t.test('nobody starves: coming and going all the time takes no turn from who waits', async (t) => {
  const at = line();
  for (let i = 0; i < 400; i++) at.join('a');
  let ofA = 0;
  for (let i = 0; i < 400; i++) {
    at.join('b');
    while (at.queue.waitingOf('b') > 0) if (at.queue.next(0)?.key === 'a') ofA++;
  }
  t.ok(ofA >= 390, `${ofA} turns of 800 for who was there first`);
});

t.test('small weights and great costs cost no rounds', async (t) => {
  const at = line();
  for (let i = 0; i < 100; i++) {
    at.join('a', { weight: 1e6, cost: 1e6 });
    at.join('b', { weight: 0.001, cost: 1e6 });
  }
  const began = performance.now();
  const all = order(at, 200);
  t.ok(performance.now() - began < 200, `${performance.now() - began} ms`);
  t.match(all, /^(ab|ba)a{98}/);
  t.equal(all.length, 200);
});

t.test('low is a quarter of the weight, behind its tenant’s others', async (t) => {
  const at = line();
  for (let i = 0; i < 50; i++) {
    at.join('a');
    at.join('b', { rank: 'low' });
  }
  const all = order(at, 50);
  t.ok(Math.abs((all.match(/b/g) ?? []).length - 10) <= 1, all);
  at.join('b');
  const [first] = [...Array(8)].map(() => at.queue.next(0)).filter((each) => each?.key === 'b');
  t.equal(first?.rank, 'normal');
});

t.test('critical goes first, and is not dropped before others', async (t) => {
  const at = line({ max: 4 });
  at.join('a');
  const critical = ['a', 'b', 'c'].map((key) => at.join(key, { rank: 'critical' }));
  at.join('d');
  t.same(
    at.shed.map(({ waiting, why }) => [waiting.rank, why]),
    [['normal', 'overflow']],
  );
  at.join('e', { rank: 'critical' });
  t.equal(at.shed.at(-1)?.waiting.rank, 'normal', 'the last of the others');
  at.join('e', { rank: 'critical' });
  t.equal(at.shed.at(-1)?.waiting.key, 'e', 'where all are critical the longest queue pays');
  t.equal(order(at, 5), 'abce-');
  t.ok(critical.every((each) => at.shed.every(({ waiting }) => waiting !== each)));
});

t.test('the longest queue for its weight loses first, in number and in bytes', async (t) => {
  const ranks = fc.constantFrom<Rank>('normal', 'low');
  const joins = fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), bytes: fc.nat(100), rank: ranks }), {
    maxLength: 200,
  });
  const WEIGHT: Record<string, number> = { a: 1, b: 1, c: 2, d: 5 };
  fc.assert(
    fc.property(joins, (all) => {
      const at = line({ max: 20, bytesMax: 700, ofTenantMax: 12 });
      const waiting = new Set<Waiting>();
      for (const each of all) {
        const before = at.shed.length;
        waiting.add(at.join(each.key, { ...each, weight: WEIGHT[each.key] as number }));
        for (const { waiting: gone } of at.shed.slice(before)) {
          const of = (key: string) => [...waiting].filter((one) => one.key === key);
          const bytes = (key: string) => of(key).reduce((sum, one) => sum + one.bytes, 0);
          const lengths = ['a', 'b', 'c', 'd'].map((key) =>
            [of(key).length, bytes(key)].map((n) => n / (WEIGHT[key] as number)),
          );
          const own = [of(gone.key).length, bytes(gone.key)].map((n) => n / (WEIGHT[gone.key] as number));
          const isLongest = [0, 1].some((by) =>
            lengths.every((length) => (length[by] as number) <= (own[by] as number)),
          );
          if (!isLongest && of(gone.key).length <= 12) return false;
          waiting.delete(gone);
        }
        const bytes = [...waiting].reduce((sum, one) => sum + one.bytes, 0);
        if (at.queue.size !== waiting.size || at.queue.bytes !== bytes || bytes > 700 || waiting.size > 20)
          return false;
      }
      return true;
    }),
    { seed: SEED, numRuns: 300 },
  );
  t.pass(`seed ${SEED}`);
});

t.test('who has waited too long is refused when its turn comes, or by the sweep', async (t) => {
  const at = line({ standing: { intervalMs: 1000, targetMs: 100 } });
  at.join('a', { deadline: 500 });
  at.join('a', { deadline: 5000, rank: 'low' });
  at.join('b', { deadline: 400, rank: 'critical' });
  at.queue.sweep(399);
  t.equal(at.queue.size, 3);
  at.queue.sweep(400);
  t.same(
    at.shed.splice(0).map(({ waiting, why }) => [waiting.key, why]),
    [['b', 'deadline']],
  );
  t.equal(at.queue.next(500)?.rank, 'low');
  t.same(
    at.shed.splice(0).map(({ why }) => why),
    ['deadline'],
  );
  // A queue that has not been empty for 1 s: only what is fresh is served.
  at.join('a', { since: 500 });
  at.join('a', { since: 1590 });
  t.equal(at.queue.next(1600)?.since, 1590);
  t.same(
    at.shed.splice(0).map(({ why }) => why),
    ['standing'],
  );
  at.join('a', { since: 1600 });
  t.equal(at.queue.next(1900)?.since, 1600, 'it was empty since');
  at.join('a', { since: 2000, deadline: 2100 });
  t.equal(at.queue.next(3000), undefined, 'all are gone');
  t.equal(at.queue.size, 0);
});

t.test(
  'of a tenant so many wait: the one too many goes, what is low before what is not, what is critical last',
  async (t) => {
    const at = line({ ofTenantMax: 2 });
    const ranks = (): string[] => at.shed.splice(0).map(({ waiting }) => waiting.rank);
    at.join('a', { rank: 'low' });
    at.join('a');
    at.join('b');
    at.join('a');
    t.same(ranks(), ['low']);
    at.join('a', { rank: 'critical' });
    t.same(ranks(), ['normal']);
    at.join('a', { rank: 'critical' });
    at.join('a', { rank: 'critical' });
    t.same(ranks(), ['normal', 'critical']);
    t.equal(at.queue.waitingOf('a'), 2);
    t.equal(at.queue.waitingOf('b'), 1);
  },
);

t.test('who leaves leaves nothing, once', async (t) => {
  const at = line();
  const [a, b] = [at.join('a', { bytes: 10 }), at.join('b', { bytes: 5, rank: 'critical' })];
  t.ok(at.queue.leave(a));
  t.notOk(at.queue.leave(a));
  t.equal(at.queue.bytes, 5);
  t.equal(at.queue.next(0), b);
  t.notOk(at.queue.leave(b));
  t.equal(at.queue.size, 0);
  t.equal(at.queue.waitingOf('a'), 0);
});
