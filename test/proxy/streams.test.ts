/** What goes on for long is recorded before its end, exactly: in both engines and through tunnels, up and down. */
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { type MonotonicMs, systemClock } from '../../src/core/index.ts';
import { meteringStage } from '../../src/metering/filter.ts';
import type { UsageRecord } from '../../src/metering/usage-record.ts';
import { chain, type Exchange, type Filter, type Identified, type Routed } from '../../src/pipeline/index.ts';
import type { Tenant } from '../../src/tenants/index.ts';
import { becomes } from '../helpers/processes.ts';
import type { Ending } from '../helpers/sidecar.ts';
import { proxyWith } from './proxy-with.ts';

const NL = '\r\n';

/** A metered proxy whose minutes pass when the test says so. */
async function meteredProxy(t: Ending, engine: 'fast' | 'general', upstream: string) {
  const records: UsageRecord[] = [];
  let shiftMs = 0;
  const { filter, recordParts } = meteringStage({
    clock: { ...systemClock, now: () => (systemClock.now() + shiftMs) as MonotonicMs },
    record: (record) => records.push({ ...record }),
    isRefusing: () => false,
    traceIds: false,
    partEveryMs: 60_000,
  });
  const identify: Filter<Exchange, Identified> = {
    name: 'identify',
    onThrow: 'deny',
    onRequest(x) {
      x.tenant = { id: 'acme', plan: { name: 'free' } } as Tenant;
      (x as Routed).endpoint = { name: 'application', address: upstream };
      return undefined;
    },
  };
  const pipeline = chain(() => {})
    .use(identify)
    .use(filter)
    .compile();
  const port = await proxyWith(t, { engine, upstream, pipeline });
  return {
    port,
    records,
    /** The records of the minute that passes. */
    minute(): UsageRecord[] {
      const before = records.length;
      shiftMs += 60_001;
      recordParts();
      return records.slice(before);
    },
  };
}

async function listening(t: Ending, server: ReturnType<typeof createServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A client, and how many bytes it got. */
function client(t: Ending, port: number): { readonly socket: Socket; text(): string } {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket
    .setEncoding('latin1')
    .on('data', (chunk: string) => (text += chunk))
    .on('error', () => {});
  t.teardown(() => socket.destroy());
  return { socket, text: () => text };
}

for (const engine of ['fast', 'general'] as const) {
  t.test(`${engine}: an answer that does not end`, async (t) => {
    const { promise: answered, resolve: answer } = Promise.withResolvers<ServerResponse>();
    const server = createHttpServer((_req, res) => {
      res.write('x'.repeat(1000));
      answer(res);
    });
    const { port, records, minute } = await meteredProxy(t, engine, `http://127.0.0.1:${await listening(t, server)}`);
    const { socket, text } = client(t, port);
    socket.write(`GET /events HTTP/1.1${NL}Host: a${NL}${NL}`);
    const res = await answered;
    t.ok(await becomes(() => text().includes('x'.repeat(1000))));
    t.match(minute(), [{ isPart: true, bytesOut: 1000, statusClass: 2, outcome: 'ok' }]);
    t.match(minute(), [{ isPart: true, bytesOut: 0 }], 'its time passes');
    res.write('y'.repeat(500));
    t.ok(await becomes(() => text().includes('y'.repeat(500))));
    t.match(minute(), [{ isPart: true, bytesOut: 500 }]);
    res.end('z');
    t.ok(await becomes(() => records.length === 4));
    t.match(records[3], { isPart: false, bytesOut: 1, statusClass: 2, outcome: 'ok' });
    t.same(minute(), []);
  });

  t.test(`${engine}: content that comes slowly, from a client that then leaves`, async (t) => {
    const server = createHttpServer((req) => req.resume());
    const { port, records, minute } = await meteredProxy(t, engine, `http://127.0.0.1:${await listening(t, server)}`);
    const { socket } = client(t, port);
    socket.write(`POST /upload HTTP/1.1${NL}Host: a${NL}Content-Length: 5000${NL}${NL}${'u'.repeat(300)}`);
    const took: UsageRecord[] = [];
    t.ok(
      await becomes(() => took.push(...minute()) > 0 && took.reduce((sum, { bytesIn }) => sum + bytesIn, 0) === 300),
    );
    t.ok(took.every(({ isPart, statusClass, outcome }) => isPart && statusClass === 0 && outcome === 'ok'));
    const before = records.length;
    socket.write('v'.repeat(40));
    socket.end();
    t.ok(await becomes(() => records.some(({ isPart }) => !isPart)));
    t.equal(records.length, before + 1);
    t.match(records.at(-1), { isPart: false, outcome: 'aborted', bytesIn: 40 });
  });

  t.test(`${engine}: a tunnel`, async (t) => {
    const server = createServer((socket) => {
      socket
        .on('error', () => {})
        .once('data', () => {
          socket.write(`HTTP/1.1 101 Switching Protocols${NL}Connection: Upgrade${NL}Upgrade: x${NL}${NL}`);
          socket.on('data', (chunk) => (chunk.includes('end') ? socket.end() : socket.write(`${chunk}${chunk}`)));
        });
    });
    const { port, records, minute } = await meteredProxy(t, engine, `http://127.0.0.1:${await listening(t, server)}`);
    const { socket, text } = client(t, port);
    socket.write(`GET /ws HTTP/1.1${NL}Host: a${NL}Connection: Upgrade${NL}Upgrade: x${NL}${NL}`);
    t.ok(await becomes(() => text().includes(`101`)));
    socket.write('ping');
    t.ok(await becomes(() => text().includes('pingping')));
    t.match(minute(), [{ isPart: true, bytesIn: 4, bytesOut: 8, statusClass: 1 }]);
    socket.write('end');
    t.ok(await becomes(() => records.length === 2));
    t.match(records[1], { isPart: false, bytesIn: 3, bytesOut: 0, statusClass: 1, outcome: 'ok' });
  });
}
