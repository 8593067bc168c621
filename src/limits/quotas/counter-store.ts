/**
 * What was used, as a grow-only counter (a G-counter, Shapiro et al. 2011) of each tenant, meter and day, one row an actor. An actor is
 * one life of one process; its name is never used again, so that no restart can count below, or hide behind, what stood there before.
 *
 *   series (tenant, meter) ──▶ cell (day) ──▶ row (actor) ──▶ row …     open days: max of each actor's count, summed
 *                     │            └ base     the total of a day that was closed, and is opened again
 *                     └▶ ring of 64 days                                closed days: one total each
 *
 * The value of an open day is base + Σ count, less credits: what was given back, never taken from a count. Rows of this actor come out by
 * `changedSince` in the order of their versions; those of others come in by `merge`.
 *
 * Bounds: `SERIES_MAX` series, `ROWS_MAX` rows, and as many cells. Memory only of what counted:
 * 12 bytes a series, 32 a cell, 44 a row, two entries of maps, and what closed days take (closed-days.ts).
 */
import { enlarged, enlargedInts, roomFor } from '../arrays.ts';
import { ChangeList } from './change-list.ts';
import { ClosedDays } from './closed-days.ts';
import { Names } from './names.ts';
import { isSound } from './sound.ts';

/** 2^18: 10,000 tenants of eight meters three times over. Full: see `open`. */
export const SERIES_MAX = 2 ** 18;
/** 2^20: four days of 2^18 series, or the days of a few of many actors. 64 MiB. */
export const ROWS_MAX = 2 ** 20;
/** Names of meters: each quota of each plan has one. */
export const METERS_MAX = 1024;

/** An actor's count of one tenant, meter and day. */
export interface CounterRow {
  readonly tenant: string;
  readonly meter: string;
  /** See calendar.ts. */
  readonly day: number;
  /** 16 hex digits. */
  readonly actor: string;
  /** Units counted in all, and given back in all: neither ever falls. */
  readonly count: number;
  readonly credit: number;
}

export interface ClosedTotal {
  readonly tenant: string;
  readonly meter: string;
  readonly day: number;
  readonly total: number;
}

/**
 * What became of something that came in. - `merged`: it said more than was known. - `known`: it did not. - `closed`: its day is
 * one total here, in which nobody can tell whether it is. - `full`: there is no room. - `malformed`: no number can be that.
 */
export type Merged = 'merged' | 'known' | 'closed' | 'full' | 'malformed';

const NONE = -1;
const KEY_METERS = METERS_MAX;

export interface CounterStoreOptions {
  /** 16 hex digits, random: this life of this process. */
  readonly actor: string;
  /** Told when others' rows changed what a day holds, by how many units. */
  readonly onChange?: (tenant: string, meter: string, day: number, units: number) => void;
  /** Other bounds are for tests. */
  readonly seriesMax?: number;
  readonly rowsMax?: number;
}

export class CounterStore {
  readonly actor: string;
  readonly #seriesMax: number;
  readonly #onChange: (tenant: string, meter: string, day: number, units: number) => void;
  readonly #tenants = new Names();
  readonly #meters = new Names();
  readonly #actors = new Names();
  readonly #rowsMax: number;
  readonly #series = new Map<number, number>();
  readonly #freeSeries: number[] = [];
  readonly #freeCells: number[] = [];
  readonly #freeRows: number[] = [];
  readonly #closed = new ClosedDays();
  /** Of own rows. */
  readonly #changes = new ChangeList();
  /** By series. */
  #seriesKey: Float64Array = new Float64Array(0);
  #seriesHead: Int32Array = new Int32Array(0);
  #seriesCount = 0;
  /** By cell. */
  #cellDay: Int32Array = new Int32Array(0);
  #cellSeries: Int32Array = new Int32Array(0);
  #cellNext: Int32Array = new Int32Array(0);
  #cellHead: Int32Array = new Int32Array(0);
  #cellValue: Float64Array = new Float64Array(0);
  #base: Float64Array = new Float64Array(0);
  #cellCount = 0;
  /** By row. */
  #rowActor: Int32Array = new Int32Array(0);
  #rowCell: Int32Array = new Int32Array(0);
  #rowNext: Int32Array = new Int32Array(0);
  #count: Float64Array = new Float64Array(0);
  #credit: Float64Array = new Float64Array(0);
  #rowCount = 0;
  #closings = 0;
  #totals = 0;

  constructor({ actor, onChange = () => {}, seriesMax = SERIES_MAX, rowsMax = ROWS_MAX }: CounterStoreOptions) {
    this.actor = actor;
    this.#seriesMax = seriesMax;
    this.#rowsMax = rowsMax;
    this.#onChange = onChange;
  }

  /** Series, open cells and rows there are. */
  get size(): { readonly series: number; readonly cells: number; readonly rows: number } {
    return {
      series: this.#series.size,
      cells: this.#cellCount - this.#freeCells.length,
      rows: this.#rowCount - this.#freeRows.length,
    };
  }

  /** How often days were closed, or opened again: neither is a change of a row. */
  get closings(): number {
    return this.#closings;
  }

  /** How many totals of others were taken. */
  get totals(): number {
    return this.#totals;
  }

  /** Of the last own change; 0 when there was none. */
  get version(): number {
    return this.#changes.version;
  }

  /**
   * The own row of a day, for `add`; good until the day is closed. -1 when there is no room. A day that is closed, and comes again because
   * the clock was set back, is opened again with its total.
   */
  open(tenant: string, meter: string, day: number): number {
    const series = this.#openSeries(tenant, meter);
    if (series === NONE) return NONE;
    const cell = this.#openCell(series, day);
    return cell === NONE ? NONE : this.#openRow(cell, this.actor);
  }

  /** hot path: counts units on an own row. */
  add(row: number, units: number): void {
    (this.#count[row] as number) += units;
    (this.#cellValue[this.#rowCell[row] as number] as number) += units;
    this.#changes.touch(row);
  }

  /** Gives units back. */
  refund(row: number, units: number): void {
    (this.#credit[row] as number) += units;
    (this.#cellValue[this.#rowCell[row] as number] as number) -= units;
    this.#changes.touch(row);
  }

  /** What one day holds. */
  valueOf(tenant: string, meter: string, day: number): number {
    return this.sum(tenant, meter, day, day + 1);
  }

  /** What days `from` to `to` hold, the last not included: a month is the sum of its days. */
  sum(tenant: string, meter: string, from: number, to: number): number {
    const series = this.#findSeries(tenant, meter);
    if (series === NONE) return 0;
    let sum = 0;
    for (let cell = this.#seriesHead[series] as number; cell !== NONE; cell = this.#cellNext[cell] as number) {
      const day = this.#cellDay[cell] as number;
      if (day >= from && day < to) sum += this.#cellValue[cell] as number;
    }
    for (let day = from; day < to; day++) sum += this.#closed.totalOf(series, day) ?? 0;
    return sum;
  }

  /** Another's row, or one of an earlier life of this process: its larger numbers count. Nobody but this process knows its own. */
  merge(row: CounterRow): Merged {
    if (!isSound(row)) return 'malformed';
    if (row.actor === this.actor) return 'known';
    const cell = this.#openForOthers(row);
    return typeof cell === 'string' ? cell : this.#mergeInto(cell, row);
  }

  /** A row that an earlier life of this process kept: of a day that was opened again it is counted on top of what that was closed with. */
  recall(row: CounterRow): Merged {
    if (!isSound(row)) return 'malformed';
    const series = this.#findSeries(row.tenant, row.meter);
    const cell = series === NONE ? NONE : this.#reopenedCell(series, row.day);
    return cell === NONE ? this.merge(row) : this.#mergeInto(cell, row);
  }

  #mergeInto(cell: number, row: CounterRow): Merged {
    const { actor, count, credit } = row;
    const at = this.#openRow(cell, actor);
    if (at === NONE) return 'full';
    if (count <= (this.#count[at] as number) && credit <= (this.#credit[at] as number)) return 'known';
    this.#count[at] = Math.max(count, this.#count[at] as number);
    this.#credit[at] = Math.max(credit, this.#credit[at] as number);
    this.#change(row, cell);
    return 'merged';
  }

  /**
   * The total that another made of a day that is over. The larger one stands: totals differ when somebody closed a day without having heard
   * of all that was counted on it.
   */
  mergeTotal({ tenant, meter, day, total }: ClosedTotal): Merged {
    if (!isSound({ tenant, meter, day, actor: this.actor, count: total, credit: 0 })) return 'malformed';
    const series = this.#openSeries(tenant, meter);
    if (series === NONE) return 'full';
    const before = this.sum(tenant, meter, day, day + 1);
    const isClosed = this.#closed.totalOf(series, day) !== undefined;
    if (isClosed && total <= before) return 'known';
    this.restore({ tenant, meter, day, total: Math.max(total, before) });
    this.#totals++;
    return 'merged';
  }

  /** Computes a cell anew, and says by how much it changed. */
  #change({ tenant, meter, day }: Pick<CounterRow, 'tenant' | 'meter' | 'day'>, cell: number): void {
    const before = this.#cellValue[cell] as number;
    this.#evaluate(cell);
    this.#onChange(tenant, meter, day, (this.#cellValue[cell] as number) - before);
  }

  /** The cell that something from outside goes to, or why it does not. */
  #openForOthers({ tenant, meter, day }: Pick<CounterRow, 'tenant' | 'meter' | 'day'>): number | 'closed' | 'full' {
    const known = this.#findSeries(tenant, meter);
    if (known !== NONE && this.#closed.totalOf(known, day) !== undefined) return 'closed';
    // What others counted is in what it was closed with.
    if (known !== NONE && this.#reopenedCell(known, day) !== NONE) return 'closed';
    const series = this.#openSeries(tenant, meter);
    const cell = series === NONE ? NONE : this.#openCell(series, day);
    return cell === NONE ? 'full' : cell;
  }

  /** Own rows that changed after the version, oldest change first, each once with its newest numbers. */
  *changedSince(version: number): Generator<CounterRow & { readonly version: number }> {
    // As it is now: who goes on counting while this is read makes it neither endless nor shorter.
    for (const row of this.#changes.since(version))
      if (this.#rowActor[row] !== NONE) yield { ...this.#rowAt(row), version: this.#changes.versionOf(row) };
  }

  /** All that have a row. */
  actors(): Iterable<string> {
    return this.#actors.names();
  }

  /** Own rows of one tenant and meter, of the days that are open. */
  *ownRowsOf(tenant: string, meter: string): Generator<CounterRow> {
    const series = this.#findSeries(tenant, meter);
    if (series === NONE) return;
    const self = this.#actors.find(this.actor);
    for (let cell = this.#seriesHead[series] as number; cell !== NONE; cell = this.#cellNext[cell] as number)
      for (let row = this.#cellHead[cell] as number; row !== NONE; row = this.#rowNext[row] as number)
        if (this.#rowActor[row] === self) yield this.#rowAt(row);
  }

  /** Every row of an open day, whoever's. */
  *rows(): Generator<CounterRow> {
    for (let row = 0; row < this.#rowCount; row++) if (this.#rowActor[row] !== NONE) yield this.#rowAt(row);
  }

  *closed(): Generator<ClosedTotal> {
    for (const [key, series] of this.#series)
      for (const { day, total } of this.#closed.of(series)) yield { ...this.#nameOf(key), day, total };
  }

  /** All there is, a tenant and meter at a time: closing and opening days moves numbers from one of the three to another. */
  *all(): Generator<{
    readonly totals: readonly ClosedTotal[];
    /** Of days that were opened again: what is counted on them since then is in rows. */
    readonly bases: readonly ClosedTotal[];
    readonly rows: readonly CounterRow[];
  }> {
    for (const [key, series] of this.#series) {
      const name = this.#nameOf(key);
      const totals = [...this.#closed.of(series)].map((each) => ({ ...name, ...each }));
      const bases: ClosedTotal[] = [];
      const rows: CounterRow[] = [];
      for (let cell = this.#seriesHead[series] as number; cell !== NONE; cell = this.#cellNext[cell] as number) {
        const total = this.#base[cell] as number;
        if (total !== 0) bases.push({ ...name, day: this.#cellDay[cell] as number, total });
        for (let row = this.#cellHead[cell] as number; row !== NONE; row = this.#rowNext[row] as number)
          rows.push(this.#rowAt(row));
      }
      yield { totals, bases, rows };
    }
  }

  /** A day that was closed, and opened again, before the restart. */
  reopen({ tenant, meter, day, total }: ClosedTotal): boolean {
    const series = this.#openSeries(tenant, meter);
    const cell = series === NONE ? NONE : this.#openCell(series, day);
    if (cell === NONE) return false;
    this.#base[cell] = total;
    this.#evaluate(cell);
    return true;
  }

  /** A total that was closed before the restart: it stands for the rows of its day. */
  restore({ tenant, meter, day, total }: ClosedTotal): boolean {
    const series = this.#openSeries(tenant, meter);
    if (series === NONE) return false;
    this.#takeCells(
      (each) => each === day,
      series,
      () => {},
    );
    this.#closed.set(series, day, total);
    return true;
  }

  /**
   * Makes one total of each open day before `day`, and forgets what is older than `oldest`. Whoever closes sees to it that nobody
   * can still count on such a day: of what comes later nobody could say whether it is in the total.
   */
  close(day: number, oldest: number): void {
    this.#closings++;
    for (const [key, series] of this.#series) {
      this.#takeCells(
        (each) => each < day,
        series,
        (cell) => this.#closed.set(series, this.#cellDay[cell] as number, this.#cellValue[cell] as number),
      );
      if (this.#closed.forgetBefore(series, oldest) && this.#seriesHead[series] === NONE) this.#dropSeries(key, series);
    }
  }

  /** Takes the cells of such days out of their series; `last` is told of each while it still is one. */
  #takeCells(isMeant: (day: number) => boolean, series: number, last: (cell: number) => void): void {
    let before = NONE;
    for (let cell = this.#seriesHead[series] as number; cell !== NONE; ) {
      const next = this.#cellNext[cell] as number;
      if (isMeant(this.#cellDay[cell] as number)) {
        if (before === NONE) this.#seriesHead[series] = next;
        else this.#cellNext[before] = next;
        last(cell);
        this.#freeCell(cell);
      } else before = cell;
      cell = next;
    }
  }

  #nameOf(key: number): { readonly tenant: string; readonly meter: string } {
    return { tenant: this.#tenants.nameOf(Math.floor(key / KEY_METERS)), meter: this.#meters.nameOf(key % KEY_METERS) };
  }

  #rowAt(row: number): CounterRow {
    const cell = this.#rowCell[row] as number;
    const key = this.#seriesKey[this.#cellSeries[cell] as number] as number;
    return {
      ...this.#nameOf(key),
      day: this.#cellDay[cell] as number,
      actor: this.#actors.nameOf(this.#rowActor[row] as number),
      count: this.#count[row] as number,
      credit: this.#credit[row] as number,
    };
  }

  /** Computes a cell anew. */
  #evaluate(cell: number): void {
    let value = this.#base[cell] as number;
    for (let row = this.#cellHead[cell] as number; row !== NONE; row = this.#rowNext[row] as number)
      value += (this.#count[row] as number) - (this.#credit[row] as number);
    this.#cellValue[cell] = value;
  }

  #findSeries(tenant: string, meter: string): number {
    const [ofTenant, ofMeter] = [this.#tenants.find(tenant), this.#meters.find(meter)];
    return ofTenant === NONE || ofMeter === NONE ? NONE : (this.#series.get(ofTenant * KEY_METERS + ofMeter) ?? NONE);
  }

  #openSeries(tenant: string, meter: string): number {
    const known = this.#findSeries(tenant, meter);
    if (known !== NONE) return known;
    if (this.#series.size >= this.#seriesMax) return NONE;
    if (this.#meters.find(meter) === NONE && this.#meters.size >= METERS_MAX) return NONE;
    const key = this.#tenants.take(tenant) * KEY_METERS + this.#meters.take(meter);
    const series = this.#freeSeries.pop() ?? this.#seriesCount++;
    if (series >= this.#seriesKey.length) this.#growSeries(roomFor(series + 1));
    this.#seriesKey[series] = key;
    this.#seriesHead[series] = NONE;
    this.#closed.begin(series);
    this.#series.set(key, series);
    return series;
  }

  /** Of a day that was closed with something, and is open again; -1: it is not. */
  #reopenedCell(series: number, day: number): number {
    for (let cell = this.#seriesHead[series] as number; cell !== NONE; cell = this.#cellNext[cell] as number)
      if (this.#cellDay[cell] === day) return this.#base[cell] === 0 ? NONE : cell;
    return NONE;
  }

  /** -1 when there is no room. */
  #openCell(series: number, day: number): number {
    for (let cell = this.#seriesHead[series] as number; cell !== NONE; cell = this.#cellNext[cell] as number)
      if (this.#cellDay[cell] === day) return cell;
    if (this.size.cells >= this.#rowsMax) return NONE;
    const cell = this.#freeCells.pop() ?? this.#cellCount++;
    if (cell >= this.#cellDay.length) this.#growCells(roomFor(cell + 1));
    this.#cellDay[cell] = day;
    this.#cellSeries[cell] = series;
    this.#cellHead[cell] = NONE;
    this.#cellNext[cell] = this.#seriesHead[series] as number;
    this.#seriesHead[series] = cell;
    const total = this.#closed.take(series, day);
    if (total !== undefined) this.#closings++;
    this.#base[cell] = total ?? 0;
    this.#cellValue[cell] = this.#base[cell] as number;
    return cell;
  }

  /** -1 when there is no room. */
  #openRow(cell: number, name: string): number {
    const known = this.#actors.find(name);
    for (let row = this.#cellHead[cell] as number; row !== NONE; row = this.#rowNext[row] as number)
      if (this.#rowActor[row] === known) return row;
    if (this.size.rows >= this.#rowsMax) return NONE;
    const row = this.#freeRows.pop() ?? this.#rowCount++;
    if (row >= this.#rowActor.length) this.#growRows(roomFor(row + 1));
    this.#rowActor[row] = this.#actors.take(name);
    this.#rowCell[row] = cell;
    this.#rowNext[row] = this.#cellHead[cell] as number;
    this.#cellHead[cell] = row;
    this.#changes.begin(row);
    this.#count[row] = 0;
    this.#credit[row] = 0;
    return row;
  }

  #freeCell(cell: number): void {
    for (let row = this.#cellHead[cell] as number; row !== NONE; ) {
      const next = this.#rowNext[row] as number;
      this.#changes.remove(row);
      this.#actors.release(this.#rowActor[row] as number);
      this.#rowActor[row] = NONE;
      this.#freeRows.push(row);
      row = next;
    }
    this.#freeCells.push(cell);
  }

  #dropSeries(key: number, series: number): void {
    this.#series.delete(key);
    this.#freeSeries.push(series);
    this.#closed.drop(series);
    this.#tenants.release(Math.floor(key / KEY_METERS));
    this.#meters.release(key % KEY_METERS);
  }

  #growSeries(room: number): void {
    this.#seriesKey = enlarged(this.#seriesKey, room);
    this.#seriesHead = enlargedInts(this.#seriesHead, room);
  }

  #growCells(room: number): void {
    this.#cellDay = enlargedInts(this.#cellDay, room);
    this.#cellSeries = enlargedInts(this.#cellSeries, room);
    this.#cellNext = enlargedInts(this.#cellNext, room);
    this.#cellHead = enlargedInts(this.#cellHead, room);
    this.#cellValue = enlarged(this.#cellValue, room);
    this.#base = enlarged(this.#base, room);
  }

  #growRows(room: number): void {
    this.#rowActor = enlargedInts(this.#rowActor, room);
    this.#rowCell = enlargedInts(this.#rowCell, room);
    this.#rowNext = enlargedInts(this.#rowNext, room);
    this.#count = enlarged(this.#count, room);
    this.#credit = enlarged(this.#credit, room);
    this.#changes.grow(room);
  }
}
