/** The last bytes of whatever is answered wait until what was recorded of it stands: a client that saw all of an answer is accounted for. */
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import t from 'tap';
import { type Commits, chain, type Filter, type Held, type Routed } from '../../src/pipeline/index.ts';
import { becomes } from '../helpers/processes.ts';
import { openRaw } from '../helpers/raw-client.ts';
import { type Ending, httpBackend } from '../helpers/sidecar.ts';
import { proxyWith } from './proxy-with.ts';

const NL = '\r\n';
const LARGE = 'x'.repeat(300_000);

interface Waiting {
  readonly port: number;
  /** What the stages were told at the end, in order. */
  readonly done: string[];
  readonly held: Held[];
}

/** A proxy whose records stand only when the test says so. */
async function proxyThatHolds(t: Ending, engine: 'fast' | 'general', upstream: string): Promise<Waiting> {
  const done: string[] = [];
  const held: Held[] = [];
  const commits: Commits = { hold: (each) => held.push(each) > 0 };
  const stage: Filter = {
    name: 'stage',
    onThrow: 'deny',
    onRequest(x) {
      if (x.path === '/refused') return { code: 'quota-exceeded', detail: 'No more.' };
      if (x.path === '/kept') return { status: 200, fields: [], content: Buffer.from('from before') };
      (x as Routed).endpoint = { name: 'application', address: upstream };
      return undefined;
    },
    onDone: (x, outcome) => void done.push(`${x.path} ${outcome.kind}`),
  };
  const pipeline = chain(() => {})
    .use(stage)
    .compile();
  const port = await proxyWith(t, { engine, upstream, pipeline, commits });
  return { port, done, held };
}

function application(t: Ending): Promise<string> {
  return httpBackend(t, (req, res) => {
    if (req.url === '/length') res.end('a whole answer');
    else if (req.url === '/large') res.end(LARGE);
    else if (req.url === '/chunked') {
      res.write('first,');
      setImmediate(() => res.end('last'));
    } else if (req.url === '/until-closed') {
      res.shouldKeepAlive = false;
      res.useChunkedEncodingByDefault = false;
      res.removeHeader('transfer-encoding');
      res.write('until ');
      setImmediate(() => res.end('closed'));
    } else if (req.url === '/bodiless') res.writeHead(204).end();
    else if (req.url === '/empty') res.writeHead(426, { 'content-length': 0 }).end();
    else if (req.url === '/unchanged') res.writeHead(304, { 'content-length': 9 }).end();
    else res.writeHead(400, { connection: 'close', 'content-length': 9 }).end('no tunnel');
  });
}

/** Its tunnels end in order, when the client says so. */
async function tunnelling(t: Ending): Promise<string> {
  const server = createServer().on('upgrade', (_req, socket: Socket) => {
    socket.write(`HTTP/1.1 101 Switching Protocols${NL}Connection: Upgrade${NL}Upgrade: x${NL}${NL}`);
    socket.on('data', () => socket.end('goodbye'));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** What the client may not have before, by what it asks for. */
const CASES = [
  { ask: 'GET /length HTTP/1.1', whole: /a whole answer$/ },
  { ask: 'GET /large HTTP/1.1', whole: new RegExp(`${NL}${NL}x{${LARGE.length}}$`) },
  { ask: 'GET /chunked HTTP/1.1', whole: /last\r\n0\r\n\r\n$/ },
  { ask: 'GET /until-closed HTTP/1.1', whole: /closed(\r\n0\r\n\r\n)?$/ },
  { ask: 'HEAD /length HTTP/1.1', whole: /200 OK[\s\S]*\r\n\r\n$/ },
  { ask: 'GET /bodiless HTTP/1.1', whole: /204 No Content[\s\S]*\r\n\r\n$/ },
  { ask: 'GET /refused HTTP/1.1', whole: /quota-exceeded[\s\S]*\}\s*$/ },
  { ask: 'GET /kept HTTP/1.1', whole: /from before$/ },
  { ask: 'GET /tunnel HTTP/1.1', more: `Connection: Upgrade${NL}Upgrade: x${NL}`, whole: /no tunnel$/ },
  { ask: 'GET /empty HTTP/1.1', more: `Connection: Upgrade${NL}Upgrade: x${NL}`, whole: /426[\s\S]*\r\n\r\n$/ },
  { ask: 'GET /bodiless HTTP/1.1', more: `Connection: Upgrade${NL}Upgrade: x${NL}`, whole: /204[\s\S]*\r\n\r\n$/ },
  { ask: 'GET /unchanged HTTP/1.1', more: `Connection: Upgrade${NL}Upgrade: x${NL}`, whole: /304[\s\S]*\r\n\r\n$/ },
  {
    ask: 'GET /refused HTTP/1.1',
    more: `Connection: Upgrade${NL}Upgrade: x${NL}`,
    whole: /quota-exceeded[\s\S]*\}\s*$/,
  },
];

for (const engine of ['fast', 'general'] as const) {
  for (const { ask, more = '', whole } of CASES) {
    t.test(
      `${engine} engine: the end of ${ask}${more === '' ? '' : ', an upgrade,'} waits for its record`,
      async (t) => {
        const { port, done, held } = await proxyThatHolds(t, engine, await application(t));
        const { socket, text } = await openRaw(t, port);
        let isClosed = false;
        socket.on('end', () => {
          isClosed = true;
        });
        socket.write(`${ask}${NL}Host: a${NL}${more}${NL}`);
        t.ok(await becomes(() => held.length === 1));
        t.equal(done.length, 1, 'recorded by then');
        // Whatever went out before is here by now.
        await new Promise((resolve) => setTimeout(resolve, 20));
        t.notMatch(text(), whole, 'not whole before');
        t.notOk(isClosed, 'nor closed');
        held[0]?.release();
        t.ok(await becomes(() => whole.test(text())), 'whole afterwards');
        t.equal(held.length, 1);
      },
    );
  }

  t.test(`${engine} engine: the end of a tunnel that ends in order waits for its record`, async (t) => {
    const { port, done, held } = await proxyThatHolds(t, engine, await tunnelling(t));
    const { socket, text } = await openRaw(t, port);
    let isEnded = false;
    socket.on('end', () => {
      isEnded = true;
    });
    socket.write(`GET /tunnel HTTP/1.1${NL}Host: a${NL}Connection: Upgrade${NL}Upgrade: x${NL}${NL}`);
    t.ok(await becomes(() => text().includes('101')));
    socket.write('that is all');
    t.ok(await becomes(() => held.length === 1));
    t.strictSame(done, ['/tunnel forwarded'], 'recorded by then');
    await new Promise((resolve) => setTimeout(resolve, 20));
    t.match(text(), /goodbye$/);
    t.notOk(isEnded, 'open before');
    held[0]?.release();
    t.ok(await becomes(() => isEnded), 'ended afterwards');
  });

  t.test(`${engine} engine: what is asked behind it is served once it is released`, async (t) => {
    const { port, done, held } = await proxyThatHolds(t, engine, await application(t));
    const { socket, text } = await openRaw(t, port);
    socket.write(`GET /length HTTP/1.1${NL}Host: a${NL}${NL}`.repeat(3));
    for (let i = 0; i < 3; i++) {
      t.ok(await becomes(() => held.length === i + 1));
      t.equal(done.length, i + 1, 'one at a time');
      held[i]?.release();
    }
    t.ok(await becomes(() => text().split('a whole answer').length === 4));
  });

  t.test(`${engine} engine: a client that left meanwhile harms nobody`, async (t) => {
    const { port, held } = await proxyThatHolds(t, engine, await application(t));
    const gone = await openRaw(t, port);
    gone.socket.write(`GET /length HTTP/1.1${NL}Host: a${NL}${NL}`);
    t.ok(await becomes(() => held.length === 1));
    gone.socket.resetAndDestroy();
    await new Promise((resolve) => setTimeout(resolve, 20));
    held[0]?.release();
    const { socket, text } = await openRaw(t, port);
    socket.write(`GET /length HTTP/1.1${NL}Host: a${NL}${NL}`);
    t.ok(await becomes(() => held.length === 2));
    held[1]?.release();
    t.ok(await becomes(() => text().endsWith('a whole answer')));
  });
}
