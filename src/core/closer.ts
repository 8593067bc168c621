/** Closes what was opened, in the reverse order, each once, even when one of them fails. */

export type Closing = () => void | Promise<void>;

export class Closer {
  readonly #closings: Closing[] = [];
  #closed: Promise<void> | undefined;

  /** Registers how to close a thing at the moment it was opened. */
  add(closing: Closing): void {
    this.#closings.push(closing);
  }

  /** Idempotent. Rejects with one AggregateError when a closing failed; the others have run all the same. */
  close(): Promise<void> {
    this.#closed ??= this.#closeAll();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const closing of this.#closings.reverse()) {
      try {
        await closing();
      } catch (cause) {
        failures.push(cause);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'closing failed');
  }
}
