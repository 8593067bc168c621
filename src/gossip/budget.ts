/** A token bucket that starts full: what may be spent a second, and at most at once. */
import type { Clock } from '../core/index.ts';

export class Budget {
  readonly #clock: Clock;
  readonly #perSec: number;
  readonly #most: number;
  #left: number;
  #at: number;

  constructor(clock: Clock, perSec: number, most: number = perSec) {
    this.#clock = clock;
    this.#perSec = perSec;
    this.#most = most;
    this.#left = most;
    this.#at = clock.now();
  }

  /** Units that could be spent now; negative in debt. */
  get left(): number {
    const now = this.#clock.now();
    this.#left = Math.min(this.#most, this.#left + (Math.max(0, now - this.#at) * this.#perSec) / 1000);
    this.#at = now;
    return this.#left;
  }

  /** Spends if there is enough. */
  take(amount: number): boolean {
    if (this.left < amount) return false;
    this.#left -= amount;
    return true;
  }

  /** Spends what cannot be refused: into debt, at most as deep as the bucket is high. */
  debit(amount: number): void {
    this.#left = Math.max(-this.#most, this.left - amount);
  }
}
