/**
 * What the ledger has, on its way to the store: summed up, handed on, applied.
 *
 *   add ─▶ sums ─ windows of a service ─▶ store       at most `APPLYING_MAX` at once; who adds more is told to wait
 *           ║
 *          cut: nothing is added until all from before it is applied
 */
import type { Entry } from './entry.ts';
import { Sums } from './sums.ts';

/** Windows on their way. */
const APPLYING_MAX = 8;

export class Feed {
  readonly sums: Sums;
  readonly #applying = new Set<Promise<void>>();
  #gate: Promise<void> | undefined;

  /** `apply` does not reject. */
  constructor(apply: (service: string, payload: Buffer) => Promise<void>) {
    this.sums = new Sums((service, payload) => {
      const applying: Promise<void> = apply(service, payload);
      this.#applying.add(applying);
      void applying.then(() => this.#applying.delete(applying));
    });
  }

  /** Undefined: more may come at once. */
  add(entry: Entry): Promise<void> | undefined {
    if (this.#gate !== undefined) return this.#gate.then(() => this.add(entry));
    this.sums.add(entry);
    return this.#applying.size < APPLYING_MAX ? undefined : Promise.race(this.#applying);
  }

  /** Resolves when all that was added is applied. */
  async flush(): Promise<void> {
    this.sums.flush();
    await Promise.all(this.#applying);
  }

  /** The same; what is added meanwhile waits, and is not among it. */
  cut(): Promise<void> {
    const applied: Promise<void> = this.flush().then(() => {
      if (this.#gate === applied) this.#gate = undefined;
    });
    this.#gate = applied;
    return applied;
  }
}
