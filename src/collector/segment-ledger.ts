/**
 * The ledger in a directory of segments (room wal, kind LEDG).
 *
 * When a sync fails, what was written since the last good one may stand on the medium or not, and its senders send it again in other
 * pieces. So it must not count later: the next segment's head says from where on the one before is void.
 *
 *   000000000007.wal  [frame][frame]|[frame][frame]          sync failed: void from | on
 *   000000000008.wal  [head: void 7, offset of |][frame] …   taken again
 */
import { Writer } from '../core/index.ts';
import type { Clock } from '../core/index.ts';
import { BODY_BYTES_MAX, type Damage, type Disk, FRAME_HEAD, type Place, SegmentLog } from '../wal/index.ts';
import { type Entry, readEntry, writeEntry } from './entry.ts';
import type { Committed, Ledger } from './ledger.ts';

const HEAD_BYTES = 6 + 6 + 6;

export interface SegmentLedgerOptions {
  readonly dir: string;
  readonly disk: Disk;
  readonly clock: Clock;
  /** Segments before it were read in an earlier life and are not read again. */
  readonly readFrom?: number;
  readonly segmentBytes?: number;
  readonly onDamage: (damage: Damage) => void;
}

export class SegmentLedger implements Ledger {
  readonly #log: SegmentLog;
  readonly #onDamage: (damage: Damage) => void;
  readonly #writer = new Writer(FRAME_HEAD + BODY_BYTES_MAX);
  #highWater: Place;
  /** From here on nothing counts that was appended until now; undefined: all does. */
  #voidFrom: Place | undefined;
  /** Of the segment that was begun to say so. */
  #mending = 0;
  #isRefusing = false;

  private constructor(o: SegmentLedgerOptions) {
    this.#onDamage = o.onDamage;
    this.#log = SegmentLog.open(
      {
        ...o,
        kind: 'LEDG',
        head: () => headOf(o.clock.wallMs(), this.#voidFrom),
      },
      () => {},
      o.onDamage,
    );
    this.#highWater = this.#log.end;
  }

  /** Throws a ReeveError when the directory cannot be used. */
  static open(o: SegmentLedgerOptions): SegmentLedger {
    return new SegmentLedger(o);
  }

  get highWater(): Place {
    return this.#highWater;
  }

  get bytes(): number {
    return this.#log.bytes;
  }

  append(entry: Entry): void {
    if (this.#isRefusing) throw new Error('the ledger is not mended');
    try {
      this.#log.append(this.#writer.bytes, writeEntry(this.#writer, entry));
    } catch (cause) {
      this.#isRefusing = true;
      throw cause;
    }
  }

  async commit(): Promise<void> {
    const end = this.#log.end;
    try {
      await this.#log.sync();
    } catch (cause) {
      this.#isRefusing = true;
      this.#voidFrom ??= this.#highWater;
      throw cause;
    }
    // A failure that came in between has voided it.
    if (this.#voidFrom === undefined) this.#highWater = end;
  }

  async mend(): Promise<void> {
    if (!this.#isRefusing) return;
    if (this.#mending !== this.#log.end.segment) {
      this.#log.rotate();
      this.#mending = this.#log.end.segment;
    }
    await this.#log.sync();
    if (this.#voidFrom !== undefined) this.#highWater = this.#log.end;
    this.#voidFrom = undefined;
    this.#mending = 0;
    this.#isRefusing = false;
  }

  *scan(from: Place | undefined): Generator<Committed> {
    const voids = this.#log.segments.flatMap(({ number, head }) => {
      const place = voidOf(head);
      return place === undefined ? [] : [{ place, before: number }];
    });
    const isVoid = (frame: Place): boolean =>
      voids.some(({ place, before }) => !isBefore(frame, place) && frame.segment < before);
    for (const frame of this.#log.frames(from ?? { segment: 0, offset: 0 }, this.#onDamage)) {
      const entry = isVoid(frame) ? undefined : readEntry(frame.body);
      if (entry !== undefined) yield { entry, next: { segment: frame.segment, offset: frame.next } };
    }
  }

  drop(place: Place, beforeMs: number): void {
    const { segments } = this.#log;
    // A segment ends when the next one begins; what voids a part of one that stays must stay.
    const old = segments.filter(
      ({ number }, at) => number < place.segment && at + 1 < segments.length && createdMs(segments[at + 1]?.head) < beforeMs,
    );
    const last = old.at(-1);
    if (last !== undefined) this.#log.dropBefore(last.number + 1);
  }

  close(): void {
    this.#log.close();
  }
}

export function isBefore(a: Place, b: Place): boolean {
  return a.segment === b.segment ? a.offset < b.offset : a.segment < b.segment;
}

/** [begun ms u48][void: segment u48, 0 none][offset u48] */
function headOf(wallMs: number, voidFrom: Place | undefined): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUIntBE(wallMs, 0, 6);
  head.writeUIntBE(voidFrom?.segment ?? 0, 6, 6);
  head.writeUIntBE(voidFrom?.offset ?? 0, 12, 6);
  return head;
}

function createdMs(head: Buffer | undefined): number {
  return head?.length === HEAD_BYTES ? head.readUIntBE(0, 6) : Number.POSITIVE_INFINITY;
}

function voidOf(head: Buffer): Place | undefined {
  if (head.length !== HEAD_BYTES || head.readUIntBE(6, 6) === 0) return undefined;
  return { segment: head.readUIntBE(6, 6), offset: head.readUIntBE(12, 6) };
}
