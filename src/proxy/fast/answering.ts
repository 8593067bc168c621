/** What a connection to an upstream tells the exchange that is on it. After `onEnd`, `onFail` or `onDefect` nothing more comes. */
import type { FieldTable, ResponseReader } from '../../wire/index.ts';
import type { UpstreamError } from '../upstreams.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

export interface Answering {
  /** Nobody waits for the connection any more. */
  readonly isGone: boolean;
  /** It is yours: write to it, or give it back. */
  onConnection(connection: UpstreamConnection): void;
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
  /** `isUntouched`: not a byte of an answer was seen. */
  onFail(error: UpstreamError, isUntouched: boolean): void;
  onDefect(cause: unknown): void;
}
