/** What is told of a spool: all of it, in order, in batches that join, with gaps where records are missing, from wherever a collector stands. */
import { crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import t from 'tap';
import { BlockWriter, type Run, readFrame, readSpoolHead, spoolHead } from '../../src/metering/block.ts';
import { describeSpoolFrame } from '../../src/metering/describe.ts';
import { foldPart } from '../../src/metering/fold.ts';
import type { Draft, Gap } from '../../src/metering/messages.ts';
import type { Part } from '../../src/metering/part.ts';
import type { Position } from '../../src/metering/position.ts';
import { SpoolReader } from '../../src/metering/reader.ts';
import { readRuns } from '../../src/metering/runs.ts';
import { SPOOL_KIND, type Spool } from '../../src/metering/spool.ts';
import { readWindows } from '../../src/metering/windows.ts';
import { type Frame, SegmentLog } from '../../src/wal/index.ts';
import { commitBlocks, DIR, recordOf, type SpoolWorld, segmentPath, spoolWorld } from './world.ts';

type Told = Draft | Gap;

/** All that there is to tell, marks waited for. */
async function readAll(reader: SpoolReader): Promise<Told[]> {
  const told: Told[] = [];
  for (;;) {
    const next = reader.next();
    if (next === undefined) return told;
    if (next === 'wait') await new Promise(setImmediate);
    else if (next === 'forked') throw new Error('forked');
    else if (next.kind === 'gap') told.push(next);
    else told.push({ ...next, payload: Buffer.from(next.payload) });
  }
}

async function tellAll(
  spool: Spool,
  from: Position = { epoch: 0, seq: 0 },
  chain = 0,
  isFolding = false,
): Promise<Told[]> {
  const reader = new SpoolReader(spool, isFolding, () => {});
  if (!reader.seek(from, chain)) throw new Error('not known');
  return readAll(reader);
}

const nameOf = (each: Told): string =>
  `${each.kind === 'gap' ? each.reason : each.isFolded ? 'folded' : 'batch'} ${each.epoch}: ${each.seqFrom}–${each.seqTo}`;

/** Requests that a batch is of. */
function countOf({ payload, isPacked, isFolded, crc, payloadBytes }: Draft): number {
  const plain = isPacked ? zstdDecompressSync(payload) : payload;
  if (crc32(plain) !== crc || plain.length !== payloadBytes) throw new Error('its sum is wrong');
  if (!isFolded) return readRuns(plain, () => true);
  let count = 0;
  readWindows(plain, (_windowMs, _series, sums) => (count += sums.count) > 0);
  return count;
}

const PACK = async (payload: Buffer): Promise<Buffer> => zstdCompressSync(payload);
const now = (): number => performance.now();

async function fold({ time }: SpoolWorld, spool: Spool, part: Part, spanMs: number): Promise<void> {
  const bodies = await foldPart({ spool, timers: time, now, pack: PACK }, part, spanMs);
  spool.rewrite(part, bodies as Buffer[], spanMs);
}

/** Each follows the one before, by number and chain. */
function joins(told: readonly Told[]): boolean {
  return told.every((each, at) => {
    const before = told[at - 1];
    if (before === undefined || before.epoch !== each.epoch) return each.seqFrom === 1;
    return (
      each.seqFrom === before.seqTo + 1 &&
      each.chainBefore === before.chainAfter &&
      each.watermarkMs >= before.watermarkMs
    );
  });
}

t.test('blocks are told as batches that join, each epoch from 1', async (t) => {
  const { open } = spoolWorld();
  commitBlocks(open(), 3, 2);
  const spool = open();
  commitBlocks(spool, 2);
  const told = await tellAll(spool);
  t.strictSame(told.map(nameOf), ['batch 1: 1–6', 'batch 2: 1–2']);
  t.strictSame((told as Draft[]).map(countOf), [6, 2]);
  t.ok(joins(told));
});

t.test('a batch has at most 256 KiB, and all of them join', async (t) => {
  const { open } = spoolWorld();
  const spool = open();
  commitBlocks(spool, 12, 1500);
  const told = (await tellAll(spool)) as Draft[];
  t.ok(told.length > 1 && told.length < 6, `${told.length} batches`);
  t.ok(told.every(({ payload }) => payload.length <= 400 * 1024));
  t.equal(
    told.reduce((sum, each) => sum + countOf(each), 0),
    18_000,
  );
  t.ok(joins(told));
});

t.test('it goes on behind any batch, and the rest is the same', async (t) => {
  const { open } = spoolWorld();
  commitBlocks(open(), 6, 1500);
  const spool = open();
  commitBlocks(spool, 3, 1500);
  const all = await tellAll(spool);
  for (const [at, { epoch, seqTo, chainAfter }] of all.entries()) {
    const rest = await tellAll(spool, { epoch, seq: seqTo }, chainAfter);
    t.strictSame(rest.map(nameOf), all.slice(at + 1).map(nameOf));
  }
});

t.test('what is appended later is told later', async (t) => {
  const { open } = spoolWorld();
  const spool = open();
  const reader = new SpoolReader(spool, false, () => {});
  t.ok(reader.seek({ epoch: 0, seq: 0 }, 0));
  t.equal(reader.next(), undefined);
  t.equal(reader.unreadSinceMs, undefined);
  commitBlocks(spool, 1);
  t.ok(reader.unreadBytes > 0);
  t.equal(reader.unreadSinceMs, spool.oldestMs);
  t.strictSame((await readAll(reader)).map(nameOf), ['batch 1: 1–1']);
  t.equal(reader.unreadBytes, 0);
  commitBlocks(spool, 1);
  t.strictSame((await readAll(reader)).map(nameOf), ['batch 1: 2–2']);
});

t.test('time that went back begins another batch', async (t) => {
  const { open, time } = spoolWorld();
  const spool = open();
  commitBlocks(spool, 1);
  time.wall -= 10_000;
  commitBlocks(spool, 1);
  t.strictSame((await tellAll(spool)).map(nameOf), ['batch 1: 1–1', 'batch 1: 2–2']);
});

t.test('records that the disk refused are a gap of their number', async (t) => {
  const { open, disk } = spoolWorld();
  const spool = open();
  const lose = (records: number): void => {
    for (let i = 0; i < records; i++) spool.add(recordOf());
    spool.lose();
  };
  lose(2);
  commitBlocks(spool, 1);
  lose(4);
  commitBlocks(spool, 1);
  const told = await tellAll(spool);
  t.strictSame(told.map(nameOf), ['full 1: 1–2', 'batch 1: 3–3', 'full 1: 4–7', 'batch 1: 8–8']);
  t.ok(joins(told));
  t.equal(disk.files.size, 1);
});

t.test('records that are lost at the end of an epoch are a gap, once the disk takes anything again', async (t) => {
  for (const how of ['probe', 'settle', 'close'] as const) {
    const { open } = spoolWorld();
    const first = open();
    commitBlocks(first, 1);
    first.add(recordOf());
    first.add(recordOf());
    first.lose();
    first[how]();
    if (how !== 'close') t.strictSame((await tellAll(first)).map(nameOf), ['batch 1: 1–1', 'full 1: 2–3'], how);
    const spool = open();
    commitBlocks(spool, 1);
    const told = await tellAll(spool);
    t.strictSame(told.map(nameOf), ['batch 1: 1–1', 'full 1: 2–3', 'batch 2: 1–1'], how);
    t.ok(joins(told));
    for (const [at, { epoch, seqTo, chainAfter }] of told.entries()) {
      const rest = await tellAll(spool, { epoch, seq: seqTo }, chainAfter);
      t.strictSame(rest.map(nameOf), told.slice(at + 1).map(nameOf));
    }
  }
});

t.test('an epoch of which all was lost is a gap', async (t) => {
  const { open } = spoolWorld();
  const first = open();
  first.add(recordOf());
  first.lose();
  first.close();
  const spool = open();
  commitBlocks(spool, 1);
  const told = await tellAll(spool);
  t.strictSame(told.map(nameOf), ['full 1: 1–1', 'batch 2: 1–1']);
  t.ok(joins(told));
  spool.acked({ epoch: 1, seq: 1 });
  t.equal(spool.parts.length, 1);
});

t.test('what is damaged at the end of an epoch is a gap: of its number where it is known, else of one', async (t) => {
  for (const when of ['closed', 'later', 'killed', 'rotated'] as const) {
    const { open, disk } = spoolWorld();
    const first = open({ maxBytes: 2 ** 20 });
    commitBlocks(first, 5);
    const places = [...first.frames({ segment: 0, offset: 0 })].map(({ offset }) => offset);
    if (when === 'closed') first.close();
    // Something stands behind: else it is a tail that was being written.
    if (when === 'killed') first.mark(first.parts[0] as Part);
    if (when === 'later') commitBlocks(open(), 1);
    if (when === 'rotated') open();
    for (const at of [3, 4]) disk.damage(segmentPath(1), (places[at] as number) + 20);
    const spool = open({ maxBytes: 2 ** 20 });
    commitBlocks(spool, 1);
    const told = await tellAll(spool);
    const count = when === 'killed' ? 4 : 5;
    const rest = when === 'later' ? ['batch 2: 1–1', 'batch 3: 1–1'] : [`batch ${spool.head.epoch}: 1–1`];
    t.strictSame(told.map(nameOf), ['batch 1: 1–3', `corrupt 1: 4–${count}`, ...rest], when);
    t.ok(joins(told));
    for (const [at, { epoch, seqTo, chainAfter }] of told.entries()) {
      const behind = await tellAll(spool, { epoch, seq: seqTo }, chainAfter);
      t.strictSame(behind.map(nameOf), told.slice(at + 1).map(nameOf), `${when}, from ${epoch}:${seqTo}`);
    }
    t.strictSame((await tellAll(spool, { epoch: 1, seq: 5 }, 0)).map(nameOf), rest, 'it was told before');
    const again = open({ maxBytes: 2 ** 20 });
    commitBlocks(again, 1);
    t.strictSame((await tellAll(again)).slice(0, 2).map(nameOf), told.slice(0, 2).map(nameOf), 'and in the next life');
  }
});

t.test('an epoch that is gone whole is a gap', async (t) => {
  const { open, disk } = spoolWorld();
  commitBlocks(open(), 2);
  const second = open();
  commitBlocks(second, 3);
  commitBlocks(open(), 1);
  disk.files.delete(segmentPath(2));
  const spool = open();
  const told = await tellAll(spool);
  t.strictSame(told.map(nameOf), ['batch 1: 1–2', 'corrupt 2: 1–3', 'batch 3: 1–1']);
  t.ok(joins(told));
});

t.test('an end stays where it is when its segment is folded, and is described', async (t) => {
  const world = spoolWorld();
  const first = world.open();
  commitBlocks(first, 2);
  first.add(recordOf());
  first.lose();
  first.close();
  const spool = world.open();
  await fold(world, spool, spool.parts[0] as Part, 1000);
  commitBlocks(spool, 1);
  t.strictSame((await tellAll(spool)).map(nameOf), ['folded 1: 1–2', 'full 1: 3–3', 'batch 2: 1–1']);
  const said = [...spool.frames({ segment: 0, offset: 0 })].map(({ body }) =>
    describeSpoolFrame(body, spoolHead(spool.parts[0] as Part)),
  );
  t.match(said[1], { epoch: 1, ended: 3 });
  t.equal(readSpoolHead(spoolHead(spool.head).subarray(0, 30))?.before.epoch, 0, 'a head of the form before');
});

t.test('records that are damaged are a gap of their number, told or found at the start', async (t) => {
  for (const isLate of [false, true]) {
    const { open, disk, damages } = spoolWorld();
    const first = open();
    commitBlocks(first, 5);
    const places = [...first.frames({ segment: 0, offset: 0 })].map(({ offset }) => offset);
    if (!isLate) first.close();
    disk.damage(segmentPath(1), (places[2] as number) + 20);
    const told = await tellAll(isLate ? first : open());
    t.match(damages[0], { what: 'corrupt' }, isLate ? 'while it runs' : 'at the start');
    t.strictSame(told.map(nameOf), ['batch 1: 1–2', 'corrupt 1: 3–3', 'batch 1: 4–5']);
    t.ok(joins(told));
  }
});

t.test('what another ledger acked, and this one does not have, is a gap', async (t) => {
  const { open } = spoolWorld();
  commitBlocks(open({ maxBytes: 2 ** 20 }), 700, 5);
  const spool = open();
  const { epoch, lastSeq } = spool.parts[0] as Part;
  spool.acked({ epoch, seq: lastSeq });
  const [first] = await tellAll(spool);
  t.equal(nameOf(first as Told), `dropped 1: 1–${lastSeq}`);
});

t.test('a position of another history is known as such', async (t) => {
  const { open } = spoolWorld();
  const first = open();
  commitBlocks(first, 3, 2);
  const spool = open();
  commitBlocks(spool, 1);
  const reader = new SpoolReader(spool, false, () => {});
  const [batch] = await tellAll(spool);
  const { chainAfter } = batch as Draft;
  t.ok(reader.seek({ epoch: 1, seq: 6 }, chainAfter));
  t.notOk(reader.seek({ epoch: 1, seq: 6 }, chainAfter ^ 1), 'the sum is another');
  t.notOk(reader.seek({ epoch: 1, seq: 5 }, chainAfter), 'no frame ends there');
  t.notOk(reader.seek({ epoch: 2, seq: 2 }, 0), 'not made yet');
  t.notOk(reader.seek({ epoch: 3, seq: 1 }, 0), 'of an epoch that is not begun');
  t.ok(reader.seek({ epoch: 1, seq: 9 }, 0), 'a tail that a crash of the machine cut off here was told before');
  t.strictSame((await readAll(reader)).map(nameOf), ['batch 2: 1–1']);
});

t.test('a hole behind the position is told as one', async (t) => {
  const { open, disk } = spoolWorld();
  const first = open();
  commitBlocks(first, 3);
  const [batch] = await tellAll(first);
  const places = [...first.frames({ segment: 0, offset: 0 })].map(({ offset }) => offset);
  commitBlocks(first, 2);
  first.close();
  disk.damage(segmentPath(1), (places[2] as number) + 20);
  const spool = open();
  const { chainAfter } = batch as Draft;
  t.strictSame((await tellAll(spool, { epoch: 1, seq: 3 }, chainAfter)).map(nameOf), ['batch 1: 4–5']);
});

t.test('a segment is marked, and the mark synced, before anything of it is told', async (t) => {
  const { open, disk } = spoolWorld();
  commitBlocks(open(), 1);
  const spool = open();
  let ready = 0;
  const reader = new SpoolReader(spool, false, () => ready++);
  reader.seek({ epoch: 0, seq: 0 }, 0);
  disk.isSlow = true;
  t.equal(reader.next(), 'wait');
  t.equal(reader.next(), 'wait');
  t.equal(ready, 0);
  disk.finishSyncs();
  await new Promise(setImmediate);
  disk.finishSyncs();
  await new Promise(setImmediate);
  t.equal(ready, 1);
  t.match(reader.next(), { kind: 'batch' });
  disk.isSlow = false;
  disk.crash();
  t.ok(open().parts[0]?.isMarked, 'also after a crash of the machine');
});

t.test('a disk that takes no mark does not keep records from being told', async (t) => {
  const { open, disk } = spoolWorld();
  const spool = open();
  commitBlocks(spool, 1);
  disk.refuse = (call) => {
    if (call === 'write' || call === 'sync') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
  };
  t.strictSame((await tellAll(spool)).map(nameOf), ['batch 1: 1–1']);
});

t.test('records that do not follow those before are told to nobody', async (t) => {
  const { open, disk } = spoolWorld();
  commitBlocks(open(), 2);
  disk.kill();
  const log = SegmentLog.open(
    { dir: DIR, disk, kind: SPOOL_KIND, head: (previous) => previous as Buffer },
    () => {},
    () => {},
  );
  const foreign = new BlockWriter();
  foreign.begin(3, 1_790_000_000_000, 12345);
  foreign.add(recordOf());
  foreign.end();
  log.append(foreign.bytes, foreign.length);
  log.close();
  const reader = new SpoolReader(open(), false, () => {});
  reader.seek({ epoch: 0, seq: 0 }, 0);
  const told: unknown[] = [];
  for (let i = 0; i < 4; i++) {
    told.push(reader.next());
    await new Promise(setImmediate);
  }
  t.match(told, ['wait', { kind: 'batch', seqTo: 2 }, 'wait', 'forked']);
});

t.test('granularity window: sums of each second, with the numbers of the records they stand for', async (t) => {
  const { open, time } = spoolWorld();
  const spool = open();
  for (let i = 0; i < 10; i++) {
    commitBlocks(spool, 5, 20, { wallMs: time.wall });
    time.advance(500);
  }
  const told = (await tellAll(spool, { epoch: 0, seq: 0 }, 0, true)) as Draft[];
  t.strictSame(told.map(nameOf), ['folded 1: 1–1000']);
  t.equal(countOf(told[0] as Draft), 1000);
  t.ok((told[0] as Draft).payloadBytes < 1000, `${told[0]?.payloadBytes} bytes for 1,000 records`);
});

t.test('sums beyond 2^53 are told as several rows', async (t) => {
  const { open } = spoolWorld();
  const spool = open();
  commitBlocks(spool, 2, 1, { bytesIn: 2 ** 53 - 1 });
  const told = await tellAll(spool, { epoch: 0, seq: 0 }, 0, true);
  t.strictSame(told.map(nameOf), ['folded 1: 1–2']);
  t.equal(countOf(told[0] as Draft), 2);
});

t.test('more than a batch can fold is told in several', async (t) => {
  const { open } = spoolWorld();
  const spool = open();
  for (let i = 0; i < 30; i++) commitBlocks(spool, 1, 1500, { tenant: `t${i}` });
  const told = (await tellAll(spool, { epoch: 0, seq: 0 }, 0, true)) as Draft[];
  t.ok(told.length > 1, `${told.length} batches`);
  t.equal(
    told.reduce((sum, each) => sum + countOf(each), 0),
    45_000,
  );
  t.ok(joins(told));
});

t.test('a folded segment is told whole, holes stay holes, marks are kept', async (t) => {
  const world = spoolWorld();
  const { open } = world;
  commitBlocks(open(), 1);
  const first = open();
  commitBlocks(first, 3, 4);
  first.add(recordOf());
  first.lose();
  commitBlocks(first, 2, 4);
  first.mark(first.parts[0] as Part);
  const spool = open();
  commitBlocks(spool, 1);
  const part = spool.parts[1] as Part;
  await fold(world, spool, part, 1000);
  const told = await tellAll(spool, { epoch: 1, seq: 1 }, 0).catch(() => tellAll(spool));
  const names = ['batch 1: 1–1', 'folded 2: 1–12', 'full 2: 13–13', 'folded 2: 14–21', 'batch 3: 1–1'];
  t.strictSame((await tellAll(spool)).map(nameOf), names);
  t.ok(told.length > 0);
  const again = open();
  t.ok(again.parts[0]?.isMarked, 'the mark stood in the folded segment');
  t.strictSame((await tellAll(again)).map(nameOf), names);
  t.strictSame(((await tellAll(again)) as Draft[]).filter(({ isFolded }) => isFolded).map(countOf), [12, 8]);
});

t.test('what was folded although some of it was told is a gap for the rest, and what follows is told', async (t) => {
  const world = spoolWorld();
  const first = world.open();
  commitBlocks(first, 3, 4);
  const [{ body, sum }] = [...first.frames({ segment: 0, offset: 0 })] as [Frame];
  const chain = (readFrame(body, sum) as Run).chainAfter;
  const spool = world.open();
  commitBlocks(spool, 1);
  // The mark was refused by a full disk, so nothing keeps it from being folded.
  const part = spool.parts[0] as Part;
  part.isMarked = false;
  await fold(world, spool, part, 1000);
  const told = await tellAll(spool, { epoch: 1, seq: 4 }, chain);
  t.strictSame(told.map(nameOf), ['full 1: 5–12', 'batch 2: 1–1']);
  t.match(told[0], { chainBefore: chain });
  t.equal(told.length, 2);
});

t.test('a folded segment is folded again to longer windows', async (t) => {
  const world = spoolWorld();
  const first = world.open();
  for (let i = 0; i < 200; i++) {
    commitBlocks(first, 1, 3, { wallMs: world.time.wall });
    world.time.advance(700);
  }
  const spool = world.open();
  const part = spool.parts[0] as Part;
  const sizes = [spool.bytesOf(part)];
  for (const spanMs of [1000, 60_000, 3_600_000]) {
    await fold(world, spool, part, spanMs);
    sizes.push(spool.bytesOf(part));
    t.strictSame(((await tellAll(spool)) as Draft[]).map(countOf), [600]);
    part.isMarked = false;
  }
  t.strictSame(
    [...sizes].sort((a, b) => b - a),
    sizes,
    `${sizes.join(' → ')} bytes`,
  );
});

t.test('frames are described for whoever looks at the files', async (t) => {
  const world = spoolWorld();
  commitBlocks(world.open(), 1, 30);
  const spool = world.open();
  await fold(world, spool, spool.parts[0] as Part, 1000);
  spool.mark(spool.parts[0] as Part);
  spool.probe();
  commitBlocks(spool, 1, 30);
  const said = [...spool.frames({ segment: 0, offset: 0 })].map(({ body, segment }) =>
    describeSpoolFrame(body, spoolHead(spool.part(segment) as Part)),
  );
  t.match(said, [
    { epoch: 1, seq: '1–30', folded: Number },
    { told: 'segment 1' },
    { probe: String },
    { epoch: 2, seq: '1–30', records: { length: 20 } },
  ]);
  t.equal(describeSpoolFrame(Buffer.from([9]), spoolHead(spool.head)), undefined);
  t.equal(describeSpoolFrame(Buffer.from([3, 0, 0, 0, 0, 0, 1]), Buffer.alloc(3)), undefined);
});

t.test('what is folded is split in frames of bounded size, also when it is folded again', async (t) => {
  const world = spoolWorld();
  const first = world.open();
  const route = 'r'.repeat(63);
  for (let i = 0; i < 290; i++) {
    for (let j = 0; j < 125; j++) first.add(recordOf({ tenant: `t${i}-${j}`.padEnd(63, 'x'), route }));
    first.commit();
  }
  const spool = world.open();
  const part = spool.parts[0] as Part;
  for (const spanMs of [1000, 60_000]) {
    await fold(world, spool, part, spanMs);
    const told = (await tellAll(spool)) as Draft[];
    part.isMarked = false;
    t.ok(told.length > 1, `${told.length} frames`);
    t.ok(told.every(({ payloadBytes }) => payloadBytes <= 8 * 2 ** 20));
    t.equal(
      told.reduce((sum, each) => sum + countOf(each), 0),
      36_250,
    );
    t.ok(joins(told));
  }
  const pack = async (): Promise<Buffer> => Buffer.alloc(2 * 2 ** 20 - 64 * 1024);
  const folding = { spool, timers: world.time, now, pack };
  t.equal(await foldPart(folding, part, 3_600_000), undefined, 'no frame has room for it');
  commitBlocks(world.open(), 2);
  const last = world.open();
  t.equal(await foldPart({ ...folding, spool: last }, last.parts.at(-2) as Part, 1000), undefined);
});

t.test(
  'a segment is not folded when something of it was told meanwhile, or it was dropped; sums beyond 2^53 are folded',
  async (t) => {
    const world = spoolWorld();
    commitBlocks(world.open(), 3);
    const spool = world.open();
    const part = spool.parts[0] as Part;
    const folding = { spool, timers: world.time, now, pack: PACK };
    const slow = foldPart(
      {
        ...folding,
        now: (() => {
          let at = 0;
          return () => (at += 5);
        })(),
      },
      part,
      1000,
    );
    spool.mark(part);
    t.equal(await slow, undefined);
    t.equal(await foldPart(folding, part, 1000), undefined);
    part.isMarked = false;
    const late = foldPart(
      {
        ...folding,
        pack: async (payload) => {
          spool.acked({ epoch: 1, seq: 3 });
          return payload;
        },
      },
      part,
      1000,
    );
    t.equal(await late, undefined);
    commitBlocks(spool, 2, 1, { bytesOut: 2 ** 53 - 1 });
    const third = world.open();
    await fold(world, third, third.parts[0] as Part, 1000);
    t.strictSame(((await tellAll(third)) as Draft[]).filter(({ isFolded }) => isFolded).map(countOf), [2]);
  },
);
