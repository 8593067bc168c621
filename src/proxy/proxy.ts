/** The inbound listener: accepts, bounds, and hands each request to a passage or a tunnel; drains without failing one. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { ReeveError } from '../core/index.ts';
import type { Reply } from '../pipeline/index.ts';
import { Passage } from './passage.ts';
import { rescue } from './rescue.ts';
import { isTunnel, Tunnel } from './tunnel.ts';
import type { ProxyOptions, ProxyWorld } from './world.ts';

export interface Proxy {
  readonly port: number;
  readonly connections: number;
  readonly inFlight: number;
  /** No new connections after a short linger; what is in flight finishes within the grace; idle connections close. */
  drain(graceMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Clients that just connected, or whose request is on its way, still get an answer; it tells them to go elsewhere. */
const LINGER_MS = 250;
/** How often a drain looks whether all is done. */
const DRAIN_STEP_MS = 20;
/** Codes of llhttp and node:http, as answers of ours. */
const PARSE_REPLIES: Readonly<Record<string, Reply>> = {
  HPE_HEADER_OVERFLOW: { code: 'head-too-large', detail: 'The request head is too large.' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { code: 'body-too-large', detail: 'The chunk extensions are too large.' },
  HPE_INVALID_TRANSFER_ENCODING: { code: 'malformed-request', detail: 'The framing is not sound.' },
  ERR_HTTP_REQUEST_TIMEOUT: { code: 'head-timeout', detail: 'The request did not arrive in time.' },
};

export async function openProxy(options: ProxyOptions): Promise<Proxy> {
  const listener = new Listener(options);
  await listener.listen();
  return listener;
}

class Listener implements Proxy {
  readonly #options: ProxyOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #tunnels = new Set<Tunnel>();
  #isDraining = false;
  #inFlight = 0;

  constructor(options: ProxyOptions) {
    this.#options = options;
    const { wire } = options.config;
    this.#server = createServer({
      // Above our own bound, so that the gate's answer is the one that is given for what is a little too large.
      maxHeaderSize: wire.headBytesMax + wire.targetBytesMax,
      insecureHTTPParser: false,
      requireHostHeader: false,
      keepAlive: false,
      noDelay: true,
      headersTimeout: wire.headTimeoutMs,
      requestTimeout: 0,
      connectionsCheckingInterval: Math.min(1000, wire.headTimeoutMs),
      keepAliveTimeout: wire.idleTimeoutMs,
      shouldUpgradeCallback: isTunnel,
    });
    // Dropped header fields once hid a framing field from Node's users (CVE-2026-58044): all are shown, the gate counts.
    this.#server.maxHeadersCount = 0;
    this.#server.maxConnections = wire.connectionsMax;
    this.#server.timeout = wire.idleTimeoutMs;
    this.#wire();
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  async listen(): Promise<void> {
    const { host, port } = this.#options.config.inbound;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause: NodeJS.ErrnoException) => {
        const remedy =
          cause.code === 'EADDRINUSE'
            ? 'stop what listens there, or choose another with --inbound-port'
            : 'check --inbound-host and --inbound-port';
        reject(
          new ReeveError('listen-failed', `cannot listen: ${cause.code}`, { place: `${host}:${port}`, remedy, cause }),
        );
      });
      this.#server.listen({ host, port, backlog: 4096 }, resolve);
    });
    this.#server
      .removeAllListeners('error')
      .on('error', (cause) => this.#options.log.error('proxy.listener', { cause }));
  }

  async drain(graceMs: number): Promise<void> {
    const { clock, timers } = this.#options;
    const until = clock.now() + graceMs;
    this.#isDraining = true;
    await timers.sleep(Math.min(LINGER_MS, graceMs));
    this.#server.close();
    this.#server.closeIdleConnections();
    while (this.#inFlight > 0 && clock.now() < until) {
      await timers.sleep(DRAIN_STEP_MS);
      this.#server.closeIdleConnections();
    }
    await this.close();
  }

  async close(): Promise<void> {
    this.#isDraining = true;
    this.#server.close();
    for (const tunnel of this.#tunnels) tunnel.destroy();
    for (const socket of this.#sockets) socket.destroy();
    while (this.#inFlight > 0) await this.#options.timers.yieldLoop();
  }

  #wire(): void {
    const { metrics, log } = this.#options;
    const replies = metrics.counters({
      name: 'reeve_gate_refusals_total',
      help: 'Requests that were refused before the chain, by code.',
      labels: {
        code: [
          'malformed-request',
          'head-too-large',
          'target-too-long',
          'unsupported-transfer-coding',
          'method-not-supported',
          'expectation-failed',
          'hop-by-hop-nomination',
          'head-timeout',
          'body-too-large',
          'stage-failed',
        ],
      },
    });
    const defects = metrics.counter({
      name: 'reeve_engine_defects_total',
      help: 'Throws in the engine itself; a defect.',
    });
    metrics.gauge({ name: 'reeve_connections', help: 'Client connections open now.', read: () => this.#sockets.size });
    metrics.gauge({
      name: 'reeve_inflight_requests',
      help: 'Requests and tunnels in flight now.',
      read: () => this.#inFlight,
    });
    const world: ProxyWorld = {
      ...this.#options,
      isDraining: () => this.#isDraining,
      onRefused: (code) => replies.add(replies.index(code)),
      onDefect(where, cause) {
        defects.add();
        log.error('engine.defect', { where, cause });
      },
    };
    const serve = (req: ConstructorParameters<typeof Passage>[1], res: ServerResponse): void => {
      res.sendDate = false;
      this.#inFlight++;
      res.on('close', () => this.#inFlight--);
      res.on('error', () => {});
      req.on('error', () => {});
      new Passage(world, req, res).start();
    };
    this.#server.on('request', serve).on('checkContinue', serve).on('checkExpectation', serve);
    this.#server.on('upgrade', (req, socket, head) => {
      const tunnel = new Tunnel(world, req, socket, head);
      this.#tunnels.add(tunnel);
      this.#inFlight++;
      socket.on('close', () => {
        this.#inFlight--;
        this.#tunnels.delete(tunnel);
      });
      tunnel.start();
    });
    this.#server.on('connect', (_req, socket) => {
      world.onRefused('method-not-supported');
      socket.on('error', () => {});
      answerRaw(socket as Socket, { code: 'method-not-supported', detail: 'CONNECT is not supported.' });
    });
    this.#server.on('clientError', (cause: NodeJS.ErrnoException, socket) => {
      const reply = PARSE_REPLIES[cause.code ?? ''] ?? {
        code: 'malformed-request',
        detail: 'The request is not sound HTTP/1.1.',
      };
      if (cause.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
      world.onRefused(reply.code);
      answerRaw(socket as Socket, reply);
    });
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    });
  }
}

/** An answer on a connection whose parser gave up. When a response is on its way already, nothing may be mixed into it. */
function answerRaw(socket: Socket, reply: Reply): void {
  const { status, headers, body } = rescue(reply, false);
  const isAnswering = (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage?.headersSent === true;
  if (isAnswering || (socket.bytesWritten > 0 && (socket as Socket & { _httpMessage?: unknown })._httpMessage))
    return void socket.destroy();
  let head = `HTTP/1.1 ${status} ${''}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  socket.end(`${head}Connection: close\r\n\r\n${body}`);
  // A client that goes on sending would keep the half-closed connection for ever.
  socket.setTimeout(1000, () => socket.destroy());
}
