/**
 * One file of a log while it is written: what stands in it, and how much of that is on the medium.
 *
 *   [heads][frame][frame][frame][frame]
 *                        │             └ bytes: with the kernel, it outlives the process
 *                        └ synced: on the medium, it outlives the machine
 *
 * A sync that failed leaves it in doubt: the kernel may have dropped what it could not write, and says so once only. Another sync of the same
 * file proves nothing. So the next one reads back what stands, checks it, and writes it into a new file that takes this one's place.
 */
import { ReeveError } from '../core/index.ts';
import { type Damage, NOT_WRITTEN } from './damage.ts';
import { type Directory, writeAll } from './directory.ts';
import type { FileHandle } from './disk.ts';
import { sealOf } from './frame.ts';
import { type Frame, readAt, scanFrames } from './scan.ts';
import { type SegmentHead, segmentHead, segmentName } from './segment.ts';

const COPY_BYTES = 256 * 1024;

export class SegmentFile {
  readonly #directory: Directory;
  readonly #head: SegmentHead;
  /** Where its frames begin. */
  readonly begin: number;
  /** What stands in it, all of the file. */
  bytes: number;
  #synced: number;
  /** Open for writing; undefined once it is full and synced. */
  #file: FileHandle | undefined;
  /** Why a sync failed, until all was written anew. */
  #doubt: unknown;
  #isHeadInDoubt = false;
  #isSyncing = false;

  constructor(directory: Directory, head: SegmentHead, begin: number, bytes: number, file?: FileHandle) {
    this.#directory = directory;
    this.#head = head;
    this.begin = begin;
    this.bytes = bytes;
    this.#file = file;
    this.#synced = file === undefined ? bytes : 0;
  }

  /** Begins a file. Throws EEXIST when there is one of this number. */
  static create(directory: Directory, head: SegmentHead): SegmentFile {
    const bytes = segmentHead(head);
    const file = directory.create(segmentName(head.number), bytes);
    return new SegmentFile(directory, head, bytes.length, bytes.length, file);
  }

  /** The file that took this one's place, synced. */
  rewritten(bytes: number): SegmentFile {
    return new SegmentFile(this.#directory, this.#head, this.begin, bytes);
  }

  get number(): number {
    return this.#head.number;
  }

  get mark(): number {
    return this.#head.mark;
  }

  /** The owner's part. */
  get head(): Buffer {
    return this.#head.owner;
  }

  get name(): string {
    return segmentName(this.number);
  }

  get headBytes(): Buffer {
    return segmentHead(this.#head);
  }

  get isSynced(): boolean {
    return this.#synced === this.bytes;
  }

  /** Its head outlives the machine, once its name does. */
  get isBegun(): boolean {
    return this.#synced >= this.begin;
  }

  /** Throws when the disk refuses; then nothing of it stands. */
  append(frame: Buffer, length: number): void {
    const { disk } = this.#directory;
    const file = this.#file as FileHandle;
    if (this.#isHeadInDoubt) this.#restoreHead();
    try {
      writeAll(disk, file, frame, length, this.bytes);
    } catch (cause) {
      try {
        disk.truncate(file, this.bytes);
      } catch {
        // A part of it stands: the next is written over it, or the next opening cuts it off.
      }
      throw cause;
    }
    this.bytes += length;
  }

  /** Behind the last frame. */
  seal(): void {
    const seal = sealOf(this.mark);
    try {
      this.append(seal, seal.length);
    } catch {
      // All frames stand. The next opening says that its end is missing.
    }
  }

  async sync(): Promise<void> {
    if (this.isSynced) return;
    if (this.#doubt !== undefined) return this.#renew();
    const [file, bytes] = [this.#file as FileHandle, this.bytes];
    let failure: unknown;
    this.#isSyncing = true;
    try {
      await this.#directory.disk.sync(file);
    } catch (cause) {
      failure = cause;
    }
    this.#isSyncing = false;
    if (file !== this.#file) {
      // Meanwhile it was dropped, or written anew, and that was synced.
      this.#directory.disk.close(file);
      return;
    }
    // The kernel tells a failure to one of those who ask at the same time.
    if (failure !== undefined) this.#fail(failure);
    if (this.#doubt !== undefined) throw this.#doubt;
    this.#synced = Math.max(this.#synced, bytes);
  }

  syncNow(): void {
    if (this.isSynced) return;
    if (this.#doubt !== undefined) return this.#renew();
    try {
      this.#directory.disk.syncNow(this.#file as FileHandle);
    } catch (cause) {
      this.#fail(cause);
      throw cause;
    }
    this.#synced = this.bytes;
  }

  /** It is written no more. */
  letGo(): void {
    const file = this.#file;
    this.#file = undefined;
    // A sync that runs closes it at its end.
    if (file !== undefined && !this.#isSyncing) this.#directory.disk.close(file);
  }

  #fail(cause: unknown): void {
    this.#doubt = cause;
    if (this.isBegun) return;
    this.#isHeadInDoubt = true;
    try {
      this.#restoreHead();
    } catch {
      // Nothing is appended before it could be.
    }
  }

  /** A head that the kernel dropped would cost whoever is killed now all that is appended behind it. */
  #restoreHead(): void {
    const head = this.headBytes;
    writeAll(this.#directory.disk, this.#file as FileHandle, head, head.length, 0);
    this.#isHeadInDoubt = false;
  }

  /** Frames in [from, to); damage is told and skipped. */
  *frames(
    from: number,
    to: number,
    onDamage: (damage: Damage) => void,
    scratch?: Buffer,
  ): Generator<Frame, void, void> {
    const { disk } = this.#directory;
    const path = this.#directory.path(this.name);
    const hole = (offset: number, end: number): void =>
      onDamage({ what: 'corrupt', path, segment: this.number, offset, bytes: end - offset, detail: NOT_WRITTEN });
    const file = disk.open(path, 'read');
    try {
      yield* scanFrames(disk, file, this, from, to, { hole }, scratch);
    } finally {
      disk.close(file);
    }
  }

  #renew(): void {
    const { disk } = this.#directory;
    const from = disk.open(this.#directory.path(this.name), 'read');
    let lost = 0;
    try {
      const hole = (begin: number, end: number): void => void (lost += end - begin);
      // All of it is read to find what is lost; nobody is given a frame.
      for (const _ of scanFrames(disk, from, this, Math.max(this.begin, this.#synced), this.bytes, { hole }));
      const file = this.#directory.replace(this.name, this.#pieces(from));
      const old = this.#file as FileHandle;
      this.#file = file;
      if (!this.#isSyncing) disk.close(old);
    } finally {
      disk.close(from);
    }
    this.#doubt = undefined;
    this.#isHeadInDoubt = false;
    this.#synced = this.bytes;
    if (lost === 0) return;
    throw new ReeveError('log-lost', `${lost} bytes that a failed sync left in doubt are gone`, {
      place: this.#directory.path(this.name),
      remedy: 'look at the disk; readers of the log are told where the hole is',
    });
  }

  /** Byte by byte as they stand, so that every place stays the same; the head from memory. */
  *#pieces(from: FileHandle): Generator<Buffer> {
    yield this.headBytes;
    const piece = Buffer.allocUnsafe(Math.min(COPY_BYTES, this.bytes - this.begin));
    for (let at = this.begin; at < this.bytes; ) {
      const length = Math.min(piece.length, this.bytes - at);
      const read = readAt(this.#directory.disk, from, piece, 0, length, at);
      // Where the file ends too soon, the hole is kept.
      piece.fill(0, read, length);
      yield piece.subarray(0, length);
      at += length;
    }
  }
}
