/**
 * How well we do ourselves, 0 (well) to 8: Lifeguard's local health multiplier (Dadgar, Phillips, Currey 2018, §IV.A). Every own timeout is
 * multiplied by 1 + score, so that who is slow doubts itself before it accuses others.
 */

const SCORE_MAX = 8;

export class Health {
  #score = 0;

  get score(): number {
    return this.#score;
  }

  worsen(by: number): void {
    this.#score = Math.min(SCORE_MAX, this.#score + by);
  }

  improve(): void {
    this.#score = Math.max(0, this.#score - 1);
  }

  /** A timeout as it is for us now. */
  widened(ms: number): number {
    return ms * (1 + this.#score);
  }
}
