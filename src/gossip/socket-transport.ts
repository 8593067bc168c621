/** Frames over UDP and streams over TCP, both on one port. */
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, isIPv4, isIPv6 } from 'node:net';
import { Closer, type Timers } from '../core/index.ts';
import { formatAddress, parseAddress } from './address.ts';
import { CONNECTIONS_MAX, framed, onBody, STREAM_MS, StreamServer } from './stream-server.ts';
import type { Transport, TransportHandlers } from './transport.ts';

export interface SocketTransportOptions {
  readonly timers: Timers;
  /** Where to listen. `::` takes IPv4 as well. */
  readonly host: string;
  /** 0: any that is free for both. */
  readonly port: number;
  /** Where others reach it, when that is not where it listens: `host:port`, or a host alone. */
  readonly advertise?: string;
}

/** Ports tried when any will do: one that is free for TCP is hardly ever taken for UDP. */
const PORTS_TRIED = 8;

/** Listens. Rejects with the system's error when the port is taken. */
export function openSocketTransport(options: SocketTransportOptions): Promise<Transport> {
  return openOneOf(options.port === 0 ? PORTS_TRIED : 1, options);
}

async function openOneOf(tries: number, options: SocketTransportOptions): Promise<Transport> {
  const transport = new SocketTransport(options);
  try {
    await transport.open();
    return transport;
  } catch (cause) {
    await transport.close();
    if (tries === 1) throw cause;
    return openOneOf(tries - 1, options);
  }
}

class SocketTransport implements Transport {
  address = '';
  readonly #options: SocketTransportOptions;
  readonly #isIPv6: boolean;
  readonly #datagrams: Datagrams;
  readonly #streams: StreamServer;
  readonly #closer = new Closer();
  #handlers: TransportHandlers | undefined;
  #requests = 0;

  constructor(options: SocketTransportOptions) {
    this.#options = options;
    this.#isIPv6 = isIPv6(options.host);
    this.#datagrams = createSocket(this.#isIPv6 ? 'udp6' : 'udp4');
    this.#streams = new StreamServer(options.timers, (bytes) => this.#handlers?.request(bytes));
  }

  async open(): Promise<void> {
    const { host, port, advertise } = this.#options;
    this.#closer.add(() => this.#streams.close());
    this.#closer.add(() => void this.#datagrams.close());
    this.#streams.server.listen({ host, port });
    await once(this.#streams.server, 'listening');
    const { address, port: bound } = this.#streams.server.address() as AddressInfo;
    this.#datagrams.bind(bound, host);
    await once(this.#datagrams, 'listening');
    // An error of a socket that listens is one of a frame: lost like any other.
    this.#datagrams.on('error', () => {});
    this.#streams.server.on('error', () => {});
    this.#datagrams.on('message', (bytes, { address: from, port: fromPort }) =>
      this.#handlers?.datagram(bytes, formatAddress(from, fromPort)),
    );
    const advertised = advertise ?? address;
    this.address = parseAddress(advertised) === undefined ? formatAddress(advertised, bound) : advertised;
  }

  listen(handlers: TransportHandlers): void {
    this.#handlers = handlers;
  }

  send(to: string, bytes: Uint8Array): void {
    const target = parseAddress(to);
    if (target === undefined || this.#handlers === undefined) return;
    const host = this.#isIPv6 && isIPv4(target.host) ? `::ffff:${target.host}` : target.host;
    this.#datagrams.send(bytes, target.port, host, () => {});
  }

  request(to: string, bytes: Uint8Array, done: (answer: Uint8Array | undefined) => void): void {
    const { timers } = this.#options;
    const target = parseAddress(to);
    if (target === undefined || this.#handlers === undefined || this.#requests >= CONNECTIONS_MAX)
      return timers.afterPoll(() => done(undefined));
    this.#requests++;
    const socket = connect(target);
    const deadline = timers.after(STREAM_MS, () => socket.destroy());
    let answer: Buffer | undefined;
    onBody(socket, (body) => {
      answer = body;
      socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      deadline.cancel();
      this.#requests--;
      done(answer);
    });
    socket.write(framed(bytes));
  }

  close(): Promise<void> {
    this.#handlers = undefined;
    return this.#closer.close();
  }
}
