/**
 * The tenancy of a running sidecar. A thread reads and judges the files; here, on the loop that moves requests, the next snapshot is
 * built from what changed, prepared, and put in force by one pointer.
 *
 *   loader thread ─▶ parts of a change ─▶ builder ─▶ prepare ─▶ swap one pointer ─▶ tell listeners
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { type Clock, ReeveError, type Timer, type Timers } from '../core/index.ts';
import type { Log, Metrics } from '../telemetry/index.ts';
import type { ChangePart } from './change.ts';
import { configMetrics } from './config-metrics.ts';
import { formatFinding } from './findings.ts';
import type { FileFacts, LoaderOptions, Look } from './loader.ts';
import type { FromLoader, LoaderThreadData, ToLoader } from './loader-thread.ts';
import { emptySnapshot, type Finding, type Snapshot } from './model.ts';
import type { Reload, ReloadResult } from './reload.ts';
import { SnapshotBuilder } from './snapshot/builder.ts';

export interface TenancyOptions extends LoaderOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Awaited before a snapshot is in force, for what must be ready with it. Must not reject. */
  readonly prepare?: (next: Snapshot) => Promise<void>;
  /** Heap of the thread that reads the files, MB. 1024: the texts of the largest directory there may be, twice, and their objects. */
  readonly loaderHeapMb?: number;
}

export interface TenancyStatus {
  readonly generation: number;
  /** No document was readable since the start; what is in force is from the state directory. */
  readonly isFromLastGood: boolean;
  readonly lastReload: Reload | undefined;
  readonly files: readonly FileFacts[];
}

export type SwapListener = (next: Snapshot, previous: Snapshot) => void;

const LOADER_HEAP_MB = 1024;
/** Findings written to the log in one reload; those that are kept are in `findings()`. */
const LOGGED_MAX = 50;
/** A thread that died is started again after this long, doubled each time it dies without having found anything. */
const RESTART_MS = 1000;
const RESTART_MS_MAX = 60_000;
/** To write the last good file; then the thread is ended. */
const CLOSE_MS_MAX = 5000;

const NOTHING_YET: Omit<Look, 'parts'> = {
  changed: 0,
  findings: [],
  errors: 0,
  files: [],
  isFromLastGood: false,
  durationMs: 0,
};

/** Opens with the directory's state, or the last good one. Never rejects for what the files say. */
export async function openTenancy(options: TenancyOptions): Promise<Tenancy> {
  const tenancy = new Tenancy(options);
  await tenancy.start();
  return tenancy;
}

export class Tenancy {
  readonly #options: TenancyOptions;
  readonly #listeners = new Set<SwapListener>();
  readonly #builder = new SnapshotBuilder();
  readonly #countReload: (reload: Reload) => void;
  #snapshot: Snapshot = emptySnapshot;
  #last: Omit<Look, 'parts'> = NOTHING_YET;
  #lastReload: Reload | undefined;
  #loader: LoaderThread | undefined;
  #restarts = 0;
  #restart: Timer | undefined;
  #restartMs = RESTART_MS;
  #isClosed = false;

  constructor(options: TenancyOptions) {
    this.#options = options;
    this.#countReload = configMetrics(options.metrics, {
      snapshot: () => this.#snapshot,
      findings: () => this.findings(),
      lastReload: () => this.#lastReload,
      loaderRestarts: () => this.#restarts,
    });
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get status(): TenancyStatus {
    return {
      generation: this.#snapshot.generation,
      isFromLastGood: this.#last.isFromLastGood,
      lastReload: this.#lastReload,
      files: this.#last.files,
    };
  }

  /** Problems of the files as they are now, as far as they are kept. */
  findings(): readonly Finding[] {
    return this.#last.findings;
  }

  /** Called in the same turn in which the snapshot changed. Returns how to stop. */
  onSwap(listener: SwapListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Rejects with `config-loader-failed` when the thread cannot run at all. */
  async start(): Promise<void> {
    this.#loader = this.#startLoader();
    if (await this.#loader.started) return;
    await this.close();
    throw new ReeveError('config-loader-failed', 'the thread that reads the tenancy ended before it had read it', {
      place: this.#options.dir,
      remedy: 'see the log for its error; more memory may be needed',
    });
  }

  /** Looks at the directory now; resolves when what was found is in force. */
  async refresh(): Promise<void> {
    await this.#loader?.look();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#restart?.cancel();
    await this.#loader?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #startLoader(): LoaderThread {
    const { dir, stateDir, allowShrink, removeGraceMs, timers, loaderHeapMb, log } = this.#options;
    return new LoaderThread({
      options: { dir, stateDir, allowShrink, removeGraceMs },
      heapMb: loaderHeapMb ?? LOADER_HEAP_MB,
      timers,
      found: (look, parts) => this.#found(look, parts),
      warn: (event, facts) => log.warn(event, facts),
      ended: (cause) => this.#loaderEnded(cause),
    });
  }

  /** What is in force stays; the files are read again by a new thread, which adds and changes but cannot know what is gone. */
  #loaderEnded(cause: unknown): void {
    this.#loader = undefined;
    if (this.#isClosed) return;
    this.#options.log.error('config.loader_ended', { cause, restart_ms: this.#restartMs });
    this.#restart = this.#options.timers.after(this.#restartMs, () => {
      this.#restarts++;
      this.#loader = this.#startLoader();
    });
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MS_MAX);
  }

  async #found(look: Omit<Look, 'parts'>, parts: Iterable<ChangePart>): Promise<void> {
    const { clock, timers, prepare } = this.#options;
    const began = clock.now();
    this.#restartMs = RESTART_MS;
    if (look.changed > 0) {
      const next = await this.#builder.next(parts, timers.yieldLoop);
      await prepare?.(next);
      const previous = this.#snapshot;
      this.#snapshot = next;
      for (const listener of this.#listeners) listener(next, previous);
    }
    this.#report(look, look.durationMs + clock.now() - began);
  }

  #report(look: Omit<Look, 'parts'>, durationMs: number): void {
    const { log, clock } = this.#options;
    const { changed, errors } = look;
    const known = new Set(this.findings().map(formatFinding));
    const fresh = look.findings.filter((each) => !known.has(formatFinding(each))).slice(0, LOGGED_MAX);
    for (const finding of fresh)
      log[finding.severity === 'error' ? 'error' : 'warn']('config.finding', { finding: formatFinding(finding) });
    const result: ReloadResult =
      errors === 0 ? (changed > 0 ? 'applied' : 'unchanged') : changed > 0 ? 'partial' : 'rejected';
    this.#last = look;
    this.#lastReload = { result, atWallMs: clock.wallMs(), durationMs, changed };
    this.#countReload(this.#lastReload);
    if (result === 'unchanged') return;
    const { generation } = this.#snapshot;
    log.info('config.reloaded', { result, changed, errors, generation, duration_ms: Math.round(durationMs) });
  }
}

interface LoaderThreadOptions {
  readonly options: LoaderOptions;
  readonly heapMb: number;
  readonly timers: Timers;
  found(look: Omit<Look, 'parts'>, parts: Iterable<ChangePart>): Promise<void>;
  warn(event: string, facts: Readonly<Record<string, unknown>>): void;
  ended(cause: unknown): void;
}

/** This side of loader-thread.ts. */
class LoaderThread {
  /** Whether the first look is in force; false when the thread ended before. */
  readonly started: Promise<boolean>;
  readonly #worker: Worker;
  readonly #parts: MessagePort;
  readonly #ended: Promise<void>;
  readonly #options: LoaderThreadOptions;
  /** Those who wait for a look, by its number. Bounded by its callers, who wait. */
  readonly #waiting = new Map<number, () => void>();
  #looks = 0;
  #isClosing = false;
  #cause: unknown;

  constructor(options: LoaderThreadOptions) {
    this.#options = options;
    const { port1, port2 } = new MessageChannel();
    this.#parts = port1;
    this.#worker = new Worker(new URL('./loader-thread.ts', import.meta.url), {
      name: 'reeve-config',
      workerData: { options: options.options, parts: port2 } satisfies LoaderThreadData,
      transferList: [port2],
      resourceLimits: { maxOldGenerationSizeMb: options.heapMb },
    });
    this.#ended = new Promise((resolve) => this.#worker.once('exit', () => resolve(this.#end())));
    this.started = new Promise((resolve) => {
      this.#worker.on('message', (message: FromLoader) => this.#receive(message, () => resolve(true)));
      void this.#ended.then(() => resolve(false));
    });
    this.#worker.on('error', (cause) => {
      this.#cause = cause;
    });
  }

  look(): Promise<void> {
    const id = this.#looks++;
    this.#send({ do: 'look', id });
    this.#worker.ref();
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#worker.ref();
    this.#send({ do: 'close' });
    const late = this.#options.timers.after(CLOSE_MS_MAX, () => void this.#worker.terminate());
    await this.#ended;
    late.cancel();
  }

  #send(message: ToLoader): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromLoader, onStarted: () => void): void {
    if (message.is === 'warning') this.#options.warn(message.event, message.facts);
    else if (message.is === 'found')
      void this.#options.found(message.look, this.#fetch(message.parts)).then(() => this.#send({ do: 'published' }));
    else {
      if (message.is === 'started') onStarted();
      else this.#answer(message.id);
      // From here on the thread alone does not keep the process alive.
      if (this.#waiting.size === 0 && !this.#isClosing) this.#worker.unref();
    }
  }

  #answer(id: number): void {
    this.#waiting.get(id)?.();
    this.#waiting.delete(id);
  }

  /** Read back one by one, when they are asked for: a message handler would be given all of them in one turn. */
  *#fetch(count: number): Generator<ChangePart> {
    for (let at = 0; at < count; at++) yield (receiveMessageOnPort(this.#parts) as { message: ChangePart }).message;
  }

  #end(): void {
    this.#parts.close();
    for (const id of [...this.#waiting.keys()]) this.#answer(id);
    this.#options.ended(this.#cause);
  }
}
