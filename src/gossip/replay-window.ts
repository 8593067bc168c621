// hot path
/**
 * Which of the newest 1,024 numbers of a sender were seen (RFC 4303 §3.4.3). A bit a number, in a ring.
 *
 *   highest − 1023 ─────────────── highest
 *   [ 1 0 1 1 … ]   older: refused, newer: moves the window
 */

const WIDTH = 1024;

export class ReplayWindow {
  readonly #bits = new Uint32Array(WIDTH / 32);
  #highest = 0;

  /** Whether a number, from 1 on, is neither seen nor too old. */
  isFresh(sequence: number): boolean {
    if (sequence > this.#highest) return true;
    if (sequence <= this.#highest - WIDTH) return false;
    const at = sequence % WIDTH;
    return ((this.#bits[at >>> 5] as number) & (1 << (at & 31))) === 0;
  }

  /** Only of a number that is fresh, and whose frame was opened. */
  mark(sequence: number): void {
    if (sequence - this.#highest >= WIDTH) this.#bits.fill(0);
    else for (let each = this.#highest + 1; each < sequence; each++) this.#set(each, false);
    this.#highest = Math.max(this.#highest, sequence);
    this.#set(sequence, true);
  }

  #set(sequence: number, isSeen: boolean): void {
    const at = sequence % WIDTH;
    const bit = 1 << (at & 31);
    const word = this.#bits[at >>> 5] as number;
    this.#bits[at >>> 5] = isSeen ? word | bit : word & ~bit;
  }
}
