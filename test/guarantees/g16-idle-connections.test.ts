/**
 * G16: an idle connection costs at most 12 KiB. Clients make one request each and stay; the kernel says what the sidecar, a process of its own, has
 * grown by. A collector that finds its process idle gives back what nobody holds within some seconds: what is lowest then is what is kept.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Pool } from 'undici';
import { mib, rssOf, SMALL_YOUNG_GENERATION } from '../helpers/processes.ts';
import { scaled } from '../helpers/scale.ts';
import { childSidecar, engine, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
/** 10,000 at a scale of 5. */
const CONNECTIONS = Math.min(scaled(2000), 10_000);
const AT_ONCE = 50;
const KIB_MAX = 12;
/** The sidecar collects when it has been quiet for ten seconds. */
const IDLE_MS = 15_000;
/** Where other processes have the cores the sidecar may have collected just before the connections came: then it does a minute later. */
const LATE_MS = 75_000;
/** On a few connections: compiled code and a grown heap are no idle connection's. */
const WARM_REQUESTS = 4000;

t.test(`${CONNECTIONS} idle connections`, { timeout: 180_000 }, async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const sidecar = await childSidecar(
    t,
    settings(upstream, tenancy, { 'wire.connectionsMax': '20000', 'wire.idleTimeout': '10m' }),
    {
      nodeArgs: SMALL_YOUNG_GENERATION,
    },
  );
  const bytes = `GET / HTTP/1.1${NL}Host: a${NL}Authorization: Bearer ${tokenFor('org_acme')}${NL}${NL}`;
  const open: Socket[] = [];
  t.teardown(() => open.forEach((socket) => socket.destroy()));

  const once = (): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = connect(sidecar.ports.inbound, '127.0.0.1', () => socket.write(bytes));
      socket.on('error', reject).once('data', () => resolve(socket));
    });
  const each = async (count: number, run: (socket: Socket) => void): Promise<void> => {
    let left = count;
    const worker = async (): Promise<void> => {
      while (left-- > 0) run(await once());
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  };
  /** Of some seconds, or of a minute more where it is above `most`. */
  const lowestRss = async (most: number): Promise<number> => {
    let lowest = Number.POSITIVE_INFINITY;
    const until = performance.now() + IDLE_MS;
    for (let now = 0; now < until || (lowest > most && now < until + LATE_MS); now = performance.now()) {
      lowest = Math.min(lowest, rssOf(sidecar.child.pid).now);
      await sleep(100);
    }
    return lowest;
  };
  const stay = (socket: Socket): void => void open.push(socket);

  const pool = new Pool(`http://127.0.0.1:${sidecar.ports.inbound}`, { connections: AT_ONCE });
  const headers = { authorization: `Bearer ${tokenFor('org_acme')}` };
  const warm = async (): Promise<void> => (await pool.request({ method: 'GET', path: '/', headers })).body.dump();
  for (let done = 0; done < WARM_REQUESTS; done += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, warm));
  await pool.destroy();
  const before = await lowestRss(Number.POSITIVE_INFINITY);
  await each(CONNECTIONS, stay);
  const all = await lowestRss(before + KIB_MAX * 1024 * CONNECTIONS);
  const traffic = (await (await fetch(`http://127.0.0.1:${sidecar.ports.admin}/v1/traffic`)).json()) as {
    connections: number;
  };
  t.equal(traffic.connections, CONNECTIONS, 'all are open');
  const kib = (all - before) / 1024 / CONNECTIONS;
  t.ok(kib <= KIB_MAX, `${kib.toFixed(1)} KiB each`);
  t.comment(
    `G16 idle connections, ${engine} engine: ${CONNECTIONS} open, ${kib.toFixed(1)} KiB each, ${mib(all)} MiB RSS in all`,
  );
});
