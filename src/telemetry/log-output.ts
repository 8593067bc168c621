/**
 * Where log lines go, bounded: a reader that stalls costs at most `unwrittenMax`, never a request.
 *
 *   write ──▶ [ unwritten, ≤ unwrittenMax ] ──▶ pipe ──▶ reader
 *        └──▶ dropped and counted, from the first that does not fit until the queue is empty: one gap, one word about it
 *
 * Node queues for a pipe or a socket that is full and goes on (Linux: measured, although its manual calls pipes synchronous). A file
 * is written at once and has no reader to wait for. A terminal is written at once too: Ctrl-S there holds the process.
 */
import type { Writable } from 'node:stream';

/**
 * Lines that may wait for the reader, in characters as the stream counts them. 8 Mi: 20,000 access log lines, ten seconds of 2,000/s,
 * for some 20 MiB of memory. Must exceed the stream's high-water mark, or the end of a gap would not be told.
 */
const UNWRITTEN_MAX = 8 * 2 ** 20;

export interface LogOutputOptions {
  readonly stream: Writable;
  readonly unwrittenMax?: number;
  /** The reader has taken all that waited, after this many lines were dropped. */
  readonly onReaderBack: (dropped: number) => void;
}

export class LogOutput {
  readonly #stream: Writable;
  readonly #unwrittenMax: number;
  readonly #onReaderBack: (dropped: number) => void;
  #dropped = 0;
  /** Lines of the gap that is open now. */
  #inGap = 0;

  constructor({ stream, unwrittenMax = UNWRITTEN_MAX, onReaderBack }: LogOutputOptions) {
    this.#stream = stream;
    this.#unwrittenMax = unwrittenMax;
    this.#onReaderBack = onReaderBack;
  }

  /** Lines that nobody will read, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  write(line: string): void {
    if (this.#inGap === 0 && this.#stream.writableLength < this.#unwrittenMax)
      this.#stream.write(line, this.#onWritten);
    else this.#drop();
  }

  #drop(): void {
    this.#dropped++;
    // Listens only while there is a gap: standard output is shared.
    if (this.#inGap++ === 0) this.#stream.once('drain', this.#onDrain);
  }

  readonly #onDrain = (): void => {
    const dropped = this.#inGap;
    this.#inGap = 0;
    this.#onReaderBack(dropped);
  };

  /** A reader that is gone takes nothing. */
  readonly #onWritten = (cause: Error | null | undefined): void => {
    if (cause != null) this.#dropped++;
  };
}
