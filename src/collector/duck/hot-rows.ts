/**
 * Rows that are in no file yet, in two tables of DuckDB: numbers by row, and what a series is by its number.
 *
 * A series may have two numbers, one of an earlier life; whoever reads goes by what it is.
 */
import {
  DOUBLE,
  type DuckDBAppender,
  type DuckDBConnection,
  DuckDBDataChunk,
  type DuckDBType,
  INTEGER,
  UINTEGER,
  UTINYINT,
  VARCHAR,
} from '@duckdb/node-api';
import { readSeries, readWindows, type Series, type Sums } from '../../metering/index.ts';
import { operationOf } from '../../telemetry/index.ts';
import { CREATE, KEYS, LONGEST, loadSql, SUMMED, SUMS, type Written } from './sql.ts';

/** Of DuckDB's vectors. */
const CHUNK_ROWS = 2048;
/** Beyond it those without a row are forgotten. Some 200 bytes each, here and in DuckDB. */
const SERIES_MAX = 500_000;
const ROW_TYPES: readonly DuckDBType[] = [UINTEGER, INTEGER, ...SUMS.map(() => DOUBLE), DOUBLE];
const SERIES_TYPES: readonly DuckDBType[] = [INTEGER, ...KEYS.map((key) => (key === 'status' ? UTINYINT : VARCHAR))];

/** Columns of rows that are added together. */
type Columns = (string | number)[][];

export class HotRows {
  readonly #connection: DuckDBConnection;
  #numbers = new Map<string, number>();
  #nextNumber = 0;
  /** What is in `moving` is in files. */
  #hasMoved = false;

  constructor(connection: DuckDBConnection) {
    this.#connection = connection;
  }

  /** `file`: what `save` wrote. */
  async open(file: Written | undefined): Promise<void> {
    for (const sql of CREATE) await this.#connection.run(sql);
    if (file === undefined) return;
    const keys = KEYS.join(', ');
    await this.#connection.run(loadSql('loaded', file));
    await this.#connection.run(
      `INSERT INTO series SELECT row_number() OVER () - 1, ${keys} FROM (SELECT DISTINCT ${keys} FROM loaded)`,
    );
    await this.#connection.run(
      `INSERT INTO hot SELECT t, id, ${[...SUMS, LONGEST].join(', ')} FROM loaded JOIN series USING (${keys})`,
    );
    await this.#connection.run('DROP TABLE loaded');
    this.#nextNumber = await this.#one('SELECT count(*) FROM series');
  }

  /** Windows of a service. Throws when they are broken: they are our own. */
  async add(service: string, payload: Buffer): Promise<void> {
    const rows: Columns = ROW_TYPES.map(() => []);
    const series: Columns = SERIES_TYPES.map(() => []);
    const isWhole = readWindows(payload, (windowMs, bytes, sums) => {
      push(rows, [Math.floor(windowMs / 1000), this.#number(service, bytes, series), ...valuesOf(sums)]);
      return true;
    });
    if (!isWhole) throw new Error('windows of our own cannot be read');
    await this.#append('series', SERIES_TYPES, series);
    await this.#append('hot', ROW_TYPES, rows);
  }

  count(): Promise<number> {
    return this.#one('SELECT (SELECT count(*) FROM hot) + (SELECT count(*) FROM moving)');
  }

  /** Takes rows of before to `moving`, which is empty; the hours they are of, seconds, in order. */
  async move(beforeS: number): Promise<number[]> {
    if (this.#hasMoved) await this.#empty();
    const before = Math.trunc(beforeS);
    const reader = await this.#connection.runAndReadAll(
      `SELECT DISTINCT t - t % 3600 AS hour FROM hot WHERE t < ${before} ORDER BY hour`,
    );
    const hours = reader.getRowsJS().map(([hour]) => Number(hour));
    if (hours.length > 0)
      await this.#inOne([
        `INSERT INTO moving SELECT * FROM hot WHERE t < ${before}`,
        `DELETE FROM hot WHERE t < ${before}`,
      ]);
    return hours;
  }

  /** They are in files. When it rejects, the next `move` goes on with it. */
  async moved(): Promise<void> {
    this.#hasMoved = true;
    await this.#empty();
    // Of what was deleted the room is kept otherwise.
    await this.#connection.run('CREATE OR REPLACE TABLE hot AS SELECT * FROM hot');
    if (this.#numbers.size > SERIES_MAX) await this.#forget();
  }

  async #empty(): Promise<void> {
    await this.#connection.run('CREATE OR REPLACE TABLE moving AS SELECT * FROM hot LIMIT 0');
    this.#hasMoved = false;
  }

  /** They are not. */
  async moveBack(): Promise<void> {
    await this.#inOne(['INSERT INTO hot SELECT * FROM moving', 'DELETE FROM moving']);
  }

  /** Windows of before become windows of a minute. */
  async foldBefore(beforeS: number): Promise<void> {
    const before = Math.trunc(beforeS);
    const some = await this.#one(`SELECT count(*) FROM (FROM hot WHERE t < ${before} AND t % 60 <> 0 LIMIT 1)`);
    if (some === 0) return;
    await this.#connection.run(
      `CREATE OR REPLACE TABLE hot AS SELECT CAST(t - t % 60 AS UINTEGER) AS t, series, ${SUMMED} FROM hot WHERE t < ${before} GROUP BY ALL UNION ALL SELECT * FROM hot WHERE t >= ${before}`,
    );
  }

  /** Of a series; one that is new is pushed to `series`. */
  #number(service: string, bytes: Buffer, series: Columns): number {
    const name = `${service}\0${bytes.toString('latin1')}`;
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = this.#nextNumber++;
    this.#numbers.set(name, number);
    const read = readSeries(bytes);
    const { tenant, route, upstream, outcome, methodClass, statusClass, meter } = read;
    const operation = beganAs(service, read);
    push(series, [number, service, tenant, route, upstream, outcome, methodClass, statusClass, meter, operation]);
    return number;
  }

  async #forget(): Promise<void> {
    await this.#connection.run('DELETE FROM series WHERE id NOT IN (SELECT series FROM hot)');
    this.#numbers = new Map();
  }

  async #append(table: string, types: readonly DuckDBType[], columns: Columns): Promise<void> {
    const rows = (columns[0] as unknown[]).length;
    if (rows === 0) return;
    const appender: DuckDBAppender = await this.#connection.createAppender(table);
    try {
      for (let at = 0; at < rows; at += CHUNK_ROWS) {
        const chunk = DuckDBDataChunk.create(types);
        chunk.setColumns(columns.map((column) => column.slice(at, at + CHUNK_ROWS)));
        appender.appendDataChunk(chunk);
      }
    } finally {
      appender.closeSync();
    }
  }

  async #inOne(statements: readonly string[]): Promise<void> {
    await this.#connection.run('BEGIN TRANSACTION');
    try {
      for (const sql of statements) await this.#connection.run(sql);
      await this.#connection.run('COMMIT');
    } catch (cause) {
      await this.#connection.run('ROLLBACK');
      throw cause;
    }
  }

  async #one(sql: string): Promise<number> {
    const reader = await this.#connection.runAndReadAll(sql);
    return Number(reader.getRowsJS()[0]?.[0]);
  }
}

/** What does not say began where it was recorded; a report is part of no request. */
export function beganAs(service: string, { operation, outcome, route }: Series): string {
  if (operation !== '' || outcome === 'reported') return operation;
  return operationOf(service, route);
}

function push(columns: Columns, row: readonly (string | number)[]): void {
  for (let i = 0; i < row.length; i++) (columns[i] as unknown[]).push(row[i]);
}

/** As the columns stand: the sums, and the longest. */
function valuesOf({
  count,
  bytesIn,
  bytesOut,
  durationUs,
  upstreamUs,
  units,
  durationUsMax,
}: Readonly<Sums>): number[] {
  return [count, bytesIn, bytesOut, durationUs, upstreamUs, units, durationUsMax];
}
