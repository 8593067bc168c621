// hot path
/**
 * What stands in a spool. The first byte of a frame's body says what it is:
 *
 *   block    [1][first seq u48][count u16][base ms u48][chain before u32][records …]               of one turn of the loop
 *   windows  [2][first seq u48][last seq u48][chain before u32][chain after u32][base ms u48]       what blocks were folded to
 *               [last ms u48][CRC-32 of the windows u32][bytes of the windows u32][their Zstandard …]
 *   mark     [3][segment u48]                                                                       of it, or one before, something is told
 *   end      [4][seq u48][chain u32][base ms u48][zeros …]                                          no more than that many were numbered until now
 *
 * A segment's head: [spool id, 16][epoch u48][life, 8], and of the epoch before [epoch u48][last seq u48][chain u32].
 *
 * The chain: each block holds the CRC-32 of the block before it; the first of an epoch that of spool id and life. Windows stand in the chain
 * as the blocks did that they were made of. An end has no part in it: it says what was lost behind the last block, to whom finds none.
 */
import { crc32 } from 'node:zlib';
import { FRAME_HEAD } from '../wal/index.ts';
import { NOWHERE, type Position } from './position.ts';
import { RECORD_BYTES_MAX, type UsageRecord, writeRecord } from './usage-record.ts';

const [BLOCK, WINDOWS, MARK, END] = [1, 2, 3, 4] as const;
const BLOCK_HEAD = 1 + 6 + 2 + 6 + 4;
/** Fewer bytes have never been a block. */
export const BLOCK_FRAME_MIN: number = FRAME_HEAD + BLOCK_HEAD + 1;
const WINDOWS_HEAD = 1 + 6 + 6 + 4 + 4 + 6 + 6 + 4 + 4;
const END_BYTES = 1 + 6 + 4 + 6;
const OLD_HEAD_BYTES = 16 + 6 + 8;
const HEAD_BYTES: number = OLD_HEAD_BYTES + 6 + 6 + 4;
/** Of one turn of the loop; what does not fit begins the next block. 128 KiB: a few thousand records. */
const BLOCK_BYTES_MAX = 128 * 1024;

/** The block that is being filled, with room for the head of its frame in front. One serves for all. */
export class BlockWriter {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(FRAME_HEAD + BLOCK_BYTES_MAX);
  /** Of the frame, its head included. */
  length = 0;
  count = 0;
  baseMs = 0;

  begin(firstSeq: number, baseMs: number, chainBefore: number): void {
    const { bytes } = this;
    bytes[FRAME_HEAD] = BLOCK;
    bytes.writeUIntBE(firstSeq, FRAME_HEAD + 1, 6);
    bytes.writeUIntBE(baseMs, FRAME_HEAD + 9, 6);
    bytes.writeUInt32BE(chainBefore, FRAME_HEAD + 15);
    this.baseMs = baseMs;
    this.count = 0;
    this.length = FRAME_HEAD + BLOCK_HEAD;
  }

  /** Whether any record still fits. */
  get hasRoom(): boolean {
    return this.length + RECORD_BYTES_MAX <= this.bytes.length;
  }

  add(record: UsageRecord): void {
    this.length = writeRecord(this.bytes, this.length, record, this.baseMs);
    this.count++;
  }

  /** Takes over the records of another, under numbers of its own. */
  adopt(other: BlockWriter, firstSeq: number, chainBefore: number): void {
    this.begin(firstSeq, other.baseMs, chainBefore);
    other.bytes.copy(this.bytes, this.length, this.length, other.length);
    this.length = other.length;
    this.count = other.count;
    other.count = 0;
  }

  /** Before it is appended. */
  end(): void {
    this.bytes.writeUInt16BE(this.count, FRAME_HEAD + 7);
  }
}

/** Records that follow one another, as a frame holds them. Of an end none: it has neither records nor windows, and `firstSeq` is behind `lastSeq`. */
export interface Run {
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Wall ms: none of it ended before. */
  readonly baseMs: number;
  /** Base of its last block. */
  readonly lastMs: number;
  readonly chainBefore: number;
  readonly chainAfter: number;
  /** Of a block, as they were written. */
  readonly records: Buffer | undefined;
  readonly windows: PackedWindows | undefined;
}

/** A payload of windows, compressed. */
export interface PackedWindows {
  readonly zstd: Buffer;
  /** Of the payload as it was before. */
  readonly crc: number;
  readonly bytes: number;
}

/** What a frame holds: a run; the number of a segment, of a mark; undefined: nothing that this version knows. `sum`: CRC-32 of the body. */
export function readFrame(body: Buffer, sum: number): Run | number | undefined {
  if (body[0] === BLOCK && body.length > BLOCK_HEAD) return readBlock(body, sum);
  if (body[0] === WINDOWS && body.length > WINDOWS_HEAD) return readWindowsFrame(body);
  if (body[0] === END && body.length >= END_BYTES) return readEnd(body);
  return body[0] === MARK && body.length === 7 ? body.readUIntBE(1, 6) : undefined;
}

function readBlock(body: Buffer, sum: number): Run | undefined {
  const firstSeq = body.readUIntBE(1, 6);
  const count = body.readUInt16BE(7);
  const baseMs = body.readUIntBE(9, 6);
  if (firstSeq === 0 || count === 0) return undefined;
  return {
    firstSeq,
    lastSeq: firstSeq + count - 1,
    baseMs,
    lastMs: baseMs,
    chainBefore: body.readUInt32BE(15),
    chainAfter: sum,
    records: body.subarray(BLOCK_HEAD),
    windows: undefined,
  };
}

function readWindowsFrame(body: Buffer): Run | undefined {
  const firstSeq = body.readUIntBE(1, 6);
  const lastSeq = body.readUIntBE(7, 6);
  if (firstSeq === 0 || lastSeq < firstSeq) return undefined;
  return {
    firstSeq,
    lastSeq,
    chainBefore: body.readUInt32BE(13),
    chainAfter: body.readUInt32BE(17),
    baseMs: body.readUIntBE(21, 6),
    lastMs: body.readUIntBE(27, 6),
    records: undefined,
    windows: { crc: body.readUInt32BE(33), bytes: body.readUInt32BE(37), zstd: body.subarray(WINDOWS_HEAD) },
  };
}

function readEnd(body: Buffer): Run | undefined {
  const lastSeq = body.readUIntBE(1, 6);
  const chain = body.readUInt32BE(7);
  const baseMs = body.readUIntBE(11, 6);
  if (lastSeq === 0) return undefined;
  return {
    firstSeq: lastSeq + 1,
    lastSeq,
    baseMs,
    lastMs: baseMs,
    chainBefore: chain,
    chainAfter: chain,
    records: undefined,
    windows: undefined,
  };
}

/** The body of an end, at least of so many bytes. */
export function endBody(lastSeq: number, chain: number, baseMs: number, bytesMin: number): Buffer {
  const body = Buffer.alloc(Math.max(END_BYTES, bytesMin));
  body[0] = END;
  body.writeUIntBE(lastSeq, 1, 6);
  body.writeUInt32BE(chain, 7);
  body.writeUIntBE(baseMs, 11, 6);
  return body;
}

/** The body of a frame of windows. */
export function windowsBody(run: Omit<Run, 'records' | 'windows'>, { zstd, crc, bytes }: PackedWindows): Buffer {
  const body = Buffer.allocUnsafe(WINDOWS_HEAD + zstd.length);
  body[0] = WINDOWS;
  body.writeUIntBE(run.firstSeq, 1, 6);
  body.writeUIntBE(run.lastSeq, 7, 6);
  body.writeUInt32BE(run.chainBefore, 13);
  body.writeUInt32BE(run.chainAfter, 17);
  body.writeUIntBE(run.baseMs, 21, 6);
  body.writeUIntBE(run.lastMs, 27, 6);
  body.writeUInt32BE(crc, 33);
  body.writeUInt32BE(bytes, 37);
  body.set(zstd, WINDOWS_HEAD);
  return body;
}

/** The body of a mark. */
export function markBody(segment: number): Buffer {
  const body = Buffer.alloc(7);
  body[0] = MARK;
  body.writeUIntBE(segment, 1, 6);
  return body;
}

/** Whose records a segment holds. */
export interface SpoolHead {
  /** 32 hex digits. */
  readonly spoolId: string;
  readonly epoch: number;
  /** 16 hex digits. */
  readonly life: string;
  /** Where the epoch before it ended, as far as it is known. */
  readonly before: EpochEnd;
}

/** Epoch and seq 0: nothing is known of it. */
export interface EpochEnd extends Position {
  /** Behind the last. 0: of no block that is there. */
  readonly chain: number;
}

export function spoolHead({ spoolId, epoch, life, before }: SpoolHead): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.write(spoolId, 0, 16, 'hex');
  head.writeUIntBE(epoch, 16, 6);
  head.write(life, 22, 8, 'hex');
  head.writeUIntBE(before.epoch, 30, 6);
  head.writeUIntBE(before.seq, 36, 6);
  head.writeUInt32BE(before.chain, 42);
  return head;
}

/** Undefined: it is none. */
export function readSpoolHead(head: Buffer): SpoolHead | undefined {
  const isOld = head.length === OLD_HEAD_BYTES;
  if (!isOld && head.length !== HEAD_BYTES) return undefined;
  return {
    spoolId: head.toString('hex', 0, 16),
    epoch: head.readUIntBE(16, 6),
    life: head.toString('hex', 22, 30),
    before: isOld
      ? { ...NOWHERE, chain: 0 }
      : { epoch: head.readUIntBE(30, 6), seq: head.readUIntBE(36, 6), chain: head.readUInt32BE(42) },
  };
}

/** What the first block of an epoch holds as the sum before it. */
export function chainStart({ spoolId, life }: Omit<SpoolHead, 'before'>): number {
  return crc32(Buffer.from(spoolId + life, 'hex'));
}
