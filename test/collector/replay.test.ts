/** What a start makes of a ledger that a machine left in pieces, or that was damaged. */
import t from 'tap';
import { type Entry, LIFE_UNKNOWN } from '../../src/collector/entry.ts';
import { type Hole, Replay } from '../../src/collector/replay.ts';
import { SegmentLedger } from '../../src/collector/segment-ledger.ts';
import { chainStart, lostOf, type Spool, Spools } from '../../src/collector/spools.ts';
import { FRAME_HEAD, SegmentLog } from '../../src/wal/index.ts';
import { MemoryRollups } from './memory-rollups.ts';
import { entryOf, SPOOL, Teller } from './told.ts';
import { many, World } from './world.ts';

const NEWER = 'b0b1b2b3b4b5b6b7';

/** Paths and lengths of the files of the ledger, in order. */
const files = (w: World): [string, number][] =>
  [...w.disk.files]
    .filter(([path]) => path.endsWith('.wal'))
    .map(([path, { length }]) => [path, length] as const)
    .sort() as [string, number][];

/** A sidecar that was opened again: two records of its first epoch are told, 30 more are in the ledger, then 5 of the second. */
async function twoEpochs(w: World, isOneSync: boolean): Promise<{ readonly newer: Teller; readonly hit: () => void }> {
  const teller = new Teller();
  const newer = new Teller();
  newer.reopen(NEWER);
  const collector = await w.open();
  const first = await w.greet(collector, teller);
  first.session.receive(teller.batch(many(2)));
  await w.run();
  const { session } = await w.greet(collector, newer);
  const [path, at] = files(w).at(-1) as [string, number];
  session.receive(teller.batch(many(30)));
  if (!isOneSync) await w.run();
  session.receive(newer.batch(many(5)));
  if (!isOneSync) await w.run();
  const hit = (): void => {
    w.disk.kill();
    w.disk.damage(path, at + 40);
  };
  return { newer, hit };
}

t.test(
  'the end of an epoch that did not outlive the machine is told again, though the next epoch stands',
  async (t) => {
    const w = new World();
    const { newer, hit } = await twoEpochs(w, true);
    hit();
    const collector = await w.open();
    t.match(collector.spools.get(SPOOL), {
      state: 'live',
      records: 2,
      lost: 0,
      doubt: { epoch: 2, seq: 5, count: 35 },
    });
    t.equal(lostOf(collector.spools.get(SPOOL) as Spool), 35);
    t.notOk(w.events.includes('collector.ledger_hole'));
    t.ok(w.events.includes('collector.ledger_doubt'));
    t.equal(collector.completeness(w.time.wall - 500).missingCount, 1);
    const again = new Teller();
    again.batch(many(2));
    const { session, heard } = await w.greet(collector, newer);
    t.same(heard.words, ['welcome 1:2']);
    session.receive(again.batch(many(30)));
    await w.run();
    t.match(collector.spools.get(SPOOL), { doubt: { count: 5 } });
    again.reopen(NEWER);
    session.receive(again.batch(many(5)));
    await w.run();
    await collector.settle();
    t.match(collector.spools.get(SPOOL), { records: 37, lost: 0, doubt: undefined });
    t.equal(await w.requests(), 37);
    w.disk.kill();
    Object.assign(w.kept, { word: undefined, rows: [] });
    t.match((await w.open()).spools.get(SPOOL), { records: 37, lost: 0, doubt: undefined, synced: { told: 37 } });
    t.equal(await w.requests(), 37, 'and counts once for whoever reads all of it');
  },
);

t.test(
  'damage at the end of an epoch that was acknowledged is lost, counted and said, also behind a Bye',
  async (t) => {
    const w = new World();
    const { newer, hit } = await twoEpochs(w, false);
    const { session } = await w.greet((await w.open()) as never, newer);
    session.receive(newer.bye());
    await w.run();
    hit();
    w.events.length = 0;
    const collector = await w.open();
    t.match(collector.spools.get(SPOOL), { state: 'ended', records: 7, lost: 30, doubt: undefined });
    t.equal(await w.requests(), 7);
    t.ok(w.events.includes('collector.ledger_hole'));
  },
);

t.test('a start that is broken off behind a save has said there what is in doubt', async (t) => {
  const w = new World();
  const { hit } = await twoEpochs(w, true);
  hit();
  const store = new MemoryRollups(w.kept);
  let saves = 0;
  store.hinder = (call) => {
    if (call === 'save' && ++saves === 3) throw new Error('no space');
  };
  await t.rejects(w.open({ store, replaySaveBytes: 1 }), { message: 'no space' });
  w.disk.kill();
  const collector = await w.open();
  t.equal(collector.replayed.entries, 0, 'all of it was read');
  t.match(collector.spools.get(SPOOL), { records: 2, doubt: { epoch: 2, seq: 5, count: 35 } });
});

t.test('one damaged frame costs its own records, wherever it stands', async (t) => {
  const w = new World();
  const teller = new Teller();
  let collector = await w.open();
  const { session, heard } = await w.greet(collector, teller);
  session.receive(teller.batch(many(2)));
  await w.run();
  const [path, at] = files(w).at(-1) as [string, number];
  for (let i = 0; i < 100; i++) {
    session.receive(teller.batch(many(10)));
    await w.run();
  }
  session.receive(teller.bye());
  await w.run();
  t.same(heard.words.slice(-2), ['ack 1:1002', 'ack 1:1002']);
  for (const isRebuilt of [false, true]) {
    w.disk.kill();
    if (!isRebuilt) w.disk.damage(path, at + 40);
    Object.assign(w.kept, { word: undefined, rows: [] });
    w.events.length = 0;
    collector = await w.open();
    t.match(collector.spools.get(SPOOL), { state: 'ended', records: 992, lost: 10, synced: { seq: 1002 } });
    t.equal(await w.requests(), 992);
    t.ok(w.events.includes('collector.ledger_hole'));
  }
});

t.test('a ledger whose syncs fail does not grow while it is asked', async (t) => {
  const w = new World();
  const teller = new Teller();
  const collector = await w.open();
  const { session } = await w.greet(collector, teller);
  w.disk.refuse = (call) => {
    if (call === 'sync') throw Object.assign(new Error('EIO'), { code: 'EIO' });
  };
  session.receive(teller.batch(many(4)));
  await w.run();
  const bytes = (): number => files(w).reduce((sum, [, length]) => sum + length, 0);
  const before = bytes();
  for (let i = 0; i < 20; i++) await w.run(1000);
  t.ok(bytes() - before <= 2 ** 16 + 100, `${bytes() - before} bytes more`);
  w.disk.refuse = undefined;
  await w.run(2000);
  t.equal(collector.trouble, undefined);
  t.equal(collector.spools.get(SPOOL)?.records, 4);
});

t.test('a ledger of before is read, and goes on with what this version writes', async (t) => {
  const w = new World();
  w.segmentBytes = 100;
  const old = SegmentLedger.open({
    dir: '/ledger',
    disk: w.disk,
    clock: w.time,
    segmentBytes: 100,
    onDamage: () => t.fail('it is new'),
  });
  for (let seq = 1; seq <= 6; seq++) {
    old.append(entryOf({ seqFrom: seq, seqTo: seq, chainBefore: seq, chainAfter: seq + 1 }));
    await old.commit();
  }
  old.close();
  const [path, length] = files(w)[1] as [string, number];
  w.disk.damage(path, length - 40);
  let collector = await w.open();
  t.match(collector.spools.get(SPOOL), { lost: 6, synced: { seq: 6, told: 6 } });
  t.ok(w.events.includes('collector.ledger_hole'));
  const teller = Object.assign(new Teller(), { seq: 6, chain: 7 });
  const { session } = await w.greet(collector, teller);
  session.receive(teller.batch(many(2)));
  await w.run();
  w.disk.kill();
  collector = await w.open();
  t.match(collector.spools.get(SPOOL), { lost: 6, records: 2, synced: { seq: 8, told: 8 } });
});

t.test('a segment that does not say when it began is never too old', async (t) => {
  const w = new World();
  const options = { dir: '/ledger', disk: w.disk };
  const fail = (): void => void t.fail('it is new');
  const other = SegmentLog.open({ ...options, kind: 'LEDG', head: () => Buffer.alloc(0) }, fail, fail);
  other.append(Buffer.alloc(FRAME_HEAD + 3), FRAME_HEAD + 3);
  other.rotate();
  other.append(Buffer.alloc(FRAME_HEAD + 3), FRAME_HEAD + 3);
  other.close();
  const ledger = SegmentLedger.open({ ...options, clock: w.time, onDamage: fail });
  const { bytes, highWater } = ledger;
  ledger.drop({ segment: 2, offset: 0 }, Number.MAX_SAFE_INTEGER);
  t.equal(ledger.bytes, bytes);
  ledger.drop(highWater, Number.MAX_SAFE_INTEGER);
  t.ok(ledger.bytes < bytes, 'the second ends where one begins that says it');
  ledger.close();
});

/** Of an epoch, from … to; how many were told and synced before. */
const at = (
  epoch: number,
  seqFrom: number,
  seqTo: number,
  told: number,
  synced: number,
  more: Partial<Entry> = {},
): Entry => entryOf({ epoch, seqFrom, seqTo, stood: { told, synced }, ...more });

class Reading {
  readonly spools: Spools;
  readonly holes: string[] = [];
  readonly replay: Replay;

  constructor(bytesMax?: number, max?: number) {
    this.spools = new Spools(max);
    const tell = ({ lost, behind, before }: Hole): void => void this.holes.push(`${lost} ${behind} ${before}`);
    this.replay = new Replay(this.spools, tell, bytesMax);
  }

  /** How many count with each. */
  read(...entries: readonly Entry[]): number[] {
    return entries.map((each) => this.replay.read(each, false).length);
  }

  get row(): Spool {
    return this.spools.get(SPOOL) as Spool;
  }
}

t.test('what waits behind a hole counts once any later entry says that the hole was synced', async (t) => {
  const r = new Reading();
  t.same(r.read(at(1, 1, 2, 0, 0), at(1, 5, 6, 4, 2), at(1, 7, 8, 6, 2), at(1, 10, 10, 9, 2)), [1, 0, 0, 0]);
  t.ok(r.replay.heldBytes > 0);
  t.same(r.read(at(1, 11, 12, 10, 4)), [2], 'of the second hole nobody said it');
  t.same(r.holes, ['2 1:2 1:5']);
  t.same(r.read(at(1, 13, 13, 12, 12)), [3]);
  t.equal(r.replay.heldBytes, 0);
  t.match(r.row, { lost: 13, taken: { seq: 13, told: 13 }, doubt: undefined });
  t.match(r.replay, { entries: 6, refused: 0 });
});

t.test('an entry that a later one begins before was not taken: what was told again counts instead', async (t) => {
  const r = new Reading();
  t.same(r.read(at(1, 1, 2, 0, 0), at(2, 1, 5, 32, 2), at(1, 3, 32, 2, 2)), [1, 0, 1]);
  t.match(r.row, { lost: 32, doubt: { epoch: 2, seq: 5, count: 5 }, state: 'live' });
  // The second telling of the first is damaged, and settled.
  t.same(r.read(at(2, 6, 9, 37, 37)), [1]);
  t.match(r.row, { lost: 41, doubt: undefined, taken: { told: 41 } });
  t.same(r.holes, ['5 1:32 2:6']);
  t.equal(r.replay.refused, 1);
});

t.test('what is in doubt is lost when its numbers are passed, or nothing more comes', async (t) => {
  for (const [last, lost] of [
    // The sidecar lost the end of the first epoch too.
    [at(2, 1, 9, 2, 2), 11 + 30],
    [at(3, 1, 1, 2, 2), 3 + 35],
    [at(1, 2, 2, 2, 2, { kind: 'bye' }), 2 + 35],
    [at(1, 2, 2, 2, 2, { kind: 'write-off' }), 2 + 35],
    // All of it is missing again, and 7 behind it.
    [at(2, 13, 13, 44, 44), 45],
    [at(3, 3, 3, 39, 39), 40],
  ] as const) {
    const r = new Reading();
    r.read(at(1, 1, 2, 0, 0), at(2, 1, 5, 32, 2));
    r.replay.giveUp();
    t.match(r.row, { lost: 2, doubt: { count: 35 } });
    t.same(r.read(last), [1], JSON.stringify(last.stood));
    t.match(r.row, { lost, doubt: undefined });
  }
});

t.test('doubts of one spool are one: the furthest, and the larger count', async (t) => {
  const r = new Reading();
  r.read(at(1, 1, 2, 0, 0), at(1, 11, 20, 10, 2));
  r.replay.giveUp();
  r.read(at(1, 5, 8, 4, 2));
  r.replay.giveUp();
  t.match(r.row.doubt, { epoch: 1, seq: 20, count: 18 });
  r.read(at(1, 21, 30, 20, 2));
  r.replay.giveUp();
  t.match(r.row.doubt, { epoch: 1, seq: 30, count: 28 });
  t.same(r.read(at(1, 3, 4, 2, 2)), [1]);
  t.match(r.row, { lost: 4, doubt: { count: 26 } });
  t.same(r.read(at(1, 11, 12, 10, 10)), [1], 'what is missing within it');
  t.match(r.row, { lost: 12, doubt: { count: 18 } });
});

t.test('a spool that has ended is live again when what it said behind that is in doubt', async (t) => {
  const r = new Reading();
  r.read(at(1, 1, 2, 0, 0), at(1, 2, 2, 2, 2, { kind: 'bye' }));
  t.equal(r.row.state, 'ended');
  r.read(at(2, 4, 5, 5, 2));
  r.replay.giveUp();
  t.match(r.row, { state: 'live', doubt: { epoch: 2, seq: 5, count: 5 } });
});

t.test('no more waits than may; an entry of before sends away what waits', async (t) => {
  const r = new Reading(600);
  r.read(at(1, 1, 2, 0, 0), at(1, 5, 6, 4, 2), at(1, 7, 8, 6, 2));
  t.ok(r.replay.heldBytes > 0);
  const zstd = Buffer.alloc(100);
  r.read(at(1, 9, 9, 8, 2, { kind: 'batch', batch: { isFolded: false, crc: 0, bytes: 1, zstd } }));
  t.equal(r.replay.heldBytes, 0);
  t.match(r.row.doubt, { seq: 9, count: 7 });
  const mixed = new Reading();
  mixed.read(at(1, 1, 2, 0, 0), at(1, 5, 6, 4, 2), entryOf({ seqFrom: 3, seqTo: 3 }));
  t.equal(mixed.replay.heldBytes, 0);
  t.match(mixed.row, { lost: 3, doubt: { seq: 6, count: 3 }, taken: { seq: 3, told: 3 } });
});

t.test('where the ends of a spool are behind a hole, it goes on from there', async (t) => {
  const r = new Reading();
  const next = { chainBefore: chainStart(SPOOL, NEWER), life: NEWER };
  t.same(r.read(at(1, 1, 2, 0, 0), at(2, 0, 0, 9, 9, { kind: 'bye', life: NEWER, chainAfter: 5 })), [1, 1]);
  t.match(r.row, { state: 'ended', lost: 9, taken: { epoch: 2, seq: 0 } });
  t.same(r.read(at(2, 1, 1, 9, 9, next)), [1], 'of an epoch that had nothing yet');
  t.same(r.read(at(2, 5, 5, 13, 13, { kind: 'bye', chainAfter: 6 })), [1]);
  t.match(r.row, { lost: 13, taken: { epoch: 2, seq: 5, chain: 6 } });
  t.same(r.read(at(2, 7, 7, 15, 15, { kind: 'write-off', chainAfter: 8 })), [1]);
  t.match(r.row, { state: 'written off', lost: 15, taken: { epoch: 2, seq: 7, chain: 8, told: 15 } });
});

t.test('an entry that does not stand behind what is known counts nowhere, whatever it says', async (t) => {
  const r = new Reading();
  r.read(at(2, 1, 5, 0, 0));
  const wrong = [at(1, 9, 9, 20, 20), at(2, 5, 6, 20, 20), at(2, 9, 8, 20, 20), at(2, 6, 6, 5, 5, { chainBefore: 1 })];
  t.same(r.read(...wrong), [0, 0, 0, 0]);
  t.match(r.replay, { refused: 4, heldBytes: 0 });
  t.same(r.read(at(2, 6, 6, 3, 3)), [1], 'one that follows does, when more was counted as missing than was told');
  t.equal(r.row.taken.told, 4);
});

t.test('of a spool that may have been forgotten nothing is missing before its first entry', async (t) => {
  const r = new Reading(undefined, 1);
  t.same(r.read(at(1, 3, 3, 2, 2)), [1]);
  t.same(r.holes, ['2 0:0 1:3'], 'else there is');
  r.read(at(1, 3, 3, 3, 3, { kind: 'bye' }));
  t.same(r.read(at(4, 1, 1, 50, 50, { spoolId: 'ff'.repeat(16) })), [1]);
  t.equal(r.holes.length, 1);
  t.same(r.read(at(4, 1, 1, 0, 0)), [0], 'there is no room');
  t.equal(LIFE_UNKNOWN.length, 16);
});
