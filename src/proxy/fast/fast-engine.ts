/** The fast engine of a listener: its connections, and the one timer that looks after all of them. */
import type { Socket } from 'node:net';
import type { Timer } from '../../core/index.ts';
import { formatHop, operationOf } from '../../telemetry/index.ts';
import type { ProxyWorld } from '../world.ts';
import { READ_BYTES } from './byte-socket.ts';
import { FastConnection } from './fast-connection.ts';
import { Outbox } from './outbox.ts';
import { Slates } from './slate.ts';
import { specimens } from './specimen.ts';
import { UpstreamPools } from './upstream-pool.ts';
import type { FastWorld } from './world.ts';

/** How exact timeouts are. 10,000 idle connections cost about 1 ms a second. */
const SWEEP_MS = 100;

export interface FastEngineHooks {
  /** The general engine takes the socket, and the bytes that were read of it, for good. */
  readonly handOver: (socket: Socket, unread: Buffer) => void;
  readonly onBegin: () => void;
  readonly onEnd: () => void;
}

export class FastEngine {
  /** To be kept as long as it serves. */
  readonly specimens: readonly object[];
  readonly #world: FastWorld;
  readonly #connections = new Map<Socket, FastConnection>();
  #sweeping: Timer | undefined;

  constructor(world: ProxyWorld, hooks: FastEngineHooks) {
    const { config, clock, timers } = world;
    this.#world = {
      ...world,
      slates: new Slates(config.wire),
      pools: new UpstreamPools({ clock, timers, wire: config.wire }),
      outbox: new Outbox(),
      via: `1.1 ${config.name}`,
      firstHop: `tracestate: ${formatHop({ hop: 1, operation: operationOf(config.name, undefined) })}`,
      readBuffer: Buffer.allocUnsafeSlow(READ_BYTES),
      onBegin: hooks.onBegin,
      onEnd: hooks.onEnd,
      handOver: (socket, unread) => {
        this.#connections.delete(socket);
        hooks.handOver(socket, unread);
      },
    };
    this.specimens = specimens(this.#world);
  }

  accept(socket: Socket): void {
    this.#sweeping ??= this.#world.timers.every(SWEEP_MS, () => this.#sweep());
    this.#connections.set(socket, new FastConnection(this.#world, socket));
    socket.on('close', () => this.#connections.delete(socket));
  }

  /** Connections whose request is over, and of whose answer some bytes are not with the kernel yet. */
  get trailing(): number {
    let count = 0;
    for (const connection of this.#connections.values()) if (connection.isTrailing) count++;
    return count;
  }

  /** Requests in flight are answered where no answer began, and broken off else. */
  cutShort(): void {
    for (const connection of this.#connections.values()) connection.cutShort();
  }

  closeIdle(): void {
    for (const connection of this.#connections.values()) connection.closeIdle();
  }

  /** Connections are the listener's to destroy. */
  close(): void {
    this.#sweeping?.cancel();
    this.#sweeping = undefined;
    this.#world.pools.close();
  }

  #sweep(): void {
    const now = this.#world.clock.now();
    try {
      for (const connection of this.#connections.values()) connection.sweep(now);
      this.#world.pools.sweep(now);
    } catch (cause) {
      this.#world.onDefect('sweep', cause);
    }
  }
}
