/** What upstreams do to requests, and requests to upstreams: turns, hints, bodies that may not be, connections of their own. */
import { connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { LazyPool } from '../../src/proxy/lazy-pool.ts';
import { Turns, type Waiting } from '../../src/proxy/turns.ts';
import { becomes } from '../helpers/processes.ts';
import { exchangeRaw, type RawResult } from '../helpers/raw-client.ts';
import { httpBackend, listening, sidecarForTest } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const AUTH = `Authorization: Bearer ${tokenFor('org_acme')}`;
const request = (line: string, fields = '', body = ''): string =>
  `${line} HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}${fields === '' ? '' : fields + NL}${NL}${body}`;

t.test('turns are taken in order, and given back', async (t) => {
  const turns = new Turns(1, 2);
  const went: string[] = [];
  const taker = (name: string): Waiting => ({ go: () => void went.push(name) });
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(taker) as [Waiting, Waiting, Waiting, Waiting];
  turns.take(a);
  turns.take(b);
  t.equal(turns.isFull, false);
  turns.take(c);
  t.same([went, turns.isFull], [['a'], true]);
  turns.leave(b);
  t.equal(turns.isFull, false, 'who leaves the line leaves no place');
  turns.leave(a);
  t.same(went, ['a', 'c']);
  turns.leave(c);
  turns.take(d);
  t.same(went, ['a', 'c', 'd']);
});

t.test('who has gone waits for nothing, on whichever connection', async (t) => {
  const open: Socket[] = [];
  const seen: string[] = [];
  const upstream = createServer((socket) => {
    open.push(socket);
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        seen.push(chunk.toString().split(' ')[1] as string);
        if (chunk.includes('/now')) socket.write(`HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}ok`);
      });
  });
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`, {
    settings: { 'wire.upstreamConnectionsMax': '1' },
  });
  const send = (bytes: string): Socket => {
    const socket = connect(sidecar.port, '127.0.0.1', () => socket.write(bytes));
    return socket.on('error', () => {}).resume();
  };
  const inFlight = async (): Promise<number> =>
    ((await (await fetch(`http://127.0.0.1:${sidecar.ports.admin}/v1/traffic`)).json()) as { inFlight: number })
      .inFlight;
  const alone = send(request('OPTIONS *'));
  t.ok(await becomes(() => seen.length === 1));
  const waiting = ['/a', '/b', '/c', '/d'].map((path) => send(request(`GET ${path}`)));
  t.ok(await becomes(async () => (await inFlight()) === 5));
  t.equal(open.length, 1, 'a lone connection counts');
  const full = await exchangeRaw(sidecar.port, request('GET /e'), { responses: 1, waitMs: 1000 });
  t.match(full.responses[0], { status: 503, body: /temporary-reduced-capacity/ });
  for (const each of waiting) each.destroy();
  t.ok(await becomes(async () => (await inFlight()) === 1));
  const next = exchangeRaw(sidecar.port, request('GET /now'), { responses: 1, waitMs: 2000 });
  t.ok(await becomes(async () => (await inFlight()) === 2));
  alone.destroy();
  t.equal((await next).responses[0]?.status, 200);
  t.same(seen, ['*', '/now'], 'what nobody waits for is never sent');
});

t.test('answers that are not what they say', async (t) => {
  let answer = '';
  const upstream = createServer((socket) =>
    socket
      .on('error', () => {})
      .on('data', () =>
        answer === ''
          ? socket.destroy()
          : socket.write(Buffer.from(answer, 'latin1'), () => answer.endsWith('…') && socket.destroy()),
      ),
  );
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`, {
    settings: { 'wire.responseTimeout': '1s' },
  });
  const forms = {
    pooled: request('GET /'),
    trailers: request('POST /', `Transfer-Encoding: chunked${NL}Trailer: X-T`, `0${NL}X-T: 1${NL}${NL}`),
    expect: request('POST /', `Expect: 100-continue${NL}Content-Length: 1`, 'x'),
    star: request('OPTIONS *'),
  };
  const ask = (form: string, reply: string): Promise<RawResult> => {
    answer = reply;
    return exchangeRaw(sidecar.port, form, { responses: 1, waitMs: 3000 });
  };
  const hint = `HTTP/1.1 103 Early Hints${NL}Link: </a>; rel=preload${NL}X-Tenant-Id: x${NL}${NL}`;
  const ok = `HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}ok`;
  for (const [name, form] of Object.entries(forms)) {
    const last = async (reply: string) => (await ask(form, reply)).responses.at(-1);
    t.match(
      await last(`HTTP/1.1 205 R${NL}Content-Length: 5${NL}${NL}hello`),
      { status: 205, headers: { 'content-length': '0' }, body: '' },
      `${name}: 205 has no content`,
    );
    const hinted = await ask(form, `${hint.repeat(30)}${ok}`);
    t.equal(hinted.responses.filter((each) => each.status === 103).length, 8, `${name}: hints have a bound`);
    t.notMatch(hinted.text, /tenant/i);
    t.equal(
      (await last(`HTTP/1.1 103 E${NL}Link: no link${NL}${NL}${ok}`))?.status,
      200,
      `${name}: an unsound hint is left out`,
    );
    t.equal((await last(`HTTP/1.1 103 E${NL}X: y${NL}${NL}${ok}`))?.status, 200, `${name}: a hint without a link`);
    t.match(await last(''), { status: 502, body: /upstream-reset/ }, `${name}: hangs up`);
    t.match(
      await last(`HTTP/1.1 101 S${NL}Upgrade: x${NL}Connection: Upgrade${NL}${NL}`),
      { status: 502, body: /upstream-malformed/ },
      `${name}: 101`,
    );
    t.match(await last(`nonsense${NL}${NL}`), { status: 502, body: /upstream-malformed/ }, `${name}: no HTTP`);
    t.match(
      await last(`HTTP/1.1 200 OK${NL}${`a: b${NL}`.repeat(501)}${NL}`),
      { status: 502, body: /upstream-malformed/ },
      `${name}: 501 fields`,
    );

    for (const framing of ['Content-Length: 99', 'Transfer-Encoding: chunked']) {
      const cut = await ask(form, `HTTP/1.1 200 OK${NL}${framing}${NL}${NL}5${NL}hello${NL}…`);
      t.match(cut, { end: 'reset', responses: [{ isWhole: false }] }, `${name}: cut short, ${framing}`);
    }
  }
});

t.test('a large answer on a lone connection waits for a slow reader', async (t) => {
  const body = Buffer.alloc(3_000_000, 'x');
  const upstream = await httpBackend(t, (req, res) => void req.resume().on('end', () => res.end(body)));
  const sidecar = await sidecarForTest(t, upstream);
  const bytes = await new Promise<number>((resolve) => {
    let count = 0;
    const socket = connect(sidecar.port, '127.0.0.1', () =>
      socket.write(
        request(
          'POST /',
          `Transfer-Encoding: chunked${NL}Trailer: X-T${NL}Connection: close`,
          `${'y'.repeat(0)}0${NL}${NL}`,
        ),
      ),
    );
    socket.on('data', (chunk) => {
      count += chunk.length;
      socket.pause();
      setTimeout(() => socket.resume(), 1);
    });
    socket.on('close', () => resolve(count));
  });
  t.ok(bytes > body.length);
});

t.test('what a client says of its own way does not go on, in any spelling', async (t) => {
  const upstream = await httpBackend(t, (req, res) => res.end(req.rawHeaders.join('|')));
  const fields = [
    'X-Forwarded-For',
    'X_Forwarded_For',
    'x.forwarded.host',
    'X_Real_IP',
    'Forwarded',
    'Content_Length',
    'Transfer_Encoding',
  ];
  const forged = fields.map((name) => `${name}: forged`).join(NL);
  const edge = await sidecarForTest(t, upstream);
  const seen = await exchangeRaw(edge.port, request('GET /', forged), { responses: 1 });
  t.equal(seen.responses[0]?.status, 200);
  t.notMatch(seen.responses[0]?.body, /forged/);
  const trusting = await sidecarForTest(t, upstream, { settings: { 'inbound.trustedProxies': '127.0.0.0/8' } });
  const kept = await exchangeRaw(
    trusting.port,
    request('GET /', `X-Forwarded-For: 192.0.2.1${NL}X-Forwarded-Proto: https${NL}X-Forwarded-Host: b`),
    { responses: 1 },
  );
  t.match(
    kept.responses[0]?.body,
    /X-Forwarded-Proto\|https\|X-Forwarded-Host\|b[\s\S]*X-Forwarded-For\|192\.0\.2\.1, 127\.0\.0\.1/,
  );
});

t.test('on whichever connection: an answer that began may be slow, and its head large', async (t) => {
  const large = `HTTP/1.1 200 OK${NL}X-Large: ${'x'.repeat(20_000)}${NL}Content-Length: 2${NL}${NL}`;
  const upstream = createServer((socket) =>
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        if (!chunk.includes('HTTP/1.1')) return;
        socket.write(`${large}o`);
        setTimeout(() => socket.write('k'), 900);
      }),
  );
  const settings = { 'wire.responseTimeout': '400ms', 'wire.idleTimeout': '3s' };
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`, { settings });
  const forms = {
    plain: request('GET /'),
    chunked: request('POST /', 'Transfer-Encoding: chunked', `0${NL}${NL}`),
    alone: request('POST /', `Expect: 100-continue${NL}Content-Length: 1`, 'x'),
  };
  for (const [name, form] of Object.entries(forms)) {
    const [answer] = (await exchangeRaw(sidecar.port, form, { responses: 1 })).responses;
    t.match(answer, { status: 200, body: 'ok', isWhole: true }, name);
  }
});

t.test('a pool that cannot be opened fails the request, not the process, and is tried again', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const pool = new LazyPool('not a URL', {});
  const failure = (): Promise<Error> =>
    new Promise((resolve) => {
      const handler = { takenBy() {}, onResponseError: (_controller: unknown, cause: Error) => resolve(cause) };
      pool.dispatch({ method: 'GET', path: '/' }, handler as never);
    });
  t.match(await failure(), /Invalid URL/);
  t.match(await failure(), /Invalid URL/, 'again');
  await pool.destroy();
  await new LazyPool(upstream, {}).destroy();
});
