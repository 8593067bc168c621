/**
 * The sums in DuckDB: hot rows in tables in memory, written ones as sorted Parquet. DuckDB's own storage is not used: what a crash leaves
 * is the manifest and its files.
 *
 *   apply ─▶ hot ── save ─▶ moving ─▶ h-….parquet, m-….parquet      of hours that have ended
 *             └──────────▶ hot-….parquet                             the rest, as it was
 *
 * A file of hours that has a day or more has its sums of days beside it, d-….parquet: who asks for no hours reads a 24th.
 *
 * A question sees each row once: rows change their place only while nobody asks.
 */
import { rmSync, statSync } from 'node:fs';
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
import { type Manifest, namesOf, readManifest, type SumFile, syncPath, writeManifest } from './manifest.ts';
import { nextMerge } from './merging.ts';
import {
  DAY_S,
  daysSql,
  exportSql,
  type Files,
  fileSql,
  hotSql,
  mergeSql,
  questionSql,
  reconcileSql,
  type Statement,
  type Written,
  wholeDays,
} from './sql.ts';
import { Turns } from './turns.ts';

export interface DuckRollupsOptions {
  readonly dir: string;
  /** Of DuckDB's own, bytes. */
  readonly memoryBytes: number;
  readonly threads: number;
  /** How long they are kept, seconds. */
  readonly keepMinutesS: number;
  readonly keepHoursS: number;
}

const HOUR_S = 3600;
/** Hours that are older when they are written come late, and share a file a day. */
const LATE_S = 2 * DAY_S;
/** Seconds stay seconds for so long; for less when there are many rows. */
const SECONDS_S = 120;
const SECONDS_FEW_S = 15;
const ROWS_MANY = 2_000_000;
/** Merges of one tidying. */
const MERGES_MAX = 4;
/** Files of days that one tidying makes. */
const DAYS_MAX = 4;

const NO_FILES: Files = { whole: [], cut: [], days: [], ends: [] };

export class DuckRollups implements RollupStore, Exporter {
  readonly #o: DuckRollupsOptions;
  readonly #instance: DuckDBInstance;
  /** Of what changes tables. */
  readonly #main: DuckDBConnection;
  readonly #hot: HotRows;
  readonly #turns = new Turns();
  #manifest: Manifest;
  /** On files, to be waited for at the end. */
  readonly #works = new Set<Promise<unknown>>();

  private constructor(o: DuckRollupsOptions, instance: DuckDBInstance, main: DuckDBConnection, manifest: Manifest) {
    this.#o = o;
    this.#instance = instance;
    this.#main = main;
    this.#manifest = manifest;
    this.#hot = new HotRows(main);
  }

  /** Throws a ReeveError when the directory cannot be used. `word`: of the last save. */
  static async open(o: DuckRollupsOptions): Promise<DuckRollups> {
    const manifest = readManifest(o.dir);
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
    const store = new DuckRollups(o, instance, main, manifest);
    const { hot, version } = manifest;
    await store.#hot.open(hot === undefined ? undefined : { path: join(o.dir, hot), hasOperation: version > 1 });
    return store;
  }

  get word(): string | undefined {
    return this.#manifest.word;
  }

  apply(service: string, payload: Buffer): Promise<void> {
    return this.#turns.shared(() => this.#hot.add(service, payload));
  }

  query(question: Question): Promise<readonly UsageRow[] | TooMany> {
    return this.#turns.shared(async () => {
      const { source, fromS, toS, by, stepS, rowsMax, isTop } = question;
      const inDays = source === 'hours' && (stepS ?? DAY_S) % DAY_S === 0;
      const files = source === 'seconds' ? NO_FILES : this.#files(source, fromS, toS, inDays);
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
      const rows = await this.#ask(reconcileSql(fromS, toS, this.#files('hours', fromS, toS), rowsMax));
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
      const path = join(this.#o.dir, `export-${this.#number()}.${form}`);
      await this.#ask({
        sql: exportSql(form, path, fromS, toS, this.#files('hours', fromS, toS)),
        values: {},
      });
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
    return this.#atWork(this.#tidyFiles(nowS, retainedS));
  }

  async figures(): Promise<StoreFigures> {
    const { files } = this.#manifest;
    const fileBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
    return { hotRows: await this.#hot.count(), files: files.length, fileBytes };
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
      const added: SumFile[] = [];
      for (const [fromS, toS] of spansOf(hours, sealS))
        for (const kind of ['hours', 'minutes'] as const) added.push(await this.#writeSums(snapshot, kind, fromS, toS));
      const hot = `hot-${this.#number()}.parquet`;
      const path = join(this.#o.dir, hot);
      await snapshot.run(hotSql(path));
      syncPath(path);
      await this.#turns.alone(async () => {
        this.#replace({ ...this.#manifest, version: 2, word, hot, files: [...this.#manifest.files, ...added] });
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

  async #writeSums(connection: DuckDBConnection, kind: SumFile['kind'], fromS: number, toS: number): Promise<SumFile> {
    const name = `${kind[0]}-${fromS / HOUR_S}-${this.#number()}.parquet`;
    const path = join(this.#o.dir, name);
    const rev = Math.max(-1, ...this.#overlapping(kind, fromS, toS).map((file) => file.rev)) + 1;
    const rows = `(SELECT * EXCLUDE (id, series) FROM moving JOIN series ON series.id = moving.series WHERE t >= ${fromS} AND t < ${toS})`;
    await connection.run(fileSql(rows, kind === 'hours' ? HOUR_S : 60, rev, path));
    syncPath(path);
    return { name, kind, fromS, toS, rev, bytes: statSync(path).size, hasOperation: true };
  }

  async #tidyFiles(nowS: number, retainedS: number): Promise<void> {
    const { dir, keepHoursS, keepMinutesS } = this.#o;
    for (let i = 0; i < MERGES_MAX; i++) {
      const merge = nextMerge(this.#manifest.files, nowS);
      if (merge === undefined) break;
      const { kind, files } = merge;
      const fromS = Math.min(...files.map((file) => file.fromS));
      const toS = Math.max(...files.map((file) => file.toS));
      const rev = Math.max(...files.map((file) => file.rev));
      const name = `${kind[0]}-${fromS / HOUR_S}-${this.#number()}.parquet`;
      const path = join(dir, name);
      // Beside what is added meanwhile.
      await this.#ask({
        sql: mergeSql(
          files.map((file) => this.#written(file)),
          path,
        ),
        values: {},
      });
      syncPath(path);
      const merged = { name, kind, fromS, toS, rev, bytes: statSync(path).size, hasOperation: true };
      await this.#turns.alone(async () =>
        this.#replace({
          ...this.#manifest,
          files: [...this.#manifest.files.filter((file) => !files.includes(file)), merged],
        }),
      );
    }
    await this.#makeDays();
    const isKept = ({ kind, toS }: SumFile): boolean =>
      toS > retainedS - (kind === 'hours' ? keepHoursS : keepMinutesS);
    if (this.#manifest.files.every(isKept)) return;
    await this.#turns.alone(async () =>
      this.#replace({ ...this.#manifest, files: this.#manifest.files.filter(isKept) }),
    );
  }

  /** Of files that have none yet: merged ones, and those of versions that made none. */
  async #makeDays(): Promise<void> {
    const lacking = this.#manifest.files.filter(
      ({ kind, fromS, toS, days }) => kind === 'hours' && toS - fromS >= DAY_S && days === undefined,
    );
    for (const file of lacking.slice(0, DAYS_MAX)) {
      const days = `d-${file.fromS / HOUR_S}-${this.#number()}.parquet`;
      const path = join(this.#o.dir, days);
      await this.#ask({ sql: daysSql(this.#written(file), file.rev, path), values: {} });
      syncPath(path);
      await this.#turns.alone(async () => {
        const files = this.#manifest.files.map((each) => (each === file ? { ...file, days } : each));
        this.#replace({ ...this.#manifest, files });
      });
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

  /** Nobody asks meanwhile: files that no longer count are removed. */
  #replace(manifest: Manifest): void {
    writeManifest(this.#o.dir, manifest);
    const gone = namesOf(this.#manifest).difference(namesOf(manifest));
    this.#manifest = manifest;
    for (const name of gone) remove(join(this.#o.dir, name));
  }

  /** Of a file that is made now; the manifest that names it has it too. */
  #number(): number {
    const { next } = this.#manifest;
    this.#manifest = { ...this.#manifest, next: next + 1 };
    return next;
  }

  #overlapping(kind: SumFile['kind'], fromS: number, toS: number): readonly SumFile[] {
    return this.#manifest.files.filter((file) => file.kind === kind && file.fromS < toS && file.toS > fromS);
  }

  /** `inDays`: nothing is asked of single hours. */
  #files(kind: SumFile['kind'], fromS: number, toS: number, inDays = false): Files {
    const files = { whole: [] as Written[], cut: [] as Written[], days: [] as Written[], ends: [] as Written[] };
    const [firstS, lastS] = wholeDays(fromS, toS);
    for (const file of this.#overlapping(kind, fromS, toS)) {
      const isWhole = file.fromS >= fromS && file.toS <= toS;
      const hours = this.#written(file);
      if (!inDays || file.days === undefined || (!isWhole && firstS >= lastS)) {
        files[isWhole ? 'whole' : 'cut'].push(hours);
        continue;
      }
      const days = { path: join(this.#o.dir, file.days), hasOperation: true };
      files[isWhole ? 'whole' : 'days'].push(days);
      const hasEnds = Math.max(file.fromS, fromS) < firstS || Math.min(file.toS, toS) > lastS;
      if (!isWhole && hasEnds) files.ends.push(hours);
    }
    return files;
  }

  #written({ name, hasOperation = false }: SumFile): Written {
    return { path: join(this.#o.dir, name), hasOperation };
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

/** As well as it goes: the next opening removes what no manifest names. */
function remove(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Said above.
  }
}

/** A status is a small number in the tables: a comparison with another type would read every row. */
function typesOf(values: Statement['values']): Record<string, DuckDBType> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, typeof value === 'string' ? VARCHAR : UTINYINT]),
  );
}

/** Hours in a row that share a file: each has its own, but those that come late. */
export function spansOf(hours: readonly number[], sealS: number): readonly (readonly [from: number, to: number])[] {
  const spans = new Map<number, [number, number]>();
  for (const hour of hours) {
    const isLate = hour < sealS - LATE_S;
    const key = isLate ? hour - (hour % DAY_S) : hour;
    const span = spans.get(key);
    if (span === undefined) spans.set(key, [hour, hour + HOUR_S]);
    else {
      span[0] = Math.min(span[0], hour);
      span[1] = Math.max(span[1], hour + HOUR_S);
    }
  }
  return [...spans.values()];
}
