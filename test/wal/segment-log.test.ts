/** What an owner does with a log: append, sync, rotate, read, drop, rewrite, close; and what it is told when the disk refuses. */
import t from 'tap';
import { BODY_BYTES_MAX, type Damage, FRAME_HEAD, SEGMENT_BYTES, SegmentLog } from '../../src/wal/index.ts';
import { append, calmDisk, DIR, open, pathOf, read } from './logs.ts';

const codeOf = (run: () => unknown): unknown => {
  try {
    run();
  } catch (cause) {
    return (cause as { code?: unknown }).code ?? (cause as Error).message;
  }
  return 'nothing was thrown';
};
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('what was appended is read back, in this life and in the next', async (t) => {
  const disk = calmDisk();
  const first = open(disk);
  t.same([first.bodies, first.damage, first.log.sum, first.log.segments.length], [[], [], 0, 1]);
  const places = append(first.log, 'a', 'bb', 'ccc');
  t.same(first.log.end, { segment: 1, offset: (places[2]?.offset ?? 0) + FRAME_HEAD + 3 });
  t.same(read(first.log), { bodies: ['a', 'bb', 'ccc'], damage: [] });
  t.same(read(first.log, places[1]).bodies, ['bb', 'ccc']);
  const { sum } = first.log;
  disk.kill();
  const second = open(disk);
  t.same([second.bodies, second.places, second.damage], [['a', 'bb', 'ccc'], places, []]);
  t.same([second.log.sum, second.heads[0], second.log.segments.length], [sum, 'owner', 2]);
  t.equal(
    second.log.bytes,
    second.log.segments.reduce((all, { bytes }) => all + bytes, 0),
  );
  append(second.log, 'd');
  t.same(read(second.log).bodies, ['a', 'bb', 'ccc', 'd']);
});

t.test('what was appended while frames are read is not among them', async (t) => {
  const { log } = open(calmDisk(), { segmentBytes: 1 });
  append(log, 'a', 'b', 'c');
  const seen: string[] = [];
  for (const { body, segment } of log.frames({ segment: 1, offset: 0 }, () => {})) {
    seen.push(body.toString());
    if (segment === 2) {
      append(log, 'd');
      log.dropBefore(4);
    }
  }
  t.same(seen, ['a', 'c'], 'nor is what was dropped meanwhile');
});

t.test('segments begin when one is full; the owner is told what it wrote before', async (t) => {
  const disk = calmDisk();
  const told: (string | undefined)[] = [];
  const head = (previous: Buffer | undefined): Buffer => {
    told.push(previous?.toString());
    return Buffer.from(`head ${told.length}`);
  };
  const { log } = open(disk, { segmentBytes: 200, head });
  append(log, 'x'.repeat(200), 'y');
  log.rotate();
  disk.kill();
  const again = open(disk, { head });
  t.same(told, [undefined, 'head 1', 'head 2', 'head 3']);
  t.same(again.heads, ['head 1', 'head 2']);
  t.same(
    again.log.segments.map(({ number, begin, bytes, head: own }) => [number, bytes === begin, own.toString()]),
    [
      [1, false, 'head 1'],
      [2, false, 'head 2'],
      [3, false, 'head 3'],
      [4, true, 'head 4'],
    ],
    'a sealed one without frames is a seal longer',
  );
  t.match(
    codeOf(() => open(calmDisk(), { head: () => Buffer.alloc(4097) })),
    /at most 4096 bytes, not 4097/,
  );
  t.equal(SEGMENT_BYTES, 16 * 2 ** 20);
});

t.test('a body has 1 byte to 2 MiB', async (t) => {
  const { log } = open(calmDisk());
  for (const length of [0, FRAME_HEAD, FRAME_HEAD + BODY_BYTES_MAX + 1])
    t.throws(() => log.append(Buffer.alloc(length), length), RangeError);
  const longest = Buffer.alloc(FRAME_HEAD + BODY_BYTES_MAX, 'x');
  log.append(longest, longest.length);
  append(log, 'behind');
  t.equal(read(log).bodies[1], 'behind');
});

t.test('a sync makes all before it certain; a crash takes what came later, and no more', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  append(log, 'a');
  log.rotate();
  append(log, 'b');
  await log.sync();
  append(log, 'x'.repeat(2000));
  disk.crash();
  const again = open(disk);
  t.same(again.bodies.slice(0, 2), ['a', 'b']);
});

t.test('one sync runs and one waits, whoever asks', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  let syncs = 0;
  disk.fault = (call) => {
    if (call === 'sync') syncs++;
    return undefined;
  };
  append(log, 'a');
  const first = log.sync();
  t.equal(log.sync(), first, 'it has not begun yet');
  await Promise.resolve();
  append(log, 'b');
  const second = log.sync();
  t.not(second, first);
  t.equal(log.sync(), second);
  await Promise.all([first, second]);
  await log.sync();
  t.equal(syncs, 2, 'with nothing to do it does nothing');
});

t.test('what is dropped, written anew or closed while it is synced is no failure', async (t) => {
  for (const meddle of ['drop', 'rewrite', 'close', 'append'] as const) {
    const disk = calmDisk();
    const { log } = open(disk);
    append(log, 'a');
    log.rotate();
    append(log, 'b');
    const done = log.sync();
    await Promise.resolve();
    if (meddle === 'drop') log.dropBefore(2);
    if (meddle === 'rewrite') log.rewrite(1, [Buffer.from('A')]);
    if (meddle === 'append') append(log, 'c');
    if (meddle === 'close') log.close();
    await done;
    if (meddle !== 'close') log.close();
    disk.crash();
    const expected = { drop: ['b'], rewrite: ['A', 'b'], close: ['a', 'b'], append: ['a', 'b', 'c'] }[meddle];
    t.same(open(disk).bodies, expected, meddle);
  }
});

t.test('a sync that fails for what was dropped meanwhile has not failed', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  append(log, 'a');
  log.rotate();
  await log.sync();
  append(log, 'b');
  log.rotate();
  const done = log.sync();
  await Promise.resolve();
  log.dropBefore(3);
  disk.fault = (call) => (call === 'sync' ? 'EIO' : undefined);
  const second = done.catch((cause: Error) => cause);
  disk.fault = () => undefined;
  t.equal(await second, undefined);
});

t.test('after a sync that failed the next one writes anew what is in doubt', async (t) => {
  for (const isNow of [false, true])
    for (let seed = 1; seed <= 20; seed++) {
      const disk = calmDisk(seed);
      const { log } = open(disk);
      append(log, 'a');
      await log.sync();
      append(log, 'b'.repeat(700), 'c'.repeat(700));
      disk.fault = (call) => (call === (isNow ? 'syncNow' : 'sync') ? 'EIO' : undefined);
      if (isNow)
        t.equal(
          codeOf(() => log.syncNow()),
          'EIO',
        );
      else await t.rejects(log.sync(), { code: 'EIO' });
      append(log, 'd');
      disk.fault = () => undefined;
      let lost = 0;
      try {
        if (isNow) log.syncNow();
        else await log.sync();
      } catch (cause) {
        t.match(cause, {
          code: 'log-lost',
          place: pathOf(1),
          message: /^\d+ bytes that a failed sync left in doubt are gone$/,
        });
        lost++;
        await log.sync();
      }
      const { bodies, damage } = read(log);
      t.equal(damage.length > 0, lost > 0);
      disk.crash();
      const again = open(disk);
      t.same(again.bodies, bodies, `seed ${seed}: ${bodies.length} frames`);
      t.same([again.bodies[0], again.bodies.at(-1)], ['a', 'd']);
      t.equal(again.damage.length > 0, lost > 0);
    }
});

t.test('a segment in doubt that cannot be written anew stays in doubt', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  log.rotate();
  append(log, 'a');
  for (const calls of [['sync', 'write'], ['open'], ['rename'], ['rename', 'remove']]) {
    disk.fault = (call) => (calls.includes(call) ? 'EIO' : undefined);
    await t.rejects(log.sync(), { code: 'EIO' });
  }
  disk.fault = () => undefined;
  await log.sync().catch(() => log.sync());
  t.same(disk.list(DIR).sort(), ['000000000001.wal', '000000000002.wal']);
});

t.test('nothing is appended behind a head that may be gone', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const disk = calmDisk(seed);
    const { log } = open(disk);
    log.rotate();
    append(log, 'a');
    // The first segment's goes well.
    let syncs = 0;
    disk.fault = (call) => (call === 'sync' && ++syncs === 2 ? 'EIO' : call === 'write' ? 'ENOSPC' : undefined);
    await t.rejects(log.sync(), { code: 'EIO' });
    t.equal(
      codeOf(() => append(log, 'b')),
      'ENOSPC',
    );
    disk.fault = () => undefined;
    append(log, 'c');
    disk.kill();
    t.equal(open(disk).bodies.at(-1), 'c');
  }
});

t.test('the kernel tells a failure to one of two who ask: neither takes it for done', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  append(log, 'a');
  const done = log.sync();
  const failed = t.rejects(done, { code: 'EIO' });
  await Promise.resolve();
  disk.fault = (call) => (call === 'syncNow' ? 'EIO' : undefined);
  t.equal(
    codeOf(() => log.syncNow()),
    'EIO',
  );
  disk.fault = () => undefined;
  await failed;
});

t.test('what was written anew while an older sync runs is done', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  append(log, 'a');
  const done = log.sync();
  await Promise.resolve();
  disk.fault = (call) => (call === 'syncNow' ? 'EIO' : undefined);
  t.equal(
    codeOf(() => log.syncNow()),
    'EIO',
  );
  disk.fault = () => undefined;
  codeOf(() => log.syncNow());
  await done;
  log.close();
  await tick();
});

t.test('an append that the disk refuses leaves nothing, and the next may be tried', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  append(log, 'a');
  const { end, sum } = log;
  disk.room = log.bytes + 20;
  t.equal(
    codeOf(() => append(log, 'x'.repeat(100))),
    'ENOSPC',
  );
  t.same([log.end, log.sum, disk.bytes(pathOf(1))], [end, sum, end.offset]);
  disk.fault = (call) => (call === 'truncate' ? 'EIO' : undefined);
  t.equal(
    codeOf(() => append(log, 'x'.repeat(100))),
    'ENOSPC',
  );
  disk.fault = () => undefined;
  append(log, 'b');
  disk.room = Number.POSITIVE_INFINITY;
  append(log, 'c');
  disk.kill();
  t.same(open(disk).bodies, ['a', 'b', 'c'], 'also where a part could not be cut off');
});

t.test('a disk that takes nothing and says nothing is full', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  disk.write = () => 0;
  t.equal(
    codeOf(() => append(log, 'a')),
    'ENOSPC',
  );
});

t.test('a segment that cannot begin leaves the one before in use', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk, { segmentBytes: 100 });
  append(log, 'x'.repeat(100));
  disk.fault = (call) => (call === 'write' ? 'ENOSPC' : undefined);
  t.equal(
    codeOf(() => append(log, 'a')),
    'ENOSPC',
  );
  disk.fault = (call) => (call === 'write' ? 'ENOSPC' : call === 'remove' ? 'EIO' : undefined);
  t.equal(
    codeOf(() => append(log, 'a')),
    'ENOSPC',
  );
  t.equal(disk.bytes(pathOf(2)), 0, 'left behind');
  disk.fault = () => undefined;
  t.same(append(log, 'a')[0]?.segment, 2);
  disk.close(disk.open(pathOf(3), 'create'));
  t.match(
    codeOf(() => log.rotate()),
    'log-unusable',
  );
  t.equal(log.segments.length, 2);
  disk.kill();
  const again = open(disk);
  t.same(again.bodies, ['x'.repeat(100), 'a']);
});

t.test('a seal that cannot be written is told as a missing end, if anything stands behind', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  append(log, 'a');
  let writes = 0;
  disk.fault = (call) => (call === 'write' && ++writes === 2 ? 'ENOSPC' : undefined);
  log.rotate();
  disk.fault = () => undefined;
  append(log, 'b');
  disk.kill();
  const again = open(disk);
  t.same(again.bodies, ['a', 'b']);
  t.match(again.damage, [{ what: 'torn tail', segment: 1, bytes: 0, detail: /its end is missing/ }]);
  disk.kill();
  t.same(open(disk).damage, []);
});

t.test('segments are dropped from the oldest on, never the last', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  for (const body of ['a', 'b', 'c', 'd']) {
    append(log, body);
    log.rotate();
  }
  log.dropBefore(1);
  t.equal(log.segments[0]?.number, 1);
  log.dropBefore(3);
  t.same(read(log).bodies, ['c', 'd']);
  disk.fault = (call) => (call === 'remove' ? 'EROFS' : undefined);
  t.equal(
    codeOf(() => log.dropBefore(9)),
    'EROFS',
  );
  t.same(read(log).bodies, ['c', 'd'], 'what is still there is still its own');
  disk.fault = () => undefined;
  log.dropBefore(99);
  t.same(
    log.segments.map(({ number }) => number),
    [5],
  );
  log.close();
  disk.crash();
  t.same(open(disk).log.segments[0]?.number, 5, 'numbers go on');
});

t.test('a segment is written anew, whole or not at all', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  append(log, 'a', 'b', 'c');
  log.rotate();
  append(log, 'd');
  for (const number of [2, 9]) t.throws(() => log.rewrite(number, []), RangeError);
  disk.room = log.bytes + 10;
  t.equal(
    codeOf(() => log.rewrite(1, [Buffer.from('abc')])),
    'ENOSPC',
  );
  t.same(disk.list(DIR).length, 2);
  disk.room = Number.POSITIVE_INFINITY;
  log.rewrite(1, [Buffer.from('ab'), Buffer.from('c')]);
  t.same(read(log), { bodies: ['ab', 'c', 'd'], damage: [] });
  await log.sync();
  disk.crash();
  const again = open(disk);
  t.same([again.bodies, again.damage], [['ab', 'c', 'd'], []]);
});

t.test('closed once, it takes nothing more', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  append(log, 'a');
  log.close();
  log.close();
  log[Symbol.dispose]();
  for (const use of [() => append(log, 'b'), () => log.rotate(), () => log.dropBefore(1), () => log.rewrite(1, [])])
    t.equal(codeOf(use), 'the log is closed');
  await log.sync();
  disk.crash();
  const again = open(disk);
  t.same(again.bodies, ['a']);
  disk.fault = (call) => (call === 'syncNow' ? 'EIO' : undefined);
  append(again.log, 'b');
  t.equal(
    codeOf(() => again.log.close()),
    'EIO',
  );
  disk.fault = () => undefined;
  t.notOk(disk.isLocked(`${DIR}/lock`), 'a close that fails gives the directory back all the same');
});

t.test('one writes a directory; errors name the place and the remedy', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  t.throws(() => open(disk), { code: 'log-in-use', place: DIR, remedy: /a directory of its own/ });
  log.close();
  for (const [code, remedy] of [
    ['ENOSPC', /make room/],
    ['EROFS', /can be written/],
    ['EMFILE', /with room for a segment/],
  ] as const) {
    disk.fault = (call) => (call === 'open' ? code : undefined);
    t.throws(() => open(disk), { code: 'log-unusable', message: new RegExp(code), place: DIR, remedy });
    t.notOk(disk.isLocked(`${DIR}/lock`));
  }
  disk.fault = () => undefined;
  const own = new Error('the owner fails');
  const other = open(disk);
  append(other.log, 'a');
  other.log.close();
  const failing = (): void => {
    throw own;
  };
  const options = { dir: DIR, disk, kind: 'TEST', head: () => Buffer.alloc(0) };
  t.throws(() => SegmentLog.open(options, failing, () => {}), own);
  const told: Damage[] = [];
  const good = SegmentLog.open(
    options,
    () => {},
    (each) => told.push(each),
  );
  t.same(told, []);
  good.close();
  t.throws(() => open(disk, { kind: 'ELSE' }), { code: 'log-unusable', message: /a segment of TEST, not of ELSE/ });
});

t.test('who gives a log up writes nothing more, and lets go of its files', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  append(log, 'a');
  log.abandon();
  t.throws(() => append(log, 'b'));
  const next = open(disk);
  t.same(next.bodies, ['a']);
  next.log.close();
});
