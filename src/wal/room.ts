/** Whether a directory takes a file now: cheaper to ask than to open a log, which reads all of it first. */
import { accessSync, constants, existsSync, readdirSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeAll } from './directory.ts';
import type { Disk } from './disk.ts';

/** A file that the next opening removes, if this process cannot. */
const NAME = 'room.wal.new';
/** As large as an opening may need: heads, seals, and a first block. 256 KiB. */
const ROOM = Buffer.alloc(256 * 1024);

/** Writes a file and removes it. Throws the disk's error when it takes none. */
export function probeRoom(disk: Disk, dir: string): void {
  disk.makeDir(dir);
  const path = join(dir, NAME);
  const file = disk.open(path, 'replace');
  try {
    writeAll(disk, file, ROOM, ROOM.length, 0);
  } finally {
    disk.close(file);
    disk.remove(path);
  }
}

/** What the system says of a directory; of one that is not there, of the nearest above it. */
export interface Room {
  /** It, or the nearest above it. */
  readonly at: string;
  readonly isThere: boolean;
  /** What this user cannot write, and the system's code, such as EACCES or EROFS. */
  readonly unwritable: { readonly path: string; readonly code: string } | undefined;
  /** Bytes. */
  readonly free: number;
}

/** Asks and writes nothing. Throws the system's error when the directory cannot be listed. */
export function roomOf(dir: string): Room {
  let at = dir;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  const isThere = at === dir;
  // An opening writes to every segment that is there.
  const files = isThere ? readdirSync(dir).filter((name) => name.endsWith('.wal')) : [];
  const { bavail, bsize } = statfsSync(at);
  return { at, isThere, unwritable: firstRefusal([at, ...files.map((name) => join(dir, name))]), free: bavail * bsize };
}

function firstRefusal(paths: readonly string[]): Room['unwritable'] {
  for (const path of paths)
    try {
      accessSync(path, constants.W_OK);
    } catch (cause) {
      const { code = 'EACCES' } = cause as NodeJS.ErrnoException;
      // Its owner dropped it meanwhile.
      if (code !== 'ENOENT') return { path, code };
    }
  return undefined;
}
