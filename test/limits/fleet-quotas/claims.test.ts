/** Rights as rows: their laws, their bound, and the parts that shares are. */
import fc from 'fast-check';
import t from 'tap';
import { Claims } from '../../../src/limits/fleet-quotas/claims.ts';
import { Heirs, willRow } from '../../../src/limits/fleet-quotas/heirs.ts';
import { type FleetRow, KINDS, row } from '../../../src/limits/fleet-quotas/row.ts';
import { lengthOf, Shares, unitsOf, WHOLE } from '../../../src/limits/fleet-quotas/shares.ts';
import { actorOf, drain } from './world.ts';

const claims = fc.array(
  fc.record({
    kind: fc.constantFrom(...KINDS.slice(3)),
    tenant: fc.constantFrom('', 'acme'),
    meter: fc.constant('api_calls'),
    day: fc.nat(1),
    from: fc.constantFrom(actorOf(1), actorOf(2)),
    to: fc.constantFrom(actorOf(1), actorOf(2)),
    x: fc.nat(20),
    y: fc.nat(20),
  }),
  { maxLength: 30 },
);

const seen = (of: Claims): string[] =>
  [...of.rows()]
    .map(({ kind, tenant, day, from, to, x, y }) => JSON.stringify([kind, tenant, day, from, to, x, y]))
    .sort();

t.test('merge is commutative, associative and idempotent', async (t) => {
  await fc.assert(
    fc.property(claims, fc.nat(), (all, cut) => {
      const [inOrder, reversed, first, rest] = [new Claims(), new Claims(), new Claims(), new Claims()];
      for (const each of all) inOrder.merge(each);
      for (const each of [...all, ...all].reverse()) reversed.merge(each);
      for (const [at, each] of all.entries()) (at < cut % (all.length + 1) ? first : rest).merge(each);
      for (const each of first.rows()) rest.merge(each);
      t.same(seen(reversed), seen(inOrder));
      t.same(seen(rest), seen(inOrder));
    }),
    { seed: 42, numRuns: 200 },
  );
});

t.test(
  'what is said goes out once; changes stand in order; what is over is forgotten; a full store says no',
  async (t) => {
    const of = new Claims(2);
    const grant = (day: number, x: number): FleetRow =>
      row({ kind: 'grant', tenant: 'acme', meter: 'api_calls', day, from: actorOf(1), to: actorOf(2) }, x);
    t.ok(of.put(grant(1, 5)));
    t.ok(of.put(grant(1, 7)));
    t.match(of.takeChanged(Number.POSITIVE_INFINITY), [{ x: 7 }]);
    t.ok(of.put(grant(1, 7)), 'known, and no news');
    t.same(of.takeChanged(Number.POSITIVE_INFINITY), []);
    const { version } = of;
    t.same([...of.changedSince(version)], []);
    t.ok(of.merge(grant(2, 1)));
    t.match([...of.changedSince(version)], [{ day: 2 }]);
    t.same(of.takeChanged(Number.POSITIVE_INFINITY), [], 'others said it');
    t.notOk(of.put(grant(3, 1)));
    t.notOk(of.merge(grant(3, 1)));
    t.notOk(of.merge({ ...grant(2, 9), from: 'x' }));
    t.notOk(of.merge({ ...grant(2, 9), kind: 'gift' as never }));
    t.match(of.get(grant(2, 0)), { x: 1 });
    drain(of.dropping(({ day }) => day === 1));
    t.equal(of.size, 1);
    t.equal(of.bag('acme', 'api_calls', 1).size, 0);
    t.ok(of.put(grant(3, 1)));
  },
);

t.test('parts of a limit add up to it, however often they are given on', async (t) => {
  await fc.assert(
    fc.property(
      fc.array(fc.record({ from: fc.nat(6), to: fc.nat(6), cut: fc.double({ min: 0, max: 1, noNaN: true }) }), {
        maxLength: 30,
      }),
      fc.nat(100_000),
      (gifts, limit) => {
        const shares = new Shares(new Claims());
        shares.begin(100, actorOf(0));
        for (const { from, to, cut } of gifts) {
          const part = shares.partsOf(100, actorOf(from))[0];
          if (from === to || part === undefined || shares.given(100, actorOf(from), actorOf(to)) !== undefined)
            continue;
          const begin = Math.floor(part.begin + (part.end - part.begin) * cut);
          // Nobody gets back what it gave: who gives keeps something.
          if (begin === part.begin || begin === part.end || shares.partsOf(100, actorOf(to)).length > 0) continue;
          shares.give(100, actorOf(from), actorOf(to), { begin, end: part.end });
        }
        const all = [...shares.holders(100)].map((actor) => shares.partsOf(100, actor));
        const units = all.reduce((sum, parts) => sum + unitsOf(parts, limit, 0), 0);
        const rounded = all.reduce((sum, parts) => sum + unitsOf(parts, limit, 10), 0);
        return (
          units === limit &&
          rounded <= Math.max(0, limit - 10) &&
          all.reduce((sum, each) => sum + lengthOf(each), 0) === WHOLE
        );
      },
    ),
    { seed: 42, numRuns: 300 },
  );
  t.pass('seed 42');
});

t.test('a window goes by the next charter there is; of two for a day the first by name holds', async (t) => {
  const store = new Claims();
  const shares = new Shares(store);
  t.equal(shares.charterOf(5), undefined);
  t.equal(shares.newest, undefined);
  t.same([...shares.holders(5)], []);
  shares.begin(7, actorOf(3));
  shares.begin(9, actorOf(3));
  t.same([shares.charterOf(5), shares.charterOf(7), shares.charterOf(8), shares.charterOf(10)], [7, 7, 9, undefined]);
  shares.give(7, actorOf(3), actorOf(4), { begin: 0, end: 5 });
  shares.begin(7, actorOf(2));
  t.same(shares.partsOf(7, actorOf(2)), [{ begin: 0, end: WHOLE }]);
  t.same(shares.partsOf(7, actorOf(4)), []);
  store.merge(row({ kind: 'share', day: 9, meter: actorOf(3), from: actorOf(8), to: actorOf(9) }, 5, 6));
  t.same(shares.partsOf(9, actorOf(8)), [], 'what it gave it never had');
  // A share of a charter that nobody is known to have begun.
  store.merge(row({ kind: 'share', day: 11, meter: actorOf(1), from: actorOf(1), to: actorOf(2) }, 0, 5));
  t.equal(shares.charterOf(10), undefined);
});

t.test('wills hand on, also in turn; a ring of them hands nothing on but to the next life of each', async (t) => {
  const store = new Claims();
  const heirs = new Heirs(store);
  const [a, b, c, d, e] = [1, 2, 3, 4, 5].map(actorOf) as [string, string, string, string, string];
  const owners = (...of: string[]): string[] => of.map((each) => heirs.ownerOf(each));
  heirs.leave(1, a, b);
  heirs.leave(1, b, c);
  t.same(owners(a, d), [c, d]);
  t.ok(heirs.hasLeft(a) && !heirs.hasLeft(c));
  t.same([...heirs.ownersOf(a)], [a, b, c]);
  store.put(willRow(1, a, d, 'next'));
  t.same(owners(a), [c], 'who is there');
  heirs.leave(1, c, b);
  t.same(owners(a, b, c), [b, b, c], 'no next life is known, and that of a has left it all to b');
  t.same([...heirs.ownersOf(a)], [a, b, c]);
  store.put(willRow(1, b, e, 'next'));
  t.same([...heirs.ownersOf(a)], [a, b, c, e]);
  heirs.leave(2, d, e);
  t.same(owners(a, b, c, d), [e, e, c, e]);
  heirs.leave(2, e, d);
  t.same(owners(a, b, d), [e, e, d], 'these stopped at once as well, and nobody came back');
  // What only who forges says ends, and is the same for all.
  store.put(willRow(2, d, a, 'next'));
  heirs.leave(3, c, a);
  const other = new Claims();
  for (const each of [...store.rows()].reverse()) other.merge(each);
  t.same(
    [a, b, c, d, e].map((each) => new Heirs(other).ownerOf(each)),
    owners(a, b, c, d, e),
  );
  drain(store.dropping(() => true));
  t.same(owners(a), [a]);
});
