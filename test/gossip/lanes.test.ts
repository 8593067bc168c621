/** Rows that may be late: in frames of their own, with versions of their own, behind the others. */
import t from 'tap';
import { KIND } from '../../src/gossip/messages.ts';
import { staticSeeds } from '../../src/gossip/seeds.ts';
import { DEFAULT_SETTINGS } from '../../src/gossip/settings.ts';
import { Puppet, payload } from './puppet.ts';
import type { Rows } from './rows.ts';
import { type Node, World } from './world.ts';

const slotOf = (holder: Node, of: Node): number =>
  holder.gossip.members().find(({ incarnation }) => incarnation === of.gossip.self.incarnation)?.slot ?? -1;
const coldOf = ({ rows }: Node): Rows => rows.cold as Rows;

t.test('cold rows are everywhere within seconds, and who joins has them before it is ready', async (t) => {
  const world = new World(7);
  const nodes = world.cluster(12, { hasCold: true });
  const [first] = nodes as [Node];
  let cold = 0;
  world.net.onDatagram = (bytes) => {
    // Not sealed: version, then the payload behind a head of 16 bytes.
    if (bytes[16] === KIND.cold) cold++;
  };
  coldOf(first).say(1, 11);
  first.rows.say(1, 22);
  const isThere = (): boolean =>
    nodes.every((each) => each === first || coldOf(each).values(slotOf(each, first))[1] === 11);
  const ms = world.until(isThere, 10_000);
  t.ok(ms !== undefined && ms < 4000, `after ${ms} ms`);
  t.ok(cold > 0, 'in frames of their own');
  for (const each of nodes.slice(1)) t.same(each.rows.values(slotOf(each, first)), { 1: 22 });
  const late = world.start(world.node({ hasCold: true }));
  world.until(() => late.isReady, 10_000);
  t.same(coldOf(late).values(slotOf(late, first)), { 1: 11 });
  t.same(late.rows.values(slotOf(late, first)), { 1: 22 });
});

t.test('what cannot wait goes at once, also in the cold lane', async (t) => {
  const world = new World(8);
  const nodes = world.cluster(8, { hasCold: true });
  world.time.run(10_000);
  const [first] = nodes as [Node];
  coldOf(first).say(1, 11);
  first.gossip.nudgeCold();
  const isThere = (): boolean =>
    nodes.every((each) => each === first || coldOf(each).values(slotOf(each, first))[1] === 11);
  const ms = world.until(isThere, 10_000);
  t.ok(ms !== undefined && ms <= 400, `after ${ms} ms`);
});

t.test('cold rows give way: half of a second of what may be sent is left to the others', async (t) => {
  const world = new World(9);
  const [first, second] = world.cluster(2, { hasCold: true, settings: { egressBytesPerSec: 4000 } }) as [Node, Node];
  let kinds: number[] = [];
  world.net.onDatagram = (bytes, from) => {
    if (from === first.transport.address) kinds.push(bytes[16] as number);
  };
  for (let i = 0; i < 200; i++) coldOf(first).say(i, i);
  for (let i = 0; i < 100; i++) {
    first.rows.say(1, i);
    first.gossip.nudge();
    world.time.run(50);
  }
  const of = (kind: number): number => kinds.filter((each) => each === kind).length;
  t.ok(of(KIND.rows) > 5 * of(KIND.cold), `${of(KIND.rows)} and ${of(KIND.cold)}`);
  t.ok(first.gossip.counts.droppedFrames > 0);
  kinds = [];
  world.time.run(60_000);
  t.equal(Object.keys(coldOf(second).values(slotOf(second, first))).length, 200, 'in the end they are there');
});

t.test('who has no such rows takes frames of them for nonsense; a sync with it still works', async (t) => {
  const world = new World(10);
  const [without, other] = [world.node(), world.node({ hasCold: true })];
  for (const each of [without, other]) world.start(each);
  coldOf(other).say(1, 1);
  other.rows.say(2, 2);
  without.gossip.nudgeCold();
  world.time.run(40_000);
  t.same(without.rows.values(slotOf(without, other)), { 2: 2 });
  const puppet = new Puppet(world);
  const before = without.gossip.counts.refused.malformed;
  puppet.ping(without);
  world.time.run(100);
  puppet.send(without, payload(KIND.cold));
  world.time.run(100);
  t.ok(without.gossip.counts.refused.malformed > before);
});

t.test('who could pull from nobody at first, and is found by others, pulls from them', async (t) => {
  const world = new World(11);
  const early = world.node({ seeds: staticSeeds(['10.0.0.2:7946'], true) });
  world.start(early);
  world.time.run(50);
  const late = world.start(world.node({ seeds: staticSeeds([early.transport.address]), hasCold: false }));
  late.rows.say(1, 1);
  const ms = world.until(() => early.isReady, DEFAULT_SETTINGS.syncMs);
  t.ok(ms !== undefined && ms < 4000, `after ${ms} ms`);
  t.same(early.rows.values(slotOf(early, late)), { 1: 1 });
});
