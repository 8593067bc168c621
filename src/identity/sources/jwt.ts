/** Signed tokens (RFC 7519) by the rules of RFC 8725: the provider chooses algorithms, keys and types, never the token. */
import { type CryptoKey, errors, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '../../core/index.ts';
import type { Exchange } from '../../pipeline/index.ts';
import type { IdentityProvider, Snapshot } from '../../tenants/index.ts';
import type { KeySet, VerificationKey } from '../key-set.ts';
import type { KeyStore } from '../key-store.ts';
import { moreTelling, type Refusal, refusals } from '../refusals.ts';
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

type Checked = { readonly payload: JWTPayload; readonly keys: KeySet } | { readonly refusal: Refusal };

/** Keys tried for one token. */
const TRIES_MAX = 4;
const TYPES_BY_DEFAULT: readonly (string | undefined)[] = [undefined, 'jwt', 'at+jwt'];
const refused = (refusal: Refusal): Found => ({ kind: 'refused', ...refusal });

export function jwtSource(options: JwtOptions): Source {
  const { clock, cache, count } = options;
  return {
    name: 'jwt',
    isProof: true,
    find(x: Exchange): Found | Promise<Found> {
      const token = bearerOf(x.headers);
      if (token === null) return refused(refusals.malformed);
      if (token === undefined || token.startsWith(API_KEY_PREFIX)) return NONE;
      const now = clock.now();
      const known = cache.verified(token, now, clock.wallMs(), x.snapshot.providers);
      if (known !== undefined) {
        count('hit');
        return { kind: 'named', by: 'claim', id: known.externalId };
      }
      const refusal = cache.refused(token, now, x.snapshot.providers);
      if (refusal !== undefined) {
        count('refused_hit');
        return refused(refusal);
      }
      count('miss');
      return verify(options, token, x);
    },
  };
}

async function verify({ clock, cache, keys }: JwtOptions, token: string, x: Exchange): Promise<Found> {
  // Not remembered: 4,096 of them, each as long as a head may be, would be memory in a stranger's hands.
  if (token.length > TOKEN_CHARS_MAX) return refused(refusals.malformed);
  const found = await verifyAnew(token, x.snapshot, keys, clock);
  if ('verified' in found) {
    cache.addVerified(token, found.verified, clock.now());
    return { kind: 'named', by: 'claim', id: found.verified.externalId };
  }
  // Nobody knows yet whether it is good.
  if (found.refusal !== refusals.unavailable) cache.addRefused(token, found.refusal, clock.now(), x.snapshot.providers);
  return refused(found.refusal);
}

/** By each provider of the token's issuer: an issuer may have two, one for each kind of algorithm. */
async function verifyAnew(
  token: string,
  { providers }: Snapshot,
  keys: KeyStore,
  clock: Clock,
): Promise<{ verified: Verified } | { refusal: Refusal }> {
  const form = readForm(token);
  if (form === undefined) return { refusal: refusals.malformed };
  let refusal: Refusal = refusals.issuer;
  for (const provider of providers.values()) {
    if (provider.issuer !== form.issuer) continue;
    const checked = await check(provider, form, token, keys, clock);
    if ('refusal' in checked) {
      refusal = moreTelling(refusal, checked.refusal);
      continue;
    }
    const externalId = claimAt(checked.payload, provider.tenantClaim);
    if (externalId === undefined) return { refusal: refusals.noClaim };
    const expiresMs = (checked.payload.exp as number) * 1e3 + provider.clockSkewMs;
    return { verified: { externalId, expiresMs, keys: checked.keys, provider } };
  }
  return { refusal };
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
  if (!provider.algorithms.includes(form.algorithm)) return { refusal: refusals.algorithm };
  if (!isTypeGood) return { refusal: refusals.type };
  const keys = store.current(provider);
  const checked: Checked =
    keys === undefined ? { refusal: refusals.unavailable } : await tryKeys(provider, form, token, keys, clock);
  if ('keys' in checked || checked.refusal === refusals.expired || isNamed(keys, form)) return checked;
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
  let refusal: Refusal = refusals.noKey;
  for (const { key } of candidates(keys, form)) {
    const result = await verifyWith(provider, form, token, key, clock);
    if (!('refusal' in result)) return { payload: result.payload, keys };
    refusal = result.refusal;
    // What is said of the claims was said behind a good signature.
    if (refusal !== refusals.signature) break;
  }
  return { refusal };
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
): Promise<{ payload: JWTPayload } | { refusal: Refusal }> {
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
    return isFromFuture ? { refusal: refusals.notYet } : { payload };
  } catch (cause) {
    return { refusal: refusalOf(cause) };
  }
}

function refusalOf(cause: unknown): Refusal {
  if (cause instanceof errors.JWTExpired) return refusals.expired;
  if (!(cause instanceof errors.JWTClaimValidationFailed)) return refusals.signature;
  if (cause.claim === 'aud') return refusals.audience;
  return cause.claim === 'nbf' && cause.reason === 'check_failed' ? refusals.notYet : refusals.malformed;
}
