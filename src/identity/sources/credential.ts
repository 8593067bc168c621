// hot path
/** The bearer credential of a request: exactly one Authorization field, or none. */
import { type Headers, trimBlanks } from '../../wire/index.ts';

/** The credential, undefined without one, or null when there is more than one field: which one would the application read? */
export function bearerOf(headers: Headers): string | undefined | null {
  const value = headers.only('authorization');
  if (value === undefined || value === null) return value;
  return value.length > PREFIX_CHARS && isBearer(value) ? trimBlanks(value.slice(PREFIX_CHARS)) : undefined;
}

const SCHEME = 'bearer';
/** The scheme and a space. */
const PREFIX_CHARS = 7;

/** Schemes are case-insensitive (RFC 9110 §11.1). Compared in place: a slice in lower case would be two strings a request. */
function isBearer(value: string): boolean {
  // Only the two cases of a letter become that letter.
  for (let i = 0; i < SCHEME.length; i++) if ((value.charCodeAt(i) | 32) !== SCHEME.charCodeAt(i)) return false;
  return value.charCodeAt(SCHEME.length) === 32;
}

export const API_KEY_PREFIX = 'rk_';
