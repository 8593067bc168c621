/**
 * The head of a file of a log. It stands there twice: damage to one costs nothing.
 *
 *   000000000012.wal   ["REEVEWAL"][kind, 4 letters][version u16][length of the owner's u16][number u48][follows u48][mark u32][owner's …][CRC-32 u32]
 *                      [the same again] [frame][frame] … [seal]
 *
 * The owner's part says what its frames mean: it is written once, when the segment begins.
 */
import { crc32 } from 'node:zlib';

const MAGIC = 'REEVEWAL';
export const VERSION = 1;
const FIXED = 32;
const SUM = 4;
/** Of the owner's part: names and numbers of who writes. */
export const HEAD_BYTES_MAX = 4096;
/** Both copies stand within these. */
export const HEADS_BYTES_MAX: number = 2 * (FIXED + HEAD_BYTES_MAX + SUM);
const NAME = /^(\d{12})\.wal$/;

export function segmentName(number: number): string {
  return `${String(number).padStart(12, '0')}.wal`;
}

/** Undefined: no segment is called that. */
export function segmentNumber(name: string): number | undefined {
  const [, digits] = NAME.exec(name) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

export interface SegmentHead {
  /** Four letters: what the log is of. */
  readonly kind: string;
  /** As its name says. */
  readonly number: number;
  /** The segment before it when it began; 0: none. */
  readonly follows: number;
  /** Before each of its frames. */
  readonly mark: number;
  readonly owner: Buffer;
}

/** The beginning of a file: both copies. */
export function segmentHead({ kind, number, follows, mark, owner }: SegmentHead): Buffer {
  if (owner.length > HEAD_BYTES_MAX)
    throw new RangeError(
      `the owner's part of a segment's head has at most ${HEAD_BYTES_MAX} bytes, not ${owner.length}`,
    );
  const head = Buffer.alloc(FIXED + owner.length + SUM);
  head.write(MAGIC + kind, 0, 'latin1');
  head.writeUInt16BE(VERSION, 12);
  head.writeUInt16BE(owner.length, 14);
  head.writeUIntBE(number, 16, 6);
  head.writeUIntBE(follows, 22, 6);
  head.writeUInt32BE(mark, 28);
  head.set(owner, FIXED);
  head.writeUInt32BE(crc32(head.subarray(0, head.length - SUM)), head.length - SUM);
  return Buffer.concat([head, head]);
}

export interface FoundHead {
  readonly head: SegmentHead;
  /** Where frames begin. */
  readonly begin: number;
  /** Both copies are sound. */
  readonly isWhole: boolean;
}

/** `torn`: it never was whole. `newer`: of a version that only a newer Reeve reads. */
export type NoHead = 'torn' | 'newer' | 'damaged';

/** `bytes`: the first of the file, HEADS_BYTES_MAX if there are as many. */
export function readSegmentHead(bytes: Buffer): FoundHead | NoHead {
  const first = readCopy(bytes, 0);
  if (typeof first === 'object') {
    const length = FIXED + first.owner.length + SUM;
    const isWhole = bytes.subarray(length, 2 * length).equals(bytes.subarray(0, length));
    return { head: first, begin: 2 * length, isWhole };
  }
  for (let at = bytes.indexOf(MAGIC, 1, 'latin1'); at !== -1; at = bytes.indexOf(MAGIC, at + 1, 'latin1')) {
    const second = readCopy(bytes, at);
    // The second begins where the first, as long as itself, ends.
    if (typeof second === 'object' && at === FIXED + second.owner.length + SUM)
      return { head: second, begin: 2 * at, isWhole: false };
  }
  return bytes.every((byte) => byte === 0) ? 'torn' : first;
}

function readCopy(bytes: Buffer, at: number): SegmentHead | NoHead {
  if (bytes.length - at < FIXED + SUM) return 'torn';
  if (bytes.toString('latin1', at, at + MAGIC.length) !== MAGIC) return 'damaged';
  if (bytes.readUInt16BE(at + 12) > VERSION) return 'newer';
  const length = bytes.readUInt16BE(at + 14);
  const end = at + FIXED + length;
  if (length > HEAD_BYTES_MAX) return 'damaged';
  if (end + SUM > bytes.length) return 'torn';
  if (crc32(bytes.subarray(at, end)) !== bytes.readUInt32BE(end)) return 'damaged';
  return {
    kind: bytes.toString('latin1', at + 8, at + 12),
    number: bytes.readUIntBE(at + 16, 6),
    follows: bytes.readUIntBE(at + 22, 6),
    mark: bytes.readUInt32BE(at + 28),
    owner: Buffer.from(bytes.subarray(at + FIXED, end)),
  };
}
