/** Where a record stands among all of a spool: the epoch that an opening of the spool began, and its number in it, from 1. */
export interface Position {
  readonly epoch: number;
  /** 0: before the first. */
  readonly seq: number;
}

/** Before all. */
export const NOWHERE: Position = { epoch: 0, seq: 0 };

/** Below zero: `a` is before `b`. */
export function comparePositions(a: Position, b: Position): number {
  return a.epoch - b.epoch || a.seq - b.seq;
}
