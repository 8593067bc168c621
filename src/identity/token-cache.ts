// hot path
/**
 * Tokens that were verified. Found by the whole token, never by a hash alone; an entry speaks only while the provider and the
 * keys it was verified with are the current ones, so a change of keys needs no flush and a change of limits costs nothing.
 * Refusals have a map of their own, so that a stranger's tokens cannot push out a tenant's.
 */
import { BoundedMap } from '../core/index.ts';
import type { Reply } from '../pipeline/index.ts';
import type { IdentityProvider } from '../tenants/index.ts';
import type { KeySet } from './key-set.ts';

export interface Verified {
  readonly externalId: string;
  /** Wall ms: the token's own end. */
  readonly expiresMs: number;
  readonly keys: KeySet;
  readonly provider: IdentityProvider;
}

const VERIFIED_MAX = 50_000;
const REFUSED_MAX = 4096;
/** An upper bound on how long a revoked key's token could live on beside a lost file event. */
const VERIFIED_MS = 60_000;
const REFUSED_MS = 1000;

export class TokenCache {
  readonly #verified = new BoundedMap<string, Verified & { readonly untilMs: number }>(VERIFIED_MAX);
  readonly #refused = new BoundedMap<
    string,
    { readonly reply: Reply; readonly untilMs: number; readonly epoch: object }
  >(REFUSED_MAX);

  get size(): number {
    return this.#verified.size;
  }

  /** `providers`: those of the exchange's own generation; a provider whose document or key file changed is another object. */
  verified(token: string, wallMs: number, providers: ReadonlyMap<string, IdentityProvider>): Verified | undefined {
    const entry = this.#verified.peek(token);
    if (entry === undefined) return undefined;
    if (wallMs < entry.untilMs && entry.keys.isCurrent && providers.get(entry.provider.name) === entry.provider)
      return entry;
    this.#verified.delete(token);
    return undefined;
  }

  addVerified(token: string, entry: Verified, wallMs: number): void {
    this.#verified.set(token, { ...entry, untilMs: Math.min(entry.expiresMs, wallMs + VERIFIED_MS) });
  }

  /** `epoch`: the provider set the refusal was made under. */
  refused(token: string, wallMs: number, epoch: object): Reply | undefined {
    const entry = this.#refused.peek(token);
    return entry !== undefined && wallMs < entry.untilMs && entry.epoch === epoch ? entry.reply : undefined;
  }

  addRefused(token: string, reply: Reply, wallMs: number, epoch: object): void {
    this.#refused.set(token, { reply, untilMs: wallMs + REFUSED_MS, epoch });
  }
}
