/**
 * Who may work on the tables when: many that read or add, or one that moves rows from one place to another. In the order of their coming,
 * so that nobody waits for ever.
 *
 *   shared shared │ alone │ shared shared shared │ alone
 */
export class Turns {
  /** Resolves when the one that works alone is done. */
  #alone: Promise<unknown> = Promise.resolve();
  readonly #shared = new Set<Promise<unknown>>();

  shared<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#alone.then(work);
    const settled: Promise<unknown> = done.then(
      () => this.#shared.delete(settled),
      () => this.#shared.delete(settled),
    );
    this.#shared.add(settled);
    return done;
  }

  alone<T>(work: () => Promise<T>): Promise<T> {
    const done = Promise.all([this.#alone, ...this.#shared]).then(work);
    this.#alone = done.catch(() => {});
    return done;
  }
}
