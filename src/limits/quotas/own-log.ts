/**
 * What this sidecar counted, on disk, so that it outlives a restart and a kill: at most the last second is lost. One file in the state
 * directory, `quotas.log`: all that was known when it was begun, and behind it what changed since, appended once a second.
 *
 *   counts ──▶ store ──(1 s)──▶ append + fdatasync ──(8 MiB, or a day closed)──▶ quotas.log.new ─ rename
 *
 * A crash leaves the old file or the new one, each whole but for its tail: counts are absolute and their larger numbers stand. A disk that
 * is full or refuses is said once and tried again with a new file; until then counts are in memory alone, and nothing is refused for it.
 *
 * Of a day that is closed and opened again its total must stand in the file before what is counted on it: until that file is written, which is the next
 * thing that is, a kill costs that as well.
 *
 * In a fleet the file holds its claims too, and whose they are: the next life of this process tells what this one counted.
 *
 * Bounds: what the store holds, and 8 MiB beyond one commit behind it; a commit is made of slices of 1,000 lines.
 */
import { join } from 'node:path';
import type { Timer, Timers } from '../../core/index.ts';
import type { Log } from '../../telemetry/index.ts';
import type { CounterStore } from './counter-store.ts';
import type { GaugeStore } from './gauge-store.ts';
import {
  type ClaimRow,
  claimLine,
  countLine,
  type Damage,
  endLine,
  gaugeLine,
  HEAD,
  lifeLine,
  readLines,
  totalLine,
} from './log-file.ts';
import type { OwnDisk, OwnFile } from './own-disk.ts';

/** What a kill costs at most, ms. */
export const COMMIT_MS = 1000;
/** A disk that refused is asked again after this long, ms. */
export const RETRY_MS = 10_000;
const LOG_BYTES_MAX = 8 * 2 ** 20;
/** What a full store writes, 2^18 series of 33 days and 2^20 rows, is 0.6 GB; a day that is closed meanwhile writes it twice. */
const FILE_BYTES_MAX = 1.5 * 2 ** 30;
/** Lines made at once: half a millisecond. */
const SLICE = 1000;

/** What a fleet has to be kept: its claims, and who this process is in it. */
export interface FleetKept {
  readonly actor: string;
  readonly claims: {
    readonly version: number;
    changedSince(version: number): Iterable<ClaimRow>;
    rows(): Iterable<ClaimRow>;
    merge(row: ClaimRow): boolean;
  };
  /** It left, and its next life is its heir. */
  readonly isHeirless: boolean;
  /** Earlier lives of this process, the one before it last: what the last one left is inherited, what all of them counted is told. */
  inherit(lives: readonly string[], as: Inheritance): void;
}

/**
 * What this life is to the one before. - `heir`: it may have what that one had, and nobody else may any more. - `next`: it follows it, and
 * nobody else does. - `witness`: it knows what that one did, and so may another.
 */
export type Inheritance = 'heir' | 'next' | 'witness';

export interface OwnLogOptions {
  readonly dir: string;
  readonly disk: OwnDisk;
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  readonly fleet?: FleetKept | undefined;
  readonly timers: Timers;
  readonly log: Log;
  /** Other bounds are for tests. */
  readonly logBytesMax?: number;
  readonly sliceLines?: number;
}

type Begun = Pick<CounterStore, 'closings' | 'reopenings' | 'totals'>;

export class OwnLog {
  readonly #o: OwnLogOptions;
  readonly #path: string;
  #file: OwnFile | undefined;
  /** Appended since it was begun. */
  #bytes = 0;
  /** Versions up to which the file has the changes. */
  #counted = 0;
  #gauged = 0;
  #claimed = 0;
  /** Whose file was read, behind those before it of which something stands in it; and who of them left. */
  readonly #lives: string[] = [];
  #ended: string | undefined;
  /** What stood there when the file was begun: totals are not appended. */
  #begun: Begun = { closings: 0, reopenings: 0, totals: 0 };
  #isFailing = false;
  #isClosed = false;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: OwnLogOptions) {
    this.#o = options;
    this.#path = join(options.dir, 'quotas.log');
  }

  /** Whether counts reach the disk. */
  get isWriting(): boolean {
    return !this.#isFailing;
  }

  /** Reads what earlier lives of this process counted, and begins a file of its own. Resolves also when the disk refuses. */
  async open(): Promise<void> {
    await this.#read();
    await this.#attempt(() => this.#begin());
    if (this.#lives.length > 0) this.#o.fleet?.inherit(this.#lives, this.#inheritance);
    this.#arm();
  }

  /** Only once the file is this life's: another that read the old one would inherit as well. */
  get #inheritance(): Inheritance {
    if (!this.isWriting) return 'witness';
    return this.#ended === this.#lives.at(-1) ? 'heir' : 'next';
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#running;
    await this.#attempt(() => this.#turn());
    await this.#file?.close().catch(() => {});
    this.#file = undefined;
  }

  #arm(): void {
    if (this.#isClosed) return;
    this.#timer = this.#o.timers.after(this.#isFailing ? RETRY_MS : COMMIT_MS, () => {
      this.#running = this.#attempt(() => this.#turn()).then(() => this.#arm());
    });
  }

  #turn(): Promise<void> {
    const isDue =
      this.#file === undefined || this.#bytes >= (this.#o.logBytesMax ?? LOG_BYTES_MAX) || this.#lacksTotals;
    return isDue ? this.#begin() : this.#commit();
  }

  /** Whether a day was closed since the file was begun, or somebody counts on one of which another said the total. */
  get #lacksTotals(): boolean {
    const { closings, reopenings, totals } = this.#o.counters;
    const begun = this.#begun;
    return closings !== begun.closings || (reopenings !== begun.reopenings && totals !== begun.totals);
  }

  #noteTotals(): void {
    const { closings, reopenings, totals } = this.#o.counters;
    this.#begun = { closings, reopenings, totals };
  }

  /** Says that the disk refuses, once, and that it does not any more. */
  async #attempt(write: () => Promise<void>): Promise<void> {
    try {
      await write();
      if (this.#isFailing) this.#o.log.warn('quota.log_recovered', { 'file.directory': this.#o.dir });
      this.#isFailing = false;
    } catch (cause) {
      // What was begun may be torn: the next attempt writes all of it anew.
      await this.#file?.close().catch(() => {});
      this.#file = undefined;
      if (!this.#isFailing)
        this.#o.log.error('quota.log_failed', {
          'file.directory': this.#o.dir,
          cause,
          effect: 'counts are in memory alone and would not outlive a restart',
          remedy: 'make stateDir writable and give it room',
        });
      this.#isFailing = true;
    }
  }

  /** Appends what changed. */
  async #commit(): Promise<void> {
    const { counters, gauges } = this.#o;
    const isEnd = this.#isClosed && this.#o.fleet?.isHeirless === true;
    const isSame =
      counters.version === this.#counted && gauges.version === this.#gauged && this.#claims === this.#claimed;
    if (isSame && !isEnd) return;
    const file = this.#file as OwnFile;
    this.#bytes += await this.#append(file);
    await file.sync();
  }

  /** What changes while it is appended is not in it, or once more in the next. Bytes. */
  async #append(file: OwnFile): Promise<number> {
    const [counted, gauged, claimed] = this.#versions;
    const bytes = await this.#write(file, this.#changes());
    [this.#counted, this.#gauged, this.#claimed] = [counted, gauged, claimed];
    return bytes;
  }

  get #versions(): readonly [counted: number, gauged: number, claimed: number] {
    return [this.#o.counters.version, this.#o.gauges.version, this.#claims];
  }

  get #claims(): number {
    return this.#o.fleet?.claims.version ?? 0;
  }

  *#changes(): Generator<string> {
    for (const row of this.#o.counters.changedSince(this.#counted)) yield countLine(row);
    for (const row of this.#o.gauges.changedSince(this.#gauged)) yield gaugeLine(row);
    const { fleet } = this.#o;
    if (fleet === undefined) return;
    for (const row of fleet.claims.changedSince(this.#claimed)) yield claimLine(row);
    if (this.#isClosed && fleet.isHeirless) yield endLine(fleet.actor);
  }

  /** A new file with all that is known, in place of the old one, open at its end. A crash leaves the one or the other. */
  async #begin(): Promise<void> {
    const { disk, dir } = this.#o;
    await disk.makeDir(dir);
    this.#noteTotals();
    // What changes while all is written is appended behind it.
    [this.#counted, this.#gauged, this.#claimed] = this.#versions;
    const file = await disk.create(`${this.#path}.new`);
    try {
      await this.#write(file, this.#all(), HEAD);
      // A day that was closed meanwhile has its total behind the rows that are in it. Once: days are not closed that often.
      if (this.#lacksTotals) {
        this.#noteTotals();
        await this.#write(file, this.#counts());
      }
      await this.#append(file);
      await file.sync();
      await disk.rename(`${this.#path}.new`, this.#path);
      await disk.syncDir(dir);
    } catch (cause) {
      await file.close().catch(() => {});
      throw cause;
    }
    const before = this.#file;
    this.#file = file;
    this.#bytes = 0;
    await before?.close();
  }

  *#all(): Generator<string> {
    const { counters, fleet } = this.#o;
    if (fleet !== undefined) {
      const counted = new Set(counters.actors());
      for (const life of this.#lives) if (counted.has(life)) yield lifeLine(life);
      yield lifeLine(fleet.actor);
    }
    yield* this.#counts();
    for (const row of this.#o.gauges.rows()) yield gaugeLine(row);
    for (const row of fleet?.claims.rows() ?? []) yield claimLine(row);
  }

  /** The total of a day before what was counted on it since: what stands behind it comes on top. */
  *#counts(): Generator<string> {
    for (const { totals, rows } of this.#o.counters.all()) {
      for (const total of totals) yield totalLine(total);
      for (const row of rows) yield countLine(row);
    }
  }

  /** Bytes written. Requests are served between slices. */
  async #write(file: OwnFile, lines: Iterable<string>, head = ''): Promise<number> {
    const { sliceLines = SLICE } = this.#o;
    let bytes = 0;
    let slice = head;
    let count = 0;
    for (const line of lines) {
      slice += line;
      if (++count % sliceLines !== 0) continue;
      bytes += slice.length;
      await file.append(slice);
      slice = '';
    }
    await file.append(slice);
    return bytes + slice.length;
  }

  /** Takes what is sound in the file. One that is not whole is kept beside it, for who wants to know what stood there: it is replaced soon. */
  async #read(): Promise<void> {
    const { disk } = this.#o;
    const path = this.#path;
    let damage: Damage | undefined;
    try {
      const size = await disk.size(path);
      if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes, at most ${FILE_BYTES_MAX} are read`);
      damage = readLines(await disk.read(path), {
        count: (row) => void this.#o.counters.recall(row),
        total: (total) => void this.#o.counters.restore(total),
        gauge: (row) => void this.#o.gauges.merge(row),
        claim: (row) => void this.#o.fleet?.claims.merge(row),
        life: (actor) => void this.#lives.push(actor),
        end: (actor) => {
          this.#ended = actor;
        },
      });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return;
      const kept = `${path}.damaged`;
      this.#o.log.error('quota.log_unreadable', {
        'file.path': path,
        cause,
        effect: 'what it counted is not known',
        kept,
      });
      return void (await disk.rename(path, kept).catch(() => {}));
    }
    if (damage === undefined) return;
    // A tail that a crash cut short is what a crash leaves: what stands before it is whole.
    const isExpected = damage.what === 'torn tail';
    this.#o.log[isExpected ? 'warn' : 'error']('quota.log_damaged', {
      'file.path': path,
      ...damage,
      effect:
        damage.what === 'unknown form' ? 'nothing of it is counted' : 'what stood in these records is not counted',
      ...(isExpected ? {} : { kept: `${path}.damaged` }),
    });
    if (!isExpected) await disk.copy(path, `${path}.damaged`).catch(() => {});
  }
}
