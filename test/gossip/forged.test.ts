/**
 * Floods of datagrams that say nothing true, in virtual time. A million of them, as `.ci/run` sends: REEVE_FORGED=1000000 npm test --
 * test/gossip/forged.test.ts. Over real sockets: test/guarantees/g25-forged-frames.test.ts.
 */
import { cpuUsage, env } from 'node:process';
import t from 'tap';
import { SeededRandom, SimProcess } from '../../sim/time.ts';
import { Keyring } from '../../src/gossip/index.ts';
import { REFUSALS, Seal } from '../../src/gossip/seal.ts';
import { isComplete, type Node, World } from './world.ts';

const FRAMES = Number(env['REEVE_FORGED'] ?? 100_000);
/** So many a second of virtual time: five times what may be opened. */
const PER_SEC = 10_000;
/** The rate at which the share of a core is meant, as in G25. */
const MEANT_PER_SEC = 300;
/** Half of the 5 % that are allowed: receiving is not in it. */
const SHARE_PCT_MAX = 2.5;

t.test(`${FRAMES} forged, replayed and malformed datagrams change nothing, and cost little`, async (t) => {
  const world = new World(1);
  const keys = [Buffer.alloc(32, 1)];
  const recorded: { bytes: Uint8Array; from: string }[] = [];
  const nodes = Array.from({ length: 5 }, () => world.node({ keyring: new Keyring(keys) }));
  const [target, peer] = nodes as [Node, Node];
  world.net.onDatagram = (bytes, from, to) => {
    if (to === target.transport.address && recorded.length < 2000)
      recorded.push({ bytes: Uint8Array.from(bytes), from });
  };
  for (const [i, each] of nodes.entries()) {
    world.start(each);
    each.rows.say(i, i);
  }
  world.time.run(60_000);
  t.ok(isComplete(nodes));

  const random = new SeededRandom(2);
  const insider = new Seal({
    clock: new SimProcess(world.time),
    cluster: 'test',
    incarnation: 'cccccccccccccccc',
    keyring: new Keyring(keys),
    addressOf: () => undefined,
    onRefused() {},
  });
  const noise = (length: number): Buffer => Buffer.from(random.hex(length), 'hex');
  const templates = Array.from({ length: 64 }, () => noise(1200));
  const header = recorded[0]?.bytes ?? Buffer.alloc(16);
  /** The header of a member before noise: as costly as it gets. */
  const forged = (i: number): Buffer => {
    const frame = Buffer.from(templates[i % 64] as Buffer).subarray(0, 33 + (i % 1168));
    frame.set(header.subarray(0, 10));
    frame.writeUIntBE(2 ** 40 + i, 10, 6);
    if (i % 3 === 0) frame.write(peer.gossip.self.incarnation, 2, 8, 'hex');
    if (i % 5 === 0) frame.writeUInt32BE(i, 2);
    return frame;
  };
  const states = (): unknown => [
    nodes.map((node) => node.gossip.members().map(({ incarnation, state, address }) => [incarnation, state, address])),
    nodes.map((node) => node.gossip.members().map(({ slot }) => node.rows.held(slot))),
  ];
  const before = JSON.stringify(states());
  const events = nodes.map((each) => each.rows.events.length);
  const quiet = ((): number => {
    const start = cpuUsage();
    world.time.run((FRAMES / PER_SEC) * 1000);
    const { user, system } = cpuUsage(start);
    return user + system;
  })();
  const start = cpuUsage();
  for (let i = 0; i < FRAMES; i++) {
    const replayed = recorded[i % recorded.length] as { bytes: Uint8Array; from: string };
    if (i % 4 === 0) target.transport.receive(replayed.bytes, replayed.from);
    else if (i % 4 === 1) target.transport.receive(templates[i % 64] as Buffer, '10.9.9.9:1');
    else target.transport.receive(forged(i), i % 8 === 2 ? peer.transport.address : '10.9.9.9:1');
    // Who holds the key and says nonsense.
    if (i % 1000 === 0) target.transport.receive(insider.seal(noise(1 + (i % 1100))), '10.9.9.9:1');
    if (i % 100 === 99) world.time.run((100 / PER_SEC) * 1000);
  }
  const { user, system } = cpuUsage(start);
  t.equal(JSON.stringify(states()), before, 'members and rows are what they were');
  t.same(
    nodes.map((each) => each.rows.events.length),
    events,
    'the delegate heard nothing',
  );
  const { refused } = target.gossip.counts;
  t.comment(JSON.stringify(refused));
  const sum = REFUSALS.reduce((total, reason) => total + refused[reason], 0);
  t.ok(sum >= FRAMES, `${sum} counted by reason`);
  for (const reason of ['version', 'replayed', 'throttled', 'forged', 'unknown'] as const)
    t.ok(refused[reason] > 0, reason);
  t.ok(isComplete(nodes));
  const usEach = (user + system - quiet) / FRAMES;
  const share = (usEach * MEANT_PER_SEC) / 1e4;
  t.comment(
    `figure: ${FRAMES} forged, replayed and malformed datagrams in virtual time: ${sum} refused and counted, nothing changed, ` +
      `${usEach.toFixed(1)} µs of CPU each, building it included: ${share.toFixed(1)} % of a core at ${MEANT_PER_SEC} a second`,
  );
  t.ok(share < SHARE_PCT_MAX, `${share.toFixed(2)} % of a core`);
});
