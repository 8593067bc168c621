// hot path
/**
 * Reads a chunked body (RFC 9112 §7.1) from bytes as they come and says which of them are data. Every byte of the framing is checked:
 * a body whose chunks are not exactly right ends nobody knows where.
 *
 *   5;x=y␍␊hello␍␊0␍␊X-Sum: 1␍␊␍␊
 *   size ext  data  last  trailers       ─ next() ─▶ data, data, …, end
 *
 * Extensions are dropped: they are for this hop. Trailers are kept, within a bound, until the end.
 */
import { CLASS, CR, LF, TOKEN } from './bytes.ts';
import { FieldTable } from './field-table.ts';
import { knownId } from './known-fields.ts';

/**
 * - `data`: `dataFrom` to `dataTo` is content. - `more`: nothing follows without more bytes.
 * - `end`: the body is complete; what stands from `at` on is not of it. - `bad`: the framing is not sound.
 */
export type ChunkEvent = 'data' | 'more' | 'end' | 'bad';

/** 12 hex digits: 256 TiB a chunk, exact as a JavaScript number. Longer ones are made to overflow someone. */
const SIZE_DIGITS_MAX = 12;
/** Extensions of one body: nobody needs any, and unbounded ones once kept servers busy for nothing (CVE-2024-22019). */
const EXTENSION_BYTES_MAX = 4096;
const TRAILER_BYTES_MAX = 8192;
const TRAILER_FIELDS_MAX = 64;

/** RFC 9110 §6.5.1: framing cannot come afterwards. Who believes in it splits the connection elsewhere than we do. */
const FRAMING_BITS = (1 << knownId('content-length')) | (1 << knownId('transfer-encoding'));

const SEMICOLON = 59;
const EQUALS = 61;

/** What the next byte has to be. */
const SIZE = 0;
const EXTENSION_NAME = 1;
const EXTENSION_VALUE = 2;
const SIZE_LF = 3;
const DATA = 4;
const DATA_CR = 5;
const DATA_LF = 6;
const TRAILER = 7;
const END = 8;
const FAILED = 9;

export class ChunkedReader {
  /** After `data`. */
  dataFrom = 0;
  dataTo = 0;
  /** How far the bytes are read; `next` goes on there. */
  at = 0;
  /** After `end`, when the body had trailers. */
  trailers: FieldTable | undefined;
  #state = SIZE;
  #size = 0;
  /** Digits of the size, or bytes of an extension's name or value, so far. */
  #length = 0;
  #extensionBytes = 0;
  #trailerBytes: Buffer | undefined;
  #trailerLength = 0;

  /** For the next body. */
  begin(): void {
    this.trailers = undefined;
    this.#state = SIZE;
    this.#size = 0;
    this.#length = 0;
    this.#extensionBytes = 0;
    this.#trailerLength = 0;
  }

  /** Goes on at `at`, which the caller sets when new bytes have come; there are bytes up to `to`. */
  next(bytes: Uint8Array, to: number): ChunkEvent {
    while (this.at < to && this.#state < END) {
      if (this.#state === DATA) return this.#data(to);
      this.#state = this.#step(bytes[this.at++] as number);
    }
    if (this.#state === END) return 'end';
    return this.#state === FAILED ? 'bad' : 'more';
  }

  #data(to: number): ChunkEvent {
    const length = Math.min(this.#size, to - this.at);
    this.dataFrom = this.at;
    this.dataTo = this.at += length;
    this.#size -= length;
    if (this.#size === 0) this.#state = DATA_CR;
    return 'data';
  }

  /** One byte of framing: the state it leads to. */
  #step(byte: number): number {
    switch (this.#state) {
      case SIZE:
        return this.#sizeDigit(byte);
      case EXTENSION_NAME:
      case EXTENSION_VALUE:
        return this.#extension(byte);
      case SIZE_LF:
        if (byte !== LF) return FAILED;
        return this.#size > 0 ? DATA : TRAILER;
      case DATA_CR:
        return byte === CR ? DATA_LF : FAILED;
      case DATA_LF:
        return byte === LF ? SIZE : FAILED;
      default:
        return this.#trailer(byte);
    }
  }

  #sizeDigit(byte: number): number {
    const digit = hexDigit(byte);
    if (digit !== -1) {
      this.#size = this.#size * 16 + digit;
      return ++this.#length > SIZE_DIGITS_MAX ? FAILED : SIZE;
    }
    if (this.#length === 0) return FAILED;
    return this.#endOfPart(byte);
  }

  /** RFC 9112 §7.1.1, tokens only: quoted values have hidden line ends from some readers. */
  #extension(byte: number): number {
    if (++this.#extensionBytes > EXTENSION_BYTES_MAX) return FAILED;
    if (((CLASS[byte] as number) & TOKEN) !== 0) {
      this.#length++;
      return this.#state;
    }
    if (this.#length === 0) return FAILED;
    if (byte === EQUALS && this.#state === EXTENSION_NAME) {
      this.#length = 0;
      return EXTENSION_VALUE;
    }
    return this.#endOfPart(byte);
  }

  #endOfPart(byte: number): number {
    this.#length = 0;
    if (byte === SEMICOLON) return EXTENSION_NAME;
    return byte === CR ? SIZE_LF : FAILED;
  }

  /** RFC 9112 §7.1.2: field lines up to an empty one. They are kept and read when they are complete. */
  #trailer(byte: number): number {
    if (this.#trailerLength === TRAILER_BYTES_MAX) return FAILED;
    this.#trailerBytes ??= Buffer.alloc(64);
    if (this.#trailerLength === this.#trailerBytes.length)
      this.#trailerBytes = Buffer.concat([this.#trailerBytes], 2 * this.#trailerLength);
    const bytes = this.#trailerBytes;
    bytes[this.#trailerLength++] = byte;
    const length = this.#trailerLength;
    if (byte !== LF) return TRAILER;
    if (bytes[length - 2] !== CR) return FAILED;
    if (length === 2) return END;
    return bytes[length - 3] === LF ? this.#readTrailers(bytes, length) : TRAILER;
  }

  #readTrailers(bytes: Buffer, length: number): number {
    const table = new FieldTable(TRAILER_FIELDS_MAX);
    table.moveTo(bytes, 0);
    if (table.scan(length) !== length || (table.seen & FRAMING_BITS) !== 0) return FAILED;
    this.trailers = table;
    return END;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
