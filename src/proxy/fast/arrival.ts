// hot path
/** A sound head on a slate becomes an exchange: as `arrive` of the general engine. */
import type { MonotonicMs } from '../../core/index.ts';
import { type Arrival, Exchange } from '../../pipeline/index.ts';
import { emptySnapshot, routeOf } from '../../tenants/index.ts';
import type { ByteHeaders } from '../../wire/index.ts';
import { requestId } from '../forwarded.ts';
import type { Peer } from './request-head.ts';
import type { Slate } from './slate.ts';
import type { FastWorld } from './world.ts';

/** One for all: every slot of it is filled, and an exchange takes them all at once. */
const arrival: { -readonly [K in keyof Arrival]: Arrival[K] } = {
  id: '',
  trustClass: 'edge',
  snapshot: emptySnapshot,
  acceptedAt: 0 as MonotonicMs,
  method: '',
  target: '',
  path: '',
  host: '',
  port: 0,
  isWhole: true,
  headers: undefined as unknown as ByteHeaders,
  peer: '',
  route: undefined,
};

/** Opens the exchange with the snapshot of now. */
export function arrive(
  world: FastWorld,
  { reader }: Slate,
  headers: ByteHeaders,
  peer: Peer,
  now: MonotonicMs,
): Exchange {
  const target = reader.target();
  arrival.id = requestId(headers, world.random);
  arrival.trustClass = world.config.inbound.class;
  arrival.snapshot = world.snapshot();
  arrival.acceptedAt = now;
  arrival.method = reader.method;
  arrival.target = target;
  arrival.path = reader.pathTo === reader.targetTo ? target : reader.path();
  arrival.host = reader.host();
  arrival.port = reader.port;
  arrival.isWhole = reader.contentLength <= 0;
  arrival.headers = headers;
  arrival.peer = peer.address;
  arrival.route = routeOf(arrival.snapshot, arrival.method, arrival.path);
  return new Exchange(arrival);
}
