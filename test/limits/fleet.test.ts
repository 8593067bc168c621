import fc from 'fast-check';
import t from 'tap';
import { SeededRandom } from '../../sim/time.ts';
import type { MonotonicMs, TenantIndex } from '../../src/core/index.ts';
import type { Member, MemberState } from '../../src/gossip/index.ts';
import { decide, take } from '../../src/limits/decide.ts';
import { Attendance } from '../../src/limits/fleet/attendance.ts';
import { FleetRates } from '../../src/limits/fleet/fleet-rates.ts';
import { type Fleet, GAINS, type Share, shareByDemand } from '../../src/limits/fleet/share.ts';
import { TICK_MS } from '../../src/limits/fleet/ticks.ts';
import { remainingOf } from '../../src/limits/headers.ts';
import { LimitState } from '../../src/limits/state.ts';
import type { RequestRate, Tenant } from '../../src/tenants/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { plan, route, tenant, world } from './world.ts';

const LIMIT: RequestRate = { perSec: 100, burst: 10, credits: undefined, text: '100/s' };

function tenantOf(index: number, requests: RequestRate | undefined = LIMIT, name = `tenant-${index}`): Tenant {
  const allowance = { requests, egress: undefined, concurrency: undefined, shadow: false, quotas: [] };
  const plan = {
    name: 'p',
    index: 0,
    weight: 1,
    allowance,
    ladder: [{ kind: 'reject' as const }],
    staleMsMax: 0,
    source: '',
  };
  return {
    ...{ id: name as Tenant['id'], index: index as TenantIndex, state: 'active', plan, allowance, timezone: 'UTC' },
    ...{ labels: {}, billingDay: 1, claims: [], hosts: [], apiKeys: [], source: '' },
  } as Tenant;
}

const memberOf = (slot: number, state: MemberState = 'alive', isListed: boolean | undefined = true): Member => ({
  ...{ slot, state, isListed, name: `pod-${slot}`, incarnation: String(slot).padStart(16, '0') },
  address: `10.0.0.${slot}:7946`,
});

/** Sidecars that hear of each other when told to; a slot of another is its place + 1, or less by one behind one's own. */
class Fleets {
  now = 1000;
  readonly rates: FleetRates[];
  readonly states: LimitState[];

  constructor(count: number, partition: 'hold' | 'strict' | 'open' = 'hold') {
    const clock = { now: () => this.now as MonotonicMs, wallMs: () => this.now };
    this.rates = Array.from({ length: count }, () => new FleetRates({ clock, partition }));
    this.states = this.rates.map((each) => new LimitState(each));
    for (const [at, each] of this.rates.entries()) {
      each.onMember(memberOf(0));
      for (let other = 0; other < count; other++) if (other !== at) each.onMember(memberOf(this.slot(at, other)));
    }
  }

  slot(at: number, other: number): number {
    return other < at ? other + 1 : other;
  }

  request(at: number, tenant: Tenant, cost = 1): boolean {
    const state = this.states[at] as LimitState;
    const now = this.now as MonotonicMs;
    state.claim(tenant, 1, now);
    state.fleet?.offer(tenant, tenant.allowance.requests as RequestRate, cost);
    const ask = { tenant, route: undefined, now, waitingAll: 0, isAnswered: () => false };
    const decided = decide(state, ask);
    if (decided.kind === 'refuse') return false;
    take(state, ask, decided);
    return true;
  }

  /** Everybody hears everything of everybody. */
  gossip(): void {
    const bytes = new Uint8Array(100_000);
    for (const [at, from] of this.rates.entries())
      for (const [to, other] of this.rates.entries()) {
        const slot = this.slot(to, at);
        if (at === to) continue;
        const after = other.version(slot);
        const { offset, upTo } = from.write(0, after, bytes, 0, bytes.length);
        if (upTo > after && !other.read(slot, after, upTo, bytes.subarray(0, offset))) throw new Error('refused');
      }
  }

  /** `perSec` requests at each for so many seconds; how many each admitted. */
  run(seconds: number, perSec: readonly number[], tenant: Tenant): number[] {
    const admitted = perSec.map(() => 0);
    for (let ms = 0; ms < seconds * 1000; ms += 1) {
      this.now++;
      for (const [at, rate] of perSec.entries())
        if (Math.floor((ms * rate) / 1000) < Math.floor(((ms + 1) * rate) / 1000) && this.request(at, tenant))
          (admitted[at] as number)++;
      if (ms % TICK_MS === 0) {
        for (const each of this.rates) each.tick();
        this.gossip();
      }
    }
    return admitted;
  }
}

t.test('alone it is the limit itself, exactly', async (t) => {
  const fleet = new Fleets(1);
  const tenant = tenantOf(3);
  let admitted = 0;
  for (let i = 0; i < 50; i++) if (fleet.request(0, tenant)) admitted++;
  t.equal(admitted, 10);
  const [rates] = fleet.rates as [FleetRates];
  t.equal(rates.rate(3 as TenantIndex, LIMIT), LIMIT);
  t.equal(rates.level(3 as TenantIndex), undefined);
  t.equal(rates.explain(3 as TenantIndex), undefined);
  t.notOk(rates.canBorrow(3 as TenantIndex, 1));
  t.notOk(rates.tick(), 'no time went by');
  fleet.now += 100;
  t.notOk(rates.tick());
  t.equal(rates.version(0), 0, 'nobody to tell');
});

t.test('together they admit the limit, whoever is asked', async (t) => {
  const fleet = new Fleets(4);
  const tenant = tenantOf(0);
  fleet.run(3, [150, 90, 30, 30], tenant);
  const admitted = fleet.run(10, [150, 90, 30, 30], tenant);
  const sum = admitted.reduce((all, each) => all + each, 0);
  t.ok(Math.abs(sum - 1000) <= 20, `${sum} of 1000`);
  t.ok(Math.abs((admitted[0] as number) / sum - 0.5) < 0.05, 'half of the requests, half of the limit');

  // What is asked for moves, and the shares with it.
  fleet.run(2, [30, 30, 90, 150], tenant);
  const moved = fleet.run(5, [30, 30, 90, 150], tenant);
  t.ok(Math.abs((moved[3] as number) / 500 - 0.5) < 0.06, `${moved}`);

  const said = fleet.rates[0]?.explain(0 as TenantIndex);
  t.match(said, { members: 4, peers: [{ name: 'pod-3' }, { name: 'pod-2' }, { name: 'pod-1' }] });
  t.ok(Math.abs((said?.demand ?? 0) - 300) < 30);
  // Who has which share: what is reckoned here of the others is what they take.
  for (const [at, name] of ['', 'pod-1', 'pod-2', 'pod-3'].entries()) {
    const own = fleet.rates[at]?.explain(0 as TenantIndex)?.here.share ?? 0;
    const reckoned = at === 0 ? said?.here.share : said?.peers.find((each) => each.name === name)?.share;
    t.ok(Math.abs((reckoned ?? 0) - own) < 0.1 * own, `${name} takes ${own}, reckoned ${reckoned}`);
  }
  const all = [said?.here, ...(said?.peers ?? [])].reduce((sum, each) => sum + (each?.share ?? 0), 0);
  t.ok(Math.abs(all - 100) < 10, `${all} together`);
  t.match(remainingOf(fleet.states[0] as LimitState, tenant, undefined, fleet.now), /^"requests";r=\d+;t=\d/);
});

t.test('within the limit nothing is refused, wherever it is asked for, and a burst may be borrowed', async (t) => {
  const fleet = new Fleets(4);
  const tenant = tenantOf(0);
  fleet.run(2, [20, 20, 20, 10], tenant);
  const admitted = fleet.run(5, [20, 20, 20, 10], tenant);
  t.same(admitted, [100, 100, 100, 50]);
  const [first] = fleet.rates as [FleetRates];
  t.ok(first.canBorrow(0 as TenantIndex, 1));
  let burst = 0;
  while (fleet.request(0, tenant)) burst++;
  t.ok(burst > 3, `${burst} at once`);
});

t.test('demand that leaps is told at once, and idle limits cost nothing', async (t) => {
  const fleet = new Fleets(2);
  const tenant = tenantOf(0);
  const [first] = fleet.rates as [FleetRates];
  for (let i = 0; i < 40; i++) fleet.request(0, tenant);
  fleet.now += 100;
  t.ok(first.tick(), 'urgent');
  t.ok(first.version(0) > 0);
  const before = first.version(0);
  for (let i = 0; i < 200; i++) {
    fleet.now += 100;
    t.notOk(first.tick());
  }
  t.ok(first.version(0) - before < 30, 'a few rows until nothing is asked for');
  const silent = first.version(0);
  fleet.now += 60_000;
  first.tick();
  t.equal(first.version(0), silent);
});

t.test('a limit that changes keeps what was spent; a tenant that goes is not the next one', async (t) => {
  const fleet = new Fleets(2);
  const tenant = tenantOf(0);
  fleet.run(2, [200, 100], tenant);
  const double = tenantOf(0, { ...LIMIT, perSec: 200, burst: 20, text: '200/s' });
  fleet.run(2, [200, 100], double);
  const admitted = fleet.run(5, [200, 100], double);
  const sum = admitted.reduce((all, each) => all + each, 0);
  t.ok(Math.abs(sum - 1000) < 30, `${sum} of 1000`);
  const [state] = fleet.states as [LimitState];
  state.forget(0 as TenantIndex, 2);
  t.equal(state.fleet?.explain(0 as TenantIndex), undefined);
  t.equal(state.fleet?.rate(0 as TenantIndex, LIMIT).perSec, 50, 'an equal share, before anything is known');
  const other = tenantOf(0, LIMIT, 'another');
  state.claim(other, 3, fleet.now);
  state.fleet?.offer(other, LIMIT, 1);
  t.match(state.fleet?.explain(0 as TenantIndex), { peers: [] });
  t.equal(state.fleet?.explain(700 as TenantIndex), undefined);
  t.notOk(state.fleet?.canBorrow(700 as TenantIndex, 1));
});

t.test('who leaves leaves its share; who comes does not bring one', async (t) => {
  const fleet = new Fleets(3);
  const tenant = tenantOf(0);
  fleet.run(3, [100, 100, 100], tenant);
  const [first, second] = fleet.rates as [FleetRates, FleetRates];
  t.equal(first.members, 3);
  for (const [at, each] of [first, second].entries()) {
    each.onMember(memberOf(fleet.slot(at, 2), 'left'));
    t.equal(each.members, 2);
  }
  fleet.run(1, [100, 100, 0], tenant);
  const admitted = fleet.run(5, [100, 100, 0], tenant);
  const sum = admitted.reduce((all, each) => all + each, 0);
  t.ok(Math.abs(sum - 500) < 25, `${sum} of 500`);
  first.onForgotten(2);
  first.onForgotten(2);
  t.equal(first.members, 2);
  t.match(first.explain(0 as TenantIndex), { peers: { length: 1 } }, 'a slot that is free is nobody');
  t.equal(first.version(2), 0);
  t.notOk(first.read(2, 0, 1, new Uint8Array(0)), 'who is forgotten says nothing');
  t.same(first.write(2, 0, new Uint8Array(9), 3, 9), { offset: 3, upTo: 0 });
  t.equal(first.admittedBy(1, 'tenant-0') > 0, true);
  t.equal(first.admittedBy(0, 'tenant-0') > 0, true);
  t.same([first.admittedBy(1, 'nobody'), first.admittedBy(9, 'tenant-0')], [0, 0]);
  t.notOk(first.read(1, first.version(1), first.version(1) + 1, Uint8Array.of(1)), 'malformed');

  // Rows of one that is back are not new spending.
  first.onMember(memberOf(2, 'dead'));
  t.equal(first.members, 2);
  first.onMember(memberOf(1, 'dead', false));
  first.onMember(memberOf(2));
  t.match(first.explain(0 as TenantIndex), { peers: [{ name: 'pod-1', share: 0 }] }, 'who is gone has no share');
});

t.test('cut off from all it takes its part, and no more', async (t) => {
  const fleet = new Fleets(1);
  const [rates] = fleet.rates as [FleetRates];
  rates.follow({ expected: 5, isIsolated: true, isFound: true });
  fleet.now += 100;
  rates.tick();
  const tenant = tenantOf(0);
  fleet.run(2, [100], tenant);
  const [admitted] = fleet.run(5, [100], tenant) as [number];
  t.ok(Math.abs(admitted - 100) < 15, `${admitted} of a fifth of 500`);
});

t.test('requests of tenants that are known elsewhere only are not reckoned with', async (t) => {
  const fleet = new Fleets(2);
  const here = tenantOf(0);
  const there = tenantOf(1);
  fleet.run(1, [0, 150], there);
  const [first] = fleet.rates as [FleetRates];
  fleet.run(1, [50, 0], here);
  t.equal(first.explain(1 as TenantIndex), undefined);
  t.ok(fleet.request(0, there));
  t.match(first.explain(1 as TenantIndex), { peers: [{ name: 'pod-1' }] });
});

t.test('who counts: few that vanish have crashed, many are behind a cut', async (t) => {
  const MINUTES_5 = 300_001;
  const of = (policy: 'hold' | 'strict' | 'open', count = 10): Attendance => {
    const attendance = new Attendance(policy);
    for (let slot = 1; slot < count; slot++) attendance.note(memberOf(slot));
    return attendance;
  };
  /** How many count, and what part of a limit is theirs together. */
  const look = (attendance: Attendance, o: { at?: number; expected?: number; isIsolated?: boolean } = {}): number[] => {
    attendance.look({ expected: o.expected ?? 10, isIsolated: o.isIsolated ?? false }, o.at ?? 0);
    const counted = Array.from({ length: 30 }, (_, slot) => attendance.isCounted(slot)).filter(Boolean).length;
    return [counted, attendance.part];
  };
  const dead = (attendance: Attendance, many: number): void => {
    for (let slot = 1; slot <= many; slot++) attendance.note(memberOf(slot, 'dead'));
  };
  for (const policy of ['hold', 'strict', 'open'] as const) {
    const one = of(policy);
    one.note(memberOf(1, 'suspect'));
    t.same(look(one), [8, 1], 'one is not waited for');
    dead(one, 9);
    t.same(look(one, { isIsolated: true }), [0, 0.1], 'who hears nobody counts nobody, and takes an equal part');
  }
  const hold = of('hold');
  dead(hold, 4);
  t.same(look(hold), [9, 1], 'behind a cut they go on');
  t.same(look(hold, { at: MINUTES_5 }), [5, 0.6], 'for five minutes');
  for (let slot = 1; slot <= 4; slot++) hold.forget(slot);
  t.same(look(hold, { at: MINUTES_5 + 60_000 }), [5, 0.6], 'who is not remembered any more is still expected');
  for (let slot = 11; slot <= 14; slot++) hold.note(memberOf(slot));
  t.same(look(hold, { at: MINUTES_5 + 90_000 }), [9, 1], 'healed');

  const gone = of('hold');
  dead(gone, 4);
  gone.note(memberOf(1, 'dead', false));
  gone.note(memberOf(2, 'left'));
  t.same(look(gone), [7, 1], 'the service, or they themselves, say that they are gone');

  const restarted = of('hold');
  dead(restarted, 3);
  for (let slot = 1; slot <= 3; slot++) restarted.note({ ...memberOf(slot + 20), address: memberOf(slot).address });
  t.same(look(restarted), [9, 1], 'another process at the address: the one before is gone');
  restarted.note(memberOf(1, 'dead'));
  t.same(look(restarted), [9, 1]);

  const strict = of('strict');
  dead(strict, 4);
  t.same(look(strict), [5, 0.6]);
  const open = of('open');
  dead(open, 4);
  t.same(look(open), [5, 1]);
  const two = of('hold', 2);
  dead(two, 1);
  t.same(look(two, { expected: 2 }), [1, 1], 'of two, nobody knows which one is cut off');
  const joining = of('strict', 2);
  t.same(look(joining, { expected: 50 }), [1, 1], 'who is not there yet is no cut');
});

t.test('cut off after it knew others, it takes an equal part of the limit', async (t) => {
  const fleet = new Fleets(5);
  const tenant = tenantOf(0);
  fleet.run(2, [100, 100, 100, 100, 100], tenant);
  const [first] = fleet.rates as [FleetRates];
  for (let other = 1; other < 5; other++) first.onMember(memberOf(fleet.slot(0, other), 'dead'));
  first.follow({ expected: 5, isIsolated: true, isFound: true });
  fleet.now += 100;
  first.tick();
  t.equal(first.members, 1);
  fleet.run(2, [100], tenant);
  const [admitted] = fleet.run(5, [100], tenant) as [number];
  t.ok(Math.abs(admitted - 100) < 15, `${admitted} of a fifth of 500`);
});

t.test('a reload keeps shares in proportion, and a quiet hour fills the bucket', async (t) => {
  const fleet = new Fleets(10);
  const tenant = tenantOf(0);
  const busy = [90, ...Array.from({ length: 9 }, () => 0)];
  fleet.run(5, busy, tenant);
  const more = tenantOf(0, { ...LIMIT, perSec: 101, text: '101/s' });
  t.equal(fleet.run(0.09, busy, more)[0], 9 - 1, 'nobody is refused for a reload');
  const less = tenantOf(0, { ...LIMIT, perSec: 101, burst: 5, text: '101/s' });
  fleet.request(0, less);
  t.ok(
    (fleet.rates[0]?.level(0 as TenantIndex) ?? -99) >= 5 - 10,
    'a smaller burst is no debt but for what was just admitted',
  );

  const slow = tenantOf(1, { perSec: 1 / 60, burst: 60, credits: undefined, text: '60/h' });
  for (let i = 0; i < 70; i++) fleet.request(0, slow);
  fleet.now += 100;
  for (const each of fleet.rates) each.tick();
  const [first] = fleet.rates as [FleetRates];
  const before = first.level(1 as TenantIndex) as number;
  for (let i = 0; i < 36_000; i++) {
    fleet.now += 100;
    first.tick();
  }
  fleet.request(0, slow);
  fleet.now += 100;
  first.tick();
  t.ok((first.level(1 as TenantIndex) as number) > before + 0.8 * (60 - before), 'an hour later it is full again');
  const told = first.level(1 as TenantIndex) as number;
  t.ok(fleet.request(0, slow));
  t.equal(first.level(1 as TenantIndex), told - 1, 'what is told falls with each request');
});

t.test('limits beyond the bound are shared out evenly, and cost nobody anything', async (t) => {
  const clock = new ManualClock();
  const fleet = new FleetRates({ clock, partition: 'hold', limitsMax: 1 });
  const other = new FleetRates({ clock, partition: 'hold' });
  fleet.onMember(memberOf(1));
  other.onMember(memberOf(1));
  const tick = (): void => {
    clock.advance(100);
    fleet.tick();
    other.tick();
  };
  for (const index of [0, 1])
    for (const each of [fleet, other]) {
      each.offer(tenantOf(index), LIMIT, 20);
      each.admit(index as TenantIndex, 20);
    }
  tick();
  t.equal(fleet.rate(1 as TenantIndex, LIMIT).perSec, 50);
  t.equal(fleet.level(1 as TenantIndex), undefined);
  const bytes = new Uint8Array(1000);
  const { offset, upTo } = other.write(0, 0, bytes, 0, 1000);
  t.ok(fleet.read(1, 0, upTo, bytes.subarray(0, offset)), 'it is carried on to others all the same');
  t.match(fleet.explain(0 as TenantIndex), { peers: { length: 1 } });
  fleet.onMember(memberOf(1, 'left'));
  tick();
  t.equal(fleet.members, 1);
});

t.test('shares: of the same knowledge they sum to the limit, and what is corrected is bounded', async () => {
  const rule = shareByDemand();
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 500, noNaN: true }), { minLength: 2, maxLength: 60 }),
      fc.double({ min: 1, max: 1000, noNaN: true }),
      fc.double({ min: -1, max: 1, noNaN: true }),
      (demands, perSec, fill) => {
        const demand = demands.reduce((sum, each) => sum + each, 0);
        const burst = Math.max(1, perSec / 10);
        let sum = 0;
        for (const demandHere of demands) {
          const share: Share = { perSec: 0, burst: 0, borrow: 0 };
          const fleet: Fleet = {
            ...{ perSec, burst, members: demands.length, demandHere, demand },
            ...{ admitted: perSec / 10, seconds: 0.1, unit: 1 },
          };
          const state = { level: fill * burst, integral: 0 };
          rule.take(fleet, state, share);
          if (share.burst < 1 || share.borrow < 0 || state.level > burst) return false;
          sum += share.perSec;
        }
        const most = 1 + GAINS.integralMax + GAINS.integralSmall + Math.max(GAINS.surplus, GAINS.surplusWithin);
        // Twice, at most, for what buckets of one request waste.
        return sum <= 2 * most * perSec * (1 + 1e-6) + 1e-3;
      },
    ),
  );
});

t.test('a request offers, is decided by the share here, and is explained with it', async (t) => {
  const clock = new ManualClock();
  const fleet = new FleetRates({ clock, partition: 'hold' });
  const w = await world(
    plan('free', { rate: { requests: { limit: '100/s', burst: 10 } } }),
    tenant('acme'),
    route('r', { match: { path: '/dear' }, cost: 50 }),
    { clock, fleet },
  );
  fleet.onMember(memberOf(1));
  let admitted = 0;
  for (let i = 0; i < 50; i++) if (w.one('acme') === 'pass' || w.one('acme') === 'notice') admitted++;
  t.ok(admitted > 0 && admitted < 10, `${admitted}: a part of the burst`);
  const explained = w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' });
  t.match(explained.fleet, { members: 2, peers: [] });
  t.ok((explained.requests?.left ?? 1) < 1, 'what may be taken here');
  w.one('acme', '/dear');
  clock.advance(100);
  fleet.tick();
  t.ok((fleet.explain(0 as TenantIndex)?.here.demand ?? 0) > 60, 'what it costs is what is asked for');
});

t.test('a name whose row is still on its way counts for nothing', async (t) => {
  const fleet = new Fleets(2);
  const [first, second] = fleet.rates as [FleetRates, FleetRates];
  const state = fleet.states[0] as LimitState;
  fleet.run(0.5, [50, 0], tenantOf(0));
  const late = tenantOf(1);
  for (let i = 0; i < 20; i++) fleet.request(0, late);
  fleet.now += 100;
  first.tick();
  const bytes = new Uint8Array(200);
  for (let room = 8; room < 200; room++) {
    const after = second.version(1);
    const { offset, upTo } = first.write(0, after, bytes, 0, room);
    if (upTo > after) t.ok(second.read(1, after, upTo, bytes.subarray(0, offset)));
    if (upTo === first.version(0) - 1) break;
  }
  t.equal(second.version(1), first.version(0) - 1, 'all but the last row');
  second.onMember(memberOf(1, 'left'));
  second.onMember(memberOf(1));
  t.equal(second.members, 2);
  t.equal(second.admittedBy(1, 'tenant-1'), 0);
  t.ok(state.isOwner(late));
});

t.test("of a fleet's bank each holds an equal part, and what is banked stays", async (t) => {
  const credits = { earn: 0.5, capUnits: 100 };
  const fleet = new Fleets(4);
  const tenant = tenantOf(0, { ...LIMIT, credits });
  const [state] = fleet.states as [LimitState];
  fleet.request(0, tenant);
  fleet.now += 10_000;
  t.equal(Math.round(state.credit(0 as TenantIndex, { ...LIMIT, credits }, fleet.now)), 25, 'a quarter of the bank');
  for (let other = 2; other < 4; other++) state.fleet?.onMember(memberOf(fleet.slot(0, other), 'left'));
  fleet.now += 10_000;
  t.equal(Math.round(state.credit(0 as TenantIndex, { ...LIMIT, credits }, fleet.now)), 50);
  for (let other = 2; other < 4; other++) state.fleet?.onMember(memberOf(fleet.slot(0, other)));
  t.equal(Math.round(state.credit(0 as TenantIndex, { ...LIMIT, credits }, fleet.now)), 50, 'not taken back');
});

t.test('a share makes up for what its small bucket wastes, as a queue would tell', async (t) => {
  const random = new SeededRandom(7);
  /** Requests at random, so many for each that may be admitted: how much of the rate a bucket of so many leaves idle. */
  const wasted = (asked: number, requests: number): number => {
    let now = 0;
    let level = requests;
    let admitted = 0;
    while (now < 10_000) {
      const gap = -Math.log(1 - random.float()) / asked;
      now += gap;
      level = Math.min(requests, level + gap);
      if (level < 1) continue;
      level--;
      admitted++;
    }
    return 1 - admitted / now;
  };
  for (const [asked, requests] of [
    [1.5, 1],
    [3, 1],
    [1.5, 2],
    [3, 2],
    [2, 3],
  ] as const) {
    const share: Share = { perSec: 0, burst: 0, borrow: 0 };
    const fleet = { perSec: 1000, burst: 2 * requests, members: 2, demandHere: 500 * asked, demand: 1000 * asked };
    const state = { level: 0, integral: 0 };
    shareByDemand({ ...GAINS, integral: 0 }).take({ ...fleet, admitted: 0, seconds: 0, unit: 1 }, state, share);
    const told = 1 - 500 / share.perSec;
    const seen = wasted(asked, requests);
    t.ok(Math.abs(told - seen) < 0.02, `${asked} × asked, ${requests}: ${told.toFixed(3)} of ${seen.toFixed(3)}`);
  }
});

t.test('what a share lets in is told when the share changes, not when it is seen', async (t) => {
  const fleet = new Fleets(3);
  const tenant = tenantOf(0);
  fleet.run(4, [200, 200, 200], tenant);
  const [first, second] = fleet.rates as [FleetRates, FleetRates];
  const heard = (): number => (second.explain(0 as TenantIndex)?.peers[0]?.admitted ?? 0) as number;
  t.ok(Math.abs(heard() - 33) < 5, `a third each: ${heard()}`);
  for (const each of [first, second]) each.onMember(memberOf(2, 'suspect'));
  // The tick of the other parts, and one in which nothing was admitted at the new share yet.
  fleet.now += 100;
  for (let at = 0; at < 20; at++) fleet.request(0, tenant);
  first.tick();
  fleet.gossip();
  const here = first.explain(0 as TenantIndex)?.here as { share: number; admitted: number };
  t.ok(here.share > 45, `half of it is its share now: ${here.share}`);
  t.ok(here.admitted < 40, `and it admitted a third: ${here.admitted}`);
  t.ok(heard() > 43, `the other reckons with a half: ${heard()}`);
});

t.test('where shares are less than a unit a second it is told what was seen', async (t) => {
  const fleet = new Fleets(4);
  const tenant = tenantOf(0, { ...LIMIT, perSec: 2, burst: 2 });
  fleet.run(20, [5, 5, 5, 5], tenant);
  const [first, second] = fleet.rates as [FleetRates, FleetRates];
  for (const each of [first, second]) each.onMember(memberOf(3, 'suspect'));
  const version = first.version(0);
  // Its row is due after a second; the rate is smoothed over three.
  for (let at = 0; at < 11 && first.version(0) === version; at++) {
    fleet.now += 100;
    first.tick();
  }
  fleet.gossip();
  const here = first.explain(0 as TenantIndex)?.here as { share: number; demand: number; admitted: number };
  const heard = second.explain(0 as TenantIndex)?.peers.find(({ name }) => name === 'pod-1')?.admitted as number;
  t.ok(here.share < 1 && here.demand > here.share, `a share of ${here.share}, ${here.demand} asked for`);
  t.ok(Math.abs(heard / here.admitted - 1) < 0.05, `told ${heard} of ${here.admitted}`);
});

t.test('a small limit is lent from the bucket: less where more is asked for than there is', async (t) => {
  const borrow = (demand: number): number => {
    const share: Share = { perSec: 0, burst: 0, borrow: 0 };
    const fleet = { perSec: 10, burst: 10, members: 10, demandHere: 1, demand, admitted: 0, seconds: 0.1, unit: 1 };
    shareByDemand().take(fleet, { level: 10, integral: 0 }, share);
    return share.borrow;
  };
  t.equal(borrow(0), 9, 'nobody asked yet: all but what the bucket here holds');
  t.equal(borrow(5), 8, 'as much');
  t.equal(borrow(20), 5, 'what is above half of the burst');
  t.ok(borrow(200) < 1, 'a part that all may take');
  t.equal(borrow(1), 0, 'who alone is asked has all of it already');
});

t.test('what one said reaches another by way of a third', async (t) => {
  const fleet = new Fleets(3);
  const [first, second, third] = fleet.rates as [FleetRates, FleetRates, FleetRates];
  for (let i = 0; i < 30; i++) fleet.request(0, tenantOf(0));
  fleet.now += 100;
  first.tick();
  const bytes = new Uint8Array(1000);
  const said = first.write(0, 0, bytes, 0, 1000);
  t.ok(second.read(fleet.slot(1, 0), 0, said.upTo, bytes.subarray(0, said.offset)));
  const passedOn = second.write(fleet.slot(1, 0), 0, bytes, 0, 1000);
  t.ok(third.read(fleet.slot(2, 0), 0, passedOn.upTo, bytes.subarray(0, passedOn.offset)));
  t.equal(third.version(fleet.slot(2, 0)), first.version(0));
  t.equal(third.admittedBy(fleet.slot(2, 0), 'tenant-0'), first.admittedBy(0, 'tenant-0'));
  t.ok(third.admittedBy(fleet.slot(2, 0), 'tenant-0') > 0);
});
