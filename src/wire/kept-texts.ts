// hot path
/**
 * Texts that come again and again, found by their bytes: a text that is there costs a comparison, one that is not takes the place of the
 * one in its slot.
 *
 *   bytes ─ length, first, middle, last ─▶ slot ─▶ [ bytes | text ] ─ the very same bytes? ─▶ text
 */

/** Texts kept, of at most so many bytes: 20 KiB with what stands about them. The first is a power of two. */
const SLOTS = 64;
const BYTES_MAX = 64;

interface Kept {
  readonly bytes: Buffer;
  readonly text: string;
}

export class KeptTexts {
  readonly #make: (bytes: Buffer) => string;
  readonly #kept: (Kept | undefined)[] = new Array(SLOTS).fill(undefined);

  /** `make`: the text of bytes, always the same of the same. */
  constructor(make: (bytes: Buffer) => string) {
    this.#make = make;
  }

  of(bytes: Buffer, from: number, to: number): string {
    const length = to - from;
    if (length === 0 || length > BYTES_MAX) return this.#make(bytes.subarray(from, to));
    const spread =
      (bytes[from] as number) + 5 * (bytes[from + (length >> 1)] as number) + 7 * (bytes[to - 1] as number);
    const slot = (length + spread) & (SLOTS - 1);
    const kept = this.#kept[slot];
    if (kept !== undefined && isSame(kept.bytes, bytes, from, length)) return kept.text;
    // Of its own: a piece of Node's pool would keep all of that.
    const own = Buffer.allocUnsafeSlow(length);
    bytes.copy(own, 0, from, to);
    const text = this.#make(own);
    this.#kept[slot] = { bytes: own, text };
    return text;
  }
}

function isSame(kept: Buffer, bytes: Buffer, from: number, length: number): boolean {
  if (kept.length !== length) return false;
  for (let i = 0; i < length; i++) if (kept[i] !== bytes[from + i]) return false;
  return true;
}
