/** What the micro-benchmarks measure with. */
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { bytesOf } from '../../bench/micro/allocation.ts';

/** Seen from outside, so that nothing of it is left out by the compiler. */
let kept: unknown;

t.test('what is allocated is measured, and nothing is nothing', async (t) => {
  // 8 bytes of each number, and the array's two heads.
  const allocate = (): void => void (kept = new Array<number>(126).fill(0.5));
  let count = 0;
  const work = (): void => void (count = (count + 1) & 1023);
  for (let i = 0; i < 100_000; i++) {
    allocate();
    work();
  }
  const bytes = bytesOf(allocate);
  t.ok(bytes > 950 && bytes < 1150, `1 KiB: ${bytes}`);
  t.equal(bytesOf(work), 0);
  t.ok(kept !== undefined && count >= 0);
});

t.test('a heap that shrinks is no measurement', async (t) => {
  bytesOf(() => {});
  const collect = runInNewContext('gc') as () => void;
  const held = Array.from({ length: 9 }, () => new Array<number>(100_000).fill(0.5));
  let calls = 0;
  const release = (): void => {
    if (++calls % 256 !== 0) return;
    held.pop();
    collect();
  };
  t.throws(() => bytesOf(release), { message: /the heap shrank in [5-9] of 9 rounds/ });
});
