// hot path
/** Rows of an origin between two versions, on their way in and out. */
import { type Reader, VARINT_BYTES_MAX, type Writer } from '../core/index.ts';
import type { Counts } from './counts.ts';
import type { Lane } from './delegate.ts';
import type { Peer, Roster } from './roster.ts';

/** Incarnation, two versions and a length. */
const HEAD_BYTES_MAX = 8 + 3 * VARINT_BYTES_MAX;
/** A delta worth its head, in bytes. */
const DELTA_BYTES_MIN: number = HEAD_BYTES_MAX + 32;

/** Writes what follows `after`, up to `end`. Returns the version up to which it is complete; `after` when nothing was written. */
export function writeDelta(writer: Writer, lane: Lane, origin: Peer, after: number, end: number): number {
  const start = writer.offset;
  const body = start + HEAD_BYTES_MAX;
  if (end - start < DELTA_BYTES_MIN) return after;
  const written = lane.write(origin.slot, after, writer.bytes, body, end);
  if (written.offset === body) return after;
  writer.hex(origin.incarnation);
  writer.varint(after);
  writer.varint(written.upTo);
  writer.varint(written.offset - body);
  // The head is shorter than the room it was given.
  writer.bytes.copyWithin(writer.offset, body, written.offset);
  writer.offset += written.offset - body;
  return written.upTo;
}

export interface DeltaSink {
  readonly roster: Roster;
  readonly lane: Lane;
  readonly counts: Counts;
  /** Rows of this origin are newer than they were. */
  readonly onAdvanced: (origin: Peer) => void;
}

/** Hands `count` deltas to the lane. What is unknown, held already, does not continue what is held, or is about ourselves is passed over. */
export function readDeltas(reader: Reader, count: number, { roster, lane, counts, onAdvanced }: DeltaSink): void {
  for (let i = 0; i < count && !reader.isBroken; i++) {
    const origin = roster.of(reader.hex(8));
    const after = reader.varint();
    const upTo = reader.varint();
    const bytes = reader.raw(reader.varint());
    if (reader.isBroken || origin === undefined || origin.slot === 0) continue;
    const held = lane.version(origin.slot);
    if (after > held || upTo <= held) continue;
    if (lane.read(origin.slot, after, upTo, bytes)) onAdvanced(origin);
    else counts.refusedDeltas++;
  }
}
