/**
 * Tenants found by a key, in one generation:
 *
 *   key ──▶ slot ──▶ tenant        the first map is shared by generations that changed no key,
 *                                  the second is one array of pointers, copied in microseconds
 */
import type { Tenant } from '../model.ts';

export class TenantView implements ReadonlyMap<string, Tenant> {
  readonly #slots: ReadonlyMap<string, number>;
  readonly #tenants: readonly (Tenant | undefined)[];

  constructor(slots: ReadonlyMap<string, number> = new Map(), tenants: readonly (Tenant | undefined)[] = []) {
    this.#slots = slots;
    this.#tenants = tenants;
  }

  get size(): number {
    return this.#slots.size;
  }

  get(key: string): Tenant | undefined {
    const slot = this.#slots.get(key);
    return slot === undefined ? undefined : this.#tenants[slot];
  }

  has(key: string): boolean {
    return this.#slots.has(key);
  }

  keys(): MapIterator<string> {
    return this.#slots.keys();
  }

  *entries(): MapIterator<[string, Tenant]> {
    for (const [key, slot] of this.#slots) yield [key, this.#tenants[slot] as Tenant];
  }

  *values(): MapIterator<Tenant> {
    for (const slot of this.#slots.values()) yield this.#tenants[slot] as Tenant;
  }

  forEach(run: (tenant: Tenant, key: string, view: ReadonlyMap<string, Tenant>) => void): void {
    for (const [key, tenant] of this.entries()) run(tenant, key, this);
  }

  [Symbol.iterator](): MapIterator<[string, Tenant]> {
    return this.entries();
  }
}
