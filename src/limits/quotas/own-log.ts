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
 * In a fleet the file holds its claims too, and whose they are: the next life of this process tells what this one counted. So that it also knows what
 * this one may have given away and spent of hard quotas, others hear of nothing, and little is spent, before it stands there (`KeptOnDisk`); who waits for
 * that is not kept waiting for the second to end. A file that falls behind is set aside, `quotas.log.behind`: what stands there is so, and not all.
 *
 * Bounds: what the store holds, and 8 MiB beyond one commit behind it; a commit is made of slices of 1,000 lines.
 */
import { join } from 'node:path';
import type { Timer, Timers } from '../../core/index.ts';
import type { Log } from '../../telemetry/index.ts';
import type { CounterStore } from './counter-store.ts';
import { EarlierLives, type Inheritance, type LastLife } from './earlier-lives.ts';
import type { GaugeStore } from './gauge-store.ts';
import {
  type AheadRow,
  aheadLine,
  type ClaimRow,
  claimLine,
  countLine,
  endLine,
  gaugeLine,
  HEAD,
  lifeLine,
  totalLine,
} from './log-file.ts';
import type { OwnDisk, OwnFile } from './own-disk.ts';

/** What a kill costs at most, ms. */
export const COMMIT_MS = 1000;
/** A disk that refused is asked again after this long, ms. */
export const RETRY_MS = 10_000;
const LOG_BYTES_MAX = 8 * 2 ** 20;
/** Lines made at once: half a millisecond. */
const SLICE = 1000;

export type { AheadRow, Inheritance, LastLife };

/** What a fleet has to be kept: its claims, and who this process is in it. */
export interface FleetKept {
  readonly actor: string;
  readonly onDisk: KeptOnDisk;
  readonly claims: {
    readonly version: number;
    /** Rows for which there was no room. */
    readonly refused: number;
    changedSince(version: number): Iterable<ClaimRow>;
    rows(): Iterable<ClaimRow>;
    merge(row: ClaimRow): boolean;
  };
  /** It left, and its next life is its heir. */
  readonly isHeirless: boolean;
  /** What is to be said of the life before, in the file that begins. */
  heritage(last: LastLife): readonly ClaimRow[];
  /**
   * Earlier lives of this process: what all of them counted is told. `heritage`: it stands on disk, and holds. Without it nothing is inherited: another may
   * read the same file.
   */
  inherit(lives: readonly string[], heritage: readonly ClaimRow[]): void;
  /** Whether some of it is not said yet. */
  readonly comeback: { readonly isWaiting: boolean };
}

/** What goes on only as far as it stands on disk. */
export interface KeptOnDisk {
  /** Something waits. */
  onPress: () => void;
  /** Whether something is to be written. */
  readonly isTouched: boolean;
  /** A disk will be asked: nothing goes on. */
  await(): void;
  /** So many lives of this process before this one crashed, one after the other. Once, before anything is written. */
  follow(crashes: number): void;
  /** What is to be written with claims. `isAll`: of all that there is. */
  say(isAll: boolean): readonly AheadRow[];
  /** What was given up is about to stand there again, as it is now and with claims up to the version: from now on it must not fall behind. */
  bind(claims: number): void;
  /** All that was said stands there, and claims up to the version. */
  wrote(claims: number): void;
  /** Nothing of what was said since may stand there. */
  lost(): void;
  /** Nothing stands there that could mislead a next life: all goes on. */
  giveUp(): void;
}

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

/** Where it cannot be set aside. */
const HELD = '; little more is spent here of hard quotas than stands there, and nothing is given to other sidecars';

/** It was renamed before. */
function unlessMissing(cause: NodeJS.ErrnoException): void {
  if (cause.code !== 'ENOENT') throw cause;
}

async function succeeds(done: Promise<void>): Promise<boolean> {
  return done.then(
    () => true,
    () => false,
  );
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
  readonly #earlier: EarlierLives;
  /** What is said of the last of these: in each file until it is. */
  #heritage: readonly ClaimRow[] = [];
  #isInherited = false;
  /** The file in place is this life's. */
  #isOwn = false;
  /** Something waits for the next write; and one is under way. */
  #isPressed = false;
  #isBusy = false;
  /** What stood there when the file was begun: totals are not appended. */
  #begun: Begun = { closings: 0, reopenings: 0, totals: 0 };
  #isFailing = false;
  #isClosed = false;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: OwnLogOptions) {
    this.#o = options;
    this.#path = join(options.dir, 'quotas.log');
    this.#earlier = new EarlierLives(this.#path, options);
    if (options.fleet !== undefined) options.fleet.onDisk.onPress = () => this.#press();
  }

  /** Whether counts reach the disk. */
  get isWriting(): boolean {
    return !this.#isFailing;
  }

  /** Reads what earlier lives of this process counted, and begins a file of its own. Resolves also when the disk refuses. */
  async open(): Promise<void> {
    const { fleet } = this.#o;
    fleet?.onDisk.await();
    await this.#earlier.read();
    const { lives, last, crashes } = this.#earlier;
    fleet?.onDisk.follow(crashes);
    if (last !== undefined) this.#heritage = fleet?.heritage(last) ?? [];
    this.#earlier.forgetAhead();
    await this.#attempt(() => this.#begin());
    if (last !== undefined && !this.isWriting) fleet?.inherit(lives, []);
    this.#arm();
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
    if (this.#isPressed && !this.#isFailing) this.#run();
    else this.#timer = this.#o.timers.after(this.#isFailing ? RETRY_MS : COMMIT_MS, () => this.#run());
  }

  #run(): void {
    this.#isPressed = false;
    this.#isBusy = true;
    this.#running = this.#attempt(() => this.#turn()).then(() => {
      this.#isBusy = false;
      // A day that was closed meanwhile: its counts are in no file any more.
      this.#isPressed ||= this.#lacksTotals;
      this.#arm();
    });
  }

  /** Writes at once, or behind what is being written. */
  #press(): void {
    if (this.#isBusy || this.#timer === undefined || this.#isFailing || this.#isClosed) this.#isPressed = true;
    else {
      this.#timer.cancel();
      this.#run();
    }
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
      const isSetAside = await this.#setAside();
      if (!this.#isFailing)
        this.#o.log.error('quota.log_failed', {
          'file.directory': this.#o.dir,
          cause,
          effect: `counts are in memory alone and would not outlive a restart${isSetAside ? '' : HELD}`,
          remedy: 'make stateDir writable and give it room',
        });
      this.#isFailing = true;
    }
  }

  /** From now on more is given away and spent than stands in the file: a next life must not take it for all. False: it would. */
  async #setAside(): Promise<boolean> {
    const { disk, dir, fleet } = this.#o;
    if (fleet === undefined) return true;
    fleet.onDisk.lost();
    if (this.#isOwn) {
      if (!(await succeeds(disk.rename(this.#path, `${this.#path}.behind`).catch(unlessMissing)))) return false;
      if (!(await succeeds(disk.syncDir(dir)))) return false;
    }
    this.#isOwn = false;
    fleet.onDisk.giveUp();
    return true;
  }

  /** Appends what changed. */
  async #commit(): Promise<void> {
    const { counters, gauges } = this.#o;
    const isEnd = this.#isClosed && this.#o.fleet?.isHeirless === true;
    const isSame =
      counters.version === this.#counted && gauges.version === this.#gauged && this.#claims === this.#claimed;
    if (isSame && !isEnd && this.#o.fleet?.onDisk.isTouched !== true) return;
    const file = this.#file as OwnFile;
    this.#bytes += await this.#append(file);
    await file.sync();
    this.#o.fleet?.onDisk.wrote(this.#claimed);
  }

  /** What changes while it is appended is not in it, or once more in the next. Bytes. */
  async #append(file: OwnFile): Promise<number> {
    const [counted, gauged, claimed] = this.#versions;
    const ahead = this.#o.fleet?.onDisk.say(false) ?? [];
    const bytes = await this.#write(file, this.#changes(ahead));
    [this.#counted, this.#gauged, this.#claimed] = [counted, gauged, claimed];
    return bytes;
  }

  get #versions(): readonly [counted: number, gauged: number, claimed: number] {
    return [this.#o.counters.version, this.#o.gauges.version, this.#claims];
  }

  get #claims(): number {
    return this.#o.fleet?.claims.version ?? 0;
  }

  *#changes(ahead: readonly AheadRow[]): Generator<string> {
    for (const row of ahead) yield aheadLine(row);
    for (const row of this.#o.counters.changedSince(this.#counted)) yield countLine(row);
    for (const row of this.#o.gauges.changedSince(this.#gauged)) yield gaugeLine(row);
    const { fleet } = this.#o;
    if (fleet === undefined) return;
    for (const row of fleet.claims.changedSince(this.#claimed)) yield claimLine(row);
    if (this.#isClosed && fleet.isHeirless) yield endLine(fleet.actor);
  }

  #inherit(): void {
    const { lives, last } = this.#earlier;
    this.#isInherited = true;
    this.#o.fleet?.inherit(lives, this.#heritage);
    if (last?.as !== 'crashed') return;
    this.#o.log.warn('quota.life_crashed', {
      'file.path': this.#path,
      life: last.actor,
      crashes: last.crashes + 1,
      effect:
        'of each hard quota what it may have spent last is taken for used until the window ends, the most of 16 units, 1/256 of the limit and what it was ahead, half as much for each that crashed just before it; the rest is had again, in a fleet once most of it is seen',
      remedy: 'stop sidecars by SIGTERM; a tenant that lacks it can be given a higher limit until then',
    });
  }

  /** A new file with all that is known, in place of the old one, open at its end. A crash leaves the one or the other. */
  async #begin(): Promise<void> {
    const { disk, dir, fleet } = this.#o;
    await disk.makeDir(dir);
    this.#noteTotals();
    // What changes while all is written is appended behind it.
    [this.#counted, this.#gauged, this.#claimed] = this.#versions;
    const ahead = fleet?.onDisk.say(true) ?? [];
    fleet?.onDisk.bind(this.#claimed);
    const file = await disk.create(`${this.#path}.new`);
    try {
      await this.#write(file, this.#all(ahead), HEAD);
      // A day that was closed meanwhile has its total behind the rows that are in it. Once: days are not closed that often.
      if (this.#lacksTotals) {
        this.#noteTotals();
        await this.#write(file, this.#counts());
      }
      await this.#append(file);
      await file.sync();
      await disk.rename(`${this.#path}.new`, this.#path);
      this.#isOwn = true;
      await disk.syncDir(dir);
    } catch (cause) {
      await file.close().catch(() => {});
      throw cause;
    }
    const before = this.#file;
    this.#file = file;
    this.#bytes = 0;
    await before?.close();
    await disk.remove(`${this.#path}.behind`).catch(() => {});
    if (this.#heritage.length > 0 && !this.#isInherited) this.#inherit();
    fleet?.onDisk.wrote(this.#claimed);
  }

  *#all(ahead: readonly AheadRow[]): Generator<string> {
    const { counters, fleet } = this.#o;
    if (fleet !== undefined) {
      const counted = new Set(counters.actors());
      for (const life of this.#earlier.lives) if (counted.has(life)) yield lifeLine(life);
      yield lifeLine(fleet.actor, this.#earlier.crashes);
    }
    yield* this.#counts();
    for (const row of this.#o.gauges.rows()) yield gaugeLine(row);
    for (const row of ahead) yield aheadLine(row);
    for (const row of fleet?.claims.rows() ?? []) yield claimLine(row);
    // What was said of it is a claim by now.
    if (!this.#isInherited || fleet?.comeback.isWaiting === true)
      for (const row of this.#heritage) yield claimLine(row);
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
}
