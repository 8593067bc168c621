/** Reads unsigned integers up to 2^53 − 1, seven bits a byte, the lowest first; `writeVarint` of core writes them. */
import { VARINT_BYTES_MAX } from '../../core/index.ts';

/** How many bytes it takes. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/** Reads forward; once something was malformed, `isSound` is false and all that follows is 0. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  isSound = true;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  varint(): number {
    let value = 0;
    let weight = 1;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = this.byte();
      value += (byte & 127) * weight;
      if (byte < 128) return Number.isSafeInteger(value) ? value : this.#fail();
      weight *= 128;
    }
    return this.#fail();
  }

  byte(): number {
    const byte = this.#bytes[this.#at++];
    return byte === undefined ? this.#fail() : byte;
  }

  /** Latin-1 text with its length in front. */
  text(lengthMax: number): string {
    const length = this.varint();
    if (length > lengthMax || this.#at + length > this.#bytes.length) {
      this.#fail();
      return '';
    }
    let text = '';
    for (let i = 0; i < length; i++) text += String.fromCharCode(this.#bytes[this.#at + i] as number);
    this.#at += length;
    return text;
  }

  #fail(): number {
    this.isSound = false;
    this.#at = this.#bytes.length;
    return 0;
  }
}
