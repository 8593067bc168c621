/**
 * How kept rows stand in their log, a frame what one sidecar handed over at once:
 *
 *   [fleet] { [key][version f64][value][until ms] } …          texts and bytes behind their length; numbers are varints
 */
import { Reader, Writer } from '../../core/index.ts';
import type { KeptRow } from '../../metering/index.ts';
import { BODY_BYTES_MAX, FRAME_HEAD } from '../../wal/index.ts';
import { FLEET_LETTERS_MAX, isSound, KEY_BYTES_MAX, VALUE_BYTES_MAX } from './kept-rows.ts';

/** A row with all that is around it. */
const ROW_BYTES_MAX = KEY_BYTES_MAX + VALUE_BYTES_MAX + 32;

/** Frames that hold them all, each with room for its head. The bytes are good until the next is asked for. */
export function* framesOf(fleet: string, rows: Iterable<KeptRow>): Generator<Buffer> {
  const writer = new Writer(FRAME_HEAD + BODY_BYTES_MAX / 8);
  const begin = (): void => {
    writer.offset = FRAME_HEAD;
    writer.text(fleet);
  };
  begin();
  const empty = writer.offset;
  for (const { key, version, value, untilMs } of rows) {
    writer.varint(key.length);
    writer.raw(key);
    writer.f64(version);
    writer.varint(value.length);
    writer.raw(value);
    writer.varint(untilMs);
    if (writer.room >= ROW_BYTES_MAX) continue;
    yield writer.bytes.subarray(0, writer.offset);
    begin();
  }
  if (writer.offset > empty) yield writer.bytes.subarray(0, writer.offset);
}

/** Undefined: no version writes such a body. */
export function readFrame(body: Buffer): { readonly fleet: string; readonly rows: readonly KeptRow[] } | undefined {
  const reader = new Reader(body);
  const fleet = reader.text(FLEET_LETTERS_MAX);
  const rows: KeptRow[] = [];
  while (reader.hasMore) {
    const key = Buffer.from(reader.raw(reader.varint()));
    const version = reader.f64();
    const value = Buffer.from(reader.raw(reader.varint()));
    const row = { key, version, value, untilMs: reader.varint() };
    if (reader.isBroken || !isSound(row)) return undefined;
    rows.push(row);
  }
  return reader.isBroken ? undefined : { fleet, rows };
}
