/**
 * Reads what an earlier life left in a segment, and makes it whole again.
 *
 *   [frame][frame][frame][torn …]          the end of the newest: cut off, nobody was told that it stands
 *   [frame][▒▒▒▒▒▒][frame][frame]          anything else: the sound frames are written anew, the old file is kept beside as `.corrupt`
 *
 * A crash between any two steps leaves what the next opening finishes.
 */
import { join } from 'node:path';
import type { Disk } from './disk.ts';
import { FRAME_HEAD, frameBytes, nextFrame } from './frame.ts';
import { FILE_HEAD_MAX, readSegmentHead, type SegmentHead } from './segment.ts';

/** What was wrong with a file, for the log and the operator. */
export interface Damage {
  readonly path: string;
  /** `torn tail`: cut short by a crash. `corrupt`: bytes in it are not those that were written. `unreadable`: all of it; it was put aside. */
  readonly what: 'torn tail' | 'corrupt' | 'unreadable';
  /** Bytes that are lost. */
  readonly bytes: number;
  readonly detail: string;
}

/** Where sound frames stand in a file: pairs of from and to. */
interface Sound {
  readonly head: SegmentHead;
  readonly spans: readonly (readonly [number, number])[];
  readonly end: number;
}

export function readWhole(disk: Disk, path: string): Buffer {
  const file = disk.open(path, 'read');
  try {
    const bytes = Buffer.allocUnsafe(disk.size(file));
    let at = 0;
    while (at < bytes.length) {
      const read = disk.read(file, bytes, at, bytes.length - at, at);
      if (read === 0) break;
      at += read;
    }
    return bytes.subarray(0, at);
  } finally {
    disk.close(file);
  }
}

/** The head of a segment whose frames are known, and how large its file is; undefined: it must be looked at whole. */
export function glanceAt(disk: Disk, path: string, kind: string): { readonly owner: Buffer; readonly size: number } | undefined {
  const file = disk.open(path, 'read');
  try {
    const bytes = Buffer.allocUnsafe(FILE_HEAD_MAX);
    const head = readSegmentHead(kind, bytes.subarray(0, disk.read(file, bytes, 0, bytes.length, 0)));
    return typeof head === 'string' ? undefined : { owner: head.owner, size: disk.size(file) };
  } finally {
    disk.close(file);
  }
}

/** Bytes of the file in `bytes`: spans of sound frames. */
export function soundSpans(bytes: Buffer, from: number): [number, number][] {
  const spans: [number, number][] = [];
  let at = from;
  while (at !== -1 && at < bytes.length) {
    const begin = at;
    for (let length = frameBytes(bytes, at, bytes.length); length > 0; ) {
      at += length;
      length = frameBytes(bytes, at, bytes.length);
    }
    if (at > begin) spans.push([begin, at]);
    if (at < bytes.length) at = nextFrame(bytes, at + 1, bytes.length);
  }
  return spans;
}

/** The segment's bytes as they are good now; undefined when nothing of it is, and it was put aside. */
export function recoverSegment(
  disk: Disk,
  path: string,
  kind: string,
  isNewest: boolean,
  onDamage: (damage: Damage) => void,
): { readonly bytes: Buffer; readonly sound: Sound } | undefined {
  const bytes = readWhole(disk, path);
  const head = readSegmentHead(kind, bytes);
  if (typeof head === 'string') {
    // A segment that was just begun when the machine stopped.
    if (head === 'torn' && isNewest) disk.remove(path);
    else disk.rename(path, `${path}.corrupt`);
    const what = head === 'torn' && isNewest ? 'torn tail' : 'unreadable';
    onDamage({ path, what, bytes: bytes.length, detail: `its head is ${head}` });
    return undefined;
  }
  const spans = soundSpans(bytes, head.bytes);
  const end = spans.at(-1)?.[1] ?? head.bytes;
  const isTail = spans.length === 0 || (spans.length === 1 && spans[0]?.[0] === head.bytes);
  if (isTail && end === bytes.length) return { bytes, sound: { head, spans, end } };
  if (isTail && isNewest) {
    onDamage({ path, what: 'torn tail', bytes: bytes.length - end, detail: `cut off at byte ${end}` });
    cut(disk, path, end);
    return { bytes: bytes.subarray(0, end), sound: { head, spans, end } };
  }
  const kept = Buffer.concat([bytes.subarray(0, head.bytes), ...spans.map(([from, to]) => bytes.subarray(from, to))]);
  onDamage({
    path,
    what: 'corrupt',
    bytes: bytes.length - kept.length,
    detail: `the file as it was is kept as ${path}.corrupt`,
  });
  replaceFile(disk, path, kept);
  const whole: (readonly [number, number])[] = kept.length === head.bytes ? [] : [[head.bytes, kept.length]];
  return { bytes: kept, sound: { head, spans: whole, end: kept.length } };
}

function cut(disk: Disk, path: string, length: number): void {
  const file = disk.open(path, 'change');
  try {
    disk.truncate(file, length);
    disk.syncNow(file);
  } finally {
    disk.close(file);
  }
}

/** The old one stays as `.corrupt`. Until the new one has its name, the old one has its own, or `finishReplacing` gives it. */
function replaceFile(disk: Disk, path: string, bytes: Buffer): void {
  writeFile(disk, `${path}.new`, bytes);
  disk.rename(path, `${path}.corrupt`);
  disk.rename(`${path}.new`, path);
}

export function writeFile(disk: Disk, path: string, bytes: Buffer): void {
  const file = disk.open(path, 'create');
  try {
    writeAll(disk, file, bytes, 0, bytes.length, 0);
    disk.syncNow(file);
  } finally {
    disk.close(file);
  }
}

export function writeAll(
  disk: Disk,
  file: number,
  bytes: Buffer,
  from: number,
  to: number,
  position: number,
): void {
  let at = from;
  while (at < to) at += disk.write(file, bytes, at, to - at, position + at - from);
}

/** What a crash left of replacing: whole again, or as if it had not begun. */
export function finishReplacing(disk: Disk, dir: string): void {
  const names = new Set(disk.list(dir));
  for (const name of names) {
    if (!name.endsWith('.wal.new')) continue;
    const path = join(dir, name.slice(0, -'.new'.length));
    const isHalfway = !names.has(name.slice(0, -'.new'.length)) && names.has(`${name.slice(0, -'.new'.length)}.corrupt`);
    if (isHalfway) disk.rename(join(dir, name), path);
    else disk.remove(join(dir, name));
  }
}

/** Each sound frame: where it begins in the file, and its body. */
export function* framesOf(bytes: Buffer, spans: readonly (readonly [number, number])[]): Generator<[number, Buffer]> {
  for (const [from, to] of spans) {
    for (let at = from; at < to; ) {
      const length = bytes.readUInt32BE(at);
      yield [at, bytes.subarray(at + FRAME_HEAD, at + FRAME_HEAD + length)];
      at += FRAME_HEAD + length;
    }
  }
}
