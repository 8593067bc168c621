/** Signed tokens (RFC 7519) by the rules of RFC 8725: the provider chooses algorithms, keys and types, never the token. */
import type { Clock } from '../../core/index.ts';
import type { Exchange } from '../../pipeline/index.ts';
import type { IdentityProvider } from '../../tenants/index.ts';
import { claimAt, refusalOfClaims } from '../claims.ts';
import type { KeySet, VerificationKey } from '../key-set.ts';
import type { KeyStore } from '../key-store.ts';
import { moreTelling, type Refusal, refusals } from '../refusals.ts';
import { isSignedBy } from '../signature.ts';
import { mediaType, readForm, TOKEN_CHARS_MAX, type TokenForm } from '../token.ts';
import type { TokenCache, Verified } from '../token-cache.ts';
import { bearerOf, isApiKey } from './credential.ts';
import { type Found, NONE, type Source } from './source.ts';

export interface JwtOptions {
  readonly clock: Clock;
  readonly cache: TokenCache;
  readonly keys: KeyStore;
  readonly count: (result: 'hit' | 'miss' | 'refused_hit') => void;
}

type Checked = { readonly verified: Verified } | { readonly refusal: Refusal };

/** Keys tried for one token. */
const TRIES_MAX = 4;
/** No signature was good: another key might make it so. */
const BEFORE_CLAIMS: ReadonlySet<Refusal> = new Set([refusals.noKey, refusals.signature, refusals.unavailable]);
const TYPES_BY_DEFAULT: readonly (string | undefined)[] = [undefined, 'jwt', 'at+jwt'];
const refused = (refusal: Refusal): Found => ({ kind: 'refused', ...refusal });

export function jwtSource(options: JwtOptions): Source {
  const { clock, cache, keys, count } = options;
  return {
    name: 'jwt',
    isProof: true,
    find(x: Exchange): Found | Promise<Found> {
      const token = bearerOf(x.headers);
      if (token === null) return refused(refusals.malformed);
      if (token === undefined || isApiKey(token)) return NONE;
      const now = clock.now();
      const known = cache.verified(token, now, clock.wallMs(), x.snapshot.providers);
      if (known !== undefined) {
        count('hit');
        // Keys of a URL are to be looked at again also where nothing is verified with them.
        if ('url' in known.provider.jwks) keys.current(known.provider);
        return known;
      }
      const refusal = cache.refused(token, now, x.snapshot.providers);
      if (refusal !== undefined) {
        count('refused_hit');
        return refused(refusal);
      }
      count('miss');
      return verify(options, token.text(), x);
    },
  };
}

/** At once, but for a key that its provider may have published since: then when that was looked for. */
function verify(options: JwtOptions, token: string, x: Exchange): Found | Promise<Found> {
  // Not remembered: 4,096 of them, each as long as a head may be, would be memory in a stranger's hands.
  if (token.length > TOKEN_CHARS_MAX) return refused(refusals.malformed);
  const form = readForm(token);
  if (form === undefined) return remember(options, token, x, { refusal: refusals.malformed });
  // An issuer may have two, one for each kind of algorithm.
  const providers = [...x.snapshot.providers.values()].filter((each) => each.issuer === form.issuer);
  const checked = checkAll(providers, form, options);
  const behind = 'verified' in checked || !BEFORE_CLAIMS.has(checked.refusal) ? [] : lacking(providers, form, options);
  if (behind.length === 0) return remember(options, token, x, checked);
  const { keys } = options;
  const held = behind.map((each) => keys.current(each));
  return Promise.all(behind.map((each) => keys.refreshed(each))).then((fresh) => {
    const isNew = fresh.some((each, at) => each !== held[at]);
    return remember(options, token, x, isNew ? checkAll(providers, form, options) : checked);
  });
}

/** Those that may have published a key of this token which is not here yet. */
function lacking(providers: readonly IdentityProvider[], form: TokenForm, { keys }: JwtOptions): IdentityProvider[] {
  return providers.filter((each) => {
    const held = keys.current(each);
    const isKnown = held !== undefined && isNamed(held, form);
    return 'url' in each.jwks && each.algorithms.includes(form.algorithm) && !isKnown;
  });
}

function remember({ cache, clock }: JwtOptions, token: string, x: Exchange, checked: Checked): Found {
  if ('verified' in checked) {
    cache.addVerified(token, checked.verified, clock.now());
    return checked.verified;
  }
  const { refusal } = checked;
  // Nobody knows yet whether it is good.
  if (refusal !== refusals.unavailable) cache.addRefused(token, refusal, clock.now(), x.snapshot.providers);
  return refused(refusal);
}

function checkAll(providers: readonly IdentityProvider[], form: TokenForm, options: JwtOptions): Checked {
  let refusal: Refusal = refusals.issuer;
  for (const provider of providers) {
    const checked = check(provider, form, options);
    if ('verified' in checked) return checked;
    refusal = moreTelling(refusal, checked.refusal);
  }
  return { refusal };
}

function check(provider: IdentityProvider, form: TokenForm, { keys: store, clock }: JwtOptions): Checked {
  const isTypeGood =
    provider.tokenType === undefined
      ? TYPES_BY_DEFAULT.includes(form.type)
      : form.type === mediaType(provider.tokenType);
  if (!provider.algorithms.includes(form.algorithm)) return { refusal: refusals.algorithm };
  if (!isTypeGood) return { refusal: refusals.type };
  const keys = store.current(provider);
  if (keys === undefined) return { refusal: refusals.unavailable };
  const fit = candidates(keys, form);
  if (!fit.some(({ key }) => isSignedBy(key, form.algorithm, form.signed, form.signature)))
    return { refusal: fit.length === 0 ? refusals.noKey : refusals.signature };
  // What is said from here on was said behind a good signature.
  const refusal = refusalOfClaims(form.claims, provider, clock.wallMs());
  if (refusal !== undefined) return { refusal };
  const id = claimAt(form.claims, provider.tenantClaim);
  if (id === undefined) return { refusal: refusals.noClaim };
  const expiresMs = (form.claims['exp'] as number) * 1e3 + provider.clockSkewMs;
  const last = { generation: -1, tenant: undefined };
  return { verified: { kind: 'named', by: 'claim', id, last, expiresMs, keys, provider } };
}

/** Whether the set holds the very key that the token names. */
function isNamed(set: KeySet, { algorithm, keyId }: TokenForm): boolean {
  return keyId !== undefined && set.keys.some((key) => key.kid === keyId && key.algorithm === algorithm);
}

/** Keys for the token's algorithm: with its kid, else those without one; a token without a kid may be of any. */
function candidates(set: KeySet, { algorithm, keyId }: TokenForm): readonly VerificationKey[] {
  const fit = set.keys.filter((key) => key.algorithm === algorithm);
  if (keyId === undefined) return fit.slice(0, TRIES_MAX);
  const named = fit.filter(({ kid }) => kid === keyId);
  return (named.length > 0 ? named : fit.filter(({ kid }) => kid === undefined)).slice(0, TRIES_MAX);
}
