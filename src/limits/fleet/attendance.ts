/**
 * Whose requests count. A member that left, or is known to be gone, takes nothing any more. One that cannot be reached may have crashed, or
 * stand on the other side of a cut, where it goes on admitting: few that vanish have crashed, many at once are behind a cut.
 *
 *            few vanish            many vanish: `hold`            `strict`                       `open`
 *   counted  those that are left   all, up to 5 min; then as ▶    those that are left, and the   those that are left
 *                                                                 limit is cut to their part
 */
import type { Member } from '../../gossip/index.ts';

export type PartitionPolicy = 'hold' | 'strict' | 'open';

/** Of all that should be there: if more cannot be reached, it is taken for a cut. One alone crashed, unless it is one of two. */
const CUT_SHARE = 0.1;
/** A cut that lasts longer is acted upon, ms. */
const HOLD_MS = 300_000;

export class Attendance {
  readonly #policy: PartitionPolicy;
  /** By slot, without this sidecar itself; those that left are not in it. Who is suspected is not waited for: it is back as soon as it answers. */
  readonly #reachable = new Map<number, boolean>();
  #cutAt: number | undefined;

  constructor(policy: PartitionPolicy) {
    this.#policy = policy;
  }

  note({ slot, state, isListed }: Member, now: number): void {
    const isGone = state === 'left' || (state === 'dead' && isListed === false);
    if (isGone) this.#reachable.delete(slot);
    else this.#reachable.set(slot, state === 'alive');
    this.#judge(now);
  }

  forget(slot: number, now: number): void {
    this.#reachable.delete(slot);
    this.#judge(now);
  }

  isCounted(slot: number, now: number): boolean {
    const isReachable = this.#reachable.get(slot);
    if (isReachable !== false) return isReachable === true;
    return this.#policy === 'hold' && this.#isHeld(now);
  }

  /** What of a limit may be taken by those that are counted. `expected`: members there should be. */
  part(expected: number, isIsolated: boolean, now: number): number {
    if (isIsolated) return 1 / Math.max(1, expected);
    if (this.#cutAt === undefined || this.#policy === 'open' || (this.#policy === 'hold' && this.#isHeld(now)))
      return 1;
    return (this.#count(true) + 1) / (this.#reachable.size + 1);
  }

  #judge(now: number): void {
    const all = this.#reachable.size + 1;
    const isCut = this.#count(false) > Math.max(all > 2 ? 1 : 0, CUT_SHARE * all);
    if (isCut) this.#cutAt ??= now;
    else this.#cutAt = undefined;
  }

  #isHeld(now: number): boolean {
    return this.#cutAt !== undefined && now - this.#cutAt < HOLD_MS;
  }

  #count(isReachable: boolean): number {
    let count = 0;
    for (const each of this.#reachable.values()) if (each === isReachable) count++;
    return count;
  }
}
