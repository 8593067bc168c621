// hot path
/** The bearer credential of a request: exactly one Authorization field, or none. */
import type { HeaderList } from '../../wire/index.ts';

/** The credential, undefined without one, or null when there is more than one field: which one would the application read? */
export function bearerOf({ names, raw }: HeaderList): string | undefined | null {
  const at = names.indexOf('authorization');
  if (at === -1) return undefined;
  if (names.includes('authorization', at + 1)) return null;
  const value = raw[2 * at + 1] as string;
  if (value.length < 8 || value.slice(0, 7).toLowerCase() !== 'bearer ') return undefined;
  return value.slice(7).trim();
}

export const API_KEY_PREFIX = 'rk_';
