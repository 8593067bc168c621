/** The client's side of the fast engine: heads in pieces, pipelines, bodies that stop or pile up, clients that leave, and how it drains. */
import { createServer as createHttp, get, type IncomingMessage } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { becomes, settled } from '../helpers/processes.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { type Ending, httpBackend, listening, type SidecarForTest, sidecarForTest } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const FAST = { 'wire.fastPath': 'true' };
const AUTH = `Authorization: Bearer ${tokenFor('org_acme')}`;
const request = (line: string, fields = '', body = ''): string =>
  `${line} HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}${fields === '' ? '' : fields + NL}${NL}${body}`;

interface Client {
  readonly socket: Socket;
  text(): string;
  isClosed(): boolean;
}

async function client(t: Ending, port: number): Promise<Client> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let text = '';
  let isClosed = false;
  socket.on('error', () => {}).on('data', (chunk) => (text += chunk.toString('latin1')));
  socket.on('close', () => (isClosed = true));
  t.teardown(() => socket.destroy());
  await new Promise((resolve) => socket.once('connect', resolve));
  return { socket, text: () => text, isClosed: () => isClosed };
}

/** Each piece is read by itself: the sidecar is in this process, and its turn comes in between. */
async function inPieces(socket: Socket, pieces: readonly string[]): Promise<void> {
  for (const piece of pieces) {
    await new Promise((resolve) => socket.write(Buffer.from(piece, 'latin1'), resolve));
    for (let turns = 0; turns < 3; turns++) await turn();
  }
}

const counts = (text: string): number => text.split('HTTP/1.1 200 OK').length - 1;

async function traffic(sidecar: SidecarForTest): Promise<{ inFlight: number; connections: number }> {
  const answer = await fetch(`http://127.0.0.1:${sidecar.ports.admin}/v1/traffic`);
  return (await answer.json()) as { inFlight: number; connections: number };
}
const isQuiet = async (sidecar: SidecarForTest): Promise<boolean> => (await traffic(sidecar)).inFlight === 0;

t.test('a head in pieces is one head, wherever it is cut', async (t) => {
  const server = createHttp({ maxHeaderSize: 65_536 }, (req, res) => {
    let bytes = 0;
    req.on('data', (chunk) => (bytes += chunk.length)).on('end', () => res.end(`${req.url} ${bytes}.`));
  });
  const upstream = `http://127.0.0.1:${await listening(t, server)}`;
  const sidecar = await sidecarForTest(t, upstream, { settings: FAST });
  const ask = async (pieces: readonly string[], isDone: RegExp): Promise<string> => {
    const { socket, text } = await client(t, sidecar.port);
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
  const late = await client(t, sidecar.port);
  late.socket.write('GET / HT');
  const silent = await client(t, sidecar.port);
  const kept = await client(t, sidecar.port);
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

t.test('a long pipeline is read as it is served, in its order', async (t) => {
  let atOnce = 0;
  let most = 0;
  const upstream = await httpBackend(t, (req, res) => {
    most = Math.max(most, ++atOnce);
    setImmediate(() => res.end(`${req.url};`, () => atOnce--));
  });
  const sidecar = await sidecarForTest(t, upstream, { settings: FAST });
  const { socket, text } = await client(t, sidecar.port);
  const paths = Array.from({ length: 400 }, (_, at) => `/${at}`);
  // More than the stash holds.
  socket.write(paths.map((each) => request(`GET ${each}`, `X-Fill: ${'f'.repeat(400)}`)).join(''));
  t.ok(await becomes(() => text().includes('/399;'), 20_000));
  t.same(text().match(/\/\d+(?=;)/g), paths);
  t.equal(most, 1, 'one exchange a connection');
  // The one in line that is not plain goes to the general engine, with all behind it.
  const mixed = await client(t, sidecar.port);
  mixed.socket.write(`${request('GET /1')}${request('GET http://b/2')}${request('GET /3')}`);
  t.ok(await becomes(() => mixed.text().includes('/3;')));
  t.same(mixed.text().match(/\/\d+(?=;)/g), ['/1', '/2', '/3']);
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
  const upload = async (): Promise<Client> => {
    const each = await client(t, sidecar.port);
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
    const { socket } = await client(t, sidecar.port);
    socket.write(bytes);
    t.ok(await becomes(isThere));
    leave(socket);
    t.ok(await becomes(async () => (await isQuiet(sidecar)) && open.size === 0), JSON.stringify(bytes.slice(0, 20)));
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
  const holders = await Promise.all([1, 2].map(() => client(t, sidecar.port)));
  for (const { socket } of holders) socket.write(request('GET /wait'));
  t.ok(await becomes(() => seen.length === 2));
  const inLine = await client(t, sidecar.port);
  inLine.socket.write(request('POST /line', 'Content-Length: 9', 'abc'));
  t.ok(await becomes(async () => (await traffic(sidecar)).inFlight === 3));
  inLine.socket.destroy();
  t.ok(await becomes(async () => (await traffic(sidecar)).inFlight === 2));
  for (const { socket } of holders) socket.destroy();
  t.ok(await becomes(async () => (await isQuiet(sidecar)) && open.size === 0));
  t.notOk(seen.includes('/line'), 'it was never sent');
});
