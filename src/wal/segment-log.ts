/**
 * An append-only log of records in a directory of segments. It knows nothing of what the records say.
 *
 *   dir/  lock  000000000007.wal  000000000008.wal  000000000009.wal ◀─ append
 *               └─ dropped when its owner needs it no more            └─ begun by each opening, and when the one before is full
 *
 * What was appended is with the kernel when `append` returns: it outlives the process. It outlives the machine once a `sync` that was asked for
 * afterwards has resolved. One process writes a directory; another that opens it is refused.
 *
 * Bounds: a segment is `segmentBytes` and one frame at most, a frame's body 2 MiB. How many segments there are is the owner's to say. A segment that is
 * full and not synced keeps its file open.
 */
import { type Random, ReeveError, systemRandom } from '../core/index.ts';
import { type Damage, explained } from './damage.ts';
import { Directory } from './directory.ts';
import type { Disk } from './disk.ts';
import { BODY_BYTES_MAX, FRAME_HEAD, finishFrame, frameOf, sealOf } from './frame.ts';
import { recover } from './recover.ts';
import type { Frame, Place } from './scan.ts';
import { SegmentFile } from './segment-file.ts';

export const SEGMENT_BYTES: number = 16 * 2 ** 20;
const LOCK = 'lock';

export interface Segment {
  readonly number: number;
  /** The owner's part of its head. */
  readonly head: Buffer;
  /** Where its frames begin; with `bytes` the same there are none. */
  readonly begin: number;
  /** Of the file. */
  readonly bytes: number;
}

export interface SegmentLogOptions {
  readonly dir: string;
  readonly disk: Disk;
  /** Four letters: what these segments are of. Another's are refused. */
  readonly kind: string;
  /** What the owner writes at the head of a segment that begins now, at most 4 KiB; `previous`: what it wrote at the head of the one before. */
  readonly head: (previous: Buffer | undefined, number: number) => Uint8Array;
  readonly segmentBytes?: number;
  /** Number of a segment: at opening, frames of those before it are neither read nor told. For owners who remember what they read. */
  readonly from?: number;
  /** Of the marks. */
  readonly random?: Random;
}

export class SegmentLog {
  readonly #o: SegmentLogOptions;
  readonly #directory: Directory;
  readonly #segmentBytes: number;
  /** In order; the last one is written to. */
  #segments: SegmentFile[] = [];
  /** Written to and not synced since, in order. */
  readonly #unsynced = new Set<SegmentFile>();
  #running: Promise<void> = Promise.resolve();
  #waiting: Promise<void> | undefined;
  #unlock: (() => void) | undefined;
  #isClosed = false;
  #sum = 0;

  private constructor(options: SegmentLogOptions) {
    this.#o = options;
    this.#directory = new Directory(options.disk, options.dir);
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
  }

  /**
   * Reads what is there, in order, and begins a segment behind it; then all of it is on the medium. `onFrame` is told each frame with the
   * owner's part of its segment's head; `onDamage` what was wrong, where it was met. Throws a ReeveError when the directory cannot be used:
   * `log-in-use`, `log-unusable`.
   */
  static open(
    options: SegmentLogOptions,
    onFrame: (frame: Frame, head: Buffer) => void,
    onDamage: (damage: Damage) => void,
  ): SegmentLog {
    const log = new SegmentLog(options);
    try {
      log.#open(onFrame, onDamage);
      return log;
    } catch (cause) {
      log.#letGo();
      throw explained(options.dir, cause);
    }
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** Of all files. */
  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Of the frame that was appended, or read by the opening, last; 0 before the first. */
  get sum(): number {
    return this.#sum;
  }

  /** Where the next frame will stand, unless a segment begins first. */
  get end(): Place {
    const { number, bytes } = this.#active;
    return { segment: number, offset: bytes };
  }

  /**
   * Appends one frame: `bytes` from 0 to `length`, of which the first FRAME_HEAD are the log's to fill. Throws the disk's error (`code`) when it
   * refuses; then nothing of the frame stands, and the next may be tried.
   */
  append(bytes: Buffer, length: number): Place {
    if (length <= FRAME_HEAD || length - FRAME_HEAD > BODY_BYTES_MAX)
      throw new RangeError(`a body has 1 to ${BODY_BYTES_MAX} bytes, not ${length - FRAME_HEAD}`);
    this.#assertOpen();
    if (this.#active.bytes >= this.#segmentBytes) this.rotate();
    const active = this.#active;
    const place = { segment: active.number, offset: active.bytes };
    const sum = finishFrame(bytes, length, active.mark);
    active.append(bytes, length);
    this.#sum = sum;
    this.#unsynced.add(active);
    return place;
  }

  /** Begins a segment. Throws when it cannot be; then the one before is still written to. */
  rotate(): void {
    this.#assertOpen();
    const previous = this.#active;
    try {
      this.#begin(previous.number + 1);
    } catch (cause) {
      throw explained(this.#o.dir, cause, ['EEXIST', 'ENOENT']);
    }
    previous.seal();
    // In order, also where the one before was synced and its seal was not.
    this.#unsynced.delete(this.#active);
    this.#unsynced.add(previous).add(this.#active);
  }

  /**
   * Resolves when all that was appended before it was asked for is on the medium. One runs and one waits: who asks while one runs gets the next.
   * Rejects with the disk's error; then nothing since the last good one is certain, and the next writes anew what is in doubt: up to a segment at
   * once, so pause between them. `log-lost`: a part of it is gone.
   */
  sync(): Promise<void> {
    this.#waiting ??= this.#running.then(() => {
      this.#waiting = undefined;
      const run = this.#syncAll();
      this.#running = run.catch(() => {});
      return run;
    });
    return this.#waiting;
  }

  /** The same, before it returns. */
  syncNow(): void {
    for (const segment of this.#unsynced) {
      segment.syncNow();
      this.#settle(segment);
    }
    this.#directory.syncNow();
  }

  /**
   * Frames from a place on, up to what is appended when the first is asked for; offset 0: from a segment's beginning. Damage is told and skipped. Segments
   * that are dropped meanwhile are left out; one that is written anew while it is read is read as it was. `scratch`: of READ_BYTES, to read into.
   */
  *frames(from: Place, onDamage: (damage: Damage) => void, scratch?: Buffer): Generator<Frame, void, void> {
    const until = this.end;
    for (const segment of [...this.#segments]) {
      if (segment.number < from.segment || segment.number > until.segment || !this.#segments.includes(segment))
        continue;
      const begin = segment.number === from.segment ? Math.max(segment.begin, from.offset) : segment.begin;
      yield* segment.frames(begin, segment.number === until.segment ? until.offset : segment.bytes, onDamage, scratch);
    }
  }

  /**
   * Drops all segments before this one, but never the last. Behind a crash of the machine the last one that was dropped may be there again, until a
   * sync. Throws when the disk refuses; then some are dropped.
   */
  dropBefore(number: number): void {
    this.#assertOpen();
    for (const segment of this.#segments.slice(0, -1)) {
      if (segment.number >= number) break;
      // Or a crash could leave no segment at all, and nobody would know where the numbers were.
      if (!this.#active.isBegun) this.#active.syncNow();
      this.#directory.remove(segment.name);
      this.#segments.shift();
      this.#unsynced.delete(segment);
      segment.letGo();
    }
  }

  /**
   * Puts frames in the place of those of a segment that is full: bodies in order, each of 1 byte to 2 MiB. Its head stays; places in it are other
   * ones. Behind a crash of the machine it is as before or as it is now, whole, and as it is now after a sync. Throws when the disk refuses; then it
   * is as before.
   */
  rewrite(number: number, bodies: Iterable<Uint8Array>): void {
    this.#assertOpen();
    const at = this.#segments.findIndex((segment) => segment.number === number);
    const old = this.#segments[at];
    if (old === undefined || old === this.#active) throw new RangeError(`there is no full segment ${number}`);
    let bytes = 0;
    const counted = (piece: Buffer): Buffer => {
      bytes += piece.length;
      return piece;
    };
    const pieces = function* (): Generator<Buffer> {
      yield counted(old.headBytes);
      for (const body of bodies) yield counted(frameOf(body, old.mark));
      yield counted(sealOf(old.mark));
    };
    this.#o.disk.close(this.#directory.replace(old.name, pieces()));
    this.#segments[at] = old.rewritten(bytes);
    this.#unsynced.delete(old);
    old.letGo();
  }

  /** Syncs and ends. Throws when that failed; it is closed then too. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.syncNow();
    } finally {
      this.#letGo();
    }
  }

  /** Ends and writes nothing more: the directory is another's. */
  abandon(): void {
    this.#isClosed = true;
    this.#letGo();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #active(): SegmentFile {
    return this.#segments.at(-1) as SegmentFile;
  }

  #open(onFrame: (frame: Frame, head: Buffer) => void, onDamage: (damage: Damage) => void): void {
    const { disk, dir, kind, from = 0 } = this.#o;
    disk.makeDir(dir);
    this.#unlock = disk.lock(this.#directory.path(LOCK));
    if (this.#unlock === undefined)
      throw new ReeveError('log-in-use', 'another process writes this log', {
        place: dir,
        remedy: 'give each a directory of its own',
      });
    const found = recover({
      directory: this.#directory,
      kind,
      from,
      onFrame: (frame, head) => {
        this.#sum = frame.sum;
        onFrame(frame, head);
      },
      onDamage,
    });
    this.#segments = found.segments;
    this.#begin(found.nextNumber);
    this.syncNow();
  }

  #begin(number: number): void {
    const { kind, head, random = systemRandom } = this.#o;
    const previous = this.#segments.at(-1);
    // Zeros are no mark: a file that was made longer and not written is full of them.
    const mark = Number.parseInt(random.hex(4), 16) || 1;
    const owner = Buffer.from(head(previous?.head, number));
    const follows = previous?.number ?? 0;
    const segment = SegmentFile.create(this.#directory, { kind, number, follows, mark, owner });
    this.#segments.push(segment);
    this.#unsynced.add(segment);
  }

  async #syncAll(): Promise<void> {
    for (const segment of [...this.#unsynced]) {
      if (this.#unsynced.has(segment)) await segment.sync();
      this.#settle(segment);
    }
    await this.#directory.sync();
  }

  /** What was synced needs no more of it, and a full segment no file. */
  #settle(segment: SegmentFile): void {
    if (!segment.isSynced || !this.#unsynced.delete(segment)) return;
    if (segment !== this.#active) segment.letGo();
  }

  #letGo(): void {
    for (const segment of this.#segments) segment.letGo();
    this.#unlock?.();
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new Error('the log is closed');
  }
}
