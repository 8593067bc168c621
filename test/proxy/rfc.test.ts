/** G6: what RFC 9110 and 9112 ask of an intermediary, row by row, on the wire on both sides. */
import { createServer as createHttp } from 'node:http';
import { createServer } from 'node:net';
import t from 'tap';
import { exchangeRaw, type RawResult } from '../helpers/raw-client.ts';
import { engine, httpBackend, listening, sidecarForTest } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const AUTH = `Authorization: Bearer ${tokenFor('org_acme')}`;

t.test('requests: what is refused, what is rewritten, what goes on', async (t) => {
  const upstream = await httpBackend(t, (req, res) => {
    let body = '';
    req
      .on('data', (chunk: Buffer) => (body += chunk.toString()))
      .on('end', () =>
        res.end(
          JSON.stringify({ method: req.method, url: req.url, raw: req.rawHeaders, body, trailers: req.rawTrailers }),
        ),
      );
  });
  const sidecar = await sidecarForTest(t, upstream, { settings: { 'wire.bodyBytesMax': '1KiB' } });
  const ask = (bytes: string, o: { method?: string } = {}): Promise<RawResult> =>
    exchangeRaw(sidecar.port, bytes, { responses: 1, waitMs: 1500, ...o });
  const request = (line: string, fields = '', host = 'Host: a') =>
    `${line}${NL}${host === '' ? '' : host + NL}${AUTH}${NL}${fields === '' ? '' : fields + NL}${NL}`;
  let rows = 0;
  const refused: [string, string, number][] = [
    ['no Host', request('GET / HTTP/1.1', '', ''), 400],
    ['two Hosts', request('GET / HTTP/1.1', 'Host: b'), 400],
    ['bad Host', request('GET / HTTP/1.1', '', 'Host: a b'), 400],
    ['Host port', request('GET / HTTP/1.1', '', 'Host: a:99999'), 400],
    ['fragment', request('GET /#x HTTP/1.1'), 400],
    ['authority-form', request('GET a:80 HTTP/1.1'), 400],
    ['asterisk of GET', request('GET * HTTP/1.1'), 400],
    ['ftp URL', request('GET ftp://a/ HTTP/1.1'), 400],
    ['TRACE', request('TRACE / HTTP/1.1'), 501],
    ['CONNECT', request('CONNECT a:80 HTTP/1.1'), 501],
    ['HTTP/2.0', request('GET / HTTP/2.0'), 400],
    ['CL and TE', request('POST / HTTP/1.1', `Content-Length: 1${NL}Transfer-Encoding: chunked`), 400],
    ['TE gzip', request('POST / HTTP/1.1', 'Transfer-Encoding: gzip, chunked'), 501],
    ['TE in 1.0', request('POST / HTTP/1.0', 'Transfer-Encoding: chunked'), 400],
    ['CL twice', request('POST / HTTP/1.1', `Content-Length: 1${NL}Content-Length: 1`), 400],
    ['Expect other', request('GET / HTTP/1.1', 'Expect: magic'), 417],
    ['long target', request(`GET /${'x'.repeat(9000)} HTTP/1.1`), 414],
    ['101 fields', request('GET / HTTP/1.1', `a: b${NL}`.repeat(100).slice(0, -2)), 431],
    ['large head', request('GET / HTTP/1.1', `X: ${'y'.repeat(60_000)}`), 431],
    ['body by length', request('POST / HTTP/1.1', 'Content-Length: 2000'), 413],
    [
      'body as it comes',
      `${request('POST / HTTP/1.1', 'Transfer-Encoding: chunked')}7d0${NL}${'x'.repeat(2000)}${NL}0${NL}${NL}`,
      413,
    ],
  ];
  for (const name of [
    'host',
    'content-length',
    'authorization',
    'traceparent',
    'x-forwarded-for',
    'x-tenant-id',
    'cookie',
  ])
    refused.push([`nominates ${name}`, request('GET / HTTP/1.1', `Connection: ${name}`), 400]);
  for (const [name, bytes, status] of refused) {
    rows++;
    const began = performance.now();
    const { responses } = await ask(bytes);
    t.equal(responses[0]?.status, status, name);
    t.ok(performance.now() - began < 500, `${name} at once`);
  }
  const seen = async (
    bytes: string,
  ): Promise<{ method: string; url: string; raw: string[]; body: string; trailers: string[] }> => {
    rows++;
    return JSON.parse((await ask(bytes)).responses.find((each) => each.status === 200)?.body ?? '{"raw":[]}');
  };
  const field = (raw: string[], name: string): string | undefined =>
    raw[raw.findIndex((each, at) => at % 2 === 0 && each.toLowerCase() === name) + 1];
  const absolute = await seen(request('GET http://other.test:81/x?y HTTP/1.1'));
  t.match([absolute.url, field(absolute.raw, 'host')], ['/x?y', 'other.test:81'], 'absolute-form wins over Host');
  t.equal((await seen(request('OPTIONS * HTTP/1.1'))).url, '*');
  t.equal((await seen(request('GET http://other.test?q HTTP/1.1'))).url, '/?q');
  const hops = await seen(
    request(
      'GET / HTTP/1.1',
      `Connection: close, X-Hop${NL}X-Hop: 1${NL}Keep-Alive: 5${NL}Proxy-Connection: x${NL}Proxy-Authorization: x${NL}TE: trailers, gzip${NL}Upgrade: h2c${NL}HTTP2-Settings: x`,
    ),
  );
  t.notMatch(hops.raw.join().toLowerCase(), /x-hop|keep-alive: 5|proxy-|upgrade|http2|gzip/);
  t.equal(field(hops.raw, 'te'), 'trailers');
  const order = await seen(request('GET / HTTP/1.1', `b: 1${NL}A: 2${NL}b: 3`));
  t.match(order.raw.join(), /b,1,A,2,b,3/, 'order, case and duplicates are kept');
  const chunked = await seen(
    `${request('POST / HTTP/1.1', `Transfer-Encoding: chunked${NL}Trailer: X-T`)}3${NL}abc${NL}0${NL}X-T: 1${NL}X-Tenant-Id: globex${NL}Cookie: a${NL}${NL}`,
  );
  t.same([chunked.body, chunked.trailers], ['abc', ['X-T', '1']], 'trailers go on, those that may');
  const expecting = await ask(`${request('POST / HTTP/1.1', `Expect: 100-continue${NL}Content-Length: 3`)}abc`);
  t.same(
    expecting.responses.map((each) => each.status),
    [100, 200],
    'Expect goes to the application and back',
  );
  const old = await ask(request('GET / HTTP/1.0', '', ''));
  t.equal(old.responses[0]?.headers['transfer-encoding'], undefined, 'HTTP/1.0 gets no chunks');
  const pipelined = await exchangeRaw(sidecar.port, request('GET /1 HTTP/1.1') + request('GET /2 HTTP/1.1'), {
    responses: 2,
    waitMs: 1000,
  });
  t.same(
    pipelined.responses.map((each) => (JSON.parse(each.body) as { url: string }).url),
    ['/1', '/2'],
    'pipelined in order',
  );
  t.equal(field((await seen(request('GET / HTTP/1.1', 'X-Request-Id: given'))).raw, 'x-request-id'), 'given');
  t.match(field((await seen(request('GET / HTTP/1.1', 'X-Request-Id: a b'))).raw, 'x-request-id'), /^[0-9a-f]{32}$/);
  t.notMatch(
    field(
      (await seen(request('GET / HTTP/1.1', `traceparent: 00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`))).raw,
      'traceparent',
    ),
    /a{32}|b{16}/,
    'the trace begins at the edge',
  );
  t.comment(`G06 RFC 9110 and 9112, ${engine} engine: ${rows + 6} request rows as they must be`);
});

t.test('responses: what is stripped, what is kept, what is a failure', async (t) => {
  let answer = '';
  const upstream = createServer((socket) =>
    socket.on('error', () => {}).on('data', () => socket.write(Buffer.from(answer, 'latin1'))),
  );
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`, {
    settings: { 'wire.via': 'true', 'wire.responseTimeout': '400ms' },
  });
  const ask = (reply: string, method = 'GET', version = '1.1'): Promise<RawResult> => {
    answer = reply;
    return exchangeRaw(sidecar.port, `${method} / HTTP/${version}${NL}Host: a${NL}${AUTH}${NL}${NL}`, {
      responses: 1,
      waitMs: 1500,
      method,
    });
  };
  const ok = `HTTP/1.1 200 OK${NL}`;
  const stripped = (
    await ask(
      `${ok}Connection: X-Hop${NL}X-Hop: 1${NL}Keep-Alive: 9${NL}Proxy-Authenticate: x${NL}X-Tenant-Id: acme${NL}Txn-Token: t${NL}Set-Cookie: a${NL}set-cookie: b${NL}Content-Length: 2${NL}${NL}ok`,
    )
  ).responses[0];
  t.notMatch(stripped?.headText, /x-hop|keep-alive: 9|proxy-auth|tenant|txn/i);
  t.match(stripped?.headText, /Set-Cookie: a\r\nset-cookie: b/);
  t.equal(stripped?.headers['via'], '1.1 sidecar');
  t.equal(
    (await ask(`HTTP/1.1 304 Not Modified${NL}Content-Length: 9${NL}${NL}`)).responses[0]?.headers['content-length'],
    '9',
  );
  t.equal(
    (await ask(`HTTP/1.1 204 No Content${NL}Content-Length: 9${NL}${NL}`)).responses[0]?.headers['content-length'],
    undefined,
  );
  t.match((await ask(`${ok}Content-Length: 99${NL}${NL}`, 'HEAD')).responses[0], {
    status: 200,
    headers: { 'content-length': '99' },
    body: '',
  });
  t.match(
    (await ask(`${ok}Transfer-Encoding: chunked${NL}${NL}2${NL}ok${NL}0${NL}X-T: 1${NL}X-Tenant-Id: x${NL}${NL}`)).text,
    /0\r\nX-T: 1\r\n\r\n$/,
  );
  t.equal(
    (
      await ask(`HTTP/1.1 103 Early Hints${NL}Link: </a>; rel=preload${NL}${NL}${ok}Content-Length: 2${NL}${NL}ok`)
    ).responses
      .map((each) => each.status)
      .join(),
    '103,200',
  );
  t.equal(
    (
      await ask(
        `HTTP/1.1 103 Early Hints${NL}Link: </a>; rel=preload${NL}${NL}${ok}Content-Length: 2${NL}${NL}ok`,
        'GET',
        '1.0',
      )
    ).responses
      .map((each) => each.status)
      .join(),
    '200',
  );
  for (const [name, reply] of [
    ['unsolicited 101', `HTTP/1.1 101 x${NL}Upgrade: y${NL}Connection: upgrade${NL}${NL}`],
    ['CL and TE', `${ok}Content-Length: 1${NL}Transfer-Encoding: chunked${NL}${NL}0${NL}${NL}`],
    ['099', `HTTP/1.1 099 x${NL}Content-Length: 0${NL}${NL}`],
    ['no HTTP', `hello${NL}${NL}`],
    ['999', `HTTP/1.1 999 x${NL}Content-Length: 0${NL}${NL}`],
  ] as const)
    t.equal((await ask(reply)).responses[0]?.status, 502, name);
  t.equal((await ask('')).responses[0]?.status, 504, 'too slow');
  const grpc = await exchangeRaw(
    sidecar.port,
    `POST /x HTTP/1.1${NL}Host: a${NL}Content-Type: application/grpc${NL}Content-Length: 0${NL}${NL}`,
    { responses: 1 },
  );
  t.match(grpc.responses[0], { status: 200, headers: { 'grpc-status': '16', 'content-type': 'application/grpc' } });
});

t.test('upgrades: a tunnel when the application says so, an ordinary answer when it does not', async (t) => {
  const server = createHttp((_req, res) => res.writeHead(426, { 'x-y': '1' }).end('no'));
  const heads: string[] = [];
  server.on('upgrade', (req, socket, head) => {
    heads.push(req.rawHeaders.join('|'));
    socket.on('error', () => {});
    if (req.url === '/other')
      return void socket.end(`HTTP/1.1 101 x${NL}Upgrade: other${NL}Connection: Upgrade${NL}${NL}`);
    if (req.url === '/no')
      return void socket.end(`HTTP/1.1 403 No${NL}Content-Length: 2${NL}X-Tenant-Id: x${NL}${NL}no`);
    socket.write(
      `HTTP/1.1 101 Switching Protocols${NL}Upgrade: websocket${NL}Connection: Upgrade${NL}X-Tenant-Id: x${NL}${NL}hello:`,
    );
    if (head.length > 0) socket.write(head);
    socket.on('data', (chunk) => socket.write(chunk));
  });
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, server)}`);
  const ask = (path: string, fields = AUTH, extra = ''): Promise<RawResult> =>
    exchangeRaw(
      sidecar.port,
      `GET ${path} HTTP/1.1${NL}Host: a${NL}${fields}${NL}Connection: Upgrade, X-Hop${NL}X-Hop: 1${NL}Upgrade: websocket${NL}Sec-WebSocket-Key: k${NL}${NL}${extra}`,
      { waitMs: 300 },
    );
  const tunnel = await ask('/ws', AUTH, 'ping');
  t.match(tunnel.text, /^HTTP\/1\.1 101 [\s\S]*\r\n\r\nhello:ping$/);
  t.notMatch(tunnel.text, /tenant/i);
  t.match(heads[0], /x-tenant-id\|acme/);
  t.notMatch(heads[0], /X-Hop/);
  t.match((await ask('/no')).responses[0], { status: 403, body: 'no' });
  t.equal((await ask('/other')).responses[0]?.status, 502);
  t.equal((await ask('/ws', 'X: y')).responses[0]?.status, 401, 'the whole chain is walked');
  t.equal((await ask('/ws', `${AUTH}${NL}Host: b`)).responses[0]?.status, 400);
  const gone = await sidecarForTest(t, 'http://127.0.0.1:1');
  const dead = await exchangeRaw(
    gone.port,
    `GET / HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}Connection: Upgrade${NL}Upgrade: websocket${NL}${NL}`,
    { responses: 1 },
  );
  t.equal(dead.responses[0]?.status, 502);
  for (let i = 0; i < 5; i++)
    t.equal(
      (await exchangeRaw(gone.port, `GET / HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}${NL}`, { responses: 1 })).responses[0]
        ?.status,
      502,
    );
});
