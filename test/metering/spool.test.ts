/** The spool: what was committed outlives the process, what was synced the machine, and no number is ever given twice. */
import fc from 'fast-check';
import t from 'tap';
import { chainStart, readFrame, readSpoolHead } from '../../src/metering/block.ts';
import type { Spool } from '../../src/metering/spool.ts';
import { commitBlocks, DIR, recordOf, segmentPath, spoolWorld } from './world.ts';

/** Each run that stands there: `epoch: first–last`, and each end: `epoch ended: last`. */
function runsOf(spool: Spool): string[] {
  const runs: string[] = [];
  for (const { body, sum, segment } of spool.frames({ segment: 0, offset: 0 })) {
    const run = readFrame(body, sum);
    if (typeof run !== 'object') continue;
    const { firstSeq, lastSeq } = run;
    runs.push(`${spool.part(segment)?.epoch}${lastSeq < firstSeq ? ' ended' : `: ${firstSeq}–`}${lastSeq}`);
  }
  return runs;
}

t.test('records of one turn are one block, numbered from 1 in each epoch', async (t) => {
  const { open } = spoolWorld();
  const spool = open();
  t.equal(spool.pending, 0);
  spool.commit();
  commitBlocks(spool, 2, 3);
  t.strictSame(runsOf(spool), ['1: 1–3', '1: 4–6']);
  t.equal(spool.lastSeq, 6);
  t.equal(spool.unacked, 6);
  const again = open();
  commitBlocks(again, 1);
  t.equal(again.head.spoolId, spool.head.spoolId);
  t.notOk(again.head.life === spool.head.life);
  t.strictSame(runsOf(again), ['1: 1–3', '1: 4–6', '2: 1–1']);
  t.equal(again.unacked, 7);
});

t.test('an epoch is never begun twice, also where nothing was recorded in it, or it was lost', async (t) => {
  const { open, disk } = spoolWorld();
  t.equal(open().head.epoch, 1);
  t.equal(open().head.epoch, 2);
  disk.crash();
  t.equal(open().head.epoch, 3);
  for (let at = 0; at < 100; at++) disk.damage(segmentPath(3), at);
  const spool = open();
  t.equal(spool.head.epoch, 4, 'the head of the newest is damaged, its name is there');
  t.ok(disk.files.has(`${segmentPath(3)}.corrupt`));
});

t.test('the chain: each block holds the sum of the one before, the first that of spool and life', async (t) => {
  const { open } = spoolWorld();
  const spool = open();
  commitBlocks(spool, 3);
  let before = chainStart(spool.head);
  for (const { body, sum } of spool.frames({ segment: 0, offset: 0 })) {
    const run = readFrame(body, sum);
    if (typeof run !== 'object') continue;
    t.equal(run.chainBefore, before);
    before = run.chainAfter;
  }
});

t.test('what was synced outlives the machine, what was committed the process', async (t) => {
  const { open, disk } = spoolWorld();
  const spool = open();
  commitBlocks(spool, 2);
  await spool.sync();
  commitBlocks(spool, 2);
  t.strictSame(runsOf(open()), ['1: 1–1', '1: 2–2', '1: 3–3', '1: 4–4']);
  const third = open();
  commitBlocks(third, 1);
  third.syncNow();
  commitBlocks(third, 1);
  disk.crash();
  t.strictSame(runsOf(open()).slice(-1), ['3: 1–1']);
});

t.test('a segment is dropped once all of it is acked, and not before', async (t) => {
  const { open, disk } = spoolWorld();
  const first = open({ maxBytes: 2 ** 20 });
  commitBlocks(first, 700, 5);
  const spool = open({ maxBytes: 2 ** 20 });
  const segments = (): number => disk.files.size;
  const before = segments();
  t.ok(before >= 3, `${before} segments`);
  const [oldest, next] = spool.parts;
  const { epoch, lastSeq } = oldest as NonNullable<typeof oldest>;
  spool.acked({ epoch, seq: lastSeq - 1 });
  t.equal(segments(), before);
  t.equal(spool.unacked, 3500 - lastSeq + 1);
  spool.acked({ epoch, seq: lastSeq });
  t.equal(segments(), before - 1);
  t.equal(spool.parts[0], next);
  spool.acked({ epoch, seq: 3500 });
  t.equal(segments(), 1, 'the one that is written to stays');
  t.equal(spool.unacked, 0);
  t.equal(spool.bytes, disk.files.get(segmentPath(spool.head.epoch))?.length);
});

t.test('files that cannot be removed are found again by the next start', async (t) => {
  const { open, disk } = spoolWorld();
  commitBlocks(open(), 1);
  const spool = open();
  disk.refuse = (call) => {
    if (call === 'remove') throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
  };
  t.throws(() => spool.acked({ epoch: 1, seq: 1 }), { code: 'EROFS' });
  disk.refuse = undefined;
  commitBlocks(spool, 1);
  t.strictSame(runsOf(open()), ['1: 1–1', '2: 1–1']);
});

t.test('a full spool takes no more, and what is lost keeps its numbers', async (t) => {
  const { open } = spoolWorld();
  const spool = open({ maxBytes: 260 });
  commitBlocks(spool, 1);
  spool.add(recordOf({ tenant: 't'.repeat(63), route: 'r'.repeat(63) }));
  spool.add(recordOf());
  t.throws(() => spool.commit(), /more than 260 bytes/);
  t.equal(spool.pending, 2, 'it may be tried again');
  t.equal(spool.lose(), 2);
  t.equal(spool.lastSeq, 3);
  t.equal(spool.pending, 0);
  t.throws(() => spool.probe(), /more than 260 bytes/, 'not for less than was refused');
});

t.test('a disk that refuses an append keeps what was there before', async (t) => {
  const { open, disk } = spoolWorld();
  const spool = open();
  commitBlocks(spool, 1);
  disk.refuse = (call) => {
    if (call === 'write') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
  };
  spool.add(recordOf());
  t.throws(() => spool.commit(), { code: 'ENOSPC' });
  spool.lose();
  t.throws(() => spool.probe(), { code: 'ENOSPC' });
  disk.refuse = undefined;
  spool.probe();
  commitBlocks(spool, 1);
  t.strictSame(runsOf(open()), ['1: 1–1', '1 ended2', '1: 3–3']);
});

t.test('a block that is full is committed before more is added', async (t) => {
  const { open } = spoolWorld();
  const spool = open();
  let added = 0;
  while (spool.add(recordOf())) added++;
  t.ok(added > 2000);
  t.equal(spool.pending, added);
  spool.commit();
  t.ok(spool.add(recordOf()));
  spool.commit();
  t.strictSame(runsOf(spool), [`1: 1–${added}`, `1: ${added + 1}–${added + 1}`]);
});

t.test('time that a time server sets back by less than a second stands still; a larger step is followed', async (t) => {
  const { open, time } = spoolWorld();
  const spool = open();
  const baseOf = (): number => {
    commitBlocks(spool, 1);
    let base = 0;
    for (const { body, sum } of spool.frames({ segment: 0, offset: 0 })) {
      const run = readFrame(body, sum);
      if (typeof run === 'object') base = run.baseMs;
    }
    return base;
  };
  const began = baseOf();
  t.equal(spool.watermarkMs(), began);
  time.wall -= 500;
  t.equal(baseOf(), began);
  spool.add(recordOf());
  time.wall += 5000;
  t.equal(spool.watermarkMs(), began, 'what is not committed yet is of its own time');
  spool.commit();
  t.equal(spool.watermarkMs(), began + 4500, 'and now nothing older comes');
  time.wall -= 3_600_000;
  t.equal(baseOf(), began + 4500 - 3_600_000);
});

t.test('files of two spools in one directory are refused', async (t) => {
  const { open, disk } = spoolWorld();
  open();
  const other = spoolWorld();
  other.random.hex(1);
  other.open();
  other.open();
  const copy = other.disk.files.get(segmentPath(2));
  disk.files.set(segmentPath(2), copy as NonNullable<typeof copy>);
  t.throws(() => open(), { code: 'spool-mixed', place: DIR });
});

t.test('a segment whose head is another’s form is passed over', async (t) => {
  t.equal(readSpoolHead(Buffer.alloc(3)), undefined);
  for (const body of [[], [0], [1], [2, 1, 1], [3], [3, 1, 1, 1, 1, 1, 1, 1], [4], Buffer.alloc(60)])
    t.equal(readFrame(Buffer.from(body), 0), undefined);
  const block = Buffer.alloc(30);
  block[0] = 1;
  t.equal(readFrame(block, 0), undefined, 'a block of no record');
  const windows = Buffer.alloc(60);
  windows[0] = 2;
  t.equal(readFrame(windows, 0), undefined, 'windows of no record');
});

t.test('in whatever order it is used, killed and crashed: what was kept is there, once and in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('commit', 'commit', 'big', 'sync', 'kill', 'crash', 'refuse'), { maxLength: 40 }),
      async (steps) => {
        const { open, disk } = spoolWorld();
        let spool = open({ maxBytes: 2 ** 20 });
        let kept: string[] = [];
        let synced = 0;
        for (const step of steps) {
          const refusing = (call: string): void => {
            if (call === 'write') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
          };
          if (step === 'commit' || step === 'big' || step === 'refuse') {
            for (let i = step === 'big' ? 2000 : 1; i > 0; i--) spool.add(recordOf());
            const run = `${spool.head.epoch}: ${spool.lastSeq + 1}–${spool.lastSeq + spool.pending}`;
            disk.refuse = step === 'refuse' ? refusing : undefined;
            try {
              spool.commit();
              kept.push(run);
            } catch {
              spool.lose();
            }
            disk.refuse = undefined;
          } else if (step === 'sync') {
            await spool.sync();
            synced = kept.length;
          } else {
            if (step === 'crash') {
              disk.crash();
              // Another segment may have been begun, and synced with it what came before.
              const found = runsOf(open({ maxBytes: 2 ** 20 }));
              if (found.length < synced) throw new Error('what was synced is gone');
              kept = kept.slice(0, found.length);
            }
            spool = open({ maxBytes: 2 ** 20 });
            synced = Math.min(synced, kept.length);
          }
        }
        const found = runsOf(open({ maxBytes: 2 ** 20 }));
        if (found.join() !== kept.join()) throw new Error(`${found.join()} instead of ${kept.join()}`);
      },
    ),
    { numRuns: 60 },
  );
});

t.test('a spool is closed with all of it synced', async (t) => {
  const { open, disk } = spoolWorld();
  const spool = open();
  commitBlocks(spool, 1);
  spool.close();
  spool.close();
  disk.crash();
  t.strictSame(runsOf(open()), ['1: 1–1', '1 ended1']);
});

t.test('a probe asks for as much as the disk refused', async (t) => {
  const { open, disk } = spoolWorld();
  const spool = open();
  commitBlocks(spool, 1);
  const path = segmentPath(1);
  const room = (disk.files.get(path)?.length ?? 0) + 1000;
  const { write } = disk;
  let hasRoom = false;
  disk.write = (...args: Parameters<typeof write>) => {
    if (!hasRoom && args[4] + args[3] > room) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    return write.apply(disk, args);
  };
  for (let i = 0; i < 100; i++) spool.add(recordOf());
  t.throws(() => spool.commit(), { code: 'ENOSPC' });
  spool.lose();
  t.throws(() => spool.probe(), { code: 'ENOSPC' }, 'a few bytes would have room');
  hasRoom = true;
  spool.probe();
  t.strictSame(runsOf(open()), ['1: 1–1', '1 ended101']);
});

t.test('records of a turn can be taken over by another spool', async (t) => {
  const a = spoolWorld().open();
  const b = spoolWorld().open();
  b.adopt(a);
  t.equal(b.pending, 0);
  a.add(recordOf());
  a.add(recordOf());
  commitBlocks(b, 1);
  b.adopt(a);
  t.equal(a.pending, 0);
  b.commit();
  t.strictSame(runsOf(b), ['1: 1–1', '1: 2–3']);
});
