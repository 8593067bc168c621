/** What an opening finds in the files of a spool: what each segment holds, and where the epoch before ended. */
import type { Damage, Frame } from '../wal/index.ts';
import { BLOCK_FRAME_MIN, type EpochEnd, readFrame, readSpoolHead, type SpoolHead } from './block.ts';
import { extend, type Part, partOf } from './part.ts';
import { comparePositions, NOWHERE } from './position.ts';

export class Found {
  readonly #parts = new Map<number, Part>();
  /** Where the last epoch that has a record ended. */
  #end: EpochEnd = { ...NOWHERE, chain: 0 };
  /** The last segment behind that of which something is damaged, and nobody knows how much it was; 0: none. */
  #damagedSegment = 0;

  /** Of a segment in which no frame was found, what its head says. */
  partOf(segment: number, head: Buffer): Part {
    return this.#parts.get(segment) ?? partOf(segment, head);
  }

  /** Frames in order. */
  take({ segment, body, sum }: Frame, head: Buffer): void {
    if (readSpoolHead(head) === undefined) return;
    const part = this.partOf(segment, head);
    this.#parts.set(segment, part);
    const run = readFrame(body, sum);
    if (typeof run === 'number') {
      for (const each of this.#parts.values()) if (each.number <= run) each.isMarked = true;
    } else if (run !== undefined) {
      extend(part, run);
      this.#end = { epoch: part.epoch, seq: run.lastSeq, chain: run.chainAfter };
      this.#damagedSegment = 0;
    }
  }

  /** In its place among the frames. */
  damaged({ what, bytes, segment }: Damage): void {
    // A tail that is torn is what was being appended: no client saw all of its answers.
    if (what !== 'torn tail' && (what !== 'corrupt' || bytes >= BLOCK_FRAME_MIN)) this.#damagedSegment = segment;
  }

  /** `last`: the head of the last segment there was. Behind damage that nobody can count it is one more: a gap that says less is better than none. */
  endBefore(last: SpoolHead | undefined): EpochEnd {
    if (last === undefined) return this.#end;
    const known = comparePositions(last.before, this.#end) > 0 ? last.before : this.#end;
    // How an epoch before that one ended is known to its head.
    if (this.#damagedSegment < last.epoch) return known;
    return { epoch: last.epoch, seq: known.epoch === last.epoch ? known.seq + 1 : 1, chain: 0 };
  }
}
