/** What can be done about the size of a heap, on this test's own. */
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { systemHeap } from '../../src/core/index.ts';

const newSpaceMb = (): number => systemHeap.newSpaceBytes() / 2 ** 20;

/** Objects of which all of one round survive several collections of new space. */
function work(rounds: number): void {
  let kept: object[] = [];
  for (let round = 0; round < rounds; round++) {
    kept = [];
    for (let i = 0; i < 20_000; i++) kept.push({ round, i, more: [i] });
  }
  if (kept.length === 0) throw new Error('nothing was made');
}

/** Until new space is so large; which it is at a moment is V8's to say. One that may not grow is soon 2 MB again, one that may is 32 and more. */
function workUntil(isSo: (mb: number) => boolean): boolean {
  for (let times = 0; times < 20; times++) {
    work(50);
    if (isSo(newSpaceMb())) return true;
  }
  return false;
}

t.test('new space is made small, stays small while it must not grow, and grows again when it may', (t) => {
  const isLarge = (mb: number): boolean => mb > 24;
  t.ok(workUntil(isLarge), `${newSpaceMb()} MB`);
  systemHeap.shrink();
  t.ok(newSpaceMb() <= 2, `${newSpaceMb()} MB`);
  systemHeap.setGrowing(false);
  t.ok(
    workUntil((mb) => mb <= 2),
    `${newSpaceMb()} MB`,
  );
  t.notOk(workUntil(isLarge), `${newSpaceMb()} MB`);
  systemHeap.setGrowing(true);
  t.ok(workUntil(isLarge), `${newSpaceMb()} MB`);
  t.end();
});

t.test('what is dropped is collected at once, and no new context is given the collector afterwards', (t) => {
  let dropped: Float64Array[] | undefined = Array.from({ length: 100 }, () => new Float64Array(2 ** 13));
  const weak = new WeakRef(dropped);
  dropped = undefined;
  return new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
    systemHeap.shrink();
    t.equal(weak.deref(), undefined);
    t.equal(runInNewContext('typeof gc'), 'undefined');
    t.end();
  });
});

t.test('the share of time in which the loop works is told', async (t) => {
  let mark = systemHeap.mark();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const idle = systemHeap.busyShare(mark);
  mark = systemHeap.mark();
  for (const until = performance.now() + 50; performance.now() < until; );
  await new Promise((resolve) => setImmediate(resolve));
  const busy = systemHeap.busyShare(mark);
  t.ok(idle < 0.5, `${idle}`);
  t.ok(busy > 0.5, `${busy}`);
});
