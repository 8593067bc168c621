/** Quotas of a fleet: what all know, who may spend, who announces, and what stays when somebody goes. */
import fc from 'fast-check';
import t from 'tap';
import { explain } from '../../../src/limits/explain.ts';
import { CLAIMS_MAX } from '../../../src/limits/fleet-quotas/claims.ts';
import { type FleetRow, row } from '../../../src/limits/fleet-quotas/row.ts';
import { quotasLeft } from '../../../src/limits/quotas/quota-headers.ts';
import { LimitState } from '../../../src/limits/state.ts';
import type { Reply } from '../../../src/pipeline/index.ts';
import { exchangeForTest } from '../../pipeline/exchange-for-test.ts';
import { plan, snapshotOf, tenant } from '../world.ts';
import { actorOf, Fleet, type Sidecar } from './world.ts';

const SOFT = { api_calls: { per: 'day', limit: 100, thresholds: [{ at: '100%', do: 'reject' }] } };
const HARD = { api_calls: { per: 'day', limit: 90, mode: 'hard' } };
/** 26 November 2026. */
const TODAY = 20_783;
const HOUR_MS = 3_600_000;
/** Until rights are given out. */
const SETTLED_MS = 4000;
/** Until who comes has a part. */
const GIVEN_MS = 7000;

t.test('a soft quota is that of all; whoever joins knows it, and who left or died is not forgotten', async (t) => {
  const fleet = await Fleet.of(SOFT, 3);
  const [a, b, c] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
  t.equal(fleet.ask(a, 30), 30);
  t.equal(fleet.ask(b, 30), 30);
  fleet.ask(c, 1);
  fleet.pass(1000);
  t.equal(fleet.line(c, 'api_calls').used, 61);
  t.equal(fleet.ask(c, 50), 39);
  fleet.pass(1000);
  t.equal(fleet.ask(a, 5), 0, 'used up everywhere');
  fleet.end(b, 'dead');
  fleet.leave(c);
  const d = fleet.add();
  fleet.talk();
  t.equal(fleet.line(d, 'api_calls').used, 100);
  // Nobody remembers their logs: somebody tells on what they counted.
  fleet.forget(b);
  fleet.forget(c);
  fleet.pass(10_000);
  fleet.end(a, 'dead');
  fleet.forget(a);
  const e = fleet.add();
  fleet.pass(20_000);
  t.equal(fleet.line(e, 'api_calls').used, 100);
});

t.test('rights of a hard quota: each spends what it holds, and asks others for more', async (t) => {
  const fleet = await Fleet.of(HARD, 3);
  const [a, b, c] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
  t.equal(fleet.ask(a, 1), 0, 'nobody has rights yet');
  const early = exchangeForTest();
  early.tenant = fleet.account(a).tenant;
  t.match(a.quotas.check(fleet.account(a), early as never, fleet.clock.now(), true), {
    detail: /is not parted among the sidecars yet: most of them must see each other first/,
    retryAfterMs: 2000,
  });
  t.equal(a.fleet.unparted, 1);
  fleet.pass(SETTLED_MS);
  t.match(
    [a, b, c].map((each) => fleet.line(each, 'api_calls').rights),
    [30, 30, 30],
  );
  t.equal(a.fleet.unparted, 0);
  t.equal(fleet.ask(a, 50), 30);
  const x = exchangeForTest();
  x.tenant = fleet.account(a).tenant;
  const refused = a.quotas.check(fleet.account(a), x as never, fleet.clock.now(), true) as Reply;
  t.equal(refused.retryAfterMs, 2000, 'others have some: it is here soon');
  fleet.pass(2000);
  t.equal(fleet.ask(a, 100) + fleet.ask(b, 100) + fleet.ask(c, 100), 60);
  fleet.pass(3000);
  t.equal(fleet.ask(a, 5) + fleet.ask(b, 5) + fleet.ask(c, 5), 0);
  t.equal(fleet.admitted, 90);
  const last = a.quotas.check(fleet.account(a), x as never, fleet.clock.now(), true) as Reply;
  t.ok((last.retryAfterMs as number) > 11 * HOUR_MS, 'nobody has any: not before the day is over');
  t.ok(a.fleet.escrow.counts.wanted > 0 && a.fleet.escrow.counts.got > 0 && b.fleet.escrow.counts.given > 0);
});

t.test('refusal, RateLimit and explanation tell what is used from what others hold, or nobody can have', async (t) => {
  const fleet = await Fleet.of(HARD, 3);
  const [a, b, c] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
  fleet.pass(SETTLED_MS);
  const tell = () => {
    const account = fleet.account(a);
    const x = exchangeForTest();
    x.tenant = account.tenant;
    const refusal = a.quotas.check(account, x as never, fleet.clock.now(), true);
    const wall = fleet.clock.wallMs();
    const world = { state: new LimitState(), quotas: a.quotas, stale: { sizeOf: () => ({ answers: 0, bytes: 0 }) } };
    const about = explain({ ...world, clock: fleet.clock, claims: undefined }, fleet.snapshot, account.tenant, {
      method: 'GET',
      path: '/',
    });
    return {
      detail: refusal?.detail,
      refused: refusal && quotasLeft(account, wall, refusal),
      // As it is told of what takes nothing of the quota.
      left: quotasLeft(account, wall).match(/r=\d+/)?.[0],
      because: about.wouldGet.because,
      ...about.quotas[0],
    };
  };
  t.match(tell(), { left: 'r=90', used: 0, state: 'ok', here: { rights: 30, elsewhere: 60, unreachable: 0 } });
  fleet.ask(a, 30);
  const held = tell();
  t.match(held, {
    detail:
      "The tenant's quota of 90 requests a day is not used up: what is left of it is reserved for other sidecars or not handed out yet; it is asked for.",
    refused: '"api_calls-day";r=0;t=2',
    left: 'r=60',
    used: 30,
    state: 'held',
    here: { used: 30, elsewhere: 60, unreachable: 0 },
  });
  t.equal(held.because, held.detail, 'limits check says the same');
  // One is gone with 30, and the other can give what it has.
  fleet.end(c, 'dead');
  fleet.pass(1000);
  t.match(tell(), { left: 'r=30', used: 30, here: { rights: 32, elsewhere: 28, unreachable: 30 } });
  for (let i = 0; i < 8; i++) {
    for (const each of [a, b]) fleet.ask(each, 40);
    fleet.pass(1000);
  }
  const lost = tell();
  t.match(lost, {
    detail:
      "The tenant's quota of 90 requests a day is not used up: what is left of it is reserved for sidecars that cannot be reached, or may have been spent by one that crashed.",
    refused: /r=0;t=4\d{4}/,
    left: 'r=0',
    used: 60,
    state: 'held',
    here: { elsewhere: 0, unreachable: 30 },
  });
  c.state = 'alive';
  for (const each of [a, b]) each.fleet.onMember(fleet.member(each, c));
  fleet.ask(c, 30);
  fleet.pass(2000);
  t.match(tell(), {
    detail: 'The tenant has used its quota of 90 requests a day.',
    left: 'r=0',
    used: 90,
    state: 'exhausted',
    here: { elsewhere: 0, unreachable: 0 },
  });
});

t.test(
  'what cannot be reached is not left, at once and until it is back; what is too little is not promised',
  async (t) => {
    const fleet = await Fleet.of(HARD, 3);
    const [a, b, c] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
    fleet.pass(SETTLED_MS);
    const left = () => quotasLeft(fleet.account(a), fleet.clock.wallMs()).match(/r=\d+/)?.[0];
    const heard = (state: 'alive' | 'dead') => {
      c.state = state;
      for (const each of [a, b]) each.fleet.onMember(fleet.member(each, c));
    };
    fleet.ask(a, 1);
    t.equal(left(), 'r=89');
    heard('dead');
    t.equal(left(), 'r=59', 'nothing is lacking here, and yet');
    const x = exchangeForTest();
    x.tenant = fleet.account(a).tenant;
    const costly = { ...x, tenant: x.tenant, method: 'GET', headers: x.headers, route: { cost: 70 } };
    const refused = a.quotas.check(fleet.account(a), costly as never, fleet.clock.now(), true) as Reply;
    t.match(refused.detail, /reserved for sidecars that cannot be reached/, '59 are to be had');
    t.ok((refused.retryAfterMs as number) > HOUR_MS);
    heard('alive');
    t.equal(left(), 'r=89');
  },
);

t.test('a cut: both sides spend what they hold, together never more than there is', async (t) => {
  const fleet = await Fleet.of(HARD, 4);
  const [a, b, c, d] = fleet.sidecars as [Sidecar, Sidecar, Sidecar, Sidecar];
  fleet.pass(SETTLED_MS);
  c.side = d.side = 1;
  for (let i = 0; i < 8; i++) {
    for (const each of fleet.there) fleet.ask(each, 40);
    fleet.pass(1000);
  }
  t.equal(fleet.admitted, 90);
  a.side = b.side = 1;
  fleet.pass(2000);
  t.equal(fleet.ask(a, 9), 0);
  t.equal(fleet.line(d, 'api_calls').used, 90);
});

t.test('only most of those expected begin: two halves of a fleet spend nothing until they meet', async (t) => {
  const fleet = await Fleet.of(HARD, 4);
  const [a, b, c, d] = fleet.sidecars as [Sidecar, Sidecar, Sidecar, Sidecar];
  for (const [one, others] of [
    [a, [c, d]],
    [b, [c, d]],
    [c, [a, b]],
    [d, [a, b]],
  ] as const)
    for (const other of others) one.fleet.onMember(fleet.member(one, other, 'dead'));
  c.side = d.side = 1;
  fleet.expected = 4;
  fleet.pass(SETTLED_MS * 2);
  t.equal(fleet.ask(a, 9) + fleet.ask(c, 9), 0);
  for (const each of fleet.there) {
    each.side = 0;
    for (const other of fleet.there) if (other !== each) each.fleet.onMember(fleet.member(each, other));
  }
  fleet.pass(SETTLED_MS);
  t.ok(fleet.ask(a, 9) > 0);
});

t.test('who crashed takes its rights with it; who left leaves them to the poorest; newcomers get a part', async (t) => {
  const fleet = await Fleet.of(HARD, 3);
  const [a, b, c] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
  fleet.pass(SETTLED_MS);
  fleet.ask(a, 12);
  fleet.ask(b, 4);
  fleet.pass(1000);
  fleet.leave(a);
  t.equal(fleet.ask(a, 1), 0, 'who left admits nothing');
  t.equal(a.fleet.tick(), false);
  const d = fleet.add();
  fleet.pass(GIVEN_MS);
  t.ok(fleet.line(d, 'api_calls').rights > 0, 'the richest gave it something');
  fleet.end(c, 'dead');
  fleet.pass(1000);
  for (let i = 0; i < 10; i++) {
    fleet.ask(b, 40);
    fleet.ask(d, 40);
    fleet.pass(1000);
  }
  t.equal(fleet.admitted, 90 - 30 + (30 - fleet.line(b, 'api_calls').used + fleet.admitted - 30), 'all but what c had');
});

t.test('alone a sidecar has all at once; what a newcomer is given leaves the giver what it spent', async (t) => {
  const fleet = await Fleet.of(HARD, 1);
  const [a] = fleet.sidecars as [Sidecar];
  fleet.pass(1000);
  t.equal(fleet.ask(a, 70), 70);
  const b = fleet.add();
  fleet.pass(GIVEN_MS);
  t.equal(fleet.line(b, 'api_calls').rights, 20, 'half of the limit less what is spent of it');
  t.equal(fleet.ask(a, 30), 0);
  t.equal(fleet.ask(b, 30), 20);
  t.equal(fleet.ask(b, 1, 'globex'), 1, 'of another tenant it has half');
});

t.test('a disk: what each earlier life counted is told by who has it, whoever else could be asked to', async (t) => {
  const fleet = await Fleet.of(HARD, 3);
  fleet.pass(1000);
  const [a, b, c] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
  const lives = Array.from({ length: 6 }, (_, at) => `${at}`.repeat(16));
  for (const actor of lives)
    a.fleet.counters.merge({ tenant: 'acme', meter: 'api_calls', day: TODAY, actor, count: 5, credit: 0 });
  a.fleet.inherit(lives, []);
  fleet.pass(2000);
  for (const each of [b, c]) t.equal(each.fleet.counters.valueOf('acme', 'api_calls', TODAY), 30);
});

t.test('a disk: the next life tells what this one counted, and inherits only what nobody else does', async (t) => {
  const fleet = await Fleet.of(HARD, 1);
  const [a] = fleet.sidecars as [Sidecar];
  fleet.pass(1000);
  fleet.ask(a, 40);
  fleet.pass(1000);
  a.fleet.leave();
  t.ok(a.fleet.isHeirless);
  fleet.end(a, 'left');
  const again = (as: 'heir' | 'next'): Sidecar => {
    const next = fleet.add();
    for (const each of a.fleet.counters.rows()) next.fleet.counters.merge(each);
    for (const each of a.fleet.claims.rows()) next.fleet.claims.merge(each);
    next.fleet.gauges.merge({ tenant: 'acme', meter: 'seats', value: 3, at: 5, actor: a.actor });
    next.fleet.inherit([a.actor], next.fleet.heritage({ actor: a.actor, as, crashes: 0, ahead: [] }));
    return next;
  };
  const b = again('heir');
  fleet.pass(SETTLED_MS);
  t.equal(fleet.ask(b, 60), 50);
  const c = fleet.add();
  fleet.pass(1000);
  t.equal(fleet.line(c, 'api_calls').used, 90);
  t.equal(c.fleet.gauges.valueOf('acme', 'seats'), 3);
  const other = await Fleet.of(HARD, 0);
  other.end(other.add(), 'dead');
  const lost = other.add();
  for (const each of a.fleet.claims.rows()) lost.fleet.claims.merge(each);
  lost.fleet.inherit([a.actor], lost.fleet.heritage({ actor: a.actor, as: 'next', crashes: 0, ahead: [] }));
  other.pass(SETTLED_MS);
  t.equal(other.ask(lost, 10), 0, 'a crash: nobody knows what it spent last');
});

t.test('a fleet that is stopped at once: each next life has what its last one had, and no more', async (t) => {
  const fleet = await Fleet.of(HARD, 4);
  const lives = [...fleet.sidecars];
  const [, b, c, d] = lives as [Sidecar, Sidecar, Sidecar, Sidecar];
  fleet.pass(SETTLED_MS);
  for (const [at, each] of lives.entries()) fleet.ask(each, 3 * at);
  fleet.pass(1000);
  // One goes before: what it had is moved, and given on, by its heir.
  fleet.leave(d);
  fleet.ask(b, 40);
  fleet.ask(c, 40);
  fleet.pass(2000);
  for (const each of fleet.there) each.fleet.leave();
  const [first, ...others] = fleet.there;
  // Some still hear some.
  if (first !== undefined) for (const each of others) fleet.hear(first, each);
  for (const each of lives) each.state = 'left';
  const next = lives.slice(0, 3).map((each) => {
    const life = fleet.add();
    for (const row of each.fleet.counters.rows()) life.fleet.counters.merge(row);
    for (const row of each.fleet.claims.rows()) life.fleet.claims.merge(row);
    return life;
  });
  for (const [at, life] of next.entries()) {
    const { actor } = lives[at] as Sidecar;
    life.fleet.inherit([actor], life.fleet.heritage({ actor, as: 'crashed', crashes: 0, ahead: [] }));
  }
  const [admitted] = [fleet.admitted];
  for (let i = 0; i < 12; i++) {
    for (const each of next) fleet.ask(each, 40);
    fleet.pass(1000);
  }
  t.ok(admitted < 90, `${admitted} before`);
  t.equal(fleet.admitted, 90);
  t.same(
    next.map((each) => fleet.line(each, 'api_calls').used),
    [90, 90, 90],
  );
});

t.test('what was used before there were rights is taken off', async (t) => {
  const fleet = await Fleet.of(HARD, 2);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
  for (const each of fleet.there)
    each.fleet.counters.merge({
      tenant: 'acme',
      meter: 'api_calls',
      day: TODAY,
      actor: actorOf(20),
      count: 51,
      credit: 0,
    });
  fleet.pass(SETTLED_MS);
  for (let i = 0; i < 6; i++) {
    fleet.ask(a, 30);
    fleet.ask(b, 3);
    fleet.pass(1000);
  }
  t.equal(fleet.admitted, 38, 'two parts of 19.5 units');
});

t.test('days: a charter ahead of each; totals are told to who comes later; what is over is forgotten', async (t) => {
  const fleet = await Fleet.of({ api_calls: { per: 'month', limit: 1000, mode: 'hard' } }, 2);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
  for (const each of fleet.there) each.quotas.accounts.start();
  fleet.pass(SETTLED_MS);
  fleet.ask(a, 10);
  fleet.ask(b, 5);
  fleet.pass(1000);
  for (let hour = 0; hour < 27; hour++) {
    fleet.clock.advance(HOUR_MS);
    fleet.pass(1000);
  }
  t.same(a.fleet.counters.size.rows, 0, 'the day is one total');
  t.equal([...a.fleet.claims.rows()].filter(({ kind, from, to }) => kind === 'share' && from === to).length, 2);
  fleet.pass(10_000);
  const c = fleet.add();
  fleet.talk();
  t.equal(fleet.line(c, 'api_calls').used, 15);
  t.same([...c.fleet.counters.closed()], [{ tenant: 'acme', meter: 'api_calls', day: TODAY, total: 15 }]);
  // The totals of a day that is not over are no totals.
  const told = (day: number, x: number): void => {
    const from = fleet.add();
    fleet.forge(from, row({ kind: 'total', tenant: 'acme', meter: 'api_calls', day }, x));
    fleet.end(from, 'left');
  };
  told(TODAY + 1, 500);
  told(TODAY, 14);
  t.equal(fleet.line(c, 'api_calls').used, 15);
  told(TODAY, 20);
  t.equal(fleet.line(c, 'api_calls').used, 20, 'somebody had heard of more');
  c.quotas.accounts.start();
  for (let day = 0; day < 45; day++) {
    fleet.clock.advance(24 * HOUR_MS);
    fleet.pass(1000);
  }
  const days = [...a.fleet.claims.rows()].filter(({ kind }) => kind === 'share').map(({ day }) => day);
  t.ok(Math.min(...days) >= TODAY + 45 - 42, 'what is over is forgotten');
  t.ok(days.length > 40, 'and nothing else');
  t.same([...c.fleet.counters.closed()], []);
});

t.test('days stay open while somebody is missing, for three days at most', async (t) => {
  const fleet = await Fleet.of(SOFT, 1);
  const [a] = fleet.sidecars as [Sidecar];
  fleet.expected = 2;
  a.quotas.accounts.start();
  fleet.ask(a, 1);
  const days = (count: number): void => {
    for (let hour = 0; hour < 24 * count; hour++) fleet.clock.advance(HOUR_MS);
  };
  days(2);
  t.equal(a.fleet.counters.size.cells, 1);
  days(2);
  t.equal(a.fleet.counters.size.cells, 0);
  fleet.ask(a, 1);
  fleet.expected = 1;
  days(2);
  t.equal(a.fleet.counters.size.cells, 0);
});

t.test('one event a crossing: of all who see it the first by name, and when that is silent the next', async (t) => {
  const fleet = await Fleet.of(
    {
      api_calls: { per: 'day', limit: 100, thresholds: [{ at: '50%', do: 'notify' }] },
      seats: { gauge: true, limit: 10 },
    },
    3,
  );
  const [a, b, c] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
  for (const each of fleet.there) fleet.ask(each, 1);
  for (const each of fleet.there) fleet.ask(each, 50);
  t.same(fleet.events, []);
  fleet.pass(3000);
  t.same(fleet.events, ['0 acme api_calls 50%']);
  fleet.pass(20_000);
  fleet.ask(b, 20);
  t.equal(fleet.events.length, 1);
  // The first saw it and is cut off before it says more: each side says it once.
  for (const each of fleet.there) fleet.ask(each, 1, 'globex');
  fleet.ask(a, 50, 'globex');
  fleet.pass(1000);
  a.side = 1;
  fleet.pass(3000);
  t.same(fleet.events.slice(1), ['0 globex api_calls 50%']);
  fleet.pass(5000);
  t.same(fleet.events.slice(2), ['1 globex api_calls 50%']);
  a.side = 0;
  // A level is said again with each report that reaches it.
  const report = (units: number): void => {
    c.quotas.report(fleet.account(c), [{ meter: 'seats', sign: '', units }]);
    fleet.pass(3000);
  };
  for (const each of fleet.there) fleet.account(each);
  report(9);
  report(1);
  report(9);
  t.same(fleet.events.filter((each) => each.includes('seats')).length, 2);
});

t.test('an event that cannot wait is announced at once', async (t) => {
  const { Announcer } = await import('../../../src/limits/fleet-quotas/announcer.ts');
  const { Claims } = await import('../../../src/limits/fleet-quotas/claims.ts');
  const { Members } = await import('../../../src/limits/fleet-quotas/members.ts');
  const said: number[] = [];
  const reached = (announcer: InstanceType<typeof Announcer>, mark: number): void =>
    announcer.reached({ tenant: 'acme', meter: 'api_calls', day: 1, mark, announce: () => void said.push(mark) }, 0);
  reached(new Announcer(new Claims(0), new Members(actorOf(1))), 1);
  const announcer = new Announcer(new Claims(), new Members(actorOf(1)), 1);
  reached(announcer, 2);
  reached(announcer, 3);
  t.same(said, [1, 3]);
  t.equal(announcer.waiting, 1);
  announcer.look(2000);
  t.same(said, [1, 3, 2]);
  reached(announcer, 2);
  t.equal(announcer.waiting, 0, 'it was announced');
});

t.test('levels: the last report in the fleet, wherever it came', async (t) => {
  const fleet = await Fleet.of({ seats: { gauge: true, limit: 3, mode: 'hard' } }, 2);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
  fleet.account(a);
  a.quotas.report(fleet.account(a), [{ meter: 'seats', sign: '', units: 3 }]);
  b.quotas.report(fleet.account(b, 'globex'), [{ meter: 'seats', sign: '', units: 1 }]);
  fleet.account(b);
  fleet.pass(1000);
  t.equal(fleet.ask(b, 1), 0);
  b.quotas.report(fleet.account(b), [{ meter: 'seats', sign: '-', units: 1 }]);
  fleet.pass(1000);
  t.equal(fleet.ask(a, 1), 1);
  t.equal(fleet.line(a, 'seats').used, 2);
});

t.test('what was given back can be spent again; what others give back counts', async (t) => {
  const fleet = await Fleet.of({ tokens: { per: 'day', limit: 100, mode: 'hard', estimate: 10 } }, 2);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
  fleet.pass(SETTLED_MS);
  a.quotas.report(fleet.account(a), [{ meter: 'tokens', sign: '', units: 50 }]);
  t.equal(fleet.ask(a, 1), 0);
  a.quotas.report(fleet.account(a), [{ meter: 'tokens', sign: '-', units: 30 }]);
  t.equal(fleet.ask(a, 4), 3, 'three times ten reserved');
  fleet.pass(1000);
  t.equal(fleet.line(b, 'tokens').used, 20);
});

t.test('what requests in flight here have reserved comes back soon, also where nobody else can give any', async (t) => {
  const fleet = await Fleet.of({ tokens: { per: 'day', limit: 100, mode: 'hard', estimate: 10 } }, 2);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
  fleet.pass(SETTLED_MS);
  fleet.end(b, 'dead');
  fleet.pass(1000);
  t.equal(fleet.ask(a, 9), 5, 'what it holds');
  const x = exchangeForTest();
  x.tenant = fleet.account(a).tenant;
  const check = () => a.quotas.check(fleet.account(a), x as never, fleet.clock.now(), true);
  t.match(check(), { detail: /reserved by requests in flight/, retryAfterMs: 2000 });
  a.quotas.report(fleet.account(a), [{ meter: 'tokens', sign: '', units: 41 }]);
  const refused = check() as Reply;
  t.match(refused.detail, /sidecars that cannot be reached/, '9 are left here, whatever those in flight take');
  t.ok((refused.retryAfterMs as number) > HOUR_MS);
});

t.test('a quota that becomes hard, a tenant that goes and comes back: what was spent stays spent', async (t) => {
  const fleet = await Fleet.of({ api_calls: { per: 'day', limit: 20 } }, 2);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
  fleet.ask(a, 8);
  fleet.ask(b, 1);
  fleet.pass(SETTLED_MS);
  const load = async (tenants: string): Promise<void> => {
    fleet.snapshot = await snapshotOf(
      plan('free', { quotas: { api_calls: { per: 'day', limit: 20, mode: 'hard' } } }),
      tenants,
    );
    for (const each of fleet.there) each.quotas.accounts.use(fleet.snapshot);
  };
  await load(tenant('acme'));
  fleet.ask(a, 1);
  fleet.pass(2000);
  fleet.ask(a, 20);
  await load(tenant('globex'));
  t.same([...a.quotas.accounts.hard()], []);
  t.equal(a.quotas.accounts.hardLine('acme', 'api_calls'), undefined);
  fleet.pass(1000);
  await load(tenant('acme'));
  fleet.pass(1000);
  for (let i = 0; i < 6; i++) {
    fleet.ask(a, 20);
    fleet.ask(b, 20);
    fleet.pass(1000);
  }
  t.equal(fleet.admitted, 20);
});

t.test('whatever happens, a hard quota is not exceeded, and what all know is the truth', async (t) => {
  const snapshot = (await Fleet.of(HARD, 0)).snapshot;
  const step = fc.record({
    what: fc.constantFrom('ask', 'ask', 'ask', 'pass', 'pass', 'cut', 'heal', 'crash', 'leave', 'add', 'forget'),
    who: fc.nat(7),
    times: fc.nat(25),
  });
  await fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const fleet = new Fleet(snapshot);
      for (let i = 0; i < 4; i++) fleet.add();
      fleet.expected = 4;
      fleet.pass(SETTLED_MS);
      let lost = 0;
      for (const { what, who, times } of steps) {
        const { there } = fleet;
        const one = there[who % there.length] as Sidecar;
        if (what === 'ask') fleet.ask(one, times);
        else if (what === 'pass') fleet.pass(250 * times);
        else if (what === 'cut') one.side = times % 3;
        else if (what === 'heal') for (const each of there) each.side = 0;
        else if (what === 'forget')
          for (const each of fleet.sidecars) if (each.state !== 'alive' && !each.isForgotten) fleet.forget(each);
        if (what === 'add' && fleet.sidecars.length < 12) fleet.add();
        if (there.length < 2) continue;
        if (what === 'leave') fleet.leave(one);
        if (what === 'crash') {
          lost += fleet.line(one, 'api_calls').spent;
          fleet.end(one, 'dead');
        }
        if (fleet.admitted > 90) return false;
      }
      for (const each of fleet.there) each.side = 0;
      fleet.pass(12_000);
      const used = fleet.there.map((each) => fleet.line(each, 'api_calls').used);
      // Of those that crashed what they did not tell any more is lost, and no more.
      return used.every((each) => each <= fleet.admitted && each >= fleet.admitted - lost) && new Set(used).size === 1;
    }),
    { seed: 42, numRuns: 25 },
  );
  t.pass('seed 42');
});

t.test(
  'what is forged or malformed changes nothing and is counted; what one wrote itself nobody tells it',
  async (t) => {
    const fleet = await Fleet.of(HARD, 2);
    const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
    fleet.pass(SETTLED_MS);
    fleet.ask(a, 5);
    const before = JSON.stringify([...a.fleet.counters.rows(), ...a.fleet.claims.rows()]);
    const slot = fleet.slot(a, b);
    t.notOk(a.fleet.lane.read(slot, a.fleet.lane.version(slot), 1e9, Uint8Array.of(1, 2, 3)));
    t.notOk(a.fleet.lane.read(99, 0, 1, Uint8Array.of(1)));
    t.same(a.fleet.lane.write(99, 7, new Uint8Array(9), 0, 9), { offset: 0, upTo: 7 });
    t.equal(a.fleet.lane.version(99), 0);
    t.equal(a.fleet.counts.refused, 2);
    t.equal(JSON.stringify([...a.fleet.counters.rows(), ...a.fleet.claims.rows()]), before);
    const { known } = a.fleet.counts;
    // The other says that this one gave it everything.
    const forged = row(
      { kind: 'grant', tenant: 'acme', meter: 'api_calls', day: TODAY, from: a.actor, to: b.actor },
      45,
    );
    fleet.forge(b, forged);
    t.equal(a.fleet.counts.known, known + 1);
    t.equal(fleet.line(a, 'api_calls').rights, 45);
    t.ok(CLAIMS_MAX > 0 && a.fleet.size.others > 0 && a.fleet.size.own > 0);
  },
);

t.test('of many only the richest give, so that a want leaves few rows', async (t) => {
  const fleet = await Fleet.of({ api_calls: { per: 'day', limit: 1200, mode: 'hard' } }, 12);
  fleet.pass(SETTLED_MS);
  const [a] = fleet.sidecars as [Sidecar];
  fleet.ask(a, 110);
  fleet.pass(1250);
  const givers = new Set([...a.fleet.claims.rows()].flatMap(({ kind, from }) => (kind === 'grant' ? [from] : [])));
  t.ok(givers.size > 0 && givers.size <= 8, `${givers.size} of 11`);
  t.equal(fleet.ask(a, 1), 1);
});

t.test('what belongs to another window, or to nobody who is known, is passed over', async (t) => {
  const fleet = await Fleet.of(HARD, 2);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
  fleet.pass(SETTLED_MS);
  fleet.ask(a, 1);
  fleet.pass(1000);
  const key = { tenant: 'acme', meter: 'api_calls', from: b.actor } as const;
  const { rights } = fleet.line(a, 'api_calls');
  fleet.forge(
    b,
    row({ ...key, kind: 'grant', day: TODAY - 1, to: a.actor }, 9),
    row({ ...key, kind: 'want', day: TODAY - 1 }, 99),
    row({ ...key, kind: 'want', day: TODAY, tenant: 'nobody' }, 99),
    row({ ...key, kind: 'spent', day: TODAY - 1, from: actorOf(30) }, 3),
  );
  fleet.pass(1000);
  t.equal(fleet.line(a, 'api_calls').rights, rights);
  t.equal(a.fleet.escrow.counts.given, 0);
  // What a newcomer gets is reckoned without what is over.
  fleet.forge(b, row({ ...key, kind: 'spent', day: TODAY - 1, from: a.actor }, 3));
  const c = fleet.add();
  fleet.pass(GIVEN_MS);
  t.ok(fleet.line(c, 'api_calls').rights > 0);
  for (const each of [a, b])
    each.fleet.claims.merge(row({ ...key, kind: 'grant', tenant: 'gone', day: TODAY, to: a.actor }, 9));
  const d = fleet.add();
  fleet.pass(GIVEN_MS);
  const given = fleet.line(d, 'api_calls').rights;
  t.ok(given === 0 || fleet.line(d, 'api_calls').rights <= 30);
});

t.test('a store without room: nothing more is given, and nothing is exceeded', async (t) => {
  const fleet = new Fleet((await Fleet.of(HARD, 0)).snapshot);
  const a = fleet.add(2);
  const b = fleet.add(2);
  fleet.pass(SETTLED_MS);
  fleet.ask(a, 50);
  fleet.ask(b, 50);
  fleet.pass(2000);
  const c = fleet.add(2);
  fleet.pass(SETTLED_MS);
  for (const each of [a, b, c]) fleet.ask(each, 50);
  t.ok(fleet.admitted > 0 && fleet.admitted <= 90, `${fleet.admitted} of 90`);
});

t.test(
  'rows of who is not remembered are told on when they grow; gone members and old events take no room',
  async (t) => {
    const fleet = await Fleet.of(SOFT, 2);
    const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
    fleet.ask(b, 3);
    fleet.pass(1000);
    const held = a.fleet.size.others;
    fleet.end(b, 'dead');
    fleet.forget(b);
    t.ok(a.fleet.size.others < held);
    fleet.pass(10_000);
    const c = fleet.add();
    fleet.forge(c, row({ kind: 'count', tenant: 'acme', meter: 'api_calls', day: TODAY, from: b.actor }, 7));
    fleet.end(c, 'dead');
    fleet.forget(c);
    const d = fleet.add();
    fleet.pass(1000);
    t.equal(fleet.line(d, 'api_calls').used, 7);
    const event = (day: number) => row({ kind: 'event', tenant: 'acme', meter: 'seats', day, from: b.actor }, 1, 1);
    a.fleet.claims.merge(event((TODAY - 50) * 86_400));
    a.fleet.claims.merge(event(TODAY * 86_400));
    a.fleet.gauges.set('acme', 'seats', 2, 1000);
    fleet.pass(1000);
    a.fleet.closed(TODAY, TODAY - 33);
    fleet.pass(1000);
    t.equal(fleet.add().fleet.gauges.valueOf('acme', 'seats'), 0);
    fleet.talk();
    t.equal(fleet.sidecars.at(-1)?.fleet.gauges.valueOf('acme', 'seats'), 2, 'a level is never over');
    const events = [...a.fleet.claims.rows()].filter(({ kind }) => kind === 'event');
    t.same(
      events.map(({ day }) => day),
      [TODAY * 86_400],
    );
  },
);

t.test('what arrives after a farewell gives no right to spend', async (t) => {
  const fleet = await Fleet.of(HARD, 2);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
  fleet.pass(SETTLED_MS);
  fleet.ask(a, 1);
  a.fleet.leave();
  fleet.forge(b, row({ kind: 'grant', tenant: 'acme', meter: 'api_calls', day: TODAY, from: b.actor, to: a.actor }, 9));
  t.equal(fleet.ask(a, 1), 0);
});

t.test('a newcomer is given nothing where it cannot be said what is left of it', async (t) => {
  const gifts = async (claimsMax: number | undefined, ...known: FleetRow[]): Promise<number> => {
    const fleet = new Fleet((await Fleet.of(HARD, 0)).snapshot);
    const a = fleet.add(claimsMax);
    fleet.pass(1000);
    fleet.ask(a, 70);
    fleet.pass(1000);
    for (const each of known) a.fleet.claims.merge(each);
    const b = fleet.add();
    fleet.pass(GIVEN_MS);
    return fleet.line(b, 'api_calls').rights;
  };
  const a = actorOf(0);
  const api = { tenant: 'acme', meter: 'api_calls', from: a, to: actorOf(9) };
  t.equal(await gifts(undefined), 20);
  t.equal(await gifts(undefined, row({ ...api, kind: 'grant', day: TODAY - 1 }, 90)), 20, 'of a window that is over');
  t.equal(
    await gifts(undefined, row({ ...api, kind: 'grant', tenant: 'gone', day: TODAY }, 9)),
    20,
    'of a tenant that is gone all is kept, of others what was spent',
  );
  t.equal(await gifts(2), 0, 'no room to say what is kept');
  const charter = { kind: 'share', day: TODAY + 1, meter: a, from: a } as const;
  t.equal(await gifts(undefined, row({ ...charter, to: actorOf(1) }, 5, 5)), 0, 'it was given something before');
});

t.test(
  'where somebody is missing or doubted, most begin after a minute; who is doubted makes nobody most',
  async (t) => {
    const fleet = await Fleet.of(HARD, 3);
    const [a, b, c] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
    fleet.end(c, 'dead');
    fleet.expected = 4;
    fleet.pass(70_000);
    t.equal(fleet.ask(a, 1), 0, 'two of four');
    const d = fleet.add();
    d.state = 'suspect';
    for (const each of [a, b]) each.fleet.onMember(fleet.member(each, d));
    fleet.pass(70_000);
    t.equal(fleet.ask(a, 1), 0, 'and one that is doubted');
    d.state = 'alive';
    for (const each of [a, b]) each.fleet.onMember(fleet.member(each, d));
    fleet.pass(1000);
    t.equal(fleet.ask(a, 1), 1, 'three of four, and calm for long');
  },
);

t.test('a limit that is raised and lowered again: what was handed on of the higher one is taken off', async (t) => {
  const of = (limit: number) => ({ api_calls: { per: 'day', limit, mode: 'hard' } });
  const fleet = await Fleet.of(of(600), 3);
  fleet.pass(SETTLED_MS);
  const [a, b, c] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
  const reload = async (limit: number): Promise<void> => {
    fleet.snapshot = await snapshotOf(plan('free', { quotas: of(limit) }), tenant('acme') + tenant('globex'));
    for (const each of fleet.there) each.quotas.accounts.use(fleet.snapshot);
  };
  fleet.ask(a, 190);
  await reload(1800);
  // All of it is asked for at one: the others hand on what they have.
  for (let i = 0; i < 20 && fleet.admitted < 560; i++) {
    fleet.ask(a, Math.min(60, 560 - fleet.admitted));
    fleet.pass(1000);
  }
  await reload(600);
  fleet.pass(2000);
  for (const each of [a, b, c]) fleet.ask(each, 1);
  fleet.pass(2000);
  const spendable = [a, b, c].map((each) => Math.max(0, fleet.line(each, 'api_calls').inHand));
  t.ok(
    spendable.reduce((sum, each) => sum + each, 0) <= 600 - fleet.admitted,
    `${spendable} of ${600 - fleet.admitted}`,
  );
  for (let i = 0; i < 10; i++) {
    for (const each of [b, c, a]) fleet.ask(each, 100);
    fleet.pass(1000);
  }
  t.ok(fleet.admitted <= 600 && fleet.admitted > 590, `${fleet.admitted}`);
});

t.test('who was given what it wanted, and gave it away again, is given some when it asks again', async (t) => {
  const fleet = await Fleet.of({ api_calls: { per: 'day', limit: 1000, mode: 'hard' } }, 3);
  fleet.pass(5000);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
  fleet.ask(b, 200);
  fleet.pass(1000);
  fleet.ask(b, 60);
  fleet.pass(40_000);
  const { rights } = fleet.line(b, 'api_calls');
  t.ok(rights > 600, `a burst made it want much: ${rights}`);
  for (let second = 0; second < 40 && fleet.line(a, 'api_calls').used < 700; second++) {
    fleet.ask(a, 60);
    fleet.pass(1000);
  }
  fleet.pass(40_000);
  t.ok(fleet.line(b, 'api_calls').inHand < 1, 'all that it did not need is elsewhere');
  const asked = [0, 1, 2].map(() => {
    const got = fleet.ask(b, 20);
    fleet.pass(1000);
    return got;
  });
  t.ok((asked[2] as number) > 0, `${asked}`);
});

t.test('who wants nothing any more is given nothing, and gives nothing back', async (t) => {
  const fleet = await Fleet.of({ api_calls: { per: 'day', limit: 1000, mode: 'hard' } }, 3);
  fleet.pass(5000);
  const [a, b] = fleet.sidecars as [Sidecar, Sidecar, Sidecar];
  // A burst that makes one want much, the other takes the rest, and each asks for a little more than it has.
  fleet.ask(b, 340);
  fleet.pass(60_000);
  for (let second = 0; second < 14; second++) {
    fleet.ask(a, 40);
    fleet.pass(1000);
  }
  fleet.pass(40_000);
  for (let second = 0; second < 3; second++) {
    fleet.ask(b, 20);
    fleet.pass(1000);
  }
  fleet.pass(15_000);
  const given = (): number => fleet.sidecars.reduce((sum, each) => sum + each.fleet.escrow.counts.given, 0);
  const before = given();
  fleet.pass(60_000);
  t.equal(given(), before, 'nothing moves where nobody asks');
});
