// hot path
/**
 * Whether something lasts, by slot. It is on when it went on for 1 s, no second of it without a mark; off when there was none for 5 s.
 *
 *   marks  |        ||||||||||||  |
 *   on                 ┌──────────────────┐
 *                   ◀1s▶          ◀── 5s ──▶
 */
import { enlargedWords } from './arrays.ts';

/** 1 s: a burst is over by then. */
const UP_MS = 1000;
/** 5 s: who is at the edge of a limit comes again before. */
const DOWN_MS = 5000;

/** Where nothing was ever marked it takes no memory, then 6 bytes a slot. */
export class Hysteresis {
  #slots = 0;
  /** Modulo 2^32 ms: who was on and rested for 49.7 days to the second would be on for a moment. */
  #last: Uint32Array = new Uint32Array(0);
  /** From the first mark to the last, ms, up to UP_MS. */
  #lasted: Uint16Array = new Uint16Array(0);

  grow(slots: number): void {
    this.#slots = slots;
    if (this.#last.length > 0) this.#allocate();
  }

  mark(slot: number, now: number): void {
    if (slot >= this.#last.length) this.#allocate();
    const gap = this.#since(slot, now);
    const isNew = gap > UP_MS && !this.isOn(slot, now);
    this.#lasted[slot] = isNew ? 0 : Math.min(UP_MS, (this.#lasted[slot] as number) + gap);
    this.#last[slot] = wholeMs(now);
  }

  isOn(slot: number, now: number): boolean {
    if (slot >= this.#last.length || (this.#lasted[slot] as number) < UP_MS) return false;
    return this.#since(slot, now) < DOWN_MS;
  }

  forget(slot: number): void {
    if (slot >= this.#last.length) return;
    this.#last[slot] = 0;
    this.#lasted[slot] = 0;
  }

  /** The last mark, ms ago; of a clock that was set back, long ago. */
  #since(slot: number, now: number): number {
    return (wholeMs(now) - (this.#last[slot] as number)) >>> 0;
  }

  #allocate(): void {
    this.#last = enlargedWords(this.#last, this.#slots);
    const lasted = new Uint16Array(this.#slots);
    lasted.set(this.#lasted);
    this.#lasted = lasted;
  }
}

/** Never 0 as a clock begins: that is the last mark of who has none. */
function wholeMs(now: number): number {
  return (now + DOWN_MS) >>> 0;
}
