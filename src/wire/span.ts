// hot path
/**
 * The bytes of one value where they lie, looked at without making a string of them. There is one for all who look: it is good until the next
 * value is asked for.
 */
import { SPACE, TAB } from './bytes.ts';

const NO_BYTES = Buffer.alloc(0);

export class Span {
  bytes: Buffer = NO_BYTES;
  from = 0;
  to = 0;

  /** Moves it. */
  at(bytes: Buffer, from: number, to: number): this {
    this.bytes = bytes;
    this.from = from;
    this.to = to;
    return this;
  }

  /** Moves it to the bytes of a text that is Latin-1, as field values are (RFC 9110 §5.5). */
  of(text: string): this {
    return this.at(Buffer.from(text, 'latin1'), 0, text.length);
  }

  get length(): number {
    return this.to - this.from;
  }

  startsWith(literal: Uint8Array): boolean {
    if (this.length < literal.length) return false;
    for (let i = 0; i < literal.length; i++) if (this.bytes[this.from + i] !== literal[i]) return false;
    return true;
  }

  /** Moves its ends within the optional white space about them (RFC 9110 §5.6.3). */
  trim(): this {
    while (this.from < this.to && isBlank(this.bytes[this.from] as number)) this.from++;
    while (this.to > this.from && isBlank(this.bytes[this.to - 1] as number)) this.to--;
    return this;
  }

  /** Makes a string. */
  text(): string {
    return this.bytes.toString('latin1', this.from, this.to);
  }
}

/** Where `Headers` say that a value lies. */
export const span: Span = new Span();

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}
