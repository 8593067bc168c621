/**
 * Tenants found by a key, in one generation:
 *
 *   key ──▶ slot ──▶ tenant        the maps are shared by generations that changed no key
 */
import type { Tenant } from '../model.ts';
import type { TenantStore } from './tenant-store.ts';

/** No key stands in two of the maps. */
type Slots = readonly ReadonlyMap<string, number>[];

export class TenantView implements ReadonlyMap<string, Tenant> {
  readonly #tenants: TenantStore;
  readonly #slots: Slots;

  constructor(tenants: TenantStore, ...slots: Slots) {
    this.#tenants = tenants;
    this.#slots = slots;
  }

  get size(): number {
    return this.#slots.reduce((sum, each) => sum + each.size, 0);
  }

  get(key: string): Tenant | undefined {
    const slot = this.#slotOf(key);
    return slot === undefined ? undefined : this.#tenants.get(slot);
  }

  has(key: string): boolean {
    return this.#slotOf(key) !== undefined;
  }

  *keys(): MapIterator<string> {
    for (const slots of this.#slots) yield* slots.keys();
  }

  *entries(): MapIterator<[string, Tenant]> {
    for (const slots of this.#slots) for (const [key, slot] of slots) yield [key, this.#tenants.get(slot)];
  }

  *values(): MapIterator<Tenant> {
    for (const [, tenant] of this.entries()) yield tenant;
  }

  forEach(run: (tenant: Tenant, key: string, view: ReadonlyMap<string, Tenant>) => void): void {
    for (const [key, tenant] of this.entries()) run(tenant, key, this);
  }

  [Symbol.iterator](): MapIterator<[string, Tenant]> {
    return this.entries();
  }

  #slotOf(key: string): number | undefined {
    for (const slots of this.#slots) {
      const slot = slots.get(key);
      if (slot !== undefined) return slot;
    }
    return undefined;
  }
}
