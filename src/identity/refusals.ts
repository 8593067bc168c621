/**
 * Why a credential was refused, for the operator. The client gets the reply alone: which of them it was would help who guesses. Shared
 * objects, as replies are.
 */
import type { Reply } from '../pipeline/index.ts';
import { replies } from './replies.ts';

/** A bounded set: the log line `identity.refused` carries it. In the order of how far the credential came. */
export const DETAILS = [
  'issuer unknown',
  'algorithm',
  'type',
  'no usable key',
  'signature',
  'malformed',
  'audience',
  'not yet valid',
  'expired',
  'no tenant claim',
  'tenant unknown',
] as const;
export type Detail = (typeof DETAILS)[number];

export interface Refusal {
  readonly reply: Reply;
  readonly detail: Detail;
}

const invalid = (detail: Detail): Refusal => ({ reply: replies.invalid, detail });

export const refusals = {
  malformed: invalid('malformed'),
  issuer: invalid('issuer unknown'),
  algorithm: invalid('algorithm'),
  type: invalid('type'),
  noKey: invalid('no usable key'),
  signature: invalid('signature'),
  audience: invalid('audience'),
  notYet: invalid('not yet valid'),
  expired: { reply: replies.expired, detail: 'expired' },
  noClaim: { reply: replies.unknown, detail: 'no tenant claim' },
  unavailable: { reply: replies.unavailable, detail: 'no usable key' },
} as const satisfies Record<string, Refusal>;

/** Of two refusals the one that helps: keys that may still come, else that of the credential which came further. */
export function moreTelling(a: Refusal, b: Refusal): Refusal {
  if (a === refusals.unavailable || b === refusals.unavailable) return refusals.unavailable;
  return DETAILS.indexOf(b.detail) >= DETAILS.indexOf(a.detail) ? b : a;
}
