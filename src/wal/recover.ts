/**
 * Reads what an earlier life left in a directory, in order, and mends it in place: no frame ever moves.
 *
 *   [heads][frame][frame][torn …           the end never became whole: cut off
 *   [heads][frame][▒▒▒▒▒▒][frame][seal]    damage: a gap's head is written over it, the rest of it stays as it is
 *   [▒▒▒▒▒][frame][frame][frame][seal]     no copy of the head is sound: nobody can say what the frames are of, the file is put aside as `.corrupt`
 *   7.wal  8.wal  10.wal                   one is missing: the next one's head is told that it follows the one before
 *
 * Every segment that was not sealed is sealed. A crash between any two steps leaves what the next opening finds.
 */
import { ReeveError } from '../core/index.ts';
import { type Damage, ENDLESS, NOT_WRITTEN } from './damage.ts';
import { type Directory, writeAll } from './directory.ts';
import type { FileHandle } from './disk.ts';
import { FRAME_HEAD, gapOf, sealOf } from './frame.ts';
import { type Frame, readAt, scanFrames, type Watcher } from './scan.ts';
import {
  type FoundHead,
  HEADS_BYTES_MAX,
  readSegmentHead,
  type SegmentHead,
  segmentHead,
  segmentName,
  segmentNumber,
} from './segment.ts';
import { SegmentFile } from './segment-file.ts';

/** Files put aside that are kept; older ones are removed. */
const ASIDE_MAX = 4;
const ASIDE = '.corrupt';

export interface Recovery {
  readonly directory: Directory;
  readonly kind: string;
  /** Frames of segments before it are not asked for. */
  readonly from: number;
  onFrame(frame: Frame, head: Buffer): void;
  onDamage(damage: Damage): void;
}

interface Found {
  /** In order. */
  readonly segments: SegmentFile[];
  /** That no segment has or had. */
  readonly nextNumber: number;
}

/** Throws the disk's errors, and a ReeveError when the files are another's. */
export function recover(recovery: Recovery): Found {
  const { directory } = recovery;
  const names = directory.list();
  const numbers = names.map(segmentNumber).filter((number) => number !== undefined);
  numbers.sort((a, b) => a - b);
  const found = new Finder(recovery);
  for (const number of numbers) found.look(number, number === numbers.at(-1));
  found.finish();
  const aside = names.filter((name) => name.endsWith(`.wal${ASIDE}`));
  const all = [...new Set([...aside, ...found.aside])].sort();
  for (const name of all.slice(0, -ASIDE_MAX)) directory.remove(name);
  const last = Math.max(0, ...numbers.slice(-1), ...all.slice(-1).map((name) => Number.parseInt(name, 10)));
  return { segments: found.segments, nextNumber: last + 1 };
}

interface Endless {
  readonly path: string;
  readonly end: number;
  readonly seal: Buffer;
  /** Undefined: told already. */
  readonly damage: Damage | undefined;
}

function refused(place: string, message: string, remedy: string): ReeveError {
  return new ReeveError('log-unusable', message, {
    place,
    remedy: `${remedy}, or give this log a directory of its own`,
  });
}

class Finder {
  readonly #r: Recovery;
  readonly segments: SegmentFile[] = [];
  /** Names of what was put aside. */
  readonly aside: string[] = [];
  /** The number looked at before. */
  #last = 0;
  /** Segments that were not sealed: if a frame stands behind one, its end is missing. */
  readonly #endless: Endless[] = [];

  constructor(recovery: Recovery) {
    this.#r = recovery;
  }

  look(number: number, isNewest: boolean): void {
    const { disk } = this.#r.directory;
    const path = this.#path(number);
    const file = disk.open(path, 'change');
    try {
      const size = disk.size(file);
      const bytes = Buffer.alloc(Math.min(size, HEADS_BYTES_MAX));
      let isReadable = true;
      const unreadable = (): void => void (isReadable = false);
      const read = readAt(disk, file, bytes, 0, bytes.length, 0, { unreadable });
      const found = readSegmentHead(bytes.subarray(0, read));
      if (found === 'newer') throw refused(path, 'was written by a newer version', 'run that version');
      if (typeof found === 'string' && !isReadable)
        this.#tell('unreadable', number, 0, size, 'the disk cannot read its head; it is left as it is');
      else if (typeof found === 'string')
        this.#putAside(number, size, `its head is ${found}`, found === 'torn' && isNewest);
      else if (found.head.number !== number)
        this.#putAside(number, size, `its head says that it is segment ${found.head.number}`, false);
      else this.#keep(file, path, found, size, isNewest);
    } finally {
      disk.close(file);
    }
    this.#last = number;
  }

  #path(number: number): string {
    return this.#r.directory.path(segmentName(number));
  }

  #tell(what: Damage['what'], segment: number, offset: number, bytes: number, detail: string): void {
    this.#r.onDamage({ what, path: this.#path(segment), segment, offset, bytes, detail });
  }

  #putAside(number: number, bytes: number, detail: string, isJustBegun: boolean): void {
    const { directory } = this.#r;
    const name = segmentName(number);
    if (this.#last > 0 && number > this.#last + 1)
      this.#tell('missing', number - 1, 0, 0, `nobody can say whether it, or any behind ${this.#last}, was there`);
    // A segment that was begun when the machine stopped: nothing of it was synced.
    if (isJustBegun) {
      this.#tell('torn tail', number, 0, bytes, `${detail}; it is removed`);
      directory.remove(name);
    } else {
      this.#tell('unreadable', number, 0, bytes, `${detail}; it is kept as ${name}${ASIDE}`);
      directory.rename(name, name + ASIDE);
      this.aside.push(name + ASIDE);
    }
  }

  #keep(file: FileHandle, path: string, found: FoundHead, size: number, isNewest: boolean): void {
    const { directory, kind, from } = this.#r;
    if (found.head.kind !== kind)
      throw refused(path, `is a segment of ${found.head.kind}, not of ${kind}`, 'name the directory of that log');
    const head = this.#mendHead(file, found);
    const isRead = isNewest || found.head.number >= from || size < found.begin;
    const bytes = isRead ? this.#read(file, head, found.begin, size) : size;
    // What a killed process had not synced must not be told to anybody and then be lost.
    if (isRead) directory.disk.syncNow(file);
    this.segments.push(new SegmentFile(directory, head, found.begin, bytes));
  }

  #mendHead(file: FileHandle, found: FoundHead): SegmentHead {
    const { disk } = this.#r.directory;
    const { number, follows } = found.head;
    if (!found.isWhole) {
      this.#tell('corrupt', number, 0, 0, 'a copy of its head; no frame is lost');
      const bytes = segmentHead(found.head);
      writeAll(disk, file, bytes, bytes.length, 0);
      disk.syncNow(file);
    }
    const before = this.segments.at(-1)?.number ?? follows;
    if (follows === before) return found.head;
    if (follows > this.#last) this.#tell('missing', follows, 0, 0, `segment ${number} follows it, and it is not there`);
    const head = { ...found.head, follows: before };
    const bytes = segmentHead(head);
    const half = bytes.length / 2;
    // One after the other: one of them is sound at any time.
    writeAll(disk, file, bytes.subarray(half), half, half);
    disk.syncNow(file);
    writeAll(disk, file, bytes, half, 0);
    disk.syncNow(file);
    return head;
  }

  /** Tells the frames. Returns how long the file is when it is mended. */
  #read(file: FileHandle, { number, mark, owner }: SegmentHead, begin: number, size: number): number {
    const { disk } = this.#r.directory;
    let [sealEnd, end, isReadable] = [-1, Math.max(begin, size), true];
    const watcher: Watcher = {
      hole: (from, to) => {
        const bytes = to - from;
        if (!isReadable) this.#tell('corrupt', number, from, bytes, 'the disk cannot read it; it is left as it is');
        else if (to === size) end = from;
        else {
          this.#tell('corrupt', number, from, bytes, NOT_WRITTEN);
          if (bytes >= FRAME_HEAD) writeAll(disk, file, gapOf(mark, bytes), FRAME_HEAD, from);
        }
      },
      seal: (at) => void (sealEnd = at),
      unreadable: () => void (isReadable = false),
    };
    for (const frame of scanFrames(disk, file, { number, mark }, begin, size, watcher)) {
      if (this.#endless.length > 0) this.#sealAll(true);
      this.#r.onFrame(frame, owner);
    }
    // What the disk cannot read today may be there tomorrow.
    if (!isReadable) return size;
    const path = this.#path(number);
    const damage: Damage = { what: 'torn tail', path, segment: number, offset: end, bytes: 0, detail: ENDLESS };
    const isTorn = end < size;
    if (isTorn) {
      this.#tell('torn tail', number, end, size - end, 'it is cut off');
      disk.truncate(file, end);
    }
    if (sealEnd === end) return end;
    this.#endless.push({ path, end, seal: sealOf(mark), damage: isTorn ? undefined : damage });
    return end + FRAME_HEAD;
  }

  /** Seals what was left open: told first, so that nobody is told of nothing when this is cut short. */
  #sealAll(isFollowed: boolean): void {
    const { directory, onDamage } = this.#r;
    for (const { path, end, seal, damage } of this.#endless.splice(0)) {
      if (isFollowed && damage !== undefined) onDamage(damage);
      const file = directory.disk.open(path, 'change');
      try {
        writeAll(directory.disk, file, seal, seal.length, end);
        directory.disk.syncNow(file);
      } finally {
        directory.disk.close(file);
      }
    }
  }

  /** Nothing stands behind the last. */
  finish(): void {
    this.#sealAll(false);
  }
}
