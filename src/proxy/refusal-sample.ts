// hot path
/**
 * Which refusals are written down: of each kind the first ten of a second, and of the rest a share. A client that is slowed down is seen in
 * full; a flood of 429 is not a flood of lines, and hides nobody else's.
 *
 *   tenant or peer, code ─▶ place ─▶ second, how many in it
 *
 * Accuracy: kinds that fall on one place share its ten.
 */
import type { Random } from '../core/index.ts';

/** A power of two. 48 KiB, whatever comes. */
const PLACES = 4096;
/** Of a kind, each second, whatever the share is: more than a person reads, less than a disk feels. */
const ALWAYS_PER_SEC = 10;

export class RefusalSample {
  readonly #random: Random;
  readonly #share: number;
  readonly #seconds: Float64Array = new Float64Array(PLACES);
  readonly #counts: Uint32Array = new Uint32Array(PLACES);

  /** `share` in [0, 1]. */
  constructor(random: Random, share: number) {
    this.#random = random;
    this.#share = share;
  }

  /** `who`: a tenant's slot, or text that tells peers apart. */
  isWritten(who: number | string, code: number, wallMs: number): boolean {
    const place = ((typeof who === 'number' ? who : hashOf(who)) * 31 + code) & (PLACES - 1);
    const second = Math.floor(wallMs / 1000);
    if (this.#seconds[place] !== second) {
      this.#seconds[place] = second;
      this.#counts[place] = 0;
    }
    (this.#counts[place] as number)++;
    return (this.#counts[place] as number) <= ALWAYS_PER_SEC || this.#random.float() < this.#share;
  }
}

/** FNV-1a. An address is short. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 1;
}
