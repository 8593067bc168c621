/** Signed tokens (RFC 7519) by the rules of RFC 8725: the provider chooses algorithms, keys and types, never the token. */
import { type CryptoKey, errors, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '../../core/index.ts';
import type { Exchange, Reply } from '../../pipeline/index.ts';
import type { IdentityProvider } from '../../tenants/index.ts';
import type { KeySet, VerificationKey } from '../key-set.ts';
import type { KeyStore } from '../key-store.ts';
import { replies } from '../replies.ts';
import { claimAt, readForm, type TokenForm } from '../token.ts';
import type { TokenCache } from '../token-cache.ts';
import { API_KEY_PREFIX, bearerOf } from './credential.ts';
import { type Found, NONE, type Source } from './source.ts';

export interface JwtOptions {
  readonly clock: Clock;
  readonly cache: TokenCache;
  readonly keys: KeyStore;
  readonly count: (result: 'hit' | 'miss' | 'refused_hit') => void;
}

type Checked = { readonly payload: JWTPayload; readonly keys: KeySet } | { readonly reply: Reply };

/** Keys tried for one token without a kid. */
const TRIES_MAX = 4;
const TYPES_BY_DEFAULT: readonly (string | undefined)[] = [undefined, 'jwt', 'at+jwt'];
const refused = (reply: Reply): Found => ({ kind: 'refused', reply });

export function jwtSource(options: JwtOptions): Source {
  const { clock, cache, count } = options;
  return {
    name: 'jwt',
    isProof: true,
    find(x: Exchange): Found | Promise<Found> {
      const token = bearerOf(x.headers);
      if (token === null) return refused(replies.invalid);
      if (token === undefined || token.startsWith(API_KEY_PREFIX)) return NONE;
      const wallMs = clock.wallMs();
      const known = cache.verified(token, wallMs, x.snapshot.providers);
      if (known !== undefined) {
        count('hit');
        return { kind: 'named', by: 'claim', id: known.externalId };
      }
      const reply = cache.refused(token, wallMs, x.snapshot.providers);
      if (reply !== undefined) {
        count('refused_hit');
        return refused(reply);
      }
      count('miss');
      return verify(options, token, x);
    },
  };
}

async function verify({ clock, cache, keys }: JwtOptions, token: string, x: Exchange): Promise<Found> {
  const refuse = (reply: Reply): Found => {
    cache.addRefused(token, reply, clock.wallMs(), x.snapshot.providers);
    return refused(reply);
  };
  const form = readForm(token);
  if (form === undefined) return refuse(replies.invalid);
  let reply: Reply = replies.invalid;
  for (const provider of x.snapshot.providers.values()) {
    if (provider.issuer !== form.issuer) continue;
    const checked = await check(provider, form, token, keys, clock);
    if ('reply' in checked) {
      reply = checked.reply;
      continue;
    }
    const externalId = claimAt(checked.payload, provider.tenantClaim);
    if (externalId === undefined) return refuse(replies.unknown);
    cache.addVerified(
      token,
      {
        externalId,
        expiresMs: (checked.payload.exp as number) * 1e3 + provider.clockSkewMs,
        keys: checked.keys,
        provider,
      },
      clock.wallMs(),
    );
    return { kind: 'named', by: 'claim', id: externalId };
  }
  return reply === replies.unavailable ? refused(reply) : refuse(reply);
}

async function check(
  provider: IdentityProvider,
  form: TokenForm,
  token: string,
  store: KeyStore,
  clock: Clock,
): Promise<Checked> {
  const isTypeGood =
    provider.tokenType === undefined ? TYPES_BY_DEFAULT.includes(form.type) : form.type === provider.tokenType;
  if (!provider.algorithms.includes(form.algorithm) || !isTypeGood) return { reply: replies.invalid };
  let keys = store.current(provider);
  if (keys === undefined || candidates(keys, form).length === 0) keys = await store.refreshed(provider);
  if (keys === undefined) return { reply: replies.unavailable };
  let reply: Reply = replies.invalid;
  for (const { key } of candidates(keys, form)) {
    const result = await verifyWith(provider, form, token, key, clock);
    if (!('reply' in result)) return { payload: result.payload, keys };
    reply = result.reply;
    if (reply === replies.expired) break;
  }
  return { reply };
}

/** Keys for the token's algorithm with its kid; a token without one may be of any key, a key without one for any token. */
function candidates(keys: KeySet, { algorithm, keyId }: TokenForm): readonly VerificationKey[] {
  const all = keys.byAlgorithm.get(algorithm) ?? [];
  return all.filter(({ kid }) => keyId === undefined || kid === undefined || kid === keyId).slice(0, TRIES_MAX);
}

async function verifyWith(
  provider: IdentityProvider,
  form: TokenForm,
  token: string,
  key: VerificationKey['key'],
  clock: Clock,
): Promise<{ payload: JWTPayload } | { reply: Reply }> {
  const now = clock.wallMs();
  const toleranceSec = provider.clockSkewMs / 1e3;
  try {
    const { payload } = await jwtVerify(token, key as CryptoKey, {
      algorithms: [form.algorithm],
      issuer: provider.issuer,
      audience: [...provider.audiences],
      requiredClaims: ['exp'],
      clockTolerance: toleranceSec,
      currentDate: new Date(now),
    });
    // jose looks at iat only for a maximal age; a token from the future was made by a clock nobody should trust.
    const isFromFuture = payload.iat !== undefined && payload.iat * 1e3 > now + provider.clockSkewMs;
    return isFromFuture ? { reply: replies.invalid } : { payload };
  } catch (cause) {
    return { reply: cause instanceof errors.JWTExpired ? replies.expired : replies.invalid };
  }
}
