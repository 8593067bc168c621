/**
 * What was used, as a grow-only counter (a G-counter, Shapiro et al. 2011) of each tenant, meter and day, one row an actor. An actor is
 * one life of one process; its name is never used again, so that no restart can count below, or hide behind, what stood there before.
 *
 *   series (tenant, meter) ──▶ open days:   a row an actor; the larger numbers of each stand, and are summed
 *                     └──────▶ closed days: one total each
 *
 * A day holds its total and Σ count of its rows, less credits: what was given back, never taken from a count. Only a day that was closed, and
 * comes again because the clock was set back, has both: its rows are what was counted since. Rows of this actor come out by `changedSince` in the
 * order of their versions; those of others come in by `merge`.
 *
 * Bounds: `SERIES_MAX` series, `ROWS_MAX` rows, and as many cells. Memory only of what counted: see open-days.ts and closed-days.ts.
 */
import { ClosedDays } from './closed-days.ts';
import { OpenDays } from './open-days.ts';
import { SeriesTable } from './series-table.ts';
import { isSound } from './sound.ts';

/** 2^18: 10,000 tenants of eight meters three times over. Full: see `open`. */
export const SERIES_MAX = 2 ** 18;
/** 2^20: four days of 2^18 series, or the days of a few of many actors. 68 MiB. */
export const ROWS_MAX = 2 ** 20;

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
  readonly #onChange: (tenant: string, meter: string, day: number, units: number) => void;
  readonly #series: SeriesTable;
  readonly #open: OpenDays;
  readonly #closed = new ClosedDays();
  #closings = 0;
  #reopenings = 0;
  #totals = 0;

  constructor({ actor, onChange = () => {}, seriesMax = SERIES_MAX, rowsMax = ROWS_MAX }: CounterStoreOptions) {
    this.actor = actor;
    this.#onChange = onChange;
    this.#series = new SeriesTable(seriesMax);
    this.#open = new OpenDays(rowsMax);
  }

  /** Series, open cells and rows there are. */
  get size(): { readonly series: number; readonly cells: number; readonly rows: number } {
    return { series: this.#series.size, cells: this.#open.cells, rows: this.#open.rows };
  }

  /** How often days were closed, which is no change of a row. */
  get closings(): number {
    return this.#closings;
  }

  /** How often an own row was asked for of a day that has a total. */
  get reopenings(): number {
    return this.#reopenings;
  }

  /** How many totals of others were taken. */
  get totals(): number {
    return this.#totals;
  }

  /** Of the last own change; 0 when there was none. */
  get version(): number {
    return this.#open.changes.version;
  }

  /** The own row of a day, for `add`; good until the day is closed. -1 when there is no room. */
  open(tenant: string, meter: string, day: number): number {
    const row = this.#openRow(tenant, meter, day, this.actor);
    if (row !== NONE && this.#closed.totalOf(this.#open.seriesOf(row), day) !== undefined) this.#reopenings++;
    return row;
  }

  /** hot path: counts units on an own row. */
  add(row: number, units: number): void {
    this.#open.add(row, units);
  }

  /** Gives units back. */
  refund(row: number, units: number): void {
    this.#open.refund(row, units);
  }

  /** What one day holds. */
  valueOf(tenant: string, meter: string, day: number): number {
    return this.sum(tenant, meter, day, day + 1);
  }

  /** What days `from` to `to` hold, the last not included: a month is the sum of its days. */
  sum(tenant: string, meter: string, from: number, to: number): number {
    const series = this.#series.find(tenant, meter);
    if (series === NONE) return 0;
    let sum = this.#open.sum(series, from, to);
    for (let day = from; day < to; day++) sum += this.#closed.totalOf(series, day) ?? 0;
    return sum;
  }

  /** Another's row, or one of an earlier life of this process: its larger numbers count. Nobody but this process knows its own. */
  merge(row: CounterRow): Merged {
    if (!isSound(row)) return 'malformed';
    if (row.actor === this.actor) return 'known';
    const series = this.#series.find(row.tenant, row.meter);
    if (series !== NONE && this.#closed.totalOf(series, row.day) !== undefined) return 'closed';
    return this.#raise(row);
  }

  /** What an earlier life of this process kept, in the order in which it did and before anybody else is heard: a row behind the total of its day comes on top. */
  recall(row: CounterRow): Merged {
    return isSound(row) ? this.#raise(row) : 'malformed';
  }

  #raise({ tenant, meter, day, actor, count, credit }: CounterRow): Merged {
    const row = this.#openRow(tenant, meter, day, actor);
    if (row === NONE) return 'full';
    const units = this.#open.raise(row, count, credit);
    if (units === undefined) return 'known';
    this.#onChange(tenant, meter, day, units);
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
    const before = this.valueOf(tenant, meter, day);
    const isClosed = this.#closed.totalOf(series, day) !== undefined;
    if (isClosed && total <= before) return 'known';
    this.restore({ tenant, meter, day, total: Math.max(total, before) });
    this.#totals++;
    return 'merged';
  }

  /** Own rows that changed after the version, oldest change first, each once with its newest numbers. */
  *changedSince(version: number): Generator<CounterRow & { readonly version: number }> {
    const { changes } = this.#open;
    // As it is now: who goes on counting while this is read makes it neither endless nor shorter.
    // One that was freed meanwhile may be another's by now, which is no change of ours.
    for (const row of changes.since(version))
      if (this.#open.isRow(row) && changes.versionOf(row) > version)
        yield { ...this.#rowAt(row), version: changes.versionOf(row) };
  }

  /** All that have a row. */
  actors(): Iterable<string> {
    return this.#open.actors();
  }

  /** Own rows of one tenant and meter, of the days that are open. */
  *ownRowsOf(tenant: string, meter: string): Generator<CounterRow> {
    const series = this.#series.find(tenant, meter);
    if (series === NONE) return;
    for (const row of this.#open.of(series, this.actor)) yield this.#rowAt(row);
  }

  /** Every row of an open day, whoever's. */
  *rows(): Generator<CounterRow> {
    for (const row of this.#open.all()) yield this.#rowAt(row);
  }

  *closed(): Generator<ClosedTotal> {
    // A series at a time: who reads on later may find the next one's days in its place.
    for (const series of this.#series.all()) yield* [...this.#totalsOf(series)];
  }

  /** All there is, a tenant and meter at a time, as it is in that moment: closing a day makes a total of its rows. */
  *all(): Generator<{ readonly totals: readonly ClosedTotal[]; readonly rows: readonly CounterRow[] }> {
    for (const series of this.#series.all())
      yield {
        totals: [...this.#totalsOf(series)],
        rows: [...this.#open.of(series)].map((row) => this.#rowAt(row)),
      };
  }

  /** A total that was closed before the restart: it stands for the rows that its day has. */
  restore({ tenant, meter, day, total }: ClosedTotal): boolean {
    const series = this.#openSeries(tenant, meter);
    if (series === NONE) return false;
    this.#open.take(series, day, day + 1, () => {});
    this.#closed.set(series, day, total);
    return true;
  }

  /**
   * Makes one total of each open day before `day`, and forgets what is older than `oldest`. Whoever closes sees to it that nobody
   * can still count on such a day: of what comes later nobody could say whether it is in the total.
   */
  close(day: number, oldest: number): void {
    this.#closings++;
    for (const series of this.#series.all()) {
      this.#open.take(series, 0, day, (of, value) =>
        this.#closed.set(series, of, value + (this.#closed.totalOf(series, of) ?? 0)),
      );
      if (this.#closed.forgetBefore(series, oldest) && this.#open.isEmpty(series)) this.#drop(series);
    }
  }

  *#totalsOf(series: number): Generator<ClosedTotal> {
    const name = this.#series.nameOf(series);
    for (const { day, total } of this.#closed.of(series)) yield { ...name, day, total };
  }

  #rowAt(row: number): CounterRow {
    return { ...this.#series.nameOf(this.#open.seriesOf(row)), ...this.#open.at(row) };
  }

  /** -1 when there is no room. */
  #openRow(tenant: string, meter: string, day: number, actor: string): number {
    const series = this.#openSeries(tenant, meter);
    const cell = series === NONE ? NONE : this.#open.open(series, day);
    return cell === NONE ? NONE : this.#open.openRow(cell, actor);
  }

  /** -1 when there is no room. */
  #openSeries(tenant: string, meter: string): number {
    const known = this.#series.find(tenant, meter);
    if (known !== NONE) return known;
    const series = this.#series.add(tenant, meter);
    if (series === NONE) return NONE;
    this.#open.begin(series);
    this.#closed.begin(series);
    return series;
  }

  #drop(series: number): void {
    this.#closed.drop(series);
    this.#series.drop(series);
  }
}
