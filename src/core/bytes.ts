// hot path
/** Numbers and texts as bytes, for what is sent and what is kept: big endian, varints of seven bits a byte, least first. */

export class Writer {
  readonly bytes: Buffer;
  offset = 0;
  /** Up to here may be written; whoever writes asks `room` first. */
  end: number;

  constructor(capacity: number) {
    this.bytes = Buffer.allocUnsafe(capacity);
    this.end = capacity;
  }

  reset(end: number): this {
    this.offset = 0;
    this.end = end;
    return this;
  }

  get room(): number {
    return this.end - this.offset;
  }

  u8(value: number): void {
    this.bytes[this.offset++] = value;
  }

  u32(value: number): void {
    this.offset = this.bytes.writeUInt32BE(value, this.offset);
  }

  /** A whole number up to 2^53 - 1. */
  varint(value: number): void {
    this.offset = writeVarint(this.bytes, this.offset, value);
  }

  /** Text as bytes of Latin-1, its length in front. */
  text(text: string): void {
    this.varint(text.length);
    for (let i = 0; i < text.length; i++) this.bytes[this.offset++] = text.charCodeAt(i);
  }

  f64(value: number): void {
    this.offset = this.bytes.writeDoubleBE(value, this.offset);
  }

  /** As many bytes as the text has pairs of digits. */
  hex(text: string): void {
    this.offset += this.bytes.write(text, this.offset, 'hex');
  }

  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.offset);
    this.offset += bytes.length;
  }
}

/** Bytes of the largest varint. */
export const VARINT_BYTES_MAX = 8;

/** A whole number up to 2^53 - 1. Returns where it ended; the caller left room for it. */
export function writeVarint(bytes: Uint8Array, offset: number, value: number): number {
  let at = offset;
  let rest = value;
  while (rest >= 0x80) {
    bytes[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[at++] = rest;
  return at;
}

/** Reads what others sent: beyond the end, or a number too large, breaks it, and a broken reader yields zeros. */
export class Reader {
  readonly bytes: Buffer;
  offset: number;
  isBroken: boolean;

  constructor(bytes: Buffer, offset = 0) {
    this.bytes = bytes;
    this.offset = offset;
    this.isBroken = offset > bytes.length;
  }

  /** Whether anything is left to read. */
  get hasMore(): boolean {
    return !this.isBroken && this.offset < this.bytes.length;
  }

  u8(): number {
    const at = this.#take(1);
    return this.isBroken ? 0 : (this.bytes[at] as number);
  }

  u32(): number {
    const at = this.#take(4);
    return this.isBroken ? 0 : this.bytes.readUInt32BE(at);
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 0x80;
    }
    this.isBroken = true;
    return 0;
  }

  text(lengthMax: number): string {
    const length = this.varint();
    if (length > lengthMax) this.isBroken = true;
    const at = this.#take(length);
    return this.isBroken ? '' : this.bytes.toString('latin1', at, at + length);
  }

  f64(): number {
    const at = this.#take(8);
    return this.isBroken ? 0 : this.bytes.readDoubleBE(at);
  }

  hex(bytes: number): string {
    const at = this.#take(bytes);
    return this.isBroken ? '' : this.bytes.toString('hex', at, at + bytes);
  }

  raw(length: number): Buffer {
    const at = this.#take(length);
    return this.bytes.subarray(at, this.isBroken ? at : at + length);
  }

  #take(length: number): number {
    const at = this.offset;
    if (length > this.bytes.length - at) this.isBroken = true;
    else this.offset = at + length;
    return at;
  }
}
