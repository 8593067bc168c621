/** Chance from a seed: the same seed, the same run. */
import type { Random } from '../src/core/index.ts';

/** sfc32 by Chris Doty-Humphrey: small, fast, and good enough for a simulation. */
export class Chance implements Random {
  #a: number;
  #b = 0x9e3779b9;
  #c = 0x243f6a88;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed >>> 0;
    for (let i = 0; i < 15; i++) this.#next();
  }

  float(): number {
    return this.#next() / 2 ** 32;
  }

  hex(bytes: number): string {
    let text = '';
    while (text.length < bytes * 2) text += this.#next().toString(16).padStart(8, '0');
    return text.slice(0, bytes * 2);
  }

  /** Time until the next of events that come `perSec` a second, each at random, ms. */
  gapMs(perSec: number): number {
    return (-Math.log(1 - this.float()) * 1000) / perSec;
  }

  below(count: number): number {
    return Math.floor(this.float() * count);
  }

  #next(): number {
    const t = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + t) | 0;
    return t >>> 0;
  }
}
