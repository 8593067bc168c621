// hot path
/** The bearer credential of a request: exactly one Authorization field, or none. */
import type { Headers, Span } from '../../wire/index.ts';

/**
 * The credential where it lies, good until another field is asked for; undefined without one, or null when there is more than one field:
 * which one would the application read?
 */
export function bearerOf(headers: Headers): Span | undefined | null {
  const value = headers.onlySpan('authorization');
  if (value === undefined || value === null) return value;
  if (value.length <= PREFIX_BYTES || !isBearer(value)) return undefined;
  value.from += PREFIX_BYTES;
  return value.trim();
}

const SCHEME = Buffer.from('bearer');
/** The scheme and a space. */
const PREFIX_BYTES = 7;
const SPACE = 32;

/** Schemes are case-insensitive (RFC 9110 §11.1). Only the two cases of a letter become that letter. */
function isBearer({ bytes, from }: Span): boolean {
  for (let i = 0; i < SCHEME.length; i++) if (((bytes[from + i] as number) | 32) !== SCHEME[i]) return false;
  return bytes[from + SCHEME.length] === SPACE;
}

export const API_KEY_PREFIX = 'rk_';
const API_KEY_PREFIX_BYTES = Buffer.from(API_KEY_PREFIX);

export function isApiKey(credential: Span): boolean {
  return credential.startsWith(API_KEY_PREFIX_BYTES);
}
