/** The fast engine's pool by itself, before real sockets, its time moved by hand: who gets which connection, and what becomes of it. */
import { createServer, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import type { Answering, Carrier } from '../../src/proxy/fast/carrier.ts';
import { UpstreamPool } from '../../src/proxy/fast/upstream-pool.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { becomes } from '../helpers/processes.ts';
import { configFor, type Ending, listening } from '../helpers/sidecar.ts';

const NL = '\r\n';
const OK = `HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}ok`;
const GET = Buffer.from(`GET / HTTP/1.1${NL}Host: a${NL}${NL}`);

class Taker implements Answering {
  isGone = false;
  needsNew = false;
  isForHead = false;
  isWhole = true;
  connection: Carrier | undefined;
  readonly told: string[] = [];
  /** The event at which it throws. */
  throwsAt = '';

  onConnection(connection: Carrier): void {
    this.connection = connection;
    this.#tell('connection');
  }
  send(): void {
    (this.connection as Carrier).begin(this, GET);
  }
  onDrain(): void {}
  onInterim(): void {}
  onHead(): void {
    this.#tell('head');
  }
  onBegin(): void {}
  onContent(): void {}
  onRead(): void {}
  onEnd(): void {
    this.#tell('end');
  }
  onFail(error: string, reach: string): void {
    this.#tell(`${error} ${reach}`);
  }
  onDefect(): void {
    this.told.push('defect');
  }
  #tell(what: string): void {
    this.told.push(what);
    if (what === this.throwsAt) throw new Error('planted');
  }
}

async function pooled(t: Ending) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {}).on('data', () => socket.write(OK));
  });
  const address = { host: '127.0.0.1', port: await listening(t, server) };
  const clock = new ManualClock();
  const { wire } = configFor({ upstream: 'http://a', 'tenancy.dir': '/' });
  const pool = new UpstreamPool({ clock, timers: clock, wire }, address);
  t.teardown(() => {
    pool.close();
    for (const socket of sockets) socket.destroy();
  });
  const take = async (given: Partial<Taker> = {}): Promise<Taker> => {
    const taker = Object.assign(new Taker(), given);
    pool.want(taker);
    await becomes(() => taker.told.length > 0);
    return taker;
  };
  /** One whole exchange; its connection is idle when this resolves. */
  const exchange = async (): Promise<Carrier> => {
    const taker = await take();
    taker.send();
    await becomes(() => taker.told.includes('end'));
    await turn();
    return taker.connection as Carrier;
  };
  return { pool, clock, wire, sockets, take, exchange };
}

t.test('a connection rests for the turn in which its answer ended', async (t) => {
  const { pool, exchange, sockets } = await pooled(t);
  const first = await exchange();
  t.equal(await exchange(), first);
  const taker = new Taker();
  pool.want(taker);
  await becomes(() => taker.connection !== undefined);
  t.equal(taker.connection, first);
  const next = new Taker();
  const end = taker.onEnd.bind(taker);
  let turns = 0;
  // Wanted in the very turn in which it is given back.
  taker.onEnd = () => {
    end();
    pool.want(next);
    t.equal(next.connection, undefined);
    setImmediate(() => {
      turns++;
      t.equal(next.connection, undefined, 'not behind this poll');
      setImmediate(() => turns++);
    });
  };
  taker.send();
  t.ok(await becomes(() => next.connection !== undefined));
  t.equal(next.connection, first, 'nor a new one, which would not stand earlier');
  t.equal(sockets.length, 1);
});

t.test('who needs a new connection gets one, in the place of the coldest', async (t) => {
  const { pool, take, exchange, sockets } = await pooled(t);
  const takers = await Promise.all([take(), take()]);
  for (const each of takers) each.send();
  t.ok(await becomes(() => takers.every(({ told }) => told.includes('end'))));
  await turn();
  const fresh = await take({ needsNew: true });
  t.notOk(takers.some(({ connection }) => connection === fresh.connection));
  t.equal(sockets.length, 3);
  const ended = (): number => sockets.filter((each) => each.destroyed).length;
  t.ok(await becomes(() => ended() === 1));
  await exchange();
  t.same([sockets.length, ended()], [3, 1], 'the warmer one is still there');
  // In the turn in which it rests.
  const last = await take();
  const needy = Object.assign(new Taker(), { needsNew: true });
  const end = last.onEnd.bind(last);
  last.onEnd = () => {
    end();
    pool.want(needy);
  };
  last.send();
  t.ok(await becomes(() => needy.connection !== undefined));
  t.not(needy.connection, last.connection);
});

t.test('idle ones age, those that do not come to stand are given up', async (t) => {
  const { pool, clock, wire, take, exchange, sockets } = await pooled(t);
  await exchange();
  clock.advance(3900);
  pool.sweep(clock.now());
  t.equal(sockets[0]?.destroyed, false);
  clock.advance(200);
  pool.sweep(clock.now());
  t.ok(await becomes(() => sockets[0]?.destroyed === true), 'before most servers close theirs');
  const taker = new Taker();
  pool.want(taker);
  // Behind the turn in which it began to connect, and before it hears of it.
  await new Promise<void>((resolve) =>
    setImmediate(() => {
      clock.advance(wire.connectTimeoutMs + 1);
      pool.sweep(clock.now());
      resolve();
    }),
  );
  t.same(taker.told, ['connect final']);
  const busy = await take();
  clock.advance(100_000);
  pool.sweep(clock.now());
  t.same(busy.told, ['connection'], 'who uses one looks after it himself');
});

t.test('who has gone leaves what he asked for to others', async (t) => {
  const { pool, exchange, sockets } = await pooled(t);
  const gone = new Taker();
  pool.want(gone);
  gone.isGone = true;
  await turn();
  await turn();
  t.same([gone.told, sockets.length], [[], 0], 'before it was his turn: none is made');
  const late = new Taker();
  pool.want(late);
  await turn();
  late.isGone = true;
  t.ok(await becomes(() => sockets.length === 1));
  await exchange();
  t.same([late.told, sockets.length], [[], 1], "while it connects: it is the next one's");
});

t.test('what throws is told so, and keeps no connection', async (t) => {
  const { take, exchange, sockets } = await pooled(t);
  const fresh = await take({ throwsAt: 'connection' });
  t.same(fresh.told, ['connection', 'defect']);
  await exchange();
  const idle = await take({ throwsAt: 'connection' });
  t.same(idle.told, ['connection', 'defect'], 'an idle one');
  for (const throwsAt of ['head', 'end']) {
    const taker = await take({ throwsAt });
    taker.send();
    t.ok(await becomes(() => taker.told.includes('defect')), throwsAt);
  }
  for (const socket of sockets) socket.resetAndDestroy();
  const failing = await take();
  failing.throwsAt = 'reset final';
  failing.send();
  for (const socket of sockets) socket.resetAndDestroy();
  t.ok(await becomes(() => failing.told.includes('defect') || failing.told.includes('end')));
});

t.test('a pool that is closed gives none out and takes none back', async (t) => {
  const { pool, take, exchange, sockets } = await pooled(t);
  await exchange();
  const busy = await take();
  pool.close();
  busy.send();
  t.ok(await becomes(() => busy.told.includes('end')));
  t.ok(await becomes(() => sockets.every((each) => each.destroyed)));
  t.same((await take()).told, ['connect final']);
});
