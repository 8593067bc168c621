/** What a client is told in a fleet is what the sidecar it asked decides. */
import fc from 'fast-check';
import t from 'tap';
import { FleetRates } from '../../src/limits/fleet/fleet-rates.ts';
import { TICK_MS } from '../../src/limits/fleet/ticks.ts';
import type { Reply } from '../../src/pipeline/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { peer, type Two, two } from './two.ts';
import { type Asked, plan, route, tenant, world } from './world.ts';

const PLAN = plan('free', { rate: { requests: { limit: '100/s', burst: 20 } }, degrade: ['reject'] });
const ROUTES =
  route('dear', { match: { path: '/dear' }, cost: 3 }) +
  route('own', { match: { path: '/own' }, rate: { requests: { limit: '40/s', burst: 8 } } });

interface Told {
  readonly r: number;
  readonly t: number;
}

function told(asked: Asked, policy: string): Told {
  const text = asked.headers().first('ratelimit') as string;
  const [, r, t] = new RegExp(`"${policy}";r=(\\d+);t=(\\d+)`).exec(text) as RegExpExecArray;
  return { r: Number(r), t: Number(t) };
}

/** Asks the first in turn with the second, so many each ms; each answer is looked at. */
function load(it: Two, seconds: number, perMs: number, path: string, look: (asked: Asked) => void): void {
  let due = 0;
  for (let ms = 1; ms <= seconds * 1000; ms++) {
    it.clock.advance(1);
    for (due += perMs; due >= 1; due--)
      for (const each of it.worlds) {
        const asked = each.ask('acme', { path });
        asked.done(path === '/bytes' ? 2048 : 0);
        look(asked);
      }
    if (ms % TICK_MS === 0) it.turn();
  }
}

for (const [path, policy, cost] of [
  ['/', 'requests', 1],
  ['/dear', 'requests', 3],
  ['/own', 'route', 1],
] as const)
  t.test(`at 3 times the limit who is refused is told that less is left than it costs: ${path}`, async (t) => {
    const it = await two(PLAN, ROUTES);
    load(it, 2, 0.15 / cost, path, () => undefined);
    let refused = 0;
    const wrong: object[] = [];
    load(it, 4, 0.15 / cost, path, (asked) => {
      if (asked.verdict === undefined) return;
      refused++;
      const { r, t: seconds } = told(asked, policy);
      const retrySec = Math.max(1, Math.ceil(((asked.verdict as Reply).retryAfterMs as number) / 1000));
      if (r >= cost || seconds < retrySec) wrong.push({ r, seconds, retrySec });
    });
    t.ok(refused > 50, `${refused} refused`);
    t.ok(
      (it.fleets[0].level(0 as never, policy === 'route' ? 3 : 0) ?? 0) > cost,
      'while the bucket of all is not empty',
    );
    t.same(wrong, []);
  });

t.test('response bytes: who is refused is told that none are left', async (t) => {
  const it = await two(plan('free', { rate: { egress: { limit: '256KiB/s' } }, degrade: ['reject'] }));
  let refused = 0;
  load(it, 4, 0.2, '/bytes', (asked) => {
    if (asked.verdict === undefined) return;
    refused++;
    if (told(asked, 'egress').r !== 0) t.fail(asked.headers().first('ratelimit') ?? 'nothing is told');
  });
  t.ok(refused > 50, `${refused} refused`);
});

t.test('as many as a client is told are left are admitted, no more and no less, borrowed ones included', async (t) => {
  const pauses = fc.array(fc.record({ ms: fc.integer({ min: 1, max: 400 }), asks: fc.nat(12) }), {
    minLength: 3,
    maxLength: 12,
  });
  let borrowed = 0;
  let some = 0;
  await fc.assert(
    fc.asyncProperty(pauses, async (each) => {
      const it = await two(PLAN, ROUTES);
      const [first, second] = it.worlds;
      for (const { ms, asks } of each) {
        for (let at = 0; at < asks; at++) for (const w of [first, second]) w.one('acme');
        it.clock.advance(ms);
        it.turn();
      }
      // What is left of both parts is not enough for one that costs three.
      for (let asked = first.ask('acme', { path: '/dear' }); ; asked = first.ask('acme', { path: '/dear' }))
        if (asked.verdict !== undefined) {
          const { r } = told(asked, 'requests');
          if (r >= 3) return false;
          if (r > 0) some++;
          break;
        }
      const r = Number(/"requests";r=(\d+)/.exec(first.told('acme', '/') as string)?.[1]);
      const { fleet } = first.limits.explain(first.snapshot, first.tenant('acme'), { method: 'GET', path: '/' });
      if ((fleet?.here.borrow ?? 0) >= 1) borrowed++;
      let admitted = 0;
      while (first.one('acme') !== 'quota-exceeded') admitted++;
      return admitted === r;
    }),
    { seed: 42, numRuns: 60 },
  );
  t.ok(borrowed > 20, `${borrowed} of 60 may borrow; seed 42`);
  t.ok(some > 10, `${some} refused with something left`);
});

t.test('what is left when it is refused is told, not what is left when the answer goes', async (t) => {
  const w = await world(PLAN);
  while (w.one('acme') !== 'quota-exceeded');
  const asked = w.ask('acme');
  t.equal((asked.verdict as Reply).code, 'quota-exceeded');
  w.clock.advance(25);
  t.equal(asked.headers().first('ratelimit'), '"requests";r=0;t=1');
  t.match(w.told('acme', '/'), /^"requests";r=2;/);
});

t.test('a quota that refuses has nothing left, and says when a retry makes sense', async (t) => {
  const w = await world(
    plan('free', {
      rate: { requests: { limit: '10/s', burst: 100 } },
      quotas: {
        api_calls: { limit: 20, thresholds: [{ at: '10%', do: 'shape', rate: '50%' }] },
        requests: { per: 'day', limit: 50 },
        seats: { gauge: true, limit: 5, thresholds: [{ at: '100%', do: 'reject' }] },
      },
    }),
  );
  let asked = w.ask('acme');
  while (asked.verdict === undefined || asked.verdict instanceof Promise) asked = w.ask('acme');
  const { retryAfterMs } = asked.verdict as Reply;
  t.ok((retryAfterMs as number) > 0 && (retryAfterMs as number) < 2000, `${retryAfterMs}`);
  const seconds = Math.ceil((retryAfterMs as number) / 1000);
  t.match(
    asked.headers().first('ratelimit'),
    new RegExp(`"api_calls-month";r=0;t=${seconds}, "requests-day";r=[1-9]\\d;t=\\d+, "seats";r=5$`),
  );
  w.limits.report(w.snapshot, JSON.stringify({ tenant: 'acme', usage: { seats: 5 } }));
  t.match(w.ask('acme').headers().first('ratelimit'), /"seats";r=0$/);
});

t.test('a part of a strict limit is told as it is, also when there is none', async (t) => {
  const clock = new ManualClock();
  const fleet = new FleetRates({ clock, partition: 'hold' });
  fleet.onMember({ ...peer, slot: 0, incarnation: '0', address: 'a:0' });
  fleet.onMember(peer);
  const w = await world(
    plan('free', { rate: { requests: { limit: '10/s', burst: 10, strict: true } }, degrade: ['reject'] }),
    tenant('acme'),
    '',
    { clock, fleet },
  );
  t.equal(w.ask('acme').headers().first('ratelimit'), '"requests";r=0;t=1', 'it is new: it has none');
  const explained = () => w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' });
  t.match(explained(), {
    requests: { left: 0 },
    fleet: { strict: { parts: 2, standing: 'waits' }, here: { share: 0, burst: 0 } },
  });
  clock.advance(60_000);
  t.equal(w.ask('acme').headers().first('ratelimit'), '"requests";r=0;t=1', 'what became its own is empty');
  clock.advance(60_000);
  t.equal(w.ask('acme').headers().first('ratelimit'), '"requests";r=4;t=1');
  t.match(explained(), {
    requests: { left: 4 },
    fleet: { members: 2, level: undefined, strict: { standing: 'held' }, here: { share: 5, burst: 5, borrow: 0 } },
  });
  fleet.leave();
  t.match(explained().fleet, { strict: { standing: 'leaves' }, here: { share: 0, burst: 0 } });
});
