/**
 * Keeps the memory of the loop that moves requests small. New space grows while requests come, to a bound; when they have stopped for ten
 * seconds, what the time before left behind is collected at once and given back, and no sooner again than a minute later.
 *
 *   start ─▶ quiet? ─▶ shrink ─▶ busy? ─▶ quiet ten times, a minute later? ─▶ shrink ─▶ …
 *
 * What the process holds beside the heap and does not need is given back as it grows, also under load.
 */
import type { Clock, Heap, MonotonicMs, Timer, Timers } from '../core/index.ts';

/**
 * New space, both halves, bytes, behind which it grows no further. 8 MiB: a request leaves about 1 KB behind and little of it survives, so
 * that larger would only be resident; V8 would go to 32 MiB.
 */
const NEW_SPACE_BYTES_MAX = 8 * 2 ** 20;
/** Between looks, ms: until what a start needed once is gone, and from then on. */
const START_EVERY_MS = 200;
const EVERY_MS = 1000;
const AGAIN_MS = 60_000;
/** What the process has grown by before it gives back, bytes. */
const GROWN_BYTES = 8 * 2 ** 20;
/** How long it waits then at least, ms, and at most; and in times of what it took. */
const GIVE_BACK_AGAIN_MS = 4000;
const GIVE_BACK_AGAIN_MS_MAX = 60_000;
const GIVE_BACK_TIMES = 100;
/** Shares of the time between two looks. A shrink holds the loop for 10 to 80 ms: below the first few are there to notice. */
const QUIET = 0.03;
const BUSY = 0.1;
/** Looks in a row that find it quiet, behind the first shrink. */
const QUIET_LOOKS = 10;
/** Since the last shrink: from then on one such look is enough, so that a little work every few seconds does not put it off for ever. */
const LONG_MS = 600_000;
/** Between two looks, in times of what it should be, beyond which the process was stopped, or the machine stood still: that is not quiet, requests may wait. */
const STOPPED_TIMES = 3;

export interface MemoryKeeperOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly heap: Heap;
  /** What the process holds beside it. */
  readonly resident: { bytes(): number | undefined; giveBack(): Promise<number> };
}

export class MemoryKeeper {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #heap: Heap;
  readonly #resident: MemoryKeeperOptions['resident'];
  #timer: Timer;
  #mark: unknown;
  /** There is something to collect: a start was, or requests. */
  #wasBusy = true;
  #shrunkAt: MonotonicMs | undefined;
  #lookedAt: MonotonicMs;
  /** Looks in a row that found it quiet. */
  #quietLooks = 0;
  #isGrowing = true;
  #givenBackAt: MonotonicMs;
  /** It may take long where this process is stopped, or others have the cores. */
  #isGivingBack = false;
  #giveBackAgainMs = GIVE_BACK_AGAIN_MS;
  /** What was left of the process then. */
  #leftBytes = 0;

  constructor({ clock, timers, heap, resident }: MemoryKeeperOptions) {
    this.#clock = clock;
    this.#timers = timers;
    this.#heap = heap;
    this.#resident = resident;
    this.#givenBackAt = clock.now();
    this.#lookedAt = this.#givenBackAt;
    heap.takeQuietTimes();
    this.#mark = heap.mark();
    this.#timer = this.#lookLater();
  }

  close(): void {
    this.#timer.cancel();
  }

  #lookLater(): Timer {
    return this.#timers.after(this.#everyMs, () => {
      this.#look();
      this.#timer = this.#lookLater();
    });
  }

  get #everyMs(): number {
    return this.#shrunkAt === undefined ? START_EVERY_MS : EVERY_MS;
  }

  #look(): void {
    const busy = this.#heap.busyShare(this.#mark);
    if (busy > BUSY) this.#wasBusy = true;
    const now = this.#clock.now();
    const wasStopped = now - this.#lookedAt > STOPPED_TIMES * this.#everyMs;
    this.#quietLooks = busy < QUIET && !wasStopped ? this.#quietLooks + 1 : 0;
    this.#lookedAt = now;
    if (this.#quietLooks > 0 && this.#wasBusy && this.#isTime()) {
      this.#heap.shrink();
      this.#wasBusy = false;
      this.#shrunkAt = this.#clock.now();
      void this.#giveBack();
    } else if (this.#hasGrown()) void this.#giveBack();
    this.#mark = this.#heap.mark();
    const isGrowing = this.#heap.newSpaceBytes() < NEW_SPACE_BYTES_MAX;
    if (isGrowing !== this.#isGrowing) this.#heap.setGrowing(isGrowing);
    this.#isGrowing = isGrowing;
  }

  async #giveBack(): Promise<void> {
    if (this.#isGivingBack) return;
    this.#isGivingBack = true;
    this.#givenBackAt = this.#clock.now();
    const tookMs = await this.#resident.giveBack();
    this.#giveBackAgainMs = Math.min(Math.max(GIVE_BACK_AGAIN_MS, GIVE_BACK_TIMES * tookMs), GIVE_BACK_AGAIN_MS_MAX);
    this.#leftBytes = this.#resident.bytes() ?? this.#leftBytes;
    this.#isGivingBack = false;
  }

  #hasGrown(): boolean {
    if (this.#clock.now() - this.#givenBackAt < this.#giveBackAgainMs) return false;
    return (this.#resident.bytes() ?? 0) - this.#leftBytes >= GROWN_BYTES;
  }

  #isTime(): boolean {
    if (this.#shrunkAt === undefined) return true;
    const sinceMs = this.#clock.now() - this.#shrunkAt;
    return sinceMs >= (this.#quietLooks >= QUIET_LOOKS ? AGAIN_MS : LONG_MS);
  }
}
