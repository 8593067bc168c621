/**
 * The few calls that a log makes on a directory, so that a simulated disk can stand in its place. Calls throw the system's errors
 * (`code`: ENOSPC, EIO, EROFS …). What was written is the kernel's: it outlives the process, and the machine only once it was synced.
 */
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { isLocked, lock } from './lock.ts';

/** A number by which the disk knows an open file. */
export type FileHandle = number;

export interface Disk {
  /** With all above it; it outlives the machine. */
  makeDir(dir: string): void;
  /** Names in the directory, in any order. */
  list(dir: string): string[];
  /** `read`: it is there. `create`: it is not, or EEXIST. `replace`: it is empty then. `change`: it is there. All but `read` are for writing, `change` for both. */
  open(path: string, how: 'read' | 'create' | 'replace' | 'change'): FileHandle;
  close(file: FileHandle): void;
  /** Bytes. */
  size(file: FileHandle): number;
  /** Bytes read; fewer at the end of the file. */
  read(file: FileHandle, bytes: Uint8Array, offset: number, length: number, position: number): number;
  /** Bytes written: a full disk may take a part. */
  write(file: FileHandle, bytes: Uint8Array, offset: number, length: number, position: number): number;
  truncate(file: FileHandle, length: number): void;
  /** The file's bytes are on the medium when it resolves; its name is in the directory with `syncDir`. */
  sync(file: FileHandle): Promise<void>;
  syncNow(file: FileHandle): void;
  syncDir(dir: string): Promise<void>;
  syncDirNow(dir: string): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Takes the lock that this file stands for until the process ends or what is returned is called; undefined: another one has it. */
  lock(path: string): (() => void) | undefined;
  isLocked(path: string): boolean;
}

const FLAGS = { read: 'r', create: 'wx', replace: 'w', change: 'r+' } as const;
const fdatasyncSoon = promisify(fdatasync);
const fsyncSoon = promisify(fsync);

export const systemDisk: Disk = {
  makeDir(dir) {
    const first = mkdirSync(dir, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    // Each name that was made stands in the directory above it.
    for (let made = dir; made.length >= first.length; made = dirname(made)) this.syncDirNow(dirname(made));
  },
  list: (dir) => readdirSync(dir),
  open: (path, how) => openSync(path, FLAGS[how], 0o600),
  close: (file) => closeSync(file),
  size: (file) => fstatSync(file).size,
  read: (file, bytes, offset, length, position) => readSync(file, bytes, offset, length, position),
  write: (file, bytes, offset, length, position) => writeSync(file, bytes, offset, length, position),
  truncate: (file, length) => ftruncateSync(file, length),
  sync: (file) => fdatasyncSoon(file),
  syncNow: (file) => fdatasyncSync(file),
  async syncDir(dir) {
    const handle = openSync(dir, 'r');
    await fsyncSoon(handle).finally(() => closeSync(handle));
  },
  syncDirNow(dir) {
    const handle = openSync(dir, 'r');
    try {
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  },
  rename: (from, to) => renameSync(from, to),
  remove: (path) => rmSync(path),
  lock,
  isLocked,
};
