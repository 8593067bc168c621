/** A look at a log of any kind, touching nothing, also while its owner writes it. */
import { join } from 'node:path';
import { type Damage, ENDLESS, NOT_WRITTEN } from './damage.ts';
import type { Disk, FileHandle } from './disk.ts';
import { type Frame, readAt, scanFrames } from './scan.ts';
import { type FoundHead, HEADS_BYTES_MAX, readSegmentHead, segmentName, segmentNumber } from './segment.ts';

export interface InspectedSegment {
  readonly number: number;
  readonly path: string;
  /** Four letters; undefined where no head can be read. */
  readonly kind: string | undefined;
  /** The owner's part of its head, in hexadecimal; undefined where no head can be read. */
  readonly owner: string | undefined;
  readonly bytes: number;
  readonly frames: number;
  readonly isSealed: boolean;
  /** Holes that an earlier opening found: their bytes are lost, and it was told. */
  readonly gaps: number;
  readonly gapBytes: number;
}

export interface Inspection {
  /** Its owner runs. The end of the newest segment is what it is about to write. */
  readonly isInUse: boolean;
  readonly segments: readonly InspectedSegment[];
  /** What the next opening will find. */
  readonly damage: readonly Damage[];
  /** Names of files that an earlier opening put aside. */
  readonly aside: readonly string[];
}

/** Of whose segment a frame is. */
export interface Origin {
  readonly kind: string;
  /** The owner's part of the segment's head. */
  readonly head: Buffer;
}

/** Throws the disk's error when the directory cannot be read. */
export function inspectLog(disk: Disk, dir: string, onFrame: (frame: Frame, origin: Origin) => void): Inspection {
  const isInUse = disk.isLocked(join(dir, 'lock'));
  const names = disk.list(dir);
  const numbers = names.map(segmentNumber).filter((number) => number !== undefined);
  numbers.sort((a, b) => a - b);
  const look = new Look(disk, dir, isInUse ? (numbers.at(-1) ?? 0) : -1, onFrame);
  for (const number of numbers) look.at(number);
  const { segments, damage } = look;
  return { isInUse, segments, damage, aside: names.filter((name) => name.endsWith('.wal.corrupt')).sort() };
}

class Look {
  readonly #disk: Disk;
  readonly #dir: string;
  /** The segment that is being written now. */
  readonly #live: number;
  readonly #onFrame: (frame: Frame, origin: Origin) => void;
  readonly segments: InspectedSegment[] = [];
  readonly damage: Damage[] = [];
  #endless: Damage[] = [];
  #last = 0;

  constructor(disk: Disk, dir: string, live: number, onFrame: (frame: Frame, origin: Origin) => void) {
    this.#disk = disk;
    this.#dir = dir;
    this.#live = live;
    this.#onFrame = onFrame;
  }

  at(number: number): void {
    const path = join(this.#dir, segmentName(number));
    let file: FileHandle;
    try {
      file = this.#disk.open(path, 'read');
    } catch (cause) {
      // Its owner dropped it meanwhile.
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw cause;
    }
    try {
      this.#look(file, path, number);
    } finally {
      this.#disk.close(file);
    }
  }

  #look(file: FileHandle, path: string, number: number): void {
    const size = this.#disk.size(file);
    const bytes = Buffer.alloc(Math.min(size, HEADS_BYTES_MAX));
    const found = readSegmentHead(bytes.subarray(0, readAt(this.#disk, file, bytes, 0, bytes.length, 0)));
    const wrong =
      typeof found === 'string'
        ? `its head is ${found}`
        : found.head.number === number
          ? undefined
          : `its head says that it is segment ${found.head.number}`;
    if (typeof found === 'string' || wrong !== undefined) {
      this.segments.push({
        number,
        path,
        kind: undefined,
        owner: undefined,
        bytes: size,
        frames: 0,
        isSealed: false,
        gaps: 0,
        gapBytes: 0,
      });
      if (this.#last > 0 && number > this.#last + 1) this.#missing(number - 1, 'or nobody can say');
      if (number !== this.#live)
        this.damage.push({
          what: 'unreadable',
          path,
          segment: number,
          offset: 0,
          bytes: size,
          detail: wrong as string,
        });
    } else this.#frames(file, path, found, size);
    this.#last = number;
  }

  #missing(segment: number, why: string): void {
    const path = join(this.#dir, segmentName(segment));
    this.damage.push({ what: 'missing', path, segment, offset: 0, bytes: 0, detail: `it is not there, ${why}` });
  }

  #frames(file: FileHandle, path: string, found: FoundHead, size: number): void {
    const { number: segment, follows, kind, owner } = found.head;
    const tell = (what: Damage['what'], offset: number, bytes: number, detail: string): void =>
      void this.damage.push({ what, path, segment, offset, bytes, detail });
    if (this.segments.length > 0 && follows > this.#last) this.#missing(follows, `segment ${segment} follows it`);
    if (!found.isWhole) tell('corrupt', 0, 0, 'a copy of its head; no frame is lost');
    let [frames, gaps, gapBytes, isSealed, isTorn] = [0, 0, 0, false, false];
    const watcher = {
      hole: (from: number, to: number): void => {
        if (to < size) tell('corrupt', from, to - from, NOT_WRITTEN);
        else if (segment !== this.#live) {
          isTorn = true;
          tell('torn tail', from, to - from, 'the next opening cuts it off');
        }
      },
      gap: (from: number, to: number): void => {
        gaps++;
        gapBytes += to - from;
      },
      seal: (): void => {
        isSealed = true;
      },
    };
    for (const frame of scanFrames(this.#disk, file, found.head, found.begin, size, watcher)) {
      if (frames++ === 0) this.damage.push(...this.#endless.splice(0));
      this.#onFrame(frame, { kind, head: owner });
    }
    if (!isSealed && !isTorn)
      this.#endless.push({ what: 'torn tail', path, segment, offset: size, bytes: 0, detail: ENDLESS });
    const whose = { kind, owner: owner.toString('hex') };
    this.segments.push({ number: segment, path, ...whose, bytes: size, frames, isSealed, gaps, gapBytes });
  }
}
