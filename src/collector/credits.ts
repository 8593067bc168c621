/**
 * How much all sidecars together may have on its way to here: payloads that came and are not summed up yet, and payloads that may come.
 *
 *   budget = free + Σ lines ( promised + held + charged )        always; a line is a stream
 *
 * A line begins with the base. One that uses up what it was promised gets twice as much the next time, up to the most, as long as it takes
 * nothing of half of the budget, which is for those that come; one that does not goes back to the base by halves. What was lent and is not
 * used stays lent until it is: at most one window a line.
 */
export interface CreditOptions {
  /** Bytes in all. */
  readonly budget: number;
  /** Of a line that has just begun, bytes. */
  readonly base: number;
  /** Of a line at most, bytes. */
  readonly most: number;
}

export class CreditPool {
  readonly #o: CreditOptions;
  #free: number;
  #lines = 0;

  constructor(options: CreditOptions) {
    this.#o = options;
    this.#free = options.budget;
  }

  /** Bytes that nobody has or may send. Never below zero. */
  get free(): number {
    return this.#free;
  }

  get lines(): number {
    return this.#lines;
  }

  /** Undefined: there is no room for another. */
  join(): CreditLine | undefined {
    if (this.#free < this.#o.base) return undefined;
    this.#lines++;
    this.#free -= this.#o.base;
    return new CreditLine(
      this.#o,
      (bytes) => {
        this.#free += bytes;
        return this.#free;
      },
      () => this.#lines--,
    );
  }
}

export class CreditLine {
  readonly #o: CreditOptions;
  /** Gives back, or takes when it is below zero; returns what is free then. */
  readonly #giveBack: (bytes: number) => number;
  readonly #onLeave: () => void;
  #charged = 0;
  #promised: number;
  #held = 0;
  #window: number;
  #isUsedUp = false;
  #hasLeft = false;

  constructor(options: CreditOptions, giveBack: (bytes: number) => number, onLeave: () => void) {
    this.#o = options;
    this.#giveBack = giveBack;
    this.#onLeave = onLeave;
    this.#promised = options.base;
    this.#window = options.base;
  }

  get promised(): number {
    return this.#promised;
  }

  /**
   * A payload came. False: more than was promised, and it must not be kept. One that is larger than any promise may come when the line holds
   * nothing else, as long as it is free.
   */
  spend(bytes: number): boolean {
    const over = bytes - this.#promised;
    if (over > 0 && (this.#held > 0 || over > this.#giveBack(0))) return false;
    if (over > 0) this.#giveBack(-over);
    this.#promised = Math.max(0, -over);
    this.#held += bytes;
    if (this.#promised < this.#window / 2) this.#isUsedUp = true;
    return true;
  }

  /** A payload is done with. Returns how much more may be sent; it is promised by then. */
  release(bytes: number): number {
    if (this.#hasLeft) {
      this.#giveBack(bytes);
      return 0;
    }
    this.#held -= bytes;
    const free = this.#giveBack(bytes);
    const { base, most, budget } = this.#o;
    const spare = Math.max(0, Math.floor(free - this.#missing - budget / 2));
    this.#window = this.#isUsedUp
      ? Math.min(this.#window * 2, this.#window + spare, most)
      : Math.max(base, Math.floor(this.#window / 2));
    this.#isUsedUp = false;
    const more = Math.min(this.#missing, free);
    if (more <= 0) return 0;
    this.#giveBack(-more);
    this.#promised += more;
    return more;
  }

  /** To a full window. */
  get #missing(): number {
    return Math.max(0, this.#window - this.#promised - this.#held);
  }

  /** Something small came that no promise is for: it takes of what is free, at most as much as a window has. False: it must not be kept. */
  charge(bytes: number): boolean {
    if (bytes > this.#giveBack(0) || this.#charged + bytes > this.#o.most) return false;
    this.#charged += bytes;
    this.#giveBack(-bytes);
    return true;
  }

  discharge(bytes: number): void {
    this.#charged -= bytes;
    this.#giveBack(bytes);
  }

  /** What it was promised is free again; what it holds, once it is released. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#giveBack(this.#promised);
    this.#promised = 0;
    this.#onLeave();
  }
}
