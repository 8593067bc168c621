// hot path
/**
 * The character classes of RFC 9110 and RFC 9112 over bytes, and what is read from a range of bytes without making a string of it.
 *
 *   CLASS[byte]   TOKEN | VALUE | PATH | TARGET | HOST | FOLDS     one look-up answers every question about a byte
 *   LOWER[byte]   A–Z as a–z, every other byte as it is
 */

/** RFC 9110 §5.6.2. */
export const TOKEN = 1;
/** RFC 9110 §5.5: visible characters, space, tab and obs-text. */
export const VALUE = 2;
/** A target's byte before its query; `#` is in neither: a fragment is never sent (RFC 9112 §3.2). */
export const PATH = 4;
export const TARGET = 8;
/** Of a host name that no two servers read differently: narrower than `parseAuthority`, which the general engine uses. */
export const HOST = 16;
/** `_` and `.`, which servers that map names to variables read as `-`: see `foldName`. */
export const FOLDS = 32;

export const CR = 13;
export const LF = 10;
export const SPACE = 32;
export const TAB = 9;
export const COLON = 58;

export const CLASS: Uint8Array = classes();
export const LOWER: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 65 && byte <= 90 ? byte + 32 : byte,
);

function classes(): Uint8Array {
  const table = new Uint8Array(256);
  const alnum = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  const mark = (text: string, bit: number): void => {
    for (const each of text) table[each.charCodeAt(0)] = (table[each.charCodeAt(0)] as number) | bit;
  };
  mark(`!#$%&'*+-.^_\`|~${alnum}`, TOKEN);
  mark(`-._${alnum}`, HOST);
  mark('_.', FOLDS);
  for (let byte = 0; byte < 256; byte++) {
    const isControl = byte < 32 || byte === 127;
    if (!isControl || byte === TAB) mark(String.fromCharCode(byte), VALUE);
    if (byte < 33 || byte > 126 || byte === 35) continue;
    mark(String.fromCharCode(byte), byte === 63 ? TARGET : PATH | TARGET);
  }
  return table;
}

/** How far the bytes from `at` say `literal`: `match` whole, `part` as far as there are bytes, `no` otherwise. */
export function startsWith(bytes: Uint8Array, at: number, to: number, literal: Uint8Array): 'match' | 'part' | 'no' {
  const length = literal.length;
  for (let i = 0; i < length; i++) {
    if (at + i >= to) return 'part';
    if (bytes[at + i] !== literal[i]) return 'no';
  }
  return 'match';
}

/** Whether a range is exactly `lower` (lower-case bytes), letters in either case. */
export function equalsFolded(bytes: Uint8Array, from: number, to: number, lower: Uint8Array): boolean {
  if (to - from !== lower.length) return false;
  for (let i = 0; i < lower.length; i++) if (LOWER[bytes[from + i] as number] !== lower[i]) return false;
  return true;
}

/** 1 to 15 decimal digits (exact as a JavaScript number, larger than any body), else -1. RFC 9110 §8.6. */
export function contentLengthOf(bytes: Uint8Array, from: number, to: number): number {
  if (to === from || to - from > 15) return -1;
  let length = 0;
  for (let i = from; i < to; i++) {
    const digit = (bytes[i] as number) - 48;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length;
}
