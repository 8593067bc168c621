/** What a sidecar and a collector say to each other, as the rest of the room sees it; proto/metering.proto says what each means. */
import type { Position } from './position.ts';

export type GapReason =
  /** The disk refused them, or the spool was full. */
  | 'full'
  /** Damaged where they stood. */
  | 'corrupt'
  /** They stood before all that the spool still has: a ledger acked them that this collector does not have, or they are lost. */
  | 'dropped';

export const GAP_REASONS: readonly GapReason[] = ['full', 'corrupt', 'dropped'];

/** Of records that follow one another. */
interface Range {
  readonly epoch: number;
  readonly seqFrom: number;
  readonly seqTo: number;
  readonly chainBefore: number;
  readonly chainAfter: number;
  readonly watermarkMs: number;
}

export interface Hello {
  readonly kind: 'hello';
  readonly spoolId: string;
  readonly epoch: number;
  readonly life: string;
  readonly service: string;
  readonly instance: string;
}

export interface Batch extends Range {
  readonly kind: 'batch';
  readonly isFolded: boolean;
  /** Zstandard. */
  readonly payload: Buffer;
  /** CRC-32 and length of the payload before it was compressed. */
  readonly crc: number;
  readonly payloadBytes: number;
}

export interface Gap extends Range {
  readonly kind: 'gap';
  readonly reason: GapReason;
}

export interface Heartbeat {
  readonly kind: 'heartbeat';
  readonly watermarkMs: number;
  readonly spoolBytes: number;
}

export interface Bye extends Position {
  readonly kind: 'bye';
}

export type FromSidecar = Hello | Batch | Gap | Heartbeat | Bye;

export interface Welcome extends Position {
  readonly kind: 'welcome';
  readonly chain: number;
  readonly creditBytes: number;
}

export interface Ack extends Position {
  readonly kind: 'ack';
}

export type FromCollector =
  | Welcome
  | Ack
  | { readonly kind: 'nack'; readonly reason: string }
  | { readonly kind: 'credit'; readonly bytes: number }
  | { readonly kind: 'fence'; readonly reason: string };

/** A batch that is still to be compressed. */
export interface Draft extends Omit<Batch, 'payload'> {
  /** `isPacked`: it stood compressed in the spool. */
  readonly payload: Buffer;
  readonly isPacked: boolean;
}
