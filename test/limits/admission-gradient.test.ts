/** The limit that is learned: before an upstream that answers in a time of its own, and queues what is beyond its capacity. */
import fc from 'fast-check';
import t from 'tap';
import { Gradient } from '../../src/limits/admission/gradient.ts';

const BOUNDS = { min: 20, max: 256, tolerance: 1.5 };

/** Windows of exactly 100 ms: the eleventh answer closes one. */
class Upstream {
  readonly gradient: Gradient;
  now = 1000;

  constructor(bounds: Partial<typeof BOUNDS> = {}) {
    this.gradient = new Gradient({ ...BOUNDS, ...bounds });
  }

  /** `windows` windows of answers that took `ms`, while `peak` were unanswered at once. */
  answer(ms: number, peak: number, windows = 1): number {
    for (let i = 0; i < windows; i++) {
      for (let k = 0; k < 11; k++) {
        this.now += 10;
        this.gradient.sample(ms, this.now, peak);
      }
    }
    return this.gradient.limit;
  }

  /** As many at once as are asked for and allowed, before `capacity` at once that take `ms`. */
  work(capacity: number, ms: number, asked: number, windows: number): number {
    for (let i = 0; i < windows; i++) {
      const atOnce = Math.min(asked, this.gradient.limit);
      this.answer(ms * Math.max(1, atOnce / capacity), atOnce);
    }
    return this.gradient.limit;
  }
}

t.test('it begins at the most, and stays there while nothing is slower than usual', async (t) => {
  const at = new Upstream();
  t.equal(at.gradient.limit, 256);
  t.equal(at.gradient.usualMs, 0);
  t.equal(at.work(1000, 20, 500, 200), 256);
  t.ok(Math.abs(at.gradient.usualMs - 20) < 1e-9);
  t.equal(at.answer(29, 256, 100), 256, 'within the tolerance');
});

t.test('one update is that of Gradient2', async (t) => {
  const at = new Upstream();
  at.answer(10, 256, 20);
  // gradient ½: 256 · 0.8 + (256 · 0.5 + √256) · 0.2.
  t.equal(at.answer(30, 256), Math.floor(256 * 0.8 + (256 * 0.5 + 16) * 0.2));
  const fresh = new Upstream();
  fresh.answer(10, 256, 20);
  // gradient 1.5 · 10 / 20.
  t.equal(fresh.answer(20, 256), Math.floor(256 * 0.8 + (256 * 0.75 + 16) * 0.2));
});

t.test('overload lowers it to what the upstream can do and a queue of its root, and it does not drift', async (t) => {
  const at = new Upstream();
  at.work(64, 25, 30, 100);
  const soon = at.work(64, 25, 1000, 100);
  // The fixed point of limit = 1.5 · capacity + √limit.
  t.ok(soon > 96 && soon < 112, `${soon} after 10 s`);
  const late = at.work(64, 25, 1000, 36_000);
  t.ok(Math.abs(late - soon) <= 2, `${late} after an hour of overload`);
  t.ok(Math.abs(at.gradient.usualMs - 25) < 1);
  t.equal(at.work(1000, 25, 1000, 200), 256, 'and comes back when the upstream does');
});

t.test('never below the least and never above the most, whatever is answered', async (t) => {
  const windows = fc.array(fc.record({ ms: fc.double({ min: 0, max: 1e5, noNaN: true }), peak: fc.nat(300) }), {
    minLength: 1,
    maxLength: 200,
  });
  fc.assert(
    fc.property(windows, fc.integer({ min: 1, max: 300 }), (all, min) => {
      const at = new Upstream({ min });
      return all.every(({ ms, peak }) => {
        const limit = at.answer(ms, peak);
        return Number.isInteger(limit) && limit >= Math.min(min, 256) && limit <= 256;
      });
    }),
    { seed: 42, numRuns: 200 },
  );
  t.pass('seed 42');
});

t.test('a least that is the most is a fixed limit', async (t) => {
  const at = new Upstream({ min: 8, max: 8 });
  t.equal(at.work(1, 10, 100, 100), 8);
});

t.test('a round in which it was not the bound does not raise it; with few at once nothing lowers it', async (t) => {
  const at = new Upstream();
  at.answer(10, 256, 20);
  const low = at.answer(100, 256, 10);
  t.ok(low < 180);
  t.equal(at.answer(10, Math.floor(low / 2) - 1, 50), low);
  t.ok(at.answer(10, low, 50) > low);
  const quiet = new Upstream();
  quiet.answer(10, 5, 20);
  t.equal(quiet.answer(1000, 19, 20), 256, 'slow with fewer at once than are always allowed: no queue of ours');
  const half = new Upstream();
  half.answer(10, 100, 20);
  t.ok(half.answer(100, 100, 10) < 256, 'it begins high: what is below half of it may lower it');
});

t.test('an upstream that is slower from now on is given back what it had, by way of the least limit', async (t) => {
  const at = new Upstream();
  at.answer(10, 200, 100);
  // Three times as slow, and not by a queue: whatever the limit is.
  let windows = 0;
  let least = 256;
  for (; windows < 600; windows++) {
    const limit = at.answer(30, Math.min(200, at.gradient.limit));
    least = Math.min(least, limit);
    if (windows > 100 && limit >= 200) break;
  }
  t.equal(least, 20);
  t.ok(windows < 300, `${windows} windows`);
  t.ok(at.gradient.usualMs > 18, `${at.gradient.usualMs} ms`);
});

t.test('a spell of slowness is forgotten faster than it was learned', async (t) => {
  const at = new Upstream();
  at.answer(1000, 5, 20);
  at.answer(10, 5, 60);
  t.ok(at.gradient.usualMs < 100, `${at.gradient.usualMs} ms`);
});

t.test('idle changes nothing, and a window may take as long as it takes', async (t) => {
  const at = new Upstream();
  at.answer(10, 256, 20);
  at.now += 3_600_000;
  t.equal(at.answer(10, 256, 5), 256);
  for (let i = 0; i < 100; i++) {
    at.now += 5000;
    at.gradient.sample(12, at.now, 1);
  }
  t.ok(at.gradient.usualMs > 10 && at.gradient.usualMs < 12);
  t.equal(at.gradient.limit, 256);
});

t.test('of a window the median counts: a few that are slow by design are no queue', async (t) => {
  const at = new Upstream();
  at.answer(10, 256, 20);
  for (let i = 0; i < 400; i++) {
    for (let k = 0; k < 130; k++) {
      at.now += 1;
      at.gradient.sample(k % 4 === 0 ? 30_000 : 10, at.now, 256);
    }
  }
  t.equal(at.gradient.limit, 256);
});
