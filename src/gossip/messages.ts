/**
 * What a payload says first. Fields in order; `records` run to the end of the payload.
 *
 *   ping     probe 4 | target incarnation 8 | records, the sender's own first
 *   ack      probe 4 | records
 *   ask      probe 4 | target incarnation 8 | records            "ping it for me"
 *   relayed  probe 4 | records                                   "it answered me"
 *   nack     probe 4 | incarnation 8, of who reaches it, or 0 | records   "it did not, but I am here"
 *   rows     flags 1 | count 1, (tag 4, version) … | count 1, delta … | records
 *   cold     as rows, of the other lane
 *   ── over streams ──
 *   pull     count, records | count, (incarnation 8, version, cold version) …
 *   state    hasMore 1 | count, records | count, (incarnation 8, version, cold version) … | count 4, delta … | count 4, cold delta …
 *   push     count 4, delta … | count 4, cold delta …
 *   knock    target incarnation 8
 *   yes      (nothing)
 *
 *   delta    incarnation 8 | after | up to | length | bytes
 */
export const KIND = {
  ping: 1,
  ack: 2,
  ask: 3,
  relayed: 4,
  nack: 5,
  rows: 6,
  cold: 7,
  pull: 16,
  state: 17,
  push: 18,
  knock: 19,
  yes: 20,
} as const;

/** Bytes between the kind and the records, of those that have a fixed number. */
export const HEAD_BYTES: Readonly<Record<number, number>> = {
  [KIND.ping]: 12,
  [KIND.ack]: 4,
  [KIND.ask]: 12,
  [KIND.relayed]: 4,
  [KIND.nack]: 12,
};

/** Flags of `rows`. */
export const WANTS_ANSWER = 1;
/** The other bits of the flags: for how long there is haste, in steps of so many ms. */
export const URGENCY_STEP_MS = 10;
