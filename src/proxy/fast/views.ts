// hot path
/**
 * Views of the beginning of a buffer that is written from again and again. A socket takes nothing but a view, and making one costs more than
 * most that is done with a head; what goes out has one of few lengths, so they are kept by it.
 */

/** Kept of one buffer: 1.5 KiB. A power of two. */
const KEPT_MAX = 16;

export class Views {
  #bytes: Buffer | undefined;
  readonly #kept: (Buffer | undefined)[] = new Array(KEPT_MAX).fill(undefined);

  /** The first `length` of `bytes`, which are the same as the last time or take their place. */
  of(bytes: Buffer, length: number): Buffer {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#kept.fill(undefined);
    }
    const at = length & (KEPT_MAX - 1);
    const kept = this.#kept[at];
    if (kept !== undefined && kept.length === length) return kept;
    const view = bytes.subarray(0, length);
    this.#kept[at] = view;
    return view;
  }
}
