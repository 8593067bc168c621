/**
 * From the streams into the ledger and from there into the sums.
 *
 *   take ─▶ appended ─▶ [ one sync for all that came meanwhile ] ─▶ summed up ─▶ credit given back ─▶ acked
 *
 * So what is acknowledged holds no credit any more, and a sidecar that was told all is free to send something large.
 *
 * When the ledger refuses, nothing is taken and every stream is ended: the sidecars keep what they have. It is asked again each second, and
 * what was in doubt stands before anybody is welcomed again. When a part of it is gone the process has to end: a start reads what stands.
 *
 * Bound: what is between `take` and summing up is covered by credit.
 */
import type { Clock, Timers } from '../core/index.ts';
import type { Place } from '../wal/index.ts';
import type { Entry } from './entry.ts';
import type { Ledger } from './ledger.ts';
import type { Session, Taking } from './session.ts';
import { type Spool, settle, take } from './spools.ts';

/** How often a ledger that refused is asked again, ms. */
const MEND_MS = 1000;
/** Entries are summed up for so long before others have their turn, ms. */
const SLICE_MS = 5;

interface Pending {
  readonly entry: Entry;
  readonly spool: Spool;
  readonly session: Session | undefined;
}

export interface IntakeOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly ledger: Ledger;
  /** Sums an entry up; undefined when it is done at once. */
  readonly sum: (entry: Entry) => Promise<void> | undefined;
  /** The ledger refuses, or takes again (undefined). */
  readonly onTrouble: (reason: string | undefined) => void;
  /** Some of what was taken is gone, and nobody was told that it stands. Nothing is taken any more. */
  readonly onLost: (cause: Error) => void;
  /** All sessions there are, to be ended when the ledger refuses. */
  readonly sessions: ReadonlyMap<string, Session>;
}

/** Of all entries since the start. */
export interface IntakeCounts {
  entries: number;
  commits: number;
  commitFailures: number;
}

export class Intake implements Taking {
  readonly #o: IntakeOptions;
  #pending: Pending[] = [];
  #toSum: Pending[] = [];
  #committing: Promise<void> | undefined;
  #summing: Promise<void> | undefined;
  readonly #waiting = new Map<Spool, (() => void)[]>();
  #trouble: string | undefined;
  #isClosed = false;
  /** Where the last commit that succeeded ended. */
  #committedTo: Place;
  readonly #cuts: (() => void)[] = [];
  readonly counts: IntakeCounts = { entries: 0, commits: 0, commitFailures: 0 };

  constructor(options: IntakeOptions) {
    this.#o = options;
    this.#committedTo = options.ledger.highWater;
  }

  get trouble(): string | undefined {
    return this.#trouble;
  }

  take(spool: Spool, told: Entry, session: Session | undefined): void {
    if (this.#trouble !== undefined) throw new Error(this.#trouble);
    const entry: Entry = { ...told, stood: { told: spool.taken.told, synced: spool.synced.told } };
    try {
      this.#o.ledger.append(entry);
    } catch (cause) {
      // An entry that is too long is the trouble of who sent it.
      if (!(cause instanceof RangeError) && (cause as NodeJS.ErrnoException).code !== undefined) this.#fail(cause);
      throw cause;
    }
    take(spool, entry);
    this.counts.entries++;
    this.#pending.push({ entry, spool, session });
    this.#committing ??= this.#commit();
  }

  settled(spool: Spool): Promise<void> {
    if (spool.pending === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(spool) ?? [];
      this.#waiting.set(spool, waiting);
      waiting.push(resolve);
    });
  }

  /** Runs `run` at a moment when all that is committed is summed up; `place` is where that ends in the ledger. */
  cut<T>(run: (place: Place) => T): Promise<T> {
    if (this.#summing === undefined) return Promise.resolve(run(this.#committedTo));
    return new Promise((resolve) => this.#cuts.push(() => resolve(run(this.#committedTo))));
  }

  /** Nothing is taken any more; resolves when what was taken is summed up. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#trouble ??= 'the collector stops';
    await this.#committing;
    await this.cut(() => {});
  }

  async #commit(): Promise<void> {
    while (this.#pending.length > 0) {
      // What is read in this turn of the loop goes with it.
      await new Promise<void>((resolve) => this.#o.timers.afterPoll(resolve));
      // Or under load that never ends there would be no moment at which all is summed up.
      if (this.#cuts.length > 0) await this.#summing;
      try {
        await this.#commitOnce();
      } catch (cause) {
        this.#fail(cause);
        break;
      }
    }
    this.#committing = undefined;
  }

  async #commitOnce(): Promise<void> {
    const { ledger } = this.#o;
    const count = this.#pending.length;
    try {
      await ledger.commit();
    } catch (cause) {
      this.counts.commitFailures++;
      throw cause;
    }
    this.counts.commits++;
    this.#settle(this.#pending.splice(0, count), ledger.highWater);
  }

  #settle(group: readonly Pending[], upTo: Place): void {
    for (const { entry, spool } of group) {
      settle(spool, entry);
      // What was said meanwhile holds once nothing is on its way.
      if (spool.pending === 0) spool.watermarkMs = spool.watermarkTakenMs;
      this.#wake(spool);
    }
    this.#toSum.push(...group);
    this.#committedTo = upTo;
    this.#summing ??= this.#sumUp();
  }

  async #sumUp(): Promise<void> {
    const { clock, timers, sum } = this.#o;
    await undefined;
    let began = clock.now();
    while (this.#toSum.length > 0) {
      const group = this.#toSum;
      this.#toSum = [];
      for (const { entry, session } of group) {
        const waiting = sum(entry);
        if (waiting !== undefined) await waiting;
        if (entry.batch !== undefined) session?.release(entry.batch.zstd.length);
        if (clock.now() - began < SLICE_MS) continue;
        await timers.yieldLoop();
        began = clock.now();
      }
      acknowledge(group);
    }
    this.#summing = undefined;
    for (const run of this.#cuts.splice(0)) run();
  }

  #wake(spool: Spool): void {
    if (spool.pending > 0) return;
    const waiting = this.#waiting.get(spool) ?? [];
    this.#waiting.delete(spool);
    for (const resolve of waiting) resolve();
  }

  #fail(cause: unknown): void {
    if (this.#trouble !== undefined) return;
    const { code, message } = cause as NodeJS.ErrnoException;
    this.#trouble = `the ledger takes nothing: ${code ?? message}`;
    this.#o.onTrouble(this.#trouble);
    for (const session of [...this.#o.sessions.values()]) session.stall(this.#trouble);
    this.#mendOrEnd(cause);
  }

  #mendOrEnd(cause: unknown): void {
    if ((cause as NodeJS.ErrnoException).code === 'log-lost') this.#o.onLost(cause as Error);
    else this.#mendLater();
  }

  #mendLater(): void {
    this.#o.timers.after(MEND_MS, () => {
      // What was appended before an append was refused may still be on its way.
      void (this.#committing ?? Promise.resolve()).then(() => {
        if (!this.#isClosed) this.#committing = this.#mend();
      });
    });
  }

  async #mend(): Promise<void> {
    try {
      // While syncs fail nothing is appended to find that out, or the asking would fill the disk.
      await this.#commitOnce();
      this.#o.ledger.probe();
      await this.#commitOnce();
      this.#trouble = undefined;
      this.#o.onTrouble(undefined);
    } catch (cause) {
      this.#mendOrEnd(cause);
    }
    this.#committing = undefined;
  }
}

/** The last entry of each session says it for those before. */
function acknowledge(group: readonly Pending[]): void {
  const last = new Map<Session, Entry>();
  for (const { entry, session } of group) if (session !== undefined) last.set(session, entry);
  for (const [session, entry] of last) session.committed(entry);
}
