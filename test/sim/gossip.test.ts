/** What whole clusters show in minutes of virtual time: too much where lines are counted. The shorter ones are in test/gossip. */
import t from 'tap';
import { FAIR } from '../../sim/net.ts';
import { accusations, isComplete, isConverged, type Node, stateOf, untruth, World } from '../gossip/world.ts';

const SEEDS = [1, 2];
const addresses = (nodes: readonly Node[]): string[] => nodes.map((each) => each.transport.address);
const without = (nodes: readonly Node[], gone: Node): Node[] => nodes.filter((each) => each !== gone);

t.test('rows of all reach all, and nobody ever holds what the origin did not say', async (t) => {
  for (const seed of SEEDS) {
    const world = new World(seed, { ...FAIR, loss: 0.1, duplication: 0.1, latencyMs: [1, 40] });
    const nodes = world.cluster(20);
    const lies: (string | undefined)[] = [];
    for (let round = 0; round < 40; round++) {
      for (const [i, node] of nodes.entries()) {
        if ((i + round) % 3 === 0) for (let key = 0; key < 20; key++) node.rows.say((key * 7 + round) % 250, round);
        if (round % 10 === i) node.gossip.nudge();
      }
      world.time.run(50);
      lies.push(untruth(nodes));
    }
    t.same(
      lies.filter((each) => each !== undefined),
      [],
    );
    const ms = world.until(() => isConverged(nodes), 10_000);
    t.ok(ms !== undefined, `seed ${seed}: the last is everywhere after ${ms} ms`);
    t.equal(untruth(nodes), undefined);
  }
});

t.test('a crash is suspected within 2 s and dead everywhere within 4 s', async (t) => {
  for (const seed of [1, 2, 3]) {
    const world = new World(seed);
    const nodes = world.cluster(50);
    world.time.run(5000);
    const victim = nodes[seed * 7] as Node;
    world.crash(victim);
    const others = without(nodes, victim);
    const suspectMs = world.until(() => others.some((each) => stateOf(victim, each) === 'suspect'), 10_000) ?? 0;
    const deadMs =
      suspectMs + (world.until(() => others.every((each) => stateOf(victim, each) === 'dead'), 10_000) ?? 1e9);
    t.ok(
      suspectMs <= 2000 && deadMs <= 4000,
      `seed ${seed}: suspect after ${suspectMs} ms, dead everywhere after ${deadMs} ms`,
    );
    t.equal(accusations(others, 'suspect'), 0, 'nobody else is suspected');
    world.time.run(65_000);
    t.ok(
      others.every((each) => each.rows.forgotten.length === 1),
      'it is forgotten after a minute, its slot is free',
    );
  }
});

t.test('20 % loss for a minute kills nobody', async (t) => {
  for (const seed of SEEDS) {
    const world = new World(seed);
    const nodes = world.cluster(50);
    world.net.weather = { ...FAIR, loss: 0.2 };
    world.time.run(60_000);
    t.equal(accusations(nodes, 'dead'), 0, `seed ${seed}: ${accusations(nodes, 'suspect')} views of a suspect`);
  }
});

t.test('links cut one way, and a bridge of one member, kill nobody who can be reached through another', async (t) => {
  for (const seed of SEEDS) {
    const oneWay = new World(seed);
    const nodes = oneWay.cluster(50);
    oneWay.net.cutOneWay(addresses(nodes.slice(0, 1)), addresses(nodes.slice(1, 25)));
    oneWay.net.cutOneWay(addresses(nodes.slice(1, 2)), addresses(nodes.slice(2, 3)));
    oneWay.time.run(60_000);
    t.equal(
      accusations(nodes, 'dead'),
      0,
      `one way, seed ${seed}: ${accusations(nodes, 'suspect')} views of a suspect`,
    );

    for (const half of [1, 24]) {
      const bridge = new World(seed);
      const all = bridge.cluster(2 * half + 1);
      bridge.net.cut(addresses(all.slice(0, half)), addresses(all.slice(half + 1)));
      bridge.time.run(60_000);
      t.equal(accusations(all, 'dead'), 0, `bridge, seed ${seed}: ${accusations(all, 'suspect')} views of a suspect`);
      for (const each of all) each.rows.say(1, 1);
      t.ok(bridge.until(() => isComplete(all) && isConverged(all), 10_000) !== undefined, 'rows pass the bridge');
    }
  }
});
