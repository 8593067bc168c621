/** What the parts of the fast engine use of their listener and share with one another. */
import type { Socket } from 'node:net';
import type { ProxyWorld } from '../world.ts';
import type { Outbox } from './outbox.ts';
import type { Slate, Slates } from './slate.ts';
import type { UpstreamPools } from './upstream-pool.ts';

export interface FastWorld extends ProxyWorld {
  readonly slates: Slates;
  readonly pools: UpstreamPools;
  /** One for all: it is filled and written within one read. */
  readonly outbox: Outbox;
  /** Value of the field that names this hop. */
  readonly via: string;
  /** The line that says what began here, but for the route. */
  readonly firstHop: string;
  /** What clients send is read into it, one read after the other. */
  readonly readBuffer: Buffer;
  /** The fast engine has no more to do with the socket; `unread` are the bytes from the beginning of the next request. */
  handOver(socket: Socket, unread: Buffer): void;
  /** A request is in flight from one to the other. */
  onBegin(): void;
  onEnd(): void;
}

export type { Slate };
