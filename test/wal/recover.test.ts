/** What an opening makes of what it finds, whatever became of it. */
import t, { type Test } from 'tap';
import { FRAME_HEAD } from '../../src/wal/index.ts';
import { append, calmDisk, DIR, open, pathOf, read, scribble, truncate } from './logs.ts';

/** Heads of the tests' logs: 2 × (32 + 5 + 4) bytes. */
const BEGIN = 82;

/** Three segments of three frames, closed. */
function threeSegments() {
  const disk = calmDisk();
  const { log } = open(disk);
  for (const [i, bodies] of [
    ['a', 'bb', 'ccc'],
    ['d', 'ee', 'fff'],
    ['g', 'hh', 'iii'],
  ].entries()) {
    if (i > 0) log.rotate();
    append(log, ...bodies);
  }
  log.close();
  return disk;
}
const all = ['a', 'bb', 'ccc', 'd', 'ee', 'fff', 'g', 'hh', 'iii'];
const without = (...lost: string[]): string[] => all.filter((each) => !lost.includes(each));

/** Opens twice: what is told by the first opening is mended, and nothing is told by the second. */
function openTwice(t: Test, disk: ReturnType<typeof calmDisk>, options = {}) {
  const first = open(disk, options);
  disk.crash();
  const second = open(disk, options);
  t.same(second.bodies, first.bodies);
  t.same(second.damage, []);
  return first;
}

t.test('a frame that never became whole is cut off', async (t) => {
  for (const torn of [1, FRAME_HEAD, FRAME_HEAD + 2]) {
    const disk = threeSegments();
    const bytes = disk.bytes(pathOf(3));
    truncate(disk, pathOf(3), bytes - torn);
    const { bodies, damage } = openTwice(t, disk);
    t.same(bodies, without('iii'));
    t.match(damage, [{ what: 'torn tail', segment: 3, offset: bytes - FRAME_HEAD - 3, bytes: FRAME_HEAD + 3 - torn }]);
  }
});

t.test('zeros at the end are cut off, however many', async (t) => {
  for (const zeros of [1, 11, 12, 100, 300_000]) {
    const disk = threeSegments();
    const bytes = disk.bytes(pathOf(3));
    truncate(disk, pathOf(3), bytes + zeros);
    const { bodies, damage } = openTwice(t, disk);
    t.same(bodies, all);
    t.match(damage, [{ what: 'torn tail', path: pathOf(3), segment: 3, offset: bytes, bytes: zeros }]);
  }
});

t.test('every flipped bit costs the frame it hits at most, and is told', async (t) => {
  const bits = 8 * threeSegments().bytes(pathOf(2));
  for (let bit = 0; bit < bits; bit += 5) {
    const disk = threeSegments();
    disk.flip(pathOf(2), bit);
    const { bodies, damage } = openTwice(t, disk);
    const at = bit / 8 - BEGIN;
    const hit = at < 0 ? [] : at < 13 ? ['d'] : at < 27 ? ['ee'] : at < 42 ? ['fff'] : [];
    t.same(bodies, without(...hit), `bit ${bit}`);
    t.match(damage, [{ what: at >= 42 ? 'torn tail' : 'corrupt', segment: 2 }], `bit ${bit}`);
  }
});

t.test('a hole is a gap from then on: told once, its bytes kept, no frame moved', async (t) => {
  const disk = threeSegments();
  const before = open(disk);
  before.log.close();
  scribble(disk, pathOf(1), BEGIN + FRAME_HEAD + 1, Buffer.alloc(14, 0xee));
  const again = openTwice(t, disk);
  t.same(again.bodies, without('bb'));
  t.match(again.damage, [{ what: 'corrupt', offset: BEGIN + FRAME_HEAD + 1, bytes: 14 }]);
  t.same(again.places[1], before.places[2]);
  disk.kill();
  const { log } = open(disk);
  t.same(read(log), { bodies: without('bb'), damage: [] });
});

t.test('a gap may be longer than what is read at once', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk);
  append(log, 'a', 'x'.repeat(1_000_000), 'b');
  log.close();
  disk.flip(pathOf(1), 8 * 500_000);
  t.same(openTwice(t, disk).bodies, ['a', 'b']);
});

t.test('damage that is met while the log is open is told and skipped', async (t) => {
  const disk = threeSegments();
  const { log, places } = open(disk);
  disk.flip(pathOf(2), 8 * (BEGIN + FRAME_HEAD));
  const { bodies, damage } = read(log);
  t.same(bodies, without('d'));
  t.match(damage, [{ what: 'corrupt', path: pathOf(2), segment: 2, offset: BEGIN, bytes: 13 }]);
  t.same(read(log, places[4]).damage, [], 'behind it nothing is wrong');
});

t.test('a file that somebody cuts short while the log is open ends with a hole', async (t) => {
  const disk = threeSegments();
  const { log } = open(disk);
  const bytes = disk.bytes(pathOf(2));
  for (const [cut, lost] of [
    [12, []],
    [13, ['fff']],
    [27, ['fff']],
  ] as const) {
    truncate(disk, pathOf(2), bytes - cut);
    const { bodies, damage } = read(log);
    t.same(bodies, without(...lost));
    t.match(damage, [{ what: 'corrupt', segment: 2, offset: bytes - (cut === 12 ? 12 : 27) }]);
  }
});

t.test('zeros are no mark', async (t) => {
  const disk = calmDisk();
  const { log } = open(disk, { random: { hex: () => '00000000', float: () => 0 } });
  append(log, 'a');
  log.close();
  truncate(disk, pathOf(1), disk.bytes(pathOf(1)) + 4000);
  t.match(open(disk), { bodies: ['a'], damage: [{ what: 'torn tail', bytes: 4000 }] });
});

t.test('what only looks like a frame is none', async (t) => {
  const disk = calmDisk();
  const other = calmDisk();
  // The same bytes with another mark: what an older file left on the medium, or what somebody sent.
  const { log: older } = open(other);
  append(older, 'old', 'older', 'oldest');
  const file = other.open(pathOf(1), 'read');
  const stale = Buffer.alloc(other.size(file) - BEGIN);
  for (let at = 0; at < stale.length; ) at += other.read(file, stale, at, stale.length - at, BEGIN + at);
  const { log } = open(disk, { random: { hex: () => '01020304', float: () => 0 } });
  append(log, `sent ${stale.toString('latin1')}`, 'good');
  log.close();
  scribble(disk, pathOf(1), BEGIN + 4, Buffer.from([0xff]));
  scribble(disk, pathOf(1), disk.bytes(pathOf(1)), stale);
  t.same(openTwice(t, disk).bodies, ['good']);
});

t.test('a head is there twice; without either the file is put aside, at most four', async (t) => {
  const disk = threeSegments();
  scribble(disk, pathOf(2), 0, Buffer.alloc(BEGIN));
  const { bodies, damage } = openTwice(t, disk);
  t.same(bodies, without('d', 'ee', 'fff'));
  t.match(damage, [{ what: 'unreadable', segment: 2, detail: /it is kept as 000000000002\.wal\.corrupt/ }]);
  for (let number = 10; number <= 60; number += 10) {
    disk.kill();
    disk.close(disk.open(pathOf(number), 'create'));
    scribble(disk, pathOf(number), 0, Buffer.alloc(100, 'garbage'));
    const { log } = open(disk);
    t.ok(log.segments.at(-1)?.number === number + 1);
  }
  const aside = disk.list(DIR).filter((name) => name.endsWith('.corrupt'));
  t.same(aside.map((name) => Number.parseInt(name, 10)).sort(), [30, 40, 50, 60]);
});

t.test('heads that claim too much, or say nothing, are no heads', async (t) => {
  const heads: Buffer[] = [Buffer.from('REEVEWALTEST'), Buffer.alloc(40, 'x'), Buffer.alloc(10_000)];
  const long = Buffer.alloc(200);
  long.write('REEVEWALTEST');
  long.writeUInt16BE(1, 12);
  for (const length of [5000, 300, 10]) {
    const head = Buffer.from(long);
    head.writeUInt16BE(length, 14);
    heads.push(head, Buffer.concat([head, head]));
  }
  for (const head of heads) {
    const disk = calmDisk();
    disk.close(disk.open(pathOf(3), 'create'));
    scribble(disk, pathOf(3), 0, head);
    const { damage, bodies } = openTwice(t, disk);
    t.same([bodies, damage.length, damage[0]?.segment], [[], 1, 3]);
  }
});

t.test('a segment that was just begun when the machine stopped is removed; its number is not used again', async (t) => {
  const disk = threeSegments();
  disk.close(disk.open(pathOf(4), 'create'));
  const { damage, log } = openTwice(t, disk);
  t.match(damage, [{ what: 'torn tail', segment: 4, detail: 'its head is torn; it is removed' }]);
  t.equal(log.segments.at(-1)?.number, 5);
});

t.test('a head that was cut off behind its first copy is made whole', async (t) => {
  const disk = threeSegments();
  const { log } = open(disk);
  log.close();
  truncate(disk, pathOf(4), BEGIN - 20);
  const { damage } = openTwice(t, disk);
  t.match(damage, [{ what: 'corrupt', segment: 4, detail: /a copy of its head/ }]);
});

t.test('a segment that is missing is told, and one that has another number is put aside', async (t) => {
  const disk = threeSegments();
  disk.remove(pathOf(2));
  t.match(openTwice(t, disk).damage, [{ what: 'missing', segment: 2 }]);
  const other = threeSegments();
  other.rename(pathOf(2), pathOf(7));
  t.match(openTwice(t, other).damage, [
    { what: 'missing', segment: 2 },
    { what: 'missing', segment: 6 },
    { what: 'unreadable', segment: 7, detail: /it is segment 2/ },
  ]);
});

t.test('the oldest may follow what was dropped', async (t) => {
  const disk = threeSegments();
  disk.remove(pathOf(1));
  t.same(openTwice(t, disk).damage, []);
});

t.test('what another version or another log wrote is not touched', async (t) => {
  const disk = threeSegments();
  for (const at of [12, 12 + BEGIN / 2]) scribble(disk, pathOf(3), at, Buffer.from([0, 2]));
  t.throws(() => open(disk), { code: 'log-unusable', place: pathOf(3), remedy: /run that version/ });
  const other = threeSegments();
  t.throws(() => open(other, { kind: 'ELSE' }), { code: 'log-unusable', message: /a segment of TEST, not of ELSE/ });
  t.same(disk.list(DIR).length + other.list(DIR).length, 6);
});

t.test('frames before a segment that the owner remembers are not read', async (t) => {
  const disk = threeSegments();
  t.same(openTwice(t, disk, { from: 2 }).bodies, without('a', 'bb', 'ccc'));
  disk.kill();
  const { bodies, log } = open(disk, { from: 99 });
  t.same(bodies, [], 'but for the newest');
  t.same(read(log).bodies, all);
});

t.test('what is half made is removed, other files are left alone', async (t) => {
  const disk = threeSegments();
  for (const name of ['000000000001.wal.new', 'notes.txt', '7.wal']) disk.close(disk.open(`${DIR}/${name}`, 'create'));
  const { bodies, log } = open(disk);
  t.same(bodies, all);
  log.close();
  t.same(
    disk
      .list(DIR)
      .filter((name) => !/^\d{12}\.wal$/.test(name))
      .sort(),
    ['7.wal', 'notes.txt'],
  );
});

t.test('what the disk cannot read today is left for tomorrow', async (t) => {
  const disk = threeSegments();
  const readNow = disk.read.bind(disk);
  let bad: [number, number] = [0, 0];
  disk.read = (file, bytes, offset, length, position) => {
    if (position < bad[1] && position + length > bad[0]) throw Object.assign(new Error('EIO'), { code: 'EIO' });
    return readNow(file, bytes, offset, length, position);
  };
  bad = [BEGIN, BEGIN + 50_000];
  const first = open(disk);
  t.same(first.bodies, [], 'a block of the disk is lost at once');
  t.match(
    first.damage,
    [1, 2, 3].map((segment) => ({ what: 'unreadable', segment, detail: /cannot read its head/ })),
  );
  first.log.close();
  const big = calmDisk();
  const { log } = open(big);
  append(log, 'x'.repeat(10_000), 'y'.repeat(10_000), 'z');
  log.rotate();
  append(log, 'behind');
  log.close();
  const readBig = big.read.bind(big);
  big.read = (file, bytes, offset, length, position) => {
    if (big.bytes(pathOf(1)) === big.size(file) && position < bad[1] && position + length > bad[0])
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    return readBig(file, bytes, offset, length, position);
  };
  for (const [from, seen] of [
    [9000, ['z', 'behind']],
    [15_000, ['x'.repeat(10_000), 'z', 'behind']],
    [20_110, ['x'.repeat(10_000), 'behind']],
  ] as const) {
    bad = [from, from + 1];
    big.kill();
    const { bodies, damage } = open(big);
    t.same(
      bodies.map((body) => body.slice(0, 9)),
      seen.map((body) => body.slice(0, 9)),
    );
    t.match(damage, [{ what: 'corrupt', detail: /cannot read it; it is left as it is/ }]);
  }
  bad = [0, 0];
  big.kill();
  t.match(open(big), { bodies: ['x'.repeat(10_000), 'y'.repeat(10_000), 'z', 'behind'], damage: [] });
  big.kill();
  big.read = () => {
    throw Object.assign(new Error('gone'), { code: 'ENXIO' });
  };
  t.throws(() => open(big), { code: 'log-unusable', message: /ENXIO/ });
});
