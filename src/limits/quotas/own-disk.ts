/**
 * The few calls that the log of own counts makes on a directory, so that a simulated disk can stand in its place. None of them holds up the loop: requests are
 * served while megabytes are written. They reject with the system's errors (`code`: ENOENT, ENOSPC, EIO …). What was appended is the kernel's: it outlives the
 * process, and the machine only once it was synced; a name, once its directory was.
 */
import { copyFile, mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises';

export interface OwnDisk {
  /** With all above it. */
  makeDir(dir: string): Promise<void>;
  /** Empty, whatever stood there. */
  create(path: string): Promise<OwnFile>;
  /** Bytes. */
  size(path: string): Promise<number>;
  read(path: string): Promise<Buffer>;
  rename(from: string, to: string): Promise<void>;
  copy(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  syncDir(dir: string): Promise<void>;
}

export interface OwnFile {
  append(text: string): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** File systems that know no sync of a directory say so; they keep its names by themselves. */
export function unlessUnknown(cause: NodeJS.ErrnoException): void {
  if (cause.code !== 'EINVAL' && cause.code !== 'ENOTSUP') throw cause;
}

export const ownDisk: OwnDisk = {
  async makeDir(dir) {
    await mkdir(dir, { recursive: true });
  },
  async create(path) {
    const handle = await open(path, 'w', 0o600);
    return {
      append: (text) => handle.appendFile(text),
      async sync() {
        await handle.datasync();
        // Of a file that was removed with its directory the kernel takes all, and a next life finds nothing.
        if ((await handle.stat()).nlink === 0) throw Object.assign(new Error('it was removed'), { code: 'ENOENT' });
      },
      close: () => handle.close(),
    };
  },
  size: async (path) => (await stat(path)).size,
  read: (path) => readFile(path),
  rename,
  copy: (from, to) => copyFile(from, to),
  remove: unlink,
  async syncDir(dir) {
    const folder = await open(dir, 'r');
    await folder
      .sync()
      .catch(unlessUnknown)
      .finally(() => folder.close());
  },
};
