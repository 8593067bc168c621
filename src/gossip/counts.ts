/** What gossip counts about itself; read by metrics, tests and simulators. */
import { REFUSALS, type Refusal } from './seal.ts';

export interface Counts {
  sentBytes: number;
  receivedBytes: number;
  /** Frames of rows that the egress cap held back. */
  droppedFrames: number;
  /** Deltas that the delegate did not take. */
  refusedDeltas: number;
  /** Members that were not taken in. */
  overfull: number;
  readonly refused: Record<Refusal, number>;
}

export function newCounts(): Counts {
  const refused = Object.fromEntries(REFUSALS.map((each) => [each, 0])) as Record<Refusal, number>;
  return { sentBytes: 0, receivedBytes: 0, droppedFrames: 0, refusedDeltas: 0, overfull: 0, refused };
}
