/**
 * Where log lines go, bounded: a reader that stalls costs at most `unwrittenMax`, never a request.
 *
 *   write        ──▶ [ batch ] ──▶ [ unwritten, ≤ unwrittenMax ] ──▶ pipe ──▶ reader
 *   writeRecord  ──▶    ↑ of at most 100 ms: one system call for the records of many requests
 *                └──▶ dropped and counted, from the first that does not fit until the queue is empty: one gap, one word about it
 *
 * Node queues for a pipe or a socket that is full and goes on (Linux: measured, although its manual calls pipes synchronous). A file
 * is written at once and has no reader to wait for. A terminal is written at once too: Ctrl-S there holds the process.
 */
import type { Writable } from 'node:stream';
import type { Timer, Timers } from '../core/index.ts';

/**
 * Lines that may wait for the reader, in bytes. 8 Mi: 20,000 access log lines, ten seconds of 2,000/s,
 * for some 20 MiB of memory. Must exceed the stream's high-water mark, or the end of a gap would not be told.
 */
const UNWRITTEN_MAX = 8 * 2 ** 20;
/** A batch is written when it is as long, or so long after its first record. What kills the process without a word, as SIGKILL does, takes no more than that. */
const BATCH_BYTES = 32 * 1024;
const BATCH_MS = 100;

export interface LogOutputOptions {
  readonly stream: Writable;
  readonly timers: Timers;
  /** What stands before each line. */
  readonly prefix?: string;
  readonly unwrittenMax?: number;
  /** The reader has taken all that waited, after this many lines were dropped. */
  readonly onReaderBack: (dropped: number) => void;
}

export class LogOutput {
  readonly #stream: Writable;
  readonly #timers: Timers;
  readonly #prefix: Buffer;
  readonly #unwrittenMax: number;
  readonly #onReaderBack: (dropped: number) => void;
  #batch: Buffer = Buffer.allocUnsafeSlow(BATCH_BYTES);
  #length = 0;
  #lines = 0;
  #dropped = 0;
  /** Lines of the gap that is open now. */
  #inGap = 0;
  #isClosed = false;
  #flushing: Timer | undefined;

  constructor({ stream, timers, prefix = '', unwrittenMax = UNWRITTEN_MAX, onReaderBack }: LogOutputOptions) {
    this.#stream = stream;
    this.#timers = timers;
    this.#prefix = Buffer.from(prefix);
    this.#unwrittenMax = unwrittenMax;
    this.#onReaderBack = onReaderBack;
  }

  /** Lines that nobody will read, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Written at once, behind what waits. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    this.#add(bytes, bytes.length);
    this.flush();
  }

  /** Written with other records, soon. */
  writeRecord(bytes: Buffer, length: number): void {
    this.#add(bytes, length);
    if (this.#isClosed) this.flush();
    else this.#flushing ??= this.#timers.after(BATCH_MS, this.#flushDue);
  }

  readonly #flushDue = (): void => {
    this.#flushing = undefined;
    this.flush();
  };

  /** From now on no line waits: the process may end before it is written. */
  close(): void {
    this.#isClosed = true;
    this.#flushing?.cancel();
    this.flush();
  }

  /** Writes what waits in the batch. */
  readonly flush = (): void => {
    const [length, lines] = [this.#length, this.#lines];
    if (length === 0) return;
    this.#length = this.#lines = 0;
    const bytes = this.#batch.subarray(0, length);
    // What the stream keeps waiting is as long as its lines: a part of the batch would keep the whole of it in memory.
    const isBehind = this.#stream.writableLength > 0;
    this.#stream.write(isBehind ? Buffer.from(bytes) : bytes, (cause) => {
      // A reader that is gone takes nothing.
      if (cause != null) this.#dropped += lines;
    });
    // The bytes belong to the stream until it has written them.
    if (!isBehind && this.#stream.writableLength > 0) this.#batch = Buffer.allocUnsafeSlow(BATCH_BYTES);
  };

  #add(line: Buffer, length: number): void {
    const bytes = this.#prefix.length + length;
    if (this.#inGap > 0 || this.#stream.writableLength + this.#length >= this.#unwrittenMax) return this.#drop();
    if (this.#length + bytes > this.#batch.length) this.flush();
    if (bytes > this.#batch.length) this.#batch = Buffer.allocUnsafeSlow(bytes);
    if (this.#prefix.length > 0) this.#length += this.#prefix.copy(this.#batch, this.#length);
    this.#length += line.copy(this.#batch, this.#length, 0, length);
    this.#lines++;
  }

  #drop(): void {
    this.#dropped++;
    if (this.#inGap++ > 0) return;
    // What came before the gap is written before the word about it. Listens only while there is a gap: standard output is shared.
    this.flush();
    this.#stream.once('drain', this.#onDrain);
  }

  readonly #onDrain = (): void => {
    const dropped = this.#inGap;
    this.#inGap = 0;
    this.#onReaderBack(dropped);
  };
}
