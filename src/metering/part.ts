/** What stands in one segment of a spool, as far as it is kept in mind. */
import { type Run, readSpoolHead, type SpoolHead } from './block.ts';
import { comparePositions, type Position } from './position.ts';

/** What a segment holds. */
export interface Part extends SpoolHead {
  readonly number: number;
  /** 0: no record. */
  firstSeq: number;
  lastSeq: number;
  /** Wall ms of its first and its last block. */
  baseMs: number;
  lastMs: number;
  /** The longest window that records of it were folded to, ms; 0: all stand singly. */
  spanMs: number;
  /** Something of it may have been told: it is folded no more. */
  isMarked: boolean;
  /** It was tried, and cannot be folded. */
  isUnfoldable: boolean;
}

/** Of a segment in which nothing stands yet. */
export function partOf(number: number, head: Buffer): Part {
  const read = readSpoolHead(head) as SpoolHead;
  return {
    ...read,
    number,
    firstSeq: 0,
    lastSeq: 0,
    baseMs: 0,
    lastMs: 0,
    spanMs: 0,
    isMarked: false,
    isUnfoldable: false,
  };
}

/** A run that stands behind what it holds. */
export function extend(part: Part, { firstSeq, lastSeq, baseMs, lastMs, windows }: Run): void {
  if (part.lastSeq === 0) {
    part.firstSeq = firstSeq;
    part.baseMs = baseMs;
  }
  part.lastSeq = lastSeq;
  part.lastMs = lastMs;
  // How long its windows are is not read here: it is folded again as if they were seconds.
  if (windows !== undefined) part.spanMs = Math.max(part.spanMs, 1000);
}

/** Nothing of it stands behind the position. */
export function isBefore({ epoch, lastSeq }: Part, position: Position): boolean {
  return lastSeq === 0 || comparePositions({ epoch, seq: lastSeq }, position) <= 0;
}
