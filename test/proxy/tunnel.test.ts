/** Tunnels from their beginning to every end: silence, a side that breaks off, an application that is away or answers something else. */
import { createServer as createHttp } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { becomes } from '../helpers/processes.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { listening, sidecarForTest } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const AUTH = `Authorization: Bearer ${tokenFor('org_acme')}`;
const upgrade = (path: string, fields = ''): string =>
  `GET ${path} HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}Connection: Upgrade${NL}Upgrade: x${NL}${fields}${NL}`;
const SWITCHED = `HTTP/1.1 101 S${NL}Upgrade: x${NL}Connection: Upgrade${NL}`;

t.test('how tunnels end', async (t) => {
  const sockets = new Map<string, Socket>();
  const server = createHttp();
  server.on('upgrade', (req, duplex) => {
    const socket = duplex as Socket;
    const path = req.url as string;
    sockets.set(path, socket);
    socket
      .on('error', () => {})
      .on('end', () => socket.end())
      .resume();
    if (path === '/cut') {
      socket.write(`HTTP/1.1 403 No${NL}Transfer-Encoding: chunked${NL}${NL}5${NL}hello${NL}`, () =>
        setTimeout(() => socket.destroy(), 20),
      );
      return;
    }
    if (path === '/1xx') return void socket.end(`HTTP/1.1 999 No${NL}Content-Length: 0${NL}${NL}`);
    if (path === '/silent') return;
    if (path === '/gone') return void socket.destroy();
    socket.write(`${SWITCHED}Content-Length: 5${NL}${NL}`);
    if (path === '/large') socket.end(Buffer.alloc(4_000_000, 'x'));
    if (path === '/reset') setTimeout(() => socket.resetAndDestroy(), 20);
    if (path === '/echo') socket.pipe(socket);
  });
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, server)}`, {
    settings: { 'wire.idleTimeout': '600ms', 'wire.responseTimeout': '300ms' },
  });
  const ask = (path: string) => exchangeRaw(sidecar.port, upgrade(path), { waitMs: 2000 });
  const idle = async (path: string, everyMs: number, forMs: number): Promise<number> => {
    const began = performance.now();
    const socket = connect(sidecar.port, '127.0.0.1', () => socket.write(upgrade(path)));
    const beat = setInterval(() => socket.write('.'), everyMs);
    const stop = setTimeout(() => clearInterval(beat), forMs);
    await new Promise((resolve) =>
      socket
        .on('error', () => {})
        .on('close', resolve)
        .resume(),
    );
    clearInterval(beat);
    clearTimeout(stop);
    return performance.now() - began;
  };
  const [silent, lively] = await Promise.all([idle('/idle', 10_000, 0), idle('/echo', 100, 1500)]);
  t.ok(silent > 500 && silent < 2000, `silence ends it after ${Math.round(silent)} ms, not the wait for an answer`);
  t.ok(lively > 1800, `a byte in either direction keeps it: ${Math.round(lively)} ms`);

  t.match(
    await ask('/cut'),
    { end: 'reset', responses: [{ status: 403 }] },
    'a refusal that is cut short does not end in order',
  );
  t.equal((await ask('/1xx')).responses[0]?.status, 502, 'no status of HTTP');
  t.equal((await ask('/silent')).responses[0]?.status, 504, 'no answer in time');
  t.equal((await ask('/gone')).responses[0]?.status, 502, 'the application hangs up');
  t.equal((await ask('/reset')).end, 'reset', 'a side that breaks off breaks the other');
  t.notMatch((await ask('/1')).text, /content-length/i, 'a 101 has no content');
  const large = await new Promise<number>((resolve) => {
    let bytes = 0;
    const socket = connect(sidecar.port, '127.0.0.1', () => socket.write(upgrade('/large')));
    // Slower than it is sent, so that much is under way when the application ends.
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      socket.pause();
      setTimeout(() => socket.resume(), 1);
    });
    socket.on('end', () => resolve(bytes)).on('error', () => resolve(bytes));
  });
  t.ok(large > 4_000_000, `${large} bytes: what was sent before the end arrives`);

  const client = connect(sidecar.port, '127.0.0.1', () => client.write(upgrade('/left')));
  t.ok(await becomes(() => sockets.has('/left')));
  client.destroy();
  t.ok(await becomes(() => sockets.get('/left')?.destroyed === true), 'a client that leaves frees the upstream');
  const early = connect(sidecar.port, '127.0.0.1', () => early.write(upgrade('/silent')));
  sockets.delete('/silent');
  t.ok(await becomes(() => sockets.has('/silent')));
  early.destroy();
  t.ok(await becomes(() => sockets.get('/silent')?.destroyed === true), 'also before it was opened');
  const traffic = async (): Promise<string> =>
    (await fetch(`http://127.0.0.1:${sidecar.ports.admin}/v1/traffic`)).text();
  t.ok(await becomes(async () => /"inFlight": ?0/.test(await traffic())), 'every tunnel has ended');
});

t.test('an upstream that is away is left alone by tunnels too', async (t) => {
  let connections = 0;
  const server = createServer(() => connections++);
  const port = await listening(t, server);
  await new Promise((resolve) => server.close(resolve));
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${port}`);
  const statuses = [];
  for (let i = 0; i < 5; i++) {
    const { responses } = await exchangeRaw(sidecar.port, upgrade('/'), { responses: 1, waitMs: 2000 });
    statuses.push([responses[0]?.status, responses[0]?.headers['retry-after']]);
  }
  t.same(
    statuses,
    Array.from({ length: 5 }, () => [502, '1']),
  );
  const metrics = await (await fetch(`http://127.0.0.1:${sidecar.ports.status}/metrics`)).text();
  t.match(
    metrics,
    /reeve_upstream_errors_total\{upstream="application",reason="connect"\} 3\n/,
    'three are tried, then none',
  );
});
