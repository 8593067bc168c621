/**
 * The current key set of each provider. Keys of a file are part of the configuration's generation; keys of a URL are fetched
 * once at a time, again when a token names an unknown key (not more often than the cool-down), and kept when the server is away.
 */
import type { Clock, Timers } from '../core/index.ts';
import type { Log } from '../telemetry/index.ts';
import type { IdentityProvider, Snapshot } from '../tenants/index.ts';
import { fetchKeys } from './fetch-keys.ts';
import { type KeySet, readKeySet } from './key-set.ts';

/** How long a new generation waits for keys it does not have yet. */
const PREPARE_MS_MAX = 2000;
const COOL_DOWN_MS = 30_000;
/** Age at which keys are fetched again beside their use. */
const REFRESH_MS = 600_000;

interface Slot {
  readonly provider: IdentityProvider;
  keys: KeySet | undefined;
  fetching: Promise<void> | undefined;
  /** Monotonic ms of the last fetch that ended, good or not. */
  triedAt: number;
}

export interface KeyStoreOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly countFetch: (result: 'ok' | 'failed') => void;
}

export class KeyStore {
  readonly #options: KeyStoreOptions;
  /** By provider object: a provider that did not change keeps its object across generations. */
  #slots = new Map<IdentityProvider, Slot>();

  constructor(options: KeyStoreOptions) {
    this.#options = options;
  }

  /** Makes ready the keys of the next generation. Slots of the one before stay until this is called again. */
  async prepare(next: Snapshot, previous: Snapshot | undefined): Promise<void> {
    const kept = new Set([...next.providers.values(), ...(previous?.providers.values() ?? [])]);
    for (const [provider, slot] of this.#slots) {
      if (kept.has(provider)) continue;
      if (slot.keys !== undefined) slot.keys.isCurrent = false;
      this.#slots.delete(provider);
    }
    const fresh = [...next.providers.values()].filter((provider) => !this.#slots.has(provider));
    await Promise.race([
      Promise.all(fresh.map((provider) => this.#open(provider))),
      this.#options.timers.sleep(PREPARE_MS_MAX),
    ]);
  }

  /** The keys now, or undefined when there were never any. */
  current(provider: IdentityProvider): KeySet | undefined {
    const slot = this.#slots.get(provider);
    if (slot === undefined) return undefined;
    if ('url' in provider.jwks && this.#options.clock.now() - slot.triedAt > REFRESH_MS) void this.#fetch(slot);
    return slot.keys;
  }

  /** For a token whose key is unknown: fetches again unless that was tried lately. Says the keys afterwards. */
  async refreshed(provider: IdentityProvider): Promise<KeySet | undefined> {
    const slot = this.#slots.get(provider);
    if (slot === undefined || !('url' in provider.jwks)) return slot?.keys;
    if (slot.fetching !== undefined || this.#options.clock.now() - slot.triedAt > COOL_DOWN_MS || slot.triedAt === 0)
      await this.#fetch(slot);
    return slot.keys;
  }

  async #open(provider: IdentityProvider): Promise<void> {
    const slot: Slot = { provider, keys: this.#inherited(provider), fetching: undefined, triedAt: 0 };
    this.#slots.set(provider, slot);
    if ('url' in provider.jwks) await this.#fetch(slot);
    else await this.#replace(slot, provider.jwks.text);
  }

  /** Keys of the same URL under the provider's earlier version: better than none while they are fetched anew. */
  #inherited(provider: IdentityProvider): KeySet | undefined {
    if (!('url' in provider.jwks)) return undefined;
    for (const { provider: other, keys } of this.#slots.values()) {
      if (
        'url' in other.jwks &&
        other.jwks.url === provider.jwks.url &&
        other.algorithms.join() === provider.algorithms.join()
      )
        return keys;
    }
    return undefined;
  }

  #fetch(slot: Slot): Promise<void> {
    slot.fetching ??= this.#fetchOnce(slot).finally(() => {
      slot.fetching = undefined;
      slot.triedAt = this.#options.clock.now();
    });
    return slot.fetching;
  }

  async #fetchOnce(slot: Slot): Promise<void> {
    const { jwks, name } = slot.provider;
    if (!('url' in jwks)) return;
    try {
      await this.#replace(slot, await fetchKeys(jwks.url, jwks.allowPrivate));
      this.#options.countFetch('ok');
    } catch (cause) {
      this.#options.countFetch('failed');
      this.#options.log.warn('identity.keys_not_fetched', { provider: name, cause, kept: slot.keys !== undefined });
    }
  }

  async #replace(slot: Slot, text: string): Promise<void> {
    const keys = await readKeySet(text, slot.provider.algorithms);
    for (const reason of keys.ignored)
      this.#options.log.warn('identity.key_ignored', { provider: slot.provider.name, reason });
    if (slot.keys !== undefined) slot.keys.isCurrent = false;
    slot.keys = keys;
  }
}
