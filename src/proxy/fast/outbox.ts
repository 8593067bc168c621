// hot path
/**
 * What goes to one client out of one read from its upstream: head, content and end in one write.
 *
 *   [ head ][ size of the chunk ][ content … ][ ␍␊ ][ last chunk ]
 *    ↑ from                                                   ↑ length
 *
 * Small writes share one buffer, which is used again when the kernel took all of it at once and given away when it did not. Large ones
 * get a buffer of their own.
 */
import { CHUNK_ROOM, frameChunk } from '../../wire/index.ts';
import type { ByteSocket } from './byte-socket.ts';

const SHARED_BYTES = 16 * 1024;
/** Framing beside head and content: the size, its line's end, the last chunk. */
const FRAMING_BYTES = 32;

export class Outbox {
  #shared: Buffer = Buffer.allocUnsafeSlow(SHARED_BYTES);
  #bytes: Buffer = this.#shared;
  #length = 0;
  #headBytes = 0;
  #chunkFrom = -1;

  /** For content of at most so many bytes, behind the head, if any. */
  begin(contentBytesMax: number, head: Buffer | undefined, headBytes: number): void {
    const most = headBytes + contentBytesMax + FRAMING_BYTES;
    this.#bytes = most <= SHARED_BYTES ? this.#shared : Buffer.allocUnsafeSlow(most);
    this.#chunkFrom = -1;
    this.#headBytes = headBytes;
    this.#length = headBytes;
    if (head !== undefined) head.copy(this.#bytes, 0, 0, headBytes);
  }

  addContent(bytes: Buffer, from: number, to: number, isChunked: boolean): void {
    if (isChunked && this.#chunkFrom === -1) this.#chunkFrom = this.#length += CHUNK_ROOM;
    this.#length += bytes.copy(this.#bytes, this.#length, from, to);
  }

  /** False when no more should come before the socket drained. `end`: what ends a chunked body. */
  flush(socket: ByteSocket, end: Uint8Array | undefined): boolean {
    const bytes = this.#finish(end);
    if (bytes.length === 0) return socket.isFlushed;
    const mayGoOn = socket.write(bytes);
    if (bytes.buffer === this.#shared.buffer && !mayGoOn)
      this.#bytes = this.#shared = Buffer.allocUnsafeSlow(SHARED_BYTES);
    return mayGoOn;
  }

  /** What would be written, for later; undefined when it is nothing. */
  take(end: Uint8Array | undefined): Buffer | undefined {
    const bytes = this.#finish(end);
    if (bytes.length === 0) return undefined;
    if (bytes.buffer !== this.#shared.buffer) return bytes;
    // Half the time of Buffer.from.
    const own = Buffer.allocUnsafe(bytes.length);
    bytes.copy(own);
    return own;
  }

  #finish(end: Uint8Array | undefined): Buffer {
    const from = this.#chunkFrom === -1 ? 0 : this.#endChunk();
    if (end !== undefined) this.#addEnd(end);
    const bytes = this.#bytes.subarray(from, this.#length);
    this.begin(0, undefined, 0);
    return bytes;
  }

  /** The size is shorter than the room for it: the head moves up to it. Says where all begins. */
  #endChunk(): number {
    const at = frameChunk(this.#bytes, this.#chunkFrom, this.#length);
    const gap = at - this.#headBytes;
    if (this.#headBytes > 0) this.#bytes.copyWithin(gap, 0, this.#headBytes);
    this.#length += 2;
    return gap;
  }

  #addEnd(end: Uint8Array): void {
    if (this.#length + end.length > this.#bytes.length)
      this.#bytes = Buffer.concat([this.#bytes.subarray(0, this.#length), end], this.#length + end.length);
    else this.#bytes.set(end, this.#length);
    this.#length += end.length;
  }
}
