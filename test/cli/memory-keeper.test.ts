/** When memory is given back, in a time of the test's own. */
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { MemoryKeeper } from '../../src/cli/memory-keeper.ts';
import type { Heap } from '../../src/core/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';

const MIB = 2 ** 20;

function keep() {
  const clock = new ManualClock();
  const heap = { isOurs: false, busy: 0, newSpace: 2 * MIB, shrinks: 0, growing: [] as boolean[] };
  const asHeap: Heap = {
    newSpaceBytes: () => heap.newSpace,
    setGrowing: (isGrowing) => void heap.growing.push(isGrowing),
    takeQuietTimes: () => {
      heap.isOurs = true;
    },
    shrink: () => void heap.shrinks++,
    mark: () => clock.now(),
    busyShare(since) {
      if (typeof since !== 'number' || since >= clock.now()) throw new Error('not a mark of before');
      return heap.busy;
    },
  };
  const resident = {
    ...{ size: (90 * MIB) as number | undefined, left: 50 * MIB, times: 0, tookMs: 1, until: Promise.resolve() },
    bytes: () => resident.size,
    async giveBack() {
      resident.times++;
      await resident.until;
      if (resident.size !== undefined) resident.size = resident.left;
      return resident.tookMs;
    },
  };
  const keeper = new MemoryKeeper({ clock, timers: clock, heap: asHeap, resident });
  const pass = (seconds: number): void => {
    for (let i = 0; i < 5 * seconds; i++) clock.advance(200);
  };
  return { clock, heap, resident, keeper, pass };
}

t.test('what a start left behind is given back soon after it, once', (t) => {
  const { clock, heap, pass } = keep();
  t.ok(heap.isOurs, 'nobody else collects in quiet times');
  heap.busy = 0.05;
  clock.advance(200);
  t.equal(heap.shrinks, 0, 'it goes on');
  heap.busy = 0.01;
  clock.advance(199);
  t.equal(heap.shrinks, 0);
  clock.advance(1);
  t.equal(heap.shrinks, 1);
  pass(100);
  t.equal(heap.shrinks, 1, 'nothing was done since');
  t.end();
});

t.test('under load nothing is collected; when it is over for ten seconds everything is, at most once a minute', (t) => {
  const { clock, heap, pass } = keep();
  heap.busy = 0.5;
  clock.advance(200);
  pass(100);
  t.equal(heap.shrinks, 0);
  heap.busy = 0.05;
  pass(10);
  t.equal(heap.shrinks, 0, 'not quiet yet');
  heap.busy = 0.01;
  pass(1);
  t.equal(heap.shrinks, 1);
  heap.busy = 0.05;
  pass(100);
  heap.busy = 0.01;
  pass(100);
  t.equal(heap.shrinks, 1, 'a little work is not worth it');
  heap.busy = 0.5;
  pass(2);
  heap.busy = 0;
  pass(9);
  heap.busy = 0.05;
  pass(1);
  heap.busy = 0;
  pass(9);
  t.equal(heap.shrinks, 1, 'not quiet for long');
  pass(1);
  t.equal(heap.shrinks, 2);
  heap.busy = 0.5;
  pass(2);
  heap.busy = 0;
  pass(57);
  t.equal(heap.shrinks, 2, 'less than a minute ago');
  pass(1);
  t.equal(heap.shrinks, 3);
  t.end();
});

t.test('new space grows to its bound and no further, and again when it was made small', (t) => {
  const { clock, heap, keeper, pass } = keep();
  clock.advance(200);
  heap.newSpace = 4 * MIB;
  pass(2);
  t.same(heap.growing, []);
  heap.newSpace = 8 * MIB;
  pass(2);
  t.same(heap.growing, [false], 'said once');
  heap.newSpace = 2 * MIB;
  pass(2);
  t.same(heap.growing, [false, true]);
  keeper.close();
  heap.newSpace = 8 * MIB;
  pass(2);
  t.same(heap.growing, [false, true], 'closed');
  t.end();
});

t.test('a process that was stopped, and works when it goes on, was not quiet', (t) => {
  const { clock, heap, pass } = keep();
  clock.advance(200);
  heap.busy = 0.5;
  pass(60);
  for (let i = 0; i < 20; i++) {
    heap.busy = 0;
    clock.advance(35_000);
    heap.busy = 0.13;
    pass(4);
  }
  t.equal(heap.shrinks, 1, 'of its start');
  t.end();
});

t.test('nor was one that was stopped before it was ever quiet', (t) => {
  const { clock, heap, pass } = keep();
  heap.busy = 0.5;
  clock.advance(200);
  heap.busy = 0;
  clock.advance(700);
  t.equal(heap.shrinks, 0);
  clock.advance(200);
  t.equal(heap.shrinks, 1);
  pass(20);
  t.equal(heap.shrinks, 1);
  t.end();
});

t.test('nor was one that had been quiet before it was stopped', (t) => {
  const { clock, heap, pass } = keep();
  clock.advance(200);
  heap.busy = 0.5;
  pass(5);
  heap.busy = 0;
  pass(20);
  clock.advance(40_000);
  t.equal(heap.shrinks, 1, 'of its start');
  pass(9);
  t.equal(heap.shrinks, 1);
  pass(1);
  t.equal(heap.shrinks, 2);
  t.end();
});

t.test('a little work every few seconds puts it off for ten minutes, not for ever', (t) => {
  const { clock, heap, pass } = keep();
  clock.advance(200);
  heap.busy = 0.5;
  pass(5);
  for (let i = 0; i < 200; i++) {
    heap.busy = 0.05;
    pass(1);
    heap.busy = 0;
    pass(5);
    if (i === 97) t.equal(heap.shrinks, 1, `${(clock.now() / 1000).toFixed()} s`);
  }
  t.equal(heap.shrinks, 2, 'and once, for what was done once');
  t.end();
});

t.test('what is held beside the heap is given back behind a start, and as it grows under load too', async (t) => {
  const { clock, heap, resident, keeper, pass } = keep();
  clock.advance(200);
  t.equal(resident.times, 1, 'with the heap');
  await setImmediate();
  heap.busy = 0.9;
  resident.size = 58 * MIB - 1;
  pass(100);
  t.equal(resident.times, 1, 'too little');
  resident.size = 58 * MIB;
  pass(1);
  t.equal(resident.times, 2);
  await setImmediate();
  resident.size = 80 * MIB;
  pass(3);
  t.equal(resident.times, 2, 'it was just done');
  pass(1);
  t.equal(resident.times, 3);
  keeper.close();
  resident.size = 80 * MIB;
  pass(10);
  t.equal(resident.times, 3, 'it was closed');
});

t.test('also where requests came before it was ever quiet', async (t) => {
  const { clock, heap, resident, pass } = keep();
  heap.busy = 0.9;
  for (let i = 0; i < 19; i++) clock.advance(200);
  t.equal(resident.times, 0);
  clock.advance(200);
  t.equal(resident.times, 1);
  await setImmediate();
  pass(10);
  t.equal(resident.times, 1);
  t.equal(heap.shrinks, 0);
});

/** Given back behind a start, which took so long; it has grown since, and requests come. */
async function givenBackIn(tookMs: number): Promise<ReturnType<typeof keep>> {
  const kept = keep();
  kept.resident.tookMs = tookMs;
  kept.clock.advance(200);
  await setImmediate();
  kept.heap.busy = 0.9;
  kept.resident.size = 90 * MIB;
  return kept;
}

t.test('what took very long, such as where it was stopped meanwhile, is done again in a minute', async (t) => {
  const { resident, pass } = await givenBackIn(40_000);
  pass(59);
  t.equal(resident.times, 1);
  pass(1);
  t.equal(resident.times, 2);
});

t.test('what is still given back is not begun a second time', async (t) => {
  const { clock, heap, resident, pass } = keep();
  const { promise, resolve } = Promise.withResolvers<void>();
  resident.until = promise;
  heap.busy = 0.9;
  for (let i = 0; i < 20; i++) clock.advance(200);
  t.equal(resident.times, 1);
  resident.size = 90 * MIB;
  for (let i = 0; i < 200; i++) clock.advance(200);
  t.equal(resident.times, 1);
  resolve();
  await setImmediate();
  resident.size = 90 * MIB;
  pass(4);
  t.equal(resident.times, 2);
});

t.test('what takes long is done seldom, and where nobody can say what is held nothing is', async (t) => {
  const { resident, pass } = await givenBackIn(200);
  pass(19);
  t.equal(resident.times, 1);
  resident.size = undefined;
  pass(10);
  t.equal(resident.times, 1);
  resident.size = 90 * MIB;
  pass(1);
  t.equal(resident.times, 2);
  resident.size = undefined;
  await setImmediate();
  resident.size = 90 * MIB;
  pass(20);
  t.equal(resident.times, 3, 'what was left the last time still counts');
});
