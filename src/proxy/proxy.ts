/** The inbound listener: accepts, bounds, and hands each request to a passage or a tunnel; drains without failing one. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ReeveError } from '../core/index.ts';
import type { Reply } from '../pipeline/index.ts';
import type { SidecarConfig } from '../tenants/index.ts';
import type { Unadmitted } from './access-log.ts';
import { Connection } from './connection.ts';
import { hasByteSockets } from './fast/byte-socket.ts';
import { FastEngine } from './fast/fast-engine.ts';
import { httpDate } from './http-date.ts';
import { Passage } from './passage.ts';
import { isTunnel, Tunnel } from './tunnel.ts';
import type { ProxyOptions, ProxyWorld } from './world.ts';

export interface Proxy {
  readonly port: number;
  readonly connections: number;
  readonly inFlight: number;
  /**
   * New connections are taken for `delayMs`, and at least for a short linger; each answer says that it is the last of its connection. What is in
   * flight finishes within `graceMs` from now; idle connections close. Resolves with how many requests were cut short by its end.
   */
  drain(times: SidecarConfig['drain']): Promise<number>;
  /** Ends what is in flight: with an answer that says so where none began, else broken off. Resolves with how many. */
  close(): Promise<number>;
}

/** Clients that just connected, or whose request is on its way, still get an answer; it tells them to go elsewhere. */
const LINGER_MS = 250;
/** How often a drain looks whether all is done. */
const DRAIN_STEP_MS = 20;
/** For answers to what is cut short to be with the kernel, ms: they are small, and who does not read is not waited for. */
const FAREWELL_MS = 250;
/** Codes of llhttp and node:http, as answers of ours. */
const PARSE_REPLIES: Readonly<Record<string, Reply>> = {
  HPE_HEADER_OVERFLOW: { code: 'head-too-large', detail: 'The request head is too large.' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { code: 'body-too-large', detail: 'The chunk extensions are too large.' },
  HPE_INVALID_TRANSFER_ENCODING: { code: 'malformed-request', detail: 'The framing is not sound.' },
  ERR_HTTP_REQUEST_TIMEOUT: { code: 'head-timeout', detail: 'The request did not arrive in time.' },
};

const UNSOUND: Reply = { code: 'malformed-request', detail: 'The request is not sound HTTP/1.1.' };

export async function openProxy(options: ProxyOptions): Promise<Proxy> {
  const listener = new Listener(options);
  await listener.listen();
  return listener;
}

/** Of connections that the kernel keeps for a listener that is about to close. With 0 it would take each for a flood, and say so (tcp_syncookies). */
const LINE_LAST = 1;

/** listen(2) once more changes nothing else. Of Node's insides: where it is not there the line stays as long as it is. */
function shortenLine(server: Server): void {
  const { _handle: handle } = server as unknown as { readonly _handle?: { listen?(backlog: number): number } | null };
  handle?.listen?.(LINE_LAST);
}

/** Of a turn of the loop in which next to nothing was done, ms: one that serves a request takes longer. */
const QUIET_MS = 0.25;

class Listener implements Proxy {
  readonly #options: ProxyOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Of the general engine. */
  readonly #connections = new WeakMap<Socket, Connection>();
  #fast: FastEngine | undefined;
  readonly #passages = new Set<Passage>();
  readonly #tunnels = new Set<Tunnel>();
  #isDraining = false;
  /** Whoever closes does not wait for a drain that is under way. */
  #isClosed = false;
  #inFlight = 0;
  /** Connections since the start. */
  #accepted = 0;

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
            ? 'stop what listens there, or choose another with REEVE_INBOUND_PORT or inbound.port in the boot file'
            : 'check inbound.host and inbound.port: REEVE_INBOUND_HOST, REEVE_INBOUND_PORT, or the boot file';
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

  async drain({ delayMs, graceMs }: SidecarConfig['drain']): Promise<number> {
    const { clock, timers } = this.#options;
    const until = clock.now() + graceMs;
    const openUntil = clock.now() + Math.min(Math.max(LINGER_MS, delayMs), graceMs);
    this.#isDraining = true;
    while (!this.#isClosed && clock.now() < openUntil) await timers.sleep(DRAIN_STEP_MS);
    await this.#stopListening();
    await this.#closeIdle();
    // Who got in last may not have been read yet.
    const lingerUntil = Math.min(clock.now() + LINGER_MS, until);
    const isWaitedFor = (): boolean =>
      this.#unfinished > 0 ? clock.now() < until : this.#sockets.size > 0 && clock.now() < lingerUntil;
    while (isWaitedFor()) {
      await timers.sleep(DRAIN_STEP_MS);
      await this.#closeIdle();
    }
    return this.close();
  }

  /**
   * A listener that closes resets whom the kernel has accepted and the process has not, and libuv accepts one connection a turn of the loop (1.45,
   * libuv#3696): so it closes behind a poll that found nobody, in a turn so short that hardly anybody came since. Where more come with each turn that
   * would never be: the line is made short before, and who finds it full is not answered, asks again after a second and is refused then, as
   * who comes late anyway.
   */
  async #stopListening(): Promise<void> {
    const { clock, timers } = this.#options;
    const until = clock.now() + LINGER_MS;
    shortenLine(this.#server);
    let isQuiet = false;
    while (!isQuiet && clock.now() < until) {
      const [accepted, since] = [this.#accepted, clock.now()];
      await timers.yieldLoop();
      isQuiet = this.#accepted === accepted && clock.now() - since < QUIET_MS;
    }
    this.#server.close();
  }

  /** Requests in flight, and answers that are not with the kernel yet. */
  get #unfinished(): number {
    return this.#inFlight + (this.#fast?.trailing ?? 0);
  }

  /** Behind a poll: what has arrived by now is read, and whose it is is idle no more. A socket that is closed with unread bytes resets its client. */
  async #closeIdle(): Promise<void> {
    await this.#options.timers.yieldLoop();
    this.#server.closeIdleConnections();
    this.#fast?.closeIdle();
  }

  async close(): Promise<number> {
    this.#isDraining = true;
    this.#isClosed = true;
    this.#server.close();
    const cut = this.#unfinished;
    await this.#cutShort();
    for (const socket of this.#sockets) socket.destroy();
    while (this.#inFlight > 0) await this.#options.timers.yieldLoop();
    this.#fast?.close();
    return cut;
  }

  async #cutShort(): Promise<void> {
    const { clock, timers } = this.#options;
    for (const tunnel of this.#tunnels) tunnel.cutShort();
    for (const passage of this.#passages) passage.cutShort();
    this.#fast?.cutShort();
    const until = clock.now() + FAREWELL_MS;
    while (this.#unfinished > 0 && clock.now() < until) await timers.sleep(DRAIN_STEP_MS);
    // Behind a poll, as above.
    await timers.yieldLoop();
  }

  #wire(): void {
    const { metrics, log, access, clock } = this.#options;
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
    metrics.gauge({
      name: 'reeve_connections',
      help: 'Client connections open now.',
      read: () => this.#sockets.size,
    });
    metrics.gauge({
      name: 'reeve_inflight_requests',
      help: 'Requests and tunnels in flight now.',
      read: () => this.#inFlight,
    });
    const world: ProxyWorld = {
      ...this.#options,
      isDraining: () => this.#isDraining,
      date: httpDate(clock),
      onRefused(refused) {
        replies.add(replies.index(refused.code));
        access.refusal(refused);
      },
      onDefect(where, cause) {
        defects.add();
        log.error('engine.defect', { where, cause });
      },
    };
    this.#serve(world);
  }

  /**
   * One server listens for both engines, so that it alone bounds and tracks connections: the fast engine stands before node:http's own
   * listener, which takes over a socket when it is handed one.
   */
  #accept(world: ProxyWorld, countRequest: (engine: 'fast' | 'general') => void): void {
    const server = this.#server;
    const parse = server.listeners('connection') as ((this: Server, socket: Socket) => void)[];
    server.removeAllListeners('connection');
    const serveGenerally = (socket: Socket): void => {
      this.#connections.set(socket, new Connection(socket, world.date));
      for (const each of parse) each.call(server, socket);
    };
    const isFast = world.config.wire.fastPath;
    if (isFast && !hasByteSockets)
      world.log.warn('engine.fast_unavailable', {
        reason: 'this Node does not give its bindings stream_wrap and tcp_wrap',
        remedy: 'everything is served by the general engine; run the Node that Reeve brings, without --permission',
      });
    if (isFast && hasByteSockets)
      this.#fast = new FastEngine(world, {
        handOver(socket, unread) {
          socket.unshift(unread);
          serveGenerally(socket);
        },
        onBegin: () => {
          this.#inFlight++;
          countRequest('fast');
        },
        onEnd: () => this.#inFlight--,
      });
    server.on('connection', (socket) => {
      this.#accepted++;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      if (this.#fast === undefined) serveGenerally(socket);
      else this.#fast.accept(socket);
    });
  }

  #serve(world: ProxyWorld): void {
    const server = this.#server;
    const requests = world.metrics.counters({
      name: 'reeve_requests_engine_total',
      help: 'Requests by the engine that served them.',
      labels: { engine: ['fast', 'general'] },
    });
    const at = { fast: requests.index('fast'), general: requests.index('general') };
    const countRequest = (engine: 'fast' | 'general'): void => requests.add(at[engine]);
    const connectionOf = (socket: Duplex): Connection => this.#connections.get(socket as Socket) as Connection;
    this.#accept(world, countRequest);
    const serve = (req: IncomingMessage, res: ServerResponse): void => {
      res.sendDate = false;
      res.on('error', () => {});
      req.on('error', () => {});
      connectionOf(req.socket).serve(res, () => {
        this.#inFlight++;
        countRequest('general');
        const passage = new Passage(world, req, res);
        this.#passages.add(passage);
        res.on('close', () => {
          this.#inFlight--;
          this.#passages.delete(passage);
        });
        passage.start();
      });
    };
    server.on('request', serve).on('checkContinue', serve).on('checkExpectation', serve);
    server.on('upgrade', (req, socket, head) => {
      socket.on('error', () => socket.destroy());
      connectionOf(socket).handOver(() => {
        countRequest('general');
        this.#openTunnel(new Tunnel(world, req, socket as Socket, head), socket);
      });
    });
    const refuse = (socket: Duplex, reply: Reply, known: Partial<Unadmitted> = {}): void => {
      world.onRefused({ ...known, code: reply.code, peer: (socket as Socket).remoteAddress });
      connectionOf(socket).refuse(reply);
    };
    server.on('connect', ({ method }, socket) => {
      socket.on('error', () => socket.destroy());
      refuse(socket, { code: 'method-not-supported', detail: 'CONNECT is not supported.' }, { method });
    });
    server.on('clientError', (cause: NodeJS.ErrnoException, socket) => {
      if (cause.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
      // Behind a request that was said to be the last: nobody asked for an answer to it.
      if (cause.code === 'HPE_CLOSED_CONNECTION') return;
      refuse(socket, PARSE_REPLIES[cause.code ?? ''] ?? UNSOUND);
    });
  }

  #openTunnel(tunnel: Tunnel, socket: Duplex): void {
    this.#tunnels.add(tunnel);
    this.#inFlight++;
    socket.on('close', () => {
      this.#inFlight--;
      this.#tunnels.delete(tunnel);
    });
    tunnel.start();
  }
}
