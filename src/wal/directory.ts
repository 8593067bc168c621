/** The names of a log's files, and which of them are on the medium: a file's bytes are synced by themselves, its name with the directory. */
import { join } from 'node:path';
import type { Disk, FileHandle } from './disk.ts';

/** A file that is to take another's place; left behind by a crash it is nothing. */
const FRESH = '.new';

export class Directory {
  readonly disk: Disk;
  readonly dir: string;
  /** Counted: names made, changed and removed, and how many of these are on the medium. */
  #changes = 0;
  #synced = 0;
  /** Of files that could not be made whole, nor removed. */
  readonly #leftovers = new Set<string>();

  constructor(disk: Disk, dir: string) {
    this.disk = disk;
    this.dir = dir;
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  /** Names; what a crash left half made is removed. */
  list(): string[] {
    const names = this.disk.list(this.dir);
    for (const name of names) if (name.endsWith(`.wal${FRESH}`)) this.disk.remove(this.path(name));
    return names;
  }

  create(name: string, bytes: Buffer): FileHandle {
    const path = this.path(name);
    const file = this.#write(path, this.#leftovers.has(path) ? 'replace' : 'create', [bytes]);
    this.#leftovers.delete(path);
    this.#changes++;
    return file;
  }

  /**
   * Puts a file in the place of another: behind a crash it is the old one or the new one, whole, and the new one for certain once the
   * directory was synced. Throws when the disk refuses; then the old one stands. Returns the new one, synced and open for writing.
   */
  replace(name: string, pieces: Iterable<Buffer>): FileHandle {
    const [path, fresh] = [this.path(name), this.path(name + FRESH)];
    const file = this.#write(fresh, 'replace', pieces);
    try {
      this.disk.syncNow(file);
      this.disk.rename(fresh, path);
    } catch (cause) {
      this.#forget(file, fresh);
      throw cause;
    }
    this.#changes++;
    return file;
  }

  rename(from: string, to: string): void {
    this.disk.rename(this.path(from), this.path(to));
    this.#changes++;
  }

  /**
   * Whatever came before is on the medium first: so a crash takes nothing that was to stand in its place, and brings back the last that was removed
   * at most, no hole in the row of segments.
   */
  remove(name: string): void {
    this.syncNow();
    this.disk.remove(this.path(name));
    this.#changes++;
  }

  async sync(): Promise<void> {
    const changes = this.#changes;
    if (changes === this.#synced) return;
    await this.disk.syncDir(this.dir);
    this.#synced = Math.max(this.#synced, changes);
  }

  syncNow(): void {
    if (this.#changes === this.#synced) return;
    this.disk.syncDirNow(this.dir);
    this.#synced = this.#changes;
  }

  #write(path: string, how: 'create' | 'replace', pieces: Iterable<Buffer>): FileHandle {
    const file = this.disk.open(path, how);
    try {
      let at = 0;
      for (const piece of pieces) {
        writeAll(this.disk, file, piece, piece.length, at);
        at += piece.length;
      }
      return file;
    } catch (cause) {
      this.#forget(file, path);
      throw cause;
    }
  }

  #forget(file: FileHandle, path: string): void {
    this.disk.close(file);
    try {
      this.disk.remove(path);
    } catch {
      // A disk that takes nothing. The next one of that name is written over it.
      this.#leftovers.add(path);
    }
  }
}

/** The first `length` of `bytes`. */
export function writeAll(disk: Disk, file: FileHandle, bytes: Buffer, length: number, position: number): void {
  for (let at = 0; at < length; ) {
    const written = disk.write(file, bytes, at, length - at, position + at);
    if (written === 0) throw Object.assign(new Error('the disk took nothing'), { code: 'ENOSPC' });
    at += written;
  }
}
