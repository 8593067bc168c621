/** The ledger in a directory of segments (room wal, kind LEDG). A segment's head says when it began, so that old ones can be dropped. */
import { type Clock, ReeveError, Writer } from '../core/index.ts';
import { BODY_BYTES_MAX, type Damage, type Disk, FRAME_HEAD, type Place, reaches, SegmentLog } from '../wal/index.ts';
import { type Entry, readEntry, writeEntry } from './entry.ts';
import type { Committed, Ledger } from './ledger.ts';

export const LEDGER_KIND = 'LEDG';
/** Room for a batch as they mostly are. What is written to find out is no entry, and stays. */
const PROBE_BYTES = 64 * 1024;
const NO_ENTRY = 0xff;
/** For entries of version 0. Segments at the end of an earlier life that a machine may have left in pieces: what one sync was for may lie in two. */
const TAIL_SEGMENTS = 2;

export interface SegmentLedgerOptions {
  readonly dir: string;
  readonly disk: Disk;
  readonly clock: Clock;
  /** What stands before it was read in an earlier life and is not read again. */
  readonly from?: Place | undefined;
  readonly segmentBytes?: number;
  readonly onDamage: (damage: Damage) => void;
}

export class SegmentLedger implements Ledger {
  readonly #log: SegmentLog;
  readonly #onDamage: (damage: Damage) => void;
  readonly #writer = new Writer(FRAME_HEAD + BODY_BYTES_MAX);
  /** Segments before it were synced whole in an earlier life. */
  readonly #settledBefore: number;
  #highWater: Place;

  private constructor(log: SegmentLog, onDamage: (damage: Damage) => void) {
    this.#log = log;
    this.#onDamage = onDamage;
    this.#highWater = log.end;
    // One that was opened and never written to holds its seal alone.
    const written = log.segments.filter(({ begin, bytes }) => bytes > begin + FRAME_HEAD);
    this.#settledBefore = written.at(-TAIL_SEGMENTS)?.number ?? 0;
  }

  /** Throws a ReeveError when the directory cannot be used, or ends before `from`: then it is another ledger, and is left as it is. */
  static open({ clock, onDamage, from, ...rest }: SegmentLedgerOptions): SegmentLedger {
    if (from !== undefined) assertReaches(rest.disk, rest.dir, from);
    const o = { ...rest, from: from?.segment ?? 0 };
    const head = (): Buffer => headOf(clock.wallMs());
    // It is read by `scan`, from where on it is needed.
    const log = SegmentLog.open({ ...o, kind: LEDGER_KIND, head }, () => {}, onDamage);
    return new SegmentLedger(log, onDamage);
  }

  get highWater(): Place {
    return this.#highWater;
  }

  get bytes(): number {
    return this.#log.bytes;
  }

  append(entry: Entry): void {
    this.#log.append(this.#writer.bytes, writeEntry(this.#writer, entry));
  }

  async commit(): Promise<void> {
    const { end } = this.#log;
    await this.#log.sync();
    this.#highWater = end;
  }

  probe(): void {
    const frame = Buffer.alloc(FRAME_HEAD + PROBE_BYTES, NO_ENTRY);
    this.#log.append(frame, frame.length);
  }

  *scan(from: Place | undefined): Generator<Committed> {
    for (const frame of this.#log.frames(from ?? { segment: 0, offset: 0 }, this.#onDamage)) {
      const entry = readEntry(frame.body);
      if (entry === undefined) continue;
      const isSettled = frame.segment < this.#settledBefore;
      yield { entry, next: { segment: frame.segment, offset: frame.next }, isSettled };
    }
  }

  drop(place: Place, beforeMs: number): void {
    const { segments } = this.#log;
    // A segment ends when the next one begins.
    const old = segments.filter(
      ({ number }, at) => number < place.segment && begunMs(segments[at + 1]?.head) < beforeMs,
    );
    const last = old.at(-1);
    if (last !== undefined) this.#log.dropBefore(last.number + 1);
  }

  close(): void {
    this.#log.close();
  }
}

/** Throws a ReeveError, also asked before a start, when a ledger ends before the place that the sums were saved at. */
export function assertReaches(disk: Disk, dir: string, from: Place): void {
  if (reaches(disk, dir, from)) return;
  throw new ReeveError('ledger-behind', `it ends before ${from.segment}:${from.offset}, where the sums were saved`, {
    place: dir,
    remedy:
      'put the ledger back that the sums were made from, or make them anew from this one with --rebuild; where there is none any more, move sums/ away: usage begins anew',
  });
}

/** [begun ms u48] */
function headOf(wallMs: number): Buffer {
  const head = Buffer.alloc(6);
  head.writeUIntBE(wallMs, 0, 6);
  return head;
}

function begunMs(head: Buffer | undefined): number {
  return head?.length === 6 ? head.readUIntBE(0, 6) : Number.POSITIVE_INFINITY;
}
