/**
 * One zstd compressor for all batches. A new one for each would take 3 MB that V8 counts as garbage to come, and collects its heap for,
 * 30 ms every few seconds; this one takes half a megabyte, once.
 */
import { constants, createZstdCompress, type ZstdCompress } from 'node:zlib';

/** What level 3 is for payloads of 128 KiB, the window; larger ones lose little by it. */
const PARAMS = {
  [constants.ZSTD_c_compressionLevel]: 3,
  [constants.ZSTD_c_windowLog]: 17,
  [constants.ZSTD_c_hashLog]: 16,
  [constants.ZSTD_c_chainLog]: 15,
};

type Done = (frame: Buffer | undefined) => void;

export class Compressor {
  #stream: ZstdCompress | undefined;
  /** Of the frame that comes now. */
  #parts: Buffer[] = [];
  /** One a sender; their frames come in this order. */
  #waiting: Done[] = [];

  /** Calls back with one whole frame; undefined: it could not be compressed. The payload is read until then. */
  pack(payload: Buffer, done: Done): void {
    const stream = (this.#stream ??= this.#open());
    this.#waiting.push(done);
    stream.write(payload);
    stream.flush(constants.ZSTD_e_end, () => {
      // It failed, or was closed: that was said.
      if (stream !== this.#stream || stream.errored !== null) return;
      const frame = Buffer.concat(this.#parts);
      this.#parts = [];
      this.#waiting.shift()?.(frame);
    });
  }

  /** What is in it is called back for as if it could not be compressed. */
  close(): void {
    const waiting = this.#waiting;
    this.#stream?.destroy();
    this.#stream = undefined;
    this.#parts = [];
    this.#waiting = [];
    for (const done of waiting) done(undefined);
  }

  #open(): ZstdCompress {
    const stream = createZstdCompress({ params: PARAMS });
    stream.on('data', (part: Buffer) => this.#parts.push(part));
    stream.on('error', () => this.close());
    return stream;
  }
}
