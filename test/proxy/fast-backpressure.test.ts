/** Who sends more than is taken: pipelines, bodies and answers through the fast engine stop their senders, and arrive whole all the same. */
import { get, type IncomingMessage } from 'node:http';
import { createServer, type Socket } from 'node:net';
import t from 'tap';
import { becomes, settled } from '../helpers/processes.ts';
import { inPieces, openRaw, type RawClient } from '../helpers/raw-client.ts';
import { httpBackend, listening, sidecarForTest, traffic } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const FAST = { 'wire.fastPath': 'true' };
const AUTH = `Authorization: Bearer ${tokenFor('org_acme')}`;
const request = (line: string, fields = '', body = ''): string =>
  `${line} HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}${fields === '' ? '' : fields + NL}${NL}${body}`;
const counts = (text: string): number => text.split('HTTP/1.1 200 OK').length - 1;

t.test('a long pipeline is read as it is served, in its order', async (t) => {
  let atOnce = 0;
  let most = 0;
  const upstream = await httpBackend(t, (req, res) => {
    most = Math.max(most, ++atOnce);
    setImmediate(() => res.end(`${req.url};`, () => atOnce--));
  });
  const sidecar = await sidecarForTest(t, upstream, { settings: FAST });
  // More than the stash holds; where it is read to its end there may be half a head, a head without its content, or one for the other engine.
  const fill = `X-Fill: ${'f'.repeat(400)}`;
  const paths = Array.from({ length: 400 }, (_, at) => `/${at}`);
  const all = paths.map((each) => request(`GET ${each}`, fill)).join('');
  const upload = request('POST /400', `Content-Length: 5${NL}${fill}`);
  for (const [last, rest] of [
    [request('GET /400', fill).slice(0, 300), request('GET /400', fill).slice(300)],
    [upload, 'whole'],
    [`${upload}wh`, 'ole'],
    [request('GET http://b/400'), ''],
  ] as const) {
    const { socket, text } = await openRaw(t, sidecar.port);
    await inPieces(socket, [all + last, rest]);
    t.ok(await becomes(() => text().includes('/400;'), 20_000));
    t.same(text().match(/\/\d+(?=;)/g), [...paths, '/400']);
    socket.destroy();
  }
  t.equal(most, 1, 'one exchange a connection');
});

t.test('who pipelines more than is served is not read any further', async (t) => {
  let mayServe = 0;
  const waiting: (() => void)[] = [];
  const upstream = await httpBackend(t, (_req, res) => {
    const end = (): void => void res.end('ok');
    if (mayServe-- > 0) end();
    else waiting.push(end);
  });
  const sidecar = await sidecarForTest(t, upstream, { settings: FAST });
  const { socket, text } = await openRaw(t, sidecar.port);
  const some = request('GET /').repeat(200);
  let taken = 0;
  const pour = (): void => {
    while (socket.write(some)) taken += some.length;
  };
  socket.on('drain', () => {
    taken += some.length;
    pour();
  });
  pour();
  const before = await settled(() => taken, 100);
  mayServe = 300;
  waiting.pop()?.();
  t.ok(await becomes(() => counts(text()) >= 300));
  const more = (await settled(() => taken, 100)) - before;
  t.ok(more < 2_000_000, `${more} bytes more for 300 requests served`);
});

t.test('who pipelines and does not read is not served any further', async (t) => {
  const answer = 'a'.repeat(25_000);
  let served = 0;
  const upstream = await httpBackend(t, (req, res) => {
    served++;
    res.end(`${req.url};${answer}`);
  });
  const sidecar = await sidecarForTest(t, upstream, { settings: FAST });
  const { socket, text } = await openRaw(t, sidecar.port);
  socket.pause();
  const count = 1000;
  const all = Array.from({ length: count }, (_, at) => request(`GET /${at}`)).join('');
  socket.write(`${all}${request('GET /last', 'Connection: close')}`);
  const before = await settled(() => served, 200);
  t.ok(before < count / 2, `${before} of ${count} answers are with the kernel, or wait for it`);
  socket.resume();
  t.ok(await becomes(() => socket.closed, 20_000));
  t.same(
    text().match(/\/\w+(?=;)/g),
    [...Array.from({ length: count }, (_, at) => `/${at}`), '/last'],
    'all of them, in their order',
  );
});

t.test('a client that leaves before its turn is not sent up', async (t) => {
  const seen: string[] = [];
  const waiting: (() => void)[] = [];
  const upstream = await httpBackend(t, (req, res) => {
    seen.push(req.url as string);
    if (req.url === '/slow') waiting.push(() => res.end('ok'));
    else res.end('ok');
  });
  const sidecar = await sidecarForTest(t, upstream, { settings: { ...FAST, 'wire.upstreamConnectionsMax': '1' } });
  const slow = await openRaw(t, sidecar.port);
  slow.socket.write(request('GET /slow'));
  t.ok(await becomes(() => waiting.length === 1));
  for (const leave of ['destroy', 'resetAndDestroy'] as const) {
    const { socket } = await openRaw(t, sidecar.port);
    socket.write(request('POST /up', 'Content-Length: 100000', 'x'.repeat(20_000)));
    t.ok(await becomes(async () => (await traffic(sidecar)).inFlight === 2));
    socket[leave]();
    t.ok(await becomes(async () => (await traffic(sidecar)).inFlight === 1, 1000), `${leave} is seen at once`);
  }
  waiting[0]?.();
  t.ok(await becomes(() => counts(slow.text()) === 1));
  slow.socket.write(request('GET /after'));
  t.ok(await becomes(() => counts(slow.text()) === 2));
  t.same(seen, ['/slow', '/after']);
});

/** More than the kernel holds of both connections. */
const UPLOAD_BYTES = 30_000_000;

t.test('a body waits with its request, and stops when the application does not read', async (t) => {
  const held: Socket[] = [];
  let isHolding = true;
  const upstream = createServer((socket) => {
    let bytes = -1;
    socket.on('error', () => {});
    if (isHolding) held.push(socket.pause());
    socket.on('data', (chunk) => {
      if (bytes < 0) bytes = -(chunk.indexOf(`${NL}${NL}`) + 4);
      bytes += chunk.length;
      if (bytes < UPLOAD_BYTES) return;
      socket.write(`HTTP/1.1 200 OK${NL}Content-Length: 5${NL}${NL}whole`);
      bytes = -1;
    });
  });
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`, {
    settings: { ...FAST, 'wire.upstreamConnectionsMax': '1' },
  });
  const upload = async (): Promise<RawClient> => {
    const each = await openRaw(t, sidecar.port);
    await inPieces(each.socket, [
      request('POST /', `Content-Length: ${UPLOAD_BYTES}`, 'x'.repeat(1000)),
      'y'.repeat(1000),
    ]);
    each.socket.write(Buffer.alloc(UPLOAD_BYTES - 2000, 'z'));
    return each;
  };
  const first = await upload();
  const second = await upload();
  t.ok(await becomes(() => held.length === 1));
  t.ok(await becomes(async () => (await traffic(sidecar)).inFlight === 2));
  await settled(() => first.socket.writableLength + second.socket.writableLength, 200);
  t.ok(first.socket.writableLength > 0 && second.socket.writableLength > 0, 'neither can send all');
  isHolding = false;
  held[0]?.resume();
  t.ok(await becomes(() => counts(first.text()) === 1 && counts(second.text()) === 1, 15_000), 'both arrive whole');
});

t.test('an answer waits for a client that reads slowly, however it is framed', async (t) => {
  const body = Buffer.alloc(30_000_000, 'abcdefg');
  let written = 0;
  const upstream = await httpBackend(t, (req, res) => {
    if (req.url === '/length') res.setHeader('content-length', body.length);
    if (req.url === '/close') res.useChunkedEncodingByDefault = false;
    written = 0;
    const pour = (): void => {
      while (written < body.length) {
        const from = written;
        written += 60_000;
        if (!res.write(body.subarray(from, written))) return void res.once('drain', pour);
      }
      res.end();
    };
    pour();
  });
  const sidecar = await sidecarForTest(t, upstream, { settings: FAST });
  const headers = { authorization: AUTH.slice(AUTH.indexOf('Bearer')) };
  for (const path of ['/length', '/chunked', '/close']) {
    written = 0;
    const answer = await new Promise<IncomingMessage>((resolve) => {
      get({ port: sidecar.port, host: '127.0.0.1', path, headers, agent: false }, resolve);
    });
    await settled(() => written, 100);
    t.ok(written < body.length, `${path}: the application was stopped after ${written} bytes`);
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk as Buffer);
    t.ok(answer.complete && Buffer.concat(chunks).equals(body), path);
  }
});
