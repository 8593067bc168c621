// hot path
/**
 * Tokens that were verified. Found by the whole token, never by a hash alone; an entry speaks only while the provider and the
 * keys it was verified with are the current ones, so a change of keys needs no flush and a change of limits costs nothing.
 * Refusals have a map of their own, so that a stranger's tokens cannot push out a tenant's.
 *
 *   oldest ─▶ [token → entry] … [token → entry] ◀─ newest      the oldest leave when entries or their characters are too many
 *
 * What a token named is kept with it, so at most as many tenants of generations before as there are entries.
 *
 * Two clocks: a token ends by the wall clock, as it says itself; what we remember of it ends by the monotonic one, so that a wall
 * clock that is set back cannot keep a verdict alive.
 */
import type { MonotonicMs } from '../core/index.ts';
import type { IdentityProvider } from '../tenants/index.ts';
import type { KeySet } from './key-set.ts';
import type { Refusal } from './refusals.ts';
import type { Named } from './sources/source.ts';

/** Whom a verified token names. */
export interface Verified extends Named {
  /** Wall ms: the token's own end. */
  readonly expiresMs: number;
  readonly keys: KeySet;
  readonly provider: IdentityProvider;
}

const VERIFIED_MAX = 50_000;
/** Verified tokens of 1 KiB fill the entries; longer ones are fewer. Tokens are Latin-1: one byte a character. */
const VERIFIED_CHARS_MAX = 48 * 2 ** 20;
const REFUSED_MAX = 4096;
const REFUSED_CHARS_MAX = 4 * 2 ** 20;
/** An upper bound on how long a revoked key's token could live on beside a lost file event. */
const VERIFIED_MS = 60_000;
const REFUSED_MS = 1000;

interface Kept<V> {
  readonly token: string;
  readonly value: V;
  readonly until: number;
}

export class TokenCache {
  readonly #verified = new TokenMap<Verified>(VERIFIED_MAX, VERIFIED_CHARS_MAX);
  readonly #refused = new TokenMap<{ readonly refusal: Refusal; readonly epoch: object }>(
    REFUSED_MAX,
    REFUSED_CHARS_MAX,
  );

  get size(): number {
    return this.#verified.size;
  }

  /** Characters of all tokens held. */
  get chars(): number {
    return this.#verified.chars + this.#refused.chars;
  }

  /** `providers`: those of the exchange's own generation; a provider whose document or key file changed is another object. */
  verified(
    token: string,
    now: MonotonicMs,
    wallMs: number,
    providers: ReadonlyMap<string, IdentityProvider>,
  ): Verified | undefined {
    const entry = this.#verified.get(token);
    if (entry === undefined) return undefined;
    const { value, until } = entry;
    if (
      now < until &&
      wallMs < value.expiresMs &&
      value.keys.isCurrent &&
      providers.get(value.provider.name) === value.provider
    )
      return value;
    this.#verified.delete(token);
    return undefined;
  }

  addVerified(token: string, value: Verified, now: MonotonicMs): void {
    this.#verified.set({ token, value, until: now + VERIFIED_MS });
  }

  /** `epoch`: the provider set the refusal was made under. */
  refused(token: string, now: MonotonicMs, epoch: object): Refusal | undefined {
    const entry = this.#refused.get(token);
    return entry !== undefined && now < entry.until && entry.value.epoch === epoch ? entry.value.refusal : undefined;
  }

  addRefused(token: string, refusal: Refusal, now: MonotonicMs, epoch: object): void {
    this.#refused.set({ token, value: { refusal, epoch }, until: now + REFUSED_MS });
  }
}

/**
 * Bounded in entries and in characters. An entry stands under a number made of the end of its token, which is signature and as good as
 * random, and speaks for the whole token only: to hash all of a token's characters would cost more than everything else that a hit does.
 * Of two tokens with one number, which of 50,000 one pair has, the later stays and the other is verified anew; a stranger who imitates an
 * end finds nothing and puts nothing among the verified.
 */
class TokenMap<V> {
  readonly #entriesMax: number;
  readonly #charsMax: number;
  readonly #entries = new Map<number, Kept<V>>();
  #chars = 0;

  constructor(entriesMax: number, charsMax: number) {
    this.#entriesMax = entriesMax;
    this.#charsMax = charsMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  get chars(): number {
    return this.#chars;
  }

  get(token: string): Kept<V> | undefined {
    const entry = this.#entries.get(endOf(token));
    return entry?.token === token ? entry : undefined;
  }

  set(entry: Kept<V>): void {
    this.delete(entry.token);
    this.#entries.set(endOf(entry.token), entry);
    this.#chars += entry.token.length;
    for (const { token } of this.#entries.values()) {
      if (this.#entries.size <= this.#entriesMax && this.#chars <= this.#charsMax) break;
      this.delete(token);
    }
  }

  /** Whatever stands under the token's end. */
  delete(token: string): void {
    const end = endOf(token);
    const entry = this.#entries.get(end);
    if (entry === undefined) return;
    this.#entries.delete(end);
    this.#chars -= entry.token.length;
  }
}

/** Characters of signature, 6 bits each, that its end is known by. */
const END_CHARS = 12;
const END_MAX = 2 ** 30 - 1;

/** 30 bits: a number that the map finds without looking at memory. */
function endOf(token: string): number {
  let end = 0;
  for (let i = Math.max(0, token.length - END_CHARS); i < token.length; i++)
    end = (Math.imul(end, 31) + token.charCodeAt(i)) & END_MAX;
  return end;
}
