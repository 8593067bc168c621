/** Admission as a request meets it: places taken and given back, the line, what is told, and what it takes for a round trip. */
import fc from 'fast-check';
import t from 'tap';
import { createAdmission } from '../../src/limits/index.ts';
import type { Exchange, Grant, Outcome, Reply, Routed, Verdict } from '../../src/pipeline/index.ts';
import { createMetrics } from '../../src/telemetry/index.ts';
import { routeOf, type Snapshot, type Tenant } from '../../src/tenants/index.ts';
import { HeaderList } from '../../src/wire/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { configFor } from '../helpers/sidecar.ts';
import { exchangeForTest } from '../pipeline/exchange-for-test.ts';
import { plan, route, snapshotOf, tenant } from './world.ts';

const SETTINGS = { upstream: 'http://127.0.0.1:1', 'tenancy.dir': '/' };
const PASS: Grant = { decision: 'pass', useDegradedRoute: false, isShadowed: false };
const LOW: Grant = { decision: 'deprioritize', useDegradedRoute: false, isShadowed: false };
const forwarded: Outcome = { kind: 'forwarded', status: 200 };
const replied = (code: Reply['code']): Outcome => ({
  kind: 'replied',
  by: 'engine',
  reply: { code, detail: '' },
  status: 504,
  contentBytes: 0,
});

interface Held {
  readonly x: Routed;
  /** `waiting` until it is told. */
  state(): 'in' | 'waiting' | Reply['code'];
  /** The head of an answer comes `ms` from the moment it is sent. */
  head(ms?: number, status?: number): void;
  done(outcome?: Outcome): void;
}

class World {
  readonly clock = new ManualClock();
  readonly metrics = createMetrics({ timers: this.clock });
  readonly snapshot: Snapshot;
  readonly admission: ReturnType<typeof createAdmission>;

  constructor(snapshot: Snapshot, given: Record<string, string> = {}, upstreams = ['application']) {
    this.snapshot = snapshot;
    const config = configFor({ ...SETTINGS, ...given });
    this.admission = createAdmission({
      clock: this.clock,
      timers: this.clock,
      metrics: this.metrics,
      admission: config.admission,
      connectionsMax: config.wire.upstreamConnectionsMax,
      upstreams,
    });
  }

  tenant(name: string): Tenant {
    return this.snapshot.tenants.get(name) as Tenant;
  }

  ask(name: string, o: { path?: string; grant?: Grant; headers?: string[] } = {}): Held {
    const { filter } = this.admission;
    const path = o.path ?? '/';
    const x: Exchange = exchangeForTest({
      snapshot: this.snapshot,
      path,
      target: path,
      headers: new HeaderList(o.headers ?? []),
      route: routeOf(this.snapshot, 'GET', path),
    });
    x.tenant = this.tenant(name);
    x.grant = o.grant ?? PASS;
    x.endpoint = { name: 'application', address: 'http://127.0.0.1:1' };
    const routed = x as Routed;
    let state: ReturnType<Held['state']> = 'waiting';
    const told = (verdict: Verdict): void => void (state = verdict === undefined ? 'in' : (verdict as Reply).code);
    const verdict = filter.onRequest?.(routed);
    if (verdict instanceof Promise) void verdict.then(told);
    else told(verdict);
    return {
      x: routed,
      state: () => state,
      head: (ms = 10, status = 200) => {
        x.sentAt = this.clock.now();
        this.clock.advance(ms);
        x.headAt = this.clock.now();
        filter.onResponse?.(routed, { status, headers: new HeaderList([]) });
      },
      done: (outcome = forwarded) => filter.onDone?.(routed, outcome),
    };
  }

  explain() {
    const { limit, unanswered, open, waiting } = this.admission.explain('application', this.tenant('acme')) ?? {};
    return { limit, unanswered, open, waiting };
  }

  async text(): Promise<string> {
    let text = '';
    for await (const chunk of this.metrics.exposition()) text += chunk;
    return text;
  }
}

const FIXED = (max: number): Record<string, string> => ({ 'admission.min': String(max), 'admission.max': String(max) });
const SLOW = route('slow', { match: { path: '/slow' }, timeout: '50ms' });
const VITAL = route('vital', { match: { path: '/vital' }, critical: true });
const FREE = route('free', { match: { path: '/free' }, cost: 0 });
const snapshot = await snapshotOf(plan('free', {}), tenant('acme') + tenant('globex'), SLOW + VITAL + FREE);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test(
  'while there is room a request passes at once; then it waits, and has its turn when one is answered',
  async (t) => {
    const w = new World(snapshot, FIXED(2));
    const [a, b, c] = [w.ask('acme'), w.ask('acme'), w.ask('acme')];
    t.same([a.state(), b.state(), c.state()], ['in', 'in', 'waiting']);
    t.same(w.explain(), { limit: 2, unanswered: 2, open: 2, waiting: 1 });
    t.same(w.admission.explain('application', w.tenant('globex'))?.waitingOfTenant, 0);
    t.same(w.admission.explain('application', w.tenant('acme'))?.waitingOfTenant, 1);
    a.head();
    await turn();
    t.equal(c.state(), 'in', 'an answer that has begun is no burden any more');
    t.same(w.explain(), { limit: 2, unanswered: 2, open: 3, waiting: 0 });
    for (const each of [a, b, c]) each.done();
    t.same(w.explain(), { limit: 2, unanswered: 0, open: 0, waiting: 0 });
  },
);

t.test('what has begun to answer still has a connection: there are no more open than those', async (t) => {
  const w = new World(snapshot, { 'wire.upstreamConnectionsMax': '2' });
  const [a, b] = [w.ask('acme'), w.ask('acme')];
  a.head();
  b.head();
  const c = w.ask('globex');
  t.equal(c.state(), 'waiting');
  a.done();
  await turn();
  t.equal(c.state(), 'in');
  const d = w.ask('globex');
  c.head(1, 101);
  await turn();
  t.equal(d.state(), 'in', 'a tunnel has none of them');
  c.done();
  for (const each of [b, d]) each.done();
  t.same(w.explain(), { limit: 2, unanswered: 0, open: 0, waiting: 0 });
});

t.test('who is refused is told why and when to come again, and it is counted', async (t) => {
  const w = new World(snapshot, { ...FIXED(1), 'admission.wait': '200ms' });
  const first = w.ask('acme');
  const slow = w.ask('globex', { path: '/slow' });
  const late = w.ask('globex');
  const many = Array.from({ length: 65 }, () => w.ask('acme'));
  await turn();
  t.equal(many.at(-1)?.state(), 'temporary-reduced-capacity', '64 of a tenant');
  t.equal(many.filter((each) => each.state() === 'waiting').length, 64);
  w.clock.advance(50);
  await turn();
  t.equal(slow.state(), 'temporary-reduced-capacity', 'a route with a timeout waits no longer than that');
  t.equal(late.state(), 'waiting');
  for (let i = 0; i < 3; i++) w.clock.advance(50);
  await turn();
  t.equal(late.state(), 'temporary-reduced-capacity');
  t.equal(w.explain().waiting, 0);
  t.equal(w.clock.pending, 0, 'no timer while nobody waits');
  first.done();
  const text = await w.text();
  t.match(text, 'reeve_admission_refused_total{reason="overflow"} 1');
  t.match(text, 'reeve_admission_refused_total{reason="deadline"} 66');
  t.match(text, 'reeve_admission_wait_seconds_count 67');
  t.match(text, 'reeve_admission_limit{upstream="application"} 1');
});

t.test('a reply says what is wrong, that it is not the client, and when a retry makes sense', async (t) => {
  const w = new World(snapshot, { ...FIXED(1), 'wire.upstreamConnectionsMax': '1' });
  w.ask('acme');
  for (let i = 0; i < 4; i++) w.ask('acme');
  const x = exchangeForTest({ snapshot });
  Object.assign(x, { tenant: w.tenant('acme'), grant: PASS, endpoint: { name: 'application' } });
  t.same(await w.admission.filter.onRequest?.(x as Routed), {
    code: 'temporary-reduced-capacity',
    detail: 'Too many requests wait for the application.',
    retryAfterMs: 1000,
  });
});

t.test('under standing overload only what is fresh is served', async (t) => {
  const w = new World(snapshot, { ...FIXED(1), 'admission.wait': '1s' });
  let at = w.ask('acme');
  let served = 0;
  const all: Held[] = [];
  for (let i = 0; i < 200; i++) {
    all.push(w.ask('acme'), w.ask('acme'));
    at.head(20);
    at.done();
    await turn();
    const next = all.find((each) => each.state() === 'in' && each.x.place === 1);
    if (next === undefined) break;
    served++;
    at = next;
  }
  t.equal(served, 200, 'somebody always had the turn');
  const text = await w.text();
  t.match(text, /reason="standing"\} [1-9]/);
});

t.test('when all who wait have waited too long, the next to come passes', async (t) => {
  const w = new World(snapshot, { ...FIXED(1), 'admission.wait': '30ms' });
  const first = w.ask('acme');
  const [b, c] = [w.ask('acme'), w.ask('globex')];
  w.clock.advance(40);
  first.head(0);
  await turn();
  t.same([b.state(), c.state()], ['temporary-reduced-capacity', 'temporary-reduced-capacity']);
  t.same(w.explain(), { limit: 1, unanswered: 0, open: 1, waiting: 0 });
  t.equal(w.ask('acme').state(), 'in');
  w.clock.advance(50);
  t.equal(w.clock.pending, 0, 'the sweep found nobody');
});

t.test('a client that leaves the line leaves nothing, also when its turn came meanwhile', async (t) => {
  const w = new World(snapshot, FIXED(1));
  const first = w.ask('acme');
  const [b, c] = [w.ask('acme'), w.ask('globex')];
  b.x.abandon();
  t.equal(b.x.leave, undefined);
  t.equal(w.explain().waiting, 1);
  first.head();
  // Before its promise told anybody: the engine sees a client that is gone, and ends the exchange.
  c.done({ kind: 'aborted', side: 'client', status: undefined });
  b.done({ kind: 'aborted', side: 'client', status: undefined });
  first.done();
  t.same(w.explain(), { limit: 1, unanswered: 0, open: 0, waiting: 0 });
});

t.test('who was gone before the line joins none', async (t) => {
  const w = new World(snapshot, FIXED(1));
  const first = w.ask('acme');
  const x = exchangeForTest({ snapshot });
  Object.assign(x, { tenant: w.tenant('globex'), grant: PASS, endpoint: { name: 'application' } });
  x.abandon();
  t.equal(w.admission.filter.onRequest?.(x as Routed), undefined);
  w.admission.filter.onDone?.(x as Routed, { kind: 'aborted', side: 'client', status: undefined });
  t.same(w.explain(), { limit: 1, unanswered: 1, open: 1, waiting: 0 });
  first.done();
});

t.test('places are conserved, in whatever order exchanges are answered, fail, leave and end', async (t) => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('acme', 'globex', 'vital', 'low') },
    {
      weight: 4,
      arbitrary: fc.record({
        at: fc.nat(1000),
        do: fc.constantFrom('head', '500', '101', 'done', 'leave', 'timeout', 'reset', 'advance'),
      }),
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 120 }), fc.integer({ min: 1, max: 6 }), async (steps, max) => {
      const w = new World(snapshot, { ...FIXED(max), 'wire.upstreamConnectionsMax': '8', 'admission.wait': '300ms' });
      const open: Held[] = [];
      for (const each of steps) {
        if (typeof each === 'string') {
          const path = each === 'vital' ? '/vital' : '/';
          open.push(w.ask(each === 'globex' ? each : 'acme', { path, grant: each === 'low' ? LOW : PASS }));
        } else if (each.do === 'advance') w.clock.advance(60);
        else if (open.length > 0) {
          const at = each.at % open.length;
          const one = open[at] as Held;
          // What a real engine may do with an exchange of that state.
          if (each.do === 'leave') one.x.leave?.();
          else if (one.state() !== 'in') continue;
          else if (each.do === 'head') one.head(5);
          else if (each.do === '500') one.head(5, 500);
          else if (each.do === '101') one.head(5, 101);
          else if (each.do === 'timeout') {
            one.x.sentAt = w.clock.now();
            w.clock.advance(10);
            one.done(replied('upstream-timeout'));
          } else if (each.do === 'reset') one.done(replied('upstream-reset'));
          else one.done();
          if (['done', 'timeout', 'reset', 'leave'].includes(each.do)) {
            one.done();
            open.splice(at, 1);
          }
        }
        await turn();
        const { unanswered, open: held, waiting } = w.explain() as Record<string, number>;
        if ((unanswered as number) > max || (held as number) > 8) return false;
        // Work conserving.
        if ((waiting as number) > 0 && (unanswered as number) < max && (held as number) < 8) return false;
        if (open.filter((one) => one.state() === 'waiting').length !== waiting) return false;
      }
      while (open.length > 0) {
        for (const one of open.splice(0)) {
          if (one.state() === 'waiting') open.push(one);
          else one.done();
        }
        await turn();
      }
      const { unanswered, open: held, waiting } = w.explain();
      return unanswered === 0 && held === 0 && waiting === 0;
    }),
    { seed: 42, numRuns: 150 },
  );
  t.pass('seed 42');
});

t.test('critical requests go first; what is deprioritised is served behind', async (t) => {
  const w = new World(snapshot, FIXED(1));
  const first = w.ask('acme');
  const low = w.ask('acme', { grant: LOW });
  const normal = w.ask('acme');
  const vital = w.ask('globex', { path: '/vital' });
  const free = w.ask('globex', { path: '/free' });
  const served: string[] = [];
  const names = new Map([
    [low, 'low'],
    [normal, 'normal'],
    [vital, 'vital'],
    [free, 'free'],
  ]);
  let at = first;
  while (names.size > 0) {
    at.done();
    await turn();
    const next = [...names.keys()].find((each) => each.state() === 'in');
    if (next === undefined) break;
    served.push(names.get(next) as string);
    names.delete(next);
    at = next;
  }
  t.same(served, ['vital', 'normal', 'free', 'low']);
});

t.test('what it takes for a round trip: the time to the head, of what did not fail, heard whole', async (t) => {
  const w = new World(snapshot);
  const usual = () => w.admission.explain('application', w.tenant('acme'))?.usualMs;
  const many = (ms: number, status?: number): void => {
    for (let i = 0; i < 15; i++) {
      const each = w.ask('acme');
      each.head(ms, status);
      // A stream: that it lasts says nothing.
      w.clock.advance(1000);
      each.done();
    }
  };
  many(1, 503);
  t.equal(usual(), 0, 'what fails fast is no measure');
  for (let i = 0; i < 15; i++) {
    const each = w.ask('acme');
    each.x.headAt = w.clock.now();
    w.admission.filter.onResponse?.(each.x, { status: 413, headers: new HeaderList([]) });
    each.done();
    const refused = w.ask('acme');
    w.admission.filter.onResponse?.(refused.x, { status: 502, headers: new HeaderList([]) });
    refused.done(replied('upstream-unreachable'));
  }
  t.equal(usual(), 0, 'nor who answers before it has heard all, nor an answer of ours');
  many(20);
  t.equal(usual(), 20);
  const slow = new World(snapshot);
  for (let i = 0; i < 15; i++) {
    const each = slow.ask('acme');
    each.x.sentAt = slow.clock.now();
    slow.clock.advance(3000);
    each.done(replied('upstream-timeout'));
  }
  t.equal(slow.admission.explain('application', w.tenant('acme'))?.usualMs, 3000, 'a timeout took so long at least');
});

t.test('what is held for who waits has a bound in bytes, content that came early included', async (t) => {
  const w = new World(snapshot, FIXED(1));
  w.ask('acme');
  const head = ['X-Big', 'x'.repeat(30_000)];
  const names = Array.from({ length: 12 }, (_, i) => `t${i}`);
  const many = new World(
    await snapshotOf(plan('free', {}), names.map((name) => tenant(name)).join('') + tenant('acme')),
    { ...FIXED(1) },
  );
  many.ask('acme');
  const held: Held[] = [];
  for (let i = 0; i < 60; i++)
    for (const name of names)
      held.push(
        many.ask(name, {
          headers: [...head, ...(i % 2 === 0 ? ['Content-Length', '1000000'] : ['Transfer-Encoding', 'chunked'])],
        }),
      );
  await turn();
  const waiting = held.filter((each) => each.state() === 'waiting').length;
  t.ok(waiting > 300 && waiting * (30_000 + 65_536) <= 32 * 2 ** 20, `${waiting} wait`);
});

t.test('off, it is no stage at all; an upstream that is not there has no explanation', async (t) => {
  const off = new World(snapshot, { 'admission.enabled': 'false' });
  t.equal(off.admission.filter.onRequest, undefined);
  t.equal(off.admission.explain('application', off.tenant('acme')), undefined);
  t.notMatch(await off.text(), /admission/);
  const on = new World(snapshot);
  t.equal(on.admission.explain('none', on.tenant('acme')), undefined);
});

t.test('more upstreams than have series of their own share one', async (t) => {
  const w = new World(snapshot, FIXED(7), ['application', ...Array.from({ length: 9 }, (_, i) => `u${i}`)]);
  t.match(await w.text(), 'reeve_admission_limit{upstream="__other__"} 14');
});
