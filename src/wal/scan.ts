// hot path
/**
 * Reads the frames of a segment out of its file, in pieces, whatever became of it.
 *
 *   [frame][frame][▒▒▒▒▒▒▒▒][frame][gap ░░░░░░][frame][seal]
 *                  └ a hole: told, and skipped up to the next mark
 *
 * Bound: one buffer of 256 KiB, or of the longest frame; who reads often brings one (`scratch`), and lets nobody else read into it meanwhile. Each byte is looked at once for a mark, and summed again only where one stands.
 */
import type { Disk, FileHandle } from './disk.ts';
import { BODY_BYTES_MAX, FRAME_HEAD, frameAt, GAP } from './frame.ts';

/** At once. */
export const READ_BYTES: number = 256 * 1024;
/** A disk gives up on so much at once. */
const BAD_BYTES = 4096;

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

/** What is no frame. Offsets in the file. */
export interface Watcher {
  /** Bytes that were never written so. */
  hole(from: number, to: number): void;
  /** A hole that was told by an earlier opening. */
  gap?(from: number, to: number): void;
  /** The seal ends there. */
  seal?(end: number): void;
  /** The disk cannot read a part of what comes next (EIO): the hole there may be none tomorrow. */
  unreadable?(): void;
}

interface Segment {
  readonly number: number;
  readonly mark: number;
}

export function* scanFrames(
  disk: Disk,
  file: FileHandle,
  segment: Segment,
  from: number,
  to: number,
  watcher: Watcher,
  scratch?: Buffer,
): Generator<Frame, void, void> {
  const mark = Buffer.alloc(4);
  mark.writeUInt32BE(segment.mark);
  let bytes: Buffer = scratch ?? Buffer.allocUnsafe(Math.min(READ_BYTES, Math.max(0, to - from)));
  // bytes[0 .. filled) are those of the file from `base` on; the file ends at `end`.
  let [base, filled, at, end, holeFrom] = [from, 0, 0, to, -1];
  const read = (need: number): void => {
    bytes = moved(bytes, at, filled, need);
    base += at;
    filled = Math.max(0, filled - at);
    at = 0;
    const wanted = Math.min(bytes.length - filled, end - base - filled);
    const got = readAt(disk, file, bytes, filled, wanted, base + filled, watcher);
    filled += got;
    if (got < wanted) end = base + filled;
  };
  while (base + at < end) {
    const length = frameAt(bytes, at, filled, segment.mark);
    // It says that it goes on behind what was read, and there is more.
    if (length < 0 && base + at - length <= end) {
      read(-length);
      continue;
    }
    if (length <= 0 || base + at + length > end) {
      if (holeFrom === -1) holeFrom = base + at;
      const next = bytes.subarray(0, filled).indexOf(mark, at + 1);
      // A mark may begin with the last three bytes.
      at = next === -1 ? Math.max(at + 1, filled - mark.length + 1) : next;
      if (next === -1 && base + filled < end) read(FRAME_HEAD);
      else if (next === -1) at = filled;
      continue;
    }
    const offset = base + at;
    if (holeFrom !== -1) watcher.hole(holeFrom, offset);
    holeFrom = -1;
    const body = bytes.readUInt32BE(at + 4);
    if (body >= GAP) watcher.gap?.(offset, offset + length);
    else if (body === 0) watcher.seal?.(offset + length);
    else
      yield {
        segment: segment.number,
        offset,
        body: bytes.subarray(at + FRAME_HEAD, at + length),
        sum: bytes.readUInt32BE(at + 8),
        next: offset + length,
      };
    at += length;
    // A gap may end behind what was read.
    if (at > filled) read(FRAME_HEAD);
  }
  if (holeFrom !== -1 || end < to) watcher.hole(holeFrom === -1 ? end : holeFrom, to);
}

/** What is left of the buffer from `at` on, at the front of one that has room for `need`. */
function moved(bytes: Buffer, at: number, filled: number, need: number): Buffer {
  const into = need > bytes.length ? Buffer.allocUnsafe(Math.min(2 * need, FRAME_HEAD + BODY_BYTES_MAX)) : bytes;
  if (at < filled) bytes.copy(into, 0, at, filled);
  return into;
}

/** Bytes read; fewer at the end of the file. What the disk cannot read any more (EIO) is 0xff: that is no frame. */
export function readAt(
  disk: Disk,
  file: FileHandle,
  bytes: Buffer,
  offset: number,
  length: number,
  position: number,
  watcher?: Pick<Watcher, 'unreadable'>,
): number {
  let done = 0;
  while (done < length) {
    const read = readSome(disk, file, bytes, offset + done, length - done, position + done, watcher);
    if (read === 0) break;
    done += read;
  }
  return done;
}

function readSome(
  disk: Disk,
  file: FileHandle,
  bytes: Buffer,
  offset: number,
  length: number,
  position: number,
  watcher: Pick<Watcher, 'unreadable'> | undefined,
): number {
  try {
    return disk.read(file, bytes, offset, length, position);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EIO') throw cause;
    const piece = Math.min(length, BAD_BYTES - (position % BAD_BYTES));
    if (piece < length) return readSome(disk, file, bytes, offset, piece, position, watcher);
    watcher?.unreadable?.();
    bytes.fill(0xff, offset, offset + length);
    return length;
  }
}
