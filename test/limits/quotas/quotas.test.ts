/** Quotas as a request meets them: windows that turn, thresholds that are entered and left, reservations, reloads. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Limits } from '../../../src/limits/index.ts';
import type { Admitted, Reply } from '../../../src/pipeline/index.ts';
import { createLog } from '../../../src/telemetry/index.ts';
import { HeaderList } from '../../../src/wire/index.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { plan, route, tenant, type World, world } from '../world.ts';

const NOON = '2026-11-26T12:00:00Z';

interface QuotaWorld extends World {
  readonly lines: Record<string, unknown>[];
  quota(name: string, meter: string): ReturnType<Limits['explain']>['quotas'][number];
  /** What the log says of crossings, and forgets it. */
  crossings(): string[];
  report(body: unknown): ReturnType<Limits['report']>;
  usage(name: string, value: string): HeaderList;
}

async function quotas(
  spec: object,
  o: { tenants?: string; routes?: string; at?: string; stateDir?: string } = {},
): Promise<QuotaWorld> {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    clock: new ManualClock(),
    level: 'info',
    write: (line) => void lines.push(JSON.parse(line) as never),
  });
  const w = await world(plan('free', spec), o.tenants, o.routes, { log, stateDir: o.stateDir });
  w.clock.setWall(o.at ?? NOON);
  return Object.assign(w, {
    lines,
    quota: (name: string, meter: string) =>
      w.limits
        .explain(w.snapshot, w.tenant(name), { method: 'GET', path: '/' })
        .quotas.find((each) => each.meter === meter) as never,
    crossings: () =>
      lines
        .splice(0)
        .filter(({ event }) => event === 'quota.crossed')
        .map((line) => `${line['tenant.id']} ${line['meter']} ${line['at']} ${line['do']} ${line['used']}`),
    report: (body: unknown) => w.limits.report(w.snapshot, JSON.stringify(body)),
    usage(name: string, value: string) {
      const { x, done } = w.ask(name);
      const headers = new HeaderList(['X-Reeve-Usage', value]);
      w.limits.filter.onResponse?.(x as Admitted, { status: 200, headers });
      done();
      return headers;
    },
  });
}

const spend = (w: World, count: number, name = 'acme', path = '/'): string[] =>
  Array.from({ length: count }, () => w.one(name, path));
const admitted = (all: readonly string[]): number => all.filter((each) => each !== 'quota-exceeded').length;

t.test(
  'a day is that of the tenant: 23 hours in Berlin in March, and another tenant has another midnight',
  async (t) => {
    const w = await quotas(
      { quotas: { api_calls: { per: 'day', limit: 3, mode: 'hard' } } },
      { at: '2026-03-28T22:59:59Z', tenants: tenant('acme', { timezone: 'Europe/Berlin' }) + tenant('globex') },
    );
    t.equal(admitted(spend(w, 5)), 3);
    t.equal(admitted(spend(w, 5, 'globex')), 3);
    w.clock.setWall('2026-03-28T23:00:00Z');
    t.equal(admitted(spend(w, 5)), 3, 'midnight in Berlin');
    t.equal(admitted(spend(w, 5, 'globex')), 0);
    t.match(w.quota('acme', 'api_calls'), {
      from: '2026-03-28T23:00:00.000Z',
      until: '2026-03-29T22:00:00.000Z',
      state: 'exhausted',
    });
    const refused = w.ask('acme').verdict as Reply;
    t.equal(refused.retryAfterMs, 23 * 3_600_000);
    t.equal(w.ask('acme').headers().first('ratelimit-policy'), `"api_calls-day";q=3;w=${23 * 3600};qu="requests"`);
    w.clock.setWall('2026-03-29T21:59:59.999Z');
    t.equal(admitted(spend(w, 5)), 0);
    t.equal((w.ask('acme').verdict as Reply).retryAfterMs, 1);
    w.clock.setWall('2026-03-29T22:00:00Z');
    t.equal(admitted(spend(w, 5)), 3);
  },
);

t.test('a month is the sum of its days, and a billing period begins on its own day', async (t) => {
  const w = await quotas(
    { quotas: { api_calls: { per: 'month', limit: 10, mode: 'hard' }, requests: { per: 'billing', limit: 1000 } } },
    { at: '2028-02-27T12:00:00Z', tenants: tenant('acme', { billingDay: 29 }) },
  );
  for (const [day, used, billed] of [
    ['2028-02-27', 2, 2],
    ['2028-02-28', 4, 4],
    ['2028-02-29', 6, 2],
    ['2028-03-01', 2, 4],
    ['2028-03-28', 4, 6],
    ['2028-03-29', 6, 2],
  ] as const) {
    w.clock.setWall(`${day}T23:00:00Z`);
    spend(w, 2);
    t.match([w.quota('acme', 'api_calls').used, w.quota('acme', 'requests').used], [used, billed], day);
  }
  t.match(w.quota('acme', 'requests'), {
    per: 'billing',
    from: '2028-03-29T00:00:00.000Z',
    until: '2028-04-29T00:00:00.000Z',
  });
  w.clock.setWall('2028-03-31T23:59:59Z');
  t.equal(admitted(spend(w, 10)), 4, 'what the whole month has left');
  t.match(w.ask('acme').verdict, { detail: /10 requests a month/ });
});

t.test('a threshold is entered at its mark, left 5 % below, and said once a crossing', async (t) => {
  const w = await quotas({
    quotas: {
      seats: {
        gauge: true,
        limit: 100,
        thresholds: [
          { at: '50%', do: 'notify' },
          { at: '100%', do: 'reject' },
        ],
      },
    },
  });
  const set = (value: number | string): string => {
    w.report({ tenant: 'acme', usage: { seats: value } });
    return w.quota('acme', 'seats').state;
  };
  t.same([set(49), set(50), set(48), set(50), set(47), set(50)], ['ok', 'notify', 'notify', 'notify', 'ok', 'notify']);
  t.same(w.crossings(), ['acme seats 50% notify 50', 'acme seats 50% notify 50']);
  t.same([set('+60'), set('-14'), set('-2'), set('-1000')], ['reject', 'reject', 'notify', 'ok']);
  t.same(w.crossings(), ['acme seats 50% notify 110', 'acme seats 100% reject 110'].slice(1));
  t.equal(w.quota('acme', 'seats').used, 0);
  t.match(w.quota('acme', 'seats'), { per: 'gauge', from: undefined, until: undefined });
  t.equal(w.ask('acme').headers().first('ratelimit'), '"seats";r=100');
  set(100);
  const refused = w.ask('acme').verdict as Reply;
  t.match(refused, {
    detail: 'The tenant has used its quota of 100 seats.',
    members: { 'violated-policies': ['seats'] },
  });
  t.equal(refused.retryAfterMs, undefined);
});

t.test('a threshold that refuses before all is used says so', async (t) => {
  const thresholds = [{ at: '80%', do: 'reject' }];
  const w = await quotas({ quotas: { api_calls: { limit: 10, thresholds } } });
  for (let i = 0; i < 8; i++) t.equal(w.one('acme'), 'pass');
  const { detail } = w.ask('acme').verdict as Reply;
  t.match(detail, /^The tenant has used 80 % of its quota of 10 .*, from where on it is refused\.$/);
});

t.test('usage that is given back makes room again, and no more than was used', async (t) => {
  const w = await quotas({ quotas: { llm_tokens: { limit: 100, mode: 'hard', estimate: 0 } } });
  w.usage('acme', 'llm_tokens=100');
  t.equal(w.one('acme'), 'quota-exceeded');
  w.report({ tenant: 'acme', usage: { llm_tokens: -30 } });
  t.equal(w.one('acme'), 'pass');
  w.report({ tenant: 'acme', usage: { llm_tokens: '-5000' } });
  t.equal(w.quota('acme', 'llm_tokens').used, 0);
  w.report({ tenant: 'acme', usage: { llm_tokens: '-5' } });
  w.report({ tenant: 'acme', usage: { llm_tokens: 0 } });
  t.equal(w.quota('acme', 'llm_tokens').used, 0);
  w.usage('acme', 'llm_tokens=+99');
  t.equal(w.quota('acme', 'llm_tokens').used, 99);
});

t.test('shape: what exceeds the rate waits, at most 250 ms, or is refused with the time it takes', async (t) => {
  const w = await quotas({
    rate: { requests: { limit: '10/s', burst: 100 } },
    quotas: { api_calls: { limit: 2, thresholds: [{ at: '100%', do: 'shape', rate: '50%' }] } },
  });
  spend(w, 2);
  const kinds: string[] = [];
  const held: (Reply | undefined | Promise<Reply | undefined>)[] = [];
  for (let i = 0; i < 8; i++) {
    const { x, verdict } = w.ask('acme');
    held.push(verdict);
    kinds.push(
      verdict instanceof Promise ? 'waits' : verdict === undefined ? (x.grant?.decision as string) : verdict.code,
    );
  }
  t.same(kinds, ['pass', 'pass', 'pass', 'pass', 'pass', 'waits', 'quota-exceeded', 'quota-exceeded']);
  t.match(held[6], {
    retryAfterMs: 400,
    detail: /400 % of its quota of 2 requests a month and is slowed down/,
    members: { 'violated-policies': ['api_calls-month'] },
  });
  t.match(w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' }).wouldGet, {
    decision: 'refuse',
    over: 'quota',
    waitMs: 400,
  });
  w.clock.advance(400);
  await w.clock.yieldLoop();
  t.equal(await held[5], undefined);
  t.ok(w.ask('acme').verdict instanceof Promise === false);
});

t.test('of two quotas that slow down the slower counts; only so many wait', async (t) => {
  const at = (rate: string) => ({ limit: 1, thresholds: [{ at: '100%', do: 'shape', rate }] });
  const w = await quotas({ quotas: { api_calls: at('1000/s'), requests: at('400/s'), tokens: at('500/s') } });
  spend(w, 1);
  w.usage('acme', 'tokens=5');
  const verdicts = Array.from({ length: 600 }, () => w.ask('acme').verdict);
  const waiting = verdicts.filter((each) => each instanceof Promise).length;
  t.equal(waiting, 64, 'as many as may wait of one tenant');
  t.ok(verdicts.indexOf(verdicts.find((each) => each instanceof Promise)) >= 398, 'one second of the slower rate');
});

t.test('degrade: the degraded upstream where there is one; what the application is told', async (t) => {
  const w = await quotas(
    {
      rate: { requests: { limit: '1000/s', burst: 1000 } },
      quotas: { api_calls: { limit: 1, thresholds: [{ at: '100%', do: 'degrade' }] } },
    },
    {
      routes:
        route('r', { match: { path: '/r' }, degraded: { upstream: 'lite' } }) +
        route('pay', { match: { path: '/pay' }, critical: true }),
    },
  );
  t.same(w.ask('acme').x.injected, []);
  const plain = w.ask('acme');
  t.same(
    [plain.x.grant?.decision, plain.x.grant?.useDegradedRoute, plain.x.injected],
    ['degrade', false, ['x-tenant-quota-state', 'soft', 'x-tenant-degrade', '2']],
  );
  t.equal(w.ask('acme', { path: '/r' }).x.grant?.useDegradedRoute, true);
  const critical = w.ask('acme', { path: '/pay' });
  t.same([critical.x.grant?.decision, critical.x.injected], ['pass', ['x-tenant-quota-state', 'soft']]);
  const explained = (path: string) => w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path }).wouldGet;
  t.match(explained('/'), { decision: 'degrade', because: /a quota/, over: 'quota', rung: undefined });
  t.match(explained('/r'), { decision: 'degrade', over: 'quota', rung: 'route: degraded' });
  t.match(explained('/pay'), { decision: 'pass', over: 'nothing' });
});

t.test('a rung of the rate ladder that degrades already stands', async (t) => {
  const w = await quotas({
    rate: { requests: { limit: '1/h', burst: 1 } },
    quotas: { api_calls: { limit: 1, thresholds: [{ at: '100%', do: 'degrade' }] } },
    degrade: [{ features: ['x'] }, 'reject'],
  });
  spend(w, 1);
  t.same(w.ask('acme').x.injected, ['x-tenant-quota-state', 'soft', 'x-tenant-degrade', '2; features="x"']);
});

t.test('hard: all or nothing with the rates, costs of routes, and what costs nothing or is critical', async (t) => {
  const w = await quotas(
    {
      rate: { requests: { limit: '1/h', burst: 8 } },
      degrade: ['reject'],
      quotas: { api_calls: { limit: 10, mode: 'hard' } },
    },
    {
      routes:
        route('dear', { match: { path: '/dear' }, cost: 7 }) +
        route('free', { match: { path: '/free' }, cost: 0 }) +
        route('pay', { match: { path: '/pay' }, critical: true }),
    },
  );
  t.equal(w.one('acme', '/dear'), 'notice');
  t.same(w.ask('acme', { path: '/dear' }).verdict && (w.ask('acme', { path: '/dear' }).verdict as Reply).members, {
    'violated-policies': ['api_calls-month'],
  });
  t.equal(w.quota('acme', 'api_calls').used, 7, 'a refusal takes nothing');
  spend(w, 1);
  t.equal(w.ask('acme').verdict !== undefined, true, 'the rate is spent');
  t.equal(w.quota('acme', 'api_calls').used, 8, 'and then the quota is not');
  spend(w, 5, 'acme', '/pay');
  t.equal(w.quota('acme', 'api_calls').used, 13);
  t.equal(w.one('acme', '/free'), 'notice');
  const ask = { method: 'GET', path: '/pay' };
  t.equal(w.limits.explain(w.snapshot, w.tenant('acme'), ask).wouldGet.decision, 'notice');
});

t.test('hard, of what is known only at the end: an estimate is reserved until it is', async (t) => {
  const w = await quotas({
    quotas: { bytes_out: { limit: 1000, mode: 'hard' }, compute_ms: { limit: 100, mode: 'hard', estimate: 40 } },
  });
  const first = w.ask('acme');
  t.match(
    [w.quota('acme', 'bytes_out').reserved, w.quota('acme', 'compute_ms').reserved],
    [0, 40],
    'nothing is learnt yet',
  );
  w.clock.advance(12.3456);
  first.done(400);
  t.match(w.quota('acme', 'bytes_out'), { used: 400, reserved: 0 });
  t.match(w.quota('acme', 'compute_ms'), { used: 12.35, reserved: 0 });
  const open = [w.ask('acme'), w.ask('acme')];
  t.match(
    [w.quota('acme', 'bytes_out').reserved, w.quota('acme', 'compute_ms').reserved],
    [400, 40],
    'the second was refused',
  );
  t.match(open[1]?.verdict, {
    detail:
      /is not used up: what is left of it is reserved by requests in flight, and free again where they use less\.$/,
    members: { 'violated-policies': ['bytes_out-month'] },
  });
  t.equal(w.ask('acme').headers().first('ratelimit')?.startsWith('"bytes_out-month";r=0;'), true);
  open[0]?.done(100);
  open[1]?.done(0);
  t.match(w.quota('acme', 'bytes_out'), { used: 500, reserved: 0 });
  const last = w.ask('acme');
  t.equal(w.quota('acme', 'bytes_out').reserved, 360, 'what the largest of the last ones took, fading');
  last.done(5000);
  t.equal(w.one('acme'), 'quota-exceeded');
  t.match(w.quota('acme', 'bytes_out'), { used: 5500, state: 'exhausted' });
});

t.test('what only requests in flight have reserved is worth a retry soon; what is used up is not', async (t) => {
  const w = await quotas({ quotas: { tokens: { per: 'day', limit: 1000, mode: 'hard', estimate: 100 } } });
  const untilMidnight = 12 * 3_600_000;
  const all = Array.from({ length: 20 }, () => w.ask('acme'));
  const [open, refused] = [all.slice(0, 10), all.slice(10)];
  t.ok(open.every(({ verdict }) => verdict === undefined));
  t.match(
    refused.map(({ verdict }) => verdict),
    refused.map(() => ({ code: 'quota-exceeded', retryAfterMs: 2000, detail: /reserved by requests in flight/ })),
  );
  t.equal(w.ask('acme').headers().first('ratelimit'), '"tokens-day";r=0;t=2');
  t.match(w.quota('acme', 'tokens'), { used: 0, reserved: 1000, state: 'held' }, 'not used up');
  w.report({ tenant: 'acme', usage: { tokens: 901 } });
  t.match(
    w.ask('acme').verdict,
    { detail: /^Less is left of .*; requests in flight have reserved some of it\.$/, retryAfterMs: untilMidnight },
    '99 are left, whatever those in flight take',
  );
  w.report({ tenant: 'acme', usage: { tokens: 99 } });
  t.match(w.ask('acme').verdict, { detail: /^The tenant has used its quota/, retryAfterMs: untilMidnight });
  t.equal(w.ask('acme').headers().first('ratelimit'), `"tokens-day";r=0;t=${untilMidnight / 1000}`);
  t.equal(w.quota('acme', 'tokens').state, 'exhausted');
  for (const each of open) each.done();
});

t.test(
  'some is used, and the rest is reserved: soon; where another quota is used up: not before it ends',
  async (t) => {
    const day = { per: 'day', mode: 'hard' };
    const w = await quotas({
      quotas: {
        tokens: { ...day, limit: 100, estimate: 20 },
        credits: { ...day, limit: 10, estimate: 1 },
        pages: { ...day, limit: 10, estimate: 5 },
      },
    });
    w.report({ tenant: 'acme', usage: { tokens: 60 } });
    const all = Array.from({ length: 4 }, () => w.ask('acme'));
    t.match(
      all.map(({ verdict }) => (verdict as Reply | undefined)?.retryAfterMs),
      [undefined, undefined, 2000, 2000],
    );
    w.report({ tenant: 'acme', usage: { credits: 10 } });
    const both = w.ask('acme').verdict as Reply;
    t.match(both.members, { 'violated-policies': ['tokens-day', 'credits-day', 'pages-day'] });
    t.equal(both.retryAfterMs, 12 * 3_600_000, 'the longest');
    w.report({ tenant: 'acme', usage: { credits: '-1' } });
    for (const each of all) each.done();
    t.equal(w.one('acme'), 'pass', 'they used nothing');
  },
);

t.test('hard bytes_in: what is declared is what is taken', async (t) => {
  const w = await quotas({ quotas: { bytes_in: { limit: 1000, mode: 'hard', estimate: 300 } } });
  let detail: string | undefined;
  const send = (method: string, length: number): boolean => {
    // Asked for with its fields: a passage has them before the limits see it.
    const { x } = w.ask('globex', { method: 'GET' });
    x.tenant = w.tenant('acme');
    Object.assign(x, { method });
    x.headers.append('content-length', String(length));
    const verdict = w.limits.filter.onRequest?.(x) as Reply | undefined;
    detail = verdict?.detail;
    if (verdict !== undefined) return false;
    x.requestBytes = length;
    w.limits.filter.onDone?.(x as Admitted, { kind: 'forwarded', status: 200 });
    return true;
  };
  t.ok(send('POST', 600));
  t.notOk(send('POST', 500));
  t.equal(detail, "Less is left of the tenant's quota of 1000 content-bytes a month than this request takes.");
  t.ok(send('POST', 400));
  t.notOk(send('POST', 1));
  t.match(detail, /^The tenant has used its quota of 1000/);
  t.equal(w.quota('acme', 'bytes_in').used, 1000);
  t.equal(w.one('acme'), 'pass', 'a GET brings nothing');
  t.ok(send('POST', 0));
  t.equal((w.ask('acme', { method: 'POST' }).verdict as Reply).code, 'quota-exceeded', 'of an unknown length');
});

t.test('a reload keeps what was used: limits, windows, zones and meters that come and go', async (t) => {
  const w = await quotas({
    quotas: {
      api_calls: {
        per: 'day',
        limit: 10,
        thresholds: [
          { at: '50%', do: 'notify' },
          { at: '90%', do: 'degrade' },
        ],
      },
    },
  });
  const both = tenant('acme') + tenant('globex');
  const load = async (spec: object, tenants = both): Promise<void> => w.load(plan('free', spec), tenants);
  spend(w, 6);
  t.same(w.crossings(), ['acme api_calls 50% notify 5']);
  await load({
    quotas: {
      api_calls: {
        per: 'day',
        limit: 10,
        mode: 'hard',
        thresholds: [
          { at: '50%', do: 'notify' },
          { at: '90%', do: 'degrade' },
        ],
      },
    },
  });
  t.match(w.quota('acme', 'api_calls'), { used: 6, state: 'notify' });
  t.same(w.crossings(), [], 'nothing was crossed');
  await load({
    quotas: {
      api_calls: {
        per: 'day',
        limit: 6,
        thresholds: [
          { at: '50%', do: 'notify' },
          { at: '90%', do: 'degrade' },
        ],
      },
    },
  });
  t.same(w.crossings(), ['acme api_calls 90% degrade 6'], 'a limit that falls is a crossing');
  t.match(w.quota('acme', 'api_calls'), { used: 6, state: 'degrade' });
  await load({ quotas: { api_calls: { per: 'month', limit: 100 }, tokens: { limit: 5 } } });
  t.match(w.quota('acme', 'api_calls'), { used: 6, per: 'month', state: 'ok' });
  t.equal(w.quota('acme', 'tokens').used, 0);
  await load(
    { quotas: { api_calls: { per: 'month', limit: 100 } } },
    tenant('acme', { timezone: 'Pacific/Kiritimati' }),
  );
  t.match(w.quota('acme', 'api_calls'), { used: 6, from: '2026-10-31T10:00:00.000Z' }, 'another zone, the same days');
  await load({});
  t.same(w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' }).quotas, []);
  spend(w, 3);
  await load({ quotas: { api_calls: { per: 'month', limit: 100 } } });
  t.match(w.quota('acme', 'api_calls'), { used: 6 }, 'what no quota counts is not counted');
});

t.test(
  'a tenant that goes takes its counts along, finds them again, and leaves none to who has its slot',
  async (t) => {
    const spec = { quotas: { api_calls: { limit: 5, mode: 'hard' }, seats: { gauge: true, limit: 9 } } };
    const w = await quotas(spec);
    spend(w, 4);
    w.report({ tenant: 'acme', usage: { seats: 7 } });
    const open = w.ask('acme');
    const slot = w.tenant('acme').index;
    await w.load(plan('free', spec), tenant('globex'));
    open.done(5);
    await w.load(plan('free', spec), tenant('globex') + tenant('initech'));
    Object.assign(w.tenant('initech'), { index: slot });
    t.match(w.quota('initech', 'api_calls'), { used: 0 });
    spend(w, 1, 'initech');
    t.match(w.quota('initech', 'seats'), { used: 0 });
    await w.load(plan('free', spec), tenant('globex') + tenant('acme'));
    t.match(w.quota('acme', 'api_calls'), { used: 5, state: 'exhausted' });
    t.match(w.quota('acme', 'seats'), { used: 7 });
    t.equal(w.one('acme'), 'quota-exceeded');
  },
);

t.test('a reservation of a tenant that went meanwhile is given back, and holds nothing', async (t) => {
  const spec = { quotas: { bytes_out: { limit: 1000, mode: 'hard', estimate: 300 } } };
  const w = await quotas(spec);
  const open = [w.ask('acme'), w.ask('acme')];
  await w.load(plan('free', spec), tenant('globex'));
  for (const each of open) each.done(100);
  await w.load(plan('free', spec), tenant('globex') + tenant('acme'));
  t.match(w.quota('acme', 'bytes_out'), { used: 0, reserved: 0 });
  const again = Array.from({ length: 5 }, () => w.ask('acme'));
  t.equal(again.filter(({ verdict }) => verdict === undefined).length, 3);
  for (const each of again) each.done(1);
  t.match(w.quota('acme', 'bytes_out'), { used: 3, reserved: 0 });
});

t.test('an answer of the application of a slot that changed hands counts for nobody', async (t) => {
  const spec = { quotas: { tokens: { limit: 100 } } };
  const w = await quotas(spec, { tenants: tenant('acme') });
  const { x } = w.ask('acme');
  await w.load(plan('free', spec), tenant('globex'));
  t.equal(w.tenant('globex').index, x.tenant.index);
  spend(w, 1, 'globex');
  w.limits.filter.onResponse?.(x as Admitted, { status: 200, headers: new HeaderList(['X-Reeve-Usage', 'tokens=50']) });
  t.equal(w.quota('globex', 'tokens').used, 0);
});

t.test('the header: taken off, counted by an admitted exchange only, and malformed whole or not at all', async (t) => {
  const w = await quotas({ quotas: { tokens: { limit: 100 }, api_calls: { limit: 1, mode: 'hard' } } });
  t.notOk(w.usage('acme', 'tokens=5').has('x-reeve-usage'));
  w.usage('acme', 'tokens=50');
  t.equal(w.quota('acme', 'tokens').used, 5, 'a refusal is no answer of the application');
  const globex = w.ask('globex');
  w.lines.splice(0);
  for (const bad of ['tokens=5,tokens', 'tokens=--5', Array(17).fill('tokens=1').join(',')])
    w.limits.filter.onResponse?.(globex.x as Admitted, {
      status: 200,
      headers: new HeaderList(['X-Reeve-Usage', bad]),
    });
  t.equal(w.quota('globex', 'tokens').used, 0);
  t.match(w.lines, [{ event: 'usage.malformed', 'tenant.id': 'globex', text: 'tokens=5,tokens' }]);
  w.clock.advance(60_000);
  w.limits.filter.onResponse?.(globex.x as Admitted, { status: 200, headers: new HeaderList(['X-Reeve-Usage', '!']) });
  t.equal(w.lines.length, 2, 'one line a minute');
  const plain = await quotas({});
  const headers = plain.usage('acme', 'tokens=5');
  t.notOk(headers.has('x-reeve-usage'), 'also where nobody counts');
});

t.test('shadow: counted and said, and nothing is refused, delayed or told', async (t) => {
  const thresholds = [
    { at: '50%', do: 'shape', rate: '1/h' },
    { at: '100%', do: 'reject' },
  ];
  const w = await quotas({ shadow: true, quotas: { api_calls: { limit: 4, mode: 'hard', thresholds } } });
  const asked = Array.from({ length: 6 }, () => w.ask('acme'));
  t.ok(asked.every(({ verdict, x }) => verdict === undefined && x.injected.length === 0));
  t.same(w.crossings(), ['acme api_calls 50% shape 2', 'acme api_calls 100% reject 4']);
  t.equal(w.quota('acme', 'api_calls').used, 6);
  let text = '';
  for await (const chunk of w.metrics.exposition()) text += chunk;
  t.match(text, /decision="shadow_refused"\} 3/);
});

t.test('a clock that is set back finds the day that it was, closed or not', async (t) => {
  const w = await quotas({ quotas: { api_calls: { per: 'day', limit: 100 } } });
  await w.limits.open();
  spend(w, 3);
  w.clock.setWall('2026-11-28T15:00:00Z');
  spend(w, 2);
  w.clock.advance(3_600_000);
  t.equal(w.quota('acme', 'api_calls').used, 2);
  w.clock.setWall(NOON);
  spend(w, 4);
  t.equal(w.quota('acme', 'api_calls').used, 7, 'the day was closed, and counts on');
  w.clock.advance(3_600_000);
  spend(w, 1);
  t.equal(w.quota('acme', 'api_calls').used, 8);
  w.clock.advance(3_600_000);
  spend(w, 1);
  t.equal(w.quota('acme', 'api_calls').used, 9);
  w.clock.setWall('2027-03-01T15:00:00Z');
  w.clock.advance(3_600_000);
  w.clock.setWall(NOON);
  t.equal(w.quota('acme', 'api_calls').used, 0, 'what is older than every window is forgotten');
  await w.limits.close();
});

t.test('where counts are not kept, that is said once; where they are, it is not', async (t) => {
  const spec = plan('free', { quotas: { api_calls: { limit: 5 } } });
  const w = await quotas({});
  await w.load(plan('free'), tenant('acme'));
  t.same(w.lines, []);
  await w.load(spec, tenant('acme'));
  await w.load(spec, tenant('globex'));
  t.match(w.lines, [{ event: 'quota.counts_not_kept', remedy: /stateDir/ }]);
  t.equal(w.lines.length, 1);
  const dir = mkdtempSync(join(tmpdir(), 'reeve-quotas-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const quota = { quotas: { api_calls: { limit: 5, mode: 'hard' } } };
  const first = await quotas(quota, { stateDir: dir });
  await first.limits.open();
  spend(first, 4);
  await first.limits.close();
  const second = await quotas(quota, { stateDir: dir });
  await second.limits.open();
  t.equal(admitted(spend(second, 4)), 1);
  t.same(
    second.crossings(),
    ['acme api_calls 100% notify 5'],
    'what was crossed before the restart is not crossed again',
  );
  let text = '';
  for await (const chunk of second.metrics.exposition()) text += chunk;
  t.match(text, /reeve_quota_series 1\nr?/);
  t.match(text, /reeve_quota_log_writing 1/);
  await second.limits.close();
});

t.test('what was used is known of every meter, quota or none; of a gauge it is the change', async (t) => {
  const w = await quotas({ quotas: { tokens: { limit: 100 }, disk: { gauge: true, limit: '1KiB' } } });
  const usage = { tokens: 5, disk: 100, other: '-2', more: '+3' };
  t.match(w.report({ tenant: 'acme', usage }), {
    kind: 'counted',
    tenant: 'acme',
    units: [
      { meter: 'tokens', units: 5 },
      { meter: 'disk', units: 100 },
      { meter: 'other', units: -2 },
      { meter: 'more', units: 3 },
    ],
  });
  t.match(w.report({ tenant: 'acme', usage: { disk: 70 } }), { units: [{ meter: 'disk', units: -30 }] });
  t.match(w.report({ tenant: 'acme', usage: { disk: '+5' } }), { units: [{ meter: 'disk', units: 5 }] });
  const answered = (text: string): Admitted => {
    const { x } = w.ask('acme');
    w.limits.filter.onResponse?.(x as Admitted, { status: 200, headers: new HeaderList(['X-Reeve-Usage', text]) });
    return x as Admitted;
  };
  t.strictSame(answered('tokens=7, other=1').usage, [
    { meter: 'tokens', units: 7 },
    { meter: 'other', units: 1 },
  ]);
  t.equal(answered('what').usage, undefined);
});

t.test('reports of nobody, of nothing and of what is counted here', async (t) => {
  const w = await quotas({ quotas: { tokens: { limit: 100 } } });
  t.match(w.report({ tenant: 'nobody', usage: { tokens: 1 } }), { kind: 'unknown_tenant', tenant: 'nobody' });
  t.match(w.report({ tenant: 'acme' }), { kind: 'malformed', detail: /usage must be an object/ });
  t.match(w.report({ tenant: 'acme', usage: { tokens: 1, other: 2 } }), {
    kind: 'counted',
    counted: ['tokens'],
    ignored: ['other'],
  });
  const plain = await quotas({});
  t.match(plain.report({ tenant: 'acme', usage: { tokens: 1 } }), {
    kind: 'counted',
    counted: [],
    ignored: ['tokens'],
  });
});

t.test('a reload that changes nothing of a tenant leaves its account', async (t) => {
  const spec = { quotas: { api_calls: { limit: 5 } } };
  const w = await quotas(spec);
  spend(w, 2);
  w.limits.use(w.snapshot, w.snapshot);
  t.equal(w.quota('acme', 'api_calls').used, 2);
});
