/**
 * A disk as a file system may behave and still be allowed to, after the model of ALICE (Pillai et al., OSDI 2014): bytes stand in a page cache and reach the
 * medium by sectors of 512 bytes, in any order, at any time; a file's size by itself; names by themselves. Only `sync` makes a file certain, only
 * `syncDir` its name.
 *
 *   write ──▶ cache ──(now and then, any sector)──▶ medium        kill:  the cache stays
 *                 └──(sync: all of it)──────────────▶             crash: the medium, and any of what was under way, stay
 *
 * A sync that fails leaves each sector written, or clean though it was not written, or dropped: as Linux does. Chance is seeded: the same seed, the same disk.
 */
import type { Random } from '../src/core/index.ts';
import type { Disk, FileHandle } from '../src/wal/index.ts';

const SECTOR = 512;
const FIRST_BYTES = 4096;

/** The process ends at this call. */
export class Stopped extends Error {}

export type Call = Exclude<keyof Disk, 'lock' | 'isLocked' | 'close'>;

class Inode {
  cache: Buffer = Buffer.alloc(FIRST_BYTES);
  medium: Buffer = Buffer.alloc(FIRST_BYTES);
  size = 0;
  mediumSize = 0;
  /** Sectors that are to be written back. */
  dirty = new Set<number>();

  grow(size: number): void {
    if (size <= this.cache.length) return;
    const room = Buffer.alloc(Math.max(size, 2 * this.cache.length) - this.cache.length);
    this.cache = Buffer.concat([this.cache, room]);
    this.medium = Buffer.concat([this.medium, room]);
  }

  writeBack(sector: number): void {
    const at = sector * SECTOR;
    this.cache.copy(this.medium, at, at, at + SECTOR);
    this.dirty.delete(sector);
  }

  drop(sector: number): void {
    const at = sector * SECTOR;
    this.medium.copy(this.cache, at, at, at + SECTOR);
    this.dirty.delete(sector);
  }

  touch(from: number, to: number): void {
    for (let sector = Math.floor(from / SECTOR); sector * SECTOR < to; sector++) this.dirty.add(sector);
  }
}

/** A change of names that is not certain yet: in this order, each done or not. */
type NameChange = { readonly name: string; readonly inode: Inode | undefined; readonly from?: string };

export interface SimDiskOptions {
  /** What was never written on the medium holds what was removed before, not zeros. */
  readonly isStale?: boolean;
  /** How often a call finds the kernel having written something back, 0 … 1. */
  readonly writeBack?: number;
}

export class SimDisk implements Disk {
  readonly #random: Random;
  readonly #o: Required<SimDiskOptions>;
  #names = new Map<string, Inode>();
  /** As they stand on the medium. */
  #certain = new Map<string, Inode>();
  #pending: NameChange[] = [];
  #files = new Map<FileHandle, Inode>();
  #locks = new Set<string>();
  #nextFile = 3;
  /** Of this life: what an earlier one awaited never comes. */
  #life = 0;
  /** What was removed, for stale sectors. */
  #old: Buffer = Buffer.alloc(0);
  /** Since `stopAfter` was reached, until the kill or crash. */
  isStopped = false;
  /** Calls until the process ends; Infinity: it does not. */
  stopAfter: number = Number.POSITIVE_INFINITY;
  /** Bytes of all files; more is ENOSPC, behind as much as fits. */
  room: number = Number.POSITIVE_INFINITY;
  /** An error's code for this call. */
  fault: (call: Call, path: string) => string | undefined = () => undefined;

  constructor(random: Random, options: SimDiskOptions = {}) {
    this.#random = random;
    this.#o = { isStale: false, writeBack: 0.05, ...options };
  }

  makeDir(dir: string): void {
    this.#enter('makeDir', dir);
  }

  list(dir: string): string[] {
    this.#enter('list', dir);
    return [...this.#names.keys()]
      .filter((path) => path.startsWith(`${dir}/`))
      .map((path) => path.slice(dir.length + 1));
  }

  open(path: string, how: 'read' | 'create' | 'replace' | 'change'): FileHandle {
    // To open what is there takes no room: it fails as a read does.
    this.#enter(how === 'create' || how === 'replace' ? 'open' : 'read', path);
    let inode = this.#names.get(path);
    if (how === 'create' && inode !== undefined) throw failure('EEXIST', path);
    if (inode === undefined) {
      if (how === 'read' || how === 'change') throw failure('ENOENT', path);
      inode = this.#newInode();
      this.#change({ name: path, inode });
    } else if (how === 'replace') this.#cut(inode, 0);
    const file = this.#nextFile++;
    this.#files.set(file, inode);
    return file;
  }

  close(file: FileHandle): void {
    if (this.isStopped) return;
    if (!this.#files.delete(file)) throw failure('EBADF', String(file));
  }

  size(file: FileHandle): number {
    return this.#of(file, 'size').size;
  }

  read(file: FileHandle, bytes: Uint8Array, offset: number, length: number, position: number): number {
    const { cache, size } = this.#of(file, 'read');
    const most = Math.max(0, Math.min(length, size - position));
    // A read may end before its end.
    const read = most > 1 && this.#random.float() < 0.05 ? 1 + Math.floor(this.#random.float() * (most - 1)) : most;
    cache.copy(bytes, offset, position, position + read);
    return read;
  }

  write(file: FileHandle, bytes: Uint8Array, offset: number, length: number, position: number): number {
    const inode = this.#files.get(file);
    const isLast = this.stopAfter === 0 && !this.isStopped;
    // Who is stopped in a write has written a part of it, or nothing.
    if (isLast && inode !== undefined) this.#write(inode, bytes, offset, this.#below(length + 1), position);
    this.#of(file, 'write');
    const room = Math.max(0, this.room - this.#used() + (inode as Inode).size - position);
    if (room === 0) throw failure('ENOSPC', '');
    const most = Math.min(length, room);
    const written = most > 1 && this.#random.float() < 0.05 ? 1 + this.#below(most - 1) : most;
    this.#write(inode as Inode, bytes, offset, written, position);
    return written;
  }

  truncate(file: FileHandle, length: number): void {
    this.#cut(this.#of(file, 'truncate'), length);
  }

  async sync(file: FileHandle): Promise<void> {
    const life = this.#life;
    const inode = this.#find(file);
    const [dirty, size] = [[...inode.dirty], inode.size];
    await underWay();
    if (life !== this.#life) return new Promise(() => {});
    this.#sync('sync', inode, dirty, size);
  }

  syncNow(file: FileHandle): void {
    const inode = this.#find(file);
    this.#sync('syncNow', inode, [...inode.dirty], inode.size);
  }

  async syncDir(dir: string): Promise<void> {
    const [life, changes] = [this.#life, this.#pending.length];
    await underWay();
    if (life !== this.#life) return new Promise(() => {});
    this.#enter('syncDir', dir);
    this.#settle(Math.min(changes, this.#pending.length));
  }

  syncDirNow(dir: string): void {
    this.#enter('syncDirNow', dir);
    this.#settle(this.#pending.length);
  }

  rename(from: string, to: string): void {
    this.#enter('rename', from);
    const inode = this.#names.get(from);
    if (inode === undefined) throw failure('ENOENT', from);
    this.#change({ name: to, inode, from });
  }

  remove(path: string): void {
    this.#enter('remove', path);
    const inode = this.#names.get(path);
    if (inode === undefined) throw failure('ENOENT', path);
    this.#old = Buffer.from(inode.cache.subarray(0, inode.size));
    this.#change({ name: path, inode: undefined });
  }

  lock(path: string): (() => void) | undefined {
    if (this.#locks.has(path)) return undefined;
    this.#locks.add(path);
    return () => void this.#locks.delete(path);
  }

  isLocked(path: string): boolean {
    return this.#locks.has(path);
  }

  /** The process is gone, what it wrote is not. */
  kill(): void {
    this.#life++;
    this.#files.clear();
    this.#locks.clear();
    this.isStopped = false;
    this.stopAfter = Number.POSITIVE_INFINITY;
  }

  /** The machine stops: of what was not synced any part stands. */
  crash(): void {
    this.kill();
    for (const change of this.#pending) if (this.#random.float() < 0.5) apply(this.#certain, change);
    this.#pending = [];
    this.#names = new Map(this.#certain);
    for (const inode of new Set(this.#names.values())) {
      const share = this.#random.float();
      for (const sector of inode.dirty) if (this.#random.float() < share) inode.writeBack(sector);
      if (this.#random.float() < 0.5) inode.mediumSize = inode.size;
      inode.size = inode.mediumSize;
      inode.dirty.clear();
      inode.medium.copy(inode.cache);
      inode.cache.fill(0, inode.size);
    }
  }

  /** Bytes of the file; -1: there is none. */
  bytes(path: string): number {
    return this.#names.get(path)?.size ?? -1;
  }

  /** The medium forgets a bit. */
  flip(path: string, bit: number): void {
    const inode = this.#names.get(path) as Inode;
    const at = Math.floor(bit / 8);
    for (const bytes of [inode.cache, inode.medium]) bytes[at] = (bytes[at] as number) ^ (1 << (bit % 8));
  }

  #enter(call: Call, path: string): void {
    if (this.isStopped || this.stopAfter-- <= 0) {
      this.isStopped = true;
      throw new Stopped(`stopped at ${call}`);
    }
    if (this.#random.float() < this.#o.writeBack) this.#writeBackSome();
    const code = this.fault(call, path);
    if (code !== undefined) throw failure(code, path);
  }

  #of(file: FileHandle, call: Call): Inode {
    this.#enter(call, String(file));
    return this.#find(file);
  }

  #find(file: FileHandle): Inode {
    const inode = this.#files.get(file);
    if (inode === undefined) throw failure('EBADF', String(file));
    return inode;
  }

  #newInode(): Inode {
    const inode = new Inode();
    if (this.#o.isStale) {
      inode.grow(this.#old.length);
      this.#old.copy(inode.medium);
    }
    return inode;
  }

  #write(inode: Inode, bytes: Uint8Array, offset: number, length: number, position: number): void {
    inode.grow(position + length);
    inode.cache.set(bytes.subarray(offset, offset + length), position);
    inode.touch(Math.min(position, inode.size), position + length);
    inode.size = Math.max(inode.size, position + length);
  }

  #cut(inode: Inode, length: number): void {
    const from = Math.min(length, inode.size);
    inode.cache.fill(0, from);
    inode.grow(length);
    inode.size = length;
    for (const sector of inode.dirty) if (sector * SECTOR >= length) inode.dirty.delete(sector);
    if (length % SECTOR > 0) inode.touch(length - 1, length);
  }

  #sync(call: 'sync' | 'syncNow', inode: Inode, dirty: readonly number[], size: number): void {
    try {
      this.#enter(call, '');
    } catch (cause) {
      if (!(cause instanceof Stopped))
        for (const sector of dirty) {
          const fate = this.#random.float();
          if (fate < 0.3) inode.writeBack(sector);
          else if (fate < 0.7) inode.dirty.delete(sector);
          else inode.drop(sector);
        }
      throw cause;
    }
    for (const sector of dirty) if (inode.dirty.has(sector)) inode.writeBack(sector);
    // Another sync may have brought it further meanwhile.
    const further = inode.mediumSize <= inode.size ? inode.mediumSize : 0;
    inode.mediumSize = Math.min(Math.max(size, further), inode.size);
  }

  #writeBackSome(): void {
    for (const inode of new Set([...this.#names.values(), ...this.#files.values()])) {
      for (const sector of inode.dirty) if (this.#random.float() < 0.5) inode.writeBack(sector);
      if (this.#random.float() < 0.5) inode.mediumSize = inode.size;
    }
  }

  #change(change: NameChange): void {
    apply(this.#names, change);
    this.#pending.push(change);
  }

  #settle(changes: number): void {
    for (const change of this.#pending.splice(0, changes)) apply(this.#certain, change);
  }

  #used(): number {
    let bytes = 0;
    for (const { size } of new Set([...this.#names.values(), ...this.#files.values()])) bytes += size;
    return bytes;
  }

  #below(count: number): number {
    return Math.floor(this.#random.float() * count);
  }
}

/** Others may work meanwhile. */
async function underWay(): Promise<void> {
  for (let turns = 0; turns < 4; turns++) await undefined;
}

function apply(names: Map<string, Inode>, { name, inode, from }: NameChange): void {
  if (from !== undefined) names.delete(from);
  if (inode === undefined) names.delete(name);
  else names.set(name, inode);
}

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
