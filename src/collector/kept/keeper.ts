/**
 * Keeps rows for the fleets of sidecars, on the medium before it says so.
 *
 *   keep ─▶ log (room wal, kind KEPT) ═ synced ═▶ rows ─▶ restore
 *            └ much longer than its rows: all of them are written anew behind it, and what stands before is dropped
 *
 * Rows only replace older ones of their key, so frames that are read twice, or in part, do no harm.
 *
 * Bounds: those of the rows; the log is at most four times as long as they are, and four segments.
 */
import type { Clock, Random, Timer, Timers } from '../../core/index.ts';
import type { KeptRow } from '../../metering/index.ts';
import type { Log } from '../../telemetry/index.ts';
import { type Damage, type Disk, SEGMENT_BYTES, SegmentLog } from '../../wal/index.ts';
import { framesOf, readFrame } from './kept-frame.ts';
import { FLEET_LETTERS_MAX, isSound, KeptRows, ROWS_MAX } from './kept-rows.ts';

export const KEPT_KIND = 'KEPT';
/** What is over is forgotten, and the log made shorter, so often, ms. */
const TEND_MS = 60_000;
const STORE_ID_BYTES = 8;
/** Rows looked at in a turn. */
const TURN_ROWS = 1000;
/** One line a minute says that there is no room. */
const SAID_MS = 60_000;
const NAME = /^[\x21-\x7e]+$/;

export interface KeeperOptions {
  readonly dir: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  /** Other bounds are for tests. */
  readonly rowsMax?: number;
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
  /** The disk refused: what is in doubt is written anew, with all the rest. */
  #isInDoubt = false;

  private constructor(options: KeeperOptions, rows: KeptRows, log: SegmentLog) {
    this.#o = options;
    this.rows = rows;
    this.#log = log;
    this.#timer = options.timers.every(TEND_MS, () => void this.tend());
  }

  /** Throws a ReeveError when the directory cannot be used. */
  static open(options: KeeperOptions): Keeper {
    const { dir, disk, random, log, rowsMax = ROWS_MAX, segmentBytes } = options;
    const rows = new KeptRows(rowsMax);
    const id = Buffer.from(random.hex(STORE_ID_BYTES), 'hex');
    const segments = SegmentLog.open(
      {
        ...{ dir, disk, random, kind: KEPT_KIND },
        ...(segmentBytes === undefined ? {} : { segmentBytes }),
        // The id of the first is that of all.
        head: (previous) => previous ?? id,
      },
      ({ body }) => {
        const frame = readFrame(body);
        for (const row of frame?.rows ?? []) rows.put(frame?.fleet as string, row);
      },
      (damage: Damage) => log.error('collector.kept_damaged', { ...damage }),
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
    // Known at once, so that a log that is written anew meanwhile has them.
    const news: KeptRow[] = [];
    let refused = 0;
    for (const row of rows) {
      const put = this.rows.put(fleet, row);
      if (put === 'news') news.push(row);
      else if (put === 'full') refused++;
    }
    await this.#write(fleet, news);
    this.counts.taken += news.length;
    this.counts.refused += refused;
    if (refused > 0) this.#sayFull(fleet, refused);
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

  /** Resolves when all that is known is on the medium. */
  async #write(fleet: string, news: readonly KeptRow[]): Promise<void> {
    try {
      if (this.#isInDoubt) await this.#rewrite();
      else for (const frame of framesOf(fleet, news)) this.#log.append(frame, frame.length);
      if (news.length > 0) this.#syncing = this.#log.sync();
      await this.#syncing;
      this.#isInDoubt = false;
    } catch (cause) {
      this.#isInDoubt = true;
      throw cause;
    }
  }

  async #tend(): Promise<void> {
    const { clock, timers } = this.#o;
    let steps = 0;
    for (const _ of this.rows.dropping(clock.wallMs())) if (++steps % TURN_ROWS === 0) await timers.yieldLoop();
    const { segmentBytes = SEGMENT_BYTES } = this.#o;
    if (this.bytes < 4 * segmentBytes || this.bytes < 4 * this.#liveBytes()) return;
    await this.#rewrite();
  }

  #liveBytes(): number {
    let bytes = 0;
    for (const fleet of this.rows.fleets())
      for (const { key, value } of this.rows.of(fleet)) bytes += key.length + value.length + 16;
    return bytes;
  }

  /** Writes all rows behind the log, and drops what stood before once they are on the medium. */
  async #rewrite(): Promise<void> {
    const { timers } = this.#o;
    this.#log.rotate();
    const { segment } = this.#log.end;
    for (const fleet of this.rows.fleets())
      for (const frame of framesOf(fleet, this.rows.of(fleet))) {
        this.#log.append(frame, frame.length);
        await timers.yieldLoop();
      }
    await this.#log.sync();
    this.#log.dropBefore(segment);
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

function isFleet(name: string): boolean {
  return name.length <= FLEET_LETTERS_MAX && NAME.test(name);
}
