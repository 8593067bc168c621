/** A listener that is told to stop: what is on its way is answered, who is idle is let go, and who takes too long is not waited for. */
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { systemClock } from '../../src/core/index.ts';
import { createLog } from '../../src/telemetry/index.ts';
import { becomes, settled } from '../helpers/processes.ts';
import { type Ending, listening, sidecarForTest, traffic } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const TOKEN = `Bearer ${tokenFor('org_acme')}`;
const request = (path: string): string => `GET ${path} HTTP/1.1${NL}Host: a${NL}Authorization: ${TOKEN}${NL}${NL}`;
/** More than the kernel holds of both connections. */
const LARGE_BYTES = 30_000_000;

async function client(t: Ending, port: number) {
  const socket: Socket = connect(port, '127.0.0.1');
  const seen = { text: '', isClosed: false };
  socket.on('error', () => {}).on('close', () => (seen.isClosed = true));
  socket.on('data', (chunk) => (seen.text += chunk.toString('latin1')));
  t.teardown(() => socket.destroy());
  await new Promise((resolve) => socket.once('connect', resolve));
  return { socket, seen };
}

async function beside(t: Ending, grace: string, o: Partial<Parameters<typeof sidecarForTest>[2]> = {}) {
  const held = new Map<string, ServerResponse>();
  const server = createServer((req, res) => {
    if (req.url === '/now') return void res.end('ok');
    if (req.url === '/large') return void res.end(Buffer.alloc(LARGE_BYTES, 'x'));
    held.set(req.url as string, res);
  });
  const url = `http://127.0.0.1:${await listening(t, server)}`;
  const settings = { 'drain.grace': grace, ...o.settings };
  return { held, sidecar: await sidecarForTest(t, url, { ...o, settings }) };
}

t.test('what is on its way is answered whole; who is idle is let go', async (t) => {
  const { held, sidecar } = await beside(t, '20s');
  const idle = await client(t, sidecar.port);
  idle.socket.write(request('/now'));
  const busy = await client(t, sidecar.port);
  busy.socket.write(request('/slow'));
  const fresh = await client(t, sidecar.port);
  const large = await new Promise<IncomingMessage>((resolve) => {
    const headers = { authorization: TOKEN };
    get({ port: sidecar.port, host: '127.0.0.1', path: '/large', headers, agent: false }, resolve);
  });
  t.ok(await becomes(() => idle.seen.text.endsWith('ok') && held.has('/slow')));
  let isDrained = false;
  const drained = sidecar.drain().then(() => (isDrained = true));
  fresh.socket.write(request('/now'));
  t.ok(await becomes(() => fresh.seen.isClosed && idle.seen.isClosed));
  t.match(
    fresh.seen.text,
    /^HTTP\/1\.1 200 OK[\s\S]*Connection: close[\s\S]*ok$/i,
    'who just came is told to go elsewhere',
  );
  t.equal(idle.seen.text.match(/HTTP/g)?.length, 1, 'an idle one hears nothing more');
  held.get('/slow')?.end('late');
  t.ok(await becomes(() => busy.seen.isClosed));
  t.match(busy.seen.text, /^HTTP\/1\.1 200 OK[\s\S]*Connection: close[\s\S]*late/i);
  await settled(() => large.readableLength, 50);
  t.notOk(isDrained, 'somebody still reads');
  let bytes = 0;
  for await (const chunk of large) bytes += (chunk as Buffer).length;
  t.same([bytes, large.complete], [LARGE_BYTES, true]);
  await drained;
  const refused = connect(sidecar.port, '127.0.0.1');
  t.match(await new Promise((resolve) => refused.once('error', resolve)), { code: 'ECONNREFUSED' });
});

for (const fastPath of ['true', 'false'])
  t.test(`who came while the loop was held as the delay ended is served, fastPath ${fastPath}`, async (t) => {
    const DELAY_MS = 400;
    const settings = { 'drain.delay': `${DELAY_MS}ms`, 'wire.fastPath': fastPath };
    const { sidecar } = await beside(t, '20s', { settings });
    const idle = await client(t, sidecar.port);
    idle.socket.write(request('/now'));
    t.ok(await becomes(() => idle.seen.text.endsWith('ok')));
    const silent = await client(t, sidecar.port);
    const began = performance.now();
    const drained = sidecar.drain();
    // The kernel takes them; the sidecar, which runs in this loop, does not before the delay is over.
    const late = Array.from({ length: 20 }, () => client(t, sidecar.port));
    idle.socket.write(request('/now'));
    while (performance.now() - began < DELAY_MS + 50);
    const clients = await Promise.all(late);
    for (const { socket } of clients) socket.write(request('/now'));
    silent.socket.write(request('/now'));
    t.ok(await becomes(() => [idle, silent, ...clients].every(({ seen }) => seen.isClosed)));
    for (const { seen } of [silent, ...clients])
      t.match(seen.text, /^HTTP\/1\.1 200 OK[\s\S]*Connection: close[\s\S]*ok$/i);
    t.match(
      idle.seen.text,
      /ok[\s\S]*HTTP\/1\.1 200 OK[\s\S]*Connection: close[\s\S]*ok$/i,
      'on a kept connection too',
    );
    await drained;
  });

t.test('for the delay it is not ready and serves who comes; then nobody gets in', async (t) => {
  const { sidecar } = await beside(t, '20s', { settings: { 'drain.delay': '3s' } });
  const began = performance.now();
  const drained = sidecar.drain();
  const ready = await fetch(`http://127.0.0.1:${sidecar.ports.status}/readyz`);
  t.equal(ready.status, 503, 'at once');
  let served = 0;
  let refusedAtMs: number | undefined;
  while (refusedAtMs === undefined && performance.now() - began < 10_000) {
    const answer = await new Promise<IncomingMessage | undefined>((resolve) => {
      const headers = { authorization: TOKEN };
      get({ port: sidecar.port, host: '127.0.0.1', path: '/now', headers, agent: false }, resolve).on('error', () =>
        resolve(undefined),
      );
    });
    answer?.resume();
    if (answer === undefined) refusedAtMs = performance.now() - began;
    else {
      t.match([answer.statusCode, answer.headers['connection']], [200, 'close']);
      served++;
    }
  }
  t.ok(served > 10, `${served} served meanwhile, each told to go elsewhere`);
  t.ok((refusedAtMs as number) >= 2900, `closed after ${refusedAtMs} ms`);
  await drained;
  t.ok(performance.now() - began < 15_000, 'the grace is not waited for when nobody is left');
});

t.test('who closes does not wait for the delay of a drain that is under way', async (t) => {
  const { sidecar } = await beside(t, '20s', { settings: { 'drain.delay': '10s' } });
  const began = performance.now();
  const drained = sidecar.drain();
  await sidecar.close();
  await drained;
  t.ok(performance.now() - began < 5000);
});

t.test('nobody is waited for longer than the grace', async (t) => {
  const { held, sidecar } = await beside(t, '500ms');
  const stuck = await client(t, sidecar.port);
  stuck.socket.write(request('/never'));
  const half = await client(t, sidecar.port);
  half.socket.write('GET / HT');
  t.ok(await becomes(() => held.has('/never')));
  const began = performance.now();
  await sidecar.drain();
  t.ok(performance.now() - began < 5000);
  t.ok(await becomes(() => stuck.seen.isClosed && half.seen.isClosed));
  t.match(stuck.seen.text, /^HTTP\/1\.1 503 [\s\S]*Connection: close[\s\S]*"code":"draining"/i, 'it is told');
  t.equal(half.seen.text, '');
  t.ok(await becomes(() => held.get('/never')?.destroyed === true), 'the application is let go, too');
});

for (const fastPath of ['true', 'false'])
  t.test(`what the grace cuts is said to be the drain's doing, fastPath ${fastPath}`, async (t) => {
    const lines: Record<string, unknown>[] = [];
    const log = createLog({
      clock: systemClock,
      level: 'info',
      write: (line) => void lines.push(JSON.parse(line) as never),
    });
    const { held, sidecar } = await beside(t, '500ms', {
      log,
      settings: { 'wire.fastPath': fastPath, 'admission.max': '2' },
    });
    const open = async (path: string, fields = '') => {
      const each = await client(t, sidecar.port);
      each.socket.write(request(path).replace(`${NL}${NL}`, `${NL}${fields}${NL}`));
      return each;
    };
    const upgrade = await open('/upgrade', `Connection: upgrade${NL}Upgrade: websocket${NL}`);
    const begun = await open('/begun');
    t.ok(await becomes(() => held.size === 2));
    held.get('/begun')?.write('half');
    t.ok(await becomes(() => begun.seen.text.includes('half')));
    const silent = await open('/silent');
    t.ok(await becomes(() => held.has('/silent')), 'who is being answered is not unanswered');
    const waiting = [await open('/waiting'), await open('/waiting', `Connection: upgrade${NL}Upgrade: websocket${NL}`)];
    t.ok(await becomes(async () => (await traffic(sidecar)).inFlight === 5));
    await sidecar.drain();
    t.ok(await becomes(() => [begun, silent, upgrade, ...waiting].every(({ seen }) => seen.isClosed)));
    t.notOk(held.has('/waiting'), 'who waited for a turn gets none');
    t.notMatch(begun.seen.text, /0\r\n\r\n$/, 'it does not look whole');
    for (const { seen } of [silent, upgrade, ...waiting])
      t.match(seen.text, /^HTTP\/1\.1 503 [\s\S]*"code":"draining"/);
    const line = (path: string) => lines.find((each) => each['url.path'] === path);
    t.match(line('/begun'), { 'reeve.outcome': 'aborted', 'reeve.aborted_by': 'drain' });
    for (const path of ['/silent', '/upgrade', '/waiting'])
      t.match(line(path), { 'reeve.outcome': 'replied', 'reeve.code': 'draining' });
    t.match(lines.at(-1), { event: 'sidecar.stopped', cut: 5 });
  });
