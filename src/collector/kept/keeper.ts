/**
 * Keeps rows for the fleets of sidecars, on the medium before it says so.
 *
 *   keep ─▶ log (room wal, kind KEPT) ═ synced ═▶ rows ─▶ restore
 *            └ much longer than its rows: all of them are written anew behind it, and what stands before is dropped
 *
 * Rows only replace older ones of their key, so frames that are read twice, or in part, do no harm.
 *
 * When a sync failed nothing is taken until one succeeds: it is tried for all who ask, a second after the last time. What a failed one lost is
 * written anew.
 *
 * Bounds: those of the rows; the log is at most four times as long as they are, or four segments, and once more the rows while they are written anew.
 */
import { type Clock, type Random, ReeveError, type Timer, type Timers } from '../../core/index.ts';
import type { KeptRow } from '../../metering/index.ts';
import type { Log } from '../../telemetry/index.ts';
import { type Damage, type Disk, SEGMENT_BYTES, SegmentLog } from '../../wal/index.ts';
import { framesOf, readFrame } from './kept-frame.ts';
import { isFleet, isSound, type KeptBounds, KeptRows } from './kept-rows.ts';
import { Rewrite } from './rewrite.ts';

export const KEPT_KIND = 'KEPT';
/** What is over is forgotten, and the log made shorter, so often, ms. */
const TEND_MS = 60_000;
const STORE_ID_BYTES = 8;
/** Rows looked at in a turn. */
const TURN_ROWS = 1000;
/** One line a minute says that there is no room. */
const SAID_MS = 60_000;
/** Behind a sync that failed, ms: the next writes anew what is in doubt. */
const DOUBT_MS = 1000;
/** Around a row in the log. */
const ROW_LOG_BYTES = 16;
/** Rows of a frame. */
const FRAME_ROWS = 512;

export interface KeeperOptions {
  readonly dir: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  /** Other bounds are for tests. */
  readonly bounds?: KeptBounds;
  readonly segmentBytes?: number;
}

export class Keeper {
  readonly counts: { taken: number; refused: number } = { taken: 0, refused: 0 };
  readonly rows: KeptRows;
  readonly #o: KeeperOptions;
  readonly #log: SegmentLog;
  #saidAt = Number.NEGATIVE_INFINITY;
  #tending: Promise<void> | undefined;
  #timer: Timer;
  /** The last one. */
  #syncing: Promise<void> = Promise.resolve();
  /** Why a sync failed, until one behind it succeeded. */
  #doubt: unknown;
  #doubtedAt = 0;
  /** It lost a part of the log: all is to be written anew. */
  #isLost = false;
  #settling: Promise<void> | undefined;
  /** Begun, and not done. */
  #rewrite: Rewrite | undefined;

  private constructor(options: KeeperOptions, rows: KeptRows, log: SegmentLog) {
    this.#o = options;
    this.rows = rows;
    this.#log = log;
    this.#timer = options.timers.every(TEND_MS, () => void this.tend());
  }

  /** Throws a ReeveError when the directory cannot be used. */
  static open(options: KeeperOptions): Keeper {
    const { dir, disk, random, clock, log, bounds, segmentBytes } = options;
    const rows = new KeptRows(bounds);
    const now = clock.wallMs();
    const id = Buffer.from(random.hex(STORE_ID_BYTES), 'hex');
    let isDamaged = false;
    const segments = SegmentLog.open(
      {
        ...{ dir, disk, random, kind: KEPT_KIND },
        ...(segmentBytes === undefined ? {} : { segmentBytes }),
        // The id of the first is that of all, until something of it was damaged: whoever told it is to tell it again.
        head: (previous) => (isDamaged || previous === undefined ? id : previous),
      },
      ({ body }) => {
        const frame = readFrame(body);
        for (const row of frame?.rows ?? []) if (row.untilMs > now) rows.putAgain(frame?.fleet as string, row);
      },
      (damage: Damage) => {
        isDamaged = true;
        log.error('collector.kept_damaged', { ...damage });
      },
    );
    return new Keeper(options, rows, segments);
  }

  /** Another one: what was told before is not here. 16 hex digits. */
  get storeId(): string {
    return (this.#log.segments.at(-1)?.head ?? Buffer.alloc(0)).toString('hex');
  }

  get bytes(): number {
    return this.#log.bytes;
  }

  /** How many there was no room for; the others are on the medium then. Rejects with a RangeError for what is malformed, or with the disk's error. */
  async keep(fleet: string, rows: readonly KeptRow[]): Promise<number> {
    if (!isFleet(fleet) || !rows.every(isSound))
      throw new RangeError('a fleet has a label, and a row a key and a value');
    if (this.#doubt !== undefined) await this.#settle();
    const before = this.counts.refused;
    try {
      this.#append(fleet, rows);
    } finally {
      // Also of what is known already: it may not be on the medium yet.
      this.#syncing = this.#sync();
      this.#syncing.catch(() => {});
    }
    const refused = this.counts.refused - before;
    if (refused > 0) this.#sayFull(fleet, refused);
    await this.#syncing;
    return refused;
  }

  /** Forgets what is over, and makes the log shorter where most of it is replaced. Never rejects. */
  tend(): Promise<void> {
    this.#tending ??= this.#tend()
      .catch((cause: unknown) => this.#o.log.warn('collector.kept_not_shortened', { cause }))
      .finally(() => {
        this.#tending = undefined;
      });
    return this.#tending;
  }

  async close(): Promise<void> {
    this.#timer.cancel();
    await this.#tending;
    this.#log.close();
  }

  /** A row is known once it stands in the log. Throws the disk's error; then those of the frames before are known. */
  #append(fleet: string, rows: readonly KeptRow[]): void {
    const { news, refused } = this.rows.choose(fleet, rows);
    this.counts.refused += refused;
    for (let at = 0; at < news.length; at += FRAME_ROWS) {
      const some = news.slice(at, at + FRAME_ROWS);
      for (const frame of framesOf(fleet, some)) this.#log.append(frame, frame.length);
      for (const row of some) if (this.rows.put(fleet, row) === 'news') this.counts.taken++;
    }
  }

  /** Resolves when all that is known is on the medium. */
  async #sync(): Promise<void> {
    try {
      await this.#log.sync();
    } catch (cause) {
      this.#fail(cause);
    }
    // One that succeeds says nothing of what the one before it lost.
    if (this.#doubt !== undefined) throw this.#doubt;
  }

  #fail(cause: unknown): void {
    if (cause === this.#doubt) return;
    this.#doubt = cause;
    this.#doubtedAt = this.#o.clock.now();
    if (!(cause instanceof ReeveError && cause.code === 'log-lost')) return;
    this.#isLost = true;
    this.#rewrite = new Rewrite(this.#log, this.rows, this.#o.timers);
  }

  /** Ends the doubt, for all who ask. Rejects with the disk's error, at once where it is too soon. */
  #settle(): Promise<void> {
    if (this.#o.clock.now() - this.#doubtedAt < DOUBT_MS) return Promise.reject(this.#doubt);
    this.#settling ??= this.#trySettle().finally(() => {
      this.#settling = undefined;
    });
    return this.#settling;
  }

  async #trySettle(): Promise<void> {
    try {
      await this.#log.sync();
      if (this.#isLost) await this.#runRewrite();
      this.#isLost = false;
      this.#doubt = undefined;
    } catch (cause) {
      this.#fail(cause);
      this.#doubtedAt = this.#o.clock.now();
      throw cause;
    }
  }

  async #runRewrite(): Promise<void> {
    const rewrite = this.#rewrite;
    try {
      await rewrite?.run();
    } catch (cause) {
      if (cause instanceof ReeveError && cause.code === 'log-lost') this.#fail(cause);
      throw cause;
    }
    if (this.#rewrite === rewrite) this.#rewrite = undefined;
  }

  async #tend(): Promise<void> {
    const { clock, timers, segmentBytes = SEGMENT_BYTES } = this.#o;
    this.rows.letGo();
    let steps = 0;
    for (const _ of this.rows.dropping(clock.wallMs())) if (++steps % TURN_ROWS === 0) await timers.yieldLoop();
    if (this.#doubt !== undefined) return;
    const live = this.rows.textBytes + this.rows.size * ROW_LOG_BYTES;
    const isLong = this.bytes >= 4 * segmentBytes && this.bytes >= 4 * live;
    if (isLong) this.#rewrite ??= new Rewrite(this.#log, this.rows, timers);
    await this.#runRewrite();
  }

  #sayFull(fleet: string, refused: number): void {
    const now = this.#o.clock.now();
    if (now - this.#saidAt < SAID_MS) return;
    this.#saidAt = now;
    this.#o.log.error('collector.kept_full', {
      fleet,
      refused,
      rows: this.rows.size,
      effect: 'what these say of quotas is lost if the whole fleet loses its disks',
      remedy: 'give fleets collectors of their own, or have quotas of fewer meters',
    });
  }
}
