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

/** How far a failed attempt got, for whoever would send the request again. */
export type Reach =
  /** Nothing of it was sent: the idle connection it was given had died. */
  | 'unsent'
  /** On a connection that had carried requests before, and died without a byte of the answer: closed as idle, most likely, when this came. */
  | 'unanswered'
  /** All else: the application may have acted on it, or cannot be reached at all. */
  | 'final';

/** What an attempt tells. After `onEnd` or `onFail` nothing more comes. */
export interface Answering {
  /** Its head is written, and of its content what there is. */
  onSent(): void;
  onContinue(): void;
  onInformation(status: number, headers: string[]): void;
  onHead(status: number, headers: string[]): void;
  onData(chunk: Buffer): void;
  onEnd(trailers: string[]): void;
  onFail(error: UpstreamError, cause: Error, reach: Reach): void;
}

export interface Attempt {
  pause(): void;
  resume(): void;
  /** Ends the attempt and frees its connection at once. `onFail` is not called. */
  abort(): void;
}
