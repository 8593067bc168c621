/** Whether a directory takes a file now: cheaper to ask than to open a log, which reads all of it first. */
import { join } from 'node:path';
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
