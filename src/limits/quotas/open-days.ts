// hot path
/**
 * Days that are open, by series: a cell each, and in it a row for each actor that counted. Linked through arrays, so that a count is a few
 * numbers, however many there are; what is freed is used again.
 *
 *   series ──▶ cell (day, Σ of its rows) ──▶ row (actor: count, credit) ──▶ row …
 *                └▶ cell …
 *
 * Bounds: so many rows, and as many cells. 4 bytes a series, 24 a cell, 44 a row.
 */
import { enlarged, enlargedInts, roomFor } from '../arrays.ts';
import { ChangeList } from './change-list.ts';
import { Names } from './names.ts';

/** No room; no such cell or row. */
const NONE = -1;

export class OpenDays {
  /** Rows that were counted on here, in that order. */
  readonly changes: ChangeList = new ChangeList();
  readonly #most: number;
  readonly #actors = new Names();
  readonly #freeCells: number[] = [];
  readonly #freeRows: number[] = [];
  /** By series. */
  #head: Int32Array = new Int32Array(0);
  /** By cell. */
  #day: Int32Array = new Int32Array(0);
  #series: Int32Array = new Int32Array(0);
  #nextCell: Int32Array = new Int32Array(0);
  #firstRow: Int32Array = new Int32Array(0);
  #value: Float64Array = new Float64Array(0);
  #cellCount = 0;
  /** By row. */
  #actor: Int32Array = new Int32Array(0);
  #cell: Int32Array = new Int32Array(0);
  #nextRow: Int32Array = new Int32Array(0);
  #count: Float64Array = new Float64Array(0);
  #credit: Float64Array = new Float64Array(0);
  #rowCount = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get cells(): number {
    return this.#cellCount - this.#freeCells.length;
  }

  get rows(): number {
    return this.#rowCount - this.#freeRows.length;
  }

  /** All that have a row. */
  actors(): Iterable<string> {
    return this.#actors.names();
  }

  /** A series that is new has none. */
  begin(series: number): void {
    if (series >= this.#head.length) this.#head = enlargedInts(this.#head, roomFor(series + 1), NONE);
    this.#head[series] = NONE;
  }

  isEmpty(series: number): boolean {
    return this.#head[series] === NONE;
  }

  /** -1: the day is not open. */
  #find(series: number, day: number): number {
    for (let cell = this.#head[series] as number; cell !== NONE; cell = this.#nextCell[cell] as number)
      if (this.#day[cell] === day) return cell;
    return NONE;
  }

  /** The cell of a day; -1 when there is no room. */
  open(series: number, day: number): number {
    const known = this.#find(series, day);
    if (known !== NONE) return known;
    if (this.cells >= this.#most) return NONE;
    const cell = this.#freeCells.pop() ?? this.#cellCount++;
    if (cell >= this.#day.length) this.#growCells(roomFor(cell + 1));
    this.#day[cell] = day;
    this.#series[cell] = series;
    this.#firstRow[cell] = NONE;
    this.#value[cell] = 0;
    this.#nextCell[cell] = this.#head[series] as number;
    this.#head[series] = cell;
    return cell;
  }

  /** An actor's row; -1 when there is no room. */
  openRow(cell: number, actor: string): number {
    const known = this.#actors.find(actor);
    for (let row = this.#firstRow[cell] as number; row !== NONE; row = this.#nextRow[row] as number)
      if (this.#actor[row] === known) return row;
    if (this.rows >= this.#most) return NONE;
    const row = this.#freeRows.pop() ?? this.#rowCount++;
    if (row >= this.#actor.length) this.#growRows(roomFor(row + 1));
    this.#actor[row] = this.#actors.take(actor);
    this.#cell[row] = cell;
    this.#nextRow[row] = this.#firstRow[cell] as number;
    this.#firstRow[cell] = row;
    this.#count[row] = 0;
    this.#credit[row] = 0;
    this.changes.begin(row);
    return row;
  }

  /** hot path: counts units. */
  add(row: number, units: number): void {
    (this.#count[row] as number) += units;
    (this.#value[this.#cell[row] as number] as number) += units;
    this.changes.touch(row);
  }

  /** Gives units back. */
  refund(row: number, units: number): void {
    (this.#credit[row] as number) += units;
    (this.#value[this.#cell[row] as number] as number) -= units;
    this.changes.touch(row);
  }

  /** Raises a row to what is larger. By how much its day changed; undefined: nothing is larger. */
  raise(row: number, count: number, credit: number): number | undefined {
    if (count <= (this.#count[row] as number) && credit <= (this.#credit[row] as number)) return undefined;
    this.#count[row] = Math.max(count, this.#count[row] as number);
    this.#credit[row] = Math.max(credit, this.#credit[row] as number);
    const cell = this.#cell[row] as number;
    const before = this.#value[cell] as number;
    this.#value[cell] = this.#sumOf(cell);
    return (this.#value[cell] as number) - before;
  }

  #sumOf(cell: number): number {
    let sum = 0;
    for (let row = this.#firstRow[cell] as number; row !== NONE; row = this.#nextRow[row] as number)
      sum += (this.#count[row] as number) - (this.#credit[row] as number);
    return sum;
  }

  /** What was counted on days `from` to `to`, the last not included. */
  sum(series: number, from: number, to: number): number {
    let sum = 0;
    for (let cell = this.#head[series] as number; cell !== NONE; cell = this.#nextCell[cell] as number) {
      const day = this.#day[cell] as number;
      if (day >= from && day < to) sum += this.#value[cell] as number;
    }
    return sum;
  }

  /** Every row there is. */
  *all(): Generator<number> {
    for (let row = 0; row < this.#rowCount; row++) if (this.isRow(row)) yield row;
  }

  /** Rows of a series; those of one actor, if one is named. */
  *of(series: number, actor?: string): Generator<number> {
    const only = actor === undefined ? undefined : this.#actors.find(actor);
    for (let cell = this.#head[series] as number; cell !== NONE; cell = this.#nextCell[cell] as number)
      for (let row = this.#firstRow[cell] as number; row !== NONE; row = this.#nextRow[row] as number)
        if (only === undefined || this.#actor[row] === only) yield row;
  }

  isRow(row: number): boolean {
    return this.#actor[row] !== NONE;
  }

  seriesOf(row: number): number {
    return this.#series[this.#cell[row] as number] as number;
  }

  at(row: number): { readonly day: number; readonly actor: string; readonly count: number; readonly credit: number } {
    return {
      day: this.#day[this.#cell[row] as number] as number,
      actor: this.#actors.nameOf(this.#actor[row] as number),
      count: this.#count[row] as number,
      credit: this.#credit[row] as number,
    };
  }

  /** Takes days `from` to `to` out of a series, the last not included; `last` is told what each held. */
  take(series: number, from: number, to: number, last: (day: number, value: number) => void): void {
    let before = NONE;
    for (let cell = this.#head[series] as number; cell !== NONE; ) {
      const next = this.#nextCell[cell] as number;
      const day = this.#day[cell] as number;
      if (day >= from && day < to) {
        if (before === NONE) this.#head[series] = next;
        else this.#nextCell[before] = next;
        last(day, this.#value[cell] as number);
        this.#free(cell);
      } else before = cell;
      cell = next;
    }
  }

  #free(cell: number): void {
    for (let row = this.#firstRow[cell] as number; row !== NONE; row = this.#nextRow[row] as number) {
      this.changes.remove(row);
      this.#actors.release(this.#actor[row] as number);
      this.#actor[row] = NONE;
      this.#freeRows.push(row);
    }
    this.#freeCells.push(cell);
  }

  #growCells(room: number): void {
    this.#day = enlargedInts(this.#day, room);
    this.#series = enlargedInts(this.#series, room);
    this.#nextCell = enlargedInts(this.#nextCell, room);
    this.#firstRow = enlargedInts(this.#firstRow, room);
    this.#value = enlarged(this.#value, room);
  }

  #growRows(room: number): void {
    this.#actor = enlargedInts(this.#actor, room);
    this.#cell = enlargedInts(this.#cell, room);
    this.#nextRow = enlargedInts(this.#nextRow, room);
    this.#count = enlarged(this.#count, room);
    this.#credit = enlarged(this.#credit, room);
    this.changes.grow(room);
  }
}
