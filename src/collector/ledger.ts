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
}

export interface Ledger {
  /** Behind the last entry that is committed. */
  readonly highWater: Place;
  /** Bytes of it all. */
  readonly bytes: number;
  /** Throws when it takes nothing; then nothing of the entry stands. */
  append(entry: Entry): void;
  /**
   * Resolves when all that was appended before is on the medium. Rejects when that is not known: then what was appended since the last
   * commit does not count, neither now nor for a later `scan`, and nothing is taken until it was mended.
   */
  commit(): Promise<void>;
  /** After a refusal: resolves when entries can be taken again, rejects when not yet. */
  mend(): Promise<void>;
  /** Committed entries from a place on; from the first that is kept when it is undefined. */
  scan(from: Place | undefined): Iterable<Committed>;
  /** Drops what stands before `place` and is older than `beforeMs`, as far as it can: whole segments. */
  drop(place: Place, beforeMs: number): void;
  close(): void;
}
