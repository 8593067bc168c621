/** Who takes part. */

/**
 * - `alive`: answers, as far as is known
 * - `suspect`: somebody got no answer on any way; it may still refute
 * - `dead`: did not refute in time; is taken back if it does so later
 * - `left`: said itself that it goes
 */
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left';

/** A live view: its fields change with what is known. */
export interface Member {
  /** Dense number for arrays; 0 is ourselves. Given out again only after `onForgotten`. */
  readonly slot: number;
  /** 64 random bits made at process start, 16 hex digits. Never reused: who restarts is another member. */
  readonly incarnation: string;
  /** Pod uid or host name: for people, and to see that a new incarnation replaces an old one of the same name. */
  readonly name: string;
  readonly address: string;
  readonly state: MemberState;
  /** Whether the last answer of the seeds (DNS, list, file) names its address; undefined: seeds are not known to be complete. */
  readonly isListed: boolean | undefined;
}
