/** As a spool fills: single records give way to sums, sums of seconds to sums of hours, and the totals stay what they were. */
import { crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import t from 'tap';
import { readFrame } from '../../src/metering/block.ts';
import { Ladder, type LadderOptions } from '../../src/metering/ladder.ts';
import { readRecords } from '../../src/metering/runs.ts';
import type { Spool } from '../../src/metering/spool.ts';
import { readWindows } from '../../src/metering/windows.ts';
import { recordOf, type SpoolWorld, spoolWorld } from './world.ts';

const MAX = 2 ** 20;

function ladderOf(
  world: SpoolWorld,
  spool: Spool,
  more: Partial<LadderOptions> = {},
): Ladder & { folded: number; failed: unknown[] } {
  const ladder: Ladder = new Ladder({
    spool,
    timers: world.time,
    maxBytes: MAX,
    now: () => world.time.now(),
    pack: async (payload) => zstdCompressSync(payload),
    onFolded: () => void kept.folded++,
    onFailed: (cause) => void kept.failed.push(cause),
    ...more,
  });
  const kept = Object.assign(ladder, { folded: 0, failed: [] as unknown[] });
  return kept;
}

/** Names that have nothing in common. */
function nameOf(number: number): string {
  const digits = crc32(String(number)).toString(36);
  return `${digits}${crc32(digits).toString(36)}`;
}

/** Fills up to a share of what the spool may have. Records made. */
function fill({ time }: SpoolWorld, spool: Spool, share: number, tenants = 20): number {
  let made = 0;
  while (spool.bytes < share * MAX) {
    for (let i = 0; i < 50; i++)
      spool.add(recordOf({ tenant: nameOf(made++ % tenants), wallMs: time.wall, bytesIn: 1 }));
    spool.commit();
    time.wall += 20;
  }
  return made;
}

/** Requests that all frames stand for. */
function countOf(spool: Spool): number {
  let count = 0;
  for (const { body, sum } of spool.frames({ segment: 0, offset: 0 })) {
    const run = readFrame(body, sum);
    if (typeof run !== 'object') continue;
    if (run.records !== undefined) count += readRecords(run.records, run.baseMs, () => true);
    else
      readWindows(zstdDecompressSync(run.windows?.zstd as Buffer), (_ms, _series, sums) => (count += sums.count) > 0);
  }
  return count;
}

t.test('below 70 % nothing is folded', async (t) => {
  const world = spoolWorld();
  const spool = world.open({ maxBytes: MAX });
  fill(world, spool, 0.6);
  const ladder = ladderOf(world, spool);
  await ladder.run();
  t.equal(ladder.step, 'single');
  t.equal(ladder.folded, 0);
});

t.test('from 70 % on the oldest segments are folded until there is room, and no total changes', async (t) => {
  const world = spoolWorld();
  const spool = world.open({ maxBytes: MAX });
  const made = fill(world, spool, 0.75);
  const ladder = ladderOf(world, spool);
  t.equal(ladder.step, 'minutes');
  await ladder.run();
  t.equal(ladder.step, 'single');
  t.ok(ladder.folded >= 1);
  t.equal(spool.parts[0]?.spanMs, 1000, 'seconds are enough here');
  t.equal(spool.parts.at(-1)?.spanMs, 0);
  t.equal(countOf(spool), made);
});

t.test('where each record is a series of its own seconds save little: it is minutes', async (t) => {
  const world = spoolWorld();
  const spool = world.open({ maxBytes: MAX });
  const made = fill(world, spool, 0.75, 1_000_000);
  await ladderOf(world, spool).run();
  t.equal(spool.parts[0]?.spanMs, 60_000);
  t.equal(countOf(spool), made);
});

t.test('from 90 % on it is hours; a spool that is full makes room', async (t) => {
  const world = spoolWorld();
  const spool = world.open({ maxBytes: MAX });
  const made = fill(world, spool, 0.95);
  const ladder = ladderOf(world, spool);
  t.equal(ladder.step, 'hours');
  await ladder.run();
  t.equal(ladder.step, 'single');
  t.equal(spool.parts[0]?.spanMs, 3_600_000);
  t.equal(countOf(spool), made);
  for (let i = 0; i < 20; i++) {
    fill(world, spool, 0.8);
    await ladder.run();
  }
  t.ok(spool.bytes < 0.8 * MAX, 'twenty times as much is kept');
});

t.test('what was told is not folded, and then the spool can be full', async (t) => {
  const world = spoolWorld();
  const spool = world.open({ maxBytes: MAX });
  t.throws(() => fill(world, spool, 2), /more than 1048576 bytes/);
  for (const part of spool.parts) part.isMarked = true;
  const ladder = ladderOf(world, spool);
  await ladder.run();
  t.equal(ladder.folded, 0);
  t.equal(ladder.step, 'hours');
});

t.test('a disk that takes no folded segment is asked again 10 s later, and nothing is lost', async (t) => {
  const world = spoolWorld();
  const spool = world.open({ maxBytes: MAX });
  const made = fill(world, spool, 0.75);
  const ladder = ladderOf(world, spool);
  world.disk.refuse = (call) => {
    if (call === 'rename') throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
  };
  await ladder.run();
  await ladder.run();
  t.match(ladder.failed, [{ code: 'EROFS' }], 'once');
  world.disk.refuse = undefined;
  t.equal(countOf(spool), made);
  world.time.advance(10_000);
  await ladder.run();
  t.equal(ladder.step, 'single');
  t.equal(countOf(spool), made);
});

t.test('a segment that cannot be folded is left as it is; one run at a time; none after the end', async (t) => {
  const world = spoolWorld();
  const spool = world.open({ maxBytes: MAX });
  const made = fill(world, spool, 0.75);
  let asked = 0;
  const ladder = ladderOf(world, spool, {
    pack: async (payload) => {
      asked++;
      for (const part of spool.parts) part.isMarked = true;
      return payload;
    },
  });
  await Promise.all([ladder.run(), ladder.run()]);
  t.equal(asked, 1);
  t.equal(countOf(spool), made);
  const other = ladderOf(world, spool, {
    pack: async (payload) => {
      other.stop();
      return payload;
    },
  });
  t.ok(
    spool.parts.slice(0, 1).every(({ isUnfoldable }) => isUnfoldable),
    'it is not tried again',
  );
  for (const part of spool.parts) part.isMarked = part.isUnfoldable = false;
  await other.run();
  await other.run();
  t.ok(spool.parts.every(({ spanMs }) => spanMs === 0));
});
