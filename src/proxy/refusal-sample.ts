// hot path
/**
 * Which refusals are written down: of each kind the first ten of a second, and of the rest a share. A client that is slowed down is seen in
 * full; a flood of 429 is not a flood of lines.
 *
 *   who, code ─▶ kind ─▶ a place that is its own for this second ─▶ how many
 *
 * Bounds: 4,096 places, 80 KiB. A kind that finds none, where thousands are refused in one second, is written by its share alone.
 */
import type { Random } from '../core/index.ts';

/** A power of two. */
const PLACES = 4096;
/** Looked at for one that is the kind's own or nobody's. */
const TRIES = 8;
/** Of a kind, each second, whatever the share is: more than a person reads, less than a disk feels. */
const ALWAYS_PER_SEC = 10;
/** More than there are. */
const CODES_MAX = 64;

export class RefusalSample {
  readonly #random: Random;
  readonly #share: number;
  readonly #kinds: Float64Array = new Float64Array(PLACES);
  readonly #seconds: Float64Array = new Float64Array(PLACES);
  readonly #counts: Uint32Array = new Uint32Array(PLACES);

  /** `share` in [0, 1]. */
  constructor(random: Random, share: number) {
    this.#random = random;
    this.#share = share;
  }

  /** `who`, `code`: their numbers. */
  isWritten(who: number, code: number, wallMs: number): boolean {
    const place = this.#placeOf(who * CODES_MAX + code, Math.floor(wallMs / 1000));
    const isFirst = place !== undefined && ++(this.#counts[place] as number) <= ALWAYS_PER_SEC;
    return isFirst || this.#random.float() < this.#share;
  }

  /** The kind's place in this second; undefined: all that it could have are taken. */
  #placeOf(kind: number, second: number): number | undefined {
    const first = Math.imul(kind, 0x9e3779b1) >>> 20;
    let free: number | undefined;
    for (let tried = 0; tried < TRIES; tried++) {
      const place = (first + tried) & (PLACES - 1);
      const isOfNow = this.#seconds[place] === second;
      if (isOfNow && this.#kinds[place] === kind) return place;
      if (!isOfNow) free ??= place;
    }
    if (free === undefined) return undefined;
    this.#kinds[free] = kind;
    this.#seconds[free] = second;
    this.#counts[free] = 0;
    return free;
  }
}
