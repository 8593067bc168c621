/** What ends in one turn stands in the spool by one append before any of it goes on; what the disk refuses is lost, counted and said. */
import t from 'tap';
import { TickCommits } from '../../src/metering/tick-commits.ts';
import type { Held } from '../../src/pipeline/index.ts';
import { recordOf, type SpoolWorld, spoolWorld } from './world.ts';

function commitsWorld(isStrict = false) {
  const world: SpoolWorld = spoolWorld();
  const spool = world.open();
  const said: string[] = [];
  const commits = new TickCommits({
    timers: world.time,
    isStrict,
    onLost: (records, cause) => said.push(`lost ${records}: ${(cause as NodeJS.ErrnoException).code}`),
    onBack: () => said.push('back'),
    onCommitted: () => said.push('committed'),
    onSyncFailed: (cause) => said.push(`not synced: ${(cause as NodeJS.ErrnoException).code}`),
  });
  commits.use(spool);
  const held = (name: string): Held => ({
    release: () => said.push(`${name} ${spool.pending === 0 ? 'recorded' : 'too early'}`),
  });
  const refuse = (call: string | undefined): void => {
    world.disk.refuse =
      call === undefined
        ? undefined
        : (each) => {
            if (each === call) throw Object.assign(new Error(call), { code: 'ENOSPC' });
          };
  };
  return { ...world, spool, commits, said, held, refuse };
}

const nextTurn = (): Promise<unknown> => new Promise(setImmediate);

t.test('all of a turn is one append, and then released in order', async (t) => {
  const { commits, spool, time, said, held } = commitsWorld();
  commits.record(recordOf());
  t.equal(commits.hold(held('first')), true);
  commits.record(recordOf());
  t.equal(commits.hold(held('second')), true);
  t.strictSame(said, []);
  time.turn();
  t.strictSame(said, ['committed', 'first recorded', 'second recorded']);
  t.equal(spool.lastSeq, 2);
  t.equal([...spool.frames({ segment: 0, offset: 0 })].length, 1);
});

t.test('who has nothing to wait for goes on at once', async (t) => {
  const { commits, time, said, held } = commitsWorld();
  t.equal(commits.hold(held('nobody')), false);
  time.turn();
  t.strictSame(said, []);
});

t.test('what ends because others were released waits for the next turn', async (t) => {
  const { commits, time, said, held } = commitsWorld();
  commits.record(recordOf());
  commits.hold({
    release() {
      said.push('first');
      commits.record(recordOf());
      commits.hold(held('second'));
    },
  });
  commits.hold(held('third'));
  time.turn();
  t.strictSame(said, ['committed', 'first', 'third too early']);
  time.turn();
  t.strictSame(said.slice(3), ['committed', 'second recorded']);
});

t.test('a turn of more records than a block has is several appends, before any of it is released', async (t) => {
  const { commits, spool, time, said, held } = commitsWorld();
  for (let i = 0; i < 6000; i++) commits.record(recordOf());
  commits.hold(held('all'));
  time.turn();
  t.equal(said.at(-1), 'all recorded');
  t.ok(said.length > 2);
  t.equal(spool.lastSeq, 6000);
});

t.test('strict: released once it is on the medium', async (t) => {
  const { commits, disk, time, said, held } = commitsWorld(true);
  disk.isSlow = true;
  commits.record(recordOf());
  commits.hold(held('first'));
  time.turn();
  await nextTurn();
  t.strictSame(said, ['committed']);
  commits.record(recordOf());
  commits.hold(held('second'));
  time.turn();
  disk.finishSyncs();
  await nextTurn();
  t.strictSame(said, ['committed', 'committed', 'first recorded']);
  disk.finishSyncs();
  await nextTurn();
  t.equal(said.at(-1), 'second recorded');
});

t.test('strict: a disk that does not sync is said, and holds nobody for ever', async (t) => {
  const { commits, time, said, held, refuse } = commitsWorld(true);
  refuse('sync');
  commits.record(recordOf());
  commits.hold(held('first'));
  time.turn();
  await nextTurn();
  t.strictSame(said, ['committed', 'not synced: ENOSPC', 'first recorded']);
});

t.test('what the disk refuses is lost and said, and answers go out; the next that stands says so', async (t) => {
  const { commits, spool, time, said, held, refuse } = commitsWorld();
  refuse('write');
  commits.record(recordOf());
  commits.record(recordOf());
  commits.hold(held('first'));
  time.turn();
  t.strictSame(said, ['lost 2: ENOSPC', 'first recorded']);
  t.ok(commits.isRefused);
  commits.probe();
  t.ok(commits.isRefused, 'still');
  refuse(undefined);
  commits.record(recordOf());
  time.turn();
  t.strictSame(said.slice(2), ['back', 'committed']);
  t.notOk(commits.isRefused);
  t.equal(spool.lastSeq, 3);
});

t.test('without a request it is looked whether the disk takes records again', async (t) => {
  const { commits, time, said, refuse } = commitsWorld();
  commits.probe();
  t.strictSame(said, []);
  refuse('write');
  commits.record(recordOf());
  time.turn();
  refuse(undefined);
  commits.probe();
  t.strictSame(said, ['lost 1: ENOSPC', 'back']);
});

t.test('what must stand at once is committed before it returns, with strict on the medium', async (t) => {
  const { commits, time, said, held, refuse } = commitsWorld();
  t.equal(commits.commitNow(), true);
  commits.record(recordOf());
  commits.hold(held('other'));
  t.equal(commits.commitNow(), true);
  t.strictSame(said, ['committed']);
  time.turn();
  t.strictSame(said, ['committed', 'other recorded']);
  refuse('write');
  commits.record(recordOf());
  t.equal(commits.commitNow(), false);
  const strict = commitsWorld(true);
  strict.commits.record(recordOf());
  t.equal(strict.commits.commitNow(), true);
  strict.disk.crash();
  t.equal(strict.open().unacked, 1);
  const failing = commitsWorld(true);
  failing.refuse('sync');
  failing.commits.record(recordOf());
  t.equal(failing.commits.commitNow(), false);
  t.strictSame(failing.said, ['committed', 'not synced: ENOSPC']);
});

t.test('another spool can take the place of the first', async (t) => {
  const { commits, time } = commitsWorld();
  const other = spoolWorld().open();
  commits.use(other);
  commits.record(recordOf());
  time.turn();
  t.equal(other.lastSeq, 1);
});

t.test('without a spool records are counted, nobody waits, and the next spool has a gap of them', async (t) => {
  for (const isStrict of [false, true]) {
    const { commits, spool, time, said, held, open, disk } = commitsWorld(isStrict);
    commits.record(recordOf());
    commits.hold(held('first'));
    commits.use(undefined);
    time.turn();
    commits.record(recordOf());
    t.equal(commits.hold(held('nobody')), false);
    t.equal(commits.commitNow(), false);
    t.equal(commits.isRefused, true);
    commits.probe();
    t.strictSame(said, ['lost 1: undefined', 'first recorded', 'lost 1: undefined']);
    spool.close();
    disk.files.clear();
    const next = open();
    commits.use(next);
    commits.probe();
    t.equal(commits.isRefused, false);
    t.equal(next.lastSeq, 2);
    commits.record(recordOf());
    time.turn();
    t.equal(next.lastSeq, 3);
    t.match([...next.frames({ segment: 0, offset: 0 })], { length: 2 }, 'an end, and a block');
  }
});
