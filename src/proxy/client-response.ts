// hot path
/**
 * The response on its way to the client: the one place that writes to it. It knows nothing of policy; it keeps the client's connection
 * sound, whatever has become of the request's body.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Timers } from '../core/index.ts';
import { LINGER_BYTES_MAX, LINGER_MS } from './bounds.ts';

/** Those of which all was written; they end at once, or when what the client still sends was read. */
const answered = new WeakSet<ServerResponse>();

/** Nothing of the response is left to say. */
export function isAnswered(response: ServerResponse): boolean {
  return answered.has(response);
}

export class ClientResponse {
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #timers: Timers;

  constructor(req: IncomingMessage, res: ServerResponse, timers: Timers) {
    this.#req = req;
    this.#res = res;
    this.#timers = timers;
  }

  /** `run`: the response is over, written or not. */
  onClose(run: () => void): void {
    this.#res.on('close', run);
  }

  /** The connection ends behind this response. Before the head. */
  isLast(): void {
    this.#res.shouldKeepAlive = false;
  }

  /** How long the connection may be silent from now on. */
  allowSilence(ms: number): void {
    this.#req.socket.setTimeout(ms);
  }

  continue(): void {
    this.#res.writeContinue();
  }

  hint(fields: Record<string, string[]>): void {
    if (this.#res.headersSent) return;
    try {
      this.#res.writeEarlyHints(fields);
    } catch {
      // Node writes well-formed links only; a hint is worth no failure.
    }
  }

  /** False when the fields cannot be written as they are; nothing went out then. `isAll`: nothing follows, and it goes out with the end. */
  head(status: number, raw: string[], isAll: boolean): boolean {
    try {
      this.#res.writeHead(status, raw);
      // At once: the body may be a stream that begins much later.
      if (!isAll) this.#res.flushHeaders();
      return true;
    } catch {
      return false;
    }
  }

  /** False when no more should come before `onDrain` ran. */
  write(chunk: Buffer, onDrain: () => void): boolean {
    if (this.#res.write(chunk)) return true;
    this.#res.once('drain', onDrain);
    return false;
  }

  /** `last`: what was not written yet. */
  end(trailers: readonly string[], last: Buffer | undefined): void {
    if (last !== undefined) this.#res.write(last);
    if (this.#res.chunkedEncoding)
      for (let i = 0; i < trailers.length; i += 2)
        this.#res.addTrailers([[trailers[i] as string, trailers[i + 1] as string]]);
    this.#endAfterRequest();
  }

  /** An answer that no upstream gives now, whole. */
  answer(status: number, raw: string[], body: string | Buffer): void {
    this.#res.writeHead(status, raw);
    if (this.#req.method !== 'HEAD') this.#res.write(body);
    this.#endAfterRequest();
  }

  /** Breaks the connection so that the client sees a failure even where the end of the connection would be the end of the body. */
  cut(): void {
    this.#req.socket.resetAndDestroy();
  }

  /** Nobody is there to be told. */
  drop(): void {
    this.#res.destroy();
  }

  /**
   * Closing a socket with unread bytes resets it, and the reset may overtake the answer (RFC 9112 §9.6): what the client is still sending is read
   * and thrown away for a while, unless it waits to be told.
   */
  #endAfterRequest(): void {
    answered.add(this.#res);
    const isWaiting = this.#req.headers.expect !== undefined;
    if (this.#req.complete || this.#res.shouldKeepAlive || isWaiting) return void this.#res.end();
    let bytes = 0;
    const end = (): void => {
      timer.cancel();
      this.#res.end();
    };
    const timer = this.#timers.after(LINGER_MS, end);
    this.#req
      .on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > LINGER_BYTES_MAX) end();
      })
      .on('end', end)
      .on('close', end);
  }
}
