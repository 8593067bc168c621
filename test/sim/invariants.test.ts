/** What no run may show is seen when it happens: one sidecar of a fleet is broken on purpose, and the run ends there. */
import t, { type Test } from 'tap';
import { SimFleet } from '../../sim/fleet.ts';
import { Violation } from '../../sim/job.ts';
import { OURS } from '../../sim/policies.ts';
import { QuotaFleet, type QuotaScenario } from '../../sim/quota-fleet.ts';
import type { Scenario } from '../../sim/scenarios.ts';
import type { SimSidecar } from '../../sim/sidecar.ts';

const AT = 9;
const LATER = AT + 1;

/** A fleet of five, of which one is another from `AT` seconds on. */
function rates(harm: (one: SimSidecar) => void, isStrict = false): SimFleet {
  const scenario: Scenario = {
    ...{ name: 'broken', describe: '', nodes: 5, limit: 200, burst: 20, isStrict, seconds: AT + 3 },
    load: (_, __, places) => 3 / places,
    events: [{ at: AT, act: ({ places }) => harm(places[2] as SimSidecar) }],
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

t.test('what is told of it says how to see it again', async (t) => {
  t.equal(
    new Violation({ scenario: 'steady', policy: 'reeve', seed: 7, nodes: 20 }, 'at 9.000 s it broke').message,
    'steady under reeve with seed 7 broke what must hold: at 9.000 s it broke; again: npm run sim -- steady --policy reeve --seed 7 --seeds 1 --nodes 20',
  );
});
