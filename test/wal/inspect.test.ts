/** A look at a log touches nothing, and tells what the next opening will tell. */
import t from 'tap';
import { inspectLog } from '../../src/wal/index.ts';
import { append, calmDisk, DIR, open, pathOf, scribble, truncate } from './logs.ts';

const BEGIN = 82;

function threeSegments() {
  const disk = calmDisk();
  const { log } = open(disk);
  append(log, 'a', 'bb');
  log.rotate();
  append(log, 'ccc');
  log.rotate();
  append(log, 'dddd');
  return { disk, log };
}

function inspect(disk: ReturnType<typeof calmDisk>) {
  const bodies: string[] = [];
  const found = inspectLog(disk, DIR, ({ body }, { kind, head }) => bodies.push(`${kind} ${head} ${body}`));
  return { ...found, bodies };
}

t.test('segments, frames and their origin, while the owner writes', async (t) => {
  const { disk, log } = threeSegments();
  const { bodies, segments, isInUse, damage, aside } = inspect(disk);
  t.same(bodies, ['TEST owner a', 'TEST owner bb', 'TEST owner ccc', 'TEST owner dddd']);
  t.same([isInUse, damage, aside], [true, [], []]);
  t.match(segments, [
    { number: 1, path: pathOf(1), kind: 'TEST', frames: 2, isSealed: true, gaps: 0 },
    { number: 2, frames: 1, isSealed: true },
    { number: 3, frames: 1, isSealed: false, bytes: log.end.offset },
  ]);
  truncate(disk, pathOf(3), log.end.offset + 5);
  t.same(inspect(disk).damage, [], 'what the owner is about to write is no damage');
  truncate(disk, pathOf(3), 3);
  t.same(inspect(disk).damage, [], 'nor is a head');
  log.close();
  t.match(inspect(disk), { isInUse: false, damage: [{ what: 'unreadable', segment: 3 }] });
});

t.test('a directory without a segment, of an owner who is about to begin', async (t) => {
  const disk = calmDisk();
  disk.lock(`${DIR}/lock`);
  t.same(inspect(disk), { isInUse: true, segments: [], damage: [], aside: [], bodies: [] });
});

t.test('a segment that is dropped or cannot be opened while one looks', async (t) => {
  const { disk } = threeSegments();
  disk.list = () => ['000000000000.wal', '000000000003.wal', '000000000002.wal', '000000000001.wal'];
  t.same(
    inspect(disk).segments.map(({ number }) => number),
    [1, 2, 3],
  );
  disk.fault = (call, path) => (call === 'read' && path === pathOf(2) ? 'EACCES' : undefined);
  t.throws(() => inspect(disk), { code: 'EACCES' });
});

t.test('what it tells is what the opening tells', async (t) => {
  const damages: ((disk: ReturnType<typeof calmDisk>) => void)[] = [
    (disk) => disk.flip(pathOf(1), 8 * (BEGIN + 12)),
    (disk) => disk.flip(pathOf(1), 8 * 20),
    (disk) => truncate(disk, pathOf(3), disk.bytes(pathOf(3)) + 7),
    (disk) => truncate(disk, pathOf(2), disk.bytes(pathOf(2)) - 12),
    (disk) => truncate(disk, pathOf(1), disk.bytes(pathOf(1)) - 13),
    (disk) => disk.remove(pathOf(2)),
    (disk) => scribble(disk, pathOf(2), 0, Buffer.alloc(BEGIN)),
    (disk) => {
      disk.remove(pathOf(2));
      disk.rename(pathOf(1), pathOf(2));
    },
    (disk) => {
      disk.remove(pathOf(2));
      scribble(disk, pathOf(3), 0, Buffer.alloc(BEGIN, 1));
    },
    () => {},
  ];
  for (const [i, damage] of damages.entries()) {
    const { disk, log } = threeSegments();
    log.close();
    damage(disk);
    const seen = inspect(disk);
    const opened = open(disk);
    const facts = ({
      what,
      segment,
      offset,
      bytes,
    }: {
      what: string;
      segment: number;
      offset: number;
      bytes: number;
    }) => `${what} ${segment} ${offset} ${bytes}`;
    t.same(seen.damage.map(facts).sort(), opened.damage.map(facts).sort(), `damage ${i}`);
    t.same(
      seen.bodies.map((body) => body.slice(11)),
      opened.bodies,
    );
    opened.log.close();
    t.same(inspect(disk).damage, [], `mended ${i}`);
  }
});

t.test('gaps and files put aside are shown', async (t) => {
  const { disk, log } = threeSegments();
  log.close();
  disk.flip(pathOf(1), 8 * (BEGIN + 12));
  scribble(disk, pathOf(2), 0, Buffer.alloc(BEGIN, 1));
  open(disk).log.close();
  t.match(inspect(disk), {
    segments: [{ number: 1, frames: 1, gaps: 1, gapBytes: 13 }, { number: 3 }, { number: 4, frames: 0 }],
    damage: [],
    aside: ['000000000002.wal.corrupt'],
  });
});
