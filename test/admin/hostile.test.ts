/** Who connects to the status and admin ports is not trusted: nothing they send or leave unread may be felt elsewhere. */
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { type Health, type Listener, openStatus } from '../../src/admin/index.ts';
import { systemClock, systemTimers, type Timers } from '../../src/core/index.ts';
import { createMetrics, type Metrics } from '../../src/telemetry/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { type Ending, httpBackend, sidecarForTest } from '../helpers/sidecar.ts';
import { makeTenancy, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const alive = { live: () => [], ready: () => [], started: () => [], close() {} };

async function* chunks(...texts: string[]): AsyncGenerator<string> {
  yield* texts;
}

async function statusListener(
  t: Ending,
  metrics: Metrics,
  timers: Timers = systemTimers,
  health: Health = alive,
): Promise<Listener> {
  const listener = await openStatus({ host: '127.0.0.1', port: 0, clock: systemClock, timers, metrics, health });
  t.teardown(() => listener.close());
  return listener;
}

const statusOf = (port: number, path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, agent: false }, (res) => {
      res.resume().on('end', () => resolve(res.statusCode ?? 0));
    })
      .on('error', reject)
      .end();
  });

const held = (t: Ending, port: number, bytes: string): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, () => resolve(socket)));
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
  });

t.test('clients that only hold on do not keep a probe out, and requests go on', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const sidecar = await sidecarForTest(t, upstream);
  for (const port of [sidecar.ports.status, sidecar.ports.admin]) {
    const path = port === sidecar.ports.status ? '/livez' : '/v1/version';
    const first = await held(t, port, 'GET /slow HTTP/1.1\r\nHost: localhost\r\n');
    const cut = new Promise<void>((resolve) => first.once('close', () => resolve()));
    for (let i = 0; i < 99; i++) await held(t, port, 'GET / HTTP/1.1\r\nHost: localhost\r\nX-');
    t.equal(await statusOf(port, path), 200, `${path} beside 100 who hold on`);
    await cut;
    t.pass('the oldest was cut');
  }
  const answer = await exchangeRaw(
    sidecar.port,
    `GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${tokenFor('org_acme')}\r\n\r\n`,
    { responses: 1, waitMs: 2000 },
  );
  t.equal(answer.responses[0]?.status, 200);
});

t.test('a head that is never finished is cut in seconds', { timeout: 20_000 }, async (t) => {
  const listener = await statusListener(t, createMetrics({ timers: systemTimers }));
  const began = performance.now();
  const socket = await held(t, listener.port, 'GET /livez HTTP/1.1\r\nHost: a\r\nX-Slow: ');
  socket.resume();
  await new Promise((resolve) => socket.once('close', resolve));
  const tookMs = performance.now() - began;
  t.ok(tookMs < 8000, `cut after ${Math.round(tookMs)} ms`);
});

t.test('an answer that nobody takes is cut', async (t) => {
  const clock = new ManualClock();
  // More than the buffers of both ends hold.
  const metrics: Metrics = { ...createMetrics({ timers: clock }), exposition: () => chunks('#'.repeat(32 * 2 ** 20)) };
  const listener = await statusListener(t, metrics, clock);
  const socket = await held(t, listener.port, 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n');
  await new Promise((resolve) => socket.once('readable', resolve));
  clock.advance(10_000);
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
  await new Promise((resolve) => socket.once('close', resolve));
  t.ok(bytes < 32 * 2 ** 20, `${bytes} bytes of 32 MiB`);
});

t.test('wrong methods, huge heads and tricks with paths get one clear answer', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const sidecar = await sidecarForTest(t, upstream);
  const ask = async (port: number, line: string, fields = 'Host: localhost\r\n'): Promise<string> =>
    (await exchangeRaw(port, `${line} HTTP/1.1\r\n${fields}\r\n`, { responses: 1, waitMs: 2000 })).text;
  const { admin, status } = sidecar.ports;
  for (const port of [admin, status]) {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'])
      t.match(await ask(port, `${method} /v1/config`), /^HTTP\/1\.1 405 [\s\S]*allow: GET, HEAD/, method);
    t.match(await ask(port, 'GET /', `Host: localhost\r\nX-A: ${'a'.repeat(20_000)}\r\n`), /^HTTP\/1\.1 431 /);
    t.match(await ask(port, `GET /${'a'.repeat(20_000)}`), /^HTTP\/1\.1 431 /);
    t.match(await ask(port, 'GET http://['), /^HTTP\/1\.1 400 /);
    t.match(await ask(port, 'nonsense'), /^HTTP\/1\.1 400 /);
    t.match(await ask(port, 'GET /../../etc/passwd'), /^HTTP\/1\.1 404 /);
  }
  for (const path of [
    '/v1/tenants/acme/globex',
    '/v1/tenants/acme/',
    '//v1/tenants',
    '/v1//tenants',
    '/v1/tenants/',
    '/v1/tenants/__proto__',
    '/v1/tenants/constructor',
    '/v1/tenants/%00',
    '/v1/tenants/acme%2fglobex',
    '/v1/explain?tenant=acme&tenant2=globex/..',
    '/v1/limits/toString',
  ]) {
    const text = await ask(admin, `GET ${path}`);
    const expected = path.startsWith('/v1/explain') ? 200 : 404;
    t.match(text, new RegExp(`^HTTP/1\\.1 ${expected} `), path);
    t.notMatch(text, /org_globex|globex\.test/, 'nothing of another tenant');
  }
  t.match(await ask(admin, 'GET /v1/tenants', 'Host: localhost.evil.test\r\n'), /^HTTP\/1\.1 403 /);
  t.match(await ask(admin, 'GET /v1/tenants', 'Host: a\r\nHost: localhost\r\n'), /^HTTP\/1\.1 (400|403) /);
});

t.test('a page of tenants has its bound whatever is asked, and goes on where a tenant vanished', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const many = Array.from({ length: 1200 }, (_, i) => tenant(`t${String(i).padStart(4, '0')}`)).join('');
  const sidecar = await sidecarForTest(t, upstream, { tenancy: makeTenancy({ 'tenants.yaml': many }) });
  const page = async (query: string): Promise<{ tenants: { name: string }[]; next?: string }> =>
    JSON.parse(
      (
        await exchangeRaw(sidecar.ports.admin, `GET /v1/tenants?${query} HTTP/1.1\r\nHost: localhost\r\n\r\n`, {
          responses: 1,
          waitMs: 2000,
        })
      ).responses[0]?.body ?? '',
    );
  for (const [limit, length] of [
    ['2.5', 2],
    ['-1', 1],
    ['1e9', 1000],
    ['Infinity', 1000],
    ['x', 100],
    ['0', 100],
  ] as const)
    t.equal((await page(`limit=${limit}`)).tenants.length, length, limit);
  t.equal((await page('limit=1&after=t0041a')).tenants[0]?.name, 't0042', 'after a name that is gone');
  t.same(await page('after=zzz'), { total: 1200, tenants: [] });
  t.notOk('next' in (await page('limit=1000&after=t0199')), 'the last page says no next');
});

t.test('whoever scrapes without end gets a fifth of the loop at most', async (t) => {
  let renders = 0;
  const metrics: Metrics = {
    ...createMetrics({ timers: systemTimers }),
    async *exposition() {
      renders++;
      await systemTimers.sleep(20);
      yield '# one\n';
    },
  };
  const listener = await statusListener(t, metrics);
  const until = performance.now() + 1000;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (performance.now() < until) await statusOf(listener.port, '/metrics');
    }),
  );
  // 20 ms each and 80 ms of pause: 10 in a second.
  t.ok(renders > 1 && renders <= 12, `${renders} scrapes of 20 ms in a second`);
});

t.test('a page that cannot be made is a 500 without its inside', async (t) => {
  const broken = {
    ...alive,
    live: () => {
      throw new Error('secret inside');
    },
  };
  const listener = await statusListener(t, createMetrics({ timers: systemTimers }), systemTimers, broken);
  const { text } = await exchangeRaw(listener.port, 'GET /livez HTTP/1.1\r\nHost: a\r\n\r\n', { responses: 1 });
  t.match(text, /^HTTP\/1\.1 500 /);
  t.notMatch(text, /secret/);
});
