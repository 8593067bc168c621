/**
 * An append-only log of records in a directory of segments. It knows nothing of what the records say.
 *
 *   dir/  000000000007.wal  000000000008.wal  000000000009.wal ◀─ append
 *         └─ dropped when its owner needs it no more            └─ begun by each opening, and when the one before is full
 *
 * What was appended is with the kernel when `append` returns: it outlives the process. It outlives the machine once a `sync` that began
 * afterwards has resolved. One process writes a directory: a second one meets the segment that the first began, and is refused.
 *
 * Bounds: a segment is at most `segmentBytes` and one frame; a frame's body 2 MiB. How many segments there may be is the owner's to say.
 */
import { join } from 'node:path';
import { ReeveError } from '../core/index.ts';
import type { Disk, FileHandle } from './disk.ts';
import { BODY_BYTES_MAX, FRAME_HEAD, frameBytes, sealFrame } from './frame.ts';
import { type Damage, finishReplacing, framesOf, glanceAt, recoverSegment, writeAll, writeFile } from './recover.ts';
import { segmentHead, segmentName, segmentNumber } from './segment.ts';

/** Read at once when frames are read back, at least. */
const READ_BYTES = 256 * 1024;
export const SEGMENT_BYTES: number = 16 * 2 ** 20;

/** Where a frame stands. */
export interface Place {
  readonly segment: number;
  readonly offset: number;
}

export interface Frame extends Place {
  /** Good until the next frame is asked for. */
  readonly body: Buffer;
  /** CRC-32 of the body. */
  readonly sum: number;
  /** Where the next one begins. */
  readonly next: number;
}

export interface Segment {
  readonly number: number;
  readonly head: Buffer;
  /** Of the file. */
  readonly bytes: number;
}

export interface SegmentLogOptions {
  readonly dir: string;
  readonly disk: Disk;
  /** Four letters: what these segments are of. Another's are refused. */
  readonly kind: string;
  /** What the owner writes at the head of a segment that begins now; it is told its number, and what is there before it. */
  readonly head: (number: number, before: readonly Segment[]) => Uint8Array;
  readonly segmentBytes?: number;
  /** Segments before it were read in an earlier life: of them only the heads are looked at, and no frame is told. */
  readonly readFrom?: number;
}

interface OpenSegment {
  readonly number: number;
  readonly path: string;
  readonly head: Buffer;
  readonly file: FileHandle | undefined;
  bytes: number;
}

export class SegmentLog {
  readonly #o: SegmentLogOptions;
  readonly #segmentBytes: number;
  /** In order; the last one is written to. */
  readonly #segments: OpenSegment[] = [];
  /** Written to and not synced since, the open one among them. */
  readonly #unsynced = new Set<OpenSegment>();
  #hasNewName = false;
  #isClosed = false;
  /** Of the frame that was appended last; 0 before the first. */
  sum = 0;

  private constructor(options: SegmentLogOptions) {
    this.#o = options;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
  }

  /**
   * Reads all that is there, in order, and begins a segment behind it. Throws a ReeveError when the directory cannot be used. `onFrame` is
   * told each frame with the head of its segment; `onDamage` what was wrong, which is mended by then.
   */
  static open(
    options: SegmentLogOptions,
    onFrame: (frame: Frame, head: Buffer) => void,
    onDamage: (damage: Damage) => void,
  ): SegmentLog {
    const log = new SegmentLog(options);
    try {
      log.#recover(onFrame, onDamage);
      return log;
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (cause instanceof ReeveError || code === undefined) throw cause;
      throw new ReeveError('log-unusable', `the log cannot be opened: ${code}`, {
        place: options.dir,
        remedy:
          code === 'EEXIST'
            ? 'another process writes this directory; give each its own'
            : 'make the directory writable, with room for a segment',
        cause,
      });
    }
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** Of all files. */
  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Where the next frame will stand, unless a segment begins first. */
  get end(): Place {
    const { number, bytes } = this.#active;
    return { segment: number, offset: bytes };
  }

  /**
   * Appends one frame: `bytes` from 0 to `length`, of which the first FRAME_HEAD are the log's to fill. Throws when the disk refuses; then
   * nothing of it stands, and the next may be tried.
   */
  append(bytes: Buffer, length: number): Place {
    if (length <= FRAME_HEAD || length - FRAME_HEAD > BODY_BYTES_MAX)
      throw new RangeError(`a body has 1 to ${BODY_BYTES_MAX} bytes, given were ${length - FRAME_HEAD}`);
    if (this.#active.bytes >= this.#segmentBytes) this.rotate();
    const sum = sealFrame(bytes, 0, length);
    const active = this.#active;
    const place = { segment: active.number, offset: active.bytes };
    try {
      writeAll(this.#o.disk, active.file as FileHandle, bytes, 0, length, active.bytes);
    } catch (cause) {
      // A part may stand: it is written over by the next, or cut off by the next opening.
      this.#cutBack(active);
      throw cause;
    }
    active.bytes += length;
    this.sum = sum;
    this.#unsynced.add(active);
    return place;
  }

  /** Begins a segment. */
  rotate(): void {
    this.#begin((this.#segments.at(-1)?.number ?? 0) + 1);
  }

  /** Resolves when all that was appended before is on the medium. */
  async sync(): Promise<void> {
    const { disk, dir } = this.#o;
    const segments = [...this.#unsynced];
    const hasNewName = this.#hasNewName;
    this.#unsynced.clear();
    this.#hasNewName = false;
    try {
      for (const segment of segments) await disk.sync(segment.file as FileHandle);
      if (hasNewName) await disk.syncDir(dir);
    } catch (cause) {
      for (const segment of segments) this.#unsynced.add(segment);
      this.#hasNewName ||= hasNewName;
      throw cause;
    }
    for (const segment of segments) this.#release(segment);
  }

  /** The same, before it returns. */
  syncNow(): void {
    const { disk, dir } = this.#o;
    for (const segment of this.#unsynced) disk.syncNow(segment.file as FileHandle);
    const segments = [...this.#unsynced];
    this.#unsynced.clear();
    if (this.#hasNewName) disk.syncDirNow(dir);
    this.#hasNewName = false;
    for (const segment of segments) this.#release(segment);
  }

  /** Frames from a place on, up to what is appended now. A frame that is damaged on the disk ends it: `onDamage` is told. */
  *frames(from: Place, onDamage: (damage: Damage) => void): Generator<Frame> {
    const until = this.end;
    for (const segment of this.#segments.filter(({ number }) => number >= from.segment && number <= until.segment)) {
      const begin = segment.number === from.segment ? Math.max(from.offset, headBytes(segment)) : headBytes(segment);
      const end = segment.number === until.segment ? until.offset : segment.bytes;
      yield* this.#framesOf(segment, begin, end, onDamage);
    }
  }

  /** Drops all segments before this one. */
  dropBefore(number: number): void {
    while (this.#segments.length > 1 && (this.#segments[0] as OpenSegment).number < number) this.#drop();
  }

  /** Puts frames in the place of those of a segment that is full: bodies in order. The segment's head stays. */
  rewrite(number: number, bodies: Iterable<Uint8Array>): void {
    const at = this.#segments.findIndex((segment) => segment.number === number);
    const old = this.#segments[at];
    if (old === undefined || old === this.#active) throw new RangeError(`segment ${number} cannot be written anew`);
    const parts: Buffer[] = [segmentHead(this.#o.kind, old.head)];
    for (const body of bodies) {
      const frame = Buffer.concat([Buffer.alloc(FRAME_HEAD), body]);
      sealFrame(frame, 0, frame.length);
      parts.push(frame);
    }
    const bytes = Buffer.concat(parts);
    const { disk, dir } = this.#o;
    writeFile(disk, `${old.path}.new`, bytes);
    disk.rename(`${old.path}.new`, old.path);
    disk.syncDirNow(dir);
    this.#unsynced.delete(old);
    this.#closeFile(old);
    this.#segments[at] = { ...old, file: undefined, bytes: bytes.length };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.syncNow();
    this.#closeFile(this.#active);
  }

  get #active(): OpenSegment {
    return this.#segments.at(-1) as OpenSegment;
  }

  #recover(onFrame: (frame: Frame, head: Buffer) => void, onDamage: (damage: Damage) => void): void {
    const { disk, dir, kind, readFrom = 0 } = this.#o;
    disk.makeDir(dir);
    finishReplacing(disk, dir);
    const numbers = disk
      .list(dir)
      .map(segmentNumber)
      .filter((number) => number !== undefined)
      .sort((a, b) => a - b);
    for (const number of numbers) {
      const path = join(dir, segmentName(number));
      const known = number < readFrom ? glanceAt(disk, path, kind) : undefined;
      if (known !== undefined) {
        this.#segments.push({ number, path, head: known.owner, file: undefined, bytes: known.size });
        continue;
      }
      const found = recoverSegment(disk, path, kind, number === numbers.at(-1), onDamage);
      if (found === undefined) continue;
      const { head, spans, end } = found.sound;
      this.#segments.push({ number, path, head: head.owner, file: undefined, bytes: end });
      for (const [offset, body] of framesOf(found.bytes, spans)) {
        this.sum = found.bytes.readUInt32BE(offset + 4);
        const next = offset + FRAME_HEAD + body.length;
        onFrame({ segment: number, offset, body, sum: this.sum, next }, head.owner);
      }
    }
    this.#begin((numbers.at(-1) ?? 0) + 1);
    this.syncNow();
  }

  #begin(number: number): void {
    const { disk, dir, kind, head } = this.#o;
    const path = join(dir, segmentName(number));
    const owner = Buffer.from(head(number, this.#segments));
    const bytes = segmentHead(kind, owner);
    const file = disk.open(path, 'create');
    try {
      writeAll(disk, file, bytes, 0, bytes.length, 0);
    } catch (cause) {
      disk.close(file);
      disk.remove(path);
      throw cause;
    }
    const previous = this.#segments.at(-1);
    const segment = { number, path, head: owner, file, bytes: bytes.length };
    this.#segments.push(segment);
    this.#unsynced.add(segment);
    this.#hasNewName = true;
    if (previous !== undefined && !this.#unsynced.has(previous)) this.#closeFile(previous);
  }

  *#framesOf(
    segment: OpenSegment,
    from: number,
    end: number,
    onDamage: (damage: Damage) => void,
  ): Generator<Frame> {
    const { disk } = this.#o;
    const file = disk.open(segment.path, 'read');
    try {
      let bytes: Buffer = Buffer.allocUnsafe(READ_BYTES);
      let position = from;
      while (position < end) {
        let length = disk.read(file, bytes, 0, Math.min(bytes.length, end - position), position);
        let at = 0;
        for (let whole = frameBytes(bytes, at, length); whole > 0; whole = frameBytes(bytes, at, length)) {
          const body = bytes.subarray(at + FRAME_HEAD, at + whole);
          const offset = position + at;
          yield { segment: segment.number, offset, body, sum: bytes.readUInt32BE(at + 4), next: offset + whole };
          at += whole;
        }
        if (at === 0 && length < Math.min(FRAME_HEAD + BODY_BYTES_MAX, end - position) && bytes.length < FRAME_HEAD + BODY_BYTES_MAX) {
          bytes = Buffer.allocUnsafe(FRAME_HEAD + BODY_BYTES_MAX);
          length = 0;
          continue;
        }
        if (at === 0) {
          onDamage({
            path: segment.path,
            what: 'corrupt',
            bytes: end - position,
            detail: `what stands at byte ${position} is not what was written`,
          });
          return;
        }
        position += at;
      }
    } finally {
      disk.close(file);
    }
  }

  #drop(): void {
    const segment = this.#segments.shift() as OpenSegment;
    this.#unsynced.delete(segment);
    this.#closeFile(segment);
    this.#o.disk.remove(segment.path);
  }

  /** A full segment is closed once it is synced. */
  #release(segment: OpenSegment): void {
    if (segment !== this.#active && !this.#unsynced.has(segment)) this.#closeFile(segment);
  }

  readonly #closed = new WeakSet<OpenSegment>();

  #closeFile(segment: OpenSegment): void {
    if (segment.file === undefined || this.#closed.has(segment)) return;
    this.#closed.add(segment);
    this.#o.disk.close(segment.file);
  }

  #cutBack({ file, bytes }: OpenSegment): void {
    try {
      this.#o.disk.truncate(file as FileHandle, bytes);
    } catch {
      // The next frame is written over it, from the same place on.
    }
  }
}

function headBytes(segment: OpenSegment): number {
  return segmentHead('....', segment.head).length;
}
