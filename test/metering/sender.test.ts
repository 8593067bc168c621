/** The sender, step by step: what it says when, what it waits for, how long, and how it ends. The orders of steps are in sender-model.test.ts. */
import t from 'tap';
import type { Draft, FromCollector, FromSidecar, Gap } from '../../src/metering/messages.ts';
import type { Position } from '../../src/metering/position.ts';
import type { Next } from '../../src/metering/reader.ts';
import { Sender } from '../../src/metering/sender.ts';
import { type LinkEvents, noCounts, type SenderOptions } from '../../src/metering/sender-ports.ts';
import { countedRandom, VirtualTime } from './world.ts';

interface Connection {
  readonly events: LinkEvents;
  readonly sent: FromSidecar[];
  isEnded: boolean;
  isCut: boolean;
  hear(message: FromCollector): void;
}

/** A sender whose spool and collector are the test's. */
function senderWorld(more: Partial<SenderOptions> = {}) {
  const time = new VirtualTime();
  const connections: Connection[] = [];
  const queue: Next[] = [];
  const said: string[] = [];
  const acks: Position[] = [];
  const packing: (() => void)[] = [];
  const world = {
    time,
    connections,
    queue,
    said,
    acks,
    packing,
    isWritable: true,
    unread: 0,
    isKnown: true as boolean | Error,
    /** The compressor answers by itself. */
    isPackedAtOnce: true,
    counts: noCounts(),
    get last(): Connection {
      return connections.at(-1) as Connection;
    },
    sender: undefined as unknown as Sender,
    greet(creditBytes = 1000): Connection {
      world.sender.start();
      world.last.hear({ kind: 'welcome', epoch: 1, seq: 0, chain: 7, creditBytes });
      return world.last;
    },
  };
  world.sender = new Sender({
    clock: time,
    timers: time,
    random: countedRandom(),
    counts: world.counts,
    source: {
      seek() {
        if (world.isKnown instanceof Error) throw world.isKnown;
        return world.isKnown;
      },
      next() {
        const next = queue[0];
        if (next === ('broken' as unknown)) throw new Error('EIO');
        if (next !== 'wait') queue.shift();
        return next;
      },
      get unreadBytes() {
        return world.unread;
      },
      acked: (position) => void acks.push(position),
      watermarkMs: () => 4242,
      spoolBytes: 99,
    },
    hello: { kind: 'hello', spoolId: '5', epoch: 1, life: '1', service: 'orders', instance: 'pod' },
    connect(events) {
      const connection: Connection = {
        events,
        sent: [],
        isEnded: false,
        isCut: false,
        hear: (message) => events.onMessage(message),
      };
      connections.push(connection);
      return {
        send: (message) => connection.sent.push(message) > 0 && world.isWritable,
        end: () => void (connection.isEnded = true),
        cut: () => void (connection.isCut = true),
      };
    },
    pack(payload, done) {
      const run = (): void => done(Buffer.concat([Buffer.from('z'), payload]));
      if (world.isPackedAtOnce) run();
      else packing.push(run);
    },
    onFence: (reason) => said.push(`fenced: ${reason}`),
    onFailure: (why) => said.push(why),
    onWelcome: () => said.push('welcome'),
    ...more,
  });
  return world;
}

const draft = (seqFrom: number, seqTo = seqFrom, bytes = 9): Draft => ({
  kind: 'batch',
  epoch: 1,
  seqFrom,
  seqTo,
  chainBefore: 0,
  chainAfter: 0,
  watermarkMs: 1000 + seqTo,
  isFolded: false,
  payload: Buffer.alloc(bytes),
  isPacked: false,
  crc: 0,
  payloadBytes: bytes,
});

const gap = (seqFrom: number, seqTo: number): Gap => ({
  kind: 'gap',
  epoch: 1,
  seqFrom,
  seqTo,
  chainBefore: 0,
  chainAfter: 0,
  watermarkMs: 5,
  reason: 'full',
});

const kinds = ({ sent }: Connection): string[] => sent.map(({ kind }) => kind);

t.test('it says hello, and tells nothing before it is welcome', async (t) => {
  const w = senderWorld();
  w.queue.push(draft(1));
  w.sender.start();
  w.time.advance(1000);
  t.strictSame(kinds(w.last), ['hello']);
  t.equal(w.sender.state, 'greeting');
  w.last.hear({ kind: 'welcome', epoch: 1, seq: 0, chain: 7, creditBytes: 1000 });
  t.equal(w.sender.state, 'telling');
  t.strictSame(w.said, ['welcome']);
  t.match(w.last.sent[1], { kind: 'batch', seqFrom: 1, payload: Buffer.from(`z${'\0'.repeat(9)}`), payloadBytes: 9 });
  t.notOk('isPacked' in (w.last.sent[1] as object));
  t.match(w.counts, { batches: 1, bytesRaw: 9, bytesSent: 10, connects: 1 });
});

t.test('a batch that cannot be compressed ends the connection, and is told by the next', async (t) => {
  let isBroken = true;
  const w = senderWorld({ pack: (payload, done) => done(isBroken ? undefined : payload) });
  w.queue.push(draft(1));
  const connection = w.greet();
  t.strictSame(kinds(connection), ['hello']);
  t.ok(connection.isCut);
  t.equal(w.sender.state, 'waiting');
  t.strictSame(w.said, ['welcome', 'a batch could not be compressed']);
  isBroken = false;
  w.queue.push(draft(1));
  w.time.advance(1000);
  w.last.hear({ kind: 'welcome', epoch: 1, seq: 0, chain: 7, creditBytes: 1000 });
  t.strictSame(kinds(w.last), ['hello', 'batch']);
});

t.test('little waits for more, at most for the time of a batch; much goes at once', async (t) => {
  const w = senderWorld();
  const connection = w.greet();
  w.queue.push(draft(1));
  w.unread = 65_535;
  w.sender.nudge();
  t.equal(connection.sent.length, 1);
  w.time.advance(200);
  t.strictSame(kinds(connection), ['hello', 'batch']);
  w.queue.push(draft(2));
  w.unread = 65_536;
  w.sender.nudge();
  t.strictSame(kinds(connection), ['hello', 'batch', 'batch']);
});

t.test('what comes while a batch is told waits for its own time, whatever is acked', async (t) => {
  const w = senderWorld();
  w.queue.push(draft(1), draft(2), draft(3));
  const connection = w.greet();
  t.equal(connection.sent.length, 2);
  connection.hear({ kind: 'ack', epoch: 1, seq: 1 });
  connection.hear({ kind: 'credit', bytes: 10 });
  t.equal(connection.sent.length, 2);
  w.time.advance(200);
  t.equal(connection.sent.length, 3);
  w.time.advance(200);
  t.equal(connection.sent.length, 4);
});

t.test('the time of a batch can be longer', async (t) => {
  const w = senderWorld({ batch: { ms: 1000, bytes: 1000 } });
  const connection = w.greet();
  w.queue.push(draft(1));
  w.time.advance(999);
  t.equal(connection.sent.length, 1);
  w.time.advance(1);
  t.equal(connection.sent.length, 2);
});

t.test('what is acked may be dropped; an acknowledgement of what was not told ends the connection', async (t) => {
  const w = senderWorld();
  w.unread = 100_000;
  w.queue.push(draft(1, 3), draft(4, 6));
  const connection = w.greet();
  t.equal(w.sender.oldestToldMs, 1003);
  connection.hear({ kind: 'ack', epoch: 1, seq: 3 });
  t.equal(w.sender.oldestToldMs, 1006);
  connection.hear({ kind: 'ack', epoch: 1, seq: 3 });
  connection.hear({ kind: 'ack', epoch: 1, seq: 6 });
  t.equal(w.sender.oldestToldMs, undefined);
  t.strictSame(
    w.acks.map(({ seq }) => seq),
    [0, 3, 3, 6],
  );
  for (const seq of [5, 7]) {
    const other = senderWorld();
    other.queue.push(draft(1, 6));
    const link = other.greet();
    link.hear({ kind: 'ack', epoch: 1, seq: 6 });
    link.hear({ kind: 'ack', epoch: 1, seq });
    t.strictSame(other.said, ['welcome', 'acked what was not told']);
    t.ok(link.isCut);
  }
});

t.test('gaps are told as they are come to, and counted', async (t) => {
  const w = senderWorld();
  w.queue.push(gap(1, 4), draft(5));
  t.strictSame(kinds(w.greet(10)), ['hello', 'gap', 'batch']);
  t.equal(w.counts.gaps.full, 4);
});

t.test('no more goes than there is credit for; what is more than any credit goes alone', async (t) => {
  const w = senderWorld();
  w.queue.push(draft(1, 1, 49), draft(2, 2, 49), draft(3, 3, 299), draft(4));
  const connection = w.greet(60);
  t.equal(connection.sent.length, 2, 'one batch of 50');
  w.time.advance(1000);
  t.equal(connection.sent.length, 2);
  connection.hear({ kind: 'credit', bytes: 50 });
  t.equal(connection.sent.length, 3);
  connection.hear({ kind: 'ack', epoch: 1, seq: 2 });
  t.equal(connection.sent.length, 3, '300 are more than 60');
  w.time.advance(200);
  t.equal(connection.sent.length, 4, 'with nothing else on its way');
  w.time.advance(1000);
  t.equal(connection.sent.length, 4);
  connection.hear({ kind: 'credit', bytes: 310 });
  t.equal(connection.sent.length, 5);
});

t.test('a connection that is full is written to again once it is drained', async (t) => {
  const w = senderWorld();
  w.queue.push(draft(1));
  w.isWritable = false;
  const connection = w.greet();
  t.strictSame(kinds(connection), ['hello'], 'the hello filled it');
  w.time.advance(5000);
  t.equal(connection.sent.length, 1, 'no heartbeat either');
  w.isWritable = true;
  w.unread = 100_000;
  connection.events.onDrain();
  t.strictSame(kinds(connection), ['hello', 'batch']);
});

t.test('it waits for a mark, and goes on when it stands', async (t) => {
  const w = senderWorld();
  w.queue.push('wait');
  const connection = w.greet();
  t.equal(connection.sent.length, 1);
  w.queue.splice(0, 1, draft(1));
  w.sender.nudge();
  t.equal(connection.sent.length, 2);
});

t.test('one batch is compressed at a time; what comes out for a connection that is over is thrown away', async (t) => {
  const w = senderWorld();
  w.isPackedAtOnce = false;
  w.queue.push(draft(1), draft(2));
  const first = w.greet();
  w.time.advance(1000);
  t.equal(w.packing.length, 1);
  first.events.onClose('reset');
  w.time.advance(100);
  const second = w.last;
  t.notOk(second === first);
  second.hear({ kind: 'welcome', epoch: 1, seq: 0, chain: 0, creditBytes: 1000 });
  t.equal(w.packing.length, 1, 'it is still at it');
  w.packing.shift()?.();
  t.strictSame(kinds(second), ['hello']);
  w.time.advance(200);
  w.packing.shift()?.();
  t.strictSame(kinds(second), ['hello', 'batch']);
});

t.test('words of a connection that is over are not heard', async (t) => {
  const w = senderWorld();
  const first = w.greet();
  first.events.onClose('reset');
  first.events.onClose('reset again');
  first.events.onDrain();
  first.hear({ kind: 'fence', reason: 'late' });
  t.strictSame(w.said, ['welcome', 'reset']);
  t.equal(w.sender.state, 'waiting');
});

t.test('it comes again: soon at first, at most 10 s later, and soon again once something was acked', async (t) => {
  const w = senderWorld();
  w.sender.start();
  const waits: number[] = [];
  const fail = (): void => {
    const before = w.connections.length;
    w.last.events.onClose('refused');
    let waited = 0;
    while (w.connections.length === before) {
      w.time.advance(5);
      waited += 5;
    }
    waits.push(waited);
  };
  for (let i = 0; i < 9; i++) fail();
  // Three quarters of it by this chance.
  t.strictSame(waits, [75, 150, 300, 600, 1200, 2400, 4800, 7500, 7500]);
  w.queue.push(draft(1));
  w.last.hear({ kind: 'welcome', epoch: 1, seq: 0, chain: 0, creditBytes: 100 });
  fail();
  t.equal(waits.at(-1), 7500, 'a welcome is no success');
  w.queue.push(draft(1));
  w.last.hear({ kind: 'welcome', epoch: 1, seq: 0, chain: 0, creditBytes: 100 });
  w.last.hear({ kind: 'ack', epoch: 1, seq: 1 });
  fail();
  t.equal(waits.at(-1), 75);
  fail();
  w.last.hear({ kind: 'welcome', epoch: 1, seq: 1, chain: 0, creditBytes: 100 });
  w.time.advance(10_000);
  fail();
  t.equal(waits.at(-1), 75, 'who stayed was no failure');
  t.equal(w.counts.failures, 13);
});

t.test('a collector that says nothing is left: no welcome in 10 s, no acknowledgement in 30 s', async (t) => {
  const w = senderWorld();
  w.sender.start();
  w.time.advance(9900);
  t.strictSame(w.said, []);
  w.time.advance(200);
  t.strictSame(w.said, ['no welcome']);
  w.time.advance(300);
  w.queue.push(draft(1));
  w.last.hear({ kind: 'welcome', epoch: 1, seq: 0, chain: 0, creditBytes: 100 });
  w.time.advance(29_800);
  t.strictSame(w.said, ['no welcome', 'welcome']);
  w.time.advance(400);
  t.strictSame(w.said, ['no welcome', 'welcome', 'no acknowledgement']);
});

t.test('a refusal ends the connection, and the next one begins where the collector stands', async (t) => {
  const w = senderWorld();
  const first = w.greet();
  first.hear({ kind: 'nack', reason: 'the ledger is full' });
  t.strictSame(w.said, ['welcome', 'refused: the ledger is full']);
  t.ok(first.isCut);
  w.time.advance(200);
  t.equal(w.connections.length, 2);
  w.last.hear({ kind: 'welcome', epoch: 1, seq: 0, chain: 0, creditBytes: 100 });
  w.last.hear({ kind: 'welcome', epoch: 1, seq: 0, chain: 0, creditBytes: 100 });
  t.equal(w.said.at(-1), 'welcomed twice');
});

t.test('fenced, by the collector or by what stands in the spool, it says no more', async (t) => {
  for (const fence of ['told', 'seek', 'forked'] as const) {
    const w = senderWorld();
    w.isKnown = fence !== 'seek';
    if (fence === 'forked') w.queue.push('forked');
    const connection = w.greet();
    if (fence === 'told') connection.hear({ kind: 'fence', reason: 'a copy' });
    t.match(w.said.at(-1), /^fenced: /, fence);
    t.ok(connection.isCut);
    t.equal(w.sender.state, 'fenced');
    w.time.advance(60_000);
    w.sender.nudge();
    t.equal(w.connections.length, 1);
    t.equal(w.time.timers, 0);
    t.equal(await w.sender.part(1000), false);
  }
});

t.test('a spool that cannot be read is tried again', async (t) => {
  const w = senderWorld();
  w.isKnown = new Error('EIO');
  w.greet();
  t.strictSame(w.said, ['the spool cannot be read: EIO']);
  w.isKnown = true;
  w.queue.push('broken' as unknown as Next);
  w.time.advance(200);
  w.last.hear({ kind: 'welcome', epoch: 1, seq: 0, chain: 0, creditBytes: 100 });
  t.equal(w.said.at(-1), 'the spool cannot be read: EIO');
  w.queue.splice(0, 1, draft(1));
  w.time.advance(200);
  w.last.hear({ kind: 'welcome', epoch: 1, seq: 0, chain: 0, creditBytes: 100 });
  t.strictSame(kinds(w.last), ['hello', 'batch']);
});

t.test('who has nothing to tell says each second until when nothing was used', async (t) => {
  const w = senderWorld();
  const connection = w.greet();
  w.time.advance(3000);
  t.strictSame(kinds(connection), ['hello', 'heartbeat', 'heartbeat', 'heartbeat']);
  t.match(connection.sent[1], { watermarkMs: 4242, spoolBytes: 99 });
  w.queue.push(draft(1));
  w.time.advance(5000);
  t.strictSame(kinds(connection).slice(4), ['batch'], 'not while it waits for an acknowledgement');
  connection.hear({ kind: 'ack', epoch: 1, seq: 1 });
  w.time.advance(200);
  t.equal(kinds(connection).at(-1), 'heartbeat');
});

t.test('at the end it tells the rest, says bye once all is acked, and is over when the collector closed', async (t) => {
  const w = senderWorld();
  const connection = w.greet();
  w.queue.push(draft(1), draft(2));
  const over = w.sender.part(5000);
  t.strictSame(kinds(connection), ['hello', 'batch', 'batch']);
  t.equal(w.sender.state, 'parting');
  connection.hear({ kind: 'ack', epoch: 1, seq: 1 });
  w.queue.push(draft(3));
  w.time.advance(200);
  connection.hear({ kind: 'ack', epoch: 1, seq: 3 });
  t.match(connection.sent.at(-1), { kind: 'bye', epoch: 1, seq: 3 });
  t.ok(connection.isEnded);
  connection.events.onClose('done');
  t.equal(await over, true);
  t.equal(w.sender.state, 'over');
  t.equal(w.time.timers, 0);
  w.sender.close();
  t.equal(await w.sender.part(10), false);
});

t.test('a collector that does not close after a bye is left after a second', async (t) => {
  const w = senderWorld();
  w.greet();
  const over = w.sender.part(5000);
  w.time.advance(1000);
  t.equal(await over, true);
});

t.test('what is not acked within the time is told by the next life', async (t) => {
  const w = senderWorld();
  w.queue.push(draft(1));
  const connection = w.greet();
  const over = w.sender.part(5000);
  w.time.advance(5000);
  t.equal(await over, false);
  t.ok(connection.isCut);
  t.notOk(kinds(connection).includes('bye'));
});

t.test('a collector that is away is tried once at the end; one that greets is waited for', async (t) => {
  const away = senderWorld();
  away.sender.start();
  away.last.events.onClose('refused');
  const over = away.sender.part(5000);
  t.equal(away.connections.length, 2, 'at once');
  away.last.events.onClose('refused');
  t.equal(await over, false);
  t.equal(away.time.timers, 0);
  const late = senderWorld();
  late.sender.start();
  late.queue.push(draft(1));
  const told = late.sender.part(5000);
  late.last.hear({ kind: 'welcome', epoch: 1, seq: 0, chain: 0, creditBytes: 100 });
  late.last.hear({ kind: 'ack', epoch: 1, seq: 1 });
  t.equal(kinds(late.last).at(-1), 'bye');
  late.last.events.onClose('');
  t.equal(await told, true);
});

t.test('what stood compressed in the spool is told as it is', async (t) => {
  const w = senderWorld();
  w.queue.push({ ...draft(1, 500), isPacked: true, isFolded: true, payloadBytes: 70 });
  t.match(w.greet().sent[1], { isFolded: true, payload: Buffer.alloc(9), payloadBytes: 70 });
});

t.test('fenced while it parts, the end is told as well', async (t) => {
  const w = senderWorld();
  const connection = w.greet();
  w.queue.push(draft(1));
  const over = w.sender.part(5000);
  connection.hear({ kind: 'fence', reason: 'a copy' });
  t.equal(await over, false);
});
