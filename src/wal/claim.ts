/**
 * Whose a directory is, also where its owner's process cannot be seen: in another container, or on another machine with the same volume.
 *
 *   owner ── writes NONCE … COUNT each beat ──▶ beat file ◀── reads ── who wants the directory: does it change?
 *     └ another's nonce stands there: it has lost it                     yes: in use · not for three beats, or gone: it writes its own
 *
 * Whoever wrote the file under the same PID namespace of the same boot is asked for by the lock alone, and nobody waits: numbers of namespaces that
 * live are not given twice.
 *
 * Accuracy: an owner that stood still for three beats (a machine that was suspended, a volume that hung) may have lost the directory and learns it
 * with its next beat; what it writes before that the other one does not see. Where the beat cannot be written there is none: then a process that
 * cannot be seen is not seen.
 *
 * Bounds: one file of 160 bytes, read and written once a beat; three beats of waiting.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Clock, type MonotonicMs, type Random, ReeveError, type Timer, type Timers } from '../core/index.ts';
import { writeAll } from './directory.ts';
import type { Disk } from './disk.ts';

export const BEAT_MS = 1000;
/** Without a change behind that many the owner is gone. One beat may be late by a turn of a busy loop; three are not. */
const QUIET_BEATS = 3;
/** Of the same length always: it is written in place, by one call. */
const BYTES = 160;
const FORM = /^([0-9a-f]{16}) (\S+) \d+ \d+ *\n$/;

export interface ClaimOptions {
  /** What is claimed, for people. */
  readonly dir: string;
  readonly beatFile: string;
  readonly lockFile: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  /** Another one has it now: nothing may be written there any more. */
  readonly onLost: (cause: ReeveError) => void;
  /** It is ours again, because the other one is gone. Default: it is not waited for. */
  readonly onRegained?: () => void;
  /** Which PIDs are seen from here. Default: asked of /proc; of a system without one nothing is known. */
  readonly here?: string;
}

export class Claim {
  readonly #o: ClaimOptions;
  readonly #nonce: string;
  readonly #here: string;
  #beating: Timer | undefined;
  #unlock: (() => void) | undefined;
  #isHeld = false;
  #count = 0;
  #beatAt = 0 as MonotonicMs;
  /** Of the other one, while it has it. */
  #seen: string | undefined;
  /** Beats without a change, and when the last of them was counted. */
  #quiet = 0;
  #quietAt = 0 as MonotonicMs;

  private constructor(options: ClaimOptions) {
    this.#o = options;
    this.#nonce = options.random.hex(8);
    this.#here = options.here ?? hereOf();
  }

  /** Waits for three beats at most. Rejects with a ReeveError, `log-in-use`, when another process has it. */
  static async take(options: ClaimOptions): Promise<Claim> {
    const claim = new Claim(options);
    await claim.#wait();
    if (!claim.#take()) throw claim.#inUse();
    claim.#beating = options.timers.every(BEAT_MS, () => claim.#beat());
    return claim;
  }

  /** Throws a ReeveError, `log-taken`, when another process has it. A beat that is overdue is made up for first. */
  assertHeld(): void {
    if (this.#isHeld && this.#o.clock.now() - this.#beatAt > 2 * BEAT_MS) this.#beat();
    if (!this.#isHeld) throw this.#taken();
  }

  close(): void {
    this.#beating?.cancel();
    if (!this.#isHeld) return;
    this.#isHeld = false;
    try {
      if (nonceIn(this.#read()) === this.#nonce) this.#o.disk.remove(this.#o.beatFile);
    } catch {
      // Who comes next waits for it.
    }
    this.#unlock?.();
  }

  async #wait(): Promise<void> {
    const { disk, lockFile, timers } = this.#o;
    if (disk.isLocked(lockFile)) throw this.#inUse();
    const found = this.#tryRead();
    if (nonceIn(found) === undefined || this.#isFromHere(found)) return;
    for (let i = 0; i < QUIET_BEATS; i++) {
      await timers.sleep(BEAT_MS);
      const now = this.#tryRead();
      if (nonceIn(now) === undefined) return;
      if (now !== found) throw this.#inUse();
    }
  }

  /** False: another process that can be seen was quicker. */
  #take(): boolean {
    const { disk, lockFile, beatFile } = this.#o;
    try {
      disk.makeDir(dirname(beatFile));
      this.#unlock = disk.lock(lockFile);
      if (this.#unlock === undefined) return false;
    } catch {
      // A disk that takes nothing: whoever opens the directory says so.
    }
    this.#isHeld = true;
    this.#write();
    return true;
  }

  #beat(): void {
    this.#beatAt = this.#o.clock.now();
    let found: string | undefined;
    try {
      found = this.#read();
    } catch {
      // The disk does not give it now.
      return;
    }
    if (!this.#isHeld) return this.#watch(found);
    const nonce = nonceIn(found);
    if (nonce === undefined || nonce === this.#nonce) return this.#write();
    this.#isHeld = false;
    this.#unlock?.();
    this.#seen = found;
    this.#quiet = 0;
    this.#quietAt = this.#beatAt;
    this.#o.onLost(this.#taken());
  }

  #watch(found: string | undefined): void {
    const { onRegained } = this.#o;
    if (onRegained === undefined) return;
    const now = this.#o.clock.now();
    if (found !== this.#seen) this.#quiet = 0;
    // Behind a standstill several beats are due at once: they count as one.
    else if (now - this.#quietAt >= BEAT_MS / 2) this.#quiet++;
    else return;
    this.#quietAt = now;
    this.#seen = found;
    if ((nonceIn(found) === undefined || this.#quiet >= QUIET_BEATS) && this.#take()) onRegained();
  }

  #tryRead(): string | undefined {
    try {
      return this.#read();
    } catch {
      return undefined;
    }
  }

  /** Undefined: it is not there. */
  #read(): string | undefined {
    const { disk, beatFile } = this.#o;
    const bytes = Buffer.alloc(BYTES);
    try {
      const file = disk.open(beatFile, 'read');
      try {
        return bytes.toString('latin1', 0, disk.read(file, bytes, 0, BYTES, 0));
      } finally {
        disk.close(file);
      }
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw cause;
    }
  }

  #write(): void {
    const { disk, clock } = this.#o;
    this.#beatAt = clock.now();
    const text = `${this.#nonce} ${this.#here} ${++this.#count} ${clock.wallMs()}`;
    try {
      const file = this.#open();
      try {
        writeAll(disk, file, Buffer.from(`${text.padEnd(BYTES - 1)}\n`, 'latin1'), BYTES, 0);
      } finally {
        disk.close(file);
      }
    } catch {
      // Tried again with the next beat; whoever writes the directory says what is wrong with the disk.
    }
  }

  #open(): number {
    const { disk, beatFile } = this.#o;
    try {
      return disk.open(beatFile, 'change');
    } catch {
      return disk.open(beatFile, 'replace');
    }
  }

  #isFromHere(found: string | undefined): boolean {
    return this.#here !== UNKNOWN && FORM.exec(String(found))?.[2] === this.#here;
  }

  #inUse(): ReeveError {
    return new ReeveError('log-in-use', 'another process writes there', {
      place: this.#o.dir,
      remedy: 'give each a directory of its own; two containers of one volume must not overlap (strategy: Recreate)',
    });
  }

  #taken(): ReeveError {
    return new ReeveError('log-taken', 'another process has taken the directory', {
      place: this.#o.dir,
      remedy: 'stop one of the two; two containers of one volume must not overlap (strategy: Recreate)',
    });
  }
}

const UNKNOWN = '-';

function nonceIn(text: string | undefined): string | undefined {
  return FORM.exec(text ?? '')?.[1];
}

/** The PID namespace, and the boot that its number is of. */
export function hereOf(proc = '/proc'): string {
  try {
    const boot = readFileSync(`${proc}/sys/kernel/random/boot_id`, 'latin1').trim();
    return `${boot}/${readlinkSync(`${proc}/self/ns/pid`).replaceAll(/\D/g, '')}`;
  } catch {
    return UNKNOWN;
  }
}
