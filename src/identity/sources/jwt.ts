/** Signed tokens (RFC 7519) by the rules of RFC 8725: the provider chooses algorithms, keys and types, never the token. */
import { type CryptoKey, errors, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '../../core/index.ts';
import type { Exchange, Reply } from '../../pipeline/index.ts';
import type { IdentityProvider, Snapshot } from '../../tenants/index.ts';
import type { KeySet, VerificationKey } from '../key-set.ts';
import type { KeyStore } from '../key-store.ts';
import { replies } from '../replies.ts';
import { claimAt, mediaType, readForm, TOKEN_CHARS_MAX, type TokenForm } from '../token.ts';
import type { TokenCache, Verified } from '../token-cache.ts';
import { API_KEY_PREFIX, bearerOf } from './credential.ts';
import { type Found, NONE, type Source } from './source.ts';

export interface JwtOptions {
  readonly clock: Clock;
  readonly cache: TokenCache;
  readonly keys: KeyStore;
  readonly count: (result: 'hit' | 'miss' | 'refused_hit') => void;
}

type Checked = { readonly payload: JWTPayload; readonly keys: KeySet } | { readonly reply: Reply };

/** Keys tried for one token. */
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
      const now = clock.now();
      const known = cache.verified(token, now, clock.wallMs(), x.snapshot.providers);
      if (known !== undefined) {
        count('hit');
        return { kind: 'named', by: 'claim', id: known.externalId };
      }
      const reply = cache.refused(token, now, x.snapshot.providers);
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
  // Not remembered: 4,096 of them, each as long as a head may be, would be memory in a stranger's hands.
  if (token.length > TOKEN_CHARS_MAX) return refused(replies.invalid);
  const found = await verifyAnew(token, x.snapshot, keys, clock);
  if ('verified' in found) {
    cache.addVerified(token, found.verified, clock.now());
    return { kind: 'named', by: 'claim', id: found.verified.externalId };
  }
  // Nobody knows yet whether it is good.
  if (found.reply !== replies.unavailable) cache.addRefused(token, found.reply, clock.now(), x.snapshot.providers);
  return refused(found.reply);
}

/** By each provider of the token's issuer: an issuer may have two, one for each kind of algorithm. */
async function verifyAnew(
  token: string,
  { providers }: Snapshot,
  keys: KeyStore,
  clock: Clock,
): Promise<{ verified: Verified } | { reply: Reply }> {
  const form = readForm(token);
  let reply: Reply = replies.invalid;
  if (form === undefined) return { reply };
  for (const provider of providers.values()) {
    if (provider.issuer !== form.issuer) continue;
    const checked = await check(provider, form, token, keys, clock);
    if ('reply' in checked) {
      reply = moreTelling(reply, checked.reply);
      continue;
    }
    const externalId = claimAt(checked.payload, provider.tenantClaim);
    if (externalId === undefined) return { reply: replies.unknown };
    const expiresMs = (checked.payload.exp as number) * 1e3 + provider.clockSkewMs;
    return { verified: { externalId, expiresMs, keys: checked.keys, provider } };
  }
  return { reply };
}

/** Of two refusals the one that helps: come again, fetch a new one, or only that it is wrong. */
function moreTelling(a: Reply, b: Reply): Reply {
  if (a === replies.unavailable || b === replies.unavailable) return replies.unavailable;
  return a === replies.expired ? a : b;
}

async function check(
  provider: IdentityProvider,
  form: TokenForm,
  token: string,
  store: KeyStore,
  clock: Clock,
): Promise<Checked> {
  const isTypeGood =
    provider.tokenType === undefined
      ? TYPES_BY_DEFAULT.includes(form.type)
      : form.type === mediaType(provider.tokenType);
  if (!provider.algorithms.includes(form.algorithm) || !isTypeGood) return { reply: replies.invalid };
  const keys = store.current(provider);
  const checked: Checked =
    keys === undefined ? { reply: replies.unavailable } : await tryKeys(provider, form, token, keys, clock);
  if ('keys' in checked || checked.reply === replies.expired || isNamed(keys, form)) return checked;
  // Its key may be one that we do not have yet.
  const fresh = await store.refreshed(provider);
  return fresh === undefined || fresh === keys ? checked : tryKeys(provider, form, token, fresh, clock);
}

async function tryKeys(
  provider: IdentityProvider,
  form: TokenForm,
  token: string,
  keys: KeySet,
  clock: Clock,
): Promise<Checked> {
  let reply: Reply = replies.invalid;
  for (const { key } of candidates(keys, form)) {
    const result = await verifyWith(provider, form, token, key, clock);
    if (!('reply' in result)) return { payload: result.payload, keys };
    reply = result.reply;
    if (reply === replies.expired) break;
  }
  return { reply };
}

/** Whether the set holds the very key that the token names. */
function isNamed(set: KeySet | undefined, { algorithm, keyId }: TokenForm): boolean {
  return keyId !== undefined && set?.keys.some((key) => key.kid === keyId && key.algorithm === algorithm) === true;
}

/** Keys for the token's algorithm: with its kid, else those without one; a token without a kid may be of any. */
function candidates(set: KeySet, { algorithm, keyId }: TokenForm): readonly VerificationKey[] {
  const fit = set.keys.filter((key) => key.algorithm === algorithm);
  if (keyId === undefined) return fit.slice(0, TRIES_MAX);
  const named = fit.filter(({ kid }) => kid === keyId);
  return (named.length > 0 ? named : fit.filter(({ kid }) => kid === undefined)).slice(0, TRIES_MAX);
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
