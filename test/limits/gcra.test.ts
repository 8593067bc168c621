/** The arithmetic of one bucket, against an exact model in whole numbers. */
import fc from 'fast-check';
import t from 'tap';
import { Gcra } from '../../src/limits/gcra.ts';

const SEED = 42;

/** A token bucket in integers: `units` in `windowSec` seconds is `units` quanta a millisecond when a unit is `1000 · windowSec` quanta. */
class ExactBucket {
  readonly #units: bigint;
  readonly #quanta: bigint;
  readonly #full: bigint;
  #level: bigint;

  constructor(units: number, windowSec: number, burst: number) {
    this.#units = BigInt(units);
    // Costs are quarters.
    this.#quanta = 4n * 1000n * BigInt(windowSec);
    this.#full = this.#of(burst);
    this.#level = this.#full;
  }

  pass(ms: number): void {
    const level = this.#level + 4n * this.#units * BigInt(ms);
    this.#level = level < this.#full ? level : this.#full;
  }

  /** Quanta that are missing; 0 or less when the cost conforms. */
  missing(cost: number): bigint {
    const price = this.#of(cost);
    return price > this.#full ? this.#full - this.#level : price - this.#level;
  }

  take(cost: number): void {
    this.#level -= this.#of(cost);
  }

  /** Whole ms until the cost conforms. */
  waitMs(cost: number): number {
    const missing = this.missing(cost);
    const perMs = 4n * this.#units;
    return missing <= 0n ? 0 : Number((missing + perMs - 1n) / perMs);
  }

  #of(units: number): bigint {
    return (BigInt(units * 4) * this.#quanta) / 4n;
  }
}

const limit = fc.record({
  units: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 100_000 })),
  windowSec: fc.constantFrom(1, 60, 3600, 86_400),
  burst: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 100_000 })),
});
const arrival = fc.record({
  gapMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 500 }), fc.integer({ min: 0, max: 100_000_000 })),
  cost: fc.constantFrom(1, 1, 1, 2, 0.25, 3.5, 40),
  /** Wait as long as the model says, to the ms: the closest to the edge that a whole number of ms can be. */
  waits: fc.boolean(),
});

t.test('GCRA decides as an exact token bucket does, to the millisecond', async (t) => {
  let decisions = 0;
  let refusals = 0;
  fc.assert(
    fc.property(limit, fc.array(arrival, { minLength: 1, maxLength: 100 }), ({ units, windowSec, burst }, arrivals) => {
      const gcra = new Gcra(1);
      const rate = { perSec: units / windowSec, burst };
      const exact = new ExactBucket(units, windowSec, burst);
      let now = 1000;
      for (const { gapMs, cost, waits } of arrivals) {
        const pass = waits ? exact.waitMs(cost) : gapMs;
        now += pass;
        exact.pass(pass);
        decisions++;
        const conforms = gcra.waitMs(0, rate, cost, now) === 0;
        if (conforms !== exact.missing(cost) <= 0n) return false;
        if (!conforms) {
          refusals++;
          continue;
        }
        gcra.take(0, rate, cost, now, cost);
        exact.take(cost);
      }
      return true;
    }),
    { seed: SEED, numRuns: 1000 },
  );
  t.ok(refusals > decisions / 20, `${decisions} decisions, ${refusals} refused, seed ${SEED}`);
});

t.test('who waits exactly as long as told is admitted, who waits less is not, whatever the clock says', async (t) => {
  const rates = fc.record({
    perSec: fc.oneof(
      fc.double({ min: 1 / 86_400, max: 10, noNaN: true }),
      fc.double({ min: 1, max: 1e6, noNaN: true }),
    ),
    burst: fc.double({ min: 1, max: 1e9, noNaN: true }),
  });
  fc.assert(
    fc.property(
      rates,
      fc.double({ min: 0.25, max: 1e6, noNaN: true }),
      fc.integer({ min: 0, max: 10_000_000_000 }),
      (rate, cost, start) => {
        const gcra = new Gcra(1);
        gcra.take(0, rate, rate.burst, start, 0);
        gcra.take(0, rate, cost, start, cost);
        const waitMs = gcra.waitMs(0, rate, cost, start);
        // A clock that runs for months tells no less than some ns apart.
        const earlyMs = waitMs * 0.999 - 0.01;
        const isEarlyRefused = earlyMs <= 0 || gcra.waitMs(0, rate, cost, start + earlyMs) > 0;
        return waitMs > 0 && isEarlyRefused && gcra.waitMs(0, rate, cost, start + waitMs) === 0;
      },
    ),
    { seed: SEED, numRuns: 2000 },
  );
  t.pass(`seed ${SEED}`);
});

t.test('tiny and huge rates', async (t) => {
  const gcra = new Gcra(2);
  const daily = { perSec: 1 / 86_400, burst: 1 };
  t.equal(gcra.waitMs(0, daily, 1, 5), 0);
  gcra.take(0, daily, 1, 5, 1);
  t.equal(gcra.waitMs(0, daily, 1, 5), 86_400_000);
  t.ok(gcra.waitMs(0, daily, 1, 86_400_004) > 0);
  t.equal(gcra.waitMs(0, daily, 1, 86_400_005), 0);
  const huge = { perSec: 1e9, burst: 1e9 };
  // A hundred days up: one unit is shorter than the clock can tell.
  const now = 8_640_000_000;
  for (let i = 0; i < 1000; i++) gcra.take(1, huge, 1e6, now, 0);
  t.equal(gcra.left(1, huge, now), 0);
  t.ok(gcra.waitMs(1, huge, 1000, now) > 0);
  t.equal(gcra.left(1, huge, now + 500), 5e8);
});

t.test('no drift: after many requests as many were admitted as the limit says', async (t) => {
  // Of a rate whose interval no double can say, on a clock whose fractions round: each step of an arrival time would round the same way.
  const requests = 4_000_000;
  for (const perSec of [3e5, 7e6]) {
    const rate = { perSec, burst: 10 };
    const gcra = new Gcra(1);
    const start = 8_640_000_000;
    let admitted = 0;
    let now = start;
    for (let i = 0; i < requests; i++) {
      now = start + (i * 500) / perSec;
      if (gcra.waitMs(0, rate, 1, now) > 0) continue;
      gcra.take(0, rate, 1, now, 1);
      admitted++;
    }
    const allowed = ((now - start) * perSec) / 1000 + rate.burst;
    t.ok(Math.abs(admitted - allowed) < 5, `${admitted} of ${allowed} at ${perSec}/s`);
  }
});

t.test('a debt is bounded, and drains', async (t) => {
  const gcra = new Gcra(1);
  const rate = { perSec: 10, burst: 5 };
  gcra.take(0, rate, 1000, 1000, 7);
  t.equal(gcra.left(0, rate, 1000), -7);
  t.equal(gcra.waitMs(0, rate, 1, 1000), 800);
  t.equal(gcra.fullAt(0, 10), 2200);
  t.equal(gcra.left(0, rate, 2200), 5);
  t.equal(gcra.left(0, rate, 9999), 5, 'never more than the burst');
});

t.test('a clock that is set back neither gives anything nor locks anyone out for the whole jump', async (t) => {
  const gcra = new Gcra(1);
  const rate = { perSec: 10, burst: 5 };
  gcra.take(0, rate, 5, 3_600_000, 0);
  t.equal(gcra.waitMs(0, rate, 1, 1000), 100);
  t.equal(gcra.waitMs(0, rate, 1, 1100), 0);
  gcra.take(0, rate, 1, 1100, 0);
  t.equal(gcra.left(0, rate, 1600), 5);
});

t.test('a limit that changes keeps what was spent, up to the new burst', async (t) => {
  const before = { perSec: 10, burst: 100 };
  const spent = (after: { perSec: number; burst: number }): number => {
    const gcra = new Gcra(1);
    gcra.take(0, before, 80, 0, 0);
    gcra.settle(0, before, after, 1000);
    return after.burst - gcra.left(0, after, 1000);
  };
  t.equal(spent({ perSec: 1000, burst: 200 }), 70);
  t.equal(spent({ perSec: 1, burst: 200 }), 70);
  t.equal(spent({ perSec: 10, burst: 5 }), 5);
});

t.test('a request of an older generation reads by its own rate, and changes nothing for the others', async (t) => {
  const gcra = new Gcra(1);
  const old = { perSec: 10, burst: 1 };
  const rate = { perSec: 1000, burst: 1000 };
  gcra.take(0, rate, 900, 0, 0);
  for (let i = 0; i < 10; i++) {
    t.ok(gcra.waitMs(0, old, 1, 0) > 0);
    gcra.left(0, old, 0);
  }
  t.equal(gcra.left(0, rate, 0), 100);
});

t.test('slots are kept when there are more of them, and are of their own', async (t) => {
  const gcra = new Gcra(1);
  const rate = { perSec: 1, burst: 10 };
  gcra.take(0, rate, 4, 0, 0);
  gcra.grow(100);
  gcra.take(99, rate, 7, 0, 0);
  t.same(
    [0, 1, 99].map((slot) => gcra.left(slot, rate, 0)),
    [6, 10, 3],
  );
  gcra.forget(0);
  t.equal(gcra.left(0, rate, 0), 10);
});
