import fc from 'fast-check';
import t from 'tap';
import type { MonotonicMs, TenantIndex } from '../../src/core/index.ts';
import type { Member, MemberState } from '../../src/gossip/index.ts';
import { decide, take } from '../../src/limits/decide.ts';
import type { FleetExplanation } from '../../src/limits/fleet/explanation.ts';
import { FleetRates } from '../../src/limits/fleet/fleet-rates.ts';
import { TICK_MS } from '../../src/limits/fleet/ticks.ts';
import { remainingOf } from '../../src/limits/headers.ts';
import { LimitState } from '../../src/limits/state.ts';
import type { RequestRate, Tenant } from '../../src/tenants/index.ts';
import { plan, snapshotOf, tenant } from './world.ts';

const incarnationOf = (process: number): string => `${process}`.padStart(16, '0');

/** Sidecars, each with what it believes of the others; whoever is at a place. */
class Strict {
  now = 1_000_000;
  readonly admitted: number[] = [];
  readonly tenant: Tenant;
  readonly sidecars: {
    readonly state: LimitState;
    readonly process: number;
    readonly known: Map<number, MemberState>;
    readonly surroundings: { expected: number; isIsolated: boolean; isFound: boolean };
    isGone: boolean;
  }[] = [];

  constructor(tenant: Tenant) {
    this.tenant = tenant;
  }

  get listed(): number {
    return this.sidecars.filter((each) => !each.isGone).length;
  }

  start(): number {
    const clock = { now: () => this.now as MonotonicMs, wallMs: () => this.now };
    const fleet = new FleetRates({ clock, partition: 'hold' });
    const process = this.sidecars.length;
    const surroundings = { expected: 1, isIsolated: false, isFound: true };
    fleet.follow(surroundings);
    fleet.onMember(this.member(process, 0, 'alive'));
    this.sidecars.push({ state: new LimitState(fleet), process, known: new Map(), surroundings, isGone: false });
    return process;
  }

  member(process: number, slot: number, state: MemberState, isListed = true): Member {
    const incarnation = incarnationOf(process);
    return { slot, state, isListed, name: `pod-${process}`, incarnation, address: `10.0.0.${process}:1` };
  }

  /** What one learns of another. */
  hear(at: number, of: number, state: MemberState, isListed = true): void {
    if (at === of) return;
    const sidecar = this.sidecars[at] as Strict['sidecars'][number];
    // Nothing follows a farewell.
    if (sidecar.known.get(of) === 'left') return;
    sidecar.known.set(of, state);
    sidecar.state.fleet?.onMember(this.member(of, of + 1, state, isListed));
  }

  look(at: number, expected: number): void {
    (this.sidecars[at] as Strict['sidecars'][number]).surroundings.expected = expected;
  }

  advance(ms: number): void {
    this.now += ms;
    for (const { state, isGone } of this.sidecars) if (!isGone) state.fleet?.tick();
  }

  ask(at: number, cost = 1): boolean {
    const { state, isGone } = this.sidecars[at] as Strict['sidecars'][number];
    if (isGone) return false;
    state.claim(this.tenant, 1, this.now as MonotonicMs);
    const route = cost === 1 ? undefined : ({ cost, index: 0, name: 'r' } as never);
    const ask = { tenant: this.tenant, route, now: this.now as MonotonicMs, waitingAll: 0, isAnswered: () => false };
    state.offer(this.tenant, route);
    const decided = decide(state, ask);
    if (decided.kind !== 'pass' && decided.kind !== 'notice') return false;
    take(state, ask, decided);
    for (let unit = 0; unit < cost; unit++) this.admitted.push(this.now);
    return true;
  }

  /** `RateLimit` of an answer to a request of this cost. */
  told(at: number, cost = 1): string {
    const { state } = this.sidecars[at] as Strict['sidecars'][number];
    return remainingOf(state, this.tenant, { cost } as never, this.now);
  }

  /** Everybody hears the rows of everybody. */
  gossip(): void {
    const bytes = new Uint8Array(100_000);
    for (const { state: from, process } of this.sidecars)
      for (const { state: to, process: other } of this.sidecars) {
        if (process === other) continue;
        const after = to.fleet?.version(process + 1) ?? 0;
        const written = from.fleet?.write(0, after, bytes, 0, bytes.length);
        if (written !== undefined && written.upTo > after)
          to.fleet?.read(process + 1, after, written.upTo, bytes.subarray(0, written.offset));
      }
  }

  explain(at: number): FleetExplanation | undefined {
    const { index, id, allowance } = this.tenant;
    return this.sidecars[at]?.state.fleet?.explainStrict(index, id, allowance.requests as RequestRate);
  }

  /** All that are there know all that are there. */
  settle(): void {
    for (const { process } of this.sidecars)
      for (const other of this.sidecars) if (!other.isGone) this.hear(process, other.process, 'alive');
    for (const { process } of this.sidecars) this.look(process, this.listed);
    for (let i = 0; i < 60; i++) this.advance(TICK_MS);
  }

  /** The most that was admitted beyond what a bucket admits in any stretch of time, units. */
  excess(perSec: number, burst: number): number {
    let level = burst;
    let worst = 0;
    let at = this.admitted[0] ?? 0;
    for (const time of this.admitted) {
      level = Math.min(burst, level + ((time - at) * perSec) / 1000) - 1;
      at = time;
      worst = Math.max(worst, -level);
    }
    return worst;
  }
}

const strictTenant = async (limit: string, burst: number): Promise<Tenant> => {
  const document = plan('free', {
    rate: { requests: { limit, burst, strict: true } },
    degrade: ['deprioritize', { route: 'degraded' }, 'reject'],
  });
  return (await snapshotOf(document, tenant('acme'))).tenants.get('acme') as Tenant;
};

async function fleetOf(sidecars: number, limit: string, burst: number): Promise<Strict> {
  const fleet = new Strict(await strictTenant(limit, burst));
  for (let at = 0; at < sidecars; at++) fleet.start();
  fleet.settle();
  return fleet;
}

const atOnce = (fleet: Strict, at: number): number => {
  let admitted = 0;
  while (fleet.ask(at)) admitted++;
  return admitted;
};

t.test(
  'each sidecar has a part of its own: all together admit the limit and its burst, whoever is asked',
  async (t) => {
    const fleet = await fleetOf(3, '30/s', 9);
    t.same(
      [0, 1, 2].map((at) => atOnce(fleet, at)),
      [3, 3, 3],
    );
    for (let i = 0; i < 100; i++) {
      fleet.advance(100);
      for (const at of [0, 1, 2]) while (fleet.ask(at));
    }
    t.ok(fleet.admitted.length >= 305 && fleet.admitted.length <= 309, `${fleet.admitted.length} of 300 and 9`);
    t.equal(fleet.told(0), '"requests";r=0;t=1', 'what is left here');
    t.notOk(fleet.ask(0, 4), 'what costs more than the part is never within it');
    fleet.advance(60_000);
    t.equal(fleet.told(0), '"requests";r=3;t=0', 'a part is whole: of all it would be nine');
    t.notOk(fleet.ask(0, 4));
    t.equal(fleet.told(0, 4), '"requests";r=3;t=1', 'what it does not admit may be asked for again in a second');
    t.ok(fleet.ask(0, 3));
  },
);

t.test('of a small burst some have a unit, all agree on whom, and limits have others', async (t) => {
  const fleet = await fleetOf(10, '10/h', 2);
  fleet.advance(3_600_000);
  const parts = Array.from({ length: 10 }, (_, at) => atOnce(fleet, at));
  t.same(
    parts.filter((each) => each > 0),
    [1, 1],
  );
  const spenders = (limit: string): string =>
    fleet.sidecars
      .filter(({ state }) => (state.fleet?.strictPart(limit, { perSec: 1, burst: 1 }).burst ?? 0) > 0)
      .map(({ process }) => process)
      .join();
  const ofMany = Array.from({ length: 200 }, (_, at) => spenders(`tenant-${at}`));
  t.ok(
    ofMany.every((each) => /^\d$/.test(each)),
    'one each',
  );
  t.equal(new Set(ofMany).size, 10, 'and not the same for all');
});

t.test('who has which part is told by all alike, whoever cannot be reached included', async (t) => {
  const fleet = await fleetOf(5, '10/s', 2);
  t.match(fleet.explain(0), { demand: 0, peers: [], here: { demand: 0, admitted: 0 } }, 'nobody asked yet');
  fleet.advance(40_000);
  for (let i = 0; i < 50; i++) {
    for (const at of [0, 1, 2, 3, 4]) fleet.ask(at);
    fleet.advance(TICK_MS);
    fleet.gossip();
  }
  const own = [0, 1, 2, 3, 4].map((at) => fleet.explain(at)?.here.share ?? -1);
  t.same([...own].sort(), [0, 0, 0, 5, 5], 'two of five have a part');
  fleet.hear(0, 4, 'dead');
  for (const at of [0, 1, 2, 3, 4]) {
    const said = fleet.explain(at);
    t.match(said, {
      members: 5,
      level: undefined,
      strict: { parts: 2, standing: own[at] === 0 ? 'others' : 'held' },
      here: { burst: own[at] === 0 ? 0 : 1 },
    });
    t.ok((said?.demand ?? 0) > 30 && (said?.here.demand ?? 0) > 5, 'what is asked for is told all the same');
    for (const { name, share } of said?.peers ?? []) t.equal(share, own[Number(name.slice(4))], `${name}, from ${at}`);
    t.equal(said?.peers.length, 4);
  }
  fleet.hear(0, 4, 'left');
  t.equal(fleet.explain(0)?.peers.find(({ name }) => name === 'pod-4')?.share, 0, 'who left has none');
});

t.test('a cut gives nobody a second part; who leaves gives his to the others, empty', async (t) => {
  const fleet = await fleetOf(4, '4/min', 8);
  fleet.advance(600_000);
  for (const at of [0, 1]) for (const other of [2, 3]) fleet.hear(at, other, 'dead');
  for (const at of [2, 3]) for (const other of [0, 1]) fleet.hear(at, other, 'dead');
  fleet.advance(400_000);
  t.same(
    [0, 1, 2, 3].map((at) => atOnce(fleet, at)),
    [2, 2, 2, 2],
    'both sides together: the burst',
  );
  for (const at of [0, 1, 2, 3]) for (let other = 0; other < 4; other++) fleet.hear(at, other, 'alive');
  fleet.advance(600_000);
  t.equal(atOnce(fleet, 3), 2);
  fleet.sidecars[3]?.state.fleet?.leave();
  t.equal(atOnce(fleet, 3), 0);
  for (const at of [0, 1, 2]) fleet.look(at, 3);
  for (const at of [0, 1, 2]) fleet.hear(at, 3, 'left');
  fleet.advance(100);
  t.same(
    [0, 1, 2].map((at) => atOnce(fleet, at)),
    [2, 2, 2],
    'eight in all, not ten',
  );
  fleet.advance(600_000);
  t.same(
    [0, 1, 2].map((at) => atOnce(fleet, at)),
    [2, 2, 2],
    'eight thirds hold two whole requests',
  );
});

t.test('what was spent before somebody left drained at the rate it had then', async (t) => {
  const fleet = await fleetOf(3, '30/s', 9);
  const [, , last] = [0, 1, 2].map((at) => atOnce(fleet, at));
  t.equal(last, 3);
  fleet.advance(200);
  t.equal(atOnce(fleet, 2), 2, 'two of what came in');
  fleet.sidecars[2]?.state.fleet?.leave();
  for (const at of [0, 1]) {
    fleet.look(at, 2);
    fleet.hear(at, 2, 'left');
  }
  fleet.advance(0.01);
  t.same(
    [0, 1].map((at) => atOnce(fleet, at)),
    [2, 2],
    'ten a second for 0.2 s, not fifteen',
  );
  fleet.advance(200);
  t.same(
    [0, 1].map((at) => atOnce(fleet, at)),
    [3, 3],
    'and fifteen from then on',
  );
  t.ok(fleet.excess(30, 9) < 1e-6, `${fleet.excess(30, 9)} beyond`);
});

t.test('parts that were cut more than once since somebody asked begin with an empty bucket', async (t) => {
  const fleet = await fleetOf(2, '60/min', 6);
  fleet.advance(60_000);
  t.same(
    [0, 1].map((at) => atOnce(fleet, at)),
    [3, 3],
  );
  // Another comes, spends its part for a while and goes again; nobody asks here meanwhile.
  const late = fleet.start();
  for (const at of [0, 1]) {
    fleet.look(at, 3);
    fleet.hear(at, late, 'alive');
    fleet.hear(late, at, 'alive');
  }
  fleet.look(late, 3);
  fleet.advance(5000);
  for (let i = 0; i < 60; i++) {
    fleet.ask(late);
    fleet.advance(100);
  }
  fleet.sidecars[late]?.state.fleet?.leave();
  for (const at of [0, 1]) {
    fleet.look(at, 2);
    fleet.hear(at, late, 'left');
  }
  fleet.advance(100);
  t.same(
    [0, 1].map((at) => atOnce(fleet, at)),
    [0, 0],
  );
  fleet.advance(2000);
  t.same(
    [0, 1].map((at) => atOnce(fleet, at)),
    [1, 1],
  );
  t.ok(fleet.excess(1, 6) < 1e-6);
});

t.test('a newcomer waits until it is known, and begins with an empty bucket', async (t) => {
  const fleet = await fleetOf(2, '60/min', 6);
  fleet.advance(60_000);
  const late = fleet.start();
  fleet.look(late, 3);
  for (const at of [0, 1]) fleet.hear(late, at, 'alive');
  fleet.advance(4900);
  t.notOk(fleet.ask(late), 'the others may not know of it');
  t.same(
    [0, 1].map((at) => atOnce(fleet, at)),
    [3, 3],
  );
  for (const at of [0, 1]) fleet.hear(at, late, 'alive');
  fleet.advance(200);
  t.equal(atOnce(fleet, late), 0, 'empty');
  fleet.advance(3100);
  t.equal(atOnce(fleet, late), 1, 'a third of a unit a second');

  // The same where nobody asked while it waited.
  const quiet = await fleetOf(2, '60/min', 6);
  quiet.sidecars[1]?.state.fleet?.leave();
  const next = quiet.start();
  for (const at of [0, 1]) quiet.hear(next, at, 'alive');
  quiet.look(next, 3);
  quiet.advance(8100);
  t.equal(atOnce(quiet, next), 1, 'a third of what came in the 3.1 s since it was known');

  // Who cannot reach all is known by the seeds alone, which are looked at now and then.
  const cut = fleet.start();
  fleet.look(cut, 4);
  fleet.advance(34_900);
  t.notOk(fleet.ask(cut));
  for (const at of [0, 1, late]) fleet.look(at, 4);
  fleet.advance(200);
  t.notOk(fleet.ask(cut));
  fleet.advance(4000);
  t.ok(fleet.ask(cut), 'a quarter of a unit a second');
});

t.test('who has no part does not admit what waits either', async (t) => {
  const fleet = await fleetOf(2, '60/min', 6);
  const late = fleet.start();
  const tenant = {
    ...fleet.tenant,
    plan: { ...fleet.tenant.plan, ladder: [{ kind: 'shape' as const, delayMsMax: 10_000 }] },
  };
  const decidedBy = (at: number): string => {
    const { state } = fleet.sidecars[at] as (typeof fleet.sidecars)[number];
    state.claim(tenant, 1, fleet.now as MonotonicMs);
    const now = fleet.now as MonotonicMs;
    return decide(state, { tenant, route: undefined, now, waitingAll: 0, isAnswered: () => false }).kind;
  };
  t.equal(decidedBy(late), 'refuse');
  atOnce(fleet, 0);
  t.equal(decidedBy(0), 'shape', 'a part of its own that is spent comes again');
});

t.test('where it is alone it is the limit itself; with less than all of a burst nobody is lent anything', async (t) => {
  const state = new LimitState();
  const tenant = await strictTenant('10/s', 5);
  state.claim(tenant, 1, 0 as MonotonicMs);
  let admitted = 0;
  for (let i = 0; i < 20; i++) {
    const ask = { tenant, route: undefined, now: 0 as MonotonicMs, waitingAll: 0, isAnswered: () => false };
    const decided = decide(state, ask);
    if (decided.kind === 'refuse') continue;
    take(state, ask, decided);
    admitted++;
  }
  t.equal(admitted, 5);
  const fleet = await fleetOf(2, '100/s', 10);
  fleet.ask(0);
  const { requests } = fleet.tenant.allowance;
  const [first] = fleet.sidecars;
  t.ok(first?.state.fleet?.canBorrow(0 as TenantIndex, 1), 'an estimate would lend');
  t.notOk(first?.state.canBorrow(0 as TenantIndex, requests as RequestRate, 1));
});

t.test('a slot that is emptied keeps nothing: whoever has it next finds it as one that was never used', async (t) => {
  const fleet = await fleetOf(2, '10/s', 6);
  t.equal(atOnce(fleet, 0), 3);
  t.equal(atOnce(fleet, 0), 0);
  const [first] = fleet.sidecars;
  first?.state.forget(0 as TenantIndex, 2);
  // A tenancy that grows meanwhile changes nothing.
  first?.state.reserve(5000);
  t.equal(atOnce(fleet, 0), 3);
});

t.test('whatever fails, no stretch of time sees more than the bucket of one limit', async () => {
  const [small, large] = [await strictTenant('30/min', 3), await strictTenant('20/s', 20)];
  const at = fc.nat(4);
  const op = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('flood' as const) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('one' as const), at }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 10, max: 4000 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('lost' as const, 'found' as const), at, of: at }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('leave' as const, 'replace' as const), at }) },
  );
  fc.assert(
    fc.property(fc.array(op, { maxLength: 60 }), fc.constantFrom(small, large), (ops, tenant) => {
      const fleet = new Strict(tenant);
      const places = Array.from({ length: 5 }, () => fleet.start());
      fleet.settle();
      fleet.advance(60_000);
      for (const each of ops) {
        if (each.kind === 'wait') fleet.advance(each.ms);
        else if (each.kind === 'flood') for (const place of places) for (let i = 0; i < 30; i++) fleet.ask(place);
        else if (each.kind === 'one') for (let i = 0; i < 30; i++) fleet.ask(places[each.at] as number);
        else if (each.kind === 'lost' || each.kind === 'found')
          fleet.hear(
            places[each.at] as number,
            places[each.of] as number,
            each.kind === 'lost' ? (each.at % 2 === 0 ? 'suspect' : 'dead') : 'alive',
          );
        else {
          const gone = places[each.at] as number;
          const sidecar = fleet.sidecars[gone] as Strict['sidecars'][number];
          sidecar.state.fleet?.leave();
          sidecar.isGone = true;
          if (each.kind === 'leave')
            for (const other of places) {
              fleet.hear(other, gone, 'left');
              fleet.look(other, fleet.listed);
            }
          if (each.kind === 'replace') {
            // Its address stays listed: another process has it, and learns of the others at once; they hear of it later.
            const next = fleet.start();
            places[each.at] = next;
            fleet.look(next, fleet.listed);
            for (const other of places) fleet.hear(next, other, 'alive');
            for (let i = 0; i < 30; i++) fleet.ask(next);
            fleet.advance(2000);
            for (const other of places) {
              fleet.hear(other, gone, 'left');
              fleet.hear(other, next, 'alive');
            }
          }
        }
      }
      const { perSec, burst } = tenant.allowance.requests as RequestRate;
      return fleet.excess(perSec, burst) < 1e-6;
    }),
    { numRuns: 300 },
  );
});
