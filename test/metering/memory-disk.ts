/**
 * A disk in memory: what was synced outlives `crash`, the rest is cut off; calls can be made to fail. Names are durable at once, which is
 * enough here: test/wal has the disk that tears, reorders and loses names.
 */
import type { Disk, FileHandle } from '../../src/wal/index.ts';

interface MemoryFile {
  bytes: Buffer;
  length: number;
  synced: number;
}

export type Call = 'open' | 'read' | 'write' | 'sync' | 'rename' | 'remove';

export class MemoryDisk implements Disk {
  readonly files = new Map<string, MemoryFile>();
  /** Throws, when a call is to fail. */
  refuse: ((call: Call, path: string) => void) | undefined;
  /** Syncs wait until `finishSyncs`. */
  isSlow = false;
  readonly #open = new Map<FileHandle, { readonly file: MemoryFile; readonly path: string }>();
  readonly #waiting: (() => void)[] = [];
  #handles = 0;

  makeDir(): void {}

  list(dir: string): string[] {
    return [...this.files.keys()]
      .filter((path) => path.startsWith(`${dir}/`))
      .map((path) => path.slice(dir.length + 1));
  }

  open(path: string, how: 'read' | 'create' | 'replace' | 'change'): FileHandle {
    this.refuse?.('open', path);
    let file = this.files.get(path);
    if (how === 'replace') file = undefined;
    else if (how === 'create' ? file !== undefined : file === undefined)
      throw Object.assign(new Error(path), { code: how === 'create' ? 'EEXIST' : 'ENOENT' });
    file ??= { bytes: Buffer.alloc(1024), length: 0, synced: 0 };
    this.files.set(path, file);
    this.#open.set(++this.#handles, { file, path });
    return this.#handles;
  }

  close(file: FileHandle): void {
    this.#open.delete(file);
  }

  size(file: FileHandle): number {
    return this.#of(file).file.length;
  }

  read(file: FileHandle, bytes: Uint8Array, offset: number, length: number, position: number): number {
    const { file: from, path } = this.#of(file);
    this.refuse?.('read', path);
    const end = Math.min(from.length, position + length);
    bytes.set(from.bytes.subarray(position, end), offset);
    return Math.max(0, end - position);
  }

  write(file: FileHandle, bytes: Uint8Array, offset: number, length: number, position: number): number {
    const { file: into, path } = this.#of(file);
    this.refuse?.('write', path);
    if (position + length > into.bytes.length) {
      const larger = Buffer.alloc(2 * (position + length));
      into.bytes.copy(larger);
      into.bytes = larger;
    }
    into.bytes.set(bytes.subarray(offset, offset + length), position);
    into.length = Math.max(into.length, position + length);
    return length;
  }

  truncate(file: FileHandle, length: number): void {
    const { file: of } = this.#of(file);
    of.length = length;
    of.synced = Math.min(of.synced, length);
  }

  async sync(file: FileHandle): Promise<void> {
    const { file: of, path } = this.#of(file);
    const { length } = of;
    if (this.isSlow) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.refuse?.('sync', path);
    of.synced = length;
  }

  syncNow(file: FileHandle): void {
    const { file: of, path } = this.#of(file);
    this.refuse?.('sync', path);
    of.synced = of.length;
  }

  async syncDir(): Promise<void> {}

  syncDirNow(): void {}

  rename(from: string, to: string): void {
    this.refuse?.('rename', from);
    for (const [path, file] of [...this.files]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      this.files.delete(path);
      this.files.set(to + path.slice(from.length), file);
    }
  }

  remove(path: string): void {
    this.refuse?.('remove', path);
    this.files.delete(path);
  }

  lock(): () => void {
    return () => {};
  }

  isLocked(): boolean {
    return false;
  }

  finishSyncs(): void {
    for (const each of this.#waiting.splice(0)) each();
  }

  /** The machine stops: what was not synced is gone. Nothing is open. */
  crash(): void {
    for (const file of this.files.values()) file.length = file.synced;
    this.kill();
  }

  /** The process stops. */
  kill(): void {
    this.#open.clear();
  }

  /** Another byte at a place of a file. */
  damage(path: string, position: number): void {
    const { bytes } = this.files.get(path) as MemoryFile;
    bytes[position] = (bytes[position] as number) ^ 0xff;
  }

  #of(file: FileHandle): { readonly file: MemoryFile; readonly path: string } {
    const open = this.#open.get(file);
    if (open === undefined) throw Object.assign(new Error('not open'), { code: 'EBADF' });
    return open;
  }
}
