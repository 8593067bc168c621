/**
 * The tenancy of a running sidecar. A thread reads and judges the files; here, on the loop that moves requests, the next snapshot is
 * built from what changed, prepared, and put in force by one pointer.
 *
 *   loader thread ─▶ parts of a change ─▶ builder ─▶ prepare ─▶ swap one pointer ─▶ tell listeners
 */
import { type Clock, ReeveError, type Timer } from '../core/index.ts';
import type { Log, Metrics } from '../telemetry/index.ts';
import { inForceOf } from './catalogue/live-object.ts';
import type { Kept } from './catalogue/parting.ts';
import type { ChangePart } from './change.ts';
import { configMetrics } from './config-metrics.ts';
import { formatFinding } from './findings.ts';
import { isSameLeftOut, leftOutNames, whyLeftOut } from './left-out.ts';
import type { FileFacts, Look } from './loader.ts';
import { LoaderThread, type LoaderThreadOptions } from './loader-thread.ts';
import { emptySnapshot, type Finding, type Snapshot } from './model.ts';
import type { Reload, ReloadResult } from './reload.ts';
import { SnapshotBuilder } from './snapshot/builder.ts';

export interface TenancyOptions extends LoaderThreadOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Awaited before a snapshot is in force, for what must be ready with it. Must not reject. */
  readonly prepare?: (next: Snapshot) => Promise<void>;
  /** A thread that was started with these options before; default: one is started now. */
  readonly loader?: LoaderThread;
}

export interface TenancyStatus {
  readonly generation: number;
  /** No document was readable since the start; what is in force is from the state directory. */
  readonly isFromLastGood: boolean;
  /** What no document says as it is in force: it goes on from its last good version. */
  readonly kept: Kept;
  /** Tenants that stand in the files and are not in force. */
  readonly leftOut: { readonly total: number; readonly first: readonly string[] };
  readonly lastReload: Reload | undefined;
  readonly files: readonly FileFacts[];
}

export type SwapListener = (next: Snapshot, previous: Snapshot) => void;

/** Findings written to the log in one reload; those that are kept are in `findings()`. */
const LOGGED_MAX = 50;
/** A thread that died is started again after this long, doubled each time it dies without having found anything. */
const RESTART_MS = 1000;
const RESTART_MS_MAX = 60_000;

const NOTHING_YET: Omit<Look, 'parts'> = {
  partCount: 0,
  changed: 0,
  tenants: new Map(),
  findings: [],
  errors: 0,
  kept: { total: 0, first: [] },
  leftOut: { total: 0, first: [] },
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
  #othersFound: () => readonly Finding[] = () => [];
  #loader: LoaderThread | undefined;
  #restarts = 0;
  #restart: Timer | undefined;
  #restartMs = RESTART_MS;
  #isClosed = false;

  constructor(options: TenancyOptions) {
    this.#options = options;
    this.#countReload = configMetrics(options.metrics, {
      snapshot: () => this.#snapshot,
      tenants: () => this.#last.tenants,
      findings: () => this.findings(),
      kept: () => this.#last.kept.total,
      leftOut: () => this.#last.leftOut.total,
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
      kept: this.#last.kept,
      leftOut: { total: this.#last.leftOut.total, first: leftOutNames(this.#last) },
      lastReload: this.#lastReload,
      files: this.#last.files,
    };
  }

  /** Problems of the files as they are now, as far as they are kept, and what others found in them. */
  findings(): readonly Finding[] {
    return [...this.#last.findings, ...this.#othersFound()];
  }

  /** Why a tenant that stands in the files is not in force; undefined when it is, stands nowhere, or is one of too many. */
  whyLeftOut(name: string): string | undefined {
    return this.#snapshot.tenants.has(name) ? undefined : whyLeftOut(this.#last, name);
  }

  /** What only the whole sidecar can find, such as an upstream that it does not have; asked whenever somebody asks for findings. */
  alsoFinds(found: () => readonly Finding[]): void {
    this.#othersFound = found;
  }

  /** Called in the same turn in which the snapshot changed. Returns how to stop. */
  onSwap(listener: SwapListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Rejects with `config-loader-failed` when the thread cannot run at all. */
  async start(): Promise<void> {
    this.#connect(this.#options.loader ?? new LoaderThread(this.#options));
    if (await this.#loader?.started) return;
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

  #connect(loader: LoaderThread): void {
    this.#loader = loader;
    loader.connect({
      found: (look, parts) => this.#found(look, parts),
      warn: (event, facts) => this.#options.log.warn(event, facts),
      ended: (cause) => this.#loaderEnded(cause),
    });
  }

  /** What is in force stays, and is handed to a new thread, which reads the files again. */
  #loaderEnded(cause: unknown): void {
    this.#loader = undefined;
    if (this.#isClosed) return;
    this.#options.log.error('config.loader_ended', { cause, restart_ms: this.#restartMs });
    this.#restart = this.#options.timers.after(this.#restartMs, () => {
      this.#restarts++;
      this.#connect(new LoaderThread({ ...this.#options, inForce: inForceOf(this.#snapshot) }));
    });
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MS_MAX);
  }

  async #found(look: Omit<Look, 'parts'>, parts: AsyncIterable<ChangePart>): Promise<void> {
    const { clock, timers, prepare } = this.#options;
    const began = clock.now();
    this.#restartMs = RESTART_MS;
    if (look.changed > 0) {
      const next = await this.#builder.next(parts, timers.yieldLoop);
      await prepare?.(next);
      const previous = this.#snapshot;
      this.#snapshot = next;
      for (const listener of this.#listeners) this.#tell(listener, next, previous);
    }
    this.#report(look, look.durationMs + clock.now() - began);
  }

  /** One that throws is a defect; the others hear all the same. */
  #tell(listener: SwapListener, next: Snapshot, previous: Snapshot): void {
    try {
      listener(next, previous);
    } catch (cause) {
      this.#options.log.error('config.listener_failed', { cause });
    }
  }

  #report(look: Omit<Look, 'parts'>, durationMs: number): void {
    const { log, clock } = this.#options;
    const { changed, errors } = look;
    const known = new Set(this.#last.findings.map(formatFinding));
    const fresh = look.findings.filter((each) => !known.has(formatFinding(each))).slice(0, LOGGED_MAX);
    for (const finding of fresh)
      log[finding.severity === 'error' ? 'error' : 'warn']('config.finding', { finding: formatFinding(finding) });
    const result: ReloadResult =
      errors === 0 ? (changed > 0 ? 'applied' : 'unchanged') : changed > 0 ? 'partial' : 'rejected';
    const hadErrors = this.#last.errors > 0;
    const { leftOut } = this.#last;
    this.#last = look;
    if (look.leftOut.total > 0 && !isSameLeftOut(look.leftOut, leftOut)) this.#tellLeftOut(look);
    this.#lastReload = { result, atWallMs: clock.wallMs(), durationMs, changed };
    this.#countReload(this.#lastReload);
    if (result === 'unchanged' && !hadErrors) return;
    const { generation } = this.#snapshot;
    log[errors > 0 ? 'warn' : 'info']('config.reloaded', {
      result,
      changed,
      errors,
      kept: look.kept.total,
      generation,
      duration_ms: Math.round(durationMs),
    });
  }

  /** Their requests get 401 or 403, as if they had never been: who looks for the reason finds it here. */
  #tellLeftOut(look: Omit<Look, 'parts'>): void {
    const tenants = leftOutNames(look);
    this.#options.log.error('config.tenants_left_out', {
      total: look.leftOut.total,
      tenants,
      why: [...new Set(tenants.map((name) => whyLeftOut(look, name)))],
    });
  }
}
