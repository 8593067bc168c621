/**
 * The rows of one fleet, in columns: a row is two texts and three numbers, and holds nothing of the message that it came in.
 *
 *   key ─▶ slot ─▶ key │ value │ version │ until       the slot of a row that was forgotten is the next new one's
 *           └ MESSAGE_ROWS of them ─▶ message, from when it is read until one of them changes
 *
 * Whoever reads while rows are put gets all that was there, and of what is new some.
 */
import type { KeptRow } from '../../metering/index.ts';

/** Rows of a message: of 345 bytes at most, with what is around them; a sidecar takes 64 KiB. */
const MESSAGE_ROWS = 160;

/** Bytes of the messages of all fleets, and how many there may be. */
export interface MessageRoom {
  bytes: number;
  readonly max: number;
}

export class FleetRows {
  /** Of all keys and values. */
  bytes = 0;
  readonly #room: MessageRoom;
  readonly #slots = new Map<string, number>();
  /** Empty: of no row. */
  readonly #keys: string[] = [];
  readonly #values: string[] = [];
  readonly #versions: number[] = [];
  readonly #untils: number[] = [];
  readonly #free: number[] = [];
  readonly #messages: (Buffer | undefined)[] = [];

  constructor(room: MessageRoom) {
    this.#room = room;
  }

  get size(): number {
    return this.#slots.size;
  }

  versionOf(key: Uint8Array): number | undefined {
    const slot = this.#slots.get(textOf(key));
    return slot === undefined ? undefined : this.#versions[slot];
  }

  /** In place of what is there. */
  put({ key, value, version, untilMs }: KeptRow): void {
    const text = textOf(key);
    const slot = this.#slots.get(text) ?? this.#free.pop() ?? this.#keys.length;
    this.bytes += key.length + value.length - this.#bytesOf(slot);
    this.#slots.set(text, slot);
    this.#keys[slot] = text;
    this.#values[slot] = textOf(value);
    this.#versions[slot] = version;
    this.#untils[slot] = untilMs;
    this.#letGo(Math.floor(slot / MESSAGE_ROWS));
  }

  *rows(): Generator<KeptRow> {
    for (let slot = 0; slot < this.#keys.length; slot++) {
      const row = this.#row(slot);
      if (row !== undefined) yield row;
    }
  }

  /** All of them as messages; `make` is asked for those that nobody read since they changed. */
  *messages(make: (rows: readonly KeptRow[]) => Buffer): Generator<Buffer> {
    for (let at = 0; at * MESSAGE_ROWS < this.#keys.length; at++) {
      const message = this.#messages[at] ?? this.#made(at, make);
      if (message !== undefined) yield message;
    }
  }

  /** Forgets rows whose time is over; a step a row. */
  *dropping(nowMs: number): Generator<void> {
    for (const [key, slot] of this.#slots) {
      if ((this.#untils[slot] as number) <= nowMs) this.#drop(key, slot);
      yield;
    }
  }

  /** Messages that nobody reads now. */
  letGo(): void {
    for (let at = 0; at < this.#messages.length; at++) this.#letGo(at);
  }

  #drop(key: string, slot: number): void {
    this.bytes -= this.#bytesOf(slot);
    this.#slots.delete(key);
    this.#keys[slot] = '';
    this.#values[slot] = '';
    this.#free.push(slot);
    this.#letGo(Math.floor(slot / MESSAGE_ROWS));
  }

  #bytesOf(slot: number): number {
    return (this.#keys[slot]?.length ?? 0) + (this.#values[slot]?.length ?? 0);
  }

  #row(slot: number): KeptRow | undefined {
    const key = this.#keys[slot] as string;
    if (key === '') return undefined;
    return {
      key: Buffer.from(key, 'latin1'),
      version: this.#versions[slot] as number,
      value: Buffer.from(this.#values[slot] as string, 'latin1'),
      untilMs: this.#untils[slot] as number,
    };
  }

  #made(at: number, make: (rows: readonly KeptRow[]) => Buffer): Buffer | undefined {
    const rows: KeptRow[] = [];
    const end = Math.min(this.#keys.length, (at + 1) * MESSAGE_ROWS);
    for (let slot = at * MESSAGE_ROWS; slot < end; slot++) {
      const row = this.#row(slot);
      if (row !== undefined) rows.push(row);
    }
    if (rows.length === 0) return undefined;
    const message = make(rows);
    if (this.#room.bytes + message.length > this.#room.max) return message;
    this.#room.bytes += message.length;
    this.#messages[at] = message;
    return message;
  }

  #letGo(at: number): void {
    this.#room.bytes -= this.#messages[at]?.length ?? 0;
    if (at < this.#messages.length) this.#messages[at] = undefined;
  }
}

/** A copy: a view would hold all of the message. */
function textOf({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('latin1');
}
