/** When the heap of the loop is made small, in a time of the test's own. */
import t from 'tap';
import { HeapKeeper } from '../../src/cli/heap-keeper.ts';
import type { Heap } from '../../src/core/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';

const MIB = 2 ** 20;

function keep() {
  const clock = new ManualClock();
  const heap = { busy: 0, newSpace: 2 * MIB, shrinks: 0, growing: [] as boolean[] };
  const asHeap: Heap = {
    newSpaceBytes: () => heap.newSpace,
    setGrowing: (isGrowing) => void heap.growing.push(isGrowing),
    shrink: () => void heap.shrinks++,
    mark: () => clock.now(),
    busyShare(since) {
      if (typeof since !== 'number' || since >= clock.now()) throw new Error('not a mark of before');
      return heap.busy;
    },
  };
  const keeper = new HeapKeeper({ clock, timers: clock, heap: asHeap });
  const pass = (seconds: number): void => {
    for (let i = 0; i < seconds; i++) clock.advance(1000);
  };
  return { clock, heap, keeper, pass };
}

t.test('what a start left behind is given back soon after it, once', (t) => {
  const { clock, heap, pass } = keep();
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

t.test('under load nothing is collected; when it is over everything is, at most once a minute', (t) => {
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
