// hot path
/**
 * How many requests an upstream may have unanswered at once, learned from how long it takes to answer: Gradient2 of Netflix'
 * concurrency-limits. A window's median round trip against the long average of them; where it is more than `tolerance` times as long there
 * is a queue at the upstream, and the limit falls with the gradient; else it grows by the queue it is allowed, √limit.
 *
 *   gradient = clamp(tolerance · long / short, ½, 1)          limit ← limit · (1 − s) + (limit · gradient + √limit) · s
 *
 * Three things are otherwise than published, each because the limit is on by default and must not hurt who is well:
 * - It begins at the most it may be: nobody is made to wait before there is a sign of a queue.
 * - A window that shows a queue is not averaged into `long` while the limit can still fall: under standing overload the published
 *   average drifts up to the overload, and the limit with it. At the least limit it is, and fast: what is slow there is not slow by a queue.
 * - A round in which the limit was not the bound does not raise it, as published, but it may lower it: the limit begins high. With fewer
 *   requests at once than the least limit there is nothing to lower.
 */

export interface GradientOptions {
  /** Requests at once that are always allowed, ≥ 1. */
  readonly min: number;
  /** And never more than this. The same as `min`: a fixed limit. */
  readonly max: number;
  /** How many times as long as usual a round trip may take before it counts as a queue, ≥ 1. */
  readonly tolerance: number;
}

/** Weight of a window's new limit (Gradient2's default). */
const SMOOTHING = 0.2;
/** Windows that the long average spans (Gradient2's default, there of samples): a minute of busy windows. */
const LONG_WINDOWS = 600;
/** Windows averaged plainly at the beginning (Gradient2's warm-up), and spanned by the average at the least limit. */
const WARM_WINDOWS = 10;
/** A window is at least so long, ms (Envoy's concurrency_update_interval), and has at least so many samples (Netflix' WindowedLimit). */
const WINDOW_MS = 100;
const SAMPLES_MIN = 10;
/** Samples kept of a window, the last ones: the median of 64 is as good as that of all. */
const SAMPLES_MAX = 64;

export class Gradient {
  readonly #min: number;
  readonly #max: number;
  readonly #tolerance: number;
  readonly #samples: Float64Array = new Float64Array(SAMPLES_MAX);
  #estimate: number;
  /** Requests at once that are allowed now. */
  limit: number;
  #count = 0;
  #since = 0;
  /** The most that were unanswered at once in this window. */
  #peak = 0;
  #long = 0;
  #windows = 0;

  constructor({ min, max, tolerance }: GradientOptions) {
    this.#max = max;
    this.#min = Math.min(min, max);
    this.#tolerance = tolerance;
    this.#estimate = max;
    this.limit = max;
  }

  /** The usual round trip, ms; 0 before the first window. */
  get usualMs(): number {
    return this.#long;
  }

  /** One more is unanswered: so many are. */
  enter(unanswered: number): void {
    if (unanswered > this.#peak) this.#peak = unanswered;
  }

  /** A round trip that ended now; with it so many were unanswered. */
  sample(ms: number, now: number, unanswered: number): void {
    this.enter(unanswered);
    // However long it takes to fill: what comes slowly is no less usual.
    if (this.#count === 0) this.#since = now;
    this.#samples[this.#count % SAMPLES_MAX] = ms;
    this.#count++;
    if (this.#count >= SAMPLES_MIN && now - this.#since >= WINDOW_MS) this.#close();
  }

  #close(): void {
    const short = this.#median();
    const peak = this.#peak;
    this.#count = 0;
    this.#peak = 0;
    const isFirst = this.#windows === 0;
    const gradient = isFirst ? 1 : Math.min(1, Math.max(0.5, (this.#tolerance * this.#long) / short));
    const isQueue = gradient < 1 && peak >= this.#min;
    if (!isQueue || this.#estimate <= this.#min) this.#learn(short);
    const isBound = peak >= this.#estimate / 2;
    if (!isQueue && !isBound) return;
    const aim = this.#estimate * gradient + Math.sqrt(this.#estimate);
    const next = this.#estimate * (1 - SMOOTHING) + aim * SMOOTHING;
    this.#estimate = Math.max(this.#min, Math.min(this.#max, isBound ? next : Math.min(next, this.#estimate)));
    this.limit = Math.floor(this.#estimate);
  }

  #learn(short: number): void {
    this.#windows++;
    const isWarm = this.#windows > WARM_WINDOWS;
    const span = this.#estimate <= this.#min ? WARM_WINDOWS : LONG_WINDOWS;
    const weight = isWarm ? 2 / (span + 1) : 1 / this.#windows;
    this.#long += (short - this.#long) * weight;
    // As published: after a spell of slowness the average comes down faster than it went up.
    if (this.#long > 2 * short) this.#long *= 0.95;
  }

  #median(): number {
    const kept = this.#samples.subarray(0, Math.min(this.#count, SAMPLES_MAX)).sort();
    // A clock may not tell a very short time from none.
    return Math.max(kept[kept.length >> 1] as number, 0.001);
  }
}
