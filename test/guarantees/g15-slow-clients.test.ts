/**
 * G15: slow clients cost slow clients only. Four kinds at once, hundreds of each: heads that drip, connections that say nothing, bodies that stop, readers that
 * do not read. Meanwhile another tenant's every request succeeds; and each slow connection is closed when its time is over.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Pool } from 'undici';
import { quantile } from '../helpers/processes.ts';
import { scaled } from '../helpers/scale.ts';
import { childSidecar, engine, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const OF_EACH = scaled(300);
const HEAD_MS = 2000;
const IDLE_MS = 3000;
/** node:http looks once a second, the machine is shared, and thousands of sockets close at once. */
const SLACK_MS = 4000;
const GOOD_PER_SEC = 100;
/** What one tenant may have open at the application: its slow requests must not be all there are. */
const CONCURRENCY = 40;

interface Kind {
  readonly name: string;
  readonly begin: string;
  /** Sent again and again. */
  readonly drip?: string;
  readonly withinMs: number;
}

const AUTH = `Host: a${NL}Authorization: Bearer ${tokenFor('org_globex')}${NL}`;
const KINDS: readonly Kind[] = [
  { name: 'heads that drip', begin: `GET / HTTP/1.1${NL}${AUTH}`, drip: `X: y${NL}`, withinMs: HEAD_MS },
  { name: 'connections that say nothing', begin: '', withinMs: HEAD_MS },
  {
    name: 'bodies that stop',
    begin: `POST / HTTP/1.1${NL}${AUTH}Content-Length: 1000${NL}${NL}half`,
    withinMs: IDLE_MS,
  },
  { name: 'readers that do not read', begin: `GET /large HTTP/1.1${NL}${AUTH}${NL}`, withinMs: IDLE_MS },
];

/** Ms until the sidecar closed it; it never reads, so that only the sidecar can. */
function slow(port: number, { begin, drip, withinMs }: Kind): Promise<number> {
  return new Promise((resolve) => {
    const began = performance.now();
    const socket = connect(port, '127.0.0.1');
    const over = (ms: number): void => {
      clearInterval(dripping);
      clearTimeout(late);
      socket.destroy();
      resolve(ms);
    };
    const dripping = setInterval(() => drip !== undefined && socket.write(drip), 300);
    const late = setTimeout(() => over(Number.POSITIVE_INFINITY), withinMs + SLACK_MS);
    socket.on('error', () => over(performance.now() - began));
    socket.on('close', () => over(performance.now() - began));
    socket.on('end', () => over(performance.now() - began));
    if (begin !== '') socket.write(begin);
    // Reads what is small: a refusal, and the end. What is large stays where it is.
    socket.once('data', (chunk: Buffer) => void (chunk.toString().includes('HTTP/1.1 200') && socket.pause()));
  });
}

t.test('slow clients are closed in time, and nobody else notices', { timeout: 60_000 }, async (t) => {
  const large = Buffer.alloc(16 * 2 ** 20, 'x');
  const upstream = await httpBackend(t, (req, res) => {
    if (req.url === '/large') res.end(large);
    else
      req
        .resume()
        .on('end', () => res.end('ok'))
        .on('error', () => {});
  });
  const tenancy = makeTenancy({
    'plans.yaml': plan('free', { concurrency: CONCURRENCY }) + plan('pro'),
    'tenants.yaml': tenant('acme', { plan: 'pro' }) + tenant('globex'),
  });
  t.teardown(() => tenancy.cleanUp());
  const given = { 'wire.headTimeout': `${HEAD_MS}ms`, 'wire.idleTimeout': `${IDLE_MS}ms`, 'log.access': 'off' };
  const sidecar = await childSidecar(t, settings(upstream, tenancy, given));
  const pool = new Pool(`http://127.0.0.1:${sidecar.ports.inbound}`, { connections: 8 });
  t.teardown(() => pool.destroy());

  const latencies: number[] = [];
  const failures: string[] = [];
  let isOver = false;
  const good = async (): Promise<void> => {
    const headers = { authorization: `Bearer ${tokenFor('org_acme')}` };
    while (!isOver) {
      const began = performance.now();
      try {
        const { statusCode, body } = await pool.request({ method: 'GET', path: '/', headers });
        await body.dump();
        latencies.push(performance.now() - began);
        if (statusCode !== 200) failures.push(String(statusCode));
      } catch (cause) {
        failures.push(String(cause));
      }
      await sleep(1000 / GOOD_PER_SEC);
    }
  };
  const traffic = good();
  const inFlight = async (): Promise<{ connections: number }> =>
    (await (await fetch(`http://127.0.0.1:${sidecar.ports.admin}/v1/traffic`)).json()) as { connections: number };
  const results = KINDS.map((kind) =>
    Promise.all(Array.from({ length: OF_EACH }, () => slow(sidecar.ports.inbound, kind))),
  );
  await sleep(HEAD_MS / 2);
  const { connections } = await inFlight();
  t.ok(connections > (KINDS.length * OF_EACH) / 2, `${connections} connections open at once`);
  const slowest: string[] = [];
  for (const [at, { name, withinMs }] of KINDS.entries()) {
    const times = await (results[at] as Promise<number[]>);
    const worst = quantile(times, 1);
    t.ok(worst <= withinMs + SLACK_MS, `${name}: the last closed after ${Math.round(worst)} ms`);
    slowest.push(`${name} ${Math.round(worst)} ms`);
  }
  isOver = true;
  await traffic;
  t.same(failures, [], 'every good request succeeds');
  t.ok(latencies.length > 100, `${latencies.length} good requests`);
  t.comment(
    `G15 slow clients, ${engine} engine: ${KINDS.length} × ${OF_EACH} at once, last closed: ${slowest.join(', ')}; ${failures.length} of ${latencies.length} good requests failed, their p99 ${quantile(latencies, 0.99).toFixed(1)} ms`,
  );
});
