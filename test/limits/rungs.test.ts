/** The rung that a tenant is on: it does not come and go with each request, and nobody is refused or delayed by it. */
import fc from 'fast-check';
import t from 'tap';
import { Gcra } from '../../src/limits/gcra.ts';
import { plan, route, tenant, type World, world } from './world.ts';

const SEED = 42;
const FEATURES = { features: ['no-extras'] };
const LESS = '2; features="no-extras"';
const rate = { rate: { requests: { limit: '100/s', burst: 10 } } };

/** One request: what became of it, and what the application was told. */
function one(w: World, path = '/'): { decision: string; told: string; isDelayed: boolean } {
  const { x, verdict, done } = w.ask('acme', { path });
  done();
  const isDelayed = verdict instanceof Promise;
  const decision = verdict === undefined || isDelayed ? (x.grant?.decision ?? 'none') : verdict.code;
  return { decision, told: x.injected.join(' '), isDelayed };
}

/** So many requests a second for so long; how often each decision. */
function send(w: World, perSec: number, ms: number, path?: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let left = Math.round((perSec * ms) / 1000); left > 0; left--) {
    const { decision } = one(w, path);
    counts[decision] = (counts[decision] ?? 0) + 1;
    w.clock.advance(1000 / perSec);
  }
  return counts;
}

t.test('a burst is degraded where it has to be, and the next request is not', async (t) => {
  const w = await world(plan('free', { ...rate, degrade: [FEATURES, 'reject'] }));
  t.same(send(w, 1000, 14), { pass: 8, notice: 3, degrade: 3 });
  w.clock.advance(200);
  t.equal(one(w).decision, 'pass');
});

t.test('who needs a rung for a second stays on it, every request, until five after the last that did', async (t) => {
  const w = await world(plan('free', { ...rate, degrade: [FEATURES, 'reject'] }));
  const first = send(w, 150, 1000);
  t.ok(
    (first['notice'] as number) > 60 && (first['degrade'] as number) > 30,
    `by turns at first: ${JSON.stringify(first)}`,
  );
  send(w, 150, 300);
  t.same(send(w, 150, 2000), { degrade: 300 }, 'and all of them then, refused none');
  // Within its limit, which is a second's rest and 80 a second.
  t.same(send(w, 80, 4900), { degrade: 392 });
  t.equal(one(w).told, `x-tenant-degrade ${LESS}`);
  w.clock.advance(200);
  t.same(one(w), { decision: 'pass', told: '', isDelayed: false });
});

t.test('a request within the limit that is served less is paid by the limit', async (t) => {
  const w = await world(plan('free', { ...rate, degrade: [FEATURES, 'reject'] }));
  send(w, 150, 2000);
  w.clock.advance(1000);
  t.same(send(w, 1e6, 0.02), { degrade: 20 }, 'the burst of the limit, and that of the other allowance');
  t.equal(one(w).decision, 'quota-exceeded', 'at once, when nothing has room');
});

t.test('one rung after the other, up and down', async (t) => {
  const w = await world(plan('free', { ...rate, degrade: ['deprioritize', FEATURES, 'reject'] }));
  send(w, 150, 1200);
  t.same(send(w, 150, 1000), { deprioritize: 150 });
  t.equal(one(w).told, 'x-tenant-priority low');
  const heavier = send(w, 250, 1000);
  t.ok((heavier['deprioritize'] as number) > 150 && (heavier['degrade'] as number) > 30, JSON.stringify(heavier));
  send(w, 250, 300);
  t.same(send(w, 250, 1000), { degrade: 250 });
  t.same(send(w, 150, 4900), { degrade: 735 });
  w.clock.advance(100);
  t.same(send(w, 150, 1000), { deprioritize: 150 }, 'the lighter one bears that');
  w.clock.advance(5000);
  t.equal(one(w).decision, 'pass');
});

t.test('what waits, or is paid from the bank, is served as its tenant is', async (t) => {
  const w = await world(
    plan('free', {
      rate: { requests: { limit: '100/s', burst: 10, credits: { earn: '100%', cap: '1s' } } },
      degrade: ['credit', { shape: '50ms' }, FEATURES, 'reject'],
    }),
  );
  send(w, 200, 2000);
  await w.clock.yieldLoop();
  w.clock.advance(20);
  const waited = Array.from({ length: 20 }, () => one(w)).filter(({ isDelayed }) => isDelayed);
  t.ok(waited.length > 0 && waited.every(({ told }) => told === `x-tenant-degrade ${LESS}`), `${waited.length} waited`);
  w.clock.advance(1000);
  const banked = Array.from({ length: 30 }, () => one(w));
  t.same(new Set(banked.map(({ decision }) => decision)), new Set(['degrade']));
  t.same(new Set(banked.map(({ isDelayed }) => isDelayed)), new Set([false]), 'the bank paid: nobody waits');
});

t.test(
  'a route with a degraded upstream goes there, others leave features out; what is critical or free stays whole',
  async (t) => {
    const w = await world(
      plan('free', { ...rate, degrade: [{ route: 'degraded' }, FEATURES, 'reject'] }),
      undefined,
      route('lite', { match: { path: '/lite' }, degraded: { upstream: 'lite' } }) +
        route('pay', { match: { path: '/pay' }, critical: true }) +
        route('free', { match: { path: '/free' }, cost: 0 }),
    );
    send(w, 150, 1500);
    t.same(one(w, '/lite'), { decision: 'degrade', told: 'x-tenant-degrade 2', isDelayed: false });
    const { x, done } = w.ask('acme', { path: '/lite' });
    done();
    t.ok(x.grant?.useDegradedRoute);
    t.equal(one(w).told, `x-tenant-degrade ${LESS}`);
    t.equal(one(w, '/pay').decision, 'notice');
    w.clock.advance(1000);
    for (const path of ['/pay', '/free']) t.equal(one(w, path).decision, 'notice', path);
    t.equal(one(w).decision, 'degrade');
  },
);

t.test('a rung that serves some routes alone leaves the others as they were', async (t) => {
  const lite = route('lite', { match: { path: '/lite' }, degraded: { upstream: 'lite' } });
  const w = await world(
    plan('free', { ...rate, degrade: ['deprioritize', { route: 'degraded' }, 'reject'] }),
    undefined,
    lite,
  );
  send(w, 250, 2500, '/lite');
  w.clock.advance(100);
  t.equal(one(w, '/lite').decision, 'degrade');
  t.equal(one(w).decision, 'deprioritize');
  // On the first rung alone: where it serves nothing, nobody is on any.
  w.clock.advance(10_000);
  const turned = plan('free', { ...rate, degrade: [{ route: 'degraded' }, 'deprioritize', 'reject'] });
  await w.load(turned, tenant('acme'), lite);
  send(w, 150, 1500, '/lite');
  w.clock.advance(1000);
  t.equal(one(w, '/lite').decision, 'degrade');
  t.equal(one(w).decision, 'notice');
});

t.test('refusals hold a tenant on the rung as well: a small limit admits less than one a second', async (t) => {
  const small = { rate: { requests: { limit: '20/min', burst: 1 } } };
  const w = await world(plan('free', { ...small, degrade: [FEATURES, 'reject'] }));
  send(w, 5, 1400);
  t.same(send(w, 5, 6000), { degrade: 4, 'quota-exceeded': 26 });
});

t.test(
  'who is over a rate that the rung is not for, over a strict one, or has too much in flight, is on none',
  async (t) => {
    const limited = route('r', { match: { path: '/r' }, rate: { requests: { limit: '10/s', burst: 1 } } });
    const w = await world(
      plan('free', { ...rate, degrade: [FEATURES, 'reject'] }) +
        plan('narrow', { ...rate, concurrency: 1, degrade: [FEATURES, 'reject'] }),
      tenant('acme') + tenant('narrow', { plan: 'narrow' }),
      limited,
    );
    send(w, 50, 2000, '/r');
    t.equal(one(w).decision, 'notice');
    // Beside one that comes to the rung.
    w.clock.advance(10_000);
    const held = w.ask('narrow');
    for (let i = 0; i < 200; i++) {
      t.equal(w.one('narrow'), 'concurrency-exceeded');
      send(w, 200, 10);
    }
    t.equal(one(w).decision, 'degrade');
    held.done();
    t.equal(w.one('narrow'), 'notice');
    const strict = { rate: { requests: { limit: '100/s', burst: 10, strict: true } } };
    await w.load(plan('free', { ...strict, degrade: ['deprioritize', FEATURES, 'reject'] }), tenant('acme'));
    w.clock.advance(10_000);
    send(w, 150, 2000);
    w.clock.advance(100);
    t.equal(one(w).decision, 'notice');
  },
);

t.test('a ladder that has the rung no more, or behind its end, holds nobody on it', async (t) => {
  const w = await world(plan('free', { ...rate, degrade: ['deprioritize', FEATURES, 'reject'] }));
  send(w, 250, 2500);
  await w.load(plan('free', { ...rate, degrade: ['reject', FEATURES] }), tenant('acme'));
  w.clock.advance(1000);
  t.equal(one(w).decision, 'notice');
  await w.load(plan('free', { ...rate, degrade: ['deprioritize', FEATURES, 'reject'] }), tenant('acme'));
  t.equal(one(w).decision, 'degrade');
  await w.load(plan('free', { ...rate, degrade: ['deprioritize', FEATURES, 'reject'] }), tenant('globex'));
  t.equal(w.one('globex'), 'pass', 'who comes to the slot is on none');
});

t.test('an explanation names the rung, and does not keep anybody on it', async (t) => {
  const w = await world(plan('free', { ...rate, degrade: [FEATURES, 'reject'] }));
  const explain = () => w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' }).wouldGet;
  send(w, 150, 1500);
  w.clock.advance(4000);
  t.same(explain(), {
    decision: 'degrade',
    because: 'within every limit, but on this rung within the last 5 s',
    waitMs: 0,
    over: 'nothing',
    rung: 'features: no-extras',
  });
  w.clock.advance(1000);
  t.match(explain(), { decision: 'pass', because: 'within every limit' });
});

t.test('shadow counts what would be served less, and serves it whole', async (t) => {
  const w = await world(plan('free', { ...rate, shadow: true, degrade: [FEATURES, 'reject'] }));
  send(w, 150, 1500);
  w.clock.advance(1000);
  const { x } = w.ask('acme');
  t.same(x.grant, { decision: 'pass', useDegradedRoute: false, isShadowed: true });
  t.same(x.injected, []);
});

t.test(
  'whatever comes when: admitted and delayed as without a memory, and no service that comes and goes',
  async (t) => {
    const step = fc.record({
      gapMs: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 200, max: 1500 }), fc.constant(5100)),
      count: fc.integer({ min: 1, max: 12 }),
      times: fc.integer({ min: 1, max: 40 }),
    });
    let stayed = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async (steps) => {
        const w = await world(
          plan('free', { ...rate, degrade: [{ shape: '20ms' }, 'deprioritize', FEATURES, 'reject'] }),
        );
        const model = new Memoryless({ burst: 10, waitMsMax: 20, hasLow: true });
        const needs = { low: [] as number[], less: [] as number[] };
        for (const { gapMs, count, times } of steps)
          for (let i = 0; i < times * count; i++) {
            if (i % count === 0) {
              w.clock.advance(gapMs);
              // Who waited goes on.
              await w.clock.yieldLoop();
            }
            const now = w.clock.now();
            const expected = model.one(now);
            const { decision, isDelayed } = one(w);
            if ((decision === 'quota-exceeded') !== (expected === 'refuse')) return false;
            if (isDelayed !== (expected === 'shape')) return false;
            const [isLow, isLess] = [isOn(needs.low, now), isOn(needs.less, now)];
            if (isLow || isLess) stayed++;
            const service =
              expected === 'degrade' || isLess ? 'degrade' : isLow || expected === 'deprioritize' ? 'deprioritize' : '';
            if (
              expected !== 'refuse' &&
              service !== (decision === 'degrade' || decision === 'deprioritize' ? decision : '')
            )
              return false;
            if (['deprioritize', 'degrade', 'refuse'].includes(expected)) needs.low.push(now);
            if (['degrade', 'refuse'].includes(expected)) needs.less.push(now);
          }
        return true;
      }),
      { seed: SEED, numRuns: 60 },
    );
    t.ok(stayed > 1000, `${stayed} requests of a tenant on a rung, seed ${SEED}`);
  },
);

t.test('a tenant a little, and half over its rate: a minute and ten seconds with and without a memory', async (t) => {
  for (const perSec of [105, 150]) {
    const w = await world(
      plan('free', { rate: { requests: { limit: '100/s', burst: 100 } }, degrade: [FEATURES, 'reject'] }),
    );
    const model = new Memoryless({ burst: 100, waitMsMax: 0, hasLow: false });
    const [before, now] = [new Tally(), new Tally()];
    for (let left = 70 * perSec; left > 0; left--) {
      before.see(model.one(w.clock.now()));
      const { decision } = one(w);
      now.see(decision === 'quota-exceeded' ? 'refuse' : decision);
      w.clock.advance(1000 / perSec);
    }
    t.equal(now.refused, before.refused);
    t.ok(now.changes * 10 < before.changes);
    t.comment(`figure: at ${perSec}/s of 100/s ${now}; asked for each request by itself ${before}`);
  }
});

/** How often service was another than that of the request before. */
class Tally {
  changes = 0;
  refused = 0;
  #degraded = 0;
  #all = 0;
  #wasDegraded = false;

  see(decision: string): void {
    this.#all++;
    if (decision === 'refuse') {
      this.refused++;
      return;
    }
    const isDegraded = decision === 'degrade';
    if (isDegraded) this.#degraded++;
    if (isDegraded !== this.#wasDegraded) this.changes++;
    this.#wasDegraded = isDegraded;
  }

  toString(): string {
    return `${this.changes} changes of service, ${Math.round((100 * this.#degraded) / this.#all)} % degraded`;
  }
}

/** A ladder that is asked for each request by itself. */
class Memoryless {
  readonly #rate: { readonly perSec: number; readonly burst: number };
  readonly #waitMsMax: number;
  readonly #hasLow: boolean;
  readonly #limit = new Gcra(1);
  readonly #low = new Gcra(1);
  readonly #less = new Gcra(1);

  constructor({ burst, waitMsMax, hasLow }: { burst: number; waitMsMax: number; hasLow: boolean }) {
    this.#rate = { perSec: 100, burst };
    this.#waitMsMax = waitMsMax;
    this.#hasLow = hasLow;
  }

  one(now: number): 'pass' | 'shape' | 'deprioritize' | 'degrade' | 'refuse' {
    const waitMs = this.#limit.waitMs(0, this.#rate, 1, now);
    if (waitMs <= this.#waitMsMax) {
      this.#limit.take(0, this.#rate, 1, now, Number.POSITIVE_INFINITY);
      return waitMs === 0 ? 'pass' : 'shape';
    }
    for (const [kind, allowance] of [
      ['deprioritize', this.#low],
      ['degrade', this.#less],
    ] as const) {
      if (kind === 'deprioritize' && !this.#hasLow) continue;
      if (allowance.waitMs(0, this.#rate, 1, now) > 0) continue;
      allowance.take(0, this.#rate, 1, now, 0);
      return kind;
    }
    return 'refuse';
  }
}

/** Whether a second of it, without a second between two, is behind, and less than five since the last. */
function isOn(needs: readonly number[], now: number): boolean {
  let began = 0;
  let on = false;
  let last = Number.NEGATIVE_INFINITY;
  for (const at of needs) {
    if (at - last > 1000 && !(on && at - last < 5000)) began = at;
    on = at - began >= 1000;
    last = at;
  }
  return on && now - last < 5000;
}
