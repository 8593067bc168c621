/** Rows that the collector keeps for fleets: merged by version, on the medium before it says so, bounded, and forgotten in time. */
import fc from 'fast-check';
import t from 'tap';
import { framesOf, readFrame } from '../../../src/collector/kept/kept-frame.ts';
import type { KeptRow } from '../../../src/metering/index.ts';
import { silentLog } from '../../../src/telemetry/index.ts';
import { FRAME_HEAD } from '../../../src/wal/index.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { MemoryDisk } from '../../metering/memory-disk.ts';
import { kept, openKeeper, textsOf } from './open-keeper.ts';

t.test(
  'of two rows of a key the one of the larger version holds, in whatever order they come, behind restarts',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c'), version: fc.nat(5), isRestart: fc.boolean() }), {
          maxLength: 20,
        }),
        async (steps) => {
          const disk = new MemoryDisk();
          let keeper = openKeeper(disk);
          const truth = new Map<string, number>();
          for (const { key, version, isRestart } of steps) {
            await keeper.keep('blue', [kept(key, version)]);
            truth.set(key, Math.max(version, truth.get(key) ?? 0));
            if (!isRestart) continue;
            await keeper.close();
            keeper = openKeeper(disk);
          }
          t.same(textsOf(keeper.rows.of('blue')), [...truth].map(([key, version]) => `${key}=${version}`).sort());
          await keeper.close();
        },
      ),
      { seed: 42, numRuns: 50 },
    );
  },
);

t.test('fleets have rows of their own', async (t) => {
  const keeper = openKeeper(new MemoryDisk());
  await keeper.keep('blue', [kept('a', 1)]);
  await keeper.keep('green', [kept('a', 2)]);
  t.same(textsOf(keeper.rows.of('blue')), ['a=1']);
  t.same(textsOf(keeper.rows.of('green')), ['a=2']);
  t.same(textsOf(keeper.rows.of('red')), []);
  await keeper.close();
});

t.test('what is malformed is refused whole', async (t) => {
  const keeper = openKeeper(new MemoryDisk());
  for (const bad of [
    { key: Buffer.alloc(0) },
    { key: Buffer.alloc(257) },
    { value: Buffer.alloc(65) },
    { version: Number.NaN },
    { untilMs: -1 },
    { untilMs: 2 ** 60 },
  ])
    await t.rejects(keeper.keep('blue', [kept('a', 1), kept('b', 1, bad)]), RangeError);
  for (const fleet of ['', 'x'.repeat(64), 'two words', 'blüe']) await t.rejects(keeper.keep(fleet, []), RangeError);
  t.equal(keeper.rows.size, 0);
  await keeper.close();
});

t.test('when there is no room it is counted, and said once a minute', async (t) => {
  const said: object[] = [];
  const log = { ...silentLog, error: (event: string, fields?: object) => void said.push({ event, ...fields }) };
  const clock = new ManualClock();
  const disk = new MemoryDisk();
  let keeper = openKeeper(disk, { bounds: { rows: 8 }, log, clock, timers: clock });
  const many = (count: number, version = 1): KeptRow[] =>
    Array.from({ length: count }, (_, at) => kept(`k${at}`, version));
  t.equal(await keeper.keep('blue', many(9)), 2, 'one fleet leaves room to others');
  t.equal(await keeper.keep('blue', many(8, 2)), 1, 'what is there is still replaced');
  t.equal(await keeper.keep('green', many(2)), 1);
  t.match(said, [{ event: 'collector.kept_full', fleet: 'blue', refused: 2, remedy: /collectors of their own/ }]);
  t.equal(said.length, 1);
  clock.advance(60_000);
  t.equal(await keeper.keep('red', many(1)), 1);
  t.equal(said.length, 2);
  t.same(keeper.counts, { taken: 15, refused: 5 });
  const texts = textsOf(keeper.rows.of('blue'));
  await keeper.close();
  keeper = openKeeper(disk, { bounds: { rows: 8 }, clock, timers: clock });
  t.same(textsOf(keeper.rows.of('blue')), texts);
  t.same(textsOf(keeper.rows.of('green')), ['k0=1']);
  await keeper.close();
});

t.test('what is over is forgotten, a fleet with it', async (t) => {
  const disk = new MemoryDisk();
  const clock = new ManualClock();
  clock.setWall('2026-11-26T12:00:00Z');
  const keeper = openKeeper(disk, { clock, timers: clock });
  const untilMs = clock.wallMs() + 1000;
  await keeper.keep('blue', [kept('a', 1, { untilMs }), kept('b', 1)]);
  await keeper.keep('green', [kept('a', 1, { untilMs })]);
  clock.advance(60_000);
  await keeper.tend();
  t.same([...keeper.rows.fleets()], ['blue']);
  t.same(textsOf(keeper.rows.of('blue')), ['b=1']);
  t.equal(keeper.rows.size, 1);
  await keeper.close();
  const again = openKeeper(disk, { clock, timers: clock });
  t.same([...again.rows.fleets()], ['blue'], 'nor is it read again');
  await again.close();
});

t.test('the log is made shorter when most of it is replaced, and says the same', async (t) => {
  const disk = new MemoryDisk();
  let keeper = openKeeper(disk, { segmentBytes: 2000 });
  const id = keeper.storeId;
  for (let version = 1; version <= 200; version++) await keeper.keep('blue', [kept(`k${version % 7}`, version)]);
  const before = keeper.bytes;
  // One that is handed over while it is written anew is in it.
  await Promise.all([keeper.tend(), keeper.keep('blue', [kept('late', 1)]), keeper.tend()]);
  t.ok(keeper.bytes < before / 4, `${keeper.bytes} of ${before} bytes`);
  const texts = textsOf(keeper.rows.of('blue'));
  t.equal(texts.length, 8);
  await keeper.close();
  keeper = openKeeper(disk, { segmentBytes: 2000 });
  t.same(textsOf(keeper.rows.of('blue')), texts);
  t.equal(keeper.storeId, id, 'the id is that of the directory');
  await keeper.close();
  const other = openKeeper(new MemoryDisk());
  t.not(other.storeId, id);
  await other.close();
});

t.test('a disk that refuses: nothing is said to be kept, until all of it is', async (t) => {
  let isRefusing = false;
  class FullDisk extends MemoryDisk {
    override write(...given: Parameters<MemoryDisk['write']>): number {
      if (isRefusing) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      return super.write(...given);
    }
  }
  const disk = new FullDisk();
  const warned: string[] = [];
  const log = { ...silentLog, warn: (event: string) => void warned.push(event) };
  let keeper = openKeeper(disk, { segmentBytes: 500, log });
  await keeper.keep('blue', [kept('a', 1)]);
  isRefusing = true;
  await t.rejects(keeper.keep('blue', [kept('b', 1)]), { code: 'ENOSPC' });
  await t.rejects(keeper.keep('blue', [kept('b', 1)]), { code: 'ENOSPC' });
  t.same(textsOf(keeper.rows.of('blue')), ['a=1'], 'what is not in the log is not known');
  isRefusing = false;
  t.equal(await keeper.keep('blue', [kept('b', 1)]), 0);
  for (let version = 1; version < 50; version++) await keeper.keep('blue', [kept('c', version)]);
  isRefusing = true;
  await keeper.tend();
  t.same(warned, ['collector.kept_not_shortened']);
  isRefusing = false;
  await keeper.close();
  keeper = openKeeper(disk, { segmentBytes: 500 });
  t.same(textsOf(keeper.rows.of('blue')), ['a=1', 'b=1', 'c=49']);
  await keeper.close();
});

t.test('many rows are several frames; a body that no version writes is left out', async (t) => {
  const many = Array.from({ length: 2000 }, (_, at) => kept(`${'k'.repeat(240)}${at}`, at));
  const frames: Buffer[] = [];
  for (const frame of framesOf('blue', many)) frames.push(Buffer.from(frame));
  t.ok(frames.length > 1);
  const read = frames.map((frame) => readFrame(frame.subarray(FRAME_HEAD)));
  t.same(textsOf(read.flatMap((frame) => frame?.rows ?? [])), textsOf(many));
  t.same([...framesOf('blue', [])], []);
  const [first] = frames as [Buffer];
  t.equal(readFrame(first.subarray(FRAME_HEAD, 100)), undefined);
  t.equal(readFrame(Buffer.from([200, 1])), undefined);
});

const failing = (call: string): void => {
  if (call === 'sync') throw Object.assign(new Error('the disk fails'), { code: 'EIO' });
};

/** The file that is written to. */
function lastOf(disk: MemoryDisk): string {
  return [...disk.files.keys()]
    .filter((path) => path.endsWith('.wal'))
    .sort()
    .at(-1) as string;
}

t.test('while syncs fail the log does not grow, and one is tried a second for all who ask', async (t) => {
  const disk = new MemoryDisk();
  const clock = new ManualClock();
  const keeper = openKeeper(disk, { clock, timers: clock, segmentBytes: 10_000 });
  const many = (version: number): KeptRow[] => Array.from({ length: 600 }, (_, at) => kept(`k${at}`, version));
  for (let version = 1; version <= 6; version++) await keeper.keep('blue', many(version));
  let syncs = 0;
  disk.refuse = (call) => {
    if (call === 'sync') syncs++;
    failing(call);
  };
  await t.rejects(keeper.keep('blue', [kept('late', 1)]), { code: 'EIO' });
  const { bytes } = keeper;
  const files = disk.files.size;
  syncs = 0;
  for (let round = 1; round <= 5; round++) {
    const asked = Array.from({ length: 5 }, (_, at) => keeper.keep('blue', [kept(`s${at}`, round)]));
    await Promise.all(asked.map((each) => t.rejects(each, { code: 'EIO' })));
    t.equal(syncs, round - 1, 'too soon');
    clock.advance(1000);
    const again = Array.from({ length: 5 }, (_, at) => keeper.keep('blue', [kept(`s${at}`, round)]));
    await Promise.all(again.map((each) => t.rejects(each, { code: 'EIO' })));
    t.equal(syncs, round, 'one for all');
  }
  await keeper.tend();
  t.equal(keeper.bytes, bytes);
  t.equal(disk.files.size, files);
  disk.refuse = undefined;
  clock.advance(1000);
  t.equal(await keeper.keep('blue', [kept('late', 1)]), 0);
  disk.crash();
  const after = openKeeper(disk, { clock, timers: clock });
  t.equal(after.rows.size, 601);
  await after.close();
});

t.test('what a failed sync lost is written anew before anything is said to be kept, once', async (t) => {
  const disk = new MemoryDisk();
  const clock = new ManualClock();
  const keeper = openKeeper(disk, { clock, timers: clock });
  await keeper.keep('blue', [kept('a', 1)]);
  disk.refuse = failing;
  const both = [keeper.keep('blue', [kept('b', 1)]), keeper.keep('blue', [kept('c', 1)])];
  await Promise.all(both.map((each) => t.rejects(each, { code: 'EIO' })));
  const path = lastOf(disk);
  disk.damage(path, (disk.files.get(path)?.length as number) - 3);
  disk.refuse = undefined;
  clock.advance(1000);
  await t.rejects(keeper.keep('blue', []), { code: 'log-lost' });
  // And then there is no room for a copy, twice.
  for (let i = 0; i < 2; i++) {
    clock.advance(1000);
    disk.refuse = (call, at) => {
      if (call === 'write' && at !== path) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    };
    await t.rejects(keeper.keep('blue', []));
  }
  disk.refuse = undefined;
  clock.advance(1000);
  t.equal(await keeper.keep('blue', [kept('d', 1)]), 0);
  t.equal(disk.files.size, 1, 'what stood before is dropped');
  disk.crash();
  const after = openKeeper(disk, { clock, timers: clock });
  t.same(textsOf(after.rows.of('blue')), ['a=1', 'b=1', 'c=1', 'd=1']);
  await after.close();
});

t.test('a log that is made shorter goes on where the disk refused', async (t) => {
  const disk = new MemoryDisk();
  const keeper = openKeeper(disk, { segmentBytes: 500 });
  for (let version = 1; version < 50; version++) await keeper.keep('blue', [kept('a', version)]);
  for (const fleet of ['green', 'red']) await keeper.keep(fleet, [kept('a', 1)]);
  let writes = 0;
  disk.refuse = (call) => {
    if (call === 'write' && ++writes > 3) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
  };
  const before = keeper.bytes;
  for (let i = 0; i < 5; i++) {
    writes = i === 0 ? 0 : 9;
    await keeper.tend();
  }
  const { bytes } = keeper;
  t.ok(bytes > before && bytes < before + 1000, `${bytes - before} bytes of a copy`);
  disk.refuse = undefined;
  await keeper.tend();
  t.ok(keeper.bytes < 1000);
  await keeper.close();
  const after = openKeeper(disk);
  for (const [fleet, texts] of [
    ['blue', ['a=49']],
    ['green', ['a=1']],
    ['red', ['a=1']],
  ] as const)
    t.same(textsOf(after.rows.of(fleet)), texts);
  await after.close();
});

t.test('behind damage the store is another one, so that all is told again; and it stays that one', async (t) => {
  const disk = new MemoryDisk();
  const ids: string[] = [];
  for (let life = 0; life < 4; life++) {
    const keeper = openKeeper(disk);
    ids.push(keeper.storeId);
    await keeper.keep('blue', [kept(`a${life}`, 1), kept(`b${life}`, 1)]);
    const path = lastOf(disk);
    const length = disk.files.get(path)?.length as number;
    await keeper.close();
    if (life === 1) disk.damage(path, length - 10);
  }
  const [first, second, third, last] = ids;
  t.equal(second, first);
  t.not(third, second);
  t.equal(last, third);
});
