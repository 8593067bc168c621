/**
 * The current key set of each provider. Keys of a file are part of the configuration's generation; keys of a URL are fetched
 * once at a time, again when a token names an unknown key (not more often than the cool-down), and kept when the server is away.
 */
import type { Clock, Timers } from '../core/index.ts';
import type { Log } from '../telemetry/index.ts';
import type { IdentityProvider, Snapshot } from '../tenants/index.ts';
import { type KeySet, readKeySet } from './key-set.ts';

/** How long a new generation waits for keys it does not have yet. */
const PREPARE_MS_MAX = 2000;
/** Between two fetches that strangers can cause by naming unknown keys. */
const COOL_DOWN_MS = 30_000;
/** The same while there are no keys at all: every token waits for them, and is told to come again in 1 s. */
const COOL_DOWN_WITHOUT_KEYS_MS = 1000;
/** Age at which keys are fetched again beside their use. */
const REFRESH_MS = 600_000;

interface Slot {
  readonly provider: IdentityProvider;
  /** Where the keys are fetched; undefined for keys of a file. */
  readonly remote: Remote | undefined;
  keys: KeySet | undefined;
  fetching: Promise<void> | undefined;
  /** Monotonic ms of the last fetch that ended, good or not. */
  triedAt: number;
}

type Remote = Extract<IdentityProvider['jwks'], { readonly url: string }>;

export interface KeyStoreOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly countFetch: (result: 'ok' | 'failed') => void;
}

export class KeyStore {
  readonly #options: KeyStoreOptions;
  /** By provider object: a provider that did not change keeps its object across generations. */
  readonly #slots = new Map<IdentityProvider, Slot>();

  constructor(options: KeyStoreOptions) {
    this.#options = options;
  }

  /** Makes ready the keys of the next generation. Slots of the one before stay until this is called again. */
  async prepare(next: Snapshot, previous: Snapshot): Promise<void> {
    this.#retire(new Set([...next.providers.values(), ...previous.providers.values()]));
    const fresh = [...next.providers.values()].filter((provider) => !this.#slots.has(provider));
    if (fresh.length === 0) return;
    const late = Promise.withResolvers<void>();
    // Cancelled: a timer that nobody waits for any more would keep a process that is done for 2 s.
    const timer = this.#options.timers.after(PREPARE_MS_MAX, late.resolve);
    await Promise.race([Promise.all(fresh.map((provider) => this.#open(provider))), late.promise]);
    timer.cancel();
  }

  /** The keys now, or undefined when there were never any. */
  current(provider: IdentityProvider): KeySet | undefined {
    const slot = this.#slots.get(provider);
    if (slot === undefined) return undefined;
    if (slot.remote !== undefined && this.#options.clock.now() - slot.triedAt > REFRESH_MS)
      void this.#fetch(slot, slot.remote);
    return slot.keys;
  }

  /** For a token whose key is unknown: fetches again unless that was tried lately. Says the keys afterwards; none where they are no URL's. */
  async refreshed(provider: IdentityProvider): Promise<KeySet | undefined> {
    const slot = this.#slots.get(provider);
    if (slot?.remote === undefined) return undefined;
    const coolDownMs = slot.keys === undefined ? COOL_DOWN_WITHOUT_KEYS_MS : COOL_DOWN_MS;
    const isDue = slot.fetching !== undefined || this.#options.clock.now() - slot.triedAt >= coolDownMs;
    if (isDue) await this.#fetch(slot, slot.remote);
    return slot.keys;
  }

  /** Drops the slots of providers that no generation in use names. Keys that a later version of the provider took over live on. */
  #retire(kept: ReadonlySet<IdentityProvider>): void {
    const gone = [...this.#slots.values()].filter(({ provider }) => !kept.has(provider));
    for (const { provider } of gone) this.#slots.delete(provider);
    const live = new Set([...this.#slots.values()].map(({ keys }) => keys));
    for (const { keys } of gone) if (keys !== undefined && !live.has(keys)) keys.isCurrent = false;
  }

  async #open(provider: IdentityProvider): Promise<void> {
    const { jwks } = provider;
    const remote = 'url' in jwks ? jwks : undefined;
    const keys = remote && this.#inherited(provider, remote);
    const slot: Slot = { provider, remote, keys, fetching: undefined, triedAt: Number.NEGATIVE_INFINITY };
    this.#slots.set(provider, slot);
    if ('url' in jwks) await this.#fetch(slot, jwks);
    else this.#replace(slot, jwks.text);
  }

  /** Keys of the same URL under the provider's earlier version: better than none while they are fetched anew. */
  #inherited({ algorithms }: IdentityProvider, { url }: Remote): KeySet | undefined {
    for (const { provider, remote, keys } of this.#slots.values()) {
      if (remote?.url === url && provider.algorithms.join() === algorithms.join()) return keys;
    }
    return undefined;
  }

  #fetch(slot: Slot, remote: Remote): Promise<void> {
    slot.fetching ??= this.#fetchOnce(slot, remote).finally(() => {
      slot.fetching = undefined;
      slot.triedAt = this.#options.clock.now();
    });
    return slot.fetching;
  }

  async #fetchOnce(slot: Slot, { url, allowPrivate }: Remote): Promise<void> {
    try {
      // With an HTTP client of its own, which a sidecar with keys from files never loads.
      const { fetchKeys } = await import('./fetch-keys.ts');
      this.#replace(slot, await fetchKeys(url, allowPrivate));
      this.#options.countFetch('ok');
    } catch (cause) {
      this.#options.countFetch('failed');
      this.#options.log.warn('identity.keys_not_fetched', {
        provider: slot.provider.name,
        cause,
        kept: slot.keys !== undefined,
      });
    }
  }

  #replace(slot: Slot, text: string): void {
    const keys = readKeySet(text, slot.provider.algorithms);
    for (const reason of keys.ignored)
      this.#options.log.warn('identity.key_ignored', { provider: slot.provider.name, reason });
    if (slot.keys !== undefined) slot.keys.isCurrent = false;
    slot.keys = keys;
  }
}
