// hot path
/**
 * The request's body on its way up: counted, bounded, and read from the client only as fast as the upstream takes it. A stream of
 * our own, so that whatever the upstream client does to its body never reaches the connection of the caller.
 */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

export class BodyTooLarge extends Error {}
export class ClientGone extends Error {}

export class RequestBody extends Readable {
  readonly #source: IncomingMessage;
  readonly #bytesMax: number;
  readonly #count: (bytes: number) => void;
  #bytes = 0;

  constructor(source: IncomingMessage, bytesMax: number, count: (bytes: number) => void) {
    // One chunk in hand is enough: the socket below has a buffer of its own.
    super({ highWaterMark: 16 * 1024 });
    this.#source = source;
    this.#bytesMax = bytesMax;
    this.#count = count;
    source.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose);
    source.pause();
  }

  override _read(): void {
    this.#source.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#source.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose);
    callback(error);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytes += chunk.length;
    this.#count(chunk.length);
    if (this.#bytes > this.#bytesMax) this.destroy(new BodyTooLarge());
    else if (!this.push(chunk)) this.#source.pause();
  };

  readonly #onEnd = (): void => {
    this.push(null);
  };

  readonly #onClose = (): void => {
    if (!this.#source.complete) this.destroy(new ClientGone());
  };
}
