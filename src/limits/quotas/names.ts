const NONE = -1;

/** Numbers for names that are long and come again; given back when nothing has them any more. */
export class Names {
  readonly #numbers = new Map<string, number>();
  readonly #names: string[] = [];
  readonly #uses: number[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#numbers.size;
  }

  names(): Iterable<string> {
    return this.#numbers.keys();
  }

  find(name: string): number {
    return this.#numbers.get(name) ?? NONE;
  }

  take(name: string): number {
    let number = this.find(name);
    if (number === NONE) {
      number = this.#free.pop() ?? this.#names.length;
      this.#numbers.set(name, number);
      this.#names[number] = name;
      this.#uses[number] = 0;
    }
    (this.#uses[number] as number) += 1;
    return number;
  }

  nameOf(number: number): string {
    return this.#names[number] as string;
  }

  release(number: number): void {
    (this.#uses[number] as number) -= 1;
    if (this.#uses[number] !== 0) return;
    this.#numbers.delete(this.#names[number] as string);
    this.#free.push(number);
  }
}
