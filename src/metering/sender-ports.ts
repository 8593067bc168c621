/** What a sender stands on: a connection, a source of what is told, time, and whom it tells how it goes. */
import type { Clock, Random, Timers } from '../core/index.ts';
import type { FromCollector, FromSidecar, GapReason, Hello } from './messages.ts';
import type { Position } from './position.ts';
import type { Next } from './reader.ts';

/** A connection to a collector. */
export interface Link {
  /** False: no more before `onDrain`. */
  send(message: FromSidecar): boolean;
  /** What was sent goes out first. */
  end(): void;
  /** At once. */
  cut(): void;
}

export interface LinkEvents {
  onMessage(message: FromCollector): void;
  onDrain(): void;
  /** Once, for whatever reason; nothing comes after it. */
  onClose(why: string): void;
}

/** Where what is told comes from. */
export interface Source {
  /** Goes on behind a position; false: other records stand here under those numbers. */
  seek(position: Position, chain: number): boolean;
  /** A payload is good until the next call, which comes when it is packed. */
  next(): Next;
  readonly unreadBytes: number;
  acked(position: Position): void;
  watermarkMs(): number;
  readonly spoolBytes: number;
}

/** When what there is becomes a batch. */
export interface BatchSize {
  readonly ms: number;
  readonly bytes: number;
}

export interface SenderOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly source: Source;
  readonly hello: Hello;
  readonly connect: (events: LinkEvents) => Link;
  /** Compresses; calls back once. Undefined: it could not. */
  readonly pack: (payload: Buffer, done: (packed: Buffer | undefined) => void) => void;
  readonly batch?: BatchSize;
  /** Counted up. */
  readonly counts: SenderCounts;
  readonly onFence: (reason: string) => void;
  /** A connection ended, or could not be made. */
  readonly onFailure: (why: string) => void;
  readonly onWelcome: () => void;
}

export interface SenderCounts {
  batches: number;
  bytesRaw: number;
  bytesSent: number;
  connects: number;
  failures: number;
  fences: number;
  readonly gaps: Record<GapReason, number>;
}

export function noCounts(): SenderCounts {
  const gaps = { full: 0, corrupt: 0, dropped: 0 };
  return { batches: 0, bytesRaw: 0, bytesSent: 0, connects: 0, failures: 0, fences: 0, gaps };
}
