/** How long rows of rights are kept, how many fit, and what becomes of rights when they do not. */
import fc from 'fast-check';
import t from 'tap';
import { Adoption } from '../../../src/limits/fleet-quotas/adoption.ts';
import { Chores } from '../../../src/limits/fleet-quotas/chores.ts';
import { CLAIMS_MAX, Claims } from '../../../src/limits/fleet-quotas/claims.ts';
import { Heirs } from '../../../src/limits/fleet-quotas/heirs.ts';
import { free, type Holding, Holdings } from '../../../src/limits/fleet-quotas/holdings.ts';
import { Members } from '../../../src/limits/fleet-quotas/members.ts';
import { Retention } from '../../../src/limits/fleet-quotas/retention.ts';
import { type FleetRow, row } from '../../../src/limits/fleet-quotas/row.ts';
import { Shares } from '../../../src/limits/fleet-quotas/shares.ts';
import { Spent } from '../../../src/limits/fleet-quotas/spent.ts';
import { patienceMs, Wants } from '../../../src/limits/fleet-quotas/wants.ts';
import type { Line } from '../../../src/limits/quotas/account.ts';
import { dayNumber, longestFrom } from '../../../src/limits/quotas/calendar.ts';
import { CounterStore } from '../../../src/limits/quotas/counter-store.ts';
import { GaugeStore } from '../../../src/limits/quotas/gauge-store.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { plan, snapshotOf, tenant } from '../world.ts';
import { actorOf, drain, Fleet, type Sidecar } from './world.ts';

const DAILY = { api_calls: { per: 'day', limit: 90, mode: 'hard' } };
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SETTLED_MS = 4000;
/** Until who comes has a part. */
const GIVEN_MS = 7000;
/** 26 November 2026. */
const TODAY = 20_783;
const API = { tenant: 'acme', meter: 'api_calls', day: TODAY } as const;
const [A, B, C] = [1, 2, 3].map(actorOf) as [string, string, string];

t.test(
  'a window is kept until it is over wherever it may be; what nobody here knows, shares and wills for 40 days',
  (t) => {
    const clock = new ManualClock();
    const retention = new Retention(clock, 3);
    const first = dayNumber(2026, 11, 1);
    const quotas: Record<string, 'day' | 'month' | 'billing'> = { daily: 'day', monthly: 'month', billed: 'billing' };
    retention.serve((tenant, _, day) => (quotas[tenant] === undefined ? undefined : longestFrom(day, 15)));
    const goesAt = (kind: FleetRow['kind'], tenant: string, day: number): number => {
      for (let hour = 0; hour < 24 * 60; hour++) {
        clock.setWall(day * DAY_MS + hour * HOUR_MS);
        retention.begin();
        if (retention.isOver(row({ kind, tenant, meter: tenant === '' ? '' : 'api_calls', day }, 1))) return hour;
      }
      return Number.POSITIVE_INFINITY;
    };
    t.equal(goesAt('spent', 'daily', first + 4), 24 + 14);
    t.equal(goesAt('event', 'daily', first + 4), 24 + 14);
    t.equal(goesAt('spent', 'daily', first), 30 * 24 + 14, 'a quota of days may become one of months');
    t.equal(goesAt('grant', 'daily', first + 14), 30 * 24 + 14, 'or of billing periods');
    t.equal(goesAt('spent', 'gone', first + 4), 40 * 24 + 14);
    t.equal(goesAt('share', '', first), 40 * 24 + 14);
    const asked = row({ kind: 'spent', tenant: 'daily', meter: 'api_calls', day: first + 4 }, 1);
    clock.setWall((first + 4) * DAY_MS);
    retention.begin();
    t.notOk(retention.isOver(asked));
    clock.setWall((first + 9) * DAY_MS);
    t.notOk(retention.isOver(asked), 'asked once');
    for (const day of [1, 2, 3, 4]) retention.isOver({ ...asked, day });
    t.ok(retention.isOver(asked), 'and remembered of so many');
    t.equal(longestFrom(dayNumber(2026, 1, 31), 31), dayNumber(2026, 2, 28));
    t.end();
  },
);

t.test('rows of daily windows go soon after, and those that come late are not taken in again', async (t) => {
  const fleet = await Fleet.of(DAILY, 2);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
  for (const each of fleet.there) each.quotas.accounts.start();
  const windows: number[] = [];
  for (let day = 0; day < 6; day++) {
    fleet.pass(SETTLED_MS);
    fleet.ask(a, 40);
    fleet.ask(b, 60);
    fleet.pass(3000);
    windows.push(new Set([...a.fleet.claims.rows()].filter((each) => each.tenant !== '').map((each) => each.day)).size);
    for (let hour = 0; hour < 24; hour++) fleet.clock.advance(HOUR_MS);
    // Ten minutes, after which what is over is looked for.
    fleet.pass(601_000);
  }
  t.ok(Math.max(...windows) <= 2, windows.join());
  t.ok(fleet.admitted >= 6 * 85 && fleet.admitted <= 6 * 90, `${fleet.admitted} of ${6 * 90}`);
  const { known } = a.fleet.counts;
  fleet.forge(b, row({ ...API, kind: 'spent', from: B }, 3));
  t.ok(a.fleet.counts.known > known);
  t.equal(a.fleet.claims.bag('acme', 'api_calls', TODAY).size, 0);
});

t.test('a clock that was set ahead and back: a window of which rows were forgotten gives no rights', async (t) => {
  const fleet = await Fleet.of(DAILY, 2);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
  fleet.pass(SETTLED_MS);
  t.equal(fleet.ask(a, 90), 45);
  fleet.pass(250);
  const wall = fleet.clock.wallMs();
  fleet.clock.setWall(wall + 2 * DAY_MS);
  fleet.pass(601_000);
  fleet.clock.setWall(wall);
  fleet.clock.advance(1000);
  t.equal(fleet.ask(a, 90), 0);
  t.ok(fleet.ask(b, 90) <= 45);
  t.ok(fleet.admitted <= 90);
});

t.test('who does not know what is left of a window gives nothing of it either', async (t) => {
  const fleet = await Fleet.of(DAILY, 2);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
  fleet.pass(SETTLED_MS);
  t.equal(fleet.ask(a, 40), 40);
  t.equal(fleet.ask(b, 45), 45);
  fleet.pass(250);
  const wall = fleet.clock.wallMs();
  // One of them alone sees another day.
  fleet.clock.setWall(wall + 2 * DAY_MS);
  fleet.line(a, 'api_calls');
  a.fleet.closed(TODAY, TODAY - 33);
  while (a.fleet.isBehind) a.fleet.turn();
  fleet.clock.setWall(wall);
  a.fleet.closed(TODAY, TODAY - 33);
  for (let i = 0; i < 20; i++) {
    fleet.ask(a, 9);
    fleet.ask(b, 9);
    fleet.pass(500);
  }
  t.equal(fleet.admitted, 85);
});

t.test('without room to tell what was spent nobody inherits; who left does nothing more', async (t) => {
  const fleet = new Fleet((await Fleet.of(DAILY, 0)).snapshot);
  const [a, b] = [fleet.add(undefined, 3), fleet.add()];
  fleet.pass(SETTLED_MS);
  fleet.ask(a, 9);
  fleet.ask(a, 9, 'globex');
  fleet.pass(1000);
  t.ok(a.fleet.size.own <= 3);
  fleet.leave(a);
  t.notOk(a.fleet.isHeirless);
  a.fleet.turn();
  t.notOk(a.fleet.isBehind);
  fleet.pass(2000);
  t.same(
    [...b.fleet.claims.rows()].filter(({ kind }) => kind === 'will'),
    [],
  );
  t.ok(fleet.ask(b, 90) <= 45);
});

t.test('who cannot say what it spent leaves no will, though there is room for one', async (t) => {
  const fleet = new Fleet((await Fleet.of(DAILY, 0)).snapshot);
  const [a, b] = [fleet.add(64), fleet.add()];
  fleet.pass(SETTLED_MS);
  for (let at = 0; at < 60; at++)
    a.fleet.claims.merge(row({ ...API, kind: 'spent', tenant: 'globex', from: actorOf(50 + at) }, 1));
  t.equal(fleet.ask(a, 9), 9);
  fleet.pass(1000);
  fleet.leave(a);
  t.notOk(a.fleet.isHeirless);
  const wills = (): FleetRow[] => [...b.fleet.claims.rows()].filter(({ kind }) => kind === 'will');
  t.same(wills(), []);
  fleet.add();
  fleet.leave(b);
  t.equal(wills().length, 1, 'who can does');
});

t.test('rows of somebody are told on once all of them are found, and a will last', (t) => {
  const claims = new Claims();
  const [counters, gauges] = [new CounterStore({ actor: B }), new GaugeStore(B)];
  const heirs = new Heirs(claims);
  const told: string[] = [];
  let room = 9;
  const put = ({ kind, from }: FleetRow): boolean => room-- > 0 && told.push(`${kind} ${from === A ? 'a' : 'c'}`) > 0;
  const adoption = new Adoption({ ...{ counters, gauges, claims, heirs, put }, members: new Members(B) });
  heirs.leave(TODAY, C, A);
  heirs.leave(TODAY, A, B);
  claims.takeChanged(Number.POSITIVE_INFINITY);
  // What c had, a gave.
  claims.put(row({ ...API, kind: 'want', from: A }, 5));
  claims.merge(row({ ...API, kind: 'grant', from: C, to: A }, 5));
  claims.merge(row({ ...API, kind: 'grant', from: B, to: A }, 5));
  claims.merge(row({ ...API, kind: 'spent', from: A }, 5));
  counters.merge({ ...API, actor: A, count: 5, credit: 0 });
  const work = adoption.adopt(new Set([A]));
  work.next();
  t.ok(adoption.tell());
  t.same(told, [], 'not all are found yet');
  drain(work);
  adoption.hear(row({ ...API, kind: 'spent', tenant: 'globex', from: A }, 5));
  adoption.hear(row({ ...API, kind: 'spent', tenant: 'globex', from: C }, 5));
  t.ok(adoption.tell(2));
  t.same(told, ['count a', 'spent a']);
  room = 1;
  t.notOk(adoption.tell());
  room = 9;
  t.ok(adoption.tell());
  t.same(told, ['count a', 'spent a', 'spent a', 'grant c', 'will c', 'will a']);
  t.end();
});

t.test('a quota that is hard no more, or gone, and windows that no quota has', async (t) => {
  const fleet = await Fleet.of({ ...DAILY, tokens: { per: 'month', limit: 9, mode: 'hard' } }, 1);
  const [a] = fleet.sidecars as [Sidecar];
  const first = dayNumber(2026, 11, 1);
  t.equal(a.quotas.accounts.windowEnd('acme', 'tokens', first), dayNumber(2026, 12, 1));
  t.equal(a.quotas.accounts.windowEnd('acme', 'tokens', first + 1), undefined, 'no month begins then');
  t.equal(a.quotas.accounts.windowEnd('acme', 'bytes_in', first), undefined);
  t.equal(a.quotas.accounts.windowEnd('gone', 'tokens', first), undefined);
  fleet.pass(1000);
  t.equal(fleet.ask(a, 5), 5);
  const load = async (quotas: object): Promise<void> => {
    fleet.snapshot = await snapshotOf(plan('free', { quotas }), tenant('acme'));
    a.quotas.accounts.use(fleet.snapshot);
  };
  await load({ tokens: { per: 'month', limit: 9, mode: 'hard' } });
  t.match(a.fleet.claims.get(row({ ...API, kind: 'spent', from: a.actor }, 0)), { x: 5 }, 'what was spent is said');
  await load(DAILY);
  fleet.ask(a, 1);
  await load({ api_calls: { per: 'day', limit: 90 } });
  fleet.pass(1000);
  t.equal(fleet.ask(a, 100), 100);
});

t.test(
  'how many tenants fit: a thousand with a hard quota a day at twenty sidecars that all spend, want and get',
  async (t) => {
    // An eighth of the store, and of the thousand.
    const tenants = 125;
    const names = Array.from({ length: tenants }, (_, at) => `tenant-${at}`);
    const snapshot = await snapshotOf(plan('free', { quotas: DAILY }), names.map((each) => tenant(each)).join(''));
    const fleet = new Fleet(snapshot);
    const a = fleet.add(CLAIMS_MAX / 8);
    const { claims } = a.fleet;
    let most = 0;
    for (let day = TODAY; day < TODAY + 4; day++) {
      for (const name of names)
        for (let at = 1; at < 21; at++) {
          const key = { tenant: name, meter: 'api_calls', day, from: actorOf(at) };
          claims.merge(row({ ...key, kind: 'spent' }, 5));
          claims.merge(row({ ...key, kind: 'want' }, 9));
          claims.merge(row({ ...key, kind: 'grant', to: actorOf(at + 1) }, 1));
        }
      // Rows of the day before are kept for one more hour.
      fleet.clock.setWall(day * DAY_MS + 13 * HOUR_MS);
      a.fleet.closed(day, day - 33);
      while (a.fleet.isBehind) a.fleet.turn();
      most = Math.max(most, claims.size);
      fleet.clock.setWall(day * DAY_MS + 15 * HOUR_MS);
      a.fleet.closed(day, day - 33);
      while (a.fleet.isBehind) a.fleet.turn();
    }
    t.equal(claims.refused, 0);
    t.ok(most <= (claims.max * 15) / 16, `${most} rows of ${claims.max}`);
    t.comment(`${8 * tenants} tenants, 20 sidecars, 60 rows a window: ${8 * most} rows at most`);
  },
);

t.test('a full store is said once a minute, and a charter has room all the same', async (t) => {
  const claims = new Claims(32);
  const said: string[] = [];
  claims.onFull = ({ kind }) => void said.push(kind);
  const spent = (at: number, day = TODAY): FleetRow => row({ ...API, kind: 'spent', day, from: actorOf(at) }, 5);
  for (let at = 0; at < 30; at++) t.ok(claims.merge(spent(at)));
  t.notOk(claims.merge(spent(30)));
  t.notOk(claims.put(spent(31)));
  t.equal(claims.refused, 2);
  t.same(said, ['spent', 'spent']);
  t.ok(new Shares(claims).begin(TODAY + 1, A));
  t.ok(new Heirs(claims).leave(TODAY, B, A));
  t.notOk(new Shares(claims).begin(TODAY + 2, A), 'all of it is full');
  t.ok(claims.hasMissed(actorOf(30), TODAY));
  t.notOk(claims.hasMissed(actorOf(31), TODAY), 'its own it knows');
  t.notOk(claims.hasMissed(actorOf(30), TODAY + 1));
  drain(claims.dropping(({ day }) => day === TODAY));
  t.notOk(claims.hasMissed(actorOf(30), TODAY));
  const blind = new Claims(0, 2);
  for (let at = 0; at < 3; at++) blind.merge(spent(at));
  t.ok(blind.hasMissed(actorOf(9), 1), 'of more than can be noted all may be missing');
  blind.merge(row({ ...API, kind: 'want', from: A }, 1));
  const noted = new Claims(0);
  for (const kind of ['want', 'event'] as const) noted.merge(row({ ...API, kind, from: A, to: B }, 1));
  noted.merge(row({ ...API, kind: 'keep', from: A, to: B }, 1));
  t.same(
    [noted.hasMissed(A, TODAY), noted.hasMissed(B, TODAY)],
    [false, true],
    'a gift of which something is kept is less',
  );
});

t.test('of whom something found no room nothing is inherited, and nothing is given on', (t) => {
  const claims = new Claims();
  const [shares, heirs] = [new Shares(claims), new Heirs(claims)];
  const holdings = new Holdings({ claims, shares, heirs, members: new Members(B) });
  shares.begin(TODAY, A);
  heirs.leave(TODAY, A, B);
  const line = { from: TODAY, quota: { meter: 'api_calls', limit: 90 }, spent: 0, credited: 0, used: 70, reserved: 0 };
  const of = (actor: string): Holding => holdings.of('acme', line as Line).get(actor) as Holding;
  claims.merge(row({ ...API, kind: 'spent', from: A }, 70));
  t.equal(free(of(B)), 20);
  const part = { begin: 2 ** 31, end: 2 ** 32 };
  const lines = { hard: () => [], hardLine: (name: string) => (name === 'acme' ? (line as Line) : undefined) };
  t.match(holdings.deficits(A, TODAY, part, 9, lines), [{ units: 25 }]);
  t.equal(holdings.deficits(A, TODAY, part, 0, lines), undefined, 'too many to keep something of');
  // All of what a tenant spends that is gone stays where it is.
  claims.merge(row({ ...API, kind: 'spent', tenant: 'gone', from: A }, 70));
  t.match(holdings.deficits(A, TODAY, part, 9, lines), [{ units: 25 }, { tenant: 'gone', units: undefined }]);
  claims.merge(row({ ...API, kind: 'keep', from: A, to: C }, 0, 1));
  t.equal(of(B).left, 20, 'kept of what was not given');
  shares.give(TODAY, A, C, part);
  t.same([of(B).left, of(C).rights], [20, 0]);
  // What is reserved here of a window stands in no claim.
  const held = { ...line, reserved: 40, used: 0, quota: { meter: 'tokens', limit: 90 } } as Line;
  const holding = { ...lines, hard: () => [{ tenant: 'acme', line: held }] };
  const mine = new Holdings({ claims, shares, heirs: new Heirs(new Claims()), members: new Members(A) });
  t.match(mine.deficits(A, TODAY, { begin: 0, end: 2 ** 31 }, 9, holding)?.at(-1), { meter: 'tokens', units: 40 });
  t.equal(mine.deficits(A, TODAY, { begin: 0, end: 2 ** 31 }, 1, holding), undefined);
  claims.hasMissed = (actor, day) => actor === A && day === TODAY;
  t.equal(free(of(B)), 0);
  t.equal(holdings.deficits(A, TODAY, part, 9, lines), undefined);
  t.end();
});

t.test('a tenant that is gone and comes back: newcomers got parts meanwhile, and nothing is exceeded', async (t) => {
  const fleet = await Fleet.of(DAILY, 1);
  const [a] = fleet.sidecars as [Sidecar];
  fleet.pass(1000);
  t.equal(fleet.ask(a, 70), 70);
  const load = async (tenants: string): Promise<void> => {
    fleet.snapshot = await snapshotOf(plan('free', { quotas: DAILY }), tenants);
    for (const each of fleet.there) each.quotas.accounts.use(fleet.snapshot);
  };
  await load(tenant('globex'));
  const b = fleet.add();
  fleet.pass(GIVEN_MS);
  t.equal(fleet.line(b, 'api_calls', 'globex').rights, 45, 'it has a part of the others');
  await load(tenant('acme') + tenant('globex'));
  for (let i = 0; i < 6; i++) {
    fleet.ask(b, 40);
    fleet.ask(a, 40);
    fleet.pass(1000);
  }
  t.equal(fleet.admitted, 90);
});

t.test('what was spent and found no room is kept in mind; without room for that all is refused', (t) => {
  const clock = new ManualClock();
  clock.setWall(TODAY * DAY_MS);
  const claims = new Claims(0);
  let isTold = true;
  const spent = new Spent({
    ...{ self: A, claims, clock, keptMax: 1 },
    tellCounts: () => isTold,
    isForgotten: (_, meter) => meter === 'forgotten',
  });
  const lineOf = (meter: string, units: number): Line =>
    ({ from: TODAY, endMs: (TODAY + 1) * DAY_MS, quota: { meter }, spent: units, credited: 1, reserved: 0 }) as Line;
  const [one, two] = [lineOf('one', 7), lineOf('two', 8)];
  t.ok(spent.say('acme', lineOf('none', 0)));
  t.notOk(spent.say('acme', one));
  t.notOk(spent.isSaid);
  spent.leave('acme', one);
  t.ok(spent.isSaid);
  t.notOk(spent.isAllSaid);
  const again = lineOf('one', 0);
  spent.restore('acme', again);
  t.same([again.spent, again.credited, spent.isLost(again)], [7, 1, false]);
  spent.leave('acme', two);
  const lost = lineOf('two', 0);
  spent.restore('acme', lost);
  t.ok(spent.isLost(lost));
  clock.setWall((TODAY + 1) * DAY_MS);
  spent.leave('acme', one);
  t.ok(spent.isAllSaid, 'its window is over');
  spent.restore('acme', lost);
  t.notOk(spent.isLost(lost));
  const forgotten = lineOf('forgotten', 0);
  spent.restore('acme', forgotten);
  t.ok(spent.isLost(forgotten));
  isTold = false;
  t.notOk(
    new Spent({ self: A, claims: new Claims(), clock, tellCounts: () => isTold, isForgotten: () => false }).say(
      'acme',
      one,
    ),
    'what was counted is told before',
  );
  t.end();
});

t.test('whatever happens to fleets whose stores are full, a hard quota is not exceeded', async (t) => {
  const { snapshot } = await Fleet.of({ api_calls: { per: 'day', limit: 90, mode: 'hard' } }, 0);
  const step = fc.record({
    what: fc.constantFrom('ask', 'ask', 'ask', 'pass', 'pass', 'leave', 'add', 'forget', 'cut', 'heal'),
    who: fc.nat(7),
    times: fc.nat(25),
  });
  await fc.assert(
    fc.property(
      fc.array(step, { maxLength: 50 }),
      fc.array(fc.integer({ min: 4, max: 40 }), { minLength: 12, maxLength: 12 }),
      (steps, rooms) => {
        const fleet = new Fleet(snapshot);
        const add = (): Sidecar => fleet.add(rooms[fleet.sidecars.length]);
        for (let i = 0; i < 4; i++) add();
        fleet.expected = 4;
        fleet.pass(SETTLED_MS);
        let asked = { acme: 0, globex: 0 };
        for (const { what, who, times } of steps) {
          const { there } = fleet;
          const one = there[who % there.length] as Sidecar;
          if (what === 'ask')
            for (const name of ['acme', 'globex'] as const)
              asked = { ...asked, [name]: asked[name] + fleet.ask(one, times, name) };
          else if (what === 'pass') fleet.pass(250 * times);
          else if (what === 'cut') one.side = times % 2;
          else if (what === 'heal') for (const each of there) each.side = 0;
          else if (what === 'forget')
            for (const each of fleet.sidecars) if (each.state !== 'alive' && !each.isForgotten) fleet.forget(each);
          if (what === 'add' && fleet.sidecars.length < 12) add();
          if (what === 'leave' && there.length > 1) fleet.leave(one);
          if (asked.acme > 90 || asked.globex > 90) return false;
        }
        return true;
      },
    ),
    { seed: 42, numRuns: 150 },
  );
  t.pass('seed 42');
});

t.test('a want that nobody can meet is looked at ever less often, and at once when something changed', (t) => {
  const tries = (answer: 'unmet' | 'empty', wants: Wants, from: number, to: number): number => {
    let count = 0;
    for (let now = from; now < to; now += 250)
      wants.answer(now, 9, () => {
        count++;
        return answer;
      });
    return count;
  };
  const want = row({ ...API, kind: 'want', from: B }, 9);
  const wants = new Wants();
  const sayAgain = (now: number): void => wants.add(want, now);
  sayAgain(0);
  t.equal(tries('unmet', wants, 0, 9_000), 6, 'not 36 times');
  t.equal(patienceMs(20), 8000);
  wants.wake({ tenant: 'globex', meter: 'api_calls' });
  t.equal(tries('unmet', wants, 9000, 9750), 0);
  wants.wake(want);
  t.equal(tries('empty', wants, 9750, 10_000), 1);
  t.equal(tries('unmet', wants, 10_000, 60_000), 0, 'who did not say so again wants nothing any more');
  wants.wake(want);
  t.equal(tries('unmet', wants, 60_000, 61_000), 0);
  sayAgain(150_000);
  t.equal(tries('empty', wants, 150_000, 155_000), 1, 'nothing to give');
  wants.wakeAll();
  t.equal(tries('empty', wants, 155_000, 159_000), 1);
  sayAgain(199_000);
  wants.add(row({ ...want, from: C }, 9), 199_000);
  wants.wakeAll();
  const seen: string[] = [];
  const meet = (now: number): void =>
    wants.answer(now, 1, ({ from }) => {
      seen.push(from);
      return 'met';
    });
  meet(200_000);
  t.same(seen, [B], 'so many in a turn');
  meet(200_250);
  meet(200_500);
  t.same(seen, [B, C]);
  t.end();
});

t.test('who is refused of an exhausted quota does not make its sidecar reckon at every tick', async (t) => {
  const fleet = await Fleet.of(DAILY, 3);
  const [a, b, c] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
  fleet.pass(SETTLED_MS);
  for (let i = 0; i < 6; i++) {
    for (const each of [a, b, c]) fleet.ask(each, 40);
    fleet.pass(1000);
  }
  t.equal(fleet.admitted, 90);
  let reckoned = 0;
  const { assess } = a.fleet.escrow;
  a.fleet.escrow.assess = (...of) => {
    reckoned++;
    assess.apply(a.fleet.escrow, of);
  };
  for (let i = 0; i < 120; i++) {
    fleet.ask(a, 5);
    fleet.pass(250);
  }
  t.ok(reckoned <= 30, `${reckoned} times in 30 s`);
  reckoned = 0;
  for (let i = 0; i < 120; i++) {
    fleet.ask(a, 5);
    fleet.pass(250);
  }
  t.ok(reckoned <= 4, `${reckoned} times in 30 s, when nothing was to be had for as long`);
});

t.test('long work goes in slices; a line that is asked for knows at once what changed', async (t) => {
  const seen: string[] = [];
  const work = function* (name: string, steps: number): Generator<void> {
    for (let i = 0; i < steps; i++) yield void seen.push(name);
  };
  const chores = new Chores();
  chores.begin('a', () => work('a', 6));
  chores.begin('a', () => work('again', 6));
  chores.begin('b', () => work('b', 2));
  chores.turn(4);
  t.equal(seen.join(''), 'aabb');
  t.ok(chores.isBehind);
  chores.finish('a');
  t.equal(seen.join(''), 'aabbaaaa');
  chores.finish('c');
  chores.turn();
  t.notOk(chores.isBehind);

  const names = Array.from({ length: 500 }, (_, at) => `tenant-${at}`);
  const snapshot = await snapshotOf(plan('free', { quotas: DAILY }), names.map((each) => tenant(each)).join(''));
  const fleet = new Fleet(snapshot);
  const a = fleet.add();
  fleet.pass(1000);
  for (const name of names) fleet.ask(a, 1, name);
  fleet.pass(1000);
  t.ok(a.fleet.isBehind);
  while (a.fleet.isBehind) a.fleet.turn();
  const said = (): number => [...a.fleet.claims.rows()].filter(({ kind }) => kind === 'spent').length;
  t.equal(said(), names.length);
  // Somebody comes and gets half of everything.
  const lines = [...a.quotas.accounts.hard()].map(({ line }) => line);
  const half = (): number => lines.filter(({ parts }) => parts === a.fleet.parts).length;
  a.fleet.claims.put(row({ kind: 'share', day: TODAY + 1, meter: a.actor, from: a.actor, to: C }, 2 ** 31, 2 ** 32));
  t.equal(half(), 0);
  t.equal(fleet.ask(a, 60, 'tenant-7'), 44, 'half of 90, and one is spent');
  a.fleet.tick();
  t.ok(half() > 1 && half() <= 201, `${half()} of ${lines.length} in a turn`);
  while (a.fleet.isBehind) a.fleet.turn();
  t.equal(half(), lines.length);
});
