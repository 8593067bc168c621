// hot path
/**
 * The numbers of limits: by name, and by what of which tenant is limited. A number that is given back is given to the next name.
 *
 *   tenant slot, part ─▶ number and its life ─▶ the columns of a limit      a number that lives another life is not found any more
 */
import { enlargedInts, roomFor } from '../arrays.ts';
import { ROWS_MAX, UNKNOWN } from './row-table.ts';

/** What of a tenant is limited: its requests, its response bytes, or `ROUTE` + the index of a route. */
export const REQUESTS = 0;
export const EGRESS = 1;
export const ROUTE = 2;

/** Lives of a number that can be told apart, in the bits above it: one that is given back each 10 min comes round after 110 days. */
const LIVES = 2 ** 14 - 1;
/** The life stands above the number: this is looked at several times in a request. */
const LIFE_AT = Math.log2(ROWS_MAX);
const NUMBER_BITS = ROWS_MAX - 1;

export class LimitNumbers {
  readonly #max: number;
  readonly #byName = new Map<string, number>();
  readonly #names: string[] = [];
  readonly #free: number[] = [];
  /** By number. */
  #life: Int32Array = new Int32Array(0);
  /** By part, by tenant slot: the life above the number; 0 for none. Routes have maps, for few tenants ask for most of them. */
  #requests: Int32Array = new Int32Array(0);
  #egress: Int32Array = new Int32Array(0);
  readonly #routes = new Map<number, Map<number, number>>();

  /** What was found last; a slot of -1: nothing that still holds. */
  #lastSlot = -1;
  #lastPart = REQUESTS;
  #last = UNKNOWN;

  constructor(max: number = ROWS_MAX) {
    this.#max = max;
  }

  /** Numbers ever in use: each is below. */
  get size(): number {
    return this.#names.length;
  }

  /** Numbers in use. */
  get used(): number {
    return this.#byName.size;
  }

  /** Empty where the number is free. */
  nameOf(number: number): string {
    return this.#names[number] as string;
  }

  byName(name: string): number | undefined {
    return this.#byName.get(name);
  }

  /** The name's number, a new one when it is new; `UNKNOWN` when there is no room. */
  take(name: string): number {
    let number = this.#byName.get(name);
    if (number !== undefined) return number;
    number = this.#free.pop() ?? this.#names.length;
    if (number >= this.#max) return UNKNOWN;
    if (number >= this.#life.length) this.#life = enlargedInts(this.#life, roomFor(number + 1), 1);
    this.#names[number] = name;
    this.#byName.set(name, number);
    return number;
  }

  /** Nobody asks for it any more. */
  give(number: number): void {
    this.#lastSlot = -1;
    this.#byName.delete(this.#names[number] as string);
    this.#names[number] = '';
    this.#life[number] = ((this.#life[number] as number) % LIVES) + 1;
    this.#free.push(number);
  }

  find(slot: number, part: number): number {
    // A request asks for the same one several times.
    if (slot === this.#lastSlot && part === this.#lastPart) return this.#last;
    const kept = this.#kept(slot, part);
    const number = kept & NUMBER_BITS;
    this.#lastSlot = slot;
    this.#lastPart = part;
    this.#last = kept !== 0 && this.#life[number] === kept >> LIFE_AT ? number : UNKNOWN;
    return this.#last;
  }

  keep(slot: number, part: number, number: number): void {
    this.#lastSlot = -1;
    const kept = ((this.#life[number] as number) << LIFE_AT) | number;
    if (part === REQUESTS) this.#requests = at(this.#requests, slot, kept);
    else if (part === EGRESS) this.#egress = at(this.#egress, slot, kept);
    else {
      let route = this.#routes.get(part);
      if (route === undefined) this.#routes.set(part, (route = new Map()));
      route.set(slot, kept);
    }
  }

  /** The tenant left, or its slot is another's. */
  forgetSlot(slot: number): void {
    this.#lastSlot = -1;
    if (slot < this.#requests.length) this.#requests[slot] = 0;
    if (slot < this.#egress.length) this.#egress[slot] = 0;
    for (const route of this.#routes.values()) route.delete(slot);
  }

  /** The route is gone, or its index is another's. */
  forgetPart(part: number): void {
    this.#lastSlot = -1;
    this.#routes.delete(part);
  }

  #kept(slot: number, part: number): number {
    if (part === REQUESTS) return this.#requests[slot] ?? 0;
    return (part === EGRESS ? this.#egress[slot] : this.#routes.get(part)?.get(slot)) ?? 0;
  }
}

function at(slots: Int32Array, slot: number, kept: number): Int32Array {
  const larger = slot < slots.length ? slots : enlargedInts(slots, Math.ceil((slot + 1) * 1.25));
  larger[slot] = kept;
  return larger;
}
