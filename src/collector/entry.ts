/**
 * What stands in the ledger: everything a sidecar told, as it came, and what an operator decided. One form for all kinds; the body of a
 * frame says whose it is and where it belongs, so that any piece can be read alone.
 *
 *   [4 × version + kind, u8][received ms][spool id, 16][service][instance][epoch][life, 8][seq from][seq to][chain before u32][chain after u32][watermark ms]
 *     from version 1 on: [told][synced]
 *     batch: [folded u8][CRC-32 u32][bytes before compression][payload …]      gap: [reason]
 *
 * Numbers are varints, texts a varint of length and Latin-1.
 */
import { Reader, type Writer } from '../core/index.ts';
import { FRAME_HEAD } from '../wal/index.ts';

/**
 * - `batch`: records, or windows that they were folded to. - `gap`: records that were made and are lost. - `bye`: the spool is told whole.
 * - `write-off`: an operator said that nothing more comes of this spool.
 */
export type EntryKind = 'batch' | 'gap' | 'bye' | 'write-off';

export interface Entry {
  readonly kind: EntryKind;
  /** Wall ms. */
  readonly receivedMs: number;
  /** 32 hex digits. */
  readonly spoolId: string;
  readonly service: string;
  readonly instance: string;
  readonly epoch: number;
  /** 16 hex digits; zeros where it is not known. */
  readonly life: string;
  readonly seqFrom: number;
  readonly seqTo: number;
  readonly chainBefore: number;
  readonly chainAfter: number;
  /** Wall ms. */
  readonly watermarkMs: number;
  /** Undefined: of version 0, which did not write it. */
  readonly stood?: Stood;
  /** Of a batch. */
  readonly batch?: Payload;
  /** Of a gap. */
  readonly reason?: string;
}

/**
 * How far its spool was told when it was appended: numbers of records and gaps since the first, over all epochs. So an entry that is missing
 * before it is missed by its count, and whether anybody was told that it stands is known.
 */
export interface Stood {
  /** Taken before it. */
  readonly told: number;
  /** Of these, on the medium. */
  readonly synced: number;
}

export interface Payload {
  readonly isFolded: boolean;
  /** Of the payload before it was compressed. */
  readonly crc: number;
  readonly bytes: number;
  /** Zstandard. */
  readonly zstd: Uint8Array;
}

export const LIFE_UNKNOWN = '0000000000000000';
/** Letters of a service, a reason; of an instance. */
export const SERVICE_MAX = 63;
export const REASON_MAX = 63;
export const INSTANCE_MAX = 253;

const KINDS: readonly EntryKind[] = ['batch', 'gap', 'bye', 'write-off'];
const VERSION_MAX = 1;

/** Numbers that it tells. */
export function countOf({ kind, seqFrom, seqTo }: Pick<Entry, 'kind' | 'seqFrom' | 'seqTo'>): number {
  return kind === 'batch' || kind === 'gap' ? seqTo - seqFrom + 1 : 0;
}

/** Writes a frame into the writer, its head left free, and returns the bytes of the whole. */
export function writeEntry(writer: Writer, entry: Entry): number {
  writer.offset = FRAME_HEAD;
  const version = entry.stood === undefined ? 0 : 1;
  writer.u8(version * KINDS.length + KINDS.indexOf(entry.kind));
  writer.varint(entry.receivedMs);
  writer.hex(entry.spoolId);
  writer.text(entry.service);
  writer.text(entry.instance);
  writer.varint(entry.epoch);
  writer.hex(entry.life);
  writer.varint(entry.seqFrom);
  writer.varint(entry.seqTo);
  writer.u32(entry.chainBefore);
  writer.u32(entry.chainAfter);
  writer.varint(entry.watermarkMs);
  if (entry.stood !== undefined) {
    writer.varint(entry.stood.told);
    writer.varint(entry.stood.synced);
  }
  if (entry.batch !== undefined) {
    writer.u8(entry.batch.isFolded ? 1 : 0);
    writer.u32(entry.batch.crc);
    writer.varint(entry.batch.bytes);
    writer.raw(entry.batch.zstd);
  }
  if (entry.reason !== undefined) writer.text(entry.reason);
  return writer.offset;
}

/** Undefined: no version writes such a body. The payload is a part of `body`. */
export function readEntry(body: Buffer): Entry | undefined {
  const reader = new Reader(body);
  const code = reader.u8();
  const kind = KINDS[code % KINDS.length] as EntryKind;
  const version = Math.floor(code / KINDS.length);
  const written = {
    receivedMs: reader.varint(),
    spoolId: reader.hex(16),
    service: reader.text(SERVICE_MAX),
    instance: reader.text(INSTANCE_MAX),
    epoch: reader.varint(),
    life: reader.hex(8),
    seqFrom: reader.varint(),
    seqTo: reader.varint(),
    chainBefore: reader.u32(),
    chainAfter: reader.u32(),
    watermarkMs: reader.varint(),
  };
  const entry = version === 0 ? written : { ...written, stood: { told: reader.varint(), synced: reader.varint() } };
  if (version > VERSION_MAX || reader.isBroken) return undefined;
  if (kind === 'gap') {
    const reason = reader.text(REASON_MAX);
    return reader.isBroken ? undefined : { kind, ...entry, reason };
  }
  if (kind !== 'batch') return { kind, ...entry };
  const batch = { isFolded: reader.u8() === 1, crc: reader.u32(), bytes: reader.varint() };
  return reader.isBroken ? undefined : { kind, ...entry, batch: { ...batch, zstd: body.subarray(reader.offset) } };
}
