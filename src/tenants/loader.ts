/**
 * Follows the tenancy directory: what it says is read, judged and published, and the last good state of it kept on disk. Runs in a
 * thread of its own, where nothing it does can hold a request.
 *
 *   hint ─▶ read ─▶ load (parse what changed) ─▶ catalogue ─▶ publish ─▶ write last good
 */
import type { Clock, MonotonicMs, Timer, Timers } from '../core/index.ts';
import { Catalogue, type Update } from './catalogue/catalogue.ts';
import { namingDirectory, plainFinding } from './catalogue/complaints.ts';
import type { Moment } from './catalogue/judgement.ts';
import { readLastGood, writeLastGood } from './catalogue/last-good.ts';
import type { LiveObject } from './catalogue/live-object.ts';
import type { Kept } from './catalogue/parting.ts';
import { DOCUMENTS_MAX, type LoadedFile, loadFiles } from './documents/load.ts';
import type { ParsedDocument } from './documents/parse.ts';
import { type DirectoryText, readDirectory } from './documents/read-directory.ts';
import { type Watching, watchDirectory } from './documents/watch.ts';
import type { Finding } from './model.ts';
import { helpersStepBack } from './priority.ts';

export interface LoaderOptions {
  readonly dir: string;
  /** Where the last known good tenancy is kept; undefined: nowhere. */
  readonly stateDir: string | undefined;
  readonly allowShrink: boolean;
  readonly removeGraceMs: number;
  /** What a loader before this one put in force. */
  readonly inForce?: readonly LiveObject[];
}

export interface FileFacts {
  readonly path: string;
  readonly documents: number;
}

/** What one look at the directory found. */
export interface Look
  extends Pick<Update, 'parts' | 'partCount' | 'changed' | 'tenants' | 'findings' | 'errors' | 'kept' | 'leftOut'> {
  readonly files: readonly FileFacts[];
  /** No good document was read since the start; what is in force is from the state directory. */
  readonly isFromLastGood: boolean;
  readonly durationMs: number;
}

export interface LoaderWorld {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Resolves when what was found is in force. Rejects only when a part cannot be made: a defect. */
  publish(look: Look): Promise<void>;
  warn(event: string, facts: Readonly<Record<string, unknown>>): void;
  /** Collects what much work left behind. Absent: nobody does. */
  readonly shrink?: () => void;
}

/** The last good file is written at most this often. */
const SAVE_EVERY_MS = 1000;
/** After the first look, and after one that changed many objects, this thread's heap is made small again when it was quiet for so long, ms. */
const SHRINK_AFTER_MS = 100;
const MANY = 1000;

export class Loader {
  readonly #options: LoaderOptions;
  readonly #world: LoaderWorld;
  readonly #catalogue = new Catalogue();
  #files: ReadonlyMap<string, LoadedFile> = new Map();
  #remembered: ReadonlyMap<string, ParsedDocument> = new Map();
  /** What could not be read at the last look, to tell whether anything is new. */
  #problems: string | undefined;
  #isFromLastGood = false;
  /** Of the last look. */
  #kept: Kept = { total: 0, first: [] };
  #nextRemovalAt: MonotonicMs | undefined;
  #watching: Watching | undefined;
  #isDirty = false;
  #running: Promise<void> | undefined;
  #removal: Timer | undefined;
  #shrink: Timer | undefined;
  /** Objects that changed since the heap was small; of the first look, all it takes. */
  #changed = MANY;
  #save: Timer | undefined;
  #saving: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: LoaderOptions, world: LoaderWorld) {
    this.#options = options;
    this.#world = world;
  }

  /** Resolves when the directory's state, or the last good one, is in force. Never rejects for what the files say. */
  async start(): Promise<void> {
    const { stateDir, dir, inForce } = this.#options;
    if (stateDir !== undefined) await this.#restore(stateDir);
    if (inForce !== undefined) this.#catalogue.takeOver(inForce);
    this.#watching = watchDirectory(dir, this.#world, () => void this.look());
    await this.look();
    this.#remembered = new Map();
    this.#tellLastGood();
  }

  /** Looks at the directory now; resolves when what was found is in force. Looks asked for during a look make one more. */
  look(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isDirty = true;
    return (this.#running ??= this.#lookWhileDirty());
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#removal?.cancel();
    this.#shrink?.cancel();
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

  async #restore(stateDir: string): Promise<void> {
    const lastGood = await readLastGood(stateDir);
    if (lastGood === undefined) return;
    if ('untrusted' in lastGood) {
      this.#world.warn('config.last_good_ignored', { dir: stateDir, reason: lastGood.untrusted });
      return;
    }
    this.#remembered = lastGood.remembered;
    this.#catalogue.restore(lastGood.objects);
    this.#isFromLastGood = lastGood.objects.length > 0;
  }

  /** After the first look: what the files said nothing better of. */
  #tellLastGood(): void {
    const { stateDir, inForce } = this.#options;
    const { total: objects, first } = this.#kept;
    if (stateDir !== undefined && inForce === undefined && objects > 0)
      this.#world.warn('config.last_good_used', { dir: stateDir, objects, first });
  }

  async #lookWhileDirty(): Promise<void> {
    while (this.#isDirty && !this.#isClosed) {
      this.#isDirty = false;
      await this.#lookOnce();
    }
    this.#running = undefined;
    this.#shrinkWhenQuiet();
  }

  async #lookOnce(): Promise<void> {
    const { clock, timers } = this.#world;
    const began = clock.now();
    // From the second look on, requests move beside it. Not earlier: they compile the loop's code as well, and a start waits for them.
    if (this.#problems !== undefined) helpersStepBack();
    const read = await readDirectory(this.#options.dir);
    const files =
      'unreadable' in read
        ? [...this.#files.values()]
        : await loadFiles(read.files, this.#files, { timers, remembered: this.#remembered });
    const problems = this.#problemsOf(read, files);
    if (!this.#isNews(files, problems)) return;
    this.#files = new Map(files.map((file) => [file.path, file]));
    if (files.some((file) => file.documents.some((each) => each.parsed.isGood))) this.#isFromLastGood = false;
    const moment: Moment = {
      files,
      unread: 'unreadable' in read || read.isCut ? 'everything' : read.problems.map((each) => each.path),
    };
    const { dir, allowShrink, removeGraceMs } = this.#options;
    const update = this.#catalogue.update(moment, { allowShrink, removeGraceMs, now: clock.now() });
    this.#kept = update.kept;
    this.#awaitRemoval(update.nextRemovalAt);
    await this.#world.publish({
      parts: update.parts,
      partCount: update.partCount,
      changed: update.changed,
      tenants: update.tenants,
      findings: [...problems, ...namingDirectory(update.findings, dir)],
      errors: problems.length + update.errors,
      kept: update.kept,
      leftOut: update.leftOut,
      files: files.map((file) => ({ path: file.path, documents: file.documents.length })),
      isFromLastGood: this.#isFromLastGood,
      durationMs: clock.now() - began,
    });
    this.#changed += update.changed;
    if (update.changed > 0 && this.#options.stateDir !== undefined)
      this.#save ??= timers.after(SAVE_EVERY_MS, () => this.#writeLastGood());
  }

  #problemsOf(read: DirectoryText | { readonly unreadable: string }, files: readonly LoadedFile[]): Finding[] {
    if ('unreadable' in read) {
      const message = `cannot be read: ${read.unreadable}; what is in force stays`;
      return [plainFinding(this.#options.dir, message, 'check that the directory is mounted')];
    }
    const problems = read.problems.map((each) => plainFinding(each.path, each.message, each.remedy));
    const cut = files.find((file) => file.isCut);
    if (cut !== undefined)
      problems.push(
        plainFinding(
          cut.path,
          `more than ${DOCUMENTS_MAX} documents in the tenancy; the rest was left out`,
          'remove some',
        ),
      );
    return problems;
  }

  /** Whether a file, a problem or the end of a grace gives cause to judge anew; the first look always does. */
  #isNews(files: readonly LoadedFile[], problems: readonly Finding[]): boolean {
    const text = JSON.stringify(problems);
    const isSame =
      this.#problems === text &&
      files.length === this.#files.size &&
      files.every((file) => this.#files.get(file.path) === file) &&
      (this.#nextRemovalAt === undefined || this.#world.clock.now() < this.#nextRemovalAt);
    this.#problems = text;
    return !isSame;
  }

  #awaitRemoval(at: MonotonicMs | undefined): void {
    this.#removal?.cancel();
    this.#nextRemovalAt = at;
    if (at === undefined) return;
    this.#removal = this.#world.timers.after(at - this.#world.clock.now() + 1, () => void this.look());
  }

  #shrinkWhenQuiet(): void {
    this.#shrink?.cancel();
    const { shrink, timers } = this.#world;
    if (shrink === undefined || this.#changed < MANY || this.#isClosed) return;
    this.#shrink = timers.after(SHRINK_AFTER_MS, () => {
      this.#changed = 0;
      shrink();
    });
  }

  #writeLastGood(): void {
    const stateDir = this.#options.stateDir as string;
    this.#save = undefined;
    this.#saving = this.#saving
      .then(() => writeLastGood(stateDir, [...this.#files.values()], this.#catalogue.live))
      .catch((cause: unknown) => this.#world.warn('config.last_good_not_written', { dir: stateDir, cause }));
  }
}
