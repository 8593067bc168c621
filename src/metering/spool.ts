// hot path
/**
 * Records of usage on this machine, until a collector has them. The file is the queue: nothing is kept in memory but the block of this turn.
 *
 *   add ─▶ [block of this turn] ─ commit ─▶ 000000000007.wal 000000000008.wal …        one append a turn
 *                                           └ dropped, once acked     └ read back by the reader
 *
 * Each opening begins an epoch, which is the number of the first segment it writes: greater than all before, as long as any file of the
 * spool is there. Its head is synced before the first record. In an epoch records are numbered from 1, so no number is ever used for two,
 * also when a crash of the machine cut off a tail that was told already.
 *
 * Bounds: `maxBytes` of files and one segment; a block in memory; a row a segment.
 */
import { type Clock, type Random, ReeveError } from '../core/index.ts';
import { type Damage, type Disk, FRAME_HEAD, type Frame, type Place, type Segment, SegmentLog } from '../wal/index.ts';
import {
  BlockWriter,
  chainStart,
  endBody,
  markBody,
  type Run,
  readFrame,
  readSpoolHead,
  type SpoolHead,
  spoolHead,
} from './block.ts';
import { Found } from './found.ts';
import { extend, isBefore, type Part, partOf } from './part.ts';
import { comparePositions, NOWHERE, type Position } from './position.ts';
import type { UsageRecord } from './usage-record.ts';

export const SPOOL_KIND = 'SPOL';
/** A step of the wall clock back by less is a time server's: time stands still until it is caught up. 1 s. */
const STEP_MS = 1000;
const SEGMENT_BYTES_MAX = 16 * 2 ** 20;
const SEGMENT_BYTES_MIN = 64 * 1024;

export interface SpoolOptions {
  readonly dir: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** Of all files. */
  readonly maxBytes: number;
  readonly onDamage: (damage: Damage) => void;
}

/** The spool has as much as it may. */
export class SpoolFull extends Error {}

export class Spool {
  readonly #o: SpoolOptions;
  readonly #log: SegmentLog;
  readonly #block: BlockWriter = new BlockWriter();
  /** In the order of the log's segments. */
  readonly #parts: Part[] = [];
  readonly #mark = Buffer.alloc(FRAME_HEAD + 7);
  #head: SpoolHead | undefined;
  #nextSeq = 1;
  /** The last number that a frame speaks of. */
  #saidSeq = 0;
  /** Of the block that the disk refused last; 0: it was not the disk. */
  #refusedBytes = 0;
  /** Of the block that was to be committed last. */
  #wantedBytes = 0;
  /** Of the opening, until it is done. */
  #found: Found | undefined;
  #chain = 0;
  #bytes = 0;
  #acked: Position = NOWHERE;
  #isClosed = false;
  /** No record is of a time before; see STEP_MS. */
  #floorMs = 0;

  /** Throws a ReeveError when the directory cannot be used. */
  constructor(options: SpoolOptions) {
    this.#o = options;
    const { dir, disk, maxBytes, onDamage } = options;
    const segmentBytes = Math.min(SEGMENT_BYTES_MAX, Math.max(SEGMENT_BYTES_MIN, Math.floor(maxBytes / 16)));
    const found = (this.#found = new Found());
    this.#log = SegmentLog.open(
      { dir, disk, kind: SPOOL_KIND, segmentBytes, head: (previous, number) => this.#beginSegment(previous, number) },
      (frame, head) => found.take(frame, head),
      (damage) => {
        found.damaged(damage);
        onDamage(damage);
      },
    );
    this.#refuseMixed();
    for (const segment of this.#log.segments) this.#parts.push(found.partOf(segment.number, segment.head));
    this.#bytes = this.#log.bytes;
    this.#chain = chainStart(this.head);
    this.#found = undefined;
  }

  /** Whose records it writes now. */
  get head(): SpoolHead {
    return this.#head as SpoolHead;
  }

  /** In order; the last one is written to. */
  get parts(): readonly Part[] {
    return this.#parts;
  }

  /** Of all files. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The last number that was given. */
  get lastSeq(): number {
    return this.#nextSeq - 1;
  }

  /** False: its files were removed, by whomever. */
  get isThere(): boolean {
    const { dir, disk } = this.#o;
    try {
      return this.#isClosed || disk.list(dir).length > 0;
    } catch (cause) {
      return (cause as NodeJS.ErrnoException).code !== 'ENOENT';
    }
  }

  /** Records of this turn that are not appended yet. */
  get pending(): number {
    return this.#block.count;
  }

  /** Where the next frame will stand. */
  get end(): Place {
    return this.#log.end;
  }

  /** Records that are not acked, as far as they are known to this life. */
  get unacked(): number {
    let records = 0;
    for (const { epoch, firstSeq, lastSeq } of this.#parts) {
      if (lastSeq === 0 || comparePositions({ epoch, seq: lastSeq }, this.#acked) <= 0) continue;
      records += lastSeq - (epoch === this.#acked.epoch ? Math.max(firstSeq - 1, this.#acked.seq) : firstSeq - 1);
    }
    return records;
  }

  /** Wall ms, about: the oldest that is not acked is of then or later. */
  get oldestMs(): number {
    const part = this.#parts.find((part) => part.lastSeq > 0 && !isBefore(part, this.#acked));
    return part?.baseMs ?? 0;
  }

  /** Into the block of this turn; false: it is full, commit first. */
  add(record: UsageRecord): boolean {
    const block = this.#block;
    if (block.count === 0) block.begin(this.#nextSeq, this.#now(), this.#chain);
    else if (!block.hasRoom) return false;
    block.add(record);
    return true;
  }

  /**
   * Appends the block of this turn: then it outlives the process. Throws when the disk refuses, or SpoolFull; then the block is still there,
   * to be tried again or to be lost.
   */
  commit(): void {
    const block = this.#block;
    if (block.count === 0) return;
    this.#refusedBytes = 0;
    this.#wantedBytes = block.length;
    this.#assertRoom(block.length);
    block.end();
    this.#refusedBytes = block.length;
    this.#append(block.bytes, block.length);
    const part = this.#parts.at(-1) as Part;
    if (part.lastSeq === 0) {
      part.firstSeq = this.#nextSeq;
      part.baseMs = block.baseMs;
    }
    this.#nextSeq += block.count;
    part.lastSeq = this.#saidSeq = this.#nextSeq - 1;
    part.lastMs = block.baseMs;
    this.#chain = this.#log.sum;
    this.#floorMs = block.baseMs;
    block.count = 0;
  }

  /** Passes over the records of the block: their numbers become a gap. How many they were. */
  lose(): number {
    const { count } = this.#block;
    this.#block.count = 0;
    this.skip(count);
    return count;
  }

  /** Passes over so many numbers, of records that it never had; there is none in the block. They become a gap. */
  skip(records: number): void {
    this.#nextSeq += records;
  }

  /** Takes over the records of this turn from a spool that is no more. */
  adopt(other: Spool): void {
    if (other.pending > 0) this.#block.adopt(other.#block, this.#nextSeq, this.#chain);
  }

  /** Throws as `commit` does, when what was refused would not fit now. What was lost is a gap then, also if no record comes any more. */
  probe(): void {
    this.#assertRoom(this.#wantedBytes + FRAME_HEAD + this.#refusedBytes);
    if (this.lastSeq === 0) this.#appendMark(0);
    else this.#appendEnd(this.#refusedBytes);
  }

  /** Says how many were numbered, where that is not said yet. Whether the disk took it. */
  settle(): boolean {
    try {
      if (this.#saidSeq < this.lastSeq) this.#appendEnd(0);
      return true;
    } catch {
      return false;
    }
  }

  /** Nothing that comes from now on ended before that, unless the wall clock is set back. */
  watermarkMs(): number {
    if (this.#block.count > 0) return this.#block.baseMs;
    this.#floorMs = this.#now();
    return this.#floorMs;
  }

  /** Resolves when all that was committed before is on the medium. */
  sync(): Promise<void> {
    return this.#log.sync();
  }

  /** The same before it returns. */
  syncNow(): void {
    this.#log.syncNow();
  }

  /** Says in the log that something of a segment is told, before it is. Throws when the disk refuses; it holds for this life all the same. */
  mark(part: Part): void {
    for (const each of this.#parts) if (each.number <= part.number) each.isMarked = true;
    this.#appendMark(part.number);
  }

  /** All up to there is a collector's now. */
  acked(position: Position): void {
    this.#acked = position;
    const kept = this.#parts.findIndex((part, at) => at === this.#parts.length - 1 || !isBefore(part, position));
    if (kept <= 0) return;
    try {
      this.#log.dropBefore((this.#parts[kept] as Part).number);
    } finally {
      // What cannot be removed is found again by the next opening, and not told again: the collector says what it has.
      const first = this.#log.segments[0]?.number ?? 0;
      while ((this.#parts[0] as Part).number < first) this.#parts.shift();
      this.#bytes = this.#log.bytes;
    }
  }

  /** Frames from a place on. What is damaged is left out: a hole in the numbers. */
  frames(from: Place, scratch?: Buffer): Generator<Frame> {
    return this.#log.frames(from, this.#o.onDamage, scratch);
  }

  /** Of a segment that is there. */
  part(number: number): Part | undefined {
    return this.#parts.find((part) => part.number === number);
  }

  /** Bytes from a place to the end. */
  bytesAfter(place: Place): number {
    const { segments, end } = this.#log;
    let bytes = end.offset;
    for (let at = segments.length - 1; at >= 0; at--) {
      const { number } = segments[at] as Segment;
      if (number < place.segment) break;
      if (number !== end.segment) bytes += (segments[at] as Segment).bytes;
      if (number === place.segment) return bytes - place.offset;
    }
    return bytes;
  }

  bytesOf({ number }: Part): number {
    return this.#log.segments.find((segment) => segment.number === number)?.bytes ?? 0;
  }

  /** Puts folded frames in the place of a part's. */
  rewrite(part: Part, bodies: readonly Uint8Array[], spanMs: number): void {
    this.#log.rewrite(part.number, bodies);
    part.spanMs = spanMs;
    this.#bytes = this.#log.bytes;
  }

  close(): void {
    if (!this.#isClosed && this.lastSeq > 0) {
      // Also where nothing was lost: what is damaged later can be counted by it.
      this.#saidSeq = 0;
      this.settle();
    }
    this.#isClosed = true;
    this.#log.close();
  }

  /** Writes nothing more: the directory is another's. */
  abandon(): void {
    this.#isClosed = true;
    this.#log.abandon();
  }

  #now(): number {
    const wallMs = this.#o.clock.wallMs();
    return wallMs < this.#floorMs && wallMs > this.#floorMs - STEP_MS ? this.#floorMs : wallMs;
  }

  #append(bytes: Buffer, length: number): void {
    const { segment } = this.#log.append(bytes, length);
    this.#bytes += length;
    if (segment === (this.#parts.at(-1) as Part).number) return;
    this.#parts.push(partOf(segment, (this.#log.segments.at(-1) as Segment).head));
    this.#bytes = this.#log.bytes;
  }

  /** `bytesMin`: of its body. */
  #appendEnd(bytesMin: number): void {
    const body = endBody(this.lastSeq, this.#chain, this.#now(), bytesMin);
    const frame = Buffer.alloc(FRAME_HEAD + body.length);
    frame.set(body, FRAME_HEAD);
    this.#append(frame, frame.length);
    this.#saidSeq = this.lastSeq;
    extend(this.#parts.at(-1) as Part, readFrame(body, 0) as Run);
  }

  #assertRoom(bytes: number): void {
    if (this.#bytes + bytes > this.#o.maxBytes) throw new SpoolFull(`more than ${this.#o.maxBytes} bytes`);
  }

  #appendMark(number: number): void {
    this.#mark.set(markBody(number), FRAME_HEAD);
    this.#append(this.#mark, this.#mark.length);
  }

  #beginSegment(previous: Buffer | undefined, number: number): Uint8Array {
    const before = previous && readSpoolHead(previous);
    this.#head ??= {
      spoolId: before?.spoolId ?? this.#o.random.hex(16),
      epoch: number,
      life: this.#o.random.hex(8),
      before: (this.#found as Found).endBefore(before),
    };
    return spoolHead(this.#head);
  }

  /** All files are of one spool, or some were copied here. */
  #refuseMixed(): void {
    const ids = new Set(this.#log.segments.map(({ head }) => readSpoolHead(head)?.spoolId));
    if (ids.size === 1) return;
    this.#log.close();
    throw new ReeveError('spool-mixed', 'the directory holds files of more than one spool', {
      place: this.#o.dir,
      remedy: 'move those that do not belong here away; `reeve wal inspect` names them',
    });
  }
}
