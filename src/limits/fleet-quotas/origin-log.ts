/**
 * What one member tells of quotas: what each series of rows is of, once, and always the newest numbers of each of its days. Each has the version
 * it was written in; who holds version n holds all that was written up to n and is not replaced since.
 *
 *   delta    1, then entries in the order of their versions
 *   either   version − the last one's | number × 2 + 1 | key, with a day       varints; see row.ts
 *   or       version − the last one's | number × 2     | day − that day, zigzag | x | y
 *
 * A member numbers its series itself. A key stands before the first numbers of its series; a number that is free again gets another key.
 * Entries stand in a journal in the order of their versions; what was replaced is passed over, and swept out, some with each new one, when it is most of it.
 *
 * Bound: `SERIES_MAX` series, each of a few days; about 300 bytes each.
 */
import { VARINT_BYTES_MAX, writeVarint } from '../../core/index.ts';
import { VarintReader } from '../fleet/varint.ts';
import {
  ENTRY_BYTES_MAX,
  type FleetRow,
  isSound,
  NOBODY,
  type RowKey,
  readKey,
  readNumber,
  seriesOf,
  writeKey,
  writeNumber,
} from './row.ts';

/** 2^18: what 10,000 tenants of three meters count, and as much again of totals and rights. */
export const SERIES_MAX = 2 ** 18;
/** Days of a series: rights of 40 days, or the reports of a gauge that reached its mark in two. */
export const DAYS_MAX = 256;
const FORM = 1;
/** Of numbers and what stands before: they are never longer. */
const VALUE_BYTES_MAX = 3 * VARINT_BYTES_MAX + 2 * (VARINT_BYTES_MAX + 1);

interface Numbers {
  readonly day: number;
  version: number;
  x: number;
  y: number;
}

interface Series {
  readonly number: number;
  /** Its day is that of which its rows' days are told. */
  readonly key: RowKey;
  /** Version of the key. */
  readonly named: number;
  readonly rows: Numbers[];
}

interface Item {
  readonly version: number;
  readonly number: number;
  /** `NAME` for the key. */
  readonly day: number;
}

const NAME = -1;
/** Entries of the journal that are looked at with each new one, while it is being swept: more than come in, so that it ends. */
const SWEEP_STEPS = 8;

export class OriginLog {
  /** The newest version. */
  version = 0;
  readonly #teller: string;
  readonly #max: number;
  readonly #series = new Map<number, Series>();
  #journal: Item[] = [];
  /** A journal being swept: what is kept of it, up to where. */
  #swept: Item[] | undefined;
  #sweptTo = 0;
  /** Keys and rows there are. */
  #live = 0;
  /** Of the own log only. */
  readonly #numbers = new Map<string, number>();
  readonly #free: number[] = [];
  #used = 0;
  readonly #scratch = new Uint8Array(ENTRY_BYTES_MAX + VALUE_BYTES_MAX);

  /** `teller`: whose log it is. Another bound is for tests. */
  constructor(teller: string, max: number = SERIES_MAX) {
    this.#teller = teller;
    this.#max = max;
  }

  /** Rows there are. */
  get size(): number {
    return this.#live - this.#series.size;
  }

  *rows(): Generator<FleetRow> {
    for (const { key, rows } of this.#series.values()) for (const { day, x, y } of rows) yield { ...key, day, x, y };
  }

  /** Rows of which the numbers are newer than the version, oldest first. */
  *changedSince(version: number): Generator<{ readonly row: FleetRow; readonly version: number }> {
    for (let i = this.#firstAfter(version); i < this.#journal.length; i++) {
      const item = this.#journal[i] as Item;
      if (item.day === NAME || !this.#isLive(item)) continue;
      const { key, rows } = this.#series.get(item.number) as Series;
      const { day, x, y } = rows.find((each) => each.day === item.day) as Numbers;
      yield { row: { ...key, day, x, y }, version: item.version };
    }
  }

  /** The numbers that this member last told of a row. */
  told(key: RowKey): { readonly x: number; readonly y: number } | undefined {
    const number = this.#numbers.get(seriesOf(key));
    return number === undefined ? undefined : this.#series.get(number)?.rows.find(({ day }) => day === key.day);
  }

  /** Tells a row of this member. False when there is no room. */
  put(row: FleetRow): boolean {
    const text = seriesOf(row);
    let number = this.#numbers.get(text);
    if (number === undefined) {
      if (this.#series.size >= this.#max) return false;
      number = this.#free.pop() ?? this.#used++;
      this.#numbers.set(text, number);
      this.#name(number, row, ++this.version);
    }
    const series = this.#series.get(number) as Series;
    const known = series.rows.find(({ day }) => day === row.day);
    if (!hasRoom(series, row.day)) return false;
    if (known === undefined || row.x !== known.x || row.y !== known.y)
      this.#set(series, row.day, ++this.version, row.x, row.y);
    return true;
  }

  /**
   * Forgets rows whose time is over; a step a series. What others named stays until they give its number to something else: they may tell more
   * of it.
   */
  *dropping(isOver: (key: RowKey) => boolean): Generator<void> {
    for (const { number, key, rows } of this.#series.values()) {
      this.#drop(number, key, rows, isOver);
      yield;
    }
    this.#swept ??= [];
    for (; this.#swept !== undefined; this.#sweep(1)) yield;
  }

  #drop(number: number, key: RowKey, rows: Numbers[], isOver: (key: RowKey) => boolean): void {
    const kept = rows.filter(({ day }) => !isOver({ ...key, day }));
    this.#live -= rows.length - kept.length;
    rows.splice(0, rows.length, ...kept);
    if (kept.length > 0 || !this.#numbers.delete(seriesOf(key))) return;
    this.#series.delete(number);
    this.#live--;
    this.#free.push(number);
  }

  /** See `Lane.write`. */
  write(after: number, bytes: Uint8Array, offset: number, end: number): { offset: number; upTo: number } {
    if (after >= this.version || end <= offset) return { offset, upTo: after };
    let at = offset;
    let upTo = after;
    bytes[at++] = FORM;
    for (let i = this.#firstAfter(after); i < this.#journal.length; i++) {
      const item = this.#journal[i] as Item;
      if (!this.#isLive(item)) continue;
      const length = this.#encode(item, upTo);
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
      const ahead = zagzig(reader.varint());
      const x = readNumber(reader);
      const y = readNumber(reader);
      if (!(reader.isSound && isSound({ ...NO_KEY, x, y }))) return undefined;
      news.push(() => this.#takeNumbers(number, at, ahead, x, y));
    }
    const rows = news.flatMap((take) => take() ?? []);
    this.version = upTo;
    return rows;
  }

  #takeKey(number: number, key: RowKey, version: number): undefined {
    // What is held is not undone by a frame that came late.
    if (version > this.version) this.#name(number, key, version);
  }

  #takeNumbers(number: number, version: number, ahead: number, x: number, y: number): FleetRow | undefined {
    const series = this.#series.get(number);
    // Its key is not known, or it is known already.
    if (series === undefined || version <= this.version) return undefined;
    const row = { ...series.key, day: series.key.day + ahead, x, y };
    if (!isSound(row) || !hasRoom(series, row.day)) return undefined;
    this.#set(series, row.day, version, x, y);
    return row;
  }

  #name(number: number, { kind, tenant, meter, day, from, to }: RowKey, named: number): void {
    const before = this.#series.get(number);
    if (before !== undefined) this.#live -= 1 + before.rows.length;
    this.#series.set(number, { number, key: { kind, tenant, meter, day, from, to }, named, rows: [] });
    this.#live++;
    this.#note({ version: named, number, day: NAME });
  }

  #set({ number, rows }: Series, day: number, version: number, x: number, y: number): void {
    const known = rows.find((each) => each.day === day);
    if (known === undefined) {
      rows.push({ day, version, x, y });
      this.#live++;
    } else {
      known.version = version;
      known.x = x;
      known.y = y;
    }
    this.#note({ version, number, day });
  }

  #note(item: Item): void {
    this.#journal.push(item);
    if (this.#swept === undefined && this.#journal.length > 4 * this.#live + 64) this.#swept = [];
    this.#sweep(SWEEP_STEPS);
  }

  /** Goes on so far, if it is being swept: all of it at once would hold the loop. What is noted meanwhile is behind it, and comes last. */
  #sweep(steps: number): void {
    for (let step = 0; step < steps && this.#swept !== undefined; step++) {
      const item = this.#journal[this.#sweptTo++];
      if (item === undefined) {
        this.#journal = this.#swept;
        this.#swept = undefined;
        this.#sweptTo = 0;
      } else if (this.#isLive(item)) this.#swept.push(item);
    }
  }

  /** Whether nothing newer replaced it. */
  #isLive({ version, number, day }: Item): boolean {
    const series = this.#series.get(number);
    if (day === NAME) return series?.named === version;
    return series?.rows.some((each) => each.day === day && each.version === version) === true;
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
  #encode({ version, number, day }: Item, upTo: number): number {
    const { key, rows } = this.#series.get(number) as Series;
    const at = writeVarint(this.#scratch, 0, version - upTo);
    if (day === NAME) return writeKey(this.#scratch, writeVarint(this.#scratch, at, number * 2 + 1), key, this.#teller);
    const { x, y } = rows.find((each) => each.day === day) as Numbers;
    const head = writeVarint(this.#scratch, at, number * 2);
    const values = writeVarint(this.#scratch, head, zigzag(day - key.day));
    return writeNumber(this.#scratch, writeNumber(this.#scratch, values, x), y);
  }
}

const NO_KEY = { kind: 'count', tenant: '', meter: '', day: 0, from: NOBODY, to: NOBODY } as const;

function hasRoom({ rows }: Series, day: number): boolean {
  return rows.length < DAYS_MAX || rows.some((each) => each.day === day);
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function zagzig(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}
