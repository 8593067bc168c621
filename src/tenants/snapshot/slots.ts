/** Dense, stable numbers for names: typed arrays elsewhere are indexed by them. A freed number is given out again. */
export class Slots {
  readonly #byName = new Map<string, number>();
  readonly #free: number[] = [];
  #next = 0;

  /** One more than the largest number in use, ever. */
  get length(): number {
    return this.#next;
  }

  of(name: string): number {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const slot = this.#free.pop() ?? this.#next++;
    this.#byName.set(name, slot);
    return slot;
  }

  release(name: string): void {
    const slot = this.#byName.get(name);
    if (slot === undefined) return;
    this.#byName.delete(name);
    this.#free.push(slot);
  }
}
