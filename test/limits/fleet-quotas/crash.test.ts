/** A sidecar that crashed and comes back with its disk: what it may spend, what it may give, and what stands on disk before anybody hears of it. */
import t from 'tap';
import { freeOf } from '../../../src/limits/fleet-quotas/allowance.ts';
import type { AheadRow } from '../../../src/limits/quotas/own-log.ts';
import { again, diskOf, lifeOf } from './next-life.ts';
import { actorOf, Fleet, type Sidecar } from './world.ts';

const HARD = { api_calls: { per: 'day', limit: 300, mode: 'hard' } };
/** 26 November 2026. */
const TODAY = 20_783;
/** Until rights are given out. */
const SETTLED_MS = 4000;
/** Until who comes has a part. */
const GIVEN_MS = 7000;
const AHEAD: AheadRow = { tenant: 'acme', meter: 'api_calls', day: TODAY, units: 30, spent: 20 };

/** Used before there were rights. */
const BEFORE = { tenant: 'acme', meter: 'api_calls', day: TODAY, actor: 'a'.repeat(16), count: 100, credit: 0 };

/** Of a limit of 1,000, 100 used before; the first has spent 30, and said so. */
async function usedBefore(): Promise<[Fleet, Sidecar, Sidecar, Sidecar]> {
  const fleet = await Fleet.of({ api_calls: { per: 'day', limit: 1000, mode: 'hard' } }, 3);
  for (const { fleet: of } of fleet.sidecars) of.counters.merge(BEFORE);
  fleet.pass(SETTLED_MS);
  const [a, b, c] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
  fleet.ask(a, 30);
  fleet.pass(1000);
  return [fleet, a, b, c];
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
    fleet.pass(SETTLED_MS);
    t.equal(fleet.line(next, 'api_calls').rights, 100 - 30 - freeOf(300));
    t.equal(fleet.line(next, 'api_calls', 'globex').rights, 100 - freeOf(300), 'nothing is known of it, and it may be');
    fleet.ask(b, 1);
    fleet.pass(1000);
    t.equal(fleet.line(b, 'api_calls').elsewhere, 100 + 54, 'others know as much');
    t.equal(fleet.ask(next, 60), 54);
    fleet.pass(1000);
    const last = again(fleet, next, [{ ...AHEAD, units: 54, spent: 54 }]);
    fleet.pass(SETTLED_MS);
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
  const next = again(fleet, a, [{ ...AHEAD, tenant: 'globex' }]);
  fleet.pass(SETTLED_MS);
  t.equal(fleet.line(next, 'api_calls', 'globex').rights, 100 - 30 - freeOf(300), 'nothing else was said of it');
  for (const each of [b, c]) fleet.end(each, 'dead');
  fleet.expected = 2;
  const d = fleet.add();
  fleet.pass(GIVEN_MS);
  t.equal(fleet.line(d, 'api_calls').rights, 0);
  fleet.ask(d, 10);
  fleet.pass(2000);
  t.equal(fleet.ask(d, 10), 10);
  t.ok(fleet.line(next, 'api_calls').rights <= 100 - freeOf(300) - 10);
});

t.test('who inherits from one that crashed gives its own alone', async (t) => {
  const [fleet, a, b, c] = await threeOf();
  const next = again(fleet, a, []);
  fleet.pass(SETTLED_MS);
  fleet.leave(next);
  const inherits = [...b.fleet.claims.ofKind('will')].find(({ from }) => from === next.actor)?.to;
  fleet.end(inherits === b.actor ? c : b, 'dead');
  const [heir] = fleet.there as [Sidecar];
  fleet.expected = 2;
  const d = fleet.add();
  fleet.pass(GIVEN_MS);
  t.equal(fleet.line(heir, 'api_calls').rights, 50);
  t.equal(fleet.line(heir, 'api_calls').elsewhere, 100 - freeOf(300) + 50, 'its estate, and what it gave');
  t.equal(fleet.ask(heir, 300), 50);
  fleet.pass(1000);
  t.equal(fleet.ask(heir, 300), 100 - freeOf(300), 'moved when it is needed');
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

t.test('what was used before there were rights is no less for what one that crashed may have spent', async (t) => {
  const [fleet, a, b, c] = await usedBefore();
  const disk = diskOf(a);
  // Of the last it says nothing to anybody; all that stands on its disk is how much it may have been.
  t.equal(fleet.ask(a, 39), 39);
  fleet.end(a, 'dead');
  const next = lifeOf(fleet, disk, a.actor, [{ ...AHEAD, units: 30 + 62, spent: 30 }]);
  for (let i = 0; i < 20; i++) {
    for (const each of [b, c, next]) fleet.ask(each, 1000);
    fleet.pass(1000);
  }
  t.ok(fleet.admitted <= 900 && fleet.admitted > 850, `${fleet.admitted}`);
});

t.test('a ring of wills: each has spent of its own alone, also what others left to it before', async (t) => {
  const [fleet, s0, s1, s2] = await threeOf();
  // The first hears the others no more.
  s0.side = 1;
  void s1.fleet.leave();
  fleet.hear(s2, s1);
  s2.fleet.onMember(fleet.member(s2, s1, 'left'));
  s1.state = 'left';
  for (let i = 0; i < 8; i++) {
    fleet.ask(s2, 180 - fleet.admitted);
    fleet.clock.advance(250);
    s2.fleet.tick();
  }
  t.equal(fleet.admitted, 180, 'of its own, and of what was left to it');
  // Each is still there for the other.
  for (const each of [s0, s2]) {
    void each.fleet.leave();
    each.state = 'left';
  }
  const next = [s0, s1, s2].map((before) => lifeOf(fleet, diskOf(before), before.actor));
  for (let i = 0; i < 20; i++) {
    fleet.pass(1000);
    for (const each of next) fleet.ask(each, 100);
  }
  t.equal(fleet.admitted, 300);
});

t.test('who comes is given nothing of what was spent or reserved in the last moment', async (t) => {
  for (let at = 3000; at < 5000; at += 250) {
    const fleet = await Fleet.of(HARD, 2);
    const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
    fleet.pass(5000);
    const late = fleet.add();
    fleet.pass(at);
    fleet.ask(a, 150);
    fleet.pass(250);
    late.side = 1;
    fleet.ask(late, 300);
    fleet.ask(b, 150);
    const { rights, spent } = fleet.line(a, 'api_calls');
    t.ok(rights >= spent, `${spent} of ${rights} that it kept, ${at} ms after`);
    t.ok(fleet.admitted <= 300, `${fleet.admitted} of 300, ${at} ms after it came`);
  }
  const tokens = { per: 'day', limit: 3000, mode: 'hard', unit: 'tokens', estimate: 1400 };
  const fleet = await Fleet.of({ tokens }, 2);
  const [a] = fleet.sidecars as [Sidecar];
  fleet.pass(5000);
  t.equal(fleet.ask(a, 1), 1);
  fleet.add();
  fleet.pass(6000);
  const rights = fleet.there.map((each) =>
    Math.max(fleet.line(each, 'tokens').rights, fleet.line(each, 'tokens').reserved),
  );
  t.ok(rights.reduce((sum, each) => sum + each, 0) <= 3000, `${rights}`);
});

t.test('requests that run and have reserved much are as many as there are rights for', async (t) => {
  const tokens = { per: 'day', limit: 50_000, mode: 'hard', unit: 'tokens', estimate: 2000 };
  const fleet = await Fleet.of({ tokens }, 1);
  const [a] = fleet.sidecars as [Sidecar];
  const { onDisk, claims } = a.fleet;
  const write = (): void => {
    onDisk.say(false);
    onDisk.wrote(claims.version);
  };
  onDisk.await();
  write();
  fleet.pass(SETTLED_MS);
  for (let i = 0; i < 10; i++) {
    fleet.ask(a, 5);
    write();
    fleet.pass(250);
  }
  t.equal(fleet.line(a, 'tokens').reserved, 50_000);
  t.match(onDisk.say(true), [{ meter: 'tokens', units: 50_000 }]);
});

t.test(
  'a ring that parts a crash from what else its heir had: what may have been spent is with what it was spent of',
  async (t) => {
    const fleet = await Fleet.of({ api_calls: { per: 'day', limit: 400, mode: 'hard' } }, 4);
    fleet.pass(SETTLED_MS);
    const [a, b, x, c] = fleet.sidecars as [Sidecar, Sidecar, Sidecar, Sidecar];
    fleet.ask(a, 70);
    fleet.pass(1000);
    const disk = diskOf(a);
    fleet.ask(a, freeOf(400));
    fleet.end(a, 'dead');
    const next = lifeOf(fleet, disk, a.actor);
    fleet.pass(SETTLED_MS);
    const takesForDead = (who: Sidecar, ...others: Sidecar[]): void => {
      for (const each of others) who.fleet.onMember(fleet.member(who, each, 'dead'));
    };
    takesForDead(next, b, c);
    c.side = 1;
    fleet.leave(next);
    takesForDead(b, c);
    fleet.leave(b);
    for (let i = 0; i < 8; i++) {
      fleet.ask(x, 70 + freeOf(400) + 120 - fleet.admitted);
      fleet.clock.advance(250);
      x.fleet.tick();
    }
    t.equal(fleet.admitted, 70 + freeOf(400) + 120, 'of its own, and of what both left to it');
    x.fleet.onMember(fleet.member(x, c, 'alive'));
    void x.fleet.leave();
    takesForDead(c, b, x);
    c.fleet.onMember(fleet.member(c, next, 'alive'));
    fleet.ask(c, 100);
    void c.fleet.leave();
    for (const each of [x, c]) each.state = 'left';
    const lives = [next, x, c].map((each) => lifeOf(fleet, diskOf(each), each.actor));
    for (let i = 0; i < 15; i++) {
      fleet.pass(1000);
      for (const each of lives) fleet.ask(each, 300);
    }
    t.ok(fleet.admitted <= 400, `${fleet.admitted}`);
  },
);

t.test('what one that crashed may have spent is told behind all that it counted', async (t) => {
  const [fleet, a, b, c] = await usedBefore();
  fleet.ask(a, 200);
  a.fleet.escrow.close();
  const { claims, counts } = diskOf(a);
  fleet.end(a, 'dead');
  const others = Array.from({ length: 3000 }, (_, at) => ({ ...BEFORE, tenant: `t${at}`, actor: a.actor, count: 1 }));
  const said = claims.map((each) => (each.kind === 'spent' && each.from === a.actor ? { ...each, x: 30 } : each));
  lifeOf(fleet, { claims: said, counts: [...others, ...counts] }, a.actor, [{ ...AHEAD, units: 246, spent: 230 }]);
  let most = 0;
  for (let i = 0; i < 40; i++) {
    fleet.pass(250);
    for (const each of [b, c]) most = Math.max(most, fleet.line(each, 'api_calls').rights);
  }
  t.ok(most <= 300, `${most}`);
});

t.test('a tenant that is removed and comes back has what its requests that run have reserved', async (t) => {
  const tokens = { per: 'day', limit: 3000, mode: 'hard', unit: 'tokens', estimate: 100 };
  const fleet = await Fleet.of({ tokens }, 1);
  const [a] = fleet.sidecars as [Sidecar];
  fleet.pass(SETTLED_MS);
  t.equal(fleet.ask(a, 10), 10);
  const all = fleet.snapshot;
  a.quotas.accounts.use({ ...all, tenants: new Map() });
  a.quotas.accounts.use(all);
  t.equal(fleet.ask(a, 50), 20);
});
