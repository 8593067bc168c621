// hot path
/**
 * A log line of one kind that is written with nearly every request: field by field as bytes, into a buffer that is used again, so that
 * a line leaves nothing to collect.
 *
 *   {"timestamp":"2026-01-01T00:00:00.  000  Z",…  ,"url.path":  "/a"  …  }
 *      └ new once a second                ms  └ prepared           field by field
 */
import type { Clock } from '../core/index.ts';

/** Longest text of one field, in characters. A log line must stay a line. */
export const TEXT_MAX = 2048;
/** At first. It grows to what the fields of the longest line take: each is bounded by TEXT_MAX. */
const LINE_BYTES = 2048;
/** A character takes at most 6 bytes: `\u0000`. Beside it stand quotes and the mark of a cut. */
const BYTES_PER_CHAR = 6;

/** A field's name as it stands in the line, made once. */
export class FieldName {
  readonly bytes: Buffer;

  constructor(name: string) {
    this.bytes = Buffer.from(`,${JSON.stringify(name)}:`);
  }
}

export interface LogRecordOptions {
  readonly clock: Clock;
  /** What stands behind the timestamp in every line, from its comma on. */
  readonly head: string;
  /** Takes one line, newline included. The bytes are the record's again when it returns. */
  readonly write: (bytes: Buffer, length: number) => void;
}

/** One line at a time: `begin`, fields, `end`. */
export class LogRecord {
  readonly #clock: Clock;
  readonly #head: Buffer;
  readonly #write: (bytes: Buffer, length: number) => void;
  #bytes: Buffer = Buffer.allocUnsafeSlow(LINE_BYTES);
  #length = 0;
  #second = Number.NaN;

  constructor({ clock, head, write }: LogRecordOptions) {
    this.#clock = clock;
    this.#head = Buffer.from(`Z"${head}`);
    this.#write = write;
  }

  /** `now`: wall ms, where the caller has it. */
  begin(now: number = this.#clock.wallMs()): void {
    const second = Math.floor(now / 1000);
    // The beginning of the last line is that of this one, but for its milliseconds.
    if (second !== this.#second) {
      this.#second = second;
      const since = new Date(second * 1000).toISOString().slice(0, -'000Z'.length);
      this.#length = this.#bytes.write(`{"timestamp":"${since}`, 0, 'latin1');
    } else this.#length = TIMESTAMP_BYTES;
    this.#digits(Math.floor(now) - second * 1000, 3);
    this.#add(this.#head);
  }

  /** Nothing for what is undefined. */
  text(name: FieldName, value: string | undefined): void {
    if (value === undefined) return;
    this.#room(name.bytes.length + Math.min(value.length, TEXT_MAX) * BYTES_PER_CHAR + 8);
    this.#add(name.bytes);
    const bytes = this.#bytes;
    let at = this.#length;
    bytes[at++] = QUOTE;
    const isPlain = value.length <= TEXT_MAX;
    let i = 0;
    for (; isPlain && i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code < 0x20 || code > 0x7e || code === QUOTE || code === BACKSLASH) break;
      bytes[at++] = code;
    }
    if (i < value.length) this.#length += bytes.write(JSON.stringify(cut(value)), this.#length);
    else {
      bytes[at++] = QUOTE;
      this.#length = at;
    }
  }

  /** A text that needs no escape and no cut, such as an id that was made here. */
  plain(name: FieldName, value: string): void {
    this.#room(name.bytes.length + value.length + 2);
    this.#add(name.bytes);
    const bytes = this.#bytes;
    bytes[this.#length++] = QUOTE;
    this.#length += bytes.write(value, this.#length, 'latin1');
    bytes[this.#length++] = QUOTE;
  }

  /** A finite number, with two decimals when it is no integer. Nothing for what is undefined. */
  number(name: FieldName, value: number | undefined): void {
    if (value === undefined) return;
    this.#room(name.bytes.length + NUMBER_BYTES);
    this.#add(name.bytes);
    if (!(value >= 0 && value < CENTS_MAX)) this.#length += this.#bytes.write(textOf(value), this.#length, 'latin1');
    else if (value === (value | 0)) this.#integer(value);
    else this.#hundredths(Math.round(value * 100));
  }

  /** Where the next field will stand in this line. */
  get length(): number {
    return this.#length;
  }

  /** The fields of this line from there on, a copy, for `again`. */
  since(from: number): Buffer {
    // Of its own: a piece of Node's pool would keep all of that.
    const fields = Buffer.allocUnsafeSlow(this.#length - from);
    this.#bytes.copy(fields, 0, from, this.#length);
    return fields;
  }

  /** Fields that another line had as well. */
  again(fields: Buffer): void {
    this.#add(fields);
  }

  end(): void {
    this.#room(2);
    this.#bytes[this.#length++] = CLOSE;
    this.#bytes[this.#length++] = NEWLINE;
    this.#write(this.#bytes, this.#length);
  }

  #add(added: Buffer): void {
    const { length } = added;
    this.#room(length);
    if (length >= CALL_BYTES_MIN) this.#length += added.copy(this.#bytes, this.#length);
    else {
      const bytes = this.#bytes;
      let at = this.#length;
      for (let i = 0; i < length; i++) bytes[at++] = added[i] as number;
      this.#length = at;
    }
  }

  #integer(value: number): void {
    let digits = 1;
    for (let power = 10; power <= value; power *= 10) digits++;
    this.#digits(value, digits);
  }

  /** As `String(cents / 100)` has them, without the text. */
  #hundredths(cents: number): void {
    const whole = Math.floor(cents / 100);
    const rest = cents - 100 * whole;
    this.#integer(whole);
    if (rest === 0) return;
    this.#bytes[this.#length++] = POINT;
    if (rest % 10 === 0) this.#digits(rest / 10, 1);
    else this.#digits(rest, 2);
  }

  #digits(value: number, digits: number): void {
    const bytes = this.#bytes;
    let rest = value;
    for (let at = this.#length + digits - 1; at >= this.#length; at--) {
      const tens = Math.floor(rest / 10);
      bytes[at] = ZERO + rest - 10 * tens;
      rest = tens;
    }
    this.#length += digits;
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * (this.#length + bytes));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

const TIMESTAMP_BYTES = '{"timestamp":"2026-01-01T00:00:00.'.length;
const NUMBER_BYTES = 32;
/** So that a hundred times as much is exact. */
const CENTS_MAX = 2 ** 46;
/** Shorter pieces are copied faster by a loop than by a call of Node's. */
const CALL_BYTES_MIN = 48;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const CLOSE = 0x7d;
const NEWLINE = 0x0a;
const ZERO = 0x30;
const POINT = 0x2e;

function textOf(value: number): string {
  return String(Number.isSafeInteger(value) ? value : Math.round(value * 100) / 100);
}

export function cut(text: string): string {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}
