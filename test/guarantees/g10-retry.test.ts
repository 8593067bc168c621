/**
 * G10: an upstream closes idle connections at random while they are used again. GET never fails for it, and no POST is executed twice.
 * And for no other reason is anything sent twice: not after a byte of an answer, and not on a connection that was new.
 */
import { createServer, type Socket } from 'node:net';
import t from 'tap';
import { Pool } from 'undici';
import { systemClock, systemTimers } from '../../src/core/index.ts';
import type { Answering, Outgoing, Reach } from '../../src/proxy/attempt.ts';
import { forward } from '../../src/proxy/forward.ts';
import { mayRetry } from '../../src/proxy/retry.ts';
import { openUpstreams, type Upstream, type UpstreamError } from '../../src/proxy/upstreams.ts';
import { createMetrics } from '../../src/telemetry/index.ts';
import { scaled } from '../helpers/scale.ts';
import { configFor, type Ending, engine, listening, type SidecarForTest, sidecarForTest } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const REQUESTS = scaled(10_000);
const REPEATABLE = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'];
const METHODS = [...REPEATABLE, 'POST', 'PATCH', 'PROPFIND'];
const NL = '\r\n';
const OK = `HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}`;
const GET = { method: 'GET', body: undefined };
const headers = { authorization: `Bearer ${tokenFor('org_acme')}` };

/** What an upstream does with a request: the connection, how many requests that had before, and how many there were in all. */
type Behaviour = (socket: Socket, before: number, beforeInAll: number) => void;
/** `METHOD /path` of every request an upstream saw, and a way to say what it does from now on. */
interface Scripted {
  readonly url: string;
  readonly seen: string[];
  does(next: Behaviour): void;
}

async function scripted(t: Ending): Promise<Scripted> {
  const seen: string[] = [];
  let behave: Behaviour = (socket) => void socket.write(`${OK}ok`);
  const upstream = createServer((socket: Socket) => {
    let before = 0;
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      seen.push(chunk.toString('latin1').split(' ', 2).join(' '));
      behave(socket, before++, seen.length - 1);
    });
  });
  return {
    url: `http://127.0.0.1:${await listening(t, upstream)}`,
    seen,
    does(next) {
      seen.length = 0;
      behave = next;
    },
  };
}

async function send(sidecar: SidecarForTest, method: string): Promise<number> {
  const pool = new Pool(sidecar.url);
  const { statusCode, body } = await pool.request({ method: method as 'GET', path: '/', headers });
  await body.dump();
  await pool.destroy();
  return statusCode;
}

const ENDS: Readonly<Record<string, (socket: Socket) => void>> = {
  'closes at once': (socket) => socket.destroy(),
  'resets at once': (socket) => socket.resetAndDestroy(),
  'answers one byte and closes': (socket) => socket.end('H'),
  'answers half a head and closes': (socket) => socket.end(`HTTP/1.1 200 OK${NL}X-A: 1${NL}`),
  'answers half a head and resets': (socket) =>
    socket.write(`HTTP/1.1 200 OK${NL}X-A: 1${NL}`, () => setTimeout(() => socket.resetAndDestroy(), 20)),
  'hints and closes': (socket) => socket.end(`HTTP/1.1 103 Early Hints${NL}Link: </a>; rel=preload${NL}${NL}`),
};
const isSilent = (what: string): boolean => what.endsWith('at once');

t.test('on a connection that was new nothing is sent twice, whatever became of it', async (t) => {
  const upstream = await scripted(t);
  const sidecar = await sidecarForTest(t, upstream.url);
  let doubled = 0;
  for (const [what, end] of Object.entries(ENDS))
    for (const method of METHODS) {
      upstream.does(end);
      t.equal(await send(sidecar, method), 502, `${method}, the upstream ${what}`);
      t.same(upstream.seen, [`${method} /`]);
      doubled += upstream.seen.length - 1;
    }
  t.comment(`G10 retry, ${engine} engine: ${doubled} requests sent twice to an upstream that fails on new connections`);
});

t.test('on a connection used before: again after silence and if repeatable, never after a byte', async (t) => {
  const upstream = await scripted(t);
  const sidecar = await sidecarForTest(t, upstream.url);
  let doubled = 0;
  for (const [what, end] of Object.entries(ENDS))
    for (const method of METHODS) {
      upstream.does((socket, before) => void (before === 0 ? socket.write(`${OK}ok`) : end(socket)));
      t.equal(await send(sidecar, 'GET'), 200);
      upstream.does((socket, before) =>
        before > 0 ? end(socket) : void socket.write(method === 'HEAD' ? OK : `${OK}ok`, () => socket.end()),
      );
      const isAgain = isSilent(what) && REPEATABLE.includes(method);
      t.equal(await send(sidecar, method), isAgain ? 200 : 502, `${method}, the upstream ${what}`);
      t.equal(upstream.seen.length, isAgain ? 2 : 1);
      if (!isAgain) doubled += upstream.seen.length - 1;
    }
  t.comment(
    `G10 retry, ${engine} engine: ${doubled} requests sent twice after a byte of an answer, or that may not be repeated`,
  );
});

/** Leaves as many idle connections between a sidecar and its upstream, each of which has carried one request. */
async function openIdle(upstream: Scripted, sidecar: SidecarForTest, count: number): Promise<void> {
  const arrived: Socket[] = [];
  upstream.does((socket) => {
    if (arrived.push(socket) === count) for (const each of arrived) each.write(`${OK}ok`);
  });
  await Promise.all(Array.from({ length: count }, () => send(sidecar, 'GET')));
}

t.test('an application that closed several idle connections is met again until one is new', async (t) => {
  const upstream = await scripted(t);
  const sidecar = await sidecarForTest(t, upstream.url);
  await openIdle(upstream, sidecar, 5);
  upstream.does((socket, before) => void (before > 0 ? socket.destroy() : socket.write(`${OK}ok`)));
  t.equal(await send(sidecar, 'DELETE'), 200);
  t.equal(upstream.seen.length, 3, 'two idle connections died, the third was new');
  for (const attempts of [1, 2, 3, 4]) t.equal(mayRetry('unanswered', GET, attempts), attempts <= 2);
});

const IDLE = 24;

t.test('the last attempt goes on a connection that is new, however many idle ones are about to die', async (t) => {
  const upstream = await scripted(t);
  const sidecar = await sidecarForTest(t, upstream.url);
  for (const method of REPEATABLE) {
    await openIdle(upstream, sidecar, IDLE);
    upstream.does((socket, before) =>
      // Idle ones die under their request; the others are found idle by its retry.
      before > 0 ? void socket.destroy() : void socket.write(method === 'HEAD' ? OK : `${OK}ok`, () => socket.end()),
    );
    // More than one at once: undici would make a new connection where the first of its clients has none.
    const statuses = await Promise.all(Array.from({ length: IDLE / 3 }, () => send(sidecar, method)));
    t.same(statuses, new Array(IDLE / 3).fill(200), method);
  }
});

t.test('an attempt on a new connection says what is sent, and that nothing is', async (t) => {
  const heads: string[] = [];
  const upstream = createServer((socket) => {
    socket.on('error', () => {}).on('data', (chunk) => heads.push(chunk.toString()) && socket.end(`${OK}ok`));
  });
  const { attempt, close } = openForward(`http://127.0.0.1:${await listening(t, upstream)}`);
  t.teardown(close);
  for (const method of METHODS.filter((each) => each !== 'HEAD')) {
    t.equal(await attempt({ ...OUTGOING, method }, true), 'answered', method);
    const isWithout = ['GET', 'OPTIONS', 'DELETE'].includes(method);
    t.notMatch(heads.at(-1), /transfer-encoding/i);
    t.equal(/\r\nContent-Length: 0\r\n/.test(heads.at(-1) as string), !isWithout, method);
  }
});

t.test('no retry follows a connection that was new', async (t) => {
  const upstream = await scripted(t);
  const sidecar = await sidecarForTest(t, upstream.url);
  await openIdle(upstream, sidecar, 1);
  upstream.does((socket) => socket.destroy());
  t.equal(await send(sidecar, 'DELETE'), 502);
  t.equal(upstream.seen.length, 2, 'an idle connection died, and then a new one');
});

const OUTGOING: Outgoing = {
  method: 'POST',
  target: '/',
  headers: ['Host', 'a'],
  body: undefined,
  timeoutMs: 1000,
  expectsContinue: false,
  trailers: undefined,
};

/** The general engine's attempts by themselves. */
function openForward(url: string) {
  const config = configFor({ upstream: url, 'tenancy.dir': '/' });
  const upstreams = openUpstreams({ config, clock: systemClock, metrics: createMetrics({ timers: systemTimers }) });
  const application = upstreams.get('application') as Upstream;
  const attempt = (outgoing: Outgoing, needsNew = false): Promise<'answered' | readonly [UpstreamError, Reach]> =>
    new Promise((resolve) => {
      const answering: Answering = {
        onSent() {},
        onContinue() {},
        onInformation() {},
        onHead() {},
        onData() {},
        onEnd: () => resolve('answered'),
        onFail: (error, _cause, reach) => resolve([error, reach]),
      };
      forward(application, outgoing, answering, needsNew);
    });
  return { application, attempt, close: () => upstreams.close() };
}

t.test(
  'what was given to a connection that died before anything was sent may go anew, whatever its method',
  async (t) => {
    const sockets: Socket[] = [];
    const upstream = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => {}).on('data', () => socket.write(`${OK}ok`));
    });
    const { application, attempt, close } = openForward(`http://127.0.0.1:${await listening(t, upstream)}`);
    t.teardown(close);
    t.equal(await attempt(OUTGOING), 'answered');
    // From a timer the loop looks at its sockets before undici, which waits for that, writes: so the reset is met first.
    const failure = await new Promise((resolve) =>
      setTimeout(() => {
        sockets[0]?.resetAndDestroy();
        resolve(attempt(OUTGOING));
      }, 5),
    );
    t.same(failure, ['reset', 'unsent']);
    t.ok(mayRetry('unsent', OUTGOING, 1));
    t.notOk(mayRetry('unsent', OUTGOING, 3));
    t.equal(application.closedMs(), 0);
    t.equal(await attempt(OUTGOING), 'answered');
  },
);

t.test(`${REQUESTS} requests over connections that die: 0 failed GETs, 0 POSTs executed twice`, async (t) => {
  const executed = new Map<string, number>();
  const upstream = createServer((socket: Socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      const [method, path] = chunk.toString('latin1').split(' ') as [string, string];
      executed.set(`${method} ${path}`, (executed.get(`${method} ${path}`) ?? 0) + 1);
      socket.write(method === 'HEAD' ? OK : `${OK}ok`);
      // The race: the answer says keep-alive, and the connection ends at some moment after it.
      const roll = Math.random();
      if (roll < 0.05) setTimeout(() => (roll < 0.025 ? socket.destroy() : socket.resetAndDestroy()), roll * 60);
    });
  });
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`);
  const pool = new Pool(sidecar.url, { connections: 20, pipelining: 1 });
  t.teardown(() => pool.close());
  const failed = new Map(METHODS.map((method) => [method, 0]));
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < REQUESTS; i = next++) {
      // Half of them GET, as in life.
      const method = i % 2 === 0 ? 'GET' : (METHODS[(i >> 1) % METHODS.length] as string);
      const { statusCode, body } = await pool.request({ method: method as 'GET', path: `/${i}`, headers });
      await body.dump();
      if (statusCode !== 200) failed.set(method, (failed.get(method) as number) + 1);
    }
  };
  await Promise.all(Array.from({ length: 20 }, worker));
  const doubled = new Map(METHODS.map((method) => [method, 0]));
  for (const [line, count] of executed) {
    const method = line.slice(0, line.indexOf(' '));
    if (count > 1) doubled.set(method, (doubled.get(method) as number) + 1);
  }
  for (const method of METHODS) {
    if (REPEATABLE.includes(method)) t.equal(failed.get(method), 0, `no ${method} failed`);
    else t.equal(doubled.get(method), 0, `no ${method} was executed twice`);
  }
  const counts = METHODS.map((each) => `${each} ${failed.get(each)}/${doubled.get(each)}`).join(', ');
  t.comment(`G10 retry, ${engine} engine: ${REQUESTS} requests, failed/executed twice: ${counts}`);
});
