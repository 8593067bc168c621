// hot path
/** `rk_<id>_<secret>`: found by its id, proved by HMAC-SHA256 of the whole key under the pepper, compared in constant time. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../core/index.ts';
import type { Exchange } from '../../pipeline/index.ts';
import { refusals } from '../refusals.ts';
import { API_KEY_PREFIX, bearerOf, isApiKey } from './credential.ts';
import { type Found, NONE, type Source } from './source.ts';

const KEY_CHARS_MAX = 256;
const MALFORMED: Found = { kind: 'refused', ...refusals.malformed };
/** No key of this id, or no pepper to prove one by. */
const NO_KEY_FOUND: Found = { kind: 'refused', ...refusals.noKey };
const WRONG: Found = { kind: 'refused', ...refusals.signature };
const EXPIRED: Found = { kind: 'refused', ...refusals.expired };
/** Compared with when the id is unknown, so that an unknown id takes as long as a known one. */
const NO_KEY = { id: '', hash: Buffer.alloc(32), expiresMs: 0 };

export function apiKeySource({
  header,
  pepper,
  clock,
}: {
  header: string;
  pepper: Buffer | undefined;
  clock: Clock;
}): Source {
  return {
    name: 'apiKey',
    isProof: true,
    find(x: Exchange): Found {
      const key = keyOf(x, header);
      if (key === undefined) return NONE;
      if (key === null || key.length > KEY_CHARS_MAX) return MALFORMED;
      if (pepper === undefined) return NO_KEY_FOUND;
      const separator = key.indexOf('_', API_KEY_PREFIX.length);
      if (separator === -1) return MALFORMED;
      const id = key.slice(API_KEY_PREFIX.length, separator);
      const known = x.snapshot.tenantByApiKeyId.get(id)?.apiKeys.find((each) => each.id === id);
      const isEqual = timingSafeEqual(createHmac('sha256', pepper).update(key).digest(), (known ?? NO_KEY).hash);
      if (known === undefined) return NO_KEY_FOUND;
      if (!isEqual) return WRONG;
      return clock.wallMs() < known.expiresMs ? { kind: 'named', by: 'keyId', id } : EXPIRED;
    },
  };
}

/** The key of the request, undefined without one, null when it is ambiguous. */
function keyOf({ headers }: Exchange, header: string): string | undefined | null {
  const bearer = bearerOf(headers);
  if (bearer === null) return null;
  const inBearer = bearer !== undefined && isApiKey(bearer) ? bearer.text() : undefined;
  const own = headers.only(header);
  if (own === undefined) return inBearer;
  if (own === null || !own.startsWith(API_KEY_PREFIX)) return null;
  return inBearer === undefined || inBearer === own ? own : null;
}
