/** What is sent to an upstream, what comes back, and the handle between: the same on every kind of connection. */
import type { Readable } from 'node:stream';
import type { UpstreamError } from './upstreams.ts';

export interface Outgoing {
  readonly method: string;
  readonly target: string;
  /** Name and value alternating, Host first. */
  readonly headers: string[];
  readonly body: Readable | undefined;
  readonly timeoutMs: number;
  readonly expectsContinue: boolean;
  /** Trailers of the request, read when its body has ended; undefined when it announced none. */
  readonly trailers: (() => string[]) | undefined;
}

/** What an attempt tells. After `onEnd` or `onFail` nothing more comes. */
export interface Answering {
  onContinue(): void;
  onInformation(status: number, headers: string[]): void;
  onHead(status: number, headers: string[]): void;
  onData(chunk: Buffer): void;
  onEnd(trailers: string[]): void;
  onFail(error: UpstreamError, cause: Error): void;
}

export interface Attempt {
  pause(): void;
  resume(): void;
  /** Ends the attempt and frees its connection at once. `onFail` is not called. */
  abort(): void;
}
