/** The seam to a fleet: quotas know no more of it than this. */
import type { Account, Line } from './account.ts';

/** What quotas ask of the fleet they are shared with. */
export interface Fleet {
  /** How often it changed who has which part of all limits, or who can be reached: a line that was opened before that is looked up anew. */
  readonly parts: number;
  /** A line is looked up anew: sets what may be spent, and, where its window is new here, what was spent in it before. */
  open(tenant: string, line: Line, isNew: boolean): void;
  /** The line leaves its window, or its tenant goes. */
  flush(tenant: string, line: Line): void;
  /** Something of a hard quota is asked for, or was given back, for the first time since the fleet heard of it; or much of it was spent since. */
  asks(tenant: string, line: Line): void;
  /** A request needed more of a hard quota than may be spent here. */
  lacks(tenant: string, line: Line, units: number): void;
  /** Resolves when more may be spent here, for more of what was is kept. May be never: whoever waits has a bound. */
  whenKept(): Promise<void>;
  /** A threshold was reached; `announce` says so, unless another sidecar does. */
  crossed(account: Account, line: Line, mark: number, announce: () => void): void;
  /** Whether days that are over may become totals. */
  mayClose(): boolean;
  /** They did; days before `oldest` are forgotten. */
  closed(before: number, oldest: number): void;
}
