/** What gossip carries rows for; it never looks into them. */
import type { Member } from './member.ts';

export interface Written {
  /** Where the bytes end. */
  readonly offset: number;
  /** The version up to which the delta is then complete. */
  readonly upTo: number;
}

/**
 * Rows of one kind. Rows of one origin have versions 1, 2, 3 …; whoever holds version n of an origin holds what all rows up to n say
 * (a newer row replaces an older one, so a delta is the newest state of what changed since).
 */
export interface Lane {
  /** The newest version held of an origin, 0 for none. */
  version(slot: number): number;
  /**
   * Writes what changed after `after`, oldest first, into `bytes` from `offset` up to `end`. Returns where it ended and the version up to
   * which the delta is then complete; `offset` itself when nothing fits or nothing is newer.
   */
  write(slot: number, after: number, bytes: Uint8Array, offset: number, end: number): Written;
  /**
   * Takes a delta (after, upTo]; false when it is malformed or does not continue what is held: then nothing changed. `bytes` are good until
   * it returns. Called only with after ≤ version(slot) < upTo, and never for slot 0.
   */
  read(slot: number, after: number, upTo: number, bytes: Uint8Array): boolean;
}

export interface Delegate extends Lane {
  /** Rows that may come seconds later than the others, with versions of their own: they go in frames of their own, which give way first. */
  readonly cold?: Lane;
  /** A member is new, changed its state or its listing. */
  onMember(member: Member): void;
  /** Its slot may be given to another. */
  onForgotten(slot: number): void;
}

/** Who has no cold rows. */
export const NO_LANE: Lane = {
  version: () => 0,
  write: (_slot, after, _bytes, offset) => ({ offset, upTo: after }),
  read: () => false,
};
