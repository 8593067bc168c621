/**
 * Whose requests count. A member that left, or is known to be gone, takes nothing any more. One that cannot be reached may have crashed, or
 * stand on the other side of a cut, where it goes on admitting: few that vanish have crashed, many at once are behind a cut.
 *
 *            few vanish            many vanish: `hold`            `strict`                       `open`
 *   counted  those that are left   all, up to 5 min; then as ▶    those that are left, and the   those that are left
 *                                                                 limit is cut to their part
 *
 * Who hears nobody at all counts nobody, and takes an equal part of the limit.
 */
import type { Member } from '../../gossip/index.ts';
import type { Electorate } from './strict.ts';

export type PartitionPolicy = 'hold' | 'strict' | 'open';

/** What gossip knows of the fleet as a whole. */
export interface Surroundings {
  /** Members there should be, this one included. */
  readonly expected: number;
  /** Nobody was heard for long although there should be somebody. */
  readonly isIsolated: boolean;
  /** The seeds have answered, or somebody was heard; before that there may be others that nobody named. */
  readonly isFound: boolean;
}

/** Of all that should be there: if more cannot be reached, it is taken for a cut. One alone crashed, unless it is one of two. */
const CUT_SHARE = 0.1;
/** A cut that lasts longer is acted upon, ms. */
const HOLD_MS = 300_000;

export class Attendance {
  /** What of a limit may be taken by those that are counted, as of the last look. */
  part = 1;
  readonly #policy: PartitionPolicy;
  /** By slot, without this sidecar itself; those that are gone are not in it. Who is suspected is not waited for: it is back as soon as it answers. */
  readonly #isReachable = new Map<number, boolean>();
  readonly #addresses = new Map<number, string>();
  /** Of those that may be alive. */
  readonly #incarnations = new Map<number, string>();
  #reachable = 0;
  #cutAt: number | undefined;
  #expected = 1;
  #isIsolated = false;
  #isHeld = false;
  /** Whenever anybody came, went or could not be reached. */
  #changes = 0;

  constructor(policy: PartitionPolicy) {
    this.#policy = policy;
  }

  note({ slot, state, address, isListed, incarnation }: Member): void {
    this.forget(slot);
    const isAlive = state === 'alive';
    if (state === 'left' || (state === 'dead' && (isListed === false || this.#isTaken(address)))) return;
    // Whoever had the address before is gone: a process that was started again is another member.
    if (isAlive)
      for (const [other, of] of this.#addresses)
        if (of === address && this.#isReachable.get(other) === false) this.forget(other);
    this.#isReachable.set(slot, isAlive);
    this.#addresses.set(slot, address);
    this.#incarnations.set(slot, incarnation);
    if (isAlive) this.#reachable++;
  }

  forget(slot: number): void {
    if (this.#isReachable.get(slot) === true) this.#reachable--;
    this.#isReachable.delete(slot);
    this.#addresses.delete(slot);
    this.#incarnations.delete(slot);
    this.#changes++;
  }

  /** How things stand now. A cut is over when as many are there as should be: also when who is behind it is not remembered any more. */
  look({ expected, isIsolated }: Omit<Surroundings, 'isFound'>, now: number): void {
    const known = this.#isReachable.size + 1;
    const isCutBefore = this.#cutAt !== undefined;
    const all = isCutBefore ? Math.max(known, expected) : known;
    const isCut = all - this.#reachable - 1 > Math.max(all > 2 ? 1 : 0, CUT_SHARE * all);
    if (!isCut) this.#cutAt = undefined;
    else this.#cutAt ??= now;
    this.#expected = Math.max(known, expected);
    this.#isIsolated = isIsolated;
    this.#isHeld = this.#policy === 'hold' && this.#cutAt !== undefined && now - this.#cutAt < HOLD_MS;
    this.part = this.#partOf();
  }

  /** Who may admit something, wherever it is. `expected`: as the seeds have it now; the one before is handed back while nothing changed. */
  electorate(expected: number, before: Electorate | undefined, now: number): Electorate {
    const all = Math.max(this.#isReachable.size + 1, expected);
    if (before?.expected === all && before.changes === this.#changes) return before;
    return {
      expected: all,
      isComplete: this.#reachable + 1 >= all,
      incarnations: [...this.#incarnations.values()].sort(),
      changes: this.#changes,
      since: now,
    };
  }

  isCounted(slot: number): boolean {
    if (this.#isIsolated) return false;
    const isReachable = this.#isReachable.get(slot);
    return isReachable === true || (isReachable === false && this.#isHeld);
  }

  #partOf(): number {
    if (this.#isIsolated) return 1 / Math.max(1, this.#expected);
    if (this.#cutAt === undefined || this.#policy === 'open' || this.#isHeld) return 1;
    return (this.#reachable + 1) / this.#expected;
  }

  #isTaken(address: string): boolean {
    for (const [slot, of] of this.#addresses) if (of === address && this.#isReachable.get(slot) === true) return true;
    return false;
  }
}
