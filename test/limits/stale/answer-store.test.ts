/** Where answers are kept: bounded, fair to every tenant, and nobody's but the tenant's own. */
import fc from 'fast-check';
import t from 'tap';
import { type Answer, bytesOf } from '../../../src/limits/stale/answer.ts';
import { AnswerStore, VARIANTS_MAX } from '../../../src/limits/stale/answer-store.ts';
import { HeaderList } from '../../../src/wire/index.ts';

const KIB = 1024;
const answer = (o: Partial<Answer> & { size?: number } = {}): Answer => ({
  status: 200,
  fields: new HeaderList(['A', 'b']),
  content: Buffer.alloc(o.size ?? 1000),
  variations: [],
  chosenBy: '',
  life: { freshSec: 60, staleSec: 0 },
  ageSec: 0,
  at: 0,
  until: 1e9,
  ...o,
});
const any = (): boolean => true;
const has = (store: AnswerStore, tenant: string, place: string): boolean =>
  store.find(tenant, place, any) !== undefined;

t.test('what an answer takes is counted whole', async (t) => {
  const one = answer({ size: 0 });
  t.equal(bytesOf(one, 'place'), KIB + 5 + 3);
  t.equal(bytesOf(answer({ size: 10, chosenBy: 'xy' }), 'place'), KIB + 5 + 3 + 10 + 2);
});

t.test('each finds its own, and what was chosen for it', async (t) => {
  const store = new AnswerStore();
  const [a, b, c] = [answer(), answer({ chosenBy: 'de', variations: ['x'] }), answer()];
  t.ok(store.keep('acme', '/', a));
  t.ok(store.keep('acme', '/', b));
  t.ok(store.keep('globex', '/', c));
  t.equal(
    store.find('acme', '/', ({ chosenBy }) => chosenBy === ''),
    a,
  );
  t.equal(
    store.find('acme', '/', ({ chosenBy }) => chosenBy === 'de'),
    b,
  );
  t.equal(store.find('globex', '/', any), c);
  t.equal(
    store.find('globex', '/', ({ chosenBy }) => chosenBy === 'de'),
    undefined,
  );
  t.equal(store.find('acme', '/x', any), undefined);
  t.equal(store.find('nobody', '/', any), undefined);
  t.same([store.answers, store.sizeOf('acme').answers, store.sizeOf('nobody')], [3, 2, { answers: 0, bytes: 0 }]);
  const newer = answer();
  store.keep('acme', '/', newer);
  t.equal(
    store.find('acme', '/', ({ chosenBy }) => chosenBy === ''),
    newer,
    'in place of the one before',
  );
  t.equal(store.answers, 3);
});

t.test('a place keeps few variants, the newest', async (t) => {
  const store = new AnswerStore();
  for (let i = 0; i < VARIANTS_MAX + 2; i++) store.keep('acme', '/', answer({ chosenBy: `${i}` }));
  t.equal(store.answers, VARIANTS_MAX);
  t.notOk(store.find('acme', '/', ({ chosenBy }) => chosenBy === '1'));
  t.ok(store.find('acme', '/', ({ chosenBy }) => chosenBy === '2'));
});

t.test('what is dropped or forgotten is gone, and takes nothing', async (t) => {
  const store = new AnswerStore();
  for (const tenant of ['acme', 'globex', 'initech'])
    for (const place of ['/', '/x']) store.keep(tenant, place, answer());
  store.drop('acme', '/');
  store.drop('acme', '/');
  store.drop('nobody', '/');
  t.same([has(store, 'acme', '/'), has(store, 'acme', '/x'), has(store, 'globex', '/')], [false, true, true]);
  store.forget('acme');
  store.forget('acme');
  t.same([has(store, 'acme', '/x'), has(store, 'initech', '/x')], [false, true]);
  store.forget('initech');
  store.forget('globex');
  t.same([store.answers, store.bytes], [0, 0]);
});

t.test('alone, a tenant has all there is; the one found or kept longest ago goes first', async (t) => {
  const store = new AnswerStore(10 * 2 * KIB);
  const size = 2 * KIB - bytesOf(answer({ size: 0 }), '/00');
  for (let i = 0; i < 10; i++) t.ok(store.keep('acme', `/0${i}`, answer({ size })));
  t.equal(store.bytes, 20 * KIB);
  has(store, 'acme', '/00');
  store.keep('acme', '/10', answer({ size }));
  t.same([has(store, 'acme', '/00'), has(store, 'acme', '/01'), has(store, 'acme', '/02')], [true, false, true]);
  t.notOk(store.keep('acme', '/big', answer({ size: 20 * KIB })), 'larger than all there is');
  t.same([store.answers, store.bytes], [0, 0], 'which cost it all it had');
});

t.test('who has no more than the fair part loses nothing, whatever others keep', async (t) => {
  const store = new AnswerStore(64 * KIB);
  t.equal(store.fairBytes, 64 * KIB);
  for (let i = 0; i < 5; i++) store.keep('small', `/${i}`, answer({ size: 100 }));
  for (let i = 0; i < 500; i++) store.keep('large', `/${i}`, answer({ size: 1000 }));
  t.equal(store.sizeOf('small').answers, 5);
  t.ok(store.sizeOf('large').bytes > 50 * KIB, 'what nobody else asks for');
  // Newcomers get room from who has more than a part.
  for (let tenant = 0; tenant < 6; tenant++)
    for (let i = 0; i < 3; i++) t.ok(store.keep(`t${tenant}`, `/${i}`, answer({ size: 1000 })));
  t.equal(store.sizeOf('small').answers, 5);
  t.equal(store.sizeOf('t0').answers, 3);
  t.ok(store.bytes <= 64 * KIB);
});

t.test('when many have a little and all is full, a newcomer may go without', async (t) => {
  const store = new AnswerStore(200 * 2 * KIB);
  const size = 2 * KIB - bytesOf(answer({ size: 0 }), '/');
  for (let i = 0; i < 199; i++) store.keep(`t${i}`, '/', answer({ size }));
  store.keep('hog', '/', answer({ size }));
  t.equal(store.bytes, 400 * KIB);
  // Larger than a fair part: it is the newcomer that has too much.
  t.notOk(store.keep('new', '/', answer({ size })));
  t.equal(store.answers, 200);
  // Smaller: nobody has much more than a part, and the hand finds none of them soon enough, or one.
  let kept = 0;
  for (let i = 0; i < 20; i++) if (store.keep(`n${i}`, '/', answer({ size: 0 }))) kept++;
  t.ok(store.bytes <= 400 * KIB);
  t.ok(kept > 0);
});

t.test(
  'the look for room ends: among many with less than their part it is given up, and goes on at the next',
  async (t) => {
    const triesAmong = (small: number): number => {
      const store = new AnswerStore(small * 2 * KIB + 100 * KIB);
      for (let i = 0; i < small; i++) store.keep(`t${i}`, '/', answer({ size: 0 }));
      // One has all that they leave.
      for (let i = 0; store.sizeOf('hog').answers === i; i++) store.keep('hog', `/${i}`, answer({ size: 3 * KIB }));
      let tries = 1;
      while (!store.keep('new', '/', answer({ size: 3 * KIB - 2000 })) && tries < 10) tries++;
      for (let i = 0; i < small; i++) if (!has(store, `t${i}`, '/')) return 0;
      return tries;
    };
    const tries = Array.from({ length: 20 }, (_, i) => triesAmong(150 + i));
    t.ok(
      tries.every((each) => each > 0 && each < 10),
      tries.join(),
    );
    t.ok(
      tries.some((each) => each > 1),
      tries.join(),
    );
  },
);

t.test('what is past use goes first, whoever has it', async (t) => {
  const store = new AnswerStore(16 * KIB);
  for (let i = 0; i < 4; i++) store.keep('gone', `/${i}`, answer({ size: 100, until: 10 }));
  for (let i = 0; i < 2; i++) store.keep('acme', `/${i}`, answer({ size: 100, at: 5 }));
  t.equal(store.answers, 6);
  for (let i = 2; i < 6; i++) store.keep('acme', `/${i}`, answer({ size: 100, at: 10 }));
  t.equal(store.sizeOf('gone').answers, 0, 'without need of room, a step or two with each that is kept');
  t.equal(store.sizeOf('acme').answers, 6);

  const full = new AnswerStore(8 * KIB);
  for (let i = 0; i < 5; i++) full.keep('gone', `/${i}`, answer({ size: 400, until: 10 }));
  t.ok(full.keep('acme', '/', answer({ size: 2900, at: 10 })), 'room is made of it');
  t.same([full.sizeOf('gone').answers <= 2, full.sizeOf('acme').answers], [true, 1]);
});

t.test(
  'whatever is kept, found, dropped and forgotten: the bound holds, sums are right, nobody below the fair part loses',
  async (t) => {
    const MAX = 32 * KIB;
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const place = fc.nat(7).map((i) => `/${i}`);
    const step = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          does: fc.constant('keep' as const),
          name,
          place,
          size: fc.constantFrom(0, 500, 3000, 9000),
        }),
      },
      { weight: 2, arbitrary: fc.record({ does: fc.constant('find' as const), name, place }) },
      { weight: 1, arbitrary: fc.record({ does: fc.constant('drop' as const), name, place }) },
      { weight: 1, arbitrary: fc.record({ does: fc.constant('forget' as const), name }) },
    );
    let evicted = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 120 }), (steps) => {
        const store = new AnswerStore(MAX);
        const model = new Map<string, Answer>();
        for (const each of steps) {
          const key = 'place' in each ? `${each.name}${each.place}` : '';
          if (each.does === 'keep') {
            const before = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((of) => [of, store.sizeOf(of)]));
            const others = Object.entries(before).filter(([of, { bytes }]) => of !== each.name && bytes > 0);
            const sharing = others.length + 1;
            const one = answer({ size: each.size, chosenBy: key });
            const isKept = store.keep(each.name, each.place, one);
            if (isKept) model.set(key, one);
            for (const [of, { bytes, answers }] of Object.entries(before)) {
              const after = store.sizeOf(of);
              if (of === each.name || after.answers === answers) continue;
              evicted++;
              if (bytes <= MAX / sharing) return false;
            }
            if (isKept && store.find(each.name, each.place, any) !== one) return false;
          } else if (each.does === 'find') {
            const found = store.find(each.name, each.place, any);
            if (found !== undefined && found !== model.get(key)) return false;
          } else if (each.does === 'drop') {
            store.drop(each.name, each.place);
            if (store.find(each.name, each.place, any) !== undefined) return false;
          } else {
            store.forget(each.name);
            if (store.sizeOf(each.name).answers !== 0) return false;
          }
          const sizes = ['a', 'b', 'c', 'd', 'e'].map((of) => store.sizeOf(of));
          if (store.bytes > MAX || store.bytes !== sizes.reduce((sum, { bytes }) => sum + bytes, 0)) return false;
          if (store.answers !== sizes.reduce((sum, { answers }) => sum + answers, 0)) return false;
        }
        return true;
      }),
      { seed: 42, numRuns: 300 },
    );
    t.ok(evicted > 50, `${evicted} times another's went, seed 42`);
  },
);
