// hot path
/**
 * Usage summed up by series and window of time. Sums are exact: whole numbers up to 2^53 − 1, and the application's own units as it
 * gave them, up to there too. What would pass it begins another row of the same window and series: whoever reads rows adds them up.
 *
 *   row      0    1    2   …        one a (window, series) that was used
 *   window   ──── Float64, wall ms at which it begins
 *   series   ──── Int32, of the table
 *   columns  ──── Float64 each: count, bytes in, bytes out, duration, longest, upstream time, units
 *   slots    hash of (window, series) → row
 *
 * Bounds: `seriesMax` series and `rowsMax` rows. When one of them is reached, `add…` says false and nothing was added: whoever fills it
 * takes what is in it and begins anew.
 */
import { Reader, VARINT_BYTES_MAX, Writer } from '../core/index.ts';
import { SeriesTable } from './series-table.ts';
import {
  KEY_BYTES_MAX,
  keyEnd,
  NAME_MAX,
  type RecordReader,
  readKey,
  type UsageKey,
  WALL_MS_MAX,
} from './usage-record.ts';

/** What is summed up in a row. Times in µs. */
export interface Sums {
  /** Requests, not counting parts of them; of a meter of the application's, reports. */
  count: number;
  bytesIn: number;
  bytesOut: number;
  durationUs: number;
  /** The longest. */
  durationUsMax: number;
  upstreamUs: number;
  /** Of the meter. */
  units: number;
}

/** Of which series: a key, and the application's meter, or empty for the request itself. */
export interface Series extends UsageKey {
  readonly meter: string;
}

/** What a request of its own adds. */
interface Amounts {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationUs: number;
  readonly upstreamUs: number;
}

const NOTHING: Amounts = { bytesIn: 0, bytesOut: 0, durationUs: 0, upstreamUs: 0 };

const COLUMNS = 7;
const [COUNT, BYTES_IN, BYTES_OUT, DURATION, LONGEST, UPSTREAM, UNITS] = [0, 1, 2, 3, 4, 5, 6] as const;
const INITIAL_ROWS = 512;
/** The longest series. */
export const SERIES_BYTES_MAX: number = KEY_BYTES_MAX + 1 + NAME_MAX;
/** What a row takes in a payload at most. */
const ROW_BYTES_MAX = 7 * VARINT_BYTES_MAX + 8;

export interface WindowsOptions {
  /** How long a window is, ms. */
  readonly spanMs: number;
  readonly seriesMax: number;
  readonly rowsMax: number;
}

export class Windows {
  readonly spanMs: number;
  readonly #rowsMax: number;
  readonly #seriesTable: SeriesTable;
  #size = 0;
  #windows = new Float64Array(INITIAL_ROWS);
  #series = new Int32Array(INITIAL_ROWS);
  #sums = new Float64Array(INITIAL_ROWS * COLUMNS);
  #slots = new Int32Array(INITIAL_ROWS * 2).fill(-1);

  constructor(options: WindowsOptions) {
    this.spanMs = options.spanMs;
    this.#rowsMax = options.rowsMax;
    this.#seriesTable = new SeriesTable(options.seriesMax);
  }

  /** Rows. */
  get size(): number {
    return this.#size;
  }

  /** What `encode` gives is no longer; of most numbers, which are small, about half. */
  get payloadBytesMax(): number {
    const ofSeries = this.#seriesTable.bytesTotal + this.#seriesTable.size * 2 * VARINT_BYTES_MAX;
    return VARINT_BYTES_MAX + this.#size * ROW_BYTES_MAX + ofSeries;
  }

  windowMs(row: number): number {
    return this.#windows[row] as number;
  }

  series(row: number): Series {
    return readSeries(this.#seriesTable.bytes(this.#series[row] as number));
  }

  sums(row: number): Sums {
    const at = row * COLUMNS;
    const sums = this.#sums;
    return {
      count: sums[at + COUNT] as number,
      bytesIn: sums[at + BYTES_IN] as number,
      bytesOut: sums[at + BYTES_OUT] as number,
      durationUs: sums[at + DURATION] as number,
      durationUsMax: sums[at + LONGEST] as number,
      upstreamUs: sums[at + UPSTREAM] as number,
      units: sums[at + UNITS] as number,
    };
  }

  /** The record that the reader stands at. `baseMs`: of its run. */
  addRecord(reader: RecordReader, baseMs: number): boolean {
    const { bytes, keyFrom, keyTo, units } = reader;
    const windowMs = this.#windowOf(baseMs + reader.sinceMs);
    // All of a record or nothing: room for its rows is made before the first is touched.
    if (!this.#hasRoom(1 + units.length)) return false;
    const count = reader.isPart ? 0 : 1;
    this.#add(windowMs, this.#seriesTable.numberOf(bytes, keyFrom, keyTo), count, reader, reader.durationUs, 0);
    for (const { meter, units: amount } of units) {
      const series = this.#seriesTable.numberOfMeter(bytes, keyFrom, keyTo, meter);
      this.#add(windowMs, series, 1, NOTHING, 0, amount);
    }
    return true;
  }

  /** A row of other windows, that are no longer than these. */
  addRow(windowMs: number, series: Uint8Array, sums: Readonly<Sums>): boolean {
    if (!this.#hasRoom(1)) return false;
    const meterAt = keyEnd(series as Buffer, 0, series.length);
    const meter = Buffer.from(series.buffer, series.byteOffset, series.length).toString('latin1', meterAt + 1);
    const number = this.#seriesTable.numberOfMeter(series, 0, meterAt, meter);
    this.#add(this.#windowOf(windowMs), number, sums.count, sums, sums.durationUsMax, sums.units);
    return true;
  }

  clear(): void {
    this.#size = 0;
    this.#slots.fill(-1);
    this.#seriesTable.clear();
  }

  /** All rows as a payload: series by series, the windows of each in order. */
  encode(): Buffer {
    const order = Array.from({ length: this.#size }, (_, row) => row);
    const [series, windows] = [this.#series, this.#windows];
    order.sort(
      (a, b) => (series[a] as number) - (series[b] as number) || (windows[a] as number) - (windows[b] as number),
    );
    const writer = new Writer(this.payloadBytesMax);
    writer.varint(this.spanMs);
    for (let from = 0; from < order.length; ) {
      const number = series[order[from] as number] as number;
      let to = from + 1;
      while (to < order.length && series[order[to] as number] === number) to++;
      const bytes = this.#seriesTable.bytes(number);
      writer.varint(bytes.length);
      writer.raw(bytes);
      writer.varint(to - from);
      let before = 0;
      for (; from < to; from++) before = this.#writeRow(writer, order[from] as number, before);
    }
    return writer.bytes.subarray(0, writer.offset);
  }

  #writeRow(writer: Writer, row: number, before: number): number {
    const number = (this.#windows[row] as number) / this.spanMs;
    const sums = this.sums(row);
    writer.varint(number - before);
    writer.varint(sums.count);
    writer.varint(sums.bytesIn);
    writer.varint(sums.bytesOut);
    writer.varint(sums.durationUs);
    writer.varint(sums.durationUsMax);
    writer.varint(sums.upstreamUs);
    writer.f64(sums.units);
    return number;
  }

  #windowOf(wallMs: number): number {
    return wallMs - (wallMs % this.spanMs);
  }

  #hasRoom(rows: number): boolean {
    return this.#size + rows <= this.#rowsMax && this.#seriesTable.hasRoom(rows);
  }

  #add(windowMs: number, series: number, count: number, amounts: Amounts, longestUs: number, units: number): void {
    let at = this.#row(windowMs, series, false) * COLUMNS;
    if (!this.#isExact(at, count, amounts, units)) at = this.#row(windowMs, series, true) * COLUMNS;
    // Not before: a row that is begun may bring another array.
    const sums = this.#sums;
    (sums[at + COUNT] as number) += count;
    (sums[at + BYTES_IN] as number) += amounts.bytesIn;
    (sums[at + BYTES_OUT] as number) += amounts.bytesOut;
    (sums[at + DURATION] as number) += amounts.durationUs;
    if (longestUs > (sums[at + LONGEST] as number)) sums[at + LONGEST] = longestUs;
    (sums[at + UPSTREAM] as number) += amounts.upstreamUs;
    (sums[at + UNITS] as number) += units;
  }

  /** Whether its sums stay exact with that. */
  #isExact(at: number, count: number, { bytesIn, bytesOut, durationUs, upstreamUs }: Amounts, units: number): boolean {
    const sums = this.#sums;
    return (
      Math.max(
        (sums[at + COUNT] as number) + count,
        (sums[at + BYTES_IN] as number) + bytesIn,
        (sums[at + BYTES_OUT] as number) + bytesOut,
        (sums[at + DURATION] as number) + durationUs,
        (sums[at + UPSTREAM] as number) + upstreamUs,
        Math.abs((sums[at + UNITS] as number) + units),
      ) <= Number.MAX_SAFE_INTEGER
    );
  }

  /** `isNew`: another one, in the place of the one that is there. */
  #row(windowMs: number, series: number, isNew: boolean): number {
    const mask = this.#slots.length - 1;
    for (let slot = hashOf(windowMs, series) & mask; ; slot = (slot + 1) & mask) {
      const row = this.#slots[slot] as number;
      if (row === -1) return this.#open(slot, windowMs, series);
      if (this.#series[row] === series && this.#windows[row] === windowMs)
        return isNew ? this.#open(slot, windowMs, series) : row;
    }
  }

  #open(slot: number, windowMs: number, series: number): number {
    const row = this.#size++;
    this.#slots[slot] = row;
    this.#windows[row] = windowMs;
    this.#series[row] = series;
    this.#sums.fill(0, row * COLUMNS, (row + 1) * COLUMNS);
    if (this.#size === this.#windows.length) this.#grow();
    return row;
  }

  #grow(): void {
    const length = this.#windows.length * 2;
    const windows = new Float64Array(length);
    windows.set(this.#windows);
    const series = new Int32Array(length);
    series.set(this.#series);
    const sums = new Float64Array(length * COLUMNS);
    sums.set(this.#sums);
    const slots = new Int32Array(length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let row = 0; row < this.#size; row++) {
      let slot = hashOf(windows[row] as number, series[row] as number) & mask;
      while (slots[slot] !== -1) slot = (slot + 1) & mask;
      slots[slot] = row;
    }
    [this.#windows, this.#series, this.#sums, this.#slots] = [windows, series, sums, slots];
  }
}

function hashOf(windowMs: number, series: number): number {
  const hash = Math.imul((windowMs / 1000) ^ Math.imul(series, 0x9e37_79b1), 0x85eb_ca6b);
  return (hash ^ (hash >>> 15)) >>> 0;
}

export function readSeries(bytes: Buffer): Series {
  const meterAt = keyEnd(bytes, 0, bytes.length);
  return { ...readKey(bytes, 0), meter: bytes.toString('latin1', meterAt + 1) };
}

/** Takes one row of a payload. False: it has no room, and reading stops. */
export type TakeRow = (windowMs: number, series: Buffer, sums: Readonly<Sums>, spanMs: number) => boolean;

/** Reads a payload of windows; false when it is broken, or when `take` said so. What was taken before stays taken. */
export function readWindows(payload: Buffer, take: TakeRow): boolean {
  const reader = new Reader(payload);
  const spanMs = reader.varint();
  if (spanMs === 0) return false;
  while (reader.hasMore) {
    const series = reader.raw(Math.min(reader.varint(), SERIES_BYTES_MAX + 1));
    if (!isSeries(series)) return false;
    let number = 0;
    for (let rows = reader.varint(); rows > 0 && !reader.isBroken; rows--) {
      number += reader.varint();
      const sums: Sums = {
        count: reader.varint(),
        bytesIn: reader.varint(),
        bytesOut: reader.varint(),
        durationUs: reader.varint(),
        durationUsMax: reader.varint(),
        upstreamUs: reader.varint(),
        units: reader.f64(),
      };
      if (reader.isBroken || number * spanMs > WALL_MS_MAX || !Number.isFinite(sums.units)) return false;
      if (!take(number * spanMs, series, sums, spanMs)) return false;
    }
  }
  return !reader.isBroken;
}

/** A key, and a meter behind it that ends with the bytes. */
export function isSeries(bytes: Buffer): boolean {
  const at = keyEnd(bytes, 0, bytes.length);
  return (
    at !== -1 &&
    at < bytes.length &&
    (bytes[at] as number) <= NAME_MAX &&
    at + 1 + (bytes[at] as number) === bytes.length
  );
}
