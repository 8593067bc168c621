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
import { type Frame, readAt, scanFrames } from './scan.ts';
import {
  type FoundHead,
  HEADS_BYTES_MAX,
  readSegmentHead,
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
    const path = this.#r.directory.path(segmentName(number));
    const file = disk.open(path, 'change');
    try {
      const size = disk.size(file);
      const bytes = Buffer.alloc(Math.min(size, HEADS_BYTES_MAX));
      const found = readSegmentHead(bytes.subarray(0, readAt(disk, file, bytes, 0, bytes.length, 0)));
      if (typeof found === 'string') this.#refuseNewer(found, path);
      if (typeof found === 'string') this.#putAside(number, size, `its head is ${found}`, found === 'torn' && isNewest);
      else if (found.head.number !== number)
        this.#putAside(number, size, `its head says that it is segment ${found.head.number}`, false);
      else this.#keep(file, path, found, size, isNewest);
    } finally {
      disk.close(file);
    }
    this.#last = number;
  }

  #refuseNewer(found: string, path: string): void {
    if (found !== 'newer') return;
    throw new ReeveError('log-unusable', 'was written by a newer version', {
      place: path,
      remedy: 'run that version, or give this one a directory of its own',
    });
  }

  #putAside(number: number, bytes: number, detail: string, isJustBegun: boolean): void {
    const { directory, onDamage } = this.#r;
    const name = segmentName(number);
    if (this.#last > 0 && number > this.#last + 1)
      onDamage({
        what: 'missing',
        path: directory.path(name),
        segment: number - 1,
        offset: 0,
        bytes: 0,
        detail: `nobody can say whether there was a segment between ${this.#last} and it`,
      });
    onDamage({
      what: isJustBegun ? 'torn tail' : 'unreadable',
      path: directory.path(name),
      segment: number,
      offset: 0,
      bytes,
      detail: isJustBegun ? `${detail}; it is removed` : `${detail}; it is kept as ${name}${ASIDE}`,
    });
    // A segment that was begun when the machine stopped: nothing of it was synced.
    if (isJustBegun) directory.remove(name);
    else {
      directory.rename(name, name + ASIDE);
      this.aside.push(name + ASIDE);
    }
  }

  #keep(file: FileHandle, path: string, found: FoundHead, size: number, isNewest: boolean): void {
    const { directory, kind, from } = this.#r;
    const { disk } = directory;
    if (found.head.kind !== kind)
      throw new ReeveError('log-unusable', `is a segment of ${found.head.kind}, not of ${kind}`, {
        place: path,
        remedy: 'give each log a directory of its own',
      });
    const head = this.#mendHead(file, path, found);
    const isRead = isNewest || found.head.number >= from || size < found.begin;
    const bytes = isRead ? this.#read(file, path, head, found.begin, size) : size;
    // What a killed process had not synced must not be told to anybody and then be lost.
    if (isRead) disk.syncNow(file);
    this.segments.push(new SegmentFile(directory, head, found.begin, bytes));
  }

  #mendHead(file: FileHandle, path: string, found: FoundHead): FoundHead['head'] {
    const { directory, onDamage } = this.#r;
    const { disk } = directory;
    const { number, follows } = found.head;
    if (!found.isWhole) {
      onDamage({
        what: 'corrupt',
        path,
        segment: number,
        offset: 0,
        bytes: 0,
        detail: 'a copy of its head; no frame is lost',
      });
      const bytes = segmentHead(found.head);
      writeAll(disk, file, bytes, bytes.length, 0);
      disk.syncNow(file);
    }
    const before = this.segments.at(-1)?.number ?? follows;
    if (follows === before) return found.head;
    if (follows > this.#last)
      onDamage({
        what: 'missing',
        path,
        segment: follows,
        offset: 0,
        bytes: 0,
        detail: `it follows segment ${follows}, which is not there`,
      });
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
  #read(file: FileHandle, path: string, head: FoundHead['head'], begin: number, size: number): number {
    const { directory, onFrame, onDamage } = this.#r;
    const { disk } = directory;
    const { number: segment, mark } = head;
    let [sealEnd, tail] = [-1, -1];
    const hole = (offset: number, to: number): void => {
      if (to >= size) {
        tail = offset;
        return;
      }
      const bytes = to - offset;
      onDamage({ what: 'corrupt', path, segment, offset, bytes, detail: NOT_WRITTEN });
      if (bytes >= FRAME_HEAD) writeAll(disk, file, gapOf(mark, bytes), FRAME_HEAD, offset);
    };
    const seal = (end: number): void => void (sealEnd = end);
    for (const frame of scanFrames(disk, file, head, begin, size, { hole, seal })) {
      if (this.#endless.length > 0) this.#sealAll(true);
      onFrame(frame, head.owner);
    }
    const end = tail === -1 ? Math.max(begin, size) : tail;
    if (end < size) {
      onDamage({ what: 'torn tail', path, segment, offset: end, bytes: size - end, detail: 'it is cut off' });
      disk.truncate(file, end);
    }
    if (sealEnd === end) return end;
    const isTold = end < size;
    const damage = { what: 'torn tail', path, segment, offset: end, bytes: 0, detail: ENDLESS } as const;
    this.#endless.push({ path, end, seal: sealOf(mark), damage: isTold ? undefined : damage });
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
