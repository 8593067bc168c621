// hot path
/**
 * The field names the data path has to tell apart, each with a small number. A name is recognised from a range of bytes by its length,
 * first and last letter, which differ for all of them, and one comparison.
 *
 *   "Content-Length" ─ (14, c, h) ─▶ slot ─▶ number ─ compare letters ─▶ 12
 */
import { LOWER } from './bytes.ts';
import { HOP_BY_HOP_NAMES } from './hop-by-hop.ts';

/** By number. Numbers below `FRAMING_END` are about one connection or its framing and are never copied from one to the next. */
const NAMES = [
  '',
  ...HOP_BY_HOP_NAMES,
  'expect',
  'host',
  'content-length',
  'authorization',
  'x-request-id',
  'traceparent',
  'tracestate',
  'baggage',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-real-ip',
  'via',
  'content-type',
  'cookie',
  'x-api-key',
  'date',
] as const;

export type KnownName = Exclude<(typeof NAMES)[number], ''>;

/** The number of a known name, 1 to 30: it is a bit of `FieldTable.seen` as well. */
export function knownId(name: KnownName): number {
  return NAMES.indexOf(name);
}

/** Hop-by-hop fields (RFC 9110 §7.6.1), Expect, Host and Content-Length: written anew for each hop, or not at all. */
const FRAMING_END = NAMES.indexOf('authorization');

/** A name that is not known and that folding or its first letter (`x`, `t`) could make a protected one. */
export const SUSPECT = 255;

/** By number, whether the field is copied to the next hop unless someone drops it. */
export const COPIED: Uint8Array = Uint8Array.from({ length: 256 }, (_, id) => (id > 0 && id < FRAMING_END ? 0 : 1));

/** No name is longer: proxy-authorization has 19. A power of two makes the row's offset a shift. */
const ROW_SHIFT = 5;
const SLOTS = 256;
const LETTERS = new Uint8Array(NAMES.length << ROW_SHIFT);
const LENGTHS = new Uint8Array(NAMES.length);
const BY_SLOT = new Uint8Array(SLOTS);

/** Multipliers found by search: no two known names share a slot (test/wire/known-fields.test.ts). A new name may need others. */
function slotOf(length: number, first: number, last: number): number {
  return (length + first * 5 + last * 7) & (SLOTS - 1);
}

for (let id = 1; id < NAMES.length; id++) {
  const name = Buffer.from(NAMES[id] as string);
  LETTERS.set(name, id << ROW_SHIFT);
  LENGTHS[id] = name.length;
  BY_SLOT[slotOf(name.length, name[0] as number, name[name.length - 1] as number)] = id;
}

/** The number of the name in a range of at least one byte, or 0. */
export function recognise(bytes: Uint8Array, from: number, to: number): number {
  const length = to - from;
  const slot = slotOf(length, LOWER[bytes[from] as number] as number, LOWER[bytes[to - 1] as number] as number);
  const id = BY_SLOT[slot] as number;
  if (id === 0 || LENGTHS[id] !== length) return 0;
  const row = id << ROW_SHIFT;
  for (let i = 0; i < length; i++) if (LOWER[bytes[from + i] as number] !== LETTERS[row + i]) return 0;
  return id;
}
