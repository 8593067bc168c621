/**
 * What each member tells, as gossip carries it in its cold lane: the own log, and one of each other member, by its slot.
 *
 *   slot 0     own log ─ write ─▶ others
 *   slot 1 …   log of a member ◀─ read ─ whoever holds it; write ─▶ whoever lacks it
 *                   └─ rows that are news ─▶ take
 *
 * Bound: a log a member that gossip remembers, each with the bounds of its own.
 */
import type { Lane, Member, Written } from '../../gossip/index.ts';
import { OriginLog } from './origin-log.ts';
import type { FleetRow, RowKey } from './row.ts';

export class MemberLogs implements Lane {
  /** Deltas that were malformed, or did not continue what is held. */
  refused = 0;
  /** By member slot; 0 is the own one. */
  readonly #logs: (OriginLog | undefined)[];
  readonly #take: (row: FleetRow) => void;

  /** `take`: is handed each row that is news to its log, in the order in which they were told. */
  constructor(own: OriginLog, take: (row: FleetRow) => void) {
    this.#logs = [own];
    this.#take = take;
  }

  /** Rows held of others. */
  get others(): number {
    return this.#logs.reduce((sum, log, slot) => sum + (slot === 0 ? 0 : (log?.size ?? 0)), 0);
  }

  version(slot: number): number {
    return this.#logs[slot]?.version ?? 0;
  }

  write(slot: number, after: number, bytes: Uint8Array, offset: number, end: number): Written {
    return this.#logs[slot]?.write(after, bytes, offset, end) ?? { offset, upTo: after };
  }

  read(slot: number, after: number, upTo: number, bytes: Uint8Array): boolean {
    const rows = this.#logs[slot]?.read(after, upTo, bytes);
    if (rows === undefined) {
      this.refused++;
      return false;
    }
    for (const each of rows) this.#take(each);
    return true;
  }

  /** A member is new, or something of it changed. */
  note({ slot, incarnation }: Member): void {
    this.#logs[slot] ??= new OriginLog(incarnation);
  }

  /** Its slot may be given to another. */
  forget(slot: number): void {
    this.#logs[slot] = undefined;
  }

  /** Forgets rows whose time is over; a step a series. */
  *dropping(isOver: (key: RowKey) => boolean): Generator<void> {
    for (const log of this.#logs) if (log !== undefined) yield* log.dropping(isOver);
  }
}
