/**
 * V8 compiles for the hidden classes that it has seen, and holds those weakly: a collection that finds no object of one throws away the
 * code that was made for it. Connections and requests are such classes whenever traffic pauses, and most of the fast engine would be
 * compiled anew each time that it comes back. So one of each is kept from the start: a request that was nobody's, whose client went away
 * while it was decided on.
 */
import { chain } from '../../pipeline/index.ts';
import { emptySnapshot } from '../../tenants/index.ts';
import { ChunkedReader } from '../../wire/index.ts';
import { unconnected } from './byte-socket.ts';
import { FastConnection } from './fast-connection.ts';
import { UpstreamConnection } from './upstream-connection.ts';
import { UpstreamPool } from './upstream-pool.ts';
import type { FastWorld } from './world.ts';

const REQUEST = Buffer.from('GET / HTTP/1.1\r\nHost: specimen\r\n\r\n');

/** Nothing is sent there. */
const NOWHERE = { host: '127.0.0.1', port: 9 };

/**
 * What only traffic has. Nobody's data is in it, and nobody is told of it: the connections are closed, and the request is never decided
 * on, so that nothing ends it and its slate is never given to another.
 */
export function specimens(world: FastWorld): readonly object[] {
  const undecided = chain(world.onDefect)
    .use({ name: 'undecided', onThrow: 'deny', onRequest: () => new Promise(() => {}) })
    .compile();
  const quiet: FastWorld = {
    ...world,
    snapshot: () => emptySnapshot,
    pipeline: () => undecided,
    handOver() {},
    onRefused() {},
    onBegin() {},
    onEnd() {},
  };
  const socket = unconnected();
  const client = new FastConnection(quiet, socket);
  client.onBytes(REQUEST, REQUEST.length);
  socket.destroy();
  const { clock, timers, config } = world;
  const upstream = new UpstreamConnection(new UpstreamPool({ clock, timers, wire: config.wire }, NOWHERE), undefined);
  // Node begins to connect a turn later, and only what is not destroyed.
  upstream.destroy();
  // A connection that had a chunked answer keeps its reader; the pool serves behind the poll.
  return [client, upstream, new ChunkedReader(), setImmediate(() => {})];
}
