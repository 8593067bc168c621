/** From streams to sums over the ledger of segments, on a disk that refuses when the test says. */
import t from 'tap';
import type { Entry } from '../../src/collector/entry.ts';
import { Intake } from '../../src/collector/intake.ts';
import type { Ledger } from '../../src/collector/ledger.ts';
import { type Spool, Spools } from '../../src/collector/spools.ts';
import { VirtualTime } from '../metering/world.ts';
import { LIFE, SPOOL, T0, Teller } from './told.ts';
import { many, turn, World } from './world.ts';

const HOUR = 3_600_000;

const LONG: Entry = {
  kind: 'batch',
  receivedMs: T0,
  spoolId: SPOOL,
  service: 'orders',
  instance: '',
  epoch: 1,
  life: LIFE,
  seqFrom: 1,
  seqTo: 1,
  chainBefore: 0,
  chainAfter: 1,
  watermarkMs: T0,
  batch: { isFolded: false, crc: 0, bytes: 1, zstd: Buffer.alloc(2 ** 21) },
};

t.test(
  'what is acknowledged is in the sums as soon as somebody asks, once, through any number of starts',
  async (t) => {
    const w = new World();
    const teller = new Teller();
    let collector = await w.open();
    const { session, heard } = await w.greet(collector, teller);
    session.receive(teller.batch(many(5)));
    session.receive(teller.folded(many(7)));
    session.receive(teller.gap(2));
    await w.run();
    t.same(heard.words, ['welcome 0:0', 'ack 1:14'], 'one acknowledgement for all of a sync');
    t.equal(collector.intake.counts.commits, 1);
    await collector.settle();
    t.equal(await w.requests(), 12);
    for (const end of ['kill', 'close', 'crash'] as const) {
      if (end === 'close') {
        const closed = collector.close();
        await w.run();
        await closed;
      } else w.disk[end]();
      collector = await w.open();
      t.equal(await w.requests(), 12, end);
      t.match(collector.spools.get(SPOOL), { records: 12, lost: 2, synced: { epoch: 1, seq: 14 } }, end);
    }
    const again = await w.greet(collector, teller);
    t.same(again.heard.words, ['welcome 1:14']);
    again.session.receive(teller.batch(many(1)));
    await w.run();
    await collector.settle();
    t.equal(await w.requests(), 13);
    t.same(w.damages, []);
  },
);

t.test('a save in the midst of work is neither ahead nor behind: each record counts once after a start', async (t) => {
  const w = new World();
  const teller = new Teller();
  let collector = await w.open();
  const { session } = await w.greet(collector, teller);
  for (let round = 0; round < 20; round++) {
    session.receive(teller.batch(many(3)));
    if (round % 3 === 0) void collector.save();
    session.receive(teller.batch(many(2)));
    if (round % 2 === 0) await w.run();
    if (round % 5 !== 4) continue;
    await w.run();
    w.disk.kill();
    const { pending } = collector.spools.get(SPOOL) as Spool;
    t.equal(pending, 0);
    break;
  }
  collector = await w.open();
  t.equal(await w.requests(), 25);
  t.equal(collector.spools.get(SPOOL)?.records, 25);
});

for (const [what, call, code] of [
  ['full', 'write', 'ENOSPC'],
  ['read-only', 'write', 'EROFS'],
  ['failing to sync', 'sync', 'EIO'],
] as const)
  t.test(
    `a ledger that is ${what}: nothing is acknowledged, questions are answered, and it goes on when the disk does`,
    async (t) => {
      const w = new World();
      const teller = new Teller();
      const collector = await w.open();
      const { session, heard } = await w.greet(collector, teller);
      session.receive(teller.batch(many(4)));
      await w.run();
      w.disk.refuse = (called) => {
        if (called === call) throw Object.assign(new Error(code), { code });
      };
      session.receive(teller.batch(many(3)));
      await w.run();
      t.match(heard.words, ['welcome 0:0', 'ack 1:4', new RegExp(`^nack the ledger takes nothing: ${code}`)]);
      t.ok(heard.isEnded);
      t.match(collector.trouble, /the ledger takes nothing/);
      t.ok(w.events.includes('collector.ledger_refuses'));
      await collector.settle();
      t.equal(await w.requests(), 4);
      const refused = await w.greet(collector, teller);
      t.match(refused.heard.words, [/^nack the ledger takes nothing/]);
      await w.run(5000);
      t.match(collector.trouble, /takes nothing/, 'it is asked again, and refuses still');
      await t.rejects(collector.writeOff(SPOOL), { code: 'ledger-refuses' });
      w.disk.refuse = undefined;
      await w.run(1500);
      t.equal(collector.trouble, undefined);
      t.ok(w.events.includes('collector.ledger_mended'));
      const back = await w.greet(collector, teller);
      // What failed to sync stands once a later sync succeeded; what could not be written does not.
      const stands = call === 'sync' ? 7 : 4;
      t.same(back.heard.words, [`welcome 1:${stands}`]);
      await collector.settle();
      t.equal(await w.requests(), stands);
      w.disk.crash();
      await w.open();
      t.equal(await w.requests(), stands);
    },
  );

t.test("a ledger that is not there, or is another program's, is said at the start with the remedy", async (t) => {
  const w = new World();
  w.disk.refuse = () => {
    throw Object.assign(new Error('gone'), { code: 'ENOENT' });
  };
  await t.rejects(w.open(), { code: 'log-unusable', place: /ledger/ });
});

t.test(
  'damage in the ledger loses what it hit, says so, and the sidecar that still has it tells it again',
  async (t) => {
    const w = new World();
    const teller = new Teller();
    let collector = await w.open();
    const { session } = await w.greet(collector, teller);
    session.receive(teller.batch(many(2)));
    await w.run();
    const [path] = [...w.disk.files.keys()].filter((each) => each.endsWith('.wal'));
    const { length } = w.disk.files.get(path as string) as { length: number };
    session.receive(teller.batch(many(3)));
    await w.run();
    w.disk.kill();
    w.disk.damage(path as string, length + 40);
    collector = await w.open();
    t.ok(w.damages.length > 0);
    t.match(collector.spools.get(SPOOL), { synced: { epoch: 1, seq: 2 } });
    t.equal(await w.requests(), 2);
  },
);

t.test(
  'damage costs what it hit, and where nobody says that it was synced, what its sidecar tells again',
  async (t) => {
    const w = new World();
    const teller = new Teller();
    let { collector } = await w.told(teller, 8);
    w.disk.kill();
    const paths = [...w.disk.files.keys()].filter((each) => each.endsWith('.wal')).sort();
    const hit = (at: number): void => {
      const path = paths[at] as string;
      w.disk.damage(path, (w.disk.files.get(path) as { length: number }).length - 40);
    };
    hit(2);
    collector = await w.open();
    t.match(collector.spools.get(SPOOL), { records: 7, lost: 1, synced: { seq: 8 } });
    t.equal(await w.requests(), 7);
    t.ok(w.events.includes('collector.ledger_hole'));
    w.disk.kill();
    w.kept.word = undefined;
    w.kept.rows = [];
    hit(6);
    collector = await w.open();
    t.match(
      collector.spools.get(SPOOL),
      { records: 6, lost: 2, synced: { seq: 8 } },
      'the next one says it was synced',
    );
    t.equal(await w.requests(), 6);
    const { session } = await w.greet(collector, teller);
    session.receive(teller.batch(many(1)));
    session.receive(teller.batch(many(2)));
    await w.run();
    w.disk.kill();
    // Both were for one sync: nobody says that there was one.
    const last = [...w.disk.files.keys()].filter((each) => each.endsWith('.wal')).sort();
    const first = last.at(-2) as string;
    w.disk.damage(first, (w.disk.files.get(first) as { length: number }).length - 40);
    w.events.length = 0;
    collector = await w.open();
    t.match(collector.spools.get(SPOOL), { records: 6, lost: 2, synced: { seq: 8 }, doubt: { seq: 11, count: 3 } });
    t.ok(w.events.includes('collector.ledger_doubt'));
    // A start later it is said still. Its sidecar has it no more.
    w.disk.kill();
    collector = await w.open();
    const again = Object.assign(new Teller(), { seq: 8, chain: collector.spools.get(SPOOL)?.synced.chain });
    const back = await w.greet(collector, again);
    t.same(back.heard.words, ['welcome 1:8']);
    back.session.receive(again.gap(1));
    back.session.receive(again.batch(many(3)));
    await w.run();
    t.match(collector.spools.get(SPOOL), { records: 9, lost: 3, synced: { seq: 12 }, doubt: undefined });
    void collector.settle();
    t.equal(await w.requests(), 9);
    w.disk.kill();
    w.kept.word = undefined;
    w.kept.rows = [];
    collector = await w.open();
    t.match(collector.spools.get(SPOOL), { records: 9, lost: 3, synced: { seq: 12 } }, 'what did not count never does');
    t.equal(await w.requests(), 9);
  },
);

t.test(
  'hours are sealed when every live spool has passed them, or after a while without those that are away',
  async (t) => {
    const w = new World();
    const [a, b] = [new Teller(), new Teller('ff'.repeat(16), 'billing')];
    const collector = await w.open();
    const first = await w.greet(collector, a);
    const second = await w.greet(collector, b);
    first.session.receive(a.batch(many(1)));
    second.session.receive(b.batch(many(1)));
    await w.run();
    const next = Math.ceil(T0 / HOUR) * HOUR;
    w.time.wall = next + 70_000;
    first.session.receive(a.heartbeat(w.time.wall));
    await w.run(11_000);
    t.same(
      w.store.sealedS.filter((each) => each * 1000 >= next),
      [],
      'the second is not there yet',
    );
    second.session.receive(b.heartbeat(w.time.wall));
    await w.run(11_000);
    t.same(
      w.store.sealedS.filter((each) => each * 1000 >= next),
      [next / 1000],
    );
    w.time.wall = next + HOUR + 60_000 + 900_000 + 1000;
    first.session.receive(a.heartbeat(w.time.wall));
    await w.run(11_000);
    t.equal(w.store.sealedS.at(-1), next / 1000 + 3600, 'the second is away too long');
    second.session.close();
    const written = collector.writeOff(b.spool);
    await w.run();
    t.equal((await written).state, 'written off');
    t.equal(collector.completeness(w.time.wall - 20_000).missingCount, 0);
    await t.rejects(collector.writeOff('00'.repeat(16)), { code: 'spool-unknown' });
    await t.rejects(collector.writeOff(SPOOL), { code: 'spool-live' });
    const closed = collector.close();
    await w.run();
    await closed;
    const again = await w.open();
    t.equal(again.spools.get(b.spool)?.state, 'written off');
  },
);

t.test('old segments of the ledger are dropped, but none that a start would read', async (t) => {
  const w = new World();
  const teller = new Teller();
  const { collector, session } = await w.told(teller, 12);
  const before = w.disk.files.size;
  w.time.advance(2 * 86_400_000);
  await Promise.all([collector.save(), w.run()]);
  t.ok(w.disk.files.size < before - 8, `${w.disk.files.size} of ${before} files`);
  session.receive(teller.batch(many(1)));
  await w.run();
  w.disk.kill();
  await w.open();
  t.equal(await w.requests(), 13);
});

t.test(
  'sums that cannot be saved are said, and cost nothing but time; sums that fail stop the collector',
  async (t) => {
    const w = new World();
    const teller = new Teller();
    const collector = await w.open();
    const { session } = await w.greet(collector, teller);
    w.store.hinder = (call) => {
      if (call === 'save') throw new Error('no space');
    };
    session.receive(teller.batch(many(2)));
    await w.run(200_000);
    t.ok(w.events.includes('collector.not_saved'));
    w.store.hinder = () => {
      throw new Error('out of memory');
    };
    session.receive(teller.batch(many(2)));
    await w.run(2000);
    t.match(collector.trouble, /it cannot go on: out of memory/);
    const closed = collector.close();
    await w.run();
    await closed;
    w.disk.kill();
    await w.open();
    t.equal(await w.requests(), 4, 'a start has all of it');
  },
);

t.test('what was not applied is never saved as if it were: the collector ends, and a start has it', async (t) => {
  const w = new World();
  const teller = new Teller();
  const deaths: Error[] = [];
  let collector = await w.open({ onDeath: (cause) => deaths.push(cause) });
  const { session } = await w.greet(collector, teller);
  let fail = (_cause: Error): void => {};
  w.store.hinder = (call) => (call === 'apply' ? new Promise((_, reject) => (fail = reject)) : undefined);
  session.receive(teller.batch(many(3)));
  await w.run();
  // It fails only when the save was asked for.
  const saving = collector.save();
  await w.run();
  session.receive(teller.batch(many(2)));
  await w.run();
  fail(new Error('no memory'));
  await t.rejects(saving, { message: 'no memory' });
  await w.run();
  t.match(deaths, [{ message: 'no memory' }]);
  w.store.hinder = undefined;
  await t.rejects(collector.settle(), { message: 'no memory' });
  await t.rejects(collector.save(), { message: 'no memory' });
  await w.run(200_000);
  t.equal(w.kept.word, undefined);
  const closed = collector.close();
  await w.run();
  await closed;
  w.disk.kill();
  collector = await w.open();
  t.equal(await w.requests(), 5);
});

t.test('a save that waits for what was handed on holds no more than that', async (t) => {
  const w = new World();
  const teller = new Teller();
  const collector = await w.open();
  const { session } = await w.greet(collector, teller);
  let go = (): void => {};
  w.store.hinder = (call) => (call === 'apply' ? new Promise((resolve) => (go = resolve)) : undefined);
  session.receive(teller.batch(many(3)));
  await w.run();
  const saving = collector.save();
  await w.run();
  session.receive(teller.batch(many(2)));
  await w.run();
  w.store.hinder = undefined;
  const settled = collector.settle();
  await w.run();
  go();
  await w.run();
  await Promise.all([saving, settled]);
  w.disk.kill();
  await w.open();
  t.equal(await w.requests(), 5);
});

t.test('an entry that is too long is refused alone: the ledger goes on', async (t) => {
  const w = new World();
  const teller = new Teller();
  const collector = await w.open();
  const { session, heard } = await w.greet(collector, teller);
  const spool = new Spools(1).meet(SPOOL, 'orders', '', T0) as Spool;
  t.throws(() => collector.intake.take(spool, LONG, session), RangeError);
  t.throws(() => collector.intake.take(spool, { ...LONG, batch: longBatch(2 ** 21 - 20) }, session), RangeError);
  t.equal(collector.trouble, undefined);
  session.receive(teller.batch(many(2)));
  await w.run();
  t.same(heard.words, ['welcome 0:0', 'ack 1:2']);
});

const longBatch = (bytes: number) => ({ isFolded: false, crc: 0, bytes: 1, zstd: Buffer.alloc(bytes) });

t.test(
  'what a failed sync left in doubt and the disk lost is never acknowledged: a start reads what stands',
  async (t) => {
    const w = new World();
    const teller = new Teller();
    const deaths: Error[] = [];
    let collector = await w.open({ onDeath: (cause) => deaths.push(cause) });
    const { session, heard } = await w.greet(collector, teller);
    session.receive(teller.batch(many(4)));
    await w.run();
    const told = { seq: teller.seq, chain: teller.chain };
    const [path] = [...w.disk.files.keys()].filter((each) => each.endsWith('.wal'));
    const { length } = w.disk.files.get(path as string) as { length: number };
    w.disk.refuse = (call) => {
      if (call === 'sync') throw Object.assign(new Error('EIO'), { code: 'EIO' });
    };
    session.receive(teller.batch(many(3)));
    session.receive(teller.batch(many(2)));
    await w.run();
    w.disk.damage(path as string, length + 40);
    w.disk.refuse = undefined;
    await w.run(5000);
    t.match(deaths, [{ code: 'log-lost' }]);
    t.match(heard.words, ['welcome 0:0', 'ack 1:4', /^nack/]);
    t.match(collector.trouble, /it cannot go on/);
    t.match((await w.greet(collector, teller)).heard.words, [/^nack/]);
    w.disk.kill();
    collector = await w.open();
    t.equal(await w.requests(), 4);
    const again = Object.assign(new Teller(), told);
    const back = await w.greet(collector, again);
    t.same(back.heard.words, ['welcome 1:4']);
    back.session.receive(again.batch(many(5)));
    await w.run();
    w.disk.kill();
    collector = await w.open();
    t.equal(await w.requests(), 9);
    t.match(collector.spools.get(SPOOL), { lost: 0, records: 9 });
  },
);

t.test('under load that never ends a cut has its turn', async (t) => {
  const time = new VirtualTime();
  const ledger = {
    highWater: { segment: 1, offset: 1 },
    bytes: 0,
    append() {},
    commit: async () => {},
  } as unknown as Ledger;
  let summed = 0;
  const intake = new Intake({
    clock: time,
    timers: time,
    ledger,
    sessions: new Map(),
    onTrouble: () => {},
    onLost: () => {},
    sum: async () => {
      await turn();
      await turn();
      summed++;
    },
  });
  const spool = new Spools().meet(SPOOL, 'orders', '', T0) as Spool;
  let taken = 0;
  let cutAt = 0;
  for (let i = 0; i < 60; i++) {
    intake.take(spool, { ...LONG, kind: 'gap', seqFrom: ++taken, seqTo: taken }, undefined);
    if (i === 20) void intake.cut(() => (cutAt = taken));
    time.turn();
    await turn();
  }
  t.ok(cutAt > 0, `${summed} of ${taken} were summed up`);
});

t.test(
  'a ledger that ends before the place of the last save is not taken for the one that the sums are of',
  async (t) => {
    const w = new World();
    const teller = new Teller();
    let collector = await w.open();
    const { session } = await w.greet(collector, teller);
    session.receive(teller.batch(many(3)));
    await w.run();
    await Promise.all([collector.save(), w.run()]);
    w.disk.kill();
    const path = '/ledger/000000000001.wal';
    const file = w.disk.files.get(path) as { length: number };
    file.length -= 1;
    await t.rejects(w.open(), { code: 'ledger-behind', place: '/ledger', remedy: /put the ledger back.*--rebuild/ });
    w.disk.remove(path);
    for (let i = 0; i < 3; i++) await t.rejects(w.open(), { code: 'ledger-behind' }, 'and a start makes none');
    w.disk.files.set(`${path}.corrupt`, file as never);
    collector = await w.open();
    t.equal(await w.requests(), 3, 'a segment that was put aside was there');
  },
);
