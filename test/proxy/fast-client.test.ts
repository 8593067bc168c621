/** The client's side of the fast engine: heads in pieces, heads that never end, and clients that leave. */
import { createServer as createHttp } from 'node:http';
import { createServer, type Socket } from 'node:net';
import t from 'tap';
import { becomes } from '../helpers/processes.ts';
import { exchangeRaw, inPieces, openRaw } from '../helpers/raw-client.ts';
import { childSidecar, httpBackend, listening, settings, sidecarForTest, traffic } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const FAST = { 'wire.fastPath': 'true' };
const AUTH = `Authorization: Bearer ${tokenFor('org_acme')}`;
const request = (line: string, fields = '', body = ''): string =>
  `${line} HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}${fields === '' ? '' : fields + NL}${NL}${body}`;

t.test('a head in pieces is one head, wherever it is cut', async (t) => {
  const server = createHttp({ maxHeaderSize: 65_536 }, (req, res) => {
    let bytes = 0;
    req.on('data', (chunk) => (bytes += chunk.length)).on('end', () => res.end(`${req.url} ${bytes}.`));
  });
  const upstream = `http://127.0.0.1:${await listening(t, server)}`;
  const sidecar = await sidecarForTest(t, upstream, { settings: FAST });
  const ask = async (pieces: readonly string[], isDone: RegExp): Promise<string> => {
    const { socket, text } = await openRaw(t, sidecar.port);
    await inPieces(socket, pieces);
    t.ok(await becomes(() => isDone.test(text())), text());
    socket.destroy();
    return text();
  };
  const whole = request('GET /x');
  for (const at of [1, 4, 10, 20, whole.length - 3, whole.length - 1])
    await ask([whole.slice(0, at), whole.slice(at)], /\/x 0\./);
  await ask([whole.slice(0, 5), whole.slice(5, 30), `${whole.slice(30)}${request('GET /y')}`], /\/x 0\.[\s\S]*\/y 0\./);
  await ask(
    [
      request('POST /p', 'Content-Length: 6', 'ab').slice(0, 40),
      request('POST /p', 'Content-Length: 6', 'ab').slice(40),
      'cd',
      'ef',
    ],
    /\/p 6\./,
  );
  // Larger than a slate begins, and larger than one is kept.
  for (const bytes of [5000, 20_000]) {
    const large = request('GET /l', `X-Large: ${'z'.repeat(bytes)}`);
    await ask([large.slice(0, 1000), large.slice(1000, 4000), large.slice(4000)], /\/l 0\./);
  }
  const chunked = request('POST /c', 'Transfer-Encoding: chunked', `3${NL}abc${NL}0${NL}${NL}`);
  const at = chunked.indexOf('Encoding');
  await ask([chunked.slice(0, at), chunked.slice(at)], /\/c 3\./);
});

t.test('who does not finish a head is told so; who stops in the middle of one, too', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const sidecar = await sidecarForTest(t, upstream, {
    settings: { ...FAST, 'wire.headTimeout': '300ms', 'wire.idleTimeout': '600ms' },
  });
  const late = await openRaw(t, sidecar.port);
  late.socket.write('GET / HT');
  const silent = await openRaw(t, sidecar.port);
  const kept = await openRaw(t, sidecar.port);
  kept.socket.write(request('GET /'));
  t.ok(await becomes(() => late.isClosed() && silent.isClosed() && kept.isClosed()));
  t.match(late.text(), /^HTTP\/1\.1 408 [\s\S]*head-timeout/);
  t.match(silent.text(), /^HTTP\/1\.1 408 /);
  t.match(kept.text(), /^HTTP\/1\.1 200 OK[\s\S]*ok$/, 'an idle one is closed without a word');
  const half = await exchangeRaw(sidecar.port, 'GET / HTTP/1.1\r\nHost: a', { half: true, waitMs: 2000 });
  t.match([half.end, half.text], ['closed', /^HTTP\/1\.1 400 [\s\S]*malformed-request/]);
  const nothing = await exchangeRaw(sidecar.port, '', { half: true, waitMs: 2000 });
  t.same([nothing.end, nothing.text], ['closed', '']);
});

t.test('a client that leaves ends its exchange, in whichever phase', async (t) => {
  const open = new Set<Socket>();
  const seen: string[] = [];
  const upstream = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {}).on('close', () => open.delete(socket));
    socket.on('data', (chunk) => {
      const path = /^[A-Z]+ (\/\w+)/.exec(chunk.toString('latin1'))?.[1];
      if (path === undefined) return;
      seen.push(path);
      if (path === '/half') socket.write(`HTTP/1.1 200 OK${NL}Content-Length: 9${NL}${NL}half`);
    });
  });
  const tenancy = makeTenancy({
    'plans.yaml':
      plan('free') +
      plan('slow', { rate: { requests: { limit: '2/s', burst: 1 } }, degrade: [{ shape: '5s' }, 'reject'] }),
    'tenants.yaml': tenant('acme') + tenant('slow', { plan: 'slow' }),
  });
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`, {
    tenancy,
    settings: {
      ...FAST,
      'wire.upstreamConnectionsMax': '2',
      'wire.idleTimeout': '700ms',
      'wire.responseTimeout': '30s',
    },
  });
  const leaves = async (bytes: string, isThere: () => boolean | Promise<boolean>, leave: (socket: Socket) => void) => {
    const { socket } = await openRaw(t, sidecar.port);
    socket.write(bytes);
    t.ok(await becomes(isThere));
    leave(socket);
    t.ok(
      await becomes(async () => (await traffic(sidecar)).inFlight === 0 && open.size === 0),
      JSON.stringify(bytes.slice(0, 20)),
    );
    seen.length = 0;
  };
  const upload = request('POST /upload', 'Content-Length: 999', 'part');
  await leaves(
    request('GET /wait'),
    () => seen.length === 1,
    (socket) => socket.destroy(),
  );
  await leaves(
    request('GET /wait'),
    () => seen.length === 1,
    (socket) => socket.resetAndDestroy(),
  );
  await leaves(
    request('GET /wait'),
    () => seen.length === 1,
    (socket) => socket.end(),
  );
  await leaves(
    request('GET /half'),
    () => seen.length === 1,
    (socket) => socket.destroy(),
  );
  await leaves(
    upload,
    () => seen.length === 1,
    (socket) => socket.destroy(),
  );
  // Neither leaves, nor goes on: in the middle of its body.
  await leaves(
    upload,
    () => seen.length === 1,
    () => {},
  );
  // While the chain decides: what was taken is given back when it has.
  const slow = upload.replace(AUTH, `Authorization: Bearer ${tokenFor('org_slow')}`);
  await leaves(
    slow,
    () => seen.length === 1,
    (socket) => socket.destroy(),
  );
  await leaves(
    slow,
    async () => (await traffic(sidecar)).inFlight === 1,
    (socket) => socket.destroy(),
  );
  // In line, behind two that hold all connections.
  const holders = await Promise.all([1, 2].map(() => openRaw(t, sidecar.port)));
  for (const { socket } of holders) socket.write(request('GET /wait'));
  t.ok(await becomes(() => seen.length === 2));
  const inLine = await openRaw(t, sidecar.port);
  inLine.socket.write(request('POST /line', 'Content-Length: 9', 'abc'));
  t.ok(await becomes(async () => (await traffic(sidecar)).inFlight === 3));
  inLine.socket.destroy();
  t.ok(await becomes(async () => (await traffic(sidecar)).inFlight === 2));
  for (const { socket } of holders) socket.destroy();
  t.ok(await becomes(async () => (await traffic(sidecar)).inFlight === 0 && open.size === 0));
  t.notOk(seen.includes('/line'), 'it was never sent');
});

t.test('what is refused in the read that brought it took some time all the same', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const sidecar = await childSidecar(t, settings(upstream, tenancy, FAST));
  t.equal((await fetch(`http://127.0.0.1:${sidecar.ports.inbound}/`)).status, 401);
  const record = (): { duration_ms: number } | undefined =>
    sidecar.lines.filter((line) => line.includes('"http.request"')).map((line) => JSON.parse(line))[0];
  t.ok(await becomes(() => record() !== undefined));
  t.ok((record()?.duration_ms ?? 0) > 0, `${record()?.duration_ms} ms`);
});
