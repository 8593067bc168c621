/**
 * What is done as a spool fills while no collector takes from it: single records give way first, totals last.
 *
 *   0 %             70 %                90 %                 100 %
 *   │ single records │ windows of 1 s    │ windows of 1 h     │ full: by policy lost into a gap, or requests are refused
 *                      or 1 min
 *
 * Only whole segments are folded, the oldest first, and only those of which nothing was told.
 */
import type { Timers } from '../core/index.ts';
import { type FoldWorld, foldPart } from './fold.ts';
import type { Part } from './part.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const MINUTES_AT = 0.7;
const HOURS_AT = 0.9;
/** Windows of 1 s are kept where they take at most so much of the room of single records; else it is minutes. */
const SECONDS_SHARE_MAX = 1 / 8;
/** After the disk refused, ms. */
const PAUSE_MS = 10_000;

/** - `single`: records stand as they were made. - `minutes`, `hours`: the oldest are folded. - `full`: no more fits. */
export type LadderStep = 'single' | 'minutes' | 'hours' | 'full';

export const LADDER_STEPS: readonly LadderStep[] = ['single', 'minutes', 'hours', 'full'];

export interface LadderOptions extends FoldWorld {
  readonly timers: Timers;
  readonly maxBytes: number;
  readonly onFolded: (part: Part, before: number, after: number) => void;
  readonly onFailed: (cause: unknown) => void;
}

export class Ladder {
  readonly #o: LadderOptions;
  #isFolding = false;
  #isOver = false;
  #pausedUntil = 0;

  constructor(options: LadderOptions) {
    this.#o = options;
  }

  /** By how full the spool is. */
  get step(): LadderStep {
    const share = this.#o.spool.bytes / this.#o.maxBytes;
    if (share < MINUTES_AT) return 'single';
    return share < HOURS_AT ? 'minutes' : 'hours';
  }

  /** Now and then: folds until there is room again, or nothing more can be folded. Never rejects. */
  async run(): Promise<void> {
    if (this.#isFolding || this.#o.now() < this.#pausedUntil) return;
    this.#isFolding = true;
    try {
      for (let part = this.#candidate(); part !== undefined; part = this.#candidate()) await this.#fold(part);
    } catch (cause) {
      this.#pausedUntil = this.#o.now() + PAUSE_MS;
      this.#o.onFailed(cause);
    } finally {
      this.#isFolding = false;
    }
  }

  /** What is being folded is left as it is. */
  stop(): void {
    this.#isOver = true;
  }

  /** The oldest that is worth it. */
  #candidate(): Part | undefined {
    const { spool } = this.#o;
    const { step } = this;
    if (step === 'single' || this.#isOver) return undefined;
    const spanMs = step === 'hours' ? HOUR_MS : 1;
    return spool.parts
      .slice(0, -1)
      .find((part) => !part.isMarked && !part.isUnfoldable && part.lastSeq > 0 && part.spanMs < spanMs);
  }

  async #fold(part: Part): Promise<void> {
    const { spool, onFolded } = this.#o;
    const before = spool.bytes;
    if (this.step === 'hours') await this.#put(part, HOUR_MS, Number.POSITIVE_INFINITY);
    else {
      const room = spool.bytesOf(part) * SECONDS_SHARE_MAX;
      if (!(await this.#put(part, SECOND_MS, room))) await this.#put(part, MINUTE_MS, Number.POSITIVE_INFINITY);
    }
    onFolded(part, before, spool.bytes);
  }

  /** False: it would take more than that. */
  async #put(part: Part, spanMs: number, bytesMax: number): Promise<boolean> {
    const bodies = await foldPart(this.#o, part, spanMs);
    if (this.#isOver) return true;
    // It is not tried again.
    if (bodies === undefined) part.isUnfoldable = true;
    if (bodies === undefined) return true;
    if (bodies.reduce((sum, { length }) => sum + length, 0) > bytesMax) return false;
    this.#o.spool.rewrite(part, bodies, spanMs);
    return true;
  }
}
