/** The rung `stale` as requests meet it: what is kept, who gets it again, and who does not. */
import fc from 'fast-check';
import t from 'tap';
import { CONTENT_BYTES_MAX, COPIES_BYTES_MAX } from '../../../src/limits/stale/answer-copy.ts';
import type { Reply } from '../../../src/pipeline/index.ts';
import { plan, route, tenant } from '../world.ts';
import { type Answering, type Asking, PLAN, type StaleWorld, staleWorld } from './world.ts';

const PUBLIC = ['Cache-Control', 'public'];
const both = tenant('acme') + tenant('globex');
/** Whether what was answered to one request is given to the next. */
const isShared = async (answering: Answering, first: Asking = {}, second: Asking = first): Promise<boolean> => {
  const w = await staleWorld();
  w.pass('acme', first, answering);
  return w.over('acme', second).kept !== undefined;
};
const codeOf = (verdict: unknown): string => (verdict as Reply).code;

t.test('over the limit, an answer from before: whole, with its age, and truthful about what is left', async (t) => {
  const w = await staleWorld();
  const date = new Date(w.clock.wallMs() + 1001).toUTCString();
  const headers = [
    'ETag',
    '"1"',
    'Date',
    date,
    'Age',
    '4',
    'X-Request-Id',
    'r',
    'RateLimit',
    '"app";r=9',
    'Content-Length',
    '7',
  ];
  t.equal(w.pass('acme', {}, { headers }).verdict, undefined);
  w.clock.advance(9500);
  const { x, kept } = w.over('acme');
  t.match(kept, { status: 200, content: 'content' });
  t.equal(x.grant?.decision, 'stale');
  t.same(x.injected, [], 'nothing goes to the application');
  t.same(kept?.fields.raw.slice(0, 8), [
    'ETag',
    '"1"',
    'Date',
    date,
    'Age',
    '13',
    'Cache-Status',
    'reeve; hit; ttl=-14',
  ]);
  t.same(kept?.fields.all('ratelimit-policy'), ['"requests";q=1;w=1']);
  t.same(kept?.fields.all('ratelimit'), ['"requests";r=0;t=1']);
  t.equal(await w.value('reeve_limit_decisions_total{plan="free",decision="stale"}'), 1);
  t.equal(await w.value('reeve_stale_lookups_total{result="hit"}'), 1);
  t.equal(await w.value('reeve_stale_copies_total{result="kept"}'), 1);
  t.equal(await w.value('reeve_stale_answers'), 1);
  t.ok((await w.value('reeve_stale_bytes')) > 1000);
  const about = w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' });
  t.match(about, { stale: { answers: 1 }, ladder: ['stale: 60000ms', 'reject'], wouldGet: { decision: 'refuse' } });
});

t.test('it spends nothing, so that it may be given as often as it is asked for', async (t) => {
  const w = await staleWorld(
    PLAN,
    undefined,
    route('r', { match: { path: '/' }, rate: { requests: { limit: '2/h', burst: 2 } } }),
  );
  w.pass('acme');
  for (let i = 0; i < 100; i++) t.ok(w.over('acme').kept);
  t.equal(w.pass('acme').verdict, undefined, 'a second later, as if nothing had been');
  // Beyond the route's own rate too: the application is not asked.
  w.pass('acme');
  w.pass('acme');
  t.ok(w.over('acme').kept);
});

t.test('never to another tenant, whatever both ask for', async (t) => {
  const w = await staleWorld();
  w.pass('acme', { host: 'same.test', target: '/same' }, { content: 'of acme', headers: PUBLIC });
  w.pass('globex', { host: 'same.test', target: '/other' });
  t.equal(codeOf(w.over('globex', { host: 'same.test', target: '/same' }).verdict), 'quota-exceeded');
  w.pass('globex', { host: 'same.test', target: '/same' }, { content: 'of globex', headers: PUBLIC });
  t.equal(w.over('acme', { host: 'same.test', target: '/same' }).kept?.content, 'of acme');
  t.equal(w.over('globex', { host: 'same.test', target: '/same' }).kept?.content, 'of globex');
});

t.test('until it is too stale for the plan', async (t) => {
  const w = await staleWorld();
  w.pass('acme');
  w.clock.advance(60_000);
  t.ok(w.over('acme').kept);
  w.clock.advance(1);
  t.equal(codeOf(w.over('acme').verdict), 'quota-exceeded');
  t.ok((await w.value('reeve_stale_lookups_total{result="miss"}')) > 0);
  w.pass('acme', {}, { headers: ['Cache-Control', 'max-age=100'] });
  w.clock.advance(160_000);
  t.ok(w.over('acme').kept, 'past its freshness');
  w.clock.advance(1);
  t.notOk(w.over('acme').kept);
});

t.test('it ages from when it was asked for', async (t) => {
  const w = await staleWorld();
  for (const isEarly of [false, true]) {
    const target = `/${isEarly}`;
    w.pass('acme', { target }, { tookMs: 3000, isEarly });
    w.clock.advance(1000);
    t.equal(w.over('acme', { target }).kept?.fields.first('age'), '4');
  }
});

t.test('nothing that came stale enough already, or that forbids it', async (t) => {
  const w = await staleWorld();
  w.pass('acme', {}, { headers: ['Age', '60'] });
  t.notOk(w.over('acme').kept);
  t.equal(await w.value('reeve_stale_answers'), 0);
  for (const text of ['no-store', 'private', 'no-cache', 's-maxage=0', 'must-revalidate'])
    t.notOk(await isShared({ headers: ['Cache-Control', `${text}, max-age=0`] }), text);
  t.notOk(await isShared({ headers: ['Set-Cookie', 'a=b'] }));
  for (const status of [204, 302, 500]) t.notOk(await isShared({ status, headers: PUBLIC }), `${status}`);
  t.ok(await isShared({ status: 404 }));
});

t.test('a user’s answer is for others only when it says so', async (t) => {
  const users: Asking[] = [
    { source: 'jwt' },
    { source: 'apiKey' },
    { source: 'header' },
    { headers: ['Authorization', 'Basic x'] },
    { source: 'path', headers: ['Cookie', 'a=b'] },
  ];
  for (const user of users) {
    t.notOk(await isShared({ headers: ['Cache-Control', 'max-age=60'] }, user), JSON.stringify(user));
    t.ok(await isShared({ headers: PUBLIC }, user), JSON.stringify(user));
    t.ok(await isShared({ headers: ['Cache-Control', 's-maxage=60'] }, user), JSON.stringify(user));
  }
  t.ok(await isShared({}, { source: 'path' }));
});

t.test('at its place alone: host, port, target, and what proxies say of them', async (t) => {
  const at: Asking = { host: 'a.test', port: 80, target: '/a?x=1', headers: ['X-Forwarded-Proto', 'https'] };
  t.ok(await isShared({}, at));
  t.ok(await isShared({}, at, { ...at, method: 'HEAD' }));
  const elsewhere: Asking[] = [
    { ...at, host: 'b.test' },
    { ...at, port: 81 },
    { ...at, target: '/a?x=2' },
    { ...at, headers: ['X-Forwarded-Proto', 'http'] },
    { ...at, headers: [] },
    { ...at, headers: ['X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'evil'] },
    { ...at, method: 'POST' },
    { ...at, isWhole: false },
  ];
  for (const other of elsewhere) t.notOk(await isShared({}, at, other), JSON.stringify(other));
  t.notOk(await isShared({}, { ...at, isWhole: false }, at), 'nor from what was asked with content');
  t.notOk(await isShared({}, { ...at, method: 'HEAD' }, at));
});

t.test('chosen by what the answer varies with', async (t) => {
  const w = await staleWorld();
  const headers = ['Vary', 'Accept-Language, X-None'];
  for (const language of ['de', 'en'])
    w.pass('acme', { headers: ['Accept-Language', language] }, { headers, content: language });
  const given = (...raw: string[]): string | undefined => w.over('acme', { headers: raw }).kept?.content;
  w.clock.advance(1000);
  t.equal(given('Accept-Language', 'en'), 'en');
  t.equal(given('accept-language', 'fr'), undefined);
  t.equal(given(), undefined);
  t.equal(given('Accept-Language', 'en', 'X-None', ''), undefined, 'empty is not absent');
  for (const vary of ['*', 'Cookie', 'Authorization', 'X-Forwarded-For'])
    t.notOk(await isShared({ headers: ['Vary', vary] }), vary);
});

t.test('nothing that was told otherwise than others are told', async (t) => {
  const ladder = plan('free', {
    rate: { requests: { limit: '1/s', burst: 1 } },
    degrade: [{ stale: '60s' }, { features: ['a'] }, 'reject'],
  });
  const w = await staleWorld(ladder);
  w.pass('acme', { target: '/other' });
  // Degraded: what it then says is a lesser answer.
  const less = w.over('acme');
  t.equal(less.x.grant?.decision, 'degrade');
  const w2 = await staleWorld(ladder);
  w2.pass('acme', {}, { content: 'whole' });
  w2.pass('globex');
  t.equal(w2.over('acme').kept?.content, 'whole');
  // Near its limit it is told so: where the answer varies with that, it is not kept.
  t.equal(w2.pass('acme', { target: '/n' }).x.grant?.decision, 'notice');
  t.notOk(await isShared({ headers: ['Vary', 'x-tenant-degrade'] }));
  t.ok(await isShared({ headers: ['Vary', 'X-Tenant-Id'] }));
});

t.test('a degraded answer is not kept, and changes nothing of what is', async (t) => {
  const w = await staleWorld(
    plan('free', {
      rate: { requests: { limit: '1/s', burst: 1 } },
      degrade: [{ features: ['a'] }, { stale: '60s' }, 'reject'],
    }),
  );
  w.pass('acme', {}, { content: 'whole' });
  w.clock.advance(2000);
  const degraded = w.over('acme');
  t.equal(degraded.x.grant?.decision, 'degrade');
  t.equal(w.over('acme').kept?.content, 'whole');
});

t.test('what the application says now ends what it said before', async (t) => {
  for (const [answering, isThere] of [
    [{ status: 200, headers: ['Cache-Control', 'no-store'] }, false],
    [{ status: 403 }, false],
    [{ status: 410, content: 'gone' }, true],
    [{ status: 304 }, true],
    [{ status: 500 }, true],
    [{ status: 429 }, true],
    [{ status: 206 }, true],
  ] as const) {
    const w = await staleWorld();
    w.pass('acme', {}, { headers: ['Cache-Control', 'max-age=9999'] });
    w.pass('acme', {}, answering);
    t.equal(w.over('acme').kept !== undefined, isThere, JSON.stringify(answering));
  }
});

t.test('a change at a place ends what was kept of it', async (t) => {
  for (const [method, status, isThere] of [
    ['POST', 201, false],
    ['DELETE', 204, false],
    ['PUT', 302, false],
    ['PATCH', 409, true],
    ['POST', 500, true],
    ['OPTIONS', 200, true],
    ['HEAD', 200, true],
  ] as const) {
    const w = await staleWorld();
    w.pass('acme', {}, { headers: ['Cache-Control', 'max-age=9999'] });
    w.pass('acme', { method, isWhole: method === 'HEAD' }, { status });
    t.equal(w.over('acme').kept !== undefined, isThere, method);
  }
});

t.test('a client that has it is told so', async (t) => {
  const w = await staleWorld();
  w.pass('acme', {}, { headers: ['ETag', '"1"', 'Content-Type', 'text/plain', 'Vary', 'Accept'] });
  const { kept } = w.over('acme', { headers: ['If-None-Match', 'W/"1"'] });
  t.match(kept, { status: 304, content: '' });
  t.same(kept?.fields.names.slice(0, 5), ['etag', 'vary', 'date', 'age', 'cache-status']);
  t.equal(w.over('acme', { headers: ['If-None-Match', '"2"'] }).kept?.status, 200);
  w.pass('acme', { target: '/gone' }, { status: 404, headers: ['ETag', '"1"'] });
  t.equal(
    w.over('acme', { target: '/gone', headers: ['If-None-Match', '"1"'] }).kept?.status,
    404,
    'only what is there',
  );
});

t.test('no more often than a second is one place copied', async (t) => {
  const w = await staleWorld(
    plan('free', { rate: { requests: { limit: '1000/s', burst: 3 } }, degrade: [{ stale: '1d' }, 'reject'] }),
  );
  w.pass('acme', {}, { content: '1' });
  w.clock.advance(999);
  t.equal(w.over('acme').verdict, undefined);
  t.equal(await w.value('reeve_stale_copies_total{result="kept"}'), 1);
  w.clock.advance(1);
  w.pass('acme', {}, { content: '2' });
  t.equal(await w.value('reeve_stale_copies_total{result="kept"}'), 2);
});

t.test('nothing cut short, too long or beyond all room is kept, and what a copy took is free again', async (t) => {
  t.notOk(await isShared({ outcome: { kind: 'aborted', side: 'upstream', status: 200 } }));
  t.ok(await isShared({ content: Buffer.alloc(CONTENT_BYTES_MAX) }));
  t.notOk(await isShared({ content: Buffer.alloc(CONTENT_BYTES_MAX + 1) }));
  t.ok(await isShared({ content: Buffer.alloc(3000), headers: ['Content-Length', '3000'] }));
  t.notOk(await isShared({ content: Buffer.alloc(10), headers: ['Content-Length', `${CONTENT_BYTES_MAX + 1}`] }));
  const w = await staleWorld();
  const size = CONTENT_BYTES_MAX;
  const headers = ['Content-Length', `${size}`];
  let open = 0;
  // Each begins in the middle of the one before.
  const nest = (): void => {
    if (open++ < COPIES_BYTES_MAX / size)
      w.pass('acme', { target: `/${open}` }, { headers, content: Buffer.alloc(size), meanwhile: nest });
  };
  nest();
  t.equal(await w.value('reeve_stale_copies_total{result="kept"}'), COPIES_BYTES_MAX / size);
  open = -1;
  nest();
  t.equal(await w.value('reeve_stale_copies_total{result="given_up"}'), 1, 'the one for which there was no room');
  t.equal(w.pass('acme', { target: '/last' }, { headers, content: Buffer.alloc(size) }).verdict, undefined);
  t.ok(w.over('acme', { target: '/last' }).kept);
});

t.test('what one tenant was told goes with it, and with its plan', async (t) => {
  const w = await staleWorld(
    PLAN + plan('other', { rate: { requests: { limit: '1/s' } }, degrade: [{ stale: '60s' }, 'reject'] }),
  );
  const plans = PLAN + plan('other', { rate: { requests: { limit: '1/s' } }, degrade: [{ stale: '60s' }, 'reject'] });
  w.pass('acme', { target: '/a' });
  w.pass('acme', {}, { headers: ['Cache-Control', 'max-age=9999'] });
  t.ok(w.over('acme').kept);
  await w.load(plans, tenant('acme', { plan: 'other' }) + tenant('globex'));
  w.pass('acme', { target: '/b' });
  t.notOk(w.over('acme').kept, 'the application is told the plan');
  await w.load(plans, both);
  await w.load(plans, tenant('globex'));
  t.equal(await w.value('reeve_stale_answers'), 0);
  await w.load(plans, both);
  w.pass('acme', { target: '/c' });
  t.notOk(w.over('acme').kept);
});

t.test('an answer that ends after its tenant is gone is nobody’s', async (t) => {
  const w = await staleWorld();
  const snapshot = w.snapshot;
  const without = (await staleWorld(PLAN, tenant('globex'))).snapshot;
  w.pass('acme', {}, { meanwhile: () => w.limits.use({ ...without, generation: 2 }, snapshot) });
  t.equal(await w.value('reeve_stale_answers'), 0);
});

t.test('without the rung nothing is kept; critical routes and debts of bytes know none', async (t) => {
  const plain = await staleWorld(plan('free', { rate: { requests: { limit: '1/s', burst: 1 } }, degrade: ['reject'] }));
  t.equal(plain.pass('acme').x.copy, undefined);
  t.equal(codeOf(plain.over('acme').verdict), 'quota-exceeded');
  t.equal(plain.limits.explain(plain.snapshot, plain.tenant('acme'), { method: 'GET', path: '/' }).stale, undefined);
  t.equal(await plain.value('reeve_stale_answers'), 0);

  const critical = await staleWorld(PLAN, undefined, route('r', { match: { path: '/' }, critical: true }));
  critical.pass('acme');
  t.equal(critical.over('acme').verdict, undefined);

  const bytes = await staleWorld(
    plan('free', {
      rate: { requests: { limit: '1/s', burst: 1 }, egress: { limit: '1KiB/h' } },
      degrade: [{ stale: '60s' }, 'reject'],
    }),
  );
  bytes.pass('acme');
  const { x, kept } = bytes.over('acme');
  t.ok(kept);
  x.responseBytes = 99_999;
  bytes.limits.filter.onDone?.(x as never, { kind: 'kept', status: 200 });
  t.equal(codeOf(bytes.over('acme').verdict), 'quota-exceeded');
});

t.test('in shadow the decision is counted, and the application asked', async (t) => {
  const w = await staleWorld(
    plan('free', {
      rate: { requests: { limit: '1/s', burst: 1 } },
      degrade: [{ stale: '60s' }, 'reject'],
      shadow: true,
    }),
  );
  w.pass('acme');
  t.equal(w.over('acme').verdict, undefined);
  t.equal(await w.value('reeve_limit_decisions_total{plan="free",decision="stale"}'), 1);
});

t.test('a quota counts it, and its thresholds make nothing else of it', async (t) => {
  const quotas = { api_calls: { limit: 100, per: 'day', thresholds: [{ at: '1%', do: 'degrade' }] } };
  const w = await staleWorld(
    plan('free', { rate: { requests: { limit: '1/s', burst: 1 } }, quotas, degrade: [{ stale: '60s' }, 'reject'] }),
  );
  w.pass('acme');
  const { x, kept } = w.over('acme');
  t.ok(kept);
  t.equal(x.grant?.decision, 'stale');
  t.match(w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' }).quotas, [{ used: 2 }]);
});

t.test(
  'whatever is asked, by whom and when: nobody is given what is not the tenant’s, the place’s, or too old',
  async (t) => {
    const asking = fc.record({
      name: fc.constantFrom('acme', 'globex'),
      target: fc.constantFrom('/1', '/2'),
      language: fc.constantFrom('de', 'en'),
      source: fc.constantFrom('host' as const, 'jwt' as const),
      control: fc.constantFrom(
        '',
        'public',
        'private',
        'no-store',
        'public, max-age=90',
        'public, s-maxage=90',
        'public, stale-if-error=5',
      ),
      gapMs: fc.constantFrom(0, 10, 1500, 20_000),
      isOver: fc.boolean(),
    });
    let given = 0;
    const plans = plan('free', {
      rate: { requests: { limit: '1/s', burst: 1 } },
      degrade: [{ stale: '60s' }, 'reject'],
    });
    const first = await staleWorld(plans);
    const ages = new Map<string, { at: number; control: string; source: string }>();
    const seed = 42;
    await fc.assert(
      fc.asyncProperty(fc.array(asking, { minLength: 5, maxLength: 40 }), async (steps) => {
        const w: StaleWorld = first;
        for (const { name, target, language, source, control, gapMs, isOver } of steps) {
          w.clock.advance(gapMs);
          const o = { target, source, headers: ['Accept-Language', language] };
          const id = `${name} ${target} ${language} ${w.clock.now()} ${Math.random()}`;
          const headers = ['Vary', 'Accept-Language', ...(control === '' ? [] : ['Cache-Control', control])];
          if (!isOver) {
            const { verdict } = w.pass(name, o, { headers, content: id });
            if (verdict !== undefined) return false;
            ages.set(id, { at: w.clock.now(), control, source });
            continue;
          }
          const { kept } = w.over(name, o);
          if (kept === undefined) continue;
          given++;
          const of = ages.get(kept.content);
          if (of === undefined || !kept.content.startsWith(`${name} ${target} ${language} `)) return false;
          const ageSec = (w.clock.now() - of.at) / 1000;
          const mostSec = {
            '': 60,
            public: 60,
            'public, max-age=90': 150,
            'public, s-maxage=90': 90,
            'public, stale-if-error=5': 5,
          }[of.control];
          if (mostSec === undefined || ageSec > mostSec) return false;
          if (of.source === 'jwt' && of.control === '') return false;
        }
        return true;
      }),
      { seed, numRuns: 150 },
    );
    t.ok(given > 100, `${given} given, seed ${seed}`);
  },
);
