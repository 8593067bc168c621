/**
 * One file of a log.
 *
 *   000000000012.wal   [ "REEVEWAL" ][kind, 4 letters][version u16][length of what follows u16][owner's head …][CRC-32 u32] [frame][frame] …
 *
 * The owner's head says what its frames mean: it is written once, when the segment begins.
 */
import { crc32 } from 'node:zlib';

const MAGIC = 'REEVEWAL';
export const VERSION = 1;
const FIXED = MAGIC.length + 4 + 2 + 2;
/** Of the owner's. */
export const HEAD_BYTES_MAX = 4096;
/** What stands before the first frame, at most. */
export const FILE_HEAD_MAX: number = FIXED + HEAD_BYTES_MAX + 4;
const NAME = /^(\d{12})\.wal$/;

export function segmentName(number: number): string {
  return `${String(number).padStart(12, '0')}.wal`;
}

/** Undefined: no segment is called that. */
export function segmentNumber(name: string): number | undefined {
  const [, digits] = NAME.exec(name) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** The beginning of a file. */
export function segmentHead(kind: string, owner: Uint8Array): Buffer {
  const head = Buffer.alloc(FIXED + owner.length + 4);
  head.latin1Write(MAGIC + kind, 0);
  head.writeUInt16BE(VERSION, MAGIC.length + 4);
  head.writeUInt16BE(owner.length, MAGIC.length + 6);
  head.set(owner, FIXED);
  head.writeUInt32BE(crc32(head.subarray(0, FIXED + owner.length)), FIXED + owner.length);
  return head;
}

export interface SegmentHead {
  readonly owner: Buffer;
  /** Where its frames begin. */
  readonly bytes: number;
}

/** Or what is wrong with it. */
export function readSegmentHead(kind: string, bytes: Buffer): SegmentHead | 'torn' | 'foreign' | 'newer' | 'damaged' {
  if (bytes.length < FIXED + 4) return 'torn';
  if (bytes.latin1Slice(0, MAGIC.length) !== MAGIC) return 'damaged';
  if (bytes.latin1Slice(MAGIC.length, MAGIC.length + 4) !== kind) return 'foreign';
  if (bytes.readUInt16BE(MAGIC.length + 4) > VERSION) return 'newer';
  const length = bytes.readUInt16BE(MAGIC.length + 6);
  const end = FIXED + length;
  if (length > HEAD_BYTES_MAX) return 'damaged';
  if (bytes.length < end + 4) return 'torn';
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) return 'damaged';
  return { owner: Buffer.from(bytes.subarray(FIXED, end)), bytes: end + 4 };
}
