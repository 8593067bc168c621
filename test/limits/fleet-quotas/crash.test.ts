/** A sidecar that crashed and comes back with its disk: what it may spend, what it may give, and what stands on disk before anybody hears of it. */
import t from 'tap';
import { freeOf } from '../../../src/limits/fleet-quotas/allowance.ts';
import type { AheadRow } from '../../../src/limits/quotas/own-log.ts';
import { actorOf, Fleet, type Sidecar } from './world.ts';

const HARD = { api_calls: { per: 'day', limit: 300, mode: 'hard' } };
/** 26 November 2026. */
const TODAY = 20_783;
/** Until rights are given out. */
const SETTLED_MS = 4000;
const AHEAD: AheadRow = { tenant: 'acme', meter: 'api_calls', day: TODAY, units: 30 };

/** The next life of one that is gone, with all that it knew. */
function again(fleet: Fleet, before: Sidecar, ahead: readonly AheadRow[]): Sidecar {
  fleet.end(before, 'dead');
  const next = fleet.add();
  for (const each of before.fleet.counters.rows()) next.fleet.counters.merge(each);
  for (const each of before.fleet.claims.rows()) next.fleet.claims.merge(each);
  next.fleet.inherit([before.actor], 'crashed', ahead);
  return next;
}

async function threeOf(): Promise<[Fleet, Sidecar, Sidecar, Sidecar]> {
  const fleet = await Fleet.of(HARD, 3);
  fleet.pass(SETTLED_MS);
  return [fleet, ...(fleet.sidecars as [Sidecar, Sidecar, Sidecar])];
}

t.test(
  'the next life has what the last one had, less what that may have spent last; so has who inherits it',
  async (t) => {
    const [fleet, a, b] = await threeOf();
    t.equal(fleet.ask(a, 20), 20);
    fleet.pass(1000);
    const next = again(fleet, a, [AHEAD]);
    fleet.pass(1000);
    t.equal(fleet.line(next, 'api_calls').rights, 100 - 30 - freeOf(300));
    t.equal(fleet.line(next, 'api_calls', 'globex').rights, 100 - freeOf(300), 'nothing is known of it, and it may be');
    fleet.ask(b, 1);
    fleet.pass(1000);
    t.equal(fleet.line(b, 'api_calls').elsewhere, 100 + 54, 'others know as much');
    t.equal(fleet.ask(next, 60), 54);
    fleet.pass(1000);
    const last = again(fleet, next, [{ ...AHEAD, units: 54 }]);
    fleet.pass(1000);
    t.equal(fleet.line(last, 'api_calls').rights, 0, 'no less than nothing');
    t.equal(fleet.line(last, 'api_calls', 'globex').rights, 100 - 2 * freeOf(300));
    // Whoever leaves goes on nobody's account.
    fleet.leave(last);
    const all = (): number => fleet.there.reduce((sum, each) => sum + fleet.ask(each, 300), 0);
    let globex = 0;
    for (let i = 0; i < 12; i++) {
      all();
      for (const each of fleet.there) globex += fleet.ask(each, 300, 'globex');
      fleet.pass(1000);
    }
    const acme = fleet.admitted - globex;
    t.ok(
      acme <= 300 - 10 && acme >= 300 - 10 - 2 * freeOf(300),
      `${acme}: 30 are taken for 20, and twice what may be ahead`,
    );
    t.equal(globex, 300 - 2 * freeOf(300));
  },
);

t.test('what a crash left is not given on to who has nothing: that asks for it', async (t) => {
  const [fleet, a, b, c] = await threeOf();
  const next = again(fleet, a, []);
  fleet.pass(1000);
  for (const each of [b, c]) fleet.end(each, 'dead');
  fleet.expected = 2;
  const d = fleet.add();
  fleet.pass(SETTLED_MS);
  t.equal(fleet.line(d, 'api_calls').rights, 0);
  fleet.ask(d, 10);
  fleet.pass(2000);
  t.equal(fleet.ask(d, 10), 10);
  t.ok(fleet.line(next, 'api_calls').rights <= 100 - freeOf(300) - 10);
});

t.test('who inherits from one that crashed gives its own alone', async (t) => {
  const [fleet, a, b, c] = await threeOf();
  const next = again(fleet, a, []);
  fleet.pass(1000);
  fleet.leave(next);
  fleet.end(fleet.line(b, 'api_calls').rights > fleet.line(c, 'api_calls').rights ? c : b, 'dead');
  const [heir] = fleet.there as [Sidecar];
  fleet.expected = 2;
  const d = fleet.add();
  fleet.pass(SETTLED_MS);
  t.equal(fleet.line(heir, 'api_calls').rights, 50 + 100 - freeOf(300));
  t.equal(fleet.line(d, 'api_calls').rights, 50);
});

t.test('one that left before it crashed has an heir already', async (t) => {
  const [fleet, a, b] = await threeOf();
  fleet.leave(a);
  const next = again(fleet, a, [AHEAD]);
  fleet.pass(SETTLED_MS);
  t.equal(fleet.line(next, 'api_calls', 'globex').rights + fleet.line(b, 'api_calls', 'globex').rights <= 300, true);
  t.equal(
    next.fleet.claims.get({ ...row(a.actor), kind: 'will', to: next.actor })?.x,
    2,
    'it follows it, and has nothing',
  );
});

const row = (from: string) => ({ tenant: '', meter: '', day: TODAY, from });

t.test('nobody hears of what does not stand on disk, nor of who leaves, until it does', async (t) => {
  const [fleet, a, b] = await threeOf();
  const { onDisk } = a.fleet;
  const pressed: number[] = [];
  onDisk.onPress = () => void pressed.push(fleet.clock.now());
  onDisk.await();
  t.equal(fleet.ask(a, 1), 0, 'it has nothing yet of who this is');
  onDisk.wrote(a.fleet.claims.version);
  t.equal(fleet.ask(a, 20), freeOf(300));
  t.ok(pressed.length > 0);
  fleet.pass(1000);
  t.equal(fleet.line(b, 'api_calls').used, freeOf(300), 'counts are told as ever');
  t.equal(
    b.fleet.claims.get({ ...row(a.actor), kind: 'spent', tenant: 'acme', meter: 'api_calls', to: actorOf(-1) }),
    undefined,
  );
  t.match(onDisk.say(false), [{ units: freeOf(300) + 18 }], 'a burst may go twice as far ahead');
  onDisk.wrote(a.fleet.claims.version);
  fleet.pass(1000);
  t.equal(
    b.fleet.claims.get({ ...row(a.actor), kind: 'spent', tenant: 'acme', meter: 'api_calls', to: actorOf(-1) })?.x,
    16,
  );
  t.equal(fleet.ask(a, 50), 18);
  let hasLeft = false;
  const left = a.fleet.leave().then(() => {
    hasLeft = true;
  });
  fleet.talk();
  await Promise.resolve();
  t.equal(hasLeft, false);
  onDisk.wrote(0);
  await Promise.resolve();
  t.equal(hasLeft, false, 'some of it stands there');
  onDisk.giveUp();
  await left;
  fleet.talk();
  t.ok([...b.fleet.claims.ofKind('will')].some(({ from }) => from === a.actor));
  onDisk.bind(7);
  t.equal(onDisk.upTo, 7);
});

t.test('quotas of which what is left cannot be reached are counted', async (t) => {
  const [fleet, a, b, c] = await threeOf();
  fleet.ask(a, 1);
  fleet.ask(a, 1, 'globex');
  t.equal(a.fleet.unreachable, 0);
  for (const each of [b, c]) fleet.end(each, 'dead');
  t.equal(fleet.ask(a, 150), 99);
  fleet.pass(1000);
  t.equal(a.fleet.unreachable, 1);
});
