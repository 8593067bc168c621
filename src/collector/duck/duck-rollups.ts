/**
 * The sums in DuckDB: hot rows in tables in memory, written ones as sorted Parquet. DuckDB's own storage is not used: what a crash leaves
 * is the manifest and its files.
 *
 *   apply ─▶ hot ── save ─▶ moving ─▶ h-….parquet, m-….parquet      of hours that have ended
 *             └──────────▶ hot-….parquet                             the rest, as it was
 *
 * Which files there are knows sum-files.ts, and hot rows hot-rows.ts: here both are asked, and rows go from one to the other.
 *
 * A question sees each row once: rows change their place only while nobody asks.
 */
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance, type DuckDBType, UTINYINT, VARCHAR } from '@duckdb/node-api';
import type {
  Difference,
  Exporter,
  Question,
  Reconciled,
  RollupStore,
  StoreFigures,
  TooMany,
  UsageRow,
} from '../rollups.ts';
import { HotRows } from './hot-rows.ts';
import { DAY_S, exportSql, type Files, questionSql, reconcileSql, type Statement } from './sql.ts';
import { SumFiles, type SumFilesOptions } from './sum-files.ts';
import { Turns } from './turns.ts';

export interface DuckRollupsOptions extends SumFilesOptions {
  /** Of DuckDB's own, bytes. */
  readonly memoryBytes: number;
  readonly threads: number;
}

/** Seconds stay seconds for so long; for less when there are many rows. */
const SECONDS_S = 120;
const SECONDS_FEW_S = 15;
const ROWS_MANY = 2_000_000;

const NO_FILES: Files = { whole: [], cut: [], days: [], ends: [] };

export class DuckRollups implements RollupStore, Exporter {
  readonly #instance: DuckDBInstance;
  /** Of what changes tables. */
  readonly #main: DuckDBConnection;
  readonly #hot: HotRows;
  readonly #files: SumFiles;
  readonly #turns: Turns;
  /** On files, to be waited for at the end. */
  readonly #works = new Set<Promise<unknown>>();

  private constructor(instance: DuckDBInstance, main: DuckDBConnection, files: SumFiles, turns: Turns) {
    this.#instance = instance;
    this.#main = main;
    this.#hot = new HotRows(main);
    this.#files = files;
    this.#turns = turns;
  }

  /** Throws a ReeveError when the directory cannot be used. `word`: of the last save. */
  static async open(o: DuckRollupsOptions): Promise<DuckRollups> {
    const turns = new Turns();
    const files = SumFiles.open(o, turns);
    const instance = await DuckDBInstance.create(':memory:', {
      threads: String(o.threads),
      memory_limit: `${Math.ceil(o.memoryBytes / 2 ** 20)}MiB`,
      temp_directory: join(o.dir, 'spill'),
      // Nothing is fetched, and no other file is read than ours.
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
    const main = await instance.connect();
    await main.run('SET parquet_metadata_cache = true');
    const store = new DuckRollups(instance, main, files, turns);
    await store.#hot.open(files.hot);
    return store;
  }

  get word(): string | undefined {
    return this.#files.word;
  }

  apply(service: string, payload: Buffer): Promise<void> {
    return this.#turns.shared(() => this.#hot.add(service, payload));
  }

  query(question: Question): Promise<readonly UsageRow[] | TooMany> {
    return this.#turns.shared(async () => {
      const { source, fromS, toS, by, stepS, rowsMax, isTop } = question;
      const inDays = source === 'hours' && (stepS ?? DAY_S) % DAY_S === 0;
      const files = source === 'seconds' ? NO_FILES : this.#files.between(source, fromS, toS, inDays);
      const rows = await this.#ask(questionSql(question, files));
      if (!isTop && rows.length > rowsMax) return { tooMany: rowsMax };
      const at = stepS === undefined ? 0 : 1;
      return rows.map((row) => ({
        ...(stepS === undefined ? {} : { t: Number(row[0]) }),
        of: row.slice(at, at + by.length).map(String),
        meter: String(row[at + by.length]),
        value: Number(row[at + by.length + 1]),
      }));
    });
  }

  reconcile(fromS: number, toS: number, rowsMax: number): Promise<Reconciled> {
    return this.#turns.shared(async () => {
      const rows = await this.#ask(reconcileSql(fromS, toS, this.#files.between('hours', fromS, toS), rowsMax));
      const [total] = rows;
      const differences = rows.slice(1).map(
        ([service, tenant, hour, operation, sent, unsure, arrived]): Difference => ({
          service: String(service),
          tenant: String(tenant),
          operation: String(operation),
          hourS: Number(hour),
          sent: Number(sent),
          unsure: Number(unsure),
          arrived: Number(arrived),
        }),
      );
      return { services: Number(total?.[7]), compared: Number(total?.[8]), differences };
    });
  }

  export(form: 'csv' | 'ndjson' | 'parquet', fromS: number, toS: number): Promise<string> {
    return this.#turns.shared(async () => {
      const path = this.#files.exportPath(form);
      await this.#run(exportSql(form, path, fromS, toS, this.#files.between('hours', fromS, toS)));
      return path;
    });
  }

  /** One at a time. What is applied after the call is not in it. */
  save(word: string, sealS: number): Promise<number> {
    const connected = this.#instance.connect();
    // The turn is taken now, before anything that comes after.
    const cut = this.#turns.alone(async () => {
      const snapshot = await connected;
      const hours = await this.#hot.move(sealS);
      await snapshot.run('BEGIN TRANSACTION');
      // What is read by it from here on is as it is now.
      await snapshot.run('SELECT count(*) FROM hot');
      return { snapshot, hours };
    });
    return this.#atWork(cut.then(({ snapshot, hours }) => this.#write(snapshot, hours, word, sealS)));
  }

  async tidy(nowS: number, retainedS: number): Promise<void> {
    const rows = await this.#hot.count();
    const before = nowS - (rows > ROWS_MANY ? SECONDS_FEW_S : SECONDS_S);
    await this.#turns.alone(() => this.#hot.foldBefore(before - (before % 60)));
    return this.#atWork(this.#files.tidy((sql) => this.#run(sql), nowS, retainedS));
  }

  async figures(): Promise<StoreFigures> {
    const { count, bytes } = this.#files;
    return { hotRows: await this.#hot.count(), files: count, fileBytes: bytes };
  }

  async close(): Promise<void> {
    await Promise.all(this.#works);
    await this.#turns.alone(async () => {
      this.#main.closeSync();
      this.#instance.closeSync();
    });
  }

  async #write(snapshot: DuckDBConnection, hours: readonly number[], word: string, sealS: number): Promise<number> {
    let stands = false;
    try {
      const written = await this.#files.write((sql) => snapshot.run(sql), hours, sealS);
      await this.#turns.alone(async () => {
        this.#files.save(word, written);
        stands = true;
        await this.#hot.moved();
      });
      return hours.length;
    } catch (cause) {
      // What stands in files would count twice.
      if (!stands) await this.#turns.alone(() => this.#hot.moveBack());
      throw cause;
    } finally {
      snapshot.closeSync();
    }
  }

  #atWork<T>(work: Promise<T>): Promise<T> {
    const settled: Promise<unknown> = work.then(
      () => this.#works.delete(settled),
      () => this.#works.delete(settled),
    );
    this.#works.add(settled);
    return work;
  }

  #run(sql: string): Promise<unknown> {
    return this.#ask({ sql, values: {} });
  }

  async #ask({ sql, values }: Statement): Promise<readonly (readonly unknown[])[]> {
    const connection = await this.#instance.connect();
    try {
      const reader = await connection.runAndReadAll(sql, { ...values }, typesOf(values));
      return reader.getRowsJS() as readonly (readonly unknown[])[];
    } finally {
      connection.closeSync();
    }
  }
}

/** A status is a small number in the tables: a comparison with another type would read every row. */
function typesOf(values: Statement['values']): Record<string, DuckDBType> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, typeof value === 'string' ? VARCHAR : UTINYINT]),
  );
}
