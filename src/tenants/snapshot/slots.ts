/** Dense, stable numbers: typed arrays elsewhere are indexed by them. A freed number is given out again. */
export class Slots {
  readonly #free: number[];
  #next: number;

  /** Those of `before` are in use; what is done with these does not change it. */
  constructor(before?: Slots) {
    this.#free = before === undefined ? [] : before.#free.slice();
    this.#next = before === undefined ? 0 : before.#next;
  }

  /** One more than the largest number in use, ever. */
  get length(): number {
    return this.#next;
  }

  take(): number {
    return this.#free.pop() ?? this.#next++;
  }

  release(slot: number): void {
    this.#free.push(slot);
  }
}
