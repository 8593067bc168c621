/** The application's side of the fast engine: answers in pieces, unsound and late ones, connections that are kept, rest, age and are counted. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { becomes } from '../helpers/processes.ts';
import { exchangeRaw, inPieces, type RawResult } from '../helpers/raw-client.ts';
import { type Ending, listening, sidecarForTest } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const FAST = { 'wire.fastPath': 'true' };
const OK = `HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}ok`;
const CHUNKED = `HTTP/1.1 200 OK${NL}Transfer-Encoding: chunked${NL}${NL}`;
const request = (line: string, fields = '', body = ''): string =>
  `${line} HTTP/1.1${NL}Host: a${NL}Authorization: Bearer ${tokenFor('org_acme')}${NL}${fields}${NL}${body}`;

interface Scripted {
  readonly server: Server;
  /** Of each connection ever made, how many requests came on it. */
  readonly served: number[];
  /** Open now. */
  readonly open: Set<Socket>;
  answer: (socket: Socket, at: number) => void;
}

function scripted(): Scripted {
  const served: number[] = [];
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    const at = served.push(0) - 1;
    open.add(socket);
    socket.on('error', () => {}).on('close', () => open.delete(socket));
    socket.on('data', () => {
      served[at] = (served[at] as number) + 1;
      self.answer(socket, at);
    });
  });
  const self: Scripted = { server, served, open, answer: (socket) => void socket.write(OK) };
  return self;
}

const cut = (text: string, size: number): string[] => text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];

async function beside(t: Ending, settings: Readonly<Record<string, string>> = {}) {
  const upstream = scripted();
  const url = `http://127.0.0.1:${await listening(t, upstream.server)}`;
  const sidecar = await sidecarForTest(t, url, { settings: { ...FAST, ...settings } });
  const ask = (bytes = request('GET /'), responses = 1): Promise<RawResult> =>
    exchangeRaw(sidecar.port, bytes, { responses, waitMs: 3000, method: bytes.split(' ', 1)[0] as string });
  return { upstream, sidecar, ask };
}

t.test('an answer in pieces is one answer, wherever it is cut', async (t) => {
  const { upstream, ask } = await beside(t);
  const hint = `HTTP/1.1 103 Early Hints${NL}Link: </a>${NL}${NL}`;
  const chunked = `${CHUNKED}3;a=b${NL}abc${NL}0002${NL}de${NL}0${NL}X-Sum: 1${NL}X-Tenant-Id: x${NL}${NL}`;
  for (const size of [1, 7, 50]) {
    upstream.answer = (socket) => void inPieces(socket, cut(`${hint}${OK}`, size));
    const { responses } = await ask();
    t.same(
      responses.map((each) => [each.status, each.body]),
      [
        [103, ''],
        [200, 'ok'],
      ],
      `${size} at a time`,
    );
    upstream.answer = (socket) => void inPieces(socket, cut(chunked, size));
    const { text } = await ask();
    const content = [...text.matchAll(/\r\n[0-9a-f]+\r\n([a-e]+)(?=\r\n)/g)].map((each) => each[1]).join('');
    t.match([content, text], ['abcde', /\r\n0\r\nX-Sum: 1\r\n\r\n$/]);
    t.notMatch(text, /tenant/i);
  }
  t.equal(upstream.served.length, 1, 'all by one connection');
});

t.test('content may be empty, or end with the connection', async (t) => {
  const { upstream, ask } = await beside(t);
  const rows: readonly (readonly [string, string, boolean])[] = [
    [`${CHUNKED}0${NL}${NL}`, '', true],
    [`HTTP/1.1 200 OK${NL}Content-Length: 0${NL}${NL}`, '', true],
    [`HTTP/1.1 299 ${NL}Content-Length: 1${NL}${NL}x`, 'x', true],
    [`HTTP/1.0 200 OK${NL}${NL}until the end`, 'until the end', false],
    [`HTTP/1.1 200 OK${NL}Connection: close${NL}${NL}`, '', false],
  ];
  for (const [answer, body, isKept] of rows) {
    upstream.answer = (socket) => void (isKept ? socket.write(answer) : socket.end(answer));
    const { responses, text } = await ask(request('GET /', `Connection: close${NL}`), 9);
    const plain = responses[0]?.body.replaceAll(/\r\n|^[0-9a-f]+(?=\r\n)|0\r\n\r\n$/g, '');
    t.same([responses.length, plain, responses[0]?.isWhole], [1, body, true], text);
  }
});

t.test('an unsound answer is a 502 before its head, and cut behind it', async (t) => {
  const { upstream, ask } = await beside(t);
  for (const answer of [
    `HTTP/1.1 200 OK${NL}Content-Length: 2${NL}Content-Length: 2${NL}${NL}ok`,
    `HTTP/1.1 099 OK${NL}${NL}`,
    `HTTP/2 200${NL}${NL}`,
    `HTTP/1.1 200 OK\n\n`,
    `HTTP/1.1 103 Early Hints${NL}Content-Length: 1${NL}${NL}`,
    `HTTP/1.1 200 OK${NL}X: ${'y'.repeat(70_000)}${NL}${NL}`,
  ]) {
    upstream.answer = (socket) => void socket.write(answer);
    t.match((await ask()).responses[0], { status: 502, body: /upstream-malformed/ }, answer.slice(0, 40));
  }
  for (const answer of [
    '3\nabc',
    `3${NL}abcd${NL}`,
    `zz${NL}`,
    `${'1'.repeat(13)}${NL}`,
    `0${NL}Content-Length: 1${NL}${NL}`,
  ]) {
    upstream.answer = (socket) => void socket.write(`${CHUNKED}1${NL}a${NL}${answer}`);
    const { end, responses } = await ask(request('GET /'), 2);
    t.match([end, responses[0]?.isWhole], ['reset', false], JSON.stringify(answer));
    upstream.answer = (socket) => socket.write(CHUNKED, () => setImmediate(() => socket.write(answer)));
    t.equal((await ask(request('GET /'), 2)).end, 'reset', `${JSON.stringify(answer)} by itself`);
  }
  t.ok(await becomes(() => upstream.open.size === 0), 'no such connection is kept');
});

t.test('a connection is used again only when nothing is doubtful about it', async (t) => {
  const { upstream, ask } = await beside(t);
  const kept = async (answer: string, bytes = request('GET /')): Promise<boolean> => {
    const before = upstream.served.length;
    upstream.answer = (socket) => void socket.write(answer);
    await ask(bytes);
    upstream.answer = (socket) => void socket.write(OK);
    const { responses } = await ask();
    t.match(responses, [{ status: 200, body: 'ok' }], 'the next request gets its own answer');
    const isKept = upstream.served.length === before || upstream.served.length === before + 1;
    const last = upstream.served.at(-1) as number;
    return isKept && last > 1;
  };
  t.ok(await kept(OK));
  t.notOk(await kept(`${OK}HTTP/1.1 200 OK${NL}Content-Length: 6${NL}${NL}poison`), 'bytes behind the end');
  t.notOk(await kept(`${CHUNKED}0${NL}${NL}x`), 'a byte behind the last chunk');
  t.notOk(await kept(`HTTP/1.1 200 OK${NL}Connection: close${NL}Content-Length: 2${NL}${NL}ok`), 'said to be its last');
  t.notOk(await kept(`HTTP/1.0 200 OK${NL}Content-Length: 2${NL}${NL}ok`), 'HTTP/1.0');
  t.notOk(await kept(OK, request('POST /', `Content-Length: 70000${NL}`, 'part')), 'the request was not whole');
  t.ok(await kept(`HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}`, request('HEAD /')), 'HEAD has no content');
  // It speaks while nobody asked.
  t.equal((await ask()).responses[0]?.status, 200);
  for (const socket of upstream.open) socket.write(`HTTP/1.1 200 OK${NL}Content-Length: 6${NL}${NL}poison`);
  // Long before it would be closed for its age.
  t.ok(await becomes(() => upstream.open.size === 0, 2000));
  t.match((await ask()).responses, [{ status: 200, body: 'ok' }]);
});

t.test('what takes too long is ended: before the head, and in the middle of content', async (t) => {
  const { upstream, ask } = await beside(t, { 'wire.responseTimeout': '300ms', 'wire.idleTimeout': '400ms' });
  upstream.answer = () => {};
  t.match((await ask()).responses[0], { status: 504, body: /upstream-timeout/ });
  upstream.answer = (socket) => void socket.write('HTTP/1.1 200 OK\r\nX:');
  t.match((await ask()).responses[0], { status: 504 }, 'half a head');
  upstream.answer = (socket) => void socket.write(`HTTP/1.1 200 OK${NL}Content-Length: 9${NL}${NL}half`);
  t.match(await ask(), { end: 'reset', responses: [{ isWhole: false }] });
  t.ok(await becomes(() => upstream.open.size === 0));
});

t.test('there are never more connections than may be, and all are answered', async (t) => {
  const { upstream, ask } = await beside(t, { 'wire.upstreamConnectionsMax': '3' });
  let most = 0;
  upstream.answer = (socket) => {
    most = Math.max(most, upstream.open.size);
    setTimeout(() => socket.write(OK), 5);
  };
  const answers = await Promise.all(Array.from({ length: 15 }, () => ask(request('GET /').repeat(4), 4)));
  t.same([...new Set(answers.flatMap(({ responses }) => responses.map(({ status }) => status)))], [200]);
  t.equal(most, 3);
});

t.test('an application may listen on a Unix socket', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-fast-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'app.sock');
  const upstream = scripted();
  await new Promise<void>((resolve) => upstream.server.listen(path, resolve));
  t.teardown(() => upstream.server.close());
  const sidecar = await sidecarForTest(t, `unix:${path}`, { settings: FAST });
  for (let i = 0; i < 2; i++)
    t.equal((await exchangeRaw(sidecar.port, request('GET /'), { responses: 1 })).responses[0]?.body, 'ok');
  for (const socket of upstream.open) socket.destroy();
});
