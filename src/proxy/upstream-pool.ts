// hot path
/**
 * The connections to an upstream. Whether a request may be sent again depends on the connection that took it: had it carried one before,
 * and did a byte come back? Undici tells its handlers neither. But a client of its pool has one connection at a time, so each client
 * shows its lane to the handlers of the requests it is given.
 *
 *   Pool ─ dispatch ─▶ LaneClient ─▶ handler.takenBy(lane)
 *                          └ connect ─▶ lane.carrier: its connection now, and how many requests that was given
 *
 * Of undici only `dispatch` is used: no fetch, cache, cookies or decompression.
 */
import type { Socket } from 'node:net';
import { type buildConnector, Client, type Dispatcher, Pool } from 'undici';

/** One connection, from the moment it stands; kept by whoever was carried when it has died. */
export interface Carrier {
  readonly socket: Socket;
  /** Requests written to it. Undici's pipelining is 1 here, so all but the last were answered whole. */
  requests: number;
}

export interface Lane {
  /** Undefined until there is one, and when the last could not be made. */
  carrier: Carrier | undefined;
}

export interface Carried extends Dispatcher.DispatchHandler {
  /** Before anything else comes. The lane's carrier at `onRequestStart` is the connection that the request is written to. */
  takenBy(lane: Lane): void;
}

export interface UpstreamPool {
  dispatch(options: Dispatcher.DispatchOptions, handler: Carried): boolean;
  destroy(): Promise<void>;
}

export function openPool(origin: string, options: Omit<Pool.Options, 'factory' | 'pipelining'>): UpstreamPool {
  const factory = (url: URL, given: object): Dispatcher => openClient(url, given as ClientOptions);
  return new Pool(origin, { ...options, pipelining: 1, factory });
}

/** What a pool gives its factory: the connector is made by then. */
type ClientOptions = Client.Options & { readonly connect: buildConnector.connector };

function openClient(url: URL, options: ClientOptions): Dispatcher {
  const lane: Lane = { carrier: undefined };
  const connect: buildConnector.connector = (to, done) =>
    // The socket is given back: by it undici ends an attempt to connect that nobody waits for any more.
    options.connect(to, (...[cause, socket]) => {
      lane.carrier = cause === null ? { socket, requests: 0 } : undefined;
      if (cause === null) done(null, socket);
      else done(cause, null);
    });
  return new LaneClient(url, { ...options, connect }, lane);
}

class LaneClient extends Client {
  readonly #lane: Lane;

  constructor(url: URL, options: Client.Options, lane: Lane) {
    super(url, options);
    this.#lane = lane;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    (handler as Carried).takenBy(this.#lane);
    return super.dispatch(options, handler);
  }
}
