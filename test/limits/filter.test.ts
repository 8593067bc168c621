/** Limits as a request meets them: what is told to whom, what a reload keeps, and what a shadow shows. */
import fc from 'fast-check';
import t from 'tap';
import type { Admitted, Reply } from '../../src/pipeline/index.ts';
import { HeaderList } from '../../src/wire/index.ts';
import { type Asked, plan, route, tenant, type World, world } from './world.ts';

const rate = (limit: string, burst: number, more: object = {}) => ({ rate: { requests: { limit, burst, ...more } } });
const refusing = (limit: string, burst: number, more: object = {}) =>
  plan('free', { ...rate(limit, burst), degrade: ['reject'], ...more });
const both = tenant('acme') + tenant('globex');
const spend = (w: World, count: number, name = 'acme'): number => {
  let admitted = 0;
  for (let i = 0; i < count; i++) if (w.one(name) !== 'quota-exceeded') admitted++;
  return admitted;
};
const series = async (w: World, decision: string): Promise<number> => {
  let text = '';
  for await (const chunk of w.metrics.exposition()) text += chunk;
  return Number(new RegExp(`decision="${decision}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
};

/** Of what a request is refused for, less is left than it costs, and not all is there before a retry makes sense. */
function isTrue(asked: Asked, cost: number, retrySec: number): void {
  const { members } = asked.verdict as Reply;
  const [over] = (members as Readonly<Record<string, unknown>>)['violated-policies'] as [string];
  const told = asked.headers().first('ratelimit') as string;
  const r = Number(new RegExp(`"${over}";r=(\\d+)`).exec(told)?.[1]);
  // It waits for the slowest of those it is over.
  const seconds = [...told.matchAll(/;t=(\d+)/g)].map(([, each]) => Number(each));
  if (!(r < (over === 'requests' ? cost : 1)) || Math.max(...seconds) < retrySec)
    throw new Error(`${told} where ${over} is over for ${retrySec} s at a cost of ${cost}`);
}

t.test('a client that waits exactly Retry-After is admitted, whatever the limits', async (t) => {
  const limits = fc.record({
    amount: fc.integer({ min: 1, max: 5000 }),
    unit: fc.constantFrom('s', 'min', 'h', 'd'),
    burst: fc.integer({ min: 1, max: 50 }),
    cost: fc.constantFrom(0.5, 1, 3, 70),
    routed: fc.constantFrom(undefined, '1/s', '7/min', '3/d'),
    egress: fc.constantFrom(undefined, '1KiB/s', '7kB/min'),
    bytes: fc.integer({ min: 0, max: 100_000 }),
    wholeSeconds: fc.boolean(),
  });
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(limits, async ({ amount, unit, burst, cost, routed, egress, bytes, wholeSeconds }) => {
      const w = await world(
        plan('free', {
          rate: {
            requests: { limit: `${amount}/${unit}`, burst },
            ...(egress === undefined ? {} : { egress: { limit: egress } }),
          },
          degrade: ['reject'],
        }),
        undefined,
        route('r', {
          match: { path: '/r' },
          cost,
          ...(routed === undefined ? {} : { rate: { requests: { limit: routed, burst: 2 } } }),
        }),
      );
      for (let i = 0; i < 60; i++) {
        const asked = w.ask('acme', { path: '/r' });
        asked.done(bytes);
        if (asked.verdict === undefined) continue;
        refused++;
        const waitMs = (asked.verdict as Reply).retryAfterMs as number;
        isTrue(asked, cost, Math.ceil(waitMs / 1000));
        w.clock.advance(wholeSeconds ? Math.max(1, Math.ceil(waitMs / 1000)) * 1000 : waitMs);
        const again = w.ask('acme', { path: '/r' });
        again.done();
        if (again.verdict !== undefined) return false;
      }
      return true;
    }),
    { seed: 42, numRuns: 60 },
  );
  t.ok(refused > 500, `${refused} refusals, seed 42`);
});

t.test('what an application says of rate limits gives way to what we say', async (t) => {
  const w = await world(plan('free', rate('10/s', 10)));
  const { x } = w.ask('acme');
  const headers = new HeaderList(['RateLimit', '"app";r=1', 'RATELIMIT-POLICY', '"app";q=1', 'X-RateLimit-Limit', '1']);
  w.limits.filter.onResponse?.(x as Admitted, { status: 200, headers });
  t.same(headers.names, ['x-ratelimit-limit', 'ratelimit-policy', 'ratelimit']);
  t.match(headers.first('ratelimit'), /^"requests";r=9/);
});

t.test('the policy names every limit in whole numbers, and is the rate', async (t) => {
  const policy = async (limit: string): Promise<string> => {
    const w = await world(plan('free', rate(limit, 1)));
    return w.ask('acme').headers().first('ratelimit-policy') as string;
  };
  t.equal(await policy('90/min'), '"requests";q=90;w=60');
  t.equal(await policy('1/d'), '"requests";q=1;w=86400');
  t.equal(await policy('0.5/s'), '"requests";q=1;w=2');
  t.equal(await policy('1.5/s'), '"requests";q=3;w=2');
  t.equal(await policy('0.1/d'), '"requests";q=1;w=864000');
  t.equal(await policy('0.0001234/s'), '"requests";q=1;w=8104');
  t.equal(await policy('3.14159265/s'), '"requests";q=3;w=1');
  t.equal(await policy('1_000_000_000/s'), '"requests";q=1000000000;w=1');
  // 123 / 60 · 60 is 122.99999999999999 in binary.
  for (const amount of [123, 245, 247, 490, 1001, 9999])
    t.equal(await policy(`${amount}/min`), `"requests";q=${amount};w=60`);
});

t.test('every limit that can refuse is announced, and a refusal names it', async (t) => {
  const w = await world(
    plan('free', {
      rate: { requests: { limit: '10/s', burst: 10 }, egress: { limit: '1KiB/s' } },
      concurrency: 4,
      degrade: ['reject'],
    }),
    undefined,
    route('export', { match: { path: '/export' }, rate: { requests: { limit: '6/min', burst: 2 } } }),
  );
  const asked = w.ask('acme', { path: '/export' });
  t.same(asked.headers().raw, [
    'RateLimit-Policy',
    '"requests";q=10;w=1, "concurrency";q=4;qu="concurrent-requests", "egress";q=1024;w=1;qu="content-bytes", "route";q=6;w=60',
    'RateLimit',
    '"requests";r=9;t=1, "concurrency";r=3, "egress";r=1024;t=0, "route";r=1;t=10',
  ]);
  asked.done(3072);
  const announced = asked.headers().first('ratelimit-policy') as string;
  const violated = (path: string): unknown => {
    const { verdict, done } = w.ask('acme', { path });
    done();
    return (verdict as Reply | undefined)?.members?.['violated-policies'];
  };
  t.same(violated('/'), ['egress']);
  t.equal(w.ask('acme').headers().first('ratelimit'), '"requests";r=9;t=1, "concurrency";r=4, "egress";r=0;t=3');
  w.clock.advance(3000);
  violated('/export');
  t.same(violated('/export'), ['route']);
  t.same(Array.from({ length: 12 }, () => violated('/')).at(-1), ['requests']);
  w.clock.advance(10_000);
  for (let i = 0; i < 4; i++) w.ask('acme');
  t.same(violated('/'), ['concurrency']);
  for (const name of ['requests', 'concurrency', 'egress', 'route']) t.match(announced, `"${name}";`);
});

t.test('what a client is told is left is what it may take, and after the time it is told all is', async (t) => {
  const limits = fc.record({
    limit: fc.constantFrom('3/s', '7/min', '0.7/s', '11/h', '1000/d'),
    burst: fc.integer({ min: 1, max: 30 }),
    gapsMs: fc.array(fc.integer({ min: 0, max: 100_000 }), { minLength: 5, maxLength: 20 }),
  });
  const read = (w: World): { r: number; t: number } => {
    const [, r, seconds] = /r=(\d+);t=(\d+)$/.exec(w.told('acme', '/') as string) as RegExpExecArray;
    return { r: Number(r), t: Number(seconds) };
  };
  await fc.assert(
    fc.asyncProperty(limits, async ({ limit, burst, gapsMs }) => {
      const w = await world(refusing(limit, burst));
      spend(w, 1);
      for (const gapMs of gapsMs) {
        const { r } = read(w);
        if (spend(w, r + 1) !== r) return false;
        w.clock.advance(gapMs);
      }
      const { requests } = w.tenant('acme').allowance;
      w.clock.advance(read(w).t * 1000);
      if (read(w).r !== burst) return false;
      spend(w, 1);
      w.clock.advance(1000 / (requests?.perSec as number));
      return read(w).r === burst && read(w).t === 0;
    }),
    { seed: 42, numRuns: 100 },
  );
  t.pass('seed 42');
});

t.test('only so many of all tenants wait at once: the next is refused, not held', async (t) => {
  const names = Array.from({ length: 65 }, (_, i) => `t${i}`);
  const spec = plan('free', { ...rate('1000/s', 1), degrade: [{ shape: '10s' }, 'reject'] });
  const w = await world(spec, names.map((name) => tenant(name)).join(''));
  const waitingOf = (name: string): number =>
    Array.from({ length: 65 }, () => w.ask(name).verdict).filter((verdict) => verdict instanceof Promise).length;
  t.same(new Set(names.slice(0, 64).map(waitingOf)), new Set([64]));
  t.equal(waitingOf('t64'), 0);
  w.clock.advance(1000);
  await w.clock.yieldLoop();
  t.equal(waitingOf('t64'), 64, 'who waited made room');
});

t.test('only a route limit, only an egress limit: told as well', async (t) => {
  const w = await world(
    plan('free'),
    undefined,
    route('r', { match: { path: '/r' }, rate: { requests: { limit: '1/s', burst: 2 } } }),
  );
  t.same(w.ask('acme', { path: '/r' }).headers().raw, [
    'RateLimit-Policy',
    '"route";q=1;w=1',
    'RateLimit',
    '"route";r=1;t=1',
  ]);
  t.equal(w.ask('acme').headers().count, 0);
});

t.test('shadow counts what would be, spends what that costs, and changes nothing for anyone', async (t) => {
  const ladder = { ...rate('10/s', 2), degrade: [{ shape: '100ms' }, { features: ['x'] }, 'reject'] };
  const run = async (shadow: boolean): Promise<{ w: World; kinds: string[] }> => {
    const w = await world(plan('free', { ...ladder, shadow }));
    return { w, kinds: Array.from({ length: 8 }, () => w.one('acme')) };
  };
  const inForce = await run(false);
  t.same(inForce.kinds, [
    'pass',
    'notice',
    'shape',
    'degrade',
    'degrade',
    'quota-exceeded',
    'quota-exceeded',
    'quota-exceeded',
  ]);
  const { w, kinds } = await run(true);
  t.same(kinds, ['pass', 'notice', 'pass', 'pass', 'pass', 'pass', 'pass', 'pass']);
  for (const decision of ['pass', 'notice', 'shape', 'degrade'])
    t.equal(await series(w, decision), await series(inForce.w, decision), decision);
  t.equal(await series(w, 'shadow_refused'), await series(inForce.w, 'refused_requests'));
  w.clock.advance(60_000);
  w.one('acme');
  const near = w.ask('acme');
  t.equal(near.x.grant?.decision, 'notice');
  t.same(near.x.injected, [], 'the application is told nothing');
});

t.test('shadow pays from credit as it would in force', async (t) => {
  const w = await world(
    plan('free', {
      ...rate('10/s', 2, { credits: { earn: '100%', cap: '10s' } }),
      shadow: true,
      degrade: ['credit', 'reject'],
    }),
  );
  w.one('acme');
  w.clock.advance(300);
  const asked = Array.from({ length: 5 }, () => w.ask('acme').x.grant);
  t.same(
    asked.map((grant) => [grant?.decision, grant?.isShadowed]),
    [
      ['pass', false],
      ['notice', false],
      ['credit', false],
      ['credit', false],
      ['pass', true],
    ],
  );
});

t.test('what costs nothing is admitted in any debt', async (t) => {
  const w = await world(
    refusing('1/s', 2),
    undefined,
    route('huge', { match: { path: '/huge' }, cost: 50 }) + route('free', { match: { path: '/free' }, cost: 0 }),
  );
  w.one('acme', '/huge');
  t.equal(w.one('acme'), 'quota-exceeded');
  t.equal(w.one('acme', '/free'), 'notice');
});

t.test('check all, then take all: a refusal takes nothing from any limit', async (t) => {
  const w = await world(
    plan('free', {
      rate: {
        requests: { limit: '20/s', burst: 8, credits: { earn: '10%', cap: '2s' } },
        egress: { limit: '2KiB/s' },
      },
      concurrency: 4,
      degrade: ['credit', { shape: '60ms' }, { features: ['x'] }, 'reject'],
    }),
    undefined,
    route('a', { match: { path: '/a' }, cost: 3, rate: { requests: { limit: '5/s', burst: 3 } } }) +
      route('b', { match: { path: '/b' }, rate: { requests: { limit: '1/s', burst: 1 } } }),
  );
  const books = (): string => JSON.stringify(['/', '/a', '/b'].map((path) => [w.told('acme', path), explained(path)]));
  const explained = (path: string) => {
    const { requests, concurrency, waiting, wouldGet } = w.limits.explain(w.snapshot, w.tenant('acme'), {
      method: 'GET',
      path,
    });
    // Being over the limit is remembered, and told: that is not taking.
    return { requests, concurrency, waiting, waitMs: wouldGet.waitMs };
  };
  const refusals = new Set<unknown>();
  const step = fc.record({
    gapMs: fc.constantFrom(0, 0, 0, 10, 100, 900),
    path: fc.constantFrom('/', '/a', '/b'),
    bytes: fc.constantFrom(0, 0, 5000),
    isHeld: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
      const open: ReturnType<World['ask']>[] = [];
      for (const { gapMs, path, bytes, isHeld } of steps) {
        w.clock.advance(gapMs);
        const before = books();
        const asked = w.ask('acme', { path });
        if (asked.verdict !== undefined && !(asked.verdict instanceof Promise)) {
          refusals.add(JSON.stringify(asked.verdict.members));
          asked.done(bytes);
          if (books() !== before) return false;
        } else if (isHeld) open.push(asked);
        else asked.done(bytes);
      }
      for (const each of open) each.done();
      w.clock.advance(20_000);
      return true;
    }),
    { seed: 42, numRuns: 100 },
  );
  t.equal(refusals.size, 4, `of every limit: ${[...refusals].join(' ')}`);
});

t.test('hysteresis: told after 1 s over the limit, and until 5 s after the last', async (t) => {
  const w = await world(refusing('10/s', 10));
  const over = (): void => void spend(w, 20);
  const isTold = (): boolean => w.one('acme') === 'notice';
  over();
  w.clock.advance(999);
  over();
  w.clock.advance(1999);
  t.notOk(isTold(), 'one burst, or not a second of it');
  w.clock.advance(60_000);
  over();
  w.clock.advance(1000);
  over();
  w.clock.advance(4999);
  t.ok(isTold());
  w.clock.advance(1);
  t.notOk(isTold());
});

t.test('answers of an older generation take nothing from what was spent since', async (t) => {
  const w = await world(refusing('10/s', 1));
  const old = Array.from({ length: 3 }, () => w.ask('acme'));
  await w.load(refusing('1000/s', 1000), both);
  t.equal(spend(w, 900), 900);
  for (const each of old) {
    each.headers();
    each.done();
  }
  t.equal(spend(w, 1000), 99, 'the one unit that was spent before, and 900 since');
});

t.test(
  'a request that was identified before a reload is decided by its own limit, and neither forgets nor frees anything',
  async (t) => {
    const w = await world(refusing('10/s', 1));
    const before = w.snapshot;
    await w.load(refusing('1000/s', 1000), both);
    spend(w, 900);
    const after = w.snapshot;
    w.snapshot = before;
    t.equal(w.one('acme'), 'quota-exceeded');
    w.snapshot = after;
    t.equal(spend(w, 1000), 100);
  },
);

t.test('a limit that was removed is forgotten; one that comes begins whole', async (t) => {
  const w = await world(refusing('1/d', 3));
  spend(w, 3);
  await w.load(plan('free'), both);
  t.equal(w.one('acme'), 'pass');
  await w.load(refusing('1/d', 2), both);
  t.equal(spend(w, 5), 2);
});

t.test(
  'a burst that shrinks alone locks nobody out for longer than itself; what did not change is left alone',
  async (t) => {
    const w = await world(refusing('10/s', 1000));
    spend(w, 1000);
    await w.load(refusing('10/s', 5), both);
    w.clock.advance(500);
    t.equal(spend(w, 10), 5);
    await w.load(refusing('10/s', 5), tenant('acme', { timezone: 'Europe/Berlin' }) + tenant('globex'));
    t.equal(spend(w, 10), 0);
  },
);

t.test('credit is banked by the promise of its time', async (t) => {
  const credits = (earn: string) =>
    plan('free', { ...rate('10/s', 1, { credits: { earn, cap: '1h' } }), degrade: ['credit', 'reject'] });
  const w = await world(credits('10%'));
  w.one('acme');
  w.clock.advance(10_100);
  await w.load(credits('100%'), both);
  w.clock.advance(1000);
  t.equal(spend(w, 100), 1 + 10 + 10, 'the burst, 10 s at 10 %, 1 s at 100 %');
  const late = await world(plan('free', { ...rate('10/s', 1), degrade: ['credit', 'reject'] }));
  late.one('acme');
  late.clock.advance(3_600_000);
  await late.load(credits('100%'), both);
  t.equal(spend(late, 100), 1, 'nothing is banked for the time before there was a bank');
});

t.test('a changed response rate keeps the debt, up to a second of the new', async (t) => {
  const egress = (limit: string) => plan('free', { rate: { egress: { limit } }, degrade: ['reject'] });
  const w = await world(egress('1KiB/s'));
  w.ask('acme').done(30 * 1024);
  t.equal((w.ask('acme').verdict as Reply).retryAfterMs, 29_000);
  await w.load(egress('2KiB/s'), both);
  t.equal(w.ask('acme').verdict, undefined);
  t.match(w.ask('acme').headers().first('ratelimit'), '"egress";r=0;t=1');
});

t.test('a route that takes the index of another begins empty; one whose rate changed keeps its counts', async (t) => {
  const limited = (name: string, limit: string, burst: number) =>
    route(name, { match: { path: '/r' }, rate: { requests: { limit, burst } } });
  const w = await world(plan('free'), undefined, limited('a', '1/min', 3));
  const index = w.snapshot.routes[0]?.index;
  const admitted = (): number => [1, 2, 3, 4, 5].filter(() => w.one('acme', '/r') !== 'quota-exceeded').length;
  t.equal(admitted(), 3);
  await w.load(plan('free'), both, limited('a', '1/h', 4));
  t.equal(admitted(), 1, 'three were spent');
  await w.load(plan('free'), both, limited('b', '1/min', 3));
  t.equal(w.snapshot.routes[0]?.index, index, 'the index is another route’s now');
  t.equal(admitted(), 3);
  await w.load(plan('free'), both, route('b', { match: { path: '/r' } }));
  t.equal(admitted(), 5);
  await w.load(plan('free'), both, limited('b', '1/min', 3));
  t.equal(admitted(), 3, 'a rate that was taken away is forgotten');
});

t.test('what was spent survives a tenancy that grows, of routes too', async (t) => {
  const routes = route('r', { match: { path: '/r' }, rate: { requests: { limit: '1/d', burst: 2 } } });
  const w = await world(refusing('1/d', 5), both, routes);
  w.one('acme', '/r');
  await w.load(refusing('1/d', 5), both + Array.from({ length: 40 }, (_, i) => tenant(`t${i}`)).join(''), routes);
  t.same(
    ['/r', '/r'].map((path) => w.one('acme', path)),
    ['pass', 'quota-exceeded'],
  );
  t.same(
    ['/r', '/r', '/r'].map((path) => w.one('t39', path)),
    ['pass', 'pass', 'quota-exceeded'],
  );
  t.equal(spend(w, 10), 3);
});

t.test('a request of a tenant that is gone cannot empty the slot that is another’s now', async (t) => {
  const w = await world(refusing('1/d', 3, { concurrency: 2 }), tenant('acme'));
  const before = w.snapshot;
  await w.load(refusing('1/d', 3, { concurrency: 2 }), tenant('globex'));
  w.snapshot = { ...w.snapshot, generation: before.generation + 1 };
  const after = w.snapshot;
  t.equal(after.tenants.get('globex')?.index, before.tenants.get('acme')?.index, 'the slot changed hands');
  w.ask('globex');
  w.ask('globex');
  w.snapshot = before;
  const late = w.ask('acme');
  t.match(late.verdict, { code: 'tenant-unknown' });
  t.equal(late.headers().count, 0, 'and is told nothing of what is left for the other');
  late.done(1000);
  w.snapshot = after;
  t.match(w.ask('globex').verdict, { code: 'concurrency-exceeded' });
  t.match(w.ask('globex').headers().first('ratelimit'), /"requests";r=1;.*"concurrency";r=0/);
});

t.test('the answer to a request of an earlier life of the same tenant says and frees nothing', async (t) => {
  const spec = refusing('1/d', 3, { concurrency: 2 });
  const w = await world(spec, both);
  const early = w.ask('acme');
  await w.load(spec, tenant('globex'));
  await w.load(spec, both);
  w.ask('acme');
  t.equal(early.headers().count, 0);
  early.done();
  t.match(w.ask('acme').headers().first('ratelimit'), /"requests";r=1;.*"concurrency";r=0/);
});

t.test('nor can it take a slot that nobody has taken yet, once its tenant is gone', async (t) => {
  const w = await world(refusing('1/d', 3), tenant('acme'));
  const before = w.snapshot;
  w.one('acme');
  const next = { ...before, generation: before.generation + 1, tenants: new Map() };
  w.limits.use(next, before);
  t.match(w.ask('acme').verdict, { code: 'tenant-unknown' });
});

t.test('a concurrency slot is taken once and given back once, in whatever order', async (t) => {
  const w = await world(refusing('1000/s', 1000, { concurrency: 5 }));
  const action = fc.record({ isAsk: fc.boolean(), at: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
      const open: ReturnType<World['ask']>[] = [];
      let isExact = true;
      for (const { isAsk, at } of actions) {
        if (!isAsk) open.splice(at % Math.max(1, open.length), 1)[0]?.done();
        else {
          const asked = w.ask('acme');
          isExact &&= (asked.verdict === undefined) === open.length < 5;
          if (asked.verdict === undefined) open.push(asked);
          else asked.done();
        }
        w.clock.advance(10);
      }
      for (const each of open) each.done();
      const { concurrency } = w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' });
      return isExact && concurrency.inFlight === 0;
    }),
    { seed: 42, numRuns: 100 },
  );
  t.pass('seed 42');
});

t.test('deprioritised: served, told so, and from an allowance of its own before anything is degraded', async (t) => {
  const ladder = ['deprioritize', { features: ['no-extras'] }, 'reject'];
  const w = await world(
    plan('free', { ...rate('10/s', 2), degrade: ladder }),
    undefined,
    route('r', { match: { path: '/r' }, rate: { requests: { limit: '1/s', burst: 1 } } }),
  );
  const kinds = Array.from({ length: 8 }, () => w.one('acme'));
  t.same(kinds, [
    ...['pass', 'notice', 'deprioritize', 'deprioritize', 'degrade', 'degrade', 'quota-exceeded', 'quota-exceeded'],
  ]);
  t.equal(await series(w, 'deprioritize'), 2);
  const explained = w.limits.explain(w.snapshot, w.tenant('globex'), { method: 'GET', path: '/' });
  t.equal(explained.wouldGet.decision, 'pass');
  t.same(explained.ladder, ['deprioritize', 'features: no-extras', 'reject']);
  w.clock.advance(100);
  w.one('acme');
  const low = w.ask('acme');
  t.same(low.x.grant, { decision: 'deprioritize', useDegradedRoute: false, isShadowed: false });
  t.same(low.x.injected, ['x-tenant-priority', 'low']);
  t.match(low.headers().first('ratelimit'), /^"requests";r=0/);
  t.match(w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' }).wouldGet, {
    decision: 'degrade',
    over: 'requests',
  });
  w.one('globex', '/r');
  t.equal(
    w.one('globex', '/r'),
    'quota-exceeded',
    'over the rate of the route, no tenant goes behind others: that rate is all it may have',
  );
  // A changed rate keeps what was spent of it, and another tenant in the slot finds it whole.
  await w.load(plan('free', { ...rate('20/s', 2), degrade: ladder }), tenant('acme') + tenant('globex'));
  t.equal(w.one('acme'), 'degrade');
  const index = w.tenant('acme').index;
  await w.load(plan('free', { ...rate('10/s', 2), degrade: ladder }), tenant('initech') + tenant('globex'));
  t.equal(w.tenant('initech').index, index);
  t.same(
    Array.from({ length: 4 }, () => w.one('initech')),
    ['pass', 'notice', 'deprioritize', 'deprioritize'],
  );
});
