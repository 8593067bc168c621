// hot path
/**
 * What ends in one turn of the loop is recorded by one append, before the last bytes of any of it go out.
 *
 *   turn   done: record, hold · done: record, hold · … │ afterPoll: commit ─▶ release · release …
 *                                                         strict:  commit ─▶ fdatasync ─▶ release …
 *
 * Where the disk refuses, the records of the turn are lost into a gap of their numbers, counted and said, and the answers go out: what was
 * served was served. Whether more is served then is for `onFull` to say, and for the stage to do.
 */
import { empty, type Timers } from '../core/index.ts';
import type { Commits, Held } from '../pipeline/index.ts';
import type { Spool } from './spool.ts';
import type { UsageRecord } from './usage-record.ts';

/**
 * When a record outlives the machine; it outlives the process before its request's last byte goes out, always.
 * - `os`: when the kernel writes it. - `interval`: within 100 ms. - `strict`: before the last byte goes out.
 */
export type Durability = 'os' | 'interval' | 'strict';

export interface TickCommitsOptions {
  readonly timers: Timers;
  readonly isStrict: boolean;
  /** So many records could not be kept. */
  readonly onLost: (records: number, cause: unknown) => void;
  /** The disk takes records again. */
  readonly onBack: () => void;
  readonly onCommitted: () => void;
  readonly onSyncFailed: (cause: unknown) => void;
}

const NO_SPOOL = new Error('there is no spool');

export class TickCommits implements Commits {
  readonly #o: TickCommitsOptions;
  #spool: Spool | undefined;
  /** Records that came while there was no spool. */
  #unnumbered = 0;
  #isScheduled = false;
  #held: Held[] = [];
  /** Kept for the next turn: its array is the same as long as nothing waits for the disk. */
  #spare: Held[] = [];
  /** The last append was refused. */
  isRefused = false;

  constructor(options: TickCommitsOptions) {
    this.#o = options;
  }

  /** Records go there from now on, and those of this turn as well. Undefined: they are lost, and a gap of the next spool. */
  use(spool: Spool | undefined): void {
    const old = this.#spool;
    this.#spool = spool;
    if (spool === undefined) {
      this.isRefused = true;
      if (old !== undefined && old.pending > 0) this.#loseUnnumbered(old.lose());
      return;
    }
    spool.skip(this.#unnumbered);
    this.#unnumbered = 0;
    if (old !== undefined) spool.adopt(old);
  }

  record(record: UsageRecord): void {
    const spool = this.#spool;
    if (spool === undefined) return this.#loseUnnumbered(1);
    if (!spool.add(record)) {
      this.#commit();
      spool.add(record);
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#o.timers.afterPoll(this.#flush);
  }

  hold(held: Held): boolean {
    if (this.#spool === undefined || this.#spool.pending === 0) return false;
    this.#held.push(held);
    return true;
  }

  /** Commits what is there, before it returns; with `strict` it is on the medium then. False: the disk refused. */
  commitNow(): boolean {
    this.#commit();
    if (this.isRefused || !this.#o.isStrict) return !this.isRefused;
    try {
      this.#spool?.syncNow();
      return true;
    } catch (cause) {
      this.#o.onSyncFailed(cause);
      return false;
    }
  }

  readonly #flush = (): void => {
    this.#isScheduled = false;
    this.#commit();
    const held = this.#held;
    this.#held = this.#spare;
    if (!this.#o.isStrict || this.#spool === undefined) {
      for (const each of held) each.release();
      empty(held);
      this.#spare = held;
      return;
    }
    this.#spare = [];
    const release = (): void => {
      for (const each of held) each.release();
    };
    this.#spool.sync().then(release, (cause: unknown) => {
      this.#o.onSyncFailed(cause);
      release();
    });
  };

  /** After a refusal: whether the disk takes records again, without one. */
  probe(): void {
    if (!this.isRefused || this.#spool === undefined) return;
    try {
      this.#spool.probe();
    } catch {
      return;
    }
    this.#back();
  }

  #commit(): void {
    const spool = this.#spool;
    if (spool === undefined || spool.pending === 0) return;
    try {
      spool.commit();
    } catch (cause) {
      this.isRefused = true;
      this.#o.onLost(spool.lose(), cause);
      return;
    }
    if (this.isRefused) this.#back();
    this.#o.onCommitted();
  }

  #loseUnnumbered(records: number): void {
    this.#unnumbered += records;
    this.#o.onLost(records, NO_SPOOL);
  }

  #back(): void {
    this.isRefused = false;
    this.#o.onBack();
  }
}
