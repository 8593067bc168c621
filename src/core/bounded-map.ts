/**
 * A map with a stated bound: at `capacity` entries the least recently set or touched one leaves.
 *
 *   oldest ─▶ [k0 v0] [k1 v1] … [kn vn] ◀─ newest        (insertion order of a Map)
 */
export class BoundedMap<K, V> {
  readonly capacity: number;
  readonly #entries = new Map<K, V>();

  constructor(capacity: number) {
    if (!(capacity >= 1)) throw new RangeError(`a bounded map holds at least 1 entry, asked for ${capacity}`);
    this.capacity = capacity;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Reads without touching the order. */
  peek(key: K): V | undefined {
    return this.#entries.get(key);
  }

  /** Reads and makes the entry the newest. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  set(key: K, value: V): void {
    this.#entries.delete(key);
    if (this.#entries.size >= this.capacity) this.#dropOldest();
    this.#entries.set(key, value);
  }

  delete(key: K): boolean {
    return this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  entries(): IterableIterator<[K, V]> {
    return this.#entries.entries();
  }

  #dropOldest(): void {
    this.#entries.delete(this.#entries.keys().next().value as K);
  }
}
