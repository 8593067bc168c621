/**
 * The payload of a batch of single records, before it is compressed: blocks as they stand in the spool, one behind the other.
 *
 *   [base ms varint][records varint][bytes varint][records …]  [base …] …
 *    └─ of the first the wall clock, of the others the time since the one before
 */
import { Reader, VARINT_BYTES_MAX, Writer } from '../core/index.ts';
import type { Run } from './block.ts';
import { RecordReader, WALL_MS_MAX } from './usage-record.ts';

const RUN_HEAD = 3 * VARINT_BYTES_MAX;

/** Collects runs of records, at most `bytesMax` of payload. One buffer for all payloads: V8 counts buffers against the heap. */
export class RunsWriter {
  readonly #writer: Writer;
  #baseMs = -1;

  constructor(bytesMax: number) {
    this.#writer = new Writer(bytesMax);
  }

  /** The payload before is no more. */
  begin(): void {
    this.#writer.offset = 0;
    this.#baseMs = -1;
  }

  /** False: it has no room for them, or they are of a time before; nothing of them was written. */
  add({ firstSeq, lastSeq, baseMs }: Run, records: Buffer): boolean {
    const writer = this.#writer;
    if (baseMs < this.#baseMs || writer.room < RUN_HEAD + records.length) return false;
    writer.varint(this.#baseMs === -1 ? baseMs : baseMs - this.#baseMs);
    writer.varint(lastSeq - firstSeq + 1);
    writer.varint(records.length);
    writer.raw(records);
    this.#baseMs = baseMs;
    return true;
  }

  /** Good until the next begins. */
  get payload(): Buffer {
    return this.#writer.bytes.subarray(0, this.#writer.offset);
  }
}

/** Takes one record, which the reader stands at; `baseMs` is of its run. False: reading stops. */
export type TakeRecord = (reader: RecordReader, baseMs: number) => boolean;

const records = new RecordReader();

/** Reads a payload of runs: how many records it has, all of them taken; -1 when it is broken or `take` said so. What was taken before stays taken. */
export function readRuns(payload: Buffer, take: TakeRecord): number {
  const reader = new Reader(payload);
  let total = 0;
  let baseMs = 0;
  while (reader.hasMore) {
    baseMs += reader.varint();
    const count = reader.varint();
    const bytes = reader.raw(reader.varint());
    if (reader.isBroken || baseMs > WALL_MS_MAX) return -1;
    if (readRecords(bytes, baseMs, take) !== count) return -1;
    total += count;
  }
  return reader.isBroken ? -1 : total;
}

/** The records of one run; as `readRuns`. */
export function readRecords(bytes: Buffer, baseMs: number, take: TakeRecord): number {
  records.begin(bytes, 0, bytes.length);
  let count = 0;
  while (records.next()) {
    if (!take(records, baseMs)) return -1;
    count++;
  }
  return records.isBroken ? -1 : count;
}
