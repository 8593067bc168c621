/** A client's connection, as the request that is on it sees it. */
import type { Peer } from './request-head.ts';

export interface FastClient {
  readonly peer: Peer;
  /** The connection ends behind the answer that is being given. */
  isLast: boolean;
  pause(): void;
  resume(): void;
  /** Whole messages of our own, and what was taken of the outbox. */
  write(bytes: Buffer): void;
  /** Writes the outbox. False when no more should come before `onClientDrain`. */
  flush(end: Uint8Array | undefined): boolean;
  /** Breaks the connection, so that the client sees a failure even where its end would be the end of the content. */
  cut(): void;
  destroy(): void;
  /** The exchange is over, answered or not. */
  onEnd(): void;
}
