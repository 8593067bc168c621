// hot path
/**
 * What one request is read from and written on. Wiped and used again by the next, on whichever connection: a connection without a
 * request has none, and a busy sidecar makes none.
 *
 *   head    GET / HTTP/1.1␍␊…       the client's, for as long as the exchange lasts
 *   reader  where its parts are
 *   writer  what goes up
 */
import { HeadWriter, type RequestBounds, RequestReader } from '../../wire/index.ts';
import { Views } from './views.ts';

const HEAD_BYTES = 2048;
/** A slate that grew beyond it for a large head is not kept. */
const KEPT_BYTES_MAX = 16 * 1024;
const SPARE_MAX = 256;

export class Slate {
  readonly reader: RequestReader;
  readonly writer: HeadWriter = new HeadWriter();
  readonly #views = new Views();
  head: Buffer = Buffer.allocUnsafeSlow(HEAD_BYTES);
  /** Bytes in `head`. */
  length = 0;

  constructor(bounds: RequestBounds) {
    this.reader = new RequestReader(bounds);
  }

  /** What the writer wrote. */
  get written(): Buffer {
    return this.#views.of(this.writer.bytes, this.writer.length);
  }

  /** Appends to the head. */
  keep(bytes: Buffer, from: number, to: number): void {
    const length = this.length + to - from;
    if (length > this.head.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.head.length));
      this.head.copy(larger, 0, 0, this.length);
      this.head = larger;
    }
    bytes.copy(this.head, this.length, from, to);
    this.length = length;
  }
}

export class Slates {
  readonly #bounds: RequestBounds;
  readonly #spare: Slate[] = [];

  constructor(bounds: RequestBounds) {
    this.#bounds = bounds;
  }

  take(): Slate {
    return this.#spare.pop() ?? new Slate(this.#bounds);
  }

  /** Nobody reads or writes it any more. */
  giveBack(slate: Slate): void {
    const isKept = slate.head.length <= KEPT_BYTES_MAX && slate.writer.bytes.length <= KEPT_BYTES_MAX;
    if (!isKept || this.#spare.length >= SPARE_MAX) return;
    slate.length = 0;
    this.#spare.push(slate);
  }
}
