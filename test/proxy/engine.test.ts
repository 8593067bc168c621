import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../src/core/index.ts';
import { type ReplyCode, replied } from '../../src/pipeline/index.ts';
import { AccessLog } from '../../src/proxy/access-log.ts';
import { httpDate } from '../../src/proxy/http-date.ts';
import { rescues } from '../../src/proxy/rescue.ts';
import { createLog, createMetrics, type Log } from '../../src/telemetry/index.ts';
import type { Tenant } from '../../src/tenants/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { httpBackend, listening, sidecarForTest } from '../helpers/sidecar.ts';
import { document, makeTenancy, plan } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';
import { exchangeForTest } from '../pipeline/exchange-for-test.ts';

const NL = '\r\n';
const AUTH = `Authorization: Bearer ${tokenFor('org_acme')}`;
const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}${fields}${NL}`;

t.test('bytes go both ways whole, by length and in chunks, large and empty', async (t) => {
  const upstream = await httpBackend(t, (req, res) => void req.pipe(res));
  const sidecar = await sidecarForTest(t, upstream);
  const body = 'x'.repeat(300_000);
  for (const [framing, text] of [
    [`Content-Length: ${body.length}`, body],
    ['Transfer-Encoding: chunked', `${body.length.toString(16)}${NL}${body}${NL}0${NL}${NL}`],
    ['Content-Length: 0', ''],
  ] as const) {
    const { responses } = await exchangeRaw(
      sidecar.port,
      `POST / HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}${framing}${NL}${NL}${text}`,
      { responses: 1, waitMs: 3000 },
    );
    t.equal(responses[0]?.body, text === '' ? '' : body, framing);
  }
});

t.test('degraded requests go to the degraded upstream; one that is unknown is refused', async (t) => {
  const [full, lite] = [
    await httpBackend(t, (_req, res) => res.end('full')),
    await httpBackend(t, (_req, res) => res.end('lite')),
  ];
  const tenancy = makeTenancy({
    'plans.yaml': plan('free', {
      rate: { requests: { limit: '1/min', burst: 1 } },
      degrade: [{ route: 'degraded' }, 'reject'],
    }),
    'routes.yaml':
      document('Route', 'a', { match: { path: '/a' }, degraded: { upstream: 'lite' } }) +
      document('Route', 'b', { match: { path: '/b' }, degraded: { upstream: 'none' } }),
  });
  const sidecar = await sidecarForTest(t, full, { tenancy, settings: { upstreams: `lite=${lite}` } });
  const ask = async (path: string) => (await exchangeRaw(sidecar.port, get(path), { responses: 1 })).responses[0];
  t.equal((await ask('/a'))?.body, 'full');
  t.match(await ask('/b'), { status: 502, body: /upstream-unknown/ });
  t.match(await ask('/a'), { status: 429 }, 'the degraded allowance is spent as well');
});

/** What the lines of requests say. */
function accessLogTo(lines: Record<string, unknown>[]): Log {
  return createLog({
    clock: systemClock,
    level: 'info',
    write(line) {
      const fields = JSON.parse(line) as Record<string, unknown>;
      if (fields['event'] === 'http.request') lines.push(fields);
    },
  });
}

t.test('the access log says what became of each request, and its errors always', async (t) => {
  const lines: Record<string, unknown>[] = [];
  const log = accessLogTo(lines);
  const upstream = createServer((socket) =>
    socket
      .on('error', () => {})
      .on('data', (chunk) =>
        chunk.includes('/cut')
          ? socket.end(`HTTP/1.1 200 OK${NL}Content-Length: 9${NL}${NL}abc`)
          : socket.write(`HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}ok`),
      ),
  );
  const url = `http://127.0.0.1:${await listening(t, upstream)}`;
  for (const [access, expected] of [
    ['all', 3],
    ['errors', 2],
    ['off', 0],
    ['sampled', 3],
  ] as const) {
    lines.length = 0;
    const sidecar = await sidecarForTest(t, url, { log, settings: { 'log.access': access, 'log.sample': '100%' } });
    await exchangeRaw(sidecar.port, get('/good?secret=canary'), { responses: 1 });
    await exchangeRaw(sidecar.port, get('/cut'), { waitMs: 500 });
    await exchangeRaw(sidecar.port, `GET / HTTP/1.1${NL}Host: a${NL}${NL}`, { responses: 1 });
    t.equal(lines.length, expected, access);
    t.notMatch(JSON.stringify(lines), /canary/);
  }
  t.match(lines[0], {
    'http.request.method': 'GET',
    'url.path': '/good',
    'http.response.status_code': 200,
    'tenant.id': 'acme',
    'reeve.decision': 'pass',
    bytes_out: 2,
  });
  t.match(lines[1], { 'reeve.outcome': 'aborted', 'reeve.aborted_by': 'upstream' });
});

/** In which 400 refusals are over, also on a busy machine. */
const SECONDS_MAX = 10;

t.test(
  'a flood of refusals is ten lines a second and a share; the others are counted, and each says what refused it',
  async (t) => {
    const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
    const tenancy = makeTenancy({ 'plans.yaml': plan('free', { rate: { requests: { limit: '1/h', burst: 1 } } }) });
    const lines: Record<string, unknown>[] = [];
    const log = accessLogTo(lines);
    const flooded = async (settings: Record<string, string>): Promise<number> => {
      lines.length = 0;
      const sidecar = await sidecarForTest(t, upstream, { log, tenancy, settings });
      await exchangeRaw(sidecar.port, get('/').repeat(400), { responses: 400, waitMs: 20_000 });
      const page = await (await fetch(`http://127.0.0.1:${sidecar.ports.status}/metrics`)).text();
      const leftOut = Number(/^reeve_access_refusals_left_out_total (\d+)$/m.exec(page)?.[1]);
      const refused = lines.filter((line) => line['http.response.status_code'] === 429);
      t.equal(refused.length + leftOut, 399, 'written or counted');
      return refused.length;
    };
    const few = await flooded({ 'log.sample': '0%' });
    t.ok(few >= 10 && few <= 10 * SECONDS_MAX, `${few} of 399`);
    t.equal(await flooded({ 'log.access': 'sampled', 'log.sample': '100%' }), 399);
    t.equal(await flooded({ 'log.access': 'all', 'log.sample': '0%' }), 399);
    t.match(lines.at(-1), { 'reeve.code': 'quota-exceeded', 'limit.policy': 'requests', 'tenant.id': 'acme' });
    t.notOk('limit.policy' in (lines.find((line) => line['http.response.status_code'] === 200) ?? {}));
  },
);

t.test(
  'who has no credential takes no line of a tenant, however many addresses it has; what we lack ourselves is sampled too',
  async (t) => {
    const lines: Record<string, unknown>[] = [];
    const clock = new ManualClock();
    const access = new AccessLog({
      clock,
      log: accessLogTo(lines),
      metrics: createMetrics({ timers: clock }),
      random: { float: () => 1, hex: () => '' },
      access: { level: 'info', access: 'errors', sample: 0 },
    });
    const refusals = (peer: string): void =>
      access.refusal({ code: 'malformed-request', method: 'GET', target: '/', peer });
    for (let i = 0; i < 100; i++) refusals(`2001:db8:1:2::${i.toString(16)}`);
    t.equal(lines.length, 10, 'a /64 is one peer');
    for (let i = 0; i < 20_000; i++) refusals(`2001:db8:${i.toString(16)}::1`);
    lines.length = 0;
    const refuse = (code: ReplyCode, index: number): void => {
      const x = exchangeForTest();
      x.tenant = { id: `t${index}`, index } as Tenant;
      const { status } = rescues[code];
      access.exchange(x, replied('limits', { code, detail: '' }, status, 0), 'refused', 1, clock.wallMs());
    };
    for (let index = 0; index < 100; index++) refuse('quota-exceeded', index);
    t.equal(lines.length, 100, 'though the places of peers are taken');
    lines.length = 0;
    for (let i = 0; i < 50; i++) refuse('temporary-reduced-capacity', 7);
    t.equal(lines.length, 10);
    for (let i = 0; i < 50; i++) refuse('upstream-timeout', 7);
    t.equal(lines.length, 60, 'failures are written');
  },
);

t.test('a line of an answer of ours has its bytes, and the limit that refused', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const tenancy = makeTenancy({ 'plans.yaml': plan('free', { quotas: { api_calls: { limit: 1, mode: 'hard' } } }) });
  for (const fastPath of ['true', 'false']) {
    const lines: Record<string, unknown>[] = [];
    const sidecar = await sidecarForTest(t, upstream, {
      log: accessLogTo(lines),
      tenancy,
      settings: { 'wire.fastPath': fastPath },
    });
    const ask = async (bytes: string) => (await exchangeRaw(sidecar.port, bytes, { responses: 1 })).responses[0];
    await ask(get('/'));
    const refused = await ask(get('/'));
    const [line] = lines;
    t.match(line, { 'http.response.status_code': 429, 'limit.policy': 'api_calls-month' });
    t.equal(line?.['bytes_out'], Number(refused?.headers['content-length']), `fast path ${fastPath}`);
    t.ok(Number(line?.['bytes_out']) > 100);
    await exchangeRaw(sidecar.port, get('/').replace('GET', 'HEAD'), { waitMs: 300 });
    t.match(lines[1], { 'http.request.method': 'HEAD', bytes_out: 0 });
    // A caller of gRPC is told of it with status 200: it is a refusal all the same.
    await ask(get('/').replace(`${NL}${NL}`, `${NL}Content-Type: application/grpc${NL}${NL}`));
    t.match(lines[2], { 'reeve.code': 'quota-exceeded', 'http.response.status_code': 200, bytes_out: 0 });
    await ask(get('/').replace(`${NL}${NL}`, `${NL}Connection: Upgrade${NL}Upgrade: x${NL}${NL}`));
    t.match(lines[3], { 'reeve.code': 'quota-exceeded', 'limit.policy': 'api_calls-month' });
    t.ok(Number(lines[3]?.['bytes_out']) > 100, 'of an upgrade too');
  }
});

t.test('a line of a dead upstream names it, and says what the limits decided; so does the metric', async (t) => {
  const lines: Record<string, unknown>[] = [];
  const sidecar = await sidecarForTest(t, 'http://127.0.0.1:1', { log: accessLogTo(lines) });
  for (let i = 0; i < 5; i++) await exchangeRaw(sidecar.port, get('/'), { responses: 1 });
  await exchangeRaw(sidecar.port, `GET / HTTP/1.1${NL}Host: a${NL}${NL}`, { responses: 1 });
  for (const line of lines.slice(0, 5))
    t.match(line, {
      'reeve.decision': 'pass',
      'reeve.outcome': 'replied',
      'reeve.code': 'upstream-unreachable',
      'upstream.name': 'application',
      'upstream.address': 'http://127.0.0.1:1',
    });
  t.match(lines[5], { 'reeve.decision': 'refused' });
  t.notOk('upstream.name' in (lines[5] ?? {}), 'it was not meant for an upstream yet');
  const metrics = await (await fetch(`http://127.0.0.1:${sidecar.ports.status}/metrics`)).text();
  t.match(metrics, /^reeve_requests_total\{plan="free",decision="pass",code_class="5xx"\} 5$/m);
  t.match(metrics, /^reeve_requests_total\{plan="-",decision="refused",code_class="4xx"\} 1$/m);
});

t.test('a mesh listener keeps the trace, an edge begins it; Via when asked', async (t) => {
  const upstream = await httpBackend(t, (req, res) => res.end(JSON.stringify(req.headers)));
  const trace = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const mesh = await sidecarForTest(t, upstream, { settings: { 'inbound.class': 'mesh', 'wire.via': 'true' } });
  const seen = JSON.parse(
    (await exchangeRaw(mesh.port, get('/', `traceparent: ${trace}${NL}tracestate: x=1${NL}`), { responses: 1 }))
      .responses[0]?.body ?? '{}',
  ) as Record<string, string>;
  t.match(seen['traceparent'], new RegExp(`^00-${'a'.repeat(32)}-(?!${'b'.repeat(16)})[0-9a-f]{16}-01$`));
  t.match(seen, { tracestate: 'x=1', via: '1.1 sidecar' });
});

t.test('a request cannot be repeated when something of it may have been done', async (t) => {
  let connections = 0;
  const upstream = createServer((socket) => {
    connections++;
    socket.on('error', () => {}).on('data', () => socket.destroy());
  });
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`);
  t.match((await exchangeRaw(sidecar.port, get('/'), { responses: 1, waitMs: 1000 })).responses[0], {
    status: 502,
    body: /upstream-reset/,
  });
  t.equal(connections, 1, 'a connection that was new says nothing of idleness');
  connections = 0;
  await exchangeRaw(sidecar.port, `POST / HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}Content-Length: 0${NL}${NL}`, {
    responses: 1,
    waitMs: 1000,
  });
  t.equal(connections, 1, 'a POST once');
});

t.test('what an application says of rate limits gives way to ours, and stays where we say nothing', async (t) => {
  const own = { ratelimit: '"app";r=1;t=9', 'RATELIMIT-POLICY': ['"app";q=1;w=9', '"more";q=2;w=9'] };
  const upstream = await httpBackend(t, (_req, res) => res.writeHead(200, { ...own, 'X-RateLimit-Limit': '1' }).end());
  const told = async (spec: object): Promise<Readonly<Record<string, string>> | undefined> => {
    const sidecar = await sidecarForTest(t, upstream, {
      tenancy: makeTenancy({ 'plans.yaml': plan('free', spec) + plan('pro', spec) }),
    });
    return (await exchangeRaw(sidecar.port, get('/'), { responses: 1 })).responses[0]?.headers;
  };
  t.match(await told({ rate: { requests: { limit: '10/s', burst: 10 } }, degrade: ['reject'] }), {
    ratelimit: /^"requests";r=9;t=\d$/,
    'ratelimit-policy': '"requests";q=10;w=1',
    'x-ratelimit-limit': '1',
  });
  t.match(await told({}), { ratelimit: own.ratelimit, 'ratelimit-policy': own['RATELIMIT-POLICY'].join(', ') });
});

t.test('without a configuration nobody is told that their credential is bad', async (t) => {
  const tenancy = makeTenancy();
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const empty = await sidecarForTest(t, upstream, {
    tenancy,
    settings: { 'tenancy.dir': join(tenancy.dir, 'not-mounted-yet') },
  });
  t.equal(empty.tenancy.snapshot.generation, 0);
  const upgrade = `Connection: Upgrade${NL}Upgrade: websocket${NL}`;
  for (const fields of ['', upgrade])
    t.match((await exchangeRaw(empty.port, get('/', fields), { responses: 1 })).responses[0], {
      status: 503,
      headers: { 'retry-after': '1' },
      body: /"code":"not-ready"/,
    });
});

t.test('a body declared too large is judged behind identity, and the refusal is counted and logged', async (t) => {
  const lines: Record<string, unknown>[] = [];
  const log = accessLogTo(lines);
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const tenancy = makeTenancy({ 'routes.yaml': document('Route', 's', { match: { path: '/small' }, bodyMax: '10B' }) });
  const sidecar = await sidecarForTest(t, upstream, { tenancy, log });
  const post = (bytes: number, fields: string): string =>
    `POST /small HTTP/1.1${NL}Host: a${NL}${fields}Content-Length: ${bytes}${NL}${NL}`;
  const ask = (bytes: string, responses = 1) => exchangeRaw(sidecar.port, bytes, { responses, waitMs: 2000 });
  t.match((await ask(post(11, ''))).responses[0], { status: 401 }, 'a stranger learns no bound');
  const kept = await ask(`${post(11, `${AUTH}${NL}`)}12345678901${get('/small')}`, 2);
  t.match(
    kept.responses.map((each) => each.status),
    [413, 200],
    'a short body is read to its end and the connection kept',
  );
  t.match((await ask(post(100_000, `${AUTH}${NL}`))).responses[0]?.headers, { connection: 'close' });
  t.match(
    lines.filter((each) => each['reeve.code'] === 'body-too-large'),
    [{ 'http.response.status_code': 413, 'tenant.id': 'acme' }, { 'http.response.status_code': 413 }],
  );
  let text = '';
  for await (const chunk of sidecar.metrics.exposition()) text += chunk;
  t.match(text, /reeve_replies_total\{code="body-too-large"\} 2/);
});

t.test('what is refused before the chain is in the access log with what is known of it', async (t) => {
  const lines: Record<string, unknown>[] = [];
  const log = accessLogTo(lines);
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const refused: readonly (readonly [string, object])[] = [
    [
      `TRACE /x?canary HTTP/1.1${NL}Host: a${NL}${NL}`,
      { 'http.request.method': 'TRACE', 'url.path': '/x', 'reeve.code': 'method-not-supported' },
    ],
    [get('/y', `Connection: x-tenant-id${NL}`), { 'url.path': '/y', 'reeve.code': 'hop-by-hop-nomination' }],
    [get(`/${'z'.repeat(9000)}`), { 'url.path': /^\/z{255}…$/, 'http.response.status_code': 414 }],
    [
      get('/u', `Connection: upgrade, host${NL}Upgrade: x${NL}`),
      { 'url.path': '/u', 'reeve.code': 'hop-by-hop-nomination' },
    ],
    [get('http://user:canary@'), { 'url.path': undefined, 'http.response.status_code': 400 }],
    [`CONNECT a:80 HTTP/1.1${NL}Host: a${NL}${NL}`, { 'http.request.method': 'CONNECT', 'url.path': undefined }],
    [`no HTTP at all${NL}${NL}`, { 'http.request.method': undefined, 'reeve.code': 'malformed-request' }],
  ];
  for (const [access, expected] of [
    ['all', refused.length],
    ['errors', refused.length],
    ['off', 0],
  ] as const) {
    lines.length = 0;
    const sidecar = await sidecarForTest(t, upstream, { log, settings: { 'log.access': access } });
    for (const [bytes] of refused) await exchangeRaw(sidecar.port, bytes, { responses: 1 });
    t.equal(lines.length, expected, access);
    for (const [at, line] of lines.entries())
      t.match(line, { 'client.address': '127.0.0.1', 'reeve.outcome': 'refused', ...refused[at]?.[1] });
    t.notMatch(JSON.stringify(lines), /canary/);
  }
});

t.test('our own answers carry a date, and the id of their exchange where there is one', async (t) => {
  const sidecar = await sidecarForTest(t, 'http://127.0.0.1:1');
  const ask = async (bytes: string) => (await exchangeRaw(sidecar.port, bytes, { responses: 1 })).responses[0];
  const stranger = `GET / HTTP/1.1${NL}Host: a${NL}X-Request-Id: a^b${NL}`;
  const isNow = (date: string | undefined): boolean => Math.abs(Date.parse(date ?? '') - Date.now()) < 5000;
  for (const fields of ['', `Connection: Upgrade${NL}Upgrade: x${NL}`, `Content-Type: application/grpc${NL}`]) {
    const answer = await ask(`${stranger}${fields}${NL}`);
    t.ok(isNow(answer?.headers['date']));
    t.equal(answer?.headers['x-request-id'], 'a^b');
    if (!fields.includes('grpc')) t.equal(JSON.parse(answer?.body ?? '{}').instance, 'urn:request:a%5Eb');
  }
  const made = await ask(get('/'));
  t.match(made?.headers['x-request-id'], /^[0-9a-f]{32}$/);
  t.equal(JSON.parse(made?.body ?? '{}').instance, `urn:request:${made?.headers['x-request-id']}`);
  for (const bytes of [`TRACE / HTTP/1.1${NL}Host: a${NL}${NL}`, `no HTTP${NL}${NL}`]) {
    const answer = await ask(bytes);
    t.ok(isNow(answer?.headers['date']));
    t.equal(answer?.headers['x-request-id'], undefined);
    t.notMatch(answer?.body, /instance/);
  }
});

t.test('a date is written once a second', async (t) => {
  const clock = new ManualClock();
  const date = httpDate(clock);
  const first = date();
  clock.advance(3000);
  t.equal(Date.parse(date()) - Date.parse(first), 3000);
  t.match(first, /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/);
});
