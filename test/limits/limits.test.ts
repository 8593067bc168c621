import t from 'tap';
import type { Reply } from '../../src/pipeline/index.ts';
import { PLANS_MAX } from '../../src/telemetry/index.ts';
import { plan, route, tenant, world } from './world.ts';

const rate = (limit: string, burst: number, more: object = {}) => ({ rate: { requests: { limit, burst, ...more } } });
const many = (count: number, each: () => string): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const got = each();
    counts[got] = (counts[got] ?? 0) + 1;
  }
  return counts;
};

t.test('a burst passes, what is over is refused, and time gives back at the rate', async (t) => {
  const w = await world(plan('free', { ...rate('10/s', 5), degrade: ['reject'] }));
  t.same(
    many(8, () => w.one('acme')),
    { pass: 4, notice: 1, 'quota-exceeded': 3 },
  );
  w.clock.advance(200);
  t.same(
    many(5, () => w.one('acme')),
    { pass: 1, notice: 1, 'quota-exceeded': 3 },
  );
  w.clock.advance(60_000);
  t.equal(many(10, () => w.one('acme'))['quota-exceeded'], 5, 'never more than the burst');
});

t.test('one tenant spends nothing of another', async (t) => {
  const w = await world(plan('free', { ...rate('10/s', 5), degrade: ['reject'] }));
  many(50, () => w.one('acme'));
  t.equal(many(5, () => w.one('globex'))['quota-exceeded'], undefined);
});

t.test('a refusal says when to come again, which policy was violated, and what is left', async (t) => {
  const w = await world(plan('free', { ...rate('90/min', 3), degrade: ['reject'], concurrency: 10 }));
  const asked = [1, 2, 3, 4].map(() => w.ask('acme'));
  t.match(asked[3]?.verdict, { code: 'quota-exceeded', members: { 'violated-policies': ['requests'] } });
  t.ok(Math.abs((((asked[3] as (typeof asked)[number]).verdict as unknown as Reply).retryAfterMs as number) - 667) < 1);
  t.same(asked[3]?.headers().raw, [
    'RateLimit-Policy',
    '"requests";q=90;w=60, "concurrency";q=10;qu="concurrent-requests"',
    'RateLimit',
    '"requests";r=0;t=2, "concurrency";r=7',
  ]);
  t.equal(
    asked[3]?.headers().first('ratelimit-policy'),
    '"requests";q=90;w=60, "concurrency";q=10;qu="concurrent-requests"',
    'made once',
  );
});

t.test('no limit, no header', async (t) => {
  const w = await world(plan('free'));
  const asked = w.ask('acme');
  t.equal(asked.verdict, undefined);
  t.equal(asked.headers().count, 0);
  asked.done();
});

t.test('routes cost what they cost, and what costs more than the burst passes when the bucket is full', async (t) => {
  const w = await world(
    plan('free', { ...rate('10/s', 5), degrade: ['reject'] }),
    undefined,
    route('dear', { match: { path: '/dear' }, cost: 4 }) +
      route('huge', { match: { path: '/huge' }, cost: 20 }) +
      route('free', { match: { path: '/free' }, cost: 0 }),
  );
  t.equal(w.one('acme', '/dear'), 'pass');
  t.equal(w.one('acme', '/dear'), 'quota-exceeded');
  t.equal(w.one('acme', '/free'), 'pass', 'a route that costs nothing is left');
  w.clock.advance(10_000);
  t.equal(w.one('acme', '/huge'), 'notice');
  t.equal(w.one('acme'), 'quota-exceeded', 'and leaves a debt');
});

t.test('nested limits: all are checked before any is taken', async (t) => {
  const w = await world(
    plan('free', { ...rate('10/s', 10), degrade: ['reject'] }),
    undefined,
    route('export', { match: { path: '/export' }, rate: { requests: { limit: '1/s', burst: 2 } } }),
  );
  t.same(
    many(6, () => w.one('acme', '/export')),
    { pass: 2, 'quota-exceeded': 4 },
  );
  t.match(w.ask('acme', { path: '/export' }).verdict, { detail: /rate of this route/ });
  t.equal(many(8, () => w.one('acme'))['quota-exceeded'], undefined, 'the four refusals spent nothing of the tenant');
  t.equal(w.one('globex', '/export'), 'pass', 'a route limit is for each tenant');
  await w.load(plan('free', { ...rate('10/s', 10), degrade: ['reject'] }), tenant('acme') + tenant('globex'));
  t.ok(w.snapshot.routes.length === 0);
});

t.test('concurrency is given back exactly once, however the exchange ends', async (t) => {
  const w = await world(plan('free', { concurrency: 2 }));
  const [a, b, c] = [w.ask('acme'), w.ask('acme'), w.ask('acme')];
  t.match(c.verdict, { code: 'concurrency-exceeded', retryAfterMs: 1000 });
  c.done();
  t.match(w.ask('acme').verdict, { code: 'concurrency-exceeded' }, 'a refusal gives nothing back');
  a.done();
  t.equal(w.ask('acme').verdict, undefined);
  b.done();
});

t.test('banked credit pays before anything is degraded, and is earned only by what was not used', async (t) => {
  const w = await world(
    plan('free', { ...rate('10/s', 5, { credits: { earn: '20%', cap: '10s' } }), degrade: ['credit', 'reject'] }),
  );
  w.one('acme');
  w.clock.advance(600);
  t.same(
    many(9, () => w.one('acme')),
    { pass: 4, notice: 1, credit: 1, 'quota-exceeded': 3 },
    '0.5 s idle at 10/s earns 20 % of 5',
  );
  w.clock.advance(3_600_000);
  t.equal(many(200, () => w.one('acme'))['credit'], 100, 'the bank holds 10 s of the limit');
});

t.test('shaping delays until the limit allows, in order, within its bound', async (t) => {
  const w = await world(plan('free', { ...rate('10/s', 1), degrade: [{ shape: '250ms' }, 'reject'] }));
  t.equal(w.one('acme'), 'notice');
  const shaped = [w.ask('acme'), w.ask('acme')];
  t.ok(shaped.every(({ verdict, x }) => verdict instanceof Promise && x.grant?.decision === 'shape'));
  t.match(w.ask('acme').verdict, { code: 'quota-exceeded' }, 'the third would wait 300 ms');
  const order: number[] = [];
  shaped.forEach(({ verdict }, at) => void (verdict as Promise<unknown>).then(() => order.push(at)));
  w.clock.advance(100);
  await w.clock.yieldLoop();
  t.same(order, [0]);
  t.match(w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' }), {
    waiting: 1,
    concurrency: { inFlight: 2 },
  });
  w.clock.advance(100);
  await w.clock.yieldLoop();
  t.same(order, [0, 1]);
  for (const each of shaped) each.done();
});

t.test('no more wait than may, and a tenant that went while one waited is not counted', async (t) => {
  const w = await world(plan('free', { ...rate('1000/s', 1), degrade: [{ shape: '10s' }, 'reject'] }));
  w.one('acme');
  const all = Array.from({ length: 70 }, () => w.ask('acme'));
  t.equal(all.filter(({ verdict }) => verdict instanceof Promise).length, 64);
  await w.load(plan('free'), tenant('globex'));
  w.clock.advance(20_000);
  await w.clock.yieldLoop();
  for (const each of all) each.done();
  t.pass('what was given back late changed nothing of anyone');
});

t.test('degraded service instead of a refusal, with an allowance of its own', async (t) => {
  const w = await world(
    plan('free', { ...rate('10/s', 2), degrade: [{ features: ['no-extras', 'small'] }, 'reject'] }),
  );
  t.same(
    many(6, () => w.one('acme')),
    { pass: 1, notice: 1, degrade: 2, 'quota-exceeded': 2 },
  );
  w.clock.advance(1000);
  many(2, () => w.one('acme'));
  const degraded = w.ask('acme');
  t.same(degraded.x.injected, ['x-tenant-degrade', '2; features="no-extras small"']);
  t.same(degraded.x.grant, { decision: 'degrade', useDegradedRoute: false, isShadowed: false });
});

t.test('the degraded route is for routes that have one', async (t) => {
  const w = await world(
    plan('free', { ...rate('10/s', 1), degrade: [{ route: 'degraded' }, 'reject'] }),
    undefined,
    route('a', { match: { path: '/a' }, degraded: { upstream: 'lite' } }),
  );
  w.one('acme');
  t.match(w.ask('acme', { path: '/b' }).verdict, { code: 'quota-exceeded' });
  const { x } = w.ask('acme', { path: '/a' });
  t.ok(x.grant?.useDegradedRoute);
  t.same(x.injected, ['x-tenant-degrade', '2']);
});

t.test('critical routes are counted, and never refused', async (t) => {
  const w = await world(
    plan('free', { ...rate('10/s', 1), concurrency: 1, degrade: ['reject'] }),
    undefined,
    route('health', { match: { path: '/health' }, critical: true }),
  );
  const held = w.ask('acme');
  t.same(
    many(20, () => w.one('acme', '/health')),
    { notice: 20 },
  );
  held.done();
  t.equal(w.one('acme'), 'quota-exceeded', 'they were counted');
  w.clock.advance(60_000);
  t.equal(w.one('acme', '/health'), 'notice');
});

t.test('a tenant that stays over its limit is told so with every request, until it rested', async (t) => {
  const w = await world(plan('free', { ...rate('10/s', 10), degrade: ['reject'] }));
  for (let i = 0; i < 30; i++) {
    many(5, () => w.one('acme'));
    w.clock.advance(100);
  }
  w.clock.advance(3000);
  t.equal(w.one('acme'), 'notice', 'full again, but lately over for long');
  t.same(w.ask('acme').x.injected, ['x-tenant-degrade', '1']);
  w.clock.advance(6000);
  t.equal(w.one('acme'), 'pass');
});

t.test('response bytes are debited when they are known', async (t) => {
  const w = await world(
    plan('free', {
      rate: { egress: { limit: '1KiB/s' } },
      degrade: [{ features: ['x'] }, 'credit', { shape: '100ms' }, 'reject'],
    }),
  );
  w.ask('acme').done(4096);
  t.match(w.ask('acme').verdict, { code: 'quota-exceeded', detail: /response rate of 1KiB\/s/, retryAfterMs: 3000 });
  w.clock.advance(2950);
  t.ok(w.ask('acme').verdict instanceof Promise, 'shaped at the end');
  w.clock.advance(2000);
  t.equal(w.ask('acme').verdict, undefined);
  w.ask('acme').done(10_000_000);
  t.ok(((w.ask('acme').verdict as Reply).retryAfterMs as number) <= 60_000, 'a debt has a bound');
});

t.test('shadow decides and counts, and refuses nothing', async (t) => {
  const w = await world(plan('free', { ...rate('10/s', 1), concurrency: 1, degrade: ['reject'], shadow: true }));
  const asked = Array.from({ length: 5 }, () => w.ask('acme'));
  t.ok(asked.every(({ verdict }) => verdict === undefined));
  t.equal(asked.filter(({ x }) => x.grant?.isShadowed).length, 4);
  for (const each of asked) each.done();
  let text = '';
  for await (const chunk of w.metrics.exposition()) text += chunk;
  t.match(text, /reeve_limit_decisions_total\{plan="free",decision="shadow_refused"\} 4/);
});

t.test('counts survive a reload; a changed limit takes hold of what was spent', async (t) => {
  const w = await world(plan('free', { ...rate('10/s', 10), degrade: ['reject'] }));
  many(10, () => w.one('acme'));
  await w.load(plan('free', { ...rate('100/s', 20), degrade: ['reject'] }), tenant('acme') + tenant('globex'));
  t.equal(many(20, () => w.one('acme'))['quota-exceeded'], 10, 'ten were spent, ten are left of the new burst');
  await w.load(plan('free', { ...rate('1/s', 5), degrade: ['reject'] }), tenant('acme') + tenant('globex'));
  t.equal(w.one('acme'), 'quota-exceeded');
  w.clock.advance(1100);
  t.equal(w.one('acme'), 'notice', 'locked out for no longer than the new burst');
});

t.test('a tenant that was removed and came back, or took its slot, begins anew', async (t) => {
  const spec = plan('free', { ...rate('1/s', 2), concurrency: 2, degrade: ['reject'] });
  const w = await world(spec, tenant('acme'));
  const held = w.ask('acme');
  w.one('acme');
  await w.load(spec, tenant('globex'));
  t.equal(w.tenant('globex').index, 0, 'the slot changed hands');
  t.equal(w.one('globex'), 'pass');
  held.done(100);
  t.equal(held.headers().count, 0, 'the late response says nothing of the new owner');
  t.match(w.limits.explain(w.snapshot, w.tenant('globex'), { method: 'GET', path: '/' }), {
    concurrency: { inFlight: 0 },
  });
  await w.load(spec, Array.from({ length: 40 }, (_, i) => tenant(`t${i}`)).join(''));
  for (let i = 0; i < 40; i++) t.equal(w.one(`t${i}`), 'pass');
});

t.test('an explanation spends nothing and says why', async (t) => {
  const w = await world(
    plan('free', {
      rate: {
        requests: { limit: '10/s', burst: 5, credits: { earn: '20%', cap: '10s' } },
        egress: { limit: '1MiB/s' },
      },
      concurrency: 3,
      degrade: ['credit', { shape: '250ms' }, { route: 'degraded' }, { features: ['a'] }, 'reject'],
    }),
    undefined,
    route('r', { match: { path: '/r' }, cost: 2, rate: { requests: { limit: '1/s', burst: 1 } } }) +
      route('h', { match: { path: '/h' }, critical: true }),
  );
  const ask = (path: string) => w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path });
  t.match(ask('/r'), {
    plan: 'free',
    requests: { limit: '10/s', burst: 5, left: 5, credit: 0 },
    egress: { limit: '1MiB/s' },
    route: { name: 'r', cost: 2, limit: '1/s' },
    ladder: ['credit', 'shape: 250ms', 'route: degraded', 'features: a', 'reject'],
    wouldGet: { decision: 'pass', because: 'within every limit' },
  });
  t.match(ask('/h').wouldGet, { because: 'route h is critical' });
  w.one('acme', '/r');
  t.match(ask('/r').wouldGet, { because: 'over the rate 1/s of route r', over: 'route' });
  t.match(ask('/r').route, { left: 0 }, 'what a route has left is said');
  many(5, () => w.one('acme'));
  t.match(ask('/').wouldGet, { because: 'over the request rate 10/s', rung: 'features: a' }, 'and the rung');
  w.clock.advance(60_000);
  w.ask('acme').done(9_000_000);
  t.match(ask('/').wouldGet, { because: 'over the response rate 1MiB/s' });
  t.ok((ask('/').egress?.left as number) < 0, 'a debt of response bytes is said');
  w.clock.advance(60_000);
  for (let i = 0; i < 3; i++) w.ask('acme');
  t.match(ask('/').wouldGet, { decision: 'refuse', because: '3 requests are in flight' });
});

t.test('plans beyond the bound share a row, and sums stay', async (t) => {
  const plans = Array.from({ length: 40 }, (_, i) => plan(`p${i}`)).join('');
  const w = await world(plans, Array.from({ length: 40 }, (_, i) => tenant(`t${i}`, { plan: `p${i}` })).join(''));
  for (let i = 0; i < 40; i++) w.one(`t${i}`);
  let text = '';
  for await (const chunk of w.metrics.exposition()) text += chunk;
  t.ok(text.includes(`reeve_limit_decisions_total{plan="__other__",decision="pass"} ${40 - PLANS_MAX}\n`));
});

t.test('a response without a tenant, or of a tenant that was never asked for, is left alone', async (t) => {
  const w = await world(plan('free', rate('10/s', 5)));
  const { x, headers } = w.ask('acme');
  (x as { tenant: unknown }).tenant = undefined;
  t.equal(headers().count, 0);
  const all = Array.from({ length: 30 }, (_, i) => tenant(`n${i}`)).join('');
  await w.load(plan('free'), all);
  await w.load(plan('free'), tenant('acme'));
  t.pass('tenants that never asked have nothing to forget');
});

t.test('a swap that changes nothing changes nothing', async (t) => {
  const w = await world(plan('free', { ...rate('10/s', 2), degrade: ['reject'] }));
  w.one('acme');
  w.one('acme');
  w.limits.use(w.snapshot, w.snapshot);
  t.equal(w.one('acme'), 'quota-exceeded');
});
