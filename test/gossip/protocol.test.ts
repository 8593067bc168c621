/** Corners of the protocol, against a peer that is moved by hand. */
import t from 'tap';
import { SeededRandom, SimProcess } from '../../sim/time.ts';
import { Writer } from '../../src/core/bytes.ts';
import { systemTimers } from '../../src/core/index.ts';
import { newCounts } from '../../src/gossip/counts.ts';
import { writeDelta } from '../../src/gossip/deltas.ts';
import { Health } from '../../src/gossip/health.ts';
import { type Delegate, Gossip, Keyring, MEMBERS_MAX, staticSeeds } from '../../src/gossip/index.ts';
import type { MemberState } from '../../src/gossip/member.ts';
import { KIND } from '../../src/gossip/messages.ts';
import { registerMetrics } from '../../src/gossip/metrics.ts';
import { OwnTimers } from '../../src/gossip/own-timers.ts';
import { Peer } from '../../src/gossip/roster.ts';
import { Suspicions, suspicionMs } from '../../src/gossip/suspicions.ts';
import { createMetrics, silentLog } from '../../src/telemetry/index.ts';
import { Puppet, payload } from './puppet.ts';
import { Rows } from './rows.ts';
import { accusations, isComplete, isConverged, type Node, stateOf, World } from './world.ts';

const NOBODY = '0000000000000000';
const seen = (node: Node, incarnation: string) =>
  node.gossip.members().find((each) => each.incarnation === incarnation);

function withPuppet(seed: number, count = 1): { world: World; nodes: Node[]; node: Node; puppet: Puppet } {
  const world = new World(seed);
  const nodes = world.cluster(count);
  const puppet = new Puppet(world);
  puppet.ping(nodes[0] as Node);
  world.time.run(20);
  return { world, nodes, node: nodes[0] as Node, puppet };
}

t.test('frames of another version are counted, and named in the log once a minute', (t) => {
  const world = new World(1);
  const said: unknown[] = [];
  const log = {
    ...silentLog,
    warn: (event: string, fields?: object) => void (event === 'gossip.version_refused' && said.push(fields)),
  };
  const node = world.start(world.node({ log }));
  world.time.run(2000);
  const older = Buffer.alloc(60, 1);
  for (let i = 0; i < 3; i++) node.transport.receive(older, '10.9.9.9:1');
  t.equal(node.gossip.counts.refused.version, 3);
  t.match(said, [{ version: 1, remedy: /one version/ }]);
  t.equal(said.length, 1);
  node.transport.receive(Buffer.alloc(3), '10.9.9.9:1');
  world.time.run(60_000);
  node.transport.receive(older, '10.9.9.9:1');
  t.equal(said.length, 2);
  t.end();
});

t.test('frames by a key that is not ours are named in the log once a minute', (t) => {
  const world = new World(1);
  const said: unknown[] = [];
  const log = { ...silentLog, warn: (event: string) => void said.push(event) };
  const node = world.start(world.node({ log, keyring: new Keyring([Buffer.alloc(32, 1)]) }));
  world.start(world.node({ keyring: new Keyring([Buffer.alloc(32, 9)]) }));
  world.time.run(5000);
  t.ok(node.gossip.counts.refused.key > 1);
  t.same(
    said.filter((each) => each === 'gossip.key_refused'),
    ['gossip.key_refused'],
  );
  t.end();
});

t.test('suspicion lasts as Lifeguard says', async (t) => {
  t.equal(suspicionMs(2, 0, 250), 1000, 'nobody could confirm');
  t.equal(suspicionMs(10, 0, 250), 6000);
  t.equal(Math.round(suspicionMs(10, 1, 250)), 2845);
  t.equal(suspicionMs(10, 2, 250), 1000);
  t.equal(Math.round(suspicionMs(1000, 5, 250)), 3000);
});

t.test(
  'a ping introduces its sender, and is answered; one for another incarnation is answered with who is here',
  async (t) => {
    const { world, node, puppet } = withPuppet(1);
    t.equal(seen(node, puppet.incarnation)?.state, 'alive');
    t.equal(puppet.got(KIND.ack).length, 1);
    puppet.send(node, payload(KIND.ping, { u32: 7, incarnation: NOBODY, beliefs: [puppet.belief()] }));
    world.time.run(20);
    const ack = puppet.got(KIND.ack).at(-1) as Buffer;
    t.equal(ack.readUInt32BE(1), 0, 'an ack of nothing');
    t.ok(ack.includes(Buffer.from(node.gossip.self.incarnation, 'hex')));

    const other = new Puppet(world, { address: '10.9.9.8:1', incarnation: 'dddddddddddddddd' });
    other.send(node, payload(KIND.ping, { u32: 7, incarnation: NOBODY, beliefs: [puppet.belief()] }));
    other.send(node, payload(KIND.rows));
    world.time.run(20);
    t.equal(seen(node, other.incarnation), undefined, 'a record of somebody else introduces nobody');
    t.equal(node.gossip.counts.refused.unknown, 2);
    other.send(node, payload(KIND.ack, { u32: 0, beliefs: [other.belief()] }));
    world.time.run(20);
    t.equal(seen(node, other.incarnation)?.state, 'alive', 'an ack may introduce');
  },
);

t.test('nonsense of who holds the key is counted and changes nothing', async (t) => {
  const { world, node, puppet } = withPuppet(2);
  const before = JSON.stringify(node.gossip.members());
  const cases = [
    payload(99),
    payload(KIND.pull),
    payload(KIND.ping, { u32: 1 }),
    payload(KIND.ack).subarray(0, 1),
    payload(KIND.rows),
    Buffer.concat([payload(KIND.rows), Buffer.from([1, 200])]),
    Buffer.concat([payload(KIND.rows), Buffer.from([0, 0, 3, 1, 2])]),
    Buffer.concat([payload(KIND.ack, { u32: 5 }), Buffer.from('nonsense')]),
  ];
  for (const each of cases) puppet.send(node, each);
  world.time.run(20);
  t.equal(node.gossip.counts.refused.malformed, cases.length);
  const random = new SeededRandom(3);
  for (let i = 0; i < 3000; i++) {
    puppet.send(node, Buffer.from(random.hex(1 + (i % 200)), 'hex'));
    if (i % 100 === 0) world.time.run(3);
  }
  world.time.run(20);
  t.ok(node.gossip.counts.refused.malformed > 2900, `${node.gossip.counts.refused.malformed} malformed`);
  const requests = [
    payload(99),
    payload(KIND.yes),
    payload(KIND.pull),
    payload(KIND.push),
    payload(KIND.knock),
    payload(KIND.knock, { incarnation: NOBODY }),
    Buffer.concat([payload(KIND.pull), Buffer.from([0, 2, 1])]),
    Buffer.concat([payload(KIND.pull), Buffer.from([1, 2, 1])]),
    Buffer.concat([payload(KIND.push), Buffer.from([0, 0, 0, 1, 1])]),
  ];
  const answers = requests.map((each) => puppet.ask(node, each));
  const knock = puppet.ask(node, payload(KIND.knock, { incarnation: node.gossip.self.incarnation }));
  world.time.run(2000);
  t.same(await Promise.all(answers), Array(requests.length).fill(undefined));
  t.same(await knock, Buffer.from([KIND.yes]));
  t.match(JSON.stringify(node.gossip.members().slice(0, 1)), before.slice(1, -1).split('},{')[0]?.slice(0, 40));
});

t.test('answers over streams that are nonsense are failures', async (t) => {
  for (const answer of [
    [99],
    [KIND.state],
    [KIND.state, 0, 1, 1],
    [KIND.state, 0, 0, 1, 5],
    [KIND.state, 0, 0, 0],
    [KIND.yes],
  ]) {
    const world = new World(3);
    const puppet = new Puppet(world);
    puppet.onRequest = () => Uint8Array.from(answer);
    const node = world.start(world.node({ seeds: staticSeeds([puppet.transport.address]) }));
    world.time.run(2500);
    t.ok(node.isReady, 'it goes on alone');
    t.equal(node.gossip.members().length, 1);
  }
  const world = new World(4);
  const puppet = new Puppet(world);
  const node = world.node({ seeds: staticSeeds([puppet.transport.address]) });
  node.rows.say(1, 1);
  const state = Buffer.concat([
    Buffer.from([KIND.state, 0, 1]),
    payload(0, { beliefs: [puppet.belief()] }).subarray(1),
    Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0]),
  ]);
  puppet.onRequest = (bytes) => (bytes[0] === KIND.pull ? state : Uint8Array.of(KIND.state));
  world.start(node);
  world.time.run(500);
  t.notOk(node.isReady, 'what it pushed was not taken: not synced');
});

t.test('who asks us to ping gets an ack relayed, or a nack with a way', async (t) => {
  const { world, nodes, node, puppet } = withPuppet(5, 3);
  world.until(() => nodes.every((each) => seen(each, puppet.incarnation) !== undefined), 2000);
  const [, second] = nodes as [Node, Node];
  const ask = (incarnation: string, u32: number): void => puppet.send(node, payload(KIND.ask, { u32, incarnation }));
  const last = (kind: number): Buffer | undefined => puppet.got(kind).at(-1);
  ask(second.gossip.self.incarnation, 70);
  world.time.run(50);
  t.equal(last(KIND.relayed)?.readUInt32BE(1), 70);
  for (const [i, unreachable] of [NOBODY, node.gossip.self.incarnation].entries()) {
    ask(unreachable, 80 + i);
    world.time.run(20);
    t.equal(last(KIND.nack)?.readUInt32BE(1), 80 + i);
  }
  world.crash(second);
  ask(second.gossip.self.incarnation, 90);
  world.time.run(150);
  t.not(last(KIND.nack)?.readUInt32BE(1), 90, 'it waits a little');
  world.time.run(100);
  t.equal(last(KIND.nack)?.readUInt32BE(1), 90);
  for (let i = 0; i < 300; i++) ask(second.gossip.self.incarnation, 1000 + i);
  world.time.run(50);
  t.equal(puppet.got(KIND.nack).filter((each) => each.readUInt32BE(1) >= 1000).length, 45, 'at most 256 wait');
});

t.test('late acks count against us, and so does a loop that lags', async (t) => {
  const world = new World(6);
  let lagMs = 0;
  const node = world.start(world.node({ seeds: staticSeeds([]), lagMs: () => lagMs }));
  const puppet = new Puppet(world);
  puppet.answerPings(world, 900);
  puppet.ping(node);
  world.time.run(700);
  t.equal(node.gossip.health, 0);
  t.ok(world.until(() => node.gossip.health >= 2, 3000) !== undefined, 'no ack, and then a late one');
  puppet.answerPings(world);
  world.time.run(60_000);
  t.equal(node.gossip.health, 0);
  lagMs = 101;
  world.time.run(10_000);
  t.ok(node.gossip.health > 0);
});

t.test('a suspicion that runs while we are paused begins anew', async (t) => {
  const { world, node, puppet } = withPuppet(7);
  world.until(() => seen(node, puppet.incarnation)?.state === 'suspect', 10_000);
  node.process.pause(5000);
  world.time.run(5500);
  t.equal(seen(node, puppet.incarnation)?.state, 'suspect');
  t.ok(node.gossip.health > 0);
  world.time.run(20_000);
  t.equal(seen(node, puppet.incarnation)?.state, 'dead');
});

t.test('a short stall costs one point of health, however many timers it made late, and cancels nothing', async (t) => {
  const world = new World(17);
  const nodes = world.cluster(10);
  const [node] = nodes as [Node];
  world.time.run(1000);
  node.process.pause(700);
  world.time.run(701);
  t.equal(node.gossip.health, 1);
  world.time.run(5000);
  t.equal(accusations([node], 'suspect', nodes), 0);
});

t.test('a crash is found while links are broken, by one more look', async (t) => {
  const world = new World(18);
  const nodes = world.cluster(7);
  const [first, second, victim] = nodes as [Node, Node, Node];
  world.net.cut([first.transport.address], [second.transport.address]);
  world.time.run(5000);
  world.crash(victim);
  const others = nodes.filter((each) => each !== victim);
  t.ok(world.until(() => others.every((each) => stateOf(victim, each) === 'dead'), 6000) !== undefined);
  t.equal(accusations(others, 'dead'), 0);
});

t.test('the one member that connected two others crashes', async (t) => {
  const world = new World(20);
  const nodes = world.cluster(3);
  const [first, bridge, third] = nodes as [Node, Node, Node];
  world.net.cut([first.transport.address], [third.transport.address]);
  world.time.run(10_000);
  t.equal(accusations(nodes, 'dead'), 0);
  world.crash(bridge);
  t.ok(world.until(() => stateOf(bridge, first) === 'dead' && stateOf(third, first) === 'dead', 20_000) !== undefined);
});

t.test('a delta is not begun where nothing fits', async (t) => {
  const writer = new Writer(200);
  const rows = new Rows();
  for (let i = 0; i < 20; i++) rows.say(i, i);
  const self = new Peer(0, { incarnation: NOBODY, name: 'a', address: 'a:1' });
  t.equal(writeDelta(writer, rows, self, 0, 60), 0);
  t.equal(writer.offset, 0);
  t.equal(writeDelta(writer, rows, self, 20, 200), 20, 'nothing is newer');
  t.equal(writer.offset, 0);
  t.equal(writeDelta(writer, rows, self, 5, 100), 12, 'as many rows as fit');
  t.equal(writer.offset, 8 + 3 + 7 * 9);
});

t.test('a delta that does not continue what is held never reaches the delegate', async (t) => {
  const { world, node, puppet } = withPuppet(21);
  const delta = (after: number, upTo: number): Buffer =>
    Buffer.concat([
      payload(KIND.rows),
      Buffer.from([0, 0, 1]),
      Buffer.from(puppet.incarnation, 'hex'),
      Buffer.from([after, upTo, 0]),
    ]);
  node.rows.isRefusing = true;
  puppet.send(node, delta(1, 2));
  puppet.send(node, delta(0, 0));
  world.time.run(20);
  t.equal(node.gossip.counts.refusedDeltas, 0);
  puppet.send(node, delta(0, 1));
  world.time.run(20);
  t.equal(node.gossip.counts.refusedDeltas, 1);
});

t.test('a suspicion that is not there cannot be hastened', async (t) => {
  const process = new SimProcess(new World(19).time);
  const dead: Peer[] = [];
  const timers = new OwnTimers(process, process);
  const suspicions = new Suspicions({
    clock: process,
    timers,
    health: new Health(),
    unitMs: 250,
    count: () => 20,
    onDead: (peer) => dead.push(peer),
  });
  const peer = new Peer(1, { incarnation: NOBODY, name: 'a', address: 'a:1' });
  suspicions.hasten(peer, 100);
  t.notOk(suspicions.confirm(peer, 1));
  suspicions.start(peer, 1);
  suspicions.hasten(peer, 100);
  for (const accuser of [1, 2, 3, 4]) suspicions.confirm(peer, accuser);
  process.time.run(100);
  t.same(dead, [peer]);
  // Late, and nobody to tell.
  timers.after(10, () => dead.pop());
  process.pause(1000);
  process.time.run(1000);
  t.same(dead, []);
});

t.test('hearsay of a death is a suspicion first, of a new one as well; the long dead are not taken in', async (t) => {
  const { world, nodes, node, puppet } = withPuppet(8, 3);
  const [, second] = nodes as [Node, Node];
  const { incarnation, name, address } = second.gossip.self;
  const dead = { incarnation, name, address, state: 'dead', refutation: 0, accuser: 0, agoMs: 0 } as const;
  puppet.ping(node, dead);
  world.time.run(5);
  t.equal(accusations([node], 'dead'), 0);
  world.time.run(2000);
  t.equal(stateOf(second, node), 'alive', 'it refuted');
  const stranger = { ...dead, incarnation: 'eeeeeeeeeeeeeeee', address: '10.9.9.7:1' };
  puppet.ping(node, stranger, { ...stranger, incarnation: 'ffffffffffffffff', agoMs: 60_000 });
  world.time.run(20);
  t.equal(seen(node, stranger.incarnation)?.state, 'dead');
  t.equal(seen(node, 'ffffffffffffffff'), undefined);
  // Heard again and again, later and later.
  const ghost = { ...stranger, incarnation: '1111111111111111', state: 'suspect' } as const;
  puppet.ping(node, ghost);
  world.time.run(20);
  t.equal(seen(node, ghost.incarnation)?.state, 'suspect');
  puppet.ping(node, { ...ghost, state: 'dead', refutation: 1 });
  world.time.run(1200);
  puppet.ping(node, { ...ghost, state: 'dead', refutation: 1 });
  world.time.run(20);
  t.equal(seen(node, ghost.incarnation)?.state, 'dead');
});

t.test('members beyond the bound are not taken in', async (t) => {
  const { world, node, puppet } = withPuppet(9);
  for (let from = 0; from < MEMBERS_MAX + 10; from += 10) {
    const beliefs = Array.from({ length: 10 }, (_, i) =>
      puppet.belief({
        incarnation: (from + i + 1).toString(16).padStart(16, '0'),
        address: `10.1.1.1:${from + i + 1}`,
        state: 'left',
      }),
    );
    puppet.ping(node, ...beliefs);
    if (from % 500 === 0) world.time.run(5);
  }
  world.time.run(20);
  t.equal(node.gossip.members().length, MEMBERS_MAX);
  t.ok(node.gossip.counts.overfull > 0);
  world.time.run(70_000);
  t.ok(node.rows.forgotten.length >= MEMBERS_MAX - 2, 'slots are free again');
});

t.test(
  'two members of one tag cannot be named in a digest: their rows go by stream, until one is forgotten',
  async (t) => {
    const world = new World(10);
    const settings = { syncMs: 5000, keepMs: 5000 };
    const twins = ['abababab00000001', 'abababab00000002'].map((incarnation) => world.node({ incarnation, settings }));
    const nodes = [...twins, world.node({ settings })];
    for (const each of nodes) world.start(each);
    world.until(() => isComplete(nodes), 5000);
    world.time.run(100);
    const [one, other] = nodes as [Node, Node, Node];
    one.rows.say(1, 1);
    other.rows.say(1, 2);
    t.equal(
      world.until(() => isConverged(nodes), 1000),
      undefined,
      'not by datagrams',
    );
    t.ok(world.until(() => isConverged(nodes), 20_000) !== undefined);
    world.crash(other);
    world.time.run(15_000);
    t.equal(stateOf(other, one), undefined);
    one.rows.say(1, 3);
    const rest = nodes.filter((each) => each !== other);
    t.ok(world.until(() => isConverged(rest), 1500) !== undefined, 'alone again, the tag names it');
  },
);

t.test('the egress cap drops frames of rows, never probes', async (t) => {
  const world = new World(11);
  const nodes = world.cluster(5, { settings: { egressBytesPerSec: 1500 } });
  for (const each of nodes) for (let i = 0; i < 250; i++) each.rows.say(i, i);
  world.time.run(20_000);
  t.ok(nodes.every((each) => each.gossip.counts.droppedFrames > 0));
  t.equal(accusations(nodes, 'suspect'), 0);
  t.ok(isComplete(nodes));
  t.ok(world.until(() => isConverged(nodes), 120_000) !== undefined, 'slowly, but it gets there');
});

t.test('a delta that the delegate refuses is counted, and comes again', async (t) => {
  const world = new World(12);
  const nodes = world.cluster(3);
  const [first, second] = nodes as [Node, Node];
  second.rows.isRefusing = true;
  first.rows.say(1, 1);
  world.time.run(3000);
  t.ok(second.gossip.counts.refusedDeltas > 0);
  second.rows.isRefusing = false;
  t.ok(world.until(() => isConverged(nodes), 3000) !== undefined);
});

/** Rows of 1,000 bytes, kept by number alone. */
class BigRows implements Delegate {
  readonly versions = new Map<number, number>();

  version(slot: number): number {
    return this.versions.get(slot) ?? 0;
  }

  write(
    slot: number,
    after: number,
    _bytes: Uint8Array,
    offset: number,
    end: number,
  ): { offset: number; upTo: number } {
    const rows = Math.min(this.version(slot) - after, Math.floor((end - offset) / 1000));
    return { offset: offset + rows * 1000, upTo: after + rows };
  }

  read(slot: number, after: number, upTo: number, bytes: Uint8Array): boolean {
    if (bytes.length !== (upTo - after) * 1000) return false;
    this.versions.set(slot, upTo);
    return true;
  }

  onMember(): void {}
  onForgotten(): void {}
}

t.test('state larger than a stream goes in several, both ways', async (t) => {
  const world = new World(13);
  const delegates = [new BigRows(), new BigRows()];
  const addresses = ['10.0.0.1:1', '10.0.0.2:1'];
  const gossips = addresses.map((address, i) => {
    const process = new SimProcess(world.time);
    const transport = world.net.transport(process, address);
    const random = new SeededRandom(i);
    const delegate = delegates[i] as BigRows;
    delegate.versions.set(0, 3000 + i);
    return new Gossip({
      clock: process,
      timers: process,
      random,
      transport,
      delegate,
      name: address,
      cluster: 'test',
      keyring: undefined,
      seeds: staticSeeds(addresses),
    });
  });
  let ready = 0;
  for (const each of gossips) each.start(() => void ready++);
  world.time.run(150);
  t.equal(ready, 2);
  t.same(
    delegates.map((each) => each.version(1)),
    [3001, 3000],
  );
});

t.test('who is alone leaves at once, who gets no ack after a second, and nothing happens behind close', async (t) => {
  const world = new World(14);
  const alone = world.start(world.node({ seeds: staticSeeds([]) }));
  let left = 0;
  alone.gossip.leave(() => left++);
  t.equal(left, 1);
  const { world: other, nodes } = withPuppet(15, 3);
  const [first, ...rest] = nodes as [Node, Node, Node];
  for (const each of rest) other.crash(each);
  let doneMs: number | undefined;
  const startMs = other.time.nowMs;
  first.gossip.leave(() => (doneMs = other.time.nowMs - startMs));
  other.time.run(3000);
  t.equal(doneMs, 1000);
  await first.gossip[Symbol.asyncDispose]();
  const sent = other.net.sent;
  first.transport.receive(Buffer.alloc(50), 'x:1');
  first.transport.serve(Buffer.alloc(50), (answer) => t.equal(answer, undefined));
  other.time.run(60_000);
  t.equal(other.net.sent, sent);
});

t.test('what happened can be scraped', async (t) => {
  const world = new World(16);
  const metrics = createMetrics({ timers: systemTimers });
  const process = new SimProcess(world.time);
  const transport = world.net.transport(process, '10.0.0.1:1');
  const node = world.node();
  const gossip = new Gossip({
    clock: process,
    timers: process,
    random: new SeededRandom(1),
    transport,
    delegate: node.rows,
    name: 'a',
    cluster: 'test',
    keyring: undefined,
    seeds: staticSeeds([]),
    metrics,
  });
  gossip.start(() => {});
  transport.receive(Buffer.alloc(5), 'x:1');
  let text = '';
  for await (const chunk of metrics.exposition()) text += chunk;
  for (const line of [
    'reeve_gossip_members{state="alive"} 1',
    'reeve_gossip_members{state="dead"} 0',
    'reeve_gossip_members_expected 1',
    'reeve_gossip_unanswered 1',
    'reeve_gossip_isolated 0',
    'reeve_gossip_health 0',
    'reeve_gossip_bytes_total{direction="in"} 5',
    'reeve_gossip_frames_refused_total{reason="size"} 1',
    'reeve_gossip_dropped_total{what="frames"} 0',
  ])
    t.ok(text.includes(line), line);
});

t.test('who is dead, and was followed by another at its address, is counted as one that left', async (t) => {
  const metrics = createMetrics({ timers: systemTimers });
  const at = (state: MemberState, address: string) => ({
    ...{ slot: 0, name: 'a', incarnation: 'a', isListed: true },
    ...{ state, address },
  });
  registerMetrics(metrics, {
    ...{ counts: newCounts(), isIsolated: false, isFound: true, expected: 3, health: 0 },
    members: () => [at('alive', 'a:1'), at('dead', 'a:1'), at('dead', 'b:1')],
  });
  let text = '';
  for await (const chunk of metrics.exposition()) text += chunk;
  for (const line of ['alive"} 1', 'dead"} 1', 'left"} 1'])
    t.ok(text.includes(`reeve_gossip_members{state="${line}`), line);
});
