/** What no run may show is seen when it happens: one sidecar of a fleet is broken on purpose, and the run ends there. */
import t, { type Test } from 'tap';
import { SimFleet } from '../../sim/fleet.ts';
import { Violation } from '../../sim/job.ts';
import { OURS } from '../../sim/policies.ts';
import { QuotaFleet, type QuotaScenario } from '../../sim/quota-fleet.ts';
import type { Scenario } from '../../sim/scenarios.ts';
import type { SimSidecar } from '../../sim/sidecar.ts';
import type { Peer } from '../../src/gossip/roster.ts';

const AT = 9;
const LATER = AT + 1;

/** A fleet of five, of which one is another from `AT` seconds on. */
function rates(harm: (one: SimSidecar, fleet: SimFleet) => void, isStrict = false, seconds: number = AT + 3): SimFleet {
  const scenario: Scenario = {
    ...{ name: 'broken', describe: '', nodes: 5, limit: 200, burst: 20, isStrict, seconds },
    load: (_, __, places) => 3 / places,
    events: [{ at: AT, act: (fleet) => harm(fleet.places[2] as SimSidecar, fleet) }],
    measure: () => ({}),
  };
  const fleet = new SimFleet(scenario, OURS, 1);
  fleet.run();
  return fleet;
}

/** It was seen within a second, and the run ended there. */
function isSeen(
  t: Test,
  { invariants, time }: { readonly invariants: SimFleet['invariants']; readonly time: SimFleet['time'] },
  what: RegExp,
): void {
  const { violation = 'nothing' } = invariants;
  t.match(violation, what);
  const [, seconds] = /^at (\d+\.\d{3}) s /.exec(violation) ?? [];
  t.ok(Number(seconds) >= AT && Number(seconds) < LATER, violation);
  t.ok(Math.abs(time.nowMs / 1000 - Number(seconds)) < 0.001, 'the run ends with it');
}

t.test('a sidecar that says it admitted more than it did', async (t) => {
  const liar = rates(({ fleet }) => {
    const admit = fleet.admit.bind(fleet);
    fleet.admit = (slot, cost, part) => admit(slot, 2 * cost, part);
  });
  isSeen(t, liar, /pod-2-2 believes [\d.]+ of itself, which admitted \d+ of tenant-0$/);
});

t.test('a sidecar that believes more of another than that one said', async (t) => {
  const gossip = rates(({ fleet }) => {
    const admittedBy = fleet.admittedBy.bind(fleet);
    fleet.admittedBy = (slot, name) => admittedBy(slot, name) * (slot === 0 ? 1 : 1.5);
  });
  isSeen(t, gossip, /pod-2-2 believes [\d.]+ of pod-\d-\d, which admitted \d+ of tenant-0$/);
});

t.test('a sidecar whose own count falls', async (t) => {
  const forgetful = rates(({ fleet }) => {
    const admit = fleet.admit.bind(fleet);
    fleet.admit = (slot, cost, part) => admit(slot, -cost, part);
  });
  isSeen(t, forgetful, /pod-2-2 had counted [\d.]+ of itself, and counts [\d.]+ now$/);
});

t.test('a sidecar that takes all of a strict limit', async (t) => {
  const isStrict = true;
  t.equal(rates(() => {}, isStrict).invariants.violation, undefined, 'whole it holds');
  const greedy = rates(({ fleet }) => {
    fleet.strictPart = (_, { perSec, burst }) => ({ perSec, burst, since: 0, cuts: 0 });
  }, isStrict);
  isSeen(t, greedy, /pod-\d-\d admitted more than a strict 200\/s with a burst of 20$/);
});

async function quota(harm: (one: NonNullable<QuotaFleet['places'][number]>) => void): Promise<QuotaFleet> {
  const scenario: QuotaScenario = {
    ...{ name: 'broken', describe: '', nodes: 5, isHard: true, limit: 250, perSec: 200, seconds: AT + 6 },
    part: (_, places) => 1 / places,
    events: [{ at: AT, act: ({ places }) => harm(places[2] as NonNullable<QuotaFleet['places'][number]>) }],
    measure: () => ({}),
  };
  const fleet = new QuotaFleet(scenario, 1);
  await fleet.run();
  return fleet;
}

t.test('a sidecar that admits beyond a hard quota', async (t) => {
  t.equal((await quota(() => {})).invariants.violation, undefined, 'whole it holds');
  const generous = await quota(({ quotas }) => {
    quotas.check = () => undefined;
  });
  isSeen(t, generous, /pod-\d-\d admitted unit 251 of a hard quota of 250$/);
});

t.test('a sidecar that counts more of a quota than it admitted, and one that believes more', async (t) => {
  const liar = await quota(({ fleet }) => {
    const { counters } = fleet;
    const add = counters.add.bind(counters);
    counters.add = (row, units) => add(row, 3 * units);
  });
  isSeen(t, liar, /pod-2-2 believes \d+ of itself, which admitted \d+ of acme$/);
  const told = await quota(({ fleet }) => {
    const { counters } = fleet;
    const merge = counters.merge.bind(counters);
    counters.merge = (row) => merge({ ...row, count: 2 * row.count });
  });
  isSeen(t, told, /pod-2-2 believes \d+ of [0-9a-f]{16}, which admitted \d+ of acme$/);
});

/** A fleet of which one sees the others otherwise than it believes, from `AT` seconds on. */
function views(see: (peers: readonly Peer[], fleet: SimFleet) => readonly Peer[], seconds?: number): SimFleet {
  return rates(
    ({ gossip }, fleet) => {
      const members = gossip.members.bind(gossip);
      gossip.members = () => see(members() as readonly Peer[], fleet);
    },
    false,
    seconds,
  );
}

const otherwise = (peer: Peer | undefined, as: Partial<Peer>): Peer =>
  Object.create(peer as Peer, Object.fromEntries(Object.entries(as).map(([key, value]) => [key, { value }])));
/** The second of those it knows, seen otherwise. */
const second =
  (as: (peer: Peer) => Partial<Peer>) =>
  (peers: readonly Peer[]): Peer[] =>
    peers.map((each, at) => (at === 1 ? otherwise(each, as(each)) : each));

t.test('a member that never was, one that said less of itself, and one that did not leave', async (t) => {
  const dreamer = views((peers) => [...peers, otherwise(peers[1], { incarnation: '0'.repeat(16) })]);
  isSeen(t, dreamer, /pod-2-2 knows pod-\d-\d, which never was$/);
  const ahead = views(second(({ refutation }) => ({ refutation: refutation + 1 })));
  isSeen(t, ahead, /pod-2-2 holds pod-\d-\d for alive 1, which said no more than 0 of itself$/);
  const hasty = views(second(() => ({ state: 'left' })));
  isSeen(t, hasty, /pod-2-2 holds pod-\d-\d for left, which did not leave$/);
});

t.test(
  'one that is believed what was believed of it before, and one that left and is back, forgotten or not',
  async (t) => {
    let looks = 0;
    const fickle = views((peers) => second(() => ({ state: ++looks < 3 ? 'suspect' : 'alive' }))(peers));
    isSeen(t, fickle, /pod-2-2 held pod-\d-\d for suspect 0, and for alive 0 now$/);
    let hasLeft = false;
    const deaf = views((peers, fleet) => {
      if (!hasLeft) fleet.leave(4);
      hasLeft = true;
      const gone = peers.find(({ state }) => state === 'left');
      if (gone === undefined) return peers;
      looks++;
      const others = peers.filter((each) => each !== gone);
      if (looks < 10) return peers;
      return looks < 20 ? others : [...others, otherwise(gone, { state: 'alive', isReachable: true })];
    }, AT + 20);
    t.match(deaf.invariants.violation, /pod-2-2 held pod-4-4 for left 1, and for alive 1 now$/);
  },
);

/** Behind the last start: nobody may be wrong about others any more. */
const QUIET = 16;

t.test('one that is there and buried, one that is gone and believed, one that is not known', async (t) => {
  const all = (harm: Parameters<typeof views>[0]): string | undefined => views(harm, QUIET).invariants.violation;
  t.equal(
    all((peers) => peers),
    undefined,
    'whole it holds',
  );
  const isDead = { state: 'dead', isReachable: false } as const;
  t.match(all(second(() => isDead)), /pod-2-2 holds pod-\d-\d for dead, which is there, 11.75 s after/);
  t.match(
    all((peers) => peers.slice(0, -1)),
    /pod-2-2 knows 4 of 5, 11.75 s after/,
  );
  let isCrashed = false;
  const blind = views((peers, fleet) => {
    if (!isCrashed) fleet.crash(4);
    isCrashed = true;
    return peers.map((each) =>
      each.name === 'pod-4-4' ? otherwise(each, { state: 'alive', isReachable: true }) : each,
    );
  }, AT + QUIET);
  t.match(blind.invariants.violation, /pod-2-2 holds pod-4-4 for alive, which is not there, 11.25/);
});

t.test('what is told of it says how to see it again', async (t) => {
  t.equal(
    new Violation({ scenario: 'steady', policy: 'reeve', seed: 7, nodes: 20 }, 'at 9.000 s it broke').message,
    'steady under reeve with seed 7 broke what must hold: at 9.000 s it broke; again: npm run sim -- steady --policy reeve --seed 7 --seeds 1 --nodes 20',
  );
});
