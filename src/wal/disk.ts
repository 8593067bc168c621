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
import { promisify } from 'node:util';

/** A number by which the disk knows an open file. */
export type FileHandle = number;

export interface Disk {
  /** With all above it. */
  makeDir(dir: string): void;
  /** Names in the directory. */
  list(dir: string): string[];
  /** `read`: it is there. `create`: it is not, or EEXIST; for writing. `change`: it is there, for writing. */
  open(path: string, how: 'read' | 'create' | 'change'): FileHandle;
  close(file: FileHandle): void;
  /** Bytes. */
  size(file: FileHandle): number;
  /** Bytes read; fewer at the end of the file. */
  read(file: FileHandle, bytes: Uint8Array, offset: number, length: number, position: number): number;
  /** Bytes written, at least one: a full disk may take a part. */
  write(file: FileHandle, bytes: Uint8Array, offset: number, length: number, position: number): number;
  truncate(file: FileHandle, length: number): void;
  /** The file's bytes are on the medium when it resolves, and its name in the directory with `syncDir`. */
  sync(file: FileHandle): Promise<void>;
  syncNow(file: FileHandle): void;
  syncDir(dir: string): Promise<void>;
  syncDirNow(dir: string): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
}

const FLAGS = { read: 'r', create: 'wx', change: 'r+' } as const;
const fdatasyncSoon = promisify(fdatasync);
const fsyncSoon = promisify(fsync);

export const systemDisk: Disk = {
  makeDir: (dir) => void mkdirSync(dir, { recursive: true, mode: 0o700 }),
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
};
