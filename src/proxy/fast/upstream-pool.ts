// hot path
/**
 * The connections to one upstream. Idle ones are a stack: the warmest is used first, the others grow cold and are closed. How many
 * requests are on their way at once is bounded by the upstream's turns, which both engines share, and so is the number of connections.
 *
 *   want ─▶ [ waiting ] ─ after the poll ─▶ top of [ idle ], else one that rests, next turn, else a new one
 *                                                 ↑ next turn
 *                         release ─▶ [ resting ] ─┘
 *
 * After the poll, and not in the turn in which its answer ended: what the kernel had to say of an idle connection (its end, bytes nobody
 * asked for) has been read by then and it is gone. Without that a connection that is ending would be written to, and a poisoned one would
 * answer the next request.
 */
import { type Clock, empty, type Timers } from '../../core/index.ts';
import type { SidecarConfig } from '../../tenants/index.ts';
import { ResponseReader } from '../../wire/index.ts';
import type { Upstream } from '../upstreams.ts';
import { READ_BYTES } from './byte-socket.ts';
import type { Answering, Carrier, CarrierHome } from './carrier.ts';
import { UpstreamConnection } from './upstream-connection.ts';

/** Idle connections are closed before most servers close theirs: as the general engine does. */
const IDLE_MS = 4000;
/** A reader takes 9 KiB; it is needed from the first byte of an answer to the end of its head. */
const READERS_MAX = 16;

export interface PoolsOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly wire: SidecarConfig['wire'];
}

export class UpstreamPools {
  readonly #options: PoolsOptions;
  readonly #pools = new Map<Upstream, UpstreamPool>();

  constructor(options: PoolsOptions) {
    this.#options = options;
  }

  of(upstream: Upstream): UpstreamPool {
    let pool = this.#pools.get(upstream);
    if (pool === undefined) {
      pool = new UpstreamPool(this.#options, upstream.address);
      this.#pools.set(upstream, pool);
    }
    return pool;
  }

  sweep(now: number): void {
    for (const pool of this.#pools.values()) pool.sweep(now);
  }

  close(): void {
    for (const pool of this.#pools.values()) pool.close();
  }
}

export class UpstreamPool implements CarrierHome {
  readonly address: Upstream['address'];
  readonly buffer: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #options: PoolsOptions;
  readonly #all = new Set<Carrier>();
  readonly #idle: Carrier[] = [];
  /** Their answers ended in this turn. */
  readonly #resting: Carrier[] = [];
  readonly #readers: ResponseReader[] = [];
  #waiting: Answering[] = [];
  /** Empty, for those who come while the others are served. */
  #served: Answering[] = [];
  #isServing = false;
  #isClosed = false;

  constructor(options: PoolsOptions, address: Upstream['address']) {
    this.#options = options;
    this.address = address;
  }

  now(): number {
    return this.#options.clock.now();
  }

  /** It is told of a connection, or of a failure to get one. */
  want(answering: Answering): void {
    this.#waiting.push(answering);
    this.#serveSoon();
  }

  #serveSoon(): void {
    if (this.#isServing) return;
    this.#isServing = true;
    this.#options.timers.afterPoll(this.#serve);
  }

  readonly #serve = (): void => {
    this.#isServing = false;
    const waiting = this.#waiting;
    this.#waiting = this.#served;
    this.#served = waiting;
    for (let i = 0; i < waiting.length; i++) {
      const answering = waiting[i] as Answering;
      try {
        this.#serveOne(answering);
      } catch (cause) {
        answering.onDefect(cause);
      }
    }
    empty(waiting);
    for (let i = 0; i < this.#resting.length; i++) this.#idle.push(this.#resting[i] as Carrier);
    empty(this.#resting);
  };

  #serveOne(answering: Answering): void {
    if (answering.isGone) return;
    const connection = answering.needsNew ? undefined : this.#idle.pop();
    if (connection !== undefined) answering.onConnection(connection);
    else if (this.#isClosed) answering.onFail('connect', 'final');
    // A new connection would not stand before the next turn either.
    else if (!answering.needsNew && this.#waiting.length < this.#resting.length) this.want(answering);
    else {
      // With those in use there are never more than may be: it takes the place of the coldest.
      if (answering.needsNew) (this.#idle[0] ?? this.#resting[0])?.destroy();
      this.#all.add(new UpstreamConnection(this, answering));
    }
  }

  release(connection: Carrier): void {
    if (this.#isClosed) return connection.destroy();
    this.#resting.push(connection);
    this.#serveSoon();
  }

  forget(connection: Carrier): void {
    this.#all.delete(connection);
    for (const list of [this.#idle, this.#resting]) {
      const at = list.indexOf(connection);
      if (at !== -1) list.splice(at, 1);
    }
  }

  takeReader(): ResponseReader {
    return this.#readers.pop() ?? new ResponseReader();
  }

  giveReader(reader: ResponseReader): void {
    if (this.#readers.length < READERS_MAX) this.#readers.push(reader);
  }

  sweep(now: number): void {
    for (const connection of this.#all) {
      const ms = now - connection.since;
      if (connection.isIdle && ms > IDLE_MS) connection.destroy();
      else if (connection.isConnecting && ms > this.#options.wire.connectTimeoutMs) connection.timeOut();
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of [...this.#idle, ...this.#resting]) connection.destroy();
  }
}
