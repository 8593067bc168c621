/**
 * The disk of the log of own counts in virtual time: each call takes its time, in which the others go on and the process may end; then it is one of the
 * simulated disk (disk.ts). What a process that is gone still awaits never comes.
 */
import type { Timers } from '../src/core/index.ts';
import type { OwnDisk, OwnFile } from '../src/limits/quotas/own-disk.ts';
import type { FileHandle } from '../src/wal/index.ts';
import { type SimDisk, Stopped } from './disk.ts';
import type { SeededRandom } from './time.ts';

/** At most, ms: of a call, and of a sync. */
const CALL_MS = 1;
const SYNC_MS = 20;

export class SimOwnDisk implements OwnDisk {
  readonly #disk: SimDisk;
  readonly #process: Timers;
  readonly #random: SeededRandom;

  /** `process`: whose calls these are. */
  constructor(disk: SimDisk, process: Timers, random: SeededRandom) {
    this.#disk = disk;
    this.#process = process;
    this.#random = random;
  }

  makeDir(dir: string): Promise<void> {
    return this.#call(() => this.#disk.makeDir(dir));
  }

  async create(path: string): Promise<OwnFile> {
    const file = await this.#call(() => this.#disk.open(path, 'replace'));
    let end = 0;
    return {
      append: async (text) => {
        end = await this.#append(file, Buffer.from(text), end);
      },
      sync: () => this.#call(() => this.#disk.sync(file), SYNC_MS),
      close: () => this.#call(() => this.#disk.close(file)),
    };
  }

  size(path: string): Promise<number> {
    return this.#reading(path, (file) => this.#disk.size(file));
  }

  read(path: string): Promise<Buffer> {
    return this.#reading(path, (file) => this.#bytes(file));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#call(() => this.#disk.rename(from, to));
  }

  async copy(from: string, to: string): Promise<void> {
    const bytes = await this.read(from);
    const file = await this.#call(() => this.#disk.open(to, 'replace'));
    await this.#append(file, bytes, 0);
    await this.#call(() => this.#disk.close(file));
  }

  remove(path: string): Promise<void> {
    return this.#call(() => this.#disk.remove(path));
  }

  syncDir(dir: string): Promise<void> {
    return this.#call(() => this.#disk.syncDir(dir), SYNC_MS);
  }

  async #call<T>(run: () => T | Promise<T>, mostMs = CALL_MS): Promise<T> {
    await this.#process.sleep(mostMs * this.#random.float());
    try {
      return await run();
    } catch (cause) {
      if (cause instanceof Stopped) return new Promise(() => {});
      throw cause;
    }
  }

  #reading<T>(path: string, run: (file: FileHandle) => T): Promise<T> {
    return this.#call(() => {
      const file = this.#disk.open(path, 'read');
      try {
        return run(file);
      } finally {
        this.#disk.close(file);
      }
    });
  }

  #bytes(file: FileHandle): Buffer {
    const bytes = Buffer.alloc(this.#disk.size(file));
    for (let at = 0; at < bytes.length; ) at += this.#disk.read(file, bytes, at, bytes.length - at, at);
    return bytes;
  }

  /** A disk takes a part of what it is given, as it likes. Returns where the file ends. */
  async #append(file: FileHandle, bytes: Buffer, end: number): Promise<number> {
    for (let at = 0; at < bytes.length; )
      at += await this.#call(() => this.#disk.write(file, bytes, at, bytes.length - at, end + at));
    return end + bytes.length;
  }
}
