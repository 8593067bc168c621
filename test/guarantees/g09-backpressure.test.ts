/**
 * G9: a side that does not read stops the other side, and nothing piles up between them. 100 clients never read the 256 MB they asked for, then
 * 100 upload 256 MB to an application that never reads. The sidecar is a process of its own; what it holds is what is left when all
 * garbage is collected, beside what it held before. Another tenant goes on meanwhile, and waits for its first byte no longer than a busy machine explains.
 */
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Writable } from 'node:stream';
import t from 'tap';
import { Pool } from 'undici';
import { heldProbe } from '../helpers/held.ts';
import { becomes, mib, quantile, rssOf, settled } from '../helpers/processes.ts';
import { scaled } from '../helpers/scale.ts';
import { childSidecar, engine, listening, settings } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const CONNECTIONS = scaled(100);
const BODY_BYTES = 256 * 2 ** 20;
/** Research's bound, for both engines: what Envoy's buffers of 32 KiB each way would keep, and 20 MB for everything else. */
const HELD_BYTES_MAX = CONNECTIONS * 64 * 1024 + 20 * 2 ** 20;
const PROBES = 100;
const PROBE_ROUNDS = 3;
const CHUNK = Buffer.alloc(64 * 1024, 'x');

/** What a warm-up moves on each connection, each way, before anything is judged: pools, caches and compiled code are there then. */
const WARM_BYTES = 3 * 2 ** 20;
const WARM_ROUNDS = 2;

/** Writes as much as the other side takes, up to the whole body; says how much that was. */
function pour(socket: Writable, bytesMax = BODY_BYTES, isLast = true): () => number {
  let bytes = 0;
  const write = (): void => {
    while (bytes < bytesMax) {
      bytes += CHUNK.length;
      if (!socket.write(CHUNK)) return;
    }
    if (isLast) socket.end();
  };
  socket.on('drain', write);
  write();
  return () => bytes;
}

t.test('who does not read stops who sends', { timeout: 90_000 }, async (t) => {
  const poured: (() => number)[] = [];
  let arrived = 0;
  const server = createServer((req, res) => {
    if (req.url === '/probe') return void res.end('ok');
    // An upload is never read.
    if (req.url !== '/warm') arrived++;
    if (req.url === '/up') return;
    if (req.method === 'POST') return void req.resume().on('end', () => res.end());
    const bytes = req.url === '/warm' ? WARM_BYTES : BODY_BYTES;
    res.writeHead(200, { 'content-length': bytes });
    poured.push(pour(res, bytes));
  });
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const given = { 'wire.upstreamConnectionsMax': String(CONNECTIONS + 16), 'wire.bodyBytesMax': '1GiB' };
  const url = `http://127.0.0.1:${await listening(t, server)}`;
  const probed = heldProbe(t);
  const sidecar = await childSidecar(t, settings(url, tenancy, given), probed);
  const { inbound } = sidecar.ports;
  const pool = new Pool(`http://127.0.0.1:${inbound}`, { connections: 1 });
  t.teardown(() => pool.destroy());

  /** Median ms to the first byte for another tenant; the best of some rounds, because others use this machine as well. */
  const probe = async (): Promise<number> => {
    const rounds: number[] = [];
    for (let round = 0; round < PROBE_ROUNDS; round++) rounds.push(await probeRound());
    return Math.min(...rounds);
  };
  const probeRound = async (): Promise<number> => {
    const headers = { authorization: `Bearer ${tokenFor('org_globex')}` };
    const latencies: number[] = [];
    for (let i = 0; i < PROBES; i++) {
      const began = performance.now();
      const { statusCode, body } = await pool.request({ method: 'GET', path: '/probe', headers });
      latencies.push(performance.now() - began);
      await body.dump();
      if (statusCode !== 200) throw new Error(`the neighbour got ${statusCode}`);
    }
    return quantile(latencies, 0.5);
  };
  const open = (head: string): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connect(inbound, '127.0.0.1', () => resolve(socket));
      socket
        .on('error', () => {})
        .pause()
        .write(head);
    });
  const head = (line: string, fields = ''): string =>
    `${line} HTTP/1.1${NL}Host: a${NL}Authorization: Bearer ${tokenFor('org_acme')}${NL}${fields}${NL}`;

  const warmUp = async (at: number): Promise<void> => {
    const upload = `Content-Length: ${WARM_BYTES}${NL}`;
    const socket = await open(
      at % 2 === 0
        ? head('GET /warm', `Connection: close${NL}`)
        : head('POST /warm', `Connection: close${NL}${upload}`),
    );
    if (at % 2 === 1) pour(socket, WARM_BYTES, false);
    await new Promise((resolve) => socket.resume().once('close', resolve));
  };

  const held = (): Promise<number> => probed.of(sidecar.child);

  await probe();
  for (let i = 0; i < WARM_ROUNDS; i++)
    await Promise.all(Array.from({ length: CONNECTIONS }, (_, at) => warmUp(i + at)));
  for (const way of ['download', 'upload'] as const) {
    poured.length = 0;
    const quiet = await probe();
    const before = await held();
    arrived = 0;
    const request = way === 'download' ? head('GET /down') : head('POST /up', `Content-Length: ${BODY_BYTES}${NL}`);
    const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => open(request)));
    if (way === 'upload') poured.push(...sockets.map((each) => pour(each)));
    const sum = (): number => poured.reduce((total, bytes) => total + bytes(), 0);
    t.ok(await becomes(() => arrived === CONNECTIONS, 20_000), `${way}: each reached the application`);
    await settled(sum);
    const busy = await probe();
    const growth = (await held()) - before;
    const resident = rssOf(sidecar.child.pid).now;
    t.ok(
      sum() < (CONNECTIONS * BODY_BYTES) / 4,
      `${way}: who sends was stopped after ${mib(sum() / CONNECTIONS)} MiB each`,
    );
    t.ok(growth <= HELD_BYTES_MAX, `${way}: ${mib(growth)} MiB held, at most ${mib(HELD_BYTES_MAX)}`);
    t.ok(busy <= quiet + 5, `${way}: first byte after ${quiet.toFixed(2)} ms alone, ${busy.toFixed(2)} ms beside them`);
    t.comment(
      `G09 backpressure, ${engine} engine: ${CONNECTIONS} stuck ${way}s of ${mib(BODY_BYTES)} MiB: ${mib(growth)} MiB held for them (bound ${mib(HELD_BYTES_MAX)}), ${mib(resident)} MiB resident, neighbour's median first byte ${quiet.toFixed(2)} → ${busy.toFixed(2)} ms`,
    );
    for (const socket of sockets) socket.destroy();
  }
});
