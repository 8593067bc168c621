/**
 * The tenancy of a running sidecar: follows a directory, publishes snapshots, keeps the last good one.
 *
 *   hint ─▶ read ─▶ load (parse what changed) ─▶ catalogue ─▶ prepare ─▶ swap one pointer ─▶ tell listeners ─▶ write last good
 */
import type { Clock, Timer, Timers } from '../core/index.ts';
import type { Log, Metrics } from '../telemetry/index.ts';
import { Catalogue, type Update } from './catalogue.ts';
import { configMetrics } from './config-metrics.ts';
import type { LoadedFile } from './desired.ts';
import { formatFinding } from './findings.ts';
import { type LastGood, readLastGood, writeLastGood } from './last-good.ts';
import { loadFiles } from './load.ts';
import { emptySnapshot, type Finding, type Snapshot } from './model.ts';
import { createPace } from './pace.ts';
import type { ParsedDocument } from './parse.ts';
import { type ReadProblem, readDirectory } from './read-directory.ts';
import type { Reload, ReloadResult } from './reload.ts';
import { type Watching, watchDirectory } from './watch.ts';

export interface TenancyOptions {
  readonly dir: string;
  /** Where the last known good tenancy is kept; undefined: nowhere. */
  readonly stateDir: string | undefined;
  readonly allowShrink: boolean;
  readonly removeGraceMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Awaited before a snapshot becomes current, for what must be ready with it. Must not reject. */
  readonly prepare?: (next: Snapshot) => Promise<void>;
}

export interface TenancyStatus {
  readonly generation: number;
  /** The files were not readable at start; what is live is from the state directory. */
  readonly isFromLastGood: boolean;
  readonly lastReload: Reload | undefined;
  readonly files: readonly { readonly path: string; readonly documents: number }[];
}

export type SwapListener = (next: Snapshot, previous: Snapshot) => void;

/** Findings written to the log in one reload; all of them are in `findings()`. */
const LOGGED_MAX = 50;
/** The last good file is written at most this often. */
const SAVE_EVERY_MS = 1000;

/** Opens with the directory's state, or the last good one. Never rejects for what the files say. */
export async function openTenancy(options: TenancyOptions): Promise<Tenancy> {
  const tenancy = new Tenancy(options);
  await tenancy.start();
  return tenancy;
}

export class Tenancy {
  readonly #options: TenancyOptions;
  readonly #catalogue = new Catalogue();
  readonly #listeners = new Set<SwapListener>();
  readonly #countReload: (reload: Reload) => void;
  #snapshot: Snapshot = emptySnapshot;
  #findings: readonly Finding[] = [];
  #files: ReadonlyMap<string, LoadedFile> = new Map();
  #remembered: ReadonlyMap<string, ParsedDocument> = new Map();
  #lastReload: Reload | undefined;
  #isFromLastGood = false;
  #watching: Watching | undefined;
  #isDirty = false;
  #running: Promise<void> | undefined;
  #removal: Timer | undefined;
  #save: Timer | undefined;
  #saving: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: TenancyOptions) {
    this.#options = options;
    this.#countReload = configMetrics(options.metrics, {
      snapshot: () => this.#snapshot,
      findings: () => this.#findings,
      lastReload: () => this.#lastReload,
    });
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get status(): TenancyStatus {
    const files = [...this.#files.values()].map((file) => ({ path: file.path, documents: file.documents.length }));
    return {
      generation: this.#snapshot.generation,
      isFromLastGood: this.#isFromLastGood,
      lastReload: this.#lastReload,
      files,
    };
  }

  /** Problems of the files as they are now. */
  findings(): readonly Finding[] {
    return this.#findings;
  }

  /** Called in the same turn in which the snapshot changed. Returns how to stop. */
  onSwap(listener: SwapListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async start(): Promise<void> {
    const lastGood = await this.#readLastGood();
    this.#remembered = lastGood?.remembered ?? new Map();
    this.#watching = watchDirectory(this.#options.dir, this.#options, () => this.#hint());
    await this.#reload();
    if (this.#snapshot.generation === 0 && lastGood !== undefined) await this.#restore(lastGood);
    this.#remembered = new Map();
  }

  /** Looks at the directory now; resolves when what was found is live. */
  async refresh(): Promise<void> {
    this.#hint();
    await this.#running;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#removal?.cancel();
    await this.#watching?.close();
    await this.#running;
    if (this.#save !== undefined) {
      this.#save.cancel();
      this.#writeLastGood();
    }
    await this.#saving;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Runs reloads one after the other; hints during one make one more. */
  #hint(): void {
    if (this.#isClosed) return;
    this.#isDirty = true;
    this.#running ??= this.#runReloads();
  }

  async #runReloads(): Promise<void> {
    while (this.#isDirty && !this.#isClosed) {
      this.#isDirty = false;
      await this.#reload();
    }
    this.#running = undefined;
  }

  async #reload(): Promise<void> {
    const { clock, timers, dir } = this.#options;
    const began = clock.now();
    const read = await readDirectory(dir);
    if ('unreadable' in read) {
      this.#report(
        [fileFinding(dir, `cannot be read: ${read.unreadable}`, 'check that the directory is mounted')],
        began,
        0,
      );
      return;
    }
    const pace = createPace({ clock, timers });
    const loaded = await loadFiles(read.files, this.#files, { timers, pace, remembered: this.#remembered });
    this.#files = new Map(loaded.files.map((file) => [file.path, file]));
    const update = await this.#catalogue.update(this.#asPresent(loaded.files, read.problems), this.#rules(), pace);
    const findings = [
      ...read.problems.map((each) => fileFinding(each.path, each.message, each.remedy)),
      ...update.findings,
    ];
    if (loaded.overflowed !== undefined)
      findings.push(
        fileFinding(loaded.overflowed, 'too many documents in the tenancy; the rest was left out', 'remove some'),
      );
    await this.#publish(update);
    this.#isFromLastGood = false;
    this.#report(findings, began, update.changed);
  }

  /** A file that is there but cannot be read keeps its objects: it stands with the documents it last had. */
  #asPresent(files: readonly LoadedFile[], problems: readonly ReadProblem[]): LoadedFile[] {
    const murky = problems.map(
      ({ path }): LoadedFile => ({
        path,
        text: '',
        documents: [{ text: '', offset: 0, parsed: { isGood: false, kind: undefined, name: undefined, problems: [] } }],
      }),
    );
    return [...files, ...murky];
  }

  #rules(): { allowShrink: boolean; removeGraceMs: number; now: ReturnType<Clock['now']> } {
    const { allowShrink, removeGraceMs, clock } = this.#options;
    return { allowShrink, removeGraceMs, now: clock.now() };
  }

  async #publish({ snapshot, changed, nextRemovalAt }: Update): Promise<void> {
    const { prepare, timers, clock } = this.#options;
    this.#removal?.cancel();
    if (nextRemovalAt !== undefined) this.#removal = timers.after(nextRemovalAt - clock.now() + 1, () => this.#hint());
    if (changed === 0) return;
    await prepare?.(snapshot);
    const previous = this.#snapshot;
    this.#snapshot = snapshot;
    for (const listener of this.#listeners) listener(snapshot, previous);
    if (this.#options.stateDir !== undefined) this.#save ??= timers.after(SAVE_EVERY_MS, () => this.#writeLastGood());
  }

  #report(findings: readonly Finding[], began: number, changed: number): void {
    const { log, clock } = this.#options;
    const known = new Set(this.#findings.map(formatFinding));
    const errors = findings.filter((each) => each.severity === 'error').length;
    const result: ReloadResult =
      errors === 0 ? (changed > 0 ? 'applied' : 'unchanged') : changed > 0 ? 'partial' : 'rejected';
    for (const finding of findings.filter((each) => !known.has(formatFinding(each))).slice(0, LOGGED_MAX)) {
      log[finding.severity === 'error' ? 'error' : 'warn']('config.finding', { finding: formatFinding(finding) });
    }
    this.#findings = findings;
    this.#lastReload = { result, atWallMs: clock.wallMs(), durationMs: clock.now() - began, changed };
    this.#countReload(this.#lastReload);
    if (result !== 'unchanged')
      log.info('config.reloaded', {
        result,
        changed,
        errors,
        generation: this.#snapshot.generation,
        duration_ms: Math.round(this.#lastReload.durationMs),
      });
  }

  async #readLastGood(): Promise<LastGood | undefined> {
    const { stateDir, log, clock, timers } = this.#options;
    if (stateDir === undefined) return undefined;
    const lastGood = await readLastGood(stateDir, createPace({ clock, timers }));
    if (lastGood === undefined || !('untrusted' in lastGood)) return lastGood;
    log.warn('config.last_good_ignored', { dir: stateDir, reason: lastGood.untrusted });
    return undefined;
  }

  async #restore(lastGood: LastGood): Promise<void> {
    const { clock, timers, log, stateDir } = this.#options;
    const began = clock.now();
    const update = await this.#catalogue.restore(
      lastGood.objects,
      lastGood.keyFiles,
      this.#rules(),
      createPace({ clock, timers }),
    );
    await this.#publish(update);
    this.#isFromLastGood = true;
    log.warn('config.last_good_used', { dir: stateDir, tenants: this.#snapshot.tenants.size });
    this.#report(this.#findings, began, update.changed);
  }

  #writeLastGood(): void {
    const { stateDir, clock, timers, log } = this.#options;
    this.#save = undefined;
    this.#saving = this.#saving
      .then(() =>
        writeLastGood(
          stateDir as string,
          [...this.#files.values()],
          this.#catalogue.live,
          createPace({ clock, timers }),
        ),
      )
      .catch((cause: unknown) => log.warn('config.last_good_not_written', { dir: stateDir, cause }));
  }
}

function fileFinding(file: string, message: string, remedy: string): Finding {
  return { severity: 'error', file, line: 0, column: 0, kind: undefined, name: undefined, path: '', message, remedy };
}
