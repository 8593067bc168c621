/**
 * Which spool records go to: the one that is there, a new one when it was fenced or removed, and none while the disk takes none.
 *
 *   open ──▶ a spool ──┬─ removed ──────────────────▶ a new one
 *     │        ▲       ├─ another process has it ────▶ none, until that one is gone
 *     │        ▲       └─ fenced: files put aside ──▶ a new one; where they cannot be, the same one, and nobody is told
 *     └─▶ none ┘ tried again each second, less often where a try takes long
 */
import { type Clock, type Random, ReeveError, type Timer, type Timers } from '../core/index.ts';
import type { MeteringConfig } from '../tenants/index.ts';
import { type Disk, probeRoom } from '../wal/index.ts';
import type { Incidents } from './incidents.ts';
import { Spool } from './spool.ts';

/** Between two spools that are fenced, ms. */
const FENCE_MS = 600_000;
/** Of one spool's letters. */
const ASIDE_MAX = 1000;
/** Opening reads all of a spool. Where that fails the next try is a hundred times as long behind as it took, at most a minute, ms. */
const TRY_SHARE = 100;
const TRY_MS_MAX = 60_000;
/** With these a disk may be again as it was. All else at the start is a mistake in what the sidecar was given, and ends it. */
const PASSING: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT', 'EIO'];

export interface SpoolKeeperOptions {
  readonly config: MeteringConfig;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly incidents: Incidents;
  /** Records go there from now on. Undefined: nowhere. `isTold` false: it is fenced, and could not be put aside. */
  readonly onChange: (spool: Spool | undefined, isTold: boolean) => void;
  /** Tell the same spool once more. */
  readonly onAgain: () => void;
}

export class SpoolKeeper {
  readonly #o: SpoolKeeperOptions;
  /** Behind a fence: the spool is told again, or put aside. */
  #again: Timer | undefined;
  #spool: Spool | undefined;
  /** Where the files of the one before go, before another is begun. */
  #aside: string | undefined;
  /** Another process has the directory. */
  #isTaken = false;
  #fencedUntil = 0;
  #triedUntil = 0;

  constructor(options: SpoolKeeperOptions) {
    this.#o = options;
  }

  /** Undefined: there is none now. */
  get spool(): Spool | undefined {
    return this.#spool;
  }

  /** At the start. Throws a ReeveError when the directory cannot be used; a disk that is full or fails is waited for. */
  open(): void {
    try {
      this.#spool = this.#begin();
    } catch (cause) {
      if (!isPassing(cause)) throw cause;
      this.#o.incidents.noSpool(cause);
    }
    this.#o.onChange(this.#spool, true);
  }

  /** Each second. */
  look(): void {
    if (this.#isTaken) return;
    if (this.#spool === undefined) {
      this.#tryAgain();
    } else if (!this.#spool.isThere) {
      this.#o.incidents.missing(this.#spool);
      this.#renew(undefined);
    }
  }

  /** A collector has another history of it. */
  fence(reason: string): void {
    const { clock, incidents } = this.#o;
    const spool = this.#spool as Spool;
    const now = clock.now();
    if (now < this.#fencedUntil) {
      // Whoever fences one spool after the other is wrong himself; they would fill the disk.
      incidents.fencedAgain(spool, reason);
      this.#later(() => this.#o.onAgain());
      return;
    }
    this.#fencedUntil = now + FENCE_MS;
    const aside = this.#freeAside(spool);
    incidents.fenced(spool, reason, aside);
    this.#renew(aside);
  }

  /** Another process has the directory: nothing is written there, and records are lost, and counted, until it is gone. */
  taken(cause: unknown): void {
    this.#again?.cancel();
    this.#isTaken = true;
    this.#aside = undefined;
    this.#o.incidents.taken(cause, this.#spool);
    this.#spool?.abandon();
    this.#spool = undefined;
    this.#o.onChange(undefined, false);
  }

  /** It is gone; the spool is opened with the next look. */
  regained(): void {
    this.#isTaken = false;
  }

  close(): void {
    this.#again?.cancel();
    this.#spool?.close();
  }

  #begin(): Spool {
    const { config, disk, clock, random, incidents } = this.#o;
    const { dir, maxBytes } = config;
    const begunAt = clock.now();
    try {
      return new Spool({ dir, disk, clock, random, maxBytes, onDamage: (damage) => incidents.damaged(damage) });
    } catch (cause) {
      const now = clock.now();
      this.#triedUntil = now + Math.min(TRY_MS_MAX, TRY_SHARE * (now - begunAt));
      throw cause;
    }
  }

  /** `aside`: where the files of the old one go, for the operator. */
  #renew(aside: string | undefined): void {
    try {
      this.#spool?.close();
    } catch (cause) {
      // Its directory may be gone; the files are let go of all the same.
      this.#o.incidents.notSynced(cause);
    }
    this.#aside = aside;
    this.#replace();
  }

  #tryAgain(): void {
    if (this.#o.clock.now() < this.#triedUntil) return;
    try {
      probeRoom(this.#o.disk, this.#o.config.dir);
    } catch {
      return;
    }
    this.#replace();
  }

  #replace(): void {
    const { incidents, onChange } = this.#o;
    // It was for the one before.
    this.#again?.cancel();
    const hadOne = this.#spool !== undefined;
    this.#spool = undefined;
    const isAside = this.#aside === undefined || this.#putAside(this.#aside);
    if (isAside) this.#aside = undefined;
    try {
      this.#spool = this.#begin();
    } catch (cause) {
      // Until there is one records are lost, and counted.
      if (hadOne) {
        incidents.noSpool(cause);
        onChange(undefined, false);
      }
      return;
    }
    this.#aside = undefined;
    if (isAside) incidents.begun(this.#spool);
    onChange(this.#spool, isAside);
    const kept = this.#spool;
    if (!isAside) this.#later(() => this.#renew(this.#freeAside(kept)));
  }

  #later(run: () => void): void {
    this.#again?.cancel();
    this.#again = this.#o.timers.after(FENCE_MS, run);
  }

  /** Another spool with these letters may have been put aside before, or this one, restored once more. */
  #freeAside({ head }: Spool): string {
    const path = `${this.#o.config.dir}.fenced-${head.spoolId.slice(0, 8)}`;
    let free = path;
    for (let i = 2; i <= ASIDE_MAX && this.#hasFiles(free); i++) free = `${path}-${i}`;
    return free;
  }

  #hasFiles(dir: string): boolean {
    try {
      return this.#o.disk.list(dir).length > 0;
    } catch (cause) {
      return (cause as NodeJS.ErrnoException).code !== 'ENOENT';
    }
  }

  /** False: the files stay, and so do records in them, which nobody is told of until they can be put aside. */
  #putAside(aside: string): boolean {
    try {
      this.#o.disk.rename(this.#o.config.dir, aside);
      return true;
    } catch (cause) {
      this.#o.incidents.notPutAside(cause, aside);
      return false;
    }
  }
}

function isPassing(cause: unknown): boolean {
  return cause instanceof ReeveError && PASSING.includes((cause.cause as NodeJS.ErrnoException | undefined)?.code);
}
