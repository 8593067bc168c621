/**
 * What one member tells of quotas: the key of each row, once, and always its newest numbers. Each has the version it was written in; who
 * holds version n holds all that was written up to n and is not replaced since.
 *
 *   delta    1, then entries in the order of their versions
 *   either   version − the last one's | number × 2 + 1 | key           varints; see row.ts
 *   or       version − the last one's | number × 2     | x | y
 *
 * A member numbers its rows itself. A key stands before the first numbers of its row; a number that is free again gets another key.
 * Entries stand in a journal in the order of their versions; what was replaced is passed over, and swept out when it is most of it.
 *
 * Bound: `ENTRIES_MAX` rows; about 200 bytes each.
 */
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../fleet/varint.ts';
import {
  ENTRY_BYTES_MAX,
  type FleetRow,
  isSound,
  keyOf,
  type RowKey,
  readKey,
  readNumber,
  writeKey,
  writeNumber,
} from './row.ts';

/** 2^18: what 10,000 tenants of three meters count in the days that are open, and as much again of totals. */
export const ENTRIES_MAX = 2 ** 18;
const FORM = 1;
/** Of numbers and what stands before: they are never longer. */
const VALUE_BYTES_MAX = 2 * VARINT_BYTES_MAX + 2 * (VARINT_BYTES_MAX + 1);

interface Entry {
  readonly number: number;
  readonly key: RowKey;
  /** Version of the key. */
  readonly named: number;
  /** Version of the numbers; 0 before they came. */
  version: number;
  x: number;
  y: number;
}

interface Item {
  readonly version: number;
  readonly number: number;
}

export class OriginLog {
  /** The newest version. */
  version = 0;
  readonly #teller: string;
  readonly #max: number;
  readonly #entries = new Map<number, Entry>();
  #journal: Item[] = [];
  /** Of the own log only. */
  readonly #numbers = new Map<string, number>();
  readonly #free: number[] = [];
  #used = 0;
  readonly #scratch = new Uint8Array(ENTRY_BYTES_MAX + VALUE_BYTES_MAX);

  /** `teller`: whose log it is. Another bound is for tests. */
  constructor(teller: string, max: number = ENTRIES_MAX) {
    this.#teller = teller;
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Rows that have numbers. */
  *rows(): Generator<FleetRow> {
    for (const { key, version, x, y } of this.#entries.values()) if (version > 0) yield { ...key, x, y };
  }

  /** Tells a row of this member. False when there is no room. */
  put(row: FleetRow): boolean {
    const text = keyOf(row);
    let number = this.#numbers.get(text);
    if (number === undefined) {
      if (this.size >= this.#max) return false;
      number = this.#free.pop() ?? this.#used++;
      this.#numbers.set(text, number);
      this.#name(number, row, ++this.version);
    }
    const entry = this.#entries.get(number) as Entry;
    if (entry.version === 0 || row.x !== entry.x || row.y !== entry.y) this.#set(entry, ++this.version, row.x, row.y);
    return true;
  }

  /** Forgets rows whose time is over. */
  drop(isOver: (key: RowKey) => boolean): void {
    for (const [number, { key }] of this.#entries) {
      if (!isOver(key)) continue;
      this.#entries.delete(number);
      if (this.#numbers.delete(keyOf(key))) this.#free.push(number);
    }
    this.#sweep();
  }

  /** See `Lane.write`. */
  write(after: number, bytes: Uint8Array, offset: number, end: number): { offset: number; upTo: number } {
    if (after >= this.version || end <= offset) return { offset, upTo: after };
    let at = offset;
    let upTo = after;
    bytes[at++] = FORM;
    for (let i = this.#firstAfter(after); i < this.#journal.length; i++) {
      const item = this.#journal[i] as Item;
      const entry = this.#live(item);
      if (entry === undefined) continue;
      const length = this.#encode(entry, item, upTo);
      if (at + length > end) return upTo === after ? { offset, upTo } : { offset: at, upTo };
      bytes.set(this.#scratch.subarray(0, length), at);
      at += length;
      upTo = item.version;
    }
    return { offset: at, upTo: this.version };
  }

  /** The rows of a delta that are news, in their order, or undefined when it is malformed or does not continue what is held: then nothing changed. */
  read(after: number, upTo: number, bytes: Uint8Array): FleetRow[] | undefined {
    if (after > this.version || upTo <= this.version) return undefined;
    const reader = new VarintReader(bytes);
    if (reader.byte() !== FORM) return undefined;
    const news: (() => FleetRow | undefined)[] = [];
    let version = after;
    while (!reader.isAtEnd) {
      const step = reader.varint();
      version += step;
      const head = reader.varint();
      const number = Math.floor(head / 2);
      const at = version;
      if (step === 0 || number >= this.#max || at > upTo) return undefined;
      if (head % 2 === 1) {
        const key = readKey(reader, this.#teller);
        if (key === undefined) return undefined;
        news.push(() => this.#takeKey(number, key, at));
        continue;
      }
      const x = readNumber(reader);
      const y = readNumber(reader);
      if (!(reader.isSound && isSound({ ...NO_KEY, x, y }))) return undefined;
      news.push(() => this.#takeNumbers(number, at, x, y));
    }
    const held = this.version;
    const rows = news.flatMap((take) => take() ?? []);
    this.version = Math.max(held, upTo);
    return rows;
  }

  #takeKey(number: number, key: RowKey, version: number): undefined {
    // What is held is not undone by a frame that came late.
    if (version > this.version) this.#name(number, key, version);
  }

  #takeNumbers(number: number, version: number, x: number, y: number): FleetRow | undefined {
    const entry = this.#entries.get(number);
    // Forgotten here, its time being over, or known already.
    if (entry === undefined || version <= this.version) return undefined;
    this.#set(entry, version, x, y);
    return { ...entry.key, x, y };
  }

  #name(number: number, { kind, tenant, meter, day, from, to }: RowKey, named: number): void {
    const key = { kind, tenant, meter, day, from, to };
    this.#entries.set(number, { number, key, named, version: 0, x: 0, y: 0 });
    this.#journal.push({ version: named, number });
  }

  #set(entry: Entry, version: number, x: number, y: number): void {
    entry.version = version;
    entry.x = x;
    entry.y = y;
    this.#journal.push({ version, number: entry.number });
    if (this.#journal.length > 4 * this.size + 64) this.#sweep();
  }

  #sweep(): void {
    this.#journal = this.#journal.filter((item) => this.#live(item) !== undefined);
  }

  /** The entry of which the item is the newest, or whose key it is. */
  #live({ version, number }: Item): Entry | undefined {
    const entry = this.#entries.get(number);
    return entry?.version === version || entry?.named === version ? entry : undefined;
  }

  #firstAfter(version: number): number {
    let [low, high] = [0, this.#journal.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#journal[middle] as Item).version > version) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Into the scratch; returns its length. */
  #encode({ number, key, named, x, y }: Entry, { version }: Item, upTo: number): number {
    const at = writeVarint(this.#scratch, 0, version - upTo);
    if (version === named)
      return writeKey(this.#scratch, writeVarint(this.#scratch, at, number * 2 + 1), key, this.#teller);
    const values = writeVarint(this.#scratch, at, number * 2);
    return writeNumber(this.#scratch, writeNumber(this.#scratch, values, x), y);
  }
}

const NO_KEY = { kind: 'count', tenant: '', meter: '', day: 0, from: '0'.repeat(16), to: '0'.repeat(16) } as const;
