// hot path
/**
 * Tokens that were verified. Found by the whole token, never by a hash alone; an entry speaks only while the provider and the
 * keys it was verified with are the current ones, so a change of keys needs no flush and a change of limits costs nothing.
 * Refusals have a map of their own, so that a stranger's tokens cannot push out a tenant's.
 *
 *   oldest ─▶ [token → entry] … [token → entry] ◀─ newest      the oldest leave when entries are too many
 *                 ↓                 ↓
 *   pages     [ bytes of tokens … ][ bytes … ]                 the oldest goes, with what stands in it, when all of that is over, or pages are too many
 *
 * A token is looked up where it lies in the head, and compared with its bytes here: a hit makes no string.
 *
 * What a token named is kept with it, so at most as many tenants of generations before as there are entries.
 *
 * Two clocks: a token ends by the wall clock, as it says itself; what we remember of it ends by the monotonic one, so that a wall
 * clock that is set back cannot keep a verdict alive.
 */
import type { MonotonicMs } from '../core/index.ts';
import type { IdentityProvider } from '../tenants/index.ts';
import { Span } from '../wire/index.ts';
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
/** Verified tokens of 1 KiB fill the entries; longer ones are fewer. */
const VERIFIED_BYTES_MAX = 48 * 2 ** 20;
const REFUSED_MAX = 4096;
const REFUSED_BYTES_MAX = 4 * 2 ** 20;
/** From when it was verified. Verified again with the same keys it would be the same; keys that changed count at once (0024). */
const VERIFIED_MS = 600_000;
const REFUSED_MS = 1000;
/** Of tokens that came about the same time: two hundred of usual length. */
const PAGE_BYTES = 64 * 1024;

interface Page {
  readonly bytes: Buffer;
  used: number;
  /** The numbers under which entries were put whose tokens stand here. */
  readonly ends: number[];
  /** When the last of them is over. */
  until: number;
}

interface Kept<V> {
  readonly page: Page;
  /** Of its token, in the page. */
  readonly from: number;
  readonly to: number;
  readonly value: V;
  readonly until: number;
}

export class TokenCache {
  readonly #verified = new TokenMap<Verified>({ entriesMax: VERIFIED_MAX, bytesMax: VERIFIED_BYTES_MAX });
  readonly #refused = new TokenMap<{ readonly refusal: Refusal; readonly epoch: object }>({
    entriesMax: REFUSED_MAX,
    bytesMax: REFUSED_BYTES_MAX,
  });

  get size(): number {
    return this.#verified.size;
  }

  /** Of the pages that hold tokens. */
  get bytes(): number {
    return this.#verified.bytes + this.#refused.bytes;
  }

  /** `providers`: those of the exchange's own generation; a provider whose document or key file changed is another object. */
  verified(
    token: Span,
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
    this.#verified.delete(entry);
    return undefined;
  }

  addVerified(token: string, value: Verified, now: MonotonicMs): void {
    this.#verified.set(token, value, now, now + VERIFIED_MS);
  }

  /** `epoch`: the provider set the refusal was made under. */
  refused(token: Span, now: MonotonicMs, epoch: object): Refusal | undefined {
    const entry = this.#refused.get(token);
    return entry !== undefined && now < entry.until && entry.value.epoch === epoch ? entry.value.refusal : undefined;
  }

  addRefused(token: string, refusal: Refusal, now: MonotonicMs, epoch: object): void {
    this.#refused.set(token, { refusal, epoch }, now, now + REFUSED_MS);
  }
}

/**
 * Bounded in entries and in bytes. An entry stands under a number made of the end of its token, which is signature and as good as
 * random, and speaks for the whole token only: to hash all of a token's bytes would cost more than everything else that a hit does.
 * Of two tokens with one number, which of 50,000 one pair has, the later stays and the other is verified anew; a stranger who imitates an
 * end finds nothing and puts nothing among the verified.
 */
class TokenMap<V> {
  readonly #entriesMax: number;
  readonly #pagesMax: number;
  readonly #entries = new Map<number, Kept<V>>();
  /** Oldest first. Whatever stands in one is over not long after its last: none is kept for the sake of a token that nobody uses. */
  readonly #pages: Page[] = [];
  readonly #written = new Span();

  constructor({ entriesMax, bytesMax }: { readonly entriesMax: number; readonly bytesMax: number }) {
    this.#entriesMax = entriesMax;
    this.#pagesMax = bytesMax / PAGE_BYTES;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#pages.length * PAGE_BYTES;
  }

  get({ bytes, from, to }: Span): Kept<V> | undefined {
    const entry = this.#entries.get(endOf(bytes, from, to));
    if (entry === undefined || entry.to - entry.from !== to - from) return undefined;
    return entry.page.bytes.compare(bytes, from, to, entry.from, entry.to) === 0 ? entry : undefined;
  }

  /** A token is no longer than a page. */
  set(token: string, value: V, now: number, until: number): void {
    while (this.#pages[0] !== undefined && this.#pages[0].until <= now) this.#dropPage();
    const page = this.#pageFor(token.length);
    const from = page.used;
    const to = from + page.bytes.write(token, from, 'latin1');
    const end = endOf(page.bytes, from, to);
    const before = this.get(this.#written.at(page.bytes, from, to));
    // It is the newest, also when it was there.
    this.#entries.delete(end);
    // Who waited together for one set of keys adds one token often: it takes its room once.
    if (before !== undefined && now < before.until) return void this.#entries.set(end, { ...before, value });
    page.used = to;
    page.until = until;
    page.ends.push(end);
    this.#entries.set(end, { page, from, to, value, until });
    if (this.#entries.size > this.#entriesMax) this.#dropOldest();
  }

  delete({ page, from, to }: Kept<V>): void {
    this.#entries.delete(endOf(page.bytes, from, to));
  }

  #dropOldest(): void {
    this.#entries.delete(this.#entries.keys().next().value as number);
  }

  #pageFor(length: number): Page {
    const last = this.#pages.at(-1);
    if (last !== undefined && last.used + length <= PAGE_BYTES) return last;
    if (this.#pages.length >= this.#pagesMax) this.#dropPage();
    const page = { bytes: Buffer.allocUnsafeSlow(PAGE_BYTES), used: 0, ends: [], until: 0 };
    this.#pages.push(page);
    return page;
  }

  #dropPage(): void {
    const page = this.#pages.shift() as Page;
    for (const end of page.ends) if (this.#entries.get(end)?.page === page) this.#entries.delete(end);
  }
}

/** Bytes of signature, 6 bits each, that its end is known by. */
const END_BYTES = 12;
const END_MAX = 2 ** 30 - 1;

/** 30 bits: a number that the map finds without looking at memory. */
function endOf(bytes: Buffer, from: number, to: number): number {
  let end = 0;
  for (let i = Math.max(from, to - END_BYTES); i < to; i++) end = (Math.imul(end, 31) + (bytes[i] as number)) & END_MAX;
  return end;
}
