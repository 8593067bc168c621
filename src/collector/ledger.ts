/**
 * Port: the system of record. Whatever else the collector has can be made from it again.
 *
 *   append ─▶ [ … committed … | appended ] ─ commit ─▶ everything appended is on the medium
 *                             ▲ high water
 */
import type { Place } from '../wal/index.ts';
import type { Entry } from './entry.ts';

export interface Committed {
  readonly entry: Entry;
  /** Where the next one begins. */
  readonly next: Place;
  /**
   * It was on the medium, and may have been acknowledged, whatever stands before it. Not known of the last of an earlier life: the machine may have
   * stopped before a sync, and kept a later piece of it and not an earlier one. Asked of entries of version 0 alone: others say it themselves.
   */
  readonly isSettled: boolean;
}

export interface Ledger {
  /** Behind the last entry that is committed. */
  readonly highWater: Place;
  /** Bytes of it all. */
  readonly bytes: number;
  /** Throws when it takes nothing; then nothing of the entry stands. */
  append(entry: Entry): void;
  /**
   * Resolves when all that was appended before is on the medium. Rejects when that is not known: whether what was appended since the last one
   * stands, is in doubt until a later commit resolves, or a next opening has read it.
   */
  commit(): Promise<void>;
  /** Throws while there is no room for a batch. */
  probe(): void;
  /** Entries that stand, from a place on; from the first that is kept when it is undefined. */
  scan(from: Place | undefined): Iterable<Committed>;
  /** Drops what stands before `place` and is older than `beforeMs`, as far as it can: whole segments. */
  drop(place: Place, beforeMs: number): void;
  close(): void;
}
