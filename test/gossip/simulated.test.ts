/** Whole clusters on virtual time: the promises of the protocol, each under several seeds. Those of minutes are in test/sim, where no lines are counted. */
import t from 'tap';
import { FAIR } from '../../sim/net.ts';
import { Keyring, staticSeeds } from '../../src/gossip/index.ts';
import type { Seeds } from '../../src/gossip/seeds.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { accusations, isComplete, isConverged, type Node, stateOf, untruth, World } from './world.ts';

const SEEDS = [1, 2];
const addresses = (nodes: readonly Node[]): string[] => nodes.map((each) => each.transport.address);
const without = (nodes: readonly Node[], gone: Node): Node[] => nodes.filter((each) => each !== gone);

t.test('fifty members that start together know each other within 2 s, and are ready', async (t) => {
  for (const seed of SEEDS) {
    const world = new World(seed);
    const nodes = world.cluster(50);
    t.ok(isComplete(nodes) && world.time.nowMs < 2000, `seed ${seed}: ${Math.round(world.time.nowMs)} ms`);
    world.until(() => nodes.every((each) => each.isReady), 1000);
    t.ok(nodes.every((each) => each.isReady && each.gossip.expected === 50));
  }
});

t.test(
  'a member reached by one other only is not taken for dead, and its rows pass, however many, under the cap of bytes',
  async (t) => {
    const world = new World(1);
    const nodes = world.cluster(9, { settings: { egressBytesPerSec: 16 * 1024 } });
    world.net.cut(addresses(nodes.slice(0, 4)), addresses(nodes.slice(5)));
    for (let round = 0; round < 100; round++) {
      for (const node of nodes) for (let key = 0; key < 250; key++) node.rows.say(key, round);
      world.time.run(100);
    }
    t.equal(accusations(nodes, 'dead'), 0);
    t.ok(nodes.some((each) => each.gossip.counts.droppedFrames > 0));
    t.ok(world.until(() => isConverged(nodes), 20_000) !== undefined);
    t.equal(untruth(nodes), undefined);
  },
);

t.test('a nudge reaches fifty members within a second, and idle members say little', async (t) => {
  const world = new World(4);
  const nodes = world.cluster(50);
  world.time.run(5000);
  const before = world.net.sentBytes;
  world.time.run(20_000);
  const bytesPerSec = (world.net.sentBytes - before) / 20 / 50;
  t.ok(bytesPerSec < 2000, `idle: ${Math.round(bytesPerSec)} B/s a member`);
  nodes[0]?.rows.say(1, 1);
  nodes[0]?.gossip.nudge();
  const ms = world.until(() => isConverged(nodes), 5000);
  t.ok(ms !== undefined && ms <= 1000, `a row is everywhere after ${ms} ms`);
});

t.test('who is paused for 5 s accuses nobody, and is taken back', async (t) => {
  for (const seed of SEEDS) {
    const world = new World(seed);
    const nodes = world.cluster(50);
    world.time.run(5000);
    const paused = nodes[seed] as Node;
    paused.process.pause(5000);
    world.time.run(4990);
    t.ok(
      without(nodes, paused).every((each) => stateOf(paused, each) === 'dead'),
      'it is taken for dead meanwhile',
    );
    const ms = world.until(() => isComplete(nodes), 10_000);
    t.ok(ms !== undefined && ms <= 1000, `seed ${seed}: back after ${ms} ms`);
    world.time.run(20_000);
    t.equal(accusations([paused], 'suspect', nodes) + accusations([paused], 'dead', nodes), 0);
    t.ok(isComplete(nodes));
    const ofOthers = without(nodes, paused).flatMap((each) => each.rows.events);
    t.notOk(ofOthers.some((each) => each.state === 'dead' && each.incarnation !== paused.gossip.self.incarnation));
  }
});

t.test('a partition heals by itself, short or longer than the dead are remembered, and the rows with it', async (t) => {
  for (const [seed, ms] of [
    [1, 15_000],
    [2, 15_000],
    [3, 120_000],
  ] as const) {
    const world = new World(seed);
    const nodes = world.cluster(30);
    const heal = world.net.cut(addresses(nodes.slice(0, 12)), addresses(nodes.slice(12)));
    for (const each of nodes) each.rows.say(1, seed);
    world.time.run(ms);
    const seen = (node: Node | undefined): number =>
      node?.gossip.members().filter((each) => each.state === 'alive').length ?? 0;
    t.same([seen(nodes[0]), seen(nodes[29])], [12, 18]);
    heal();
    const healedMs = world.until(() => isComplete(nodes) && isConverged(nodes), 60_000);
    t.ok(
      healedMs !== undefined && healedMs <= 5000,
      `seed ${seed}: after ${ms / 1000} s whole again within ${healedMs} ms`,
    );
    t.equal(untruth(nodes), undefined);
  }
});

t.test('who leaves is known to have left everywhere within a second, with its last rows', async (t) => {
  for (const seed of SEEDS) {
    const world = new World(seed);
    const nodes = world.cluster(50);
    world.time.run(5000);
    const leaver = nodes[3] as Node;
    leaver.rows.say(9, 9);
    let doneMs: number | undefined;
    const startMs = world.time.nowMs;
    let calls = 0;
    leaver.gossip.leave(() => {
      calls++;
      doneMs = world.time.nowMs - startMs;
      if (seed === 1) return;
      void leaver.gossip.close();
      world.crash(leaver);
    });
    const others = without(nodes, leaver);
    const ms = world.until(() => others.every((each) => stateOf(leaver, each) === 'left'), 5000);
    t.ok(
      ms !== undefined && ms <= 1000,
      `seed ${seed}: gone after ${Math.round(doneMs ?? -1)} ms, known after ${ms} ms`,
    );
    t.ok(world.until(() => isConverged([...others, leaver].filter((each) => each !== leaver)), 5000) !== undefined);
    const slots = others.map(
      (each) => each.gossip.members().find((m) => m.incarnation === leaver.gossip.self.incarnation)?.slot ?? -1,
    );
    t.ok(world.until(() => others.every((each, i) => each.rows.version(slots[i] as number) === 1), 3000) !== undefined);
    world.time.run(10_000);
    t.equal(calls, 1);
    t.equal(others.filter((each) => each.rows.events.some((event) => event.state === 'dead')).length, 0);
  }
});

t.test('who missed a farewell hears it as soon as it asks for whoever left', async (t) => {
  for (const seed of [1, 2, 3, 4]) {
    const world = new World(seed);
    const nodes = world.cluster(9);
    world.time.run(5000);
    const [leaver, deaf] = [nodes[3] as Node, nodes[7] as Node];
    const heal = world.net.cut(addresses([deaf]), addresses(without(nodes, deaf)));
    leaver.gossip.leave(() => {
      void leaver.gossip.close();
      world.crash(leaver);
    });
    world.time.run(900);
    heal();
    const ms = world.until(() => stateOf(leaver, deaf) === 'left', 20_000);
    t.ok(ms !== undefined && ms < 10_000, `seed ${seed}: after ${ms} ms`);
    t.notOk(
      deaf.rows.events.some((event) => event.state === 'dead'),
      'without a word of death',
    );
  }
});

t.test('a new incarnation at the same address replaces the old one (memberlist#241, consul#2430)', async (t) => {
  for (const [seed, name] of [
    [1, 'pod-4'],
    [2, 'another'],
    [3, 'pod-4'],
  ] as const) {
    const world = new World(seed);
    const nodes = world.cluster(30);
    world.time.run(5000);
    const old = nodes[3] as Node;
    world.crash(old);
    const again = world.start(world.node({ address: old.transport.address, name }));
    const now = [...without(nodes, old), again];
    const ms = world.until(
      () => isComplete(now) && now.every((each) => stateOf(old, each) === undefined || stateOf(old, each) === 'dead'),
      10_000,
    );
    t.ok(ms !== undefined && ms <= 4000, `seed ${seed}: replaced after ${ms} ms`);
    world.time.run(10_000);
    t.equal(accusations(now, 'dead'), 0, 'the new one is not taken for the old one');
    t.ok(isComplete(now));
  }
});

t.test('two that are configured with one address do not bury each other for ever', async (t) => {
  const world = new World(1);
  const nodes = world.cluster(10);
  const twin = world.start(world.node({ address: '10.0.0.1:7946', name: 'twin' }));
  world.time.run(20_000);
  t.ok(without(nodes, nodes[0] as Node).every((each) => stateOf(twin, each) === 'alive'));
  const before = nodes.reduce((sum, each) => sum + each.rows.events.length, 0);
  world.time.run(20_000);
  const events = nodes.reduce((sum, each) => sum + each.rows.events.length, 0) - before;
  t.ok(events < 100, `${events} changes seen by ten members in 20 s`);
  t.ok(nodes.slice(1).every((each) => stateOf(twin, each) !== 'dead'));
});

t.test('who was evicted rejoins by the seeds, for ever (mimir#16254)', async (t) => {
  const world = new World(5);
  const nodes = world.cluster(20);
  const [lost] = nodes as [Node];
  const heal = world.net.cut(addresses([lost]), addresses(nodes.slice(1)));
  world.time.run(200_000);
  t.ok(lost.gossip.isIsolated, 'it knows that it is alone');
  t.equal(lost.gossip.expected, 20);
  t.ok(
    nodes.slice(1).every((each) => stateOf(lost, each) === undefined && !each.gossip.isIsolated),
    'it is forgotten',
  );
  heal();
  const ms = world.until(() => isComplete(nodes), 60_000);
  t.ok(ms !== undefined && ms <= 40_000, `back after ${ms} ms`);
  world.time.run(2000);
  t.notOk(lost.gossip.isIsolated);
});

t.test('a key is rotated in mid-run and nothing is lost', async (t) => {
  const [first, second] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const world = new World(6);
  const rings = Array.from({ length: 15 }, () => new Keyring([first]));
  const nodes = rings.map((keyring) => world.node({ keyring }));
  for (const each of nodes) world.start(each);
  t.ok(world.until(() => isComplete(nodes), 5000) !== undefined);
  const everywhere = (keys: readonly Uint8Array[]): void => {
    for (const [i, ring] of rings.entries())
      world.time.after(i * 100, () => {
        ring.use(keys);
        nodes[i]?.rows.say(i, keys.length);
      });
    world.time.run(3000);
  };
  everywhere([first, second]);
  everywhere([second, first]);
  everywhere([second]);
  t.ok(world.until(() => isConverged(nodes), 3000) !== undefined);
  t.equal(untruth(nodes), undefined);
  t.ok(isComplete(nodes));
  t.equal(accusations(nodes, 'suspect'), 0);
  for (const { gossip } of nodes) t.match(gossip.counts.refused, { key: 0, forged: 0, replayed: 0, malformed: 0 });
});

t.test('another cluster on the same addresses, or another key, is not understood', async (t) => {
  for (const keyring of [undefined, new Keyring([Buffer.alloc(32, 1)])]) {
    const world = new World(7);
    const ours = Array.from({ length: 4 }, () => world.node({ keyring }));
    const theirs = Array.from({ length: 4 }, () => world.node({ keyring, cluster: 'other' }));
    const keyed = keyring === undefined ? [] : [world.node({ keyring: new Keyring([Buffer.alloc(32, 9)]) })];
    for (const each of [...ours, ...theirs, ...keyed]) world.start(each);
    world.time.run(10_000);
    for (const group of [ours, theirs, keyed])
      for (const each of group) t.equal(each.gossip.members().length, group.length);
    const refused = ours.reduce((sum, each) => sum + each.gossip.counts.refused.forged, 0);
    t.ok(refused > 0, `${refused} frames refused`);
    t.ok(
      keyed.every((each) => each.isReady && each.gossip.isIsolated),
      'who is alone is ready, and isolated',
    );
  }
});

t.test('with seeds that name only some, members count; an answer that fails changes nothing', async (t) => {
  const world = new World(8);
  let answer: readonly string[] | undefined = ['10.0.0.1:7946'];
  const seeds: Seeds = { isComplete: false, look: (done) => done(answer) };
  const nodes = world.cluster(12, { seeds });
  t.ok(isComplete(nodes));
  world.time.run(500);
  t.ok(
    nodes.every((each) => each.isReady),
    'a second peer is found for the state',
  );
  t.ok(nodes.every((each) => each.gossip.expected === 12 && each.gossip.self.isListed === undefined));
  answer = undefined;
  world.time.run(60_000);
  t.ok(isComplete(nodes));
  const alone = world.start(world.node({ seeds: { isComplete: true, look: (done) => done(undefined) } }));
  world.time.run(500);
  t.notOk(alone.isReady, 'one look is not enough to be sure');
  world.time.run(1500);
  t.ok(alone.isReady);
  t.equal(alone.gossip.expected, 1);
  const only = world.start(world.node({ seeds: { isComplete: true, look: (done) => done([]) } }));
  t.ok(only.isReady, 'a list without anybody is an answer');
  t.notOk(only.gossip.isIsolated);
});

t.test('who has no answer of its seeds says so once, and does not know who is there', (t) => {
  const world = new World(22);
  const said: object[] = [];
  const log = { ...silentLog, warn: (event: string, fields?: object) => void said.push({ event, ...fields }) };
  const told: object[] = [];
  const info = (event: string, fields?: object): void => {
    if (event.startsWith('gossip.seeds')) told.push({ event, ...fields });
  };
  let answer: string[] | undefined;
  const asked = ['svc:7946'];
  const look: Seeds['look'] = (done) => done(answer, answer === undefined ? 'ENOTFOUND svc' : undefined);
  const lost = world.start(world.node({ seeds: { isComplete: true, asked, look }, log: { ...log, info } }));
  world.time.run(9000);
  t.same([lost.gossip.isFound, lost.gossip.expected, said], [false, 1, []]);
  world.time.run(60_000);
  t.match(said, [{ event: 'gossip.seeds_unanswered', seeds: 'svc:7946', cause: 'ENOTFOUND svc', remedy: /seeds/ }]);
  t.equal(said.length, 1);
  answer = [lost.transport.address];
  world.time.run(60_000);
  t.same([lost.gossip.isFound, lost.gossip.isIsolated], [true, false]);
  t.same(told, [{ event: 'gossip.seeds_answered', expected: 1 }]);
  t.end();
});

t.test('a name server that says nothing at all is told of as well', (t) => {
  const world = new World(22);
  const said: object[] = [];
  const log = { ...silentLog, warn: (event: string, fields?: object) => void said.push({ event, ...fields }) };
  world.start(world.node({ seeds: { isComplete: true, asked: ['svc:7946'], look: () => {} }, log }));
  world.time.run(12_000);
  t.match(said, [{ event: 'gossip.seeds_unanswered', seeds: 'svc:7946', cause: 'no answer' }]);
  t.end();
});

t.test('who hears nobody of those that a list of some names is isolated, until it does', async (t) => {
  const world = new World(21);
  const said: object[] = [];
  const log = { ...silentLog, warn: (event: string, fields?: object) => void said.push({ event, ...fields }) };
  const seeds = staticSeeds(['10.0.0.2:7946', '10.0.0.3:7946']);
  const lost = world.start(world.node({ seeds, log }));
  const alone = world.start(world.node({ address: '10.0.0.9:7946', seeds: staticSeeds(['10.0.0.9:7946']) }));
  world.time.run(9000);
  t.notOk(lost.gossip.isIsolated);
  world.time.run(2000);
  t.ok(lost.gossip.isIsolated);
  t.equal(lost.gossip.expected, 3);
  t.match(said, [{ event: 'gossip.isolated', expected: 3, seeds: '10.0.0.2:7946, 10.0.0.3:7946', remedy: /seeds/ }]);
  t.notOk(alone.gossip.isIsolated, 'a list of itself alone names nobody');
  t.equal(alone.gossip.expected, 1);
  world.start(world.node({ address: '10.0.0.2:7946', seeds }));
  t.ok(world.until(() => !lost.gossip.isIsolated, 40_000) !== undefined);
  t.equal(lost.gossip.expected, 2, 'from then on those that are known');
});

t.test('who crashed, came back at its address and left is not waited for', async (t) => {
  const world = new World(22);
  const seeds = staticSeeds(['10.0.0.1:7946', '10.0.0.2:7946']);
  const survivor = world.start(world.node({ seeds }));
  const old = world.start(world.node({ seeds }));
  t.ok(world.until(() => isComplete([survivor, old]), 10_000) !== undefined);
  world.crash(old);
  t.ok(world.until(() => stateOf(old, survivor) === 'dead', 10_000) !== undefined);
  t.equal(survivor.gossip.expected, 2, 'it may come back');
  const again = world.start(world.node({ address: old.transport.address, seeds }));
  t.ok(world.until(() => isComplete([survivor, again]), 40_000) !== undefined);
  t.equal(survivor.gossip.expected, 2);
  again.gossip.leave(() => {});
  t.ok(world.until(() => stateOf(again, survivor) === 'left', 5000) !== undefined);
  void again.gossip.close();
  world.crash(again);
  world.time.run(15_000);
  t.equal(survivor.gossip.expected, 1);
  t.notOk(survivor.gossip.isIsolated);
});

t.test('names in the seeds are understood as who answers there, ourselves included', async (t) => {
  const world = new World(9);
  let listed = ['a.local:1', 'b.local:1', '10.0.0.3:7946'];
  const seeds: Seeds = { isComplete: true, look: (done) => done(listed) };
  const nodes = Array.from({ length: 3 }, () => world.node({ seeds }));
  world.net.alias('a.local:1', '10.0.0.1:7946');
  world.net.alias('b.local:1', '10.0.0.2:7946');
  for (const each of nodes) world.start(each);
  world.time.run(5000);
  t.ok(isComplete(nodes));
  for (const { gossip } of nodes) {
    t.equal(gossip.expected, 3);
    t.ok(gossip.members().every((each) => each.isListed === true));
  }
  listed = ['a.local:1', '10.0.0.3:7946'];
  world.time.run(40_000);
  const [first] = nodes as [Node];
  const second = first.gossip.members().find((each) => each.address === '10.0.0.2:7946');
  t.equal(second?.isListed, false, 'who is not named any more is told to the delegate');
  t.ok(first.rows.events.some((each) => each.slot === second?.slot && each.isListed === false));
  t.equal(first.gossip.expected, 2);
});

t.test('a seed and its weather make the same run, to the last event', async (t) => {
  const run = (): unknown => {
    const world = new World(10, { ...FAIR, loss: 0.1, duplication: 0.05 });
    const nodes = world.cluster(15);
    world.crash(nodes[2] as Node);
    world.time.run(10_000);
    return [world.time.ran, world.net.sent, world.net.sentBytes, nodes.map((each) => each.rows.events)];
  };
  t.same(run(), run());
});
