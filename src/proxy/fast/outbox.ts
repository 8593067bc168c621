// hot path
/**
 * What goes to one client out of one read from its upstream: head, content and end in one write.
 *
 *   [ head ][ size of the chunk ][ content … ][ ␍␊ ][ last chunk ]
 *    ↑ from                                                   ↑ length
 *
 * Small writes share slabs. What is written at once leaves its place to the next; what is taken to be written at the end of the turn keeps
 * it until then. So that answers which wait cost no buffer: V8 counts those against the heap, and would collect all of it every half second.
 *
 *   slab   [ taken ][ taken ][ the next … ]      used again when all that was taken of it is with the kernel,
 *          └───── used ──────┘                   given away when the kernel did not take it at once
 */
import { CHUNK_ROOM, frameChunk } from '../../wire/index.ts';
import type { ByteSocket } from './byte-socket.ts';
import { Views } from './views.ts';

const SLAB_BYTES = 16 * 1024;
/** That are kept for later: 1 MiB, what a turn of a busy loop answers. */
const SPARE_MAX = 64;
/** Framing beside head and content: the size, its line's end, the last chunk. */
const FRAMING_BYTES = 32;

class Slab {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  readonly views: Views = new Views();
  /** Bytes at its beginning that were taken. */
  used = 0;
  /** Pieces that were taken and are not with the kernel yet. */
  taken = 0;
  /** The kernel reads from it some time: it is not used again. */
  isGiven = false;
}

export class Outbox {
  #slab: Slab = new Slab();
  /** Of which something is taken, but the one in use. Bound: requests in flight. */
  readonly #full: Slab[] = [];
  readonly #spare: Slab[] = [];
  #bytes: Buffer = this.#slab.bytes;
  #from = 0;
  #length = 0;
  #headBytes = 0;
  #chunkFrom = -1;

  /** For content of at most so many bytes, behind the head, if any. */
  begin(contentBytesMax: number, head: Buffer | undefined, headBytes: number): void {
    const most = headBytes + contentBytesMax + FRAMING_BYTES;
    if (most <= SLAB_BYTES) {
      if (this.#slab.used + most > SLAB_BYTES) this.#nextSlab();
      this.#bytes = this.#slab.bytes;
      this.#from = this.#slab.used;
    } else {
      this.#bytes = Buffer.allocUnsafeSlow(most);
      this.#from = 0;
    }
    this.#chunkFrom = -1;
    this.#headBytes = headBytes;
    this.#length = this.#from + headBytes;
    if (head !== undefined) head.copy(this.#bytes, this.#from, 0, headBytes);
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
    if (!mayGoOn && bytes.buffer === this.#slab.bytes.buffer) {
      this.#slab.isGiven = true;
      this.#nextSlab();
    }
    return mayGoOn;
  }

  /** What would be written, to be written later and then given back; undefined when it is nothing. */
  take(end: Uint8Array | undefined): Buffer | undefined {
    const bytes = this.#finish(end);
    if (bytes.length === 0) return undefined;
    const slab = this.#slab;
    if (bytes.buffer === slab.bytes.buffer) {
      slab.used = bytes.byteOffset - slab.bytes.byteOffset + bytes.length;
      slab.taken++;
    }
    return bytes;
  }

  /** What was taken was written, or nobody wants it any more. `isWithKernel` false: the kernel did not take all of it yet. Other bytes are not looked at. */
  giveBack(bytes: Buffer, isWithKernel: boolean): void {
    const { buffer } = bytes;
    if (buffer === this.#slab.bytes.buffer) {
      this.#giveBackTo(this.#slab, isWithKernel);
      if (this.#slab.isGiven) this.#nextSlab();
      else if (this.#slab.taken === 0) this.#slab.used = 0;
      return;
    }
    const at = this.#full.findIndex((slab) => slab.bytes.buffer === buffer);
    const slab = this.#full[at];
    if (slab === undefined) return;
    this.#giveBackTo(slab, isWithKernel);
    if (slab.taken > 0) return;
    this.#full.splice(at, 1);
    slab.used = 0;
    if (!slab.isGiven && this.#spare.length < SPARE_MAX) this.#spare.push(slab);
  }

  #giveBackTo(slab: Slab, isWithKernel: boolean): void {
    slab.taken--;
    if (!isWithKernel) slab.isGiven = true;
  }

  #nextSlab(): void {
    if (this.#slab.taken > 0) this.#full.push(this.#slab);
    this.#slab = this.#spare.pop() ?? new Slab();
  }

  #finish(end: Uint8Array | undefined): Buffer {
    const from = this.#chunkFrom === -1 ? this.#from : this.#endChunk();
    const bytes = this.#addEnd(end) ? this.#written(from) : this.#withEnd(from, end as Uint8Array);
    // Nothing is in it until the next begins.
    this.#from = this.#length;
    this.#chunkFrom = -1;
    this.#headBytes = 0;
    return bytes;
  }

  /** The size is shorter than the room for it: the head moves up to it. Says where all begins. */
  #endChunk(): number {
    const at = frameChunk(this.#bytes, this.#chunkFrom, this.#length);
    const from = at - this.#headBytes;
    if (this.#headBytes > 0) this.#bytes.copyWithin(from, this.#from, this.#from + this.#headBytes);
    this.#length += 2;
    return from;
  }

  /** False when there is no room for it. */
  #addEnd(end: Uint8Array | undefined): boolean {
    if (end === undefined) return true;
    if (this.#length + end.length > this.#bytes.length) return false;
    this.#bytes.set(end, this.#length);
    this.#length += end.length;
    return true;
  }

  #written(from: number): Buffer {
    const slab = this.#slab;
    if (from > 0 || this.#bytes !== slab.bytes) return this.#bytes.subarray(from, this.#length);
    return slab.views.of(slab.bytes, this.#length);
  }

  #withEnd(from: number, end: Uint8Array): Buffer {
    return Buffer.concat([this.#bytes.subarray(from, this.#length), end]);
  }
}
