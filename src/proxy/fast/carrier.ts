/** A connection to an upstream, as those see it that use it and that keep it. */
import type { FieldTable, ResponseReader } from '../../wire/index.ts';
import type { Reach } from '../attempt.ts';
import type { Upstream, UpstreamError } from '../upstreams.ts';

export interface Carrier {
  readonly isIdle: boolean;
  readonly isConnecting: boolean;
  /** When it began to be what it is, or last moved. */
  readonly since: number;
  /** The first bytes of a request, its head in them. */
  begin(answering: Answering, bytes: Buffer): void;
  /** More of the request; the bytes are the connection's from now on. False when no more should come before `onDrain`. */
  write(bytes: Buffer, isLast: boolean): boolean;
  pause(): void;
  resume(): void;
  /** Ends it at once; nothing is told any more. */
  destroy(): void;
  /** It took too long to connect, or to answer. */
  timeOut(): void;
}

/** Where connections come from and go back to. */
export interface CarrierHome {
  readonly address: Upstream['address'];
  /** One for all: what was read is told, copied or written before anything else is read. */
  readonly buffer: Buffer;
  now(): number;
  release(connection: Carrier): void;
  forget(connection: Carrier): void;
  takeReader(): ResponseReader;
  giveReader(reader: ResponseReader): void;
}

/** What a connection tells the exchange that is on it. After `onEnd`, `onFail` or `onDefect` nothing more comes. */
export interface Answering {
  /** Nobody waits for the connection any more. */
  readonly isGone: boolean;
  /** No connection that carried another request. */
  readonly needsNew: boolean;
  /** Asked when it begins: the answer is to a HEAD request; nothing of the request follows. */
  readonly isForHead: boolean;
  readonly isWhole: boolean;
  /** It is yours: write to it, or give it back. */
  onConnection(connection: Carrier): void;
  /** More of the request may be written. */
  onDrain(): void;
  onInterim(reader: ResponseReader): void;
  /** `reader` is good until this returns. Content of at most `contentBytesMax` comes with it; then `onRead`. */
  onHead(reader: ResponseReader, contentBytesMax: number): void;
  /** Content that came without a head begins; at most so many bytes, then `onRead`. */
  onBegin(contentBytesMax: number): void;
  onContent(bytes: Buffer, from: number, to: number): void;
  /** What was read is told: write it. */
  onRead(): void;
  /** The last of the content was told; `onRead` does not come any more. */
  onEnd(trailers: FieldTable | undefined): void;
  onFail(error: UpstreamError, reach: Reach): void;
  onDefect(cause: unknown): void;
}
