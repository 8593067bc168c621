/**
 * The files of sums: which there are, which of them a question is answered from, and how they come and go.
 *
 *   write ─▶ h-….parquet, m-….parquet, hot-….parquet ─ save ─▶ they count, and the owner's word with them
 *   tidy ──▶ small files as a large one; days of a file beside it, d-….parquet; what is old does not count any more
 *
 * A file of hours that has a day or more has its sums of days beside it: who asks for no hours reads a 24th.
 *
 * A file counts from when the manifest names it, and is removed when that does not name it any more: both while nobody asks.
 *
 * Bounds: as many as merging.ts leaves of the time they are kept; four merges and four files of days a tidying.
 */
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Manifest, namesOf, readManifest, type SumFile, syncPath, writeManifest } from './manifest.ts';
import { nextMerge, spansOf } from './merging.ts';
import { DAY_S, daysSql, type Files, fileSql, hotSql, mergeSql, type Written, wholeDays } from './sql.ts';
import type { Turns } from './turns.ts';

export interface SumFilesOptions {
  readonly dir: string;
  /** How long they are kept, seconds. */
  readonly keepMinutesS: number;
  readonly keepHoursS: number;
}

/** Runs a statement that writes a file. */
export type Run = (sql: string) => Promise<unknown>;

/** Files that stand on the disk and do not count yet. */
export interface Unsaved {
  /** The name of that of hot rows. */
  readonly hot: string;
  readonly sums: readonly SumFile[];
}

/** What a file has sums of. */
type Content = Pick<SumFile, 'kind' | 'fromS' | 'toS' | 'rev'>;

const HOUR_S = 3600;
/** Merges of one tidying. */
const MERGES_MAX = 4;
/** Files of days that one tidying makes. */
const DAYS_MAX = 4;

export class SumFiles {
  readonly #o: SumFilesOptions;
  readonly #turns: Turns;
  #manifest: Manifest;

  private constructor(o: SumFilesOptions, turns: Turns, manifest: Manifest) {
    this.#o = o;
    this.#turns = turns;
    this.#manifest = manifest;
  }

  /** `turns`: of those who ask. Throws a ReeveError when the directory cannot be used. */
  static open(o: SumFilesOptions, turns: Turns): SumFiles {
    return new SumFiles(o, turns, readManifest(o.dir));
  }

  /** Of the last save. */
  get word(): string | undefined {
    return this.#manifest.word;
  }

  /** The hot rows as they were at the last save. */
  get hot(): Written | undefined {
    const { hot, version } = this.#manifest;
    return hot === undefined ? undefined : { path: this.#path(hot), hasOperation: version > 1 };
  }

  get count(): number {
    return this.#manifest.files.length;
  }

  get bytes(): number {
    return this.#manifest.files.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Those that have sums of the time. `inDays`: nothing is asked of single hours. */
  between(kind: SumFile['kind'], fromS: number, toS: number, inDays = false): Files {
    const files = { whole: [] as Written[], cut: [] as Written[], days: [] as Written[], ends: [] as Written[] };
    const [firstS, lastS] = wholeDays(fromS, toS);
    for (const file of this.#overlapping(kind, fromS, toS)) {
      const isWhole = file.fromS >= fromS && file.toS <= toS;
      const hours = this.#written(file);
      if (!inDays || file.days === undefined || (!isWhole && firstS >= lastS)) {
        files[isWhole ? 'whole' : 'cut'].push(hours);
        continue;
      }
      const days = { path: this.#path(file.days), hasOperation: true };
      files[isWhole ? 'whole' : 'days'].push(days);
      const hasEnds = Math.max(file.fromS, fromS) < firstS || Math.min(file.toS, toS) > lastS;
      if (!isWhole && hasEnds) files.ends.push(hours);
    }
    return files;
  }

  /** Of a file that never counts: whoever asked removes it. */
  exportPath(form: string): string {
    return this.#path(this.#name('export', form));
  }

  /** Writes rows that are moving, which are of these hours, and hot ones as they are. */
  async write(run: Run, hours: readonly number[], sealS: number): Promise<Unsaved> {
    const sums: SumFile[] = [];
    for (const [fromS, toS] of spansOf(hours, sealS))
      for (const kind of ['hours', 'minutes'] as const) sums.push(await this.#writeMoving(run, kind, fromS, toS));
    return { hot: await this.#write(run, 'hot', hotSql), sums };
  }

  /** What was written counts from here on, unless it throws. Nobody asks meanwhile. */
  save(word: string, { hot, sums }: Unsaved): void {
    this.#replace({ ...this.#manifest, version: 2, word, hot, files: [...this.#manifest.files, ...sums] });
  }

  /** Merges small files, makes days of large ones, and forgets what is older than it is kept. */
  async tidy(run: Run, nowS: number, retainedS: number): Promise<void> {
    await this.#merge(run, nowS);
    await this.#makeDays(run);
    await this.#dropOld(retainedS);
  }

  /** Beside what is added meanwhile. */
  async #merge(run: Run, nowS: number): Promise<void> {
    for (let i = 0; i < MERGES_MAX; i++) {
      const merge = nextMerge(this.#manifest.files, nowS);
      if (merge === undefined) return;
      const { kind, files } = merge;
      const fromS = Math.min(...files.map((file) => file.fromS));
      const toS = Math.max(...files.map((file) => file.toS));
      const rev = Math.max(...files.map((file) => file.rev));
      const parts = files.map((file) => this.#written(file));
      const merged = await this.#writeSums(run, { kind, fromS, toS, rev }, (path) => mergeSql(parts, path));
      await this.#change((all) => [...all.filter((file) => !files.includes(file)), merged]);
    }
  }

  /** Of files that have none yet: merged ones, and those of versions that made none. */
  async #makeDays(run: Run): Promise<void> {
    const lacking = this.#manifest.files.filter(
      ({ kind, fromS, toS, days }) => kind === 'hours' && toS - fromS >= DAY_S && days === undefined,
    );
    for (const file of lacking.slice(0, DAYS_MAX)) {
      const hours = this.#written(file);
      const days = await this.#write(run, `d-${file.fromS / HOUR_S}`, (path) => daysSql(hours, file.rev, path));
      await this.#change((all) => all.map((each) => (each === file ? { ...file, days } : each)));
    }
  }

  async #dropOld(retainedS: number): Promise<void> {
    const { keepHoursS, keepMinutesS } = this.#o;
    const isKept = ({ kind, toS }: SumFile): boolean =>
      toS > retainedS - (kind === 'hours' ? keepHoursS : keepMinutesS);
    if (!this.#manifest.files.every(isKept)) await this.#change((all) => all.filter(isKept));
  }

  #writeMoving(run: Run, kind: SumFile['kind'], fromS: number, toS: number): Promise<SumFile> {
    const rev = Math.max(-1, ...this.#overlapping(kind, fromS, toS).map((file) => file.rev)) + 1;
    const rows = `(SELECT * EXCLUDE (id, series) FROM moving JOIN series ON series.id = moving.series WHERE t >= ${fromS} AND t < ${toS})`;
    const stepS = kind === 'hours' ? HOUR_S : 60;
    return this.#writeSums(run, { kind, fromS, toS, rev }, (path) => fileSql(rows, stepS, rev, path));
  }

  async #writeSums(run: Run, content: Content, sqlOf: (path: string) => string): Promise<SumFile> {
    const name = await this.#write(run, `${content.kind[0]}-${content.fromS / HOUR_S}`, sqlOf);
    return { name, ...content, bytes: statSync(this.#path(name)).size, hasOperation: true };
  }

  /** On the disk when it resolves. Returns its name. */
  async #write(run: Run, stem: string, sqlOf: (path: string) => string): Promise<string> {
    const name = this.#name(stem, 'parquet');
    const path = this.#path(name);
    await run(sqlOf(path));
    syncPath(path);
    return name;
  }

  /** Those that count as they are when it is our turn. */
  #change(change: (files: readonly SumFile[]) => readonly SumFile[]): Promise<void> {
    return this.#turns.alone(async () => this.#replace({ ...this.#manifest, files: change(this.#manifest.files) }));
  }

  /** Nobody asks meanwhile: files that no longer count are removed. */
  #replace(manifest: Manifest): void {
    writeManifest(this.#o.dir, manifest);
    const gone = namesOf(this.#manifest).difference(namesOf(manifest));
    this.#manifest = manifest;
    for (const name of gone) remove(this.#path(name));
  }

  /** Of a file that is made now; the manifest that names it has its number too. */
  #name(stem: string, form: string): string {
    const { next } = this.#manifest;
    this.#manifest = { ...this.#manifest, next: next + 1 };
    return `${stem}-${next}.${form}`;
  }

  #path(name: string): string {
    return join(this.#o.dir, name);
  }

  #overlapping(kind: SumFile['kind'], fromS: number, toS: number): readonly SumFile[] {
    return this.#manifest.files.filter((file) => file.kind === kind && file.fromS < toS && file.toS > fromS);
  }

  #written({ name, hasOperation = false }: SumFile): Written {
    return { path: this.#path(name), hasOperation };
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
