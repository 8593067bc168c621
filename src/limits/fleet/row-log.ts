/**
 * What one member says of the limits it has seen requests for: the name of each, and always the newest row. Each entry has the version it
 * was written in; who holds version n holds all that was written up to n and is not replaced since.
 *
 *   either  version − the last one's   varint
 *           number of the limit × 2 + 1, its name           varint, length, text; no text: the number means nothing any more
 *   or      version − the last one's   varint
 *           number of the limit × 2                         varint
 *           admitted since the limit was named              varint, units
 *           demand, rate admitted now, age                  a byte each, on log scales
 *
 * A member numbers its limits itself; a name stands before the first row of its number. A name that is said anew ends the row before it.
 *
 *   first ─▶ entry ─▶ entry ─▶ last      entries by version: what is new is at the end, so a delta looks at no more than it says
 */

import { writeVarint } from '../../core/index.ts';
import { enlarged, enlargedBytes, enlargedInts } from '../arrays.ts';
import { ageScale, rateScale } from './log-byte.ts';
import { VarintReader, varintBytes } from './varint.ts';

/** A name is a tenant's, at most 63 characters, and what of it is limited: a route by its name, at most 63. */
export const NAME_MAX = 140;
/** Limits of one member. 2^17: each of 100,000 tenants. About 60 bytes each. */
export const ROWS_MAX = 2 ** 17;
/** Of no entry. */
const NONE = -1;

export interface Name {
  readonly number: number;
  readonly version: number;
  /** Empty: the number is free. */
  readonly name: string;
}

export interface Row {
  readonly number: number;
  readonly version: number;
  /** Units, since the limit was named. */
  readonly admitted: number;
  /** On the scale of rates. */
  readonly demand: number;
  readonly rate: number;
  /** On the clock of the reader, ms. */
  readonly at: number;
}

export class RowLog {
  /** The newest version. */
  version = 0;
  #size = 0;
  readonly #names: string[] = [];
  /** By entry, 2 × number of a row and 1 more of its name: its version, 0 for none, and its neighbours in order of versions. */
  #versions: Float64Array = new Float64Array(0);
  #next: Int32Array = new Int32Array(0);
  #previous: Int32Array = new Int32Array(0);
  #last = NONE;
  /** By number. */
  #admitted: Float64Array = new Float64Array(0);
  #at: Float64Array = new Float64Array(0);
  #demand: Uint8Array = new Uint8Array(0);
  #rate: Uint8Array = new Uint8Array(0);

  get size(): number {
    return this.#size;
  }

  has(number: number): boolean {
    return number < this.#size && (this.#versions[number * 2] as number) > 0;
  }

  /** Undefined where the number means nothing. */
  nameOf(number: number): string | undefined {
    return this.#names[number] || undefined;
  }

  admitted(number: number): number {
    return this.#admitted[number] as number;
  }

  /** Units a second. */
  demand(number: number): number {
    return rateScale.decode(this.#demand[number] as number);
  }

  /** Units a second. */
  rate(number: number): number {
    return rateScale.decode(this.#rate[number] as number);
  }

  at(number: number): number {
    return this.#at[number] as number;
  }

  /** The row that the number had is no more. */
  putName({ number, version, name }: Name): void {
    this.#reach(number);
    this.#unlink(number * 2);
    this.#names[number] = name;
    this.#link(number * 2 + 1, version);
  }

  put({ number, version, admitted, demand, rate, at }: Row): void {
    this.#reach(number);
    this.#link(number * 2, version);
    this.#admitted[number] = admitted;
    this.#demand[number] = demand;
    this.#rate[number] = rate;
    this.#at[number] = at;
  }

  /** See `Delegate.write`. */
  write(
    after: number,
    now: number,
    bytes: Uint8Array,
    offset: number,
    end: number,
  ): { readonly offset: number; readonly upTo: number } {
    let at = offset;
    let upTo = after;
    for (let entry = this.#firstAfter(after); entry !== NONE; entry = this.#next[entry] as number) {
      const version = this.#versions[entry] as number;
      const number = entry >> 1;
      const isName = (entry & 1) === 1;
      const name = this.#names[number] as string;
      const admitted = Math.floor(this.#admitted[number] as number);
      const body = isName ? varintBytes(name.length) + name.length : varintBytes(admitted) + 3;
      if (end - at < varintBytes(version - upTo) + varintBytes(entry) + body) break;
      at = writeVarint(bytes, at, version - upTo);
      at = writeVarint(bytes, at, entry);
      upTo = version;
      if (isName) {
        at = writeText(bytes, at, name);
        continue;
      }
      at = writeVarint(bytes, at, admitted);
      bytes[at++] = this.#demand[number] as number;
      bytes[at++] = this.#rate[number] as number;
      bytes[at++] = ageScale.encode(Math.max(0, now - (this.#at[number] as number)));
    }
    return { offset: at, upTo };
  }

  /** The entries of a delta that are news, or undefined when it is malformed or does not continue what is held. */
  read(after: number, upTo: number, now: number, bytes: Uint8Array): (Name | Row)[] | undefined {
    if (after > this.version || upTo <= after) return undefined;
    const reader = new VarintReader(bytes);
    const entries: (Name | Row)[] = [];
    const named = new Map<number, string>();
    let version = after;
    while (!reader.isAtEnd) {
      const step = reader.varint();
      if (step === 0) return undefined;
      version += step;
      const head = reader.varint();
      const number = Math.floor(head / 2);
      if (number >= ROWS_MAX || version > upTo) return undefined;
      // What was held before is not undone by a frame that came late.
      const isNews = version > this.version;
      if (head % 2 === 1) {
        const name = reader.text(NAME_MAX);
        if (!reader.isSound) return undefined;
        if (!isNews) continue;
        named.set(number, name);
        entries.push({ number, version, name });
        continue;
      }
      const admitted = reader.varint();
      const demand = reader.byte();
      const rate = reader.byte();
      const at = now - ageScale.decode(reader.byte());
      if (!reader.isSound) return undefined;
      if (!isNews) continue;
      if ((named.get(number) ?? this.#names[number] ?? '') === '') return undefined;
      // What a member admitted never falls.
      const isGoingOn = this.has(number) && !named.has(number);
      if (isGoingOn && admitted < Math.floor(this.#admitted[number] as number)) return undefined;
      entries.push({ number, version, admitted, demand, rate, at });
    }
    return version === upTo ? entries : undefined;
  }

  #firstAfter(after: number): number {
    let first = NONE;
    for (let entry = this.#last; entry !== NONE; entry = this.#previous[entry] as number) {
      if ((this.#versions[entry] as number) <= after) break;
      first = entry;
    }
    return first;
  }

  /** Puts an entry at the end. */
  #link(entry: number, version: number): void {
    this.#unlink(entry);
    this.#versions[entry] = version;
    this.#previous[entry] = this.#last;
    this.#next[entry] = NONE;
    if (this.#last !== NONE) this.#next[this.#last] = entry;
    this.#last = entry;
    this.version = version;
  }

  #unlink(entry: number): void {
    if ((this.#versions[entry] as number) === 0) return;
    this.#versions[entry] = 0;
    const next = this.#next[entry] as number;
    const previous = this.#previous[entry] as number;
    if (next === NONE) this.#last = previous;
    else this.#previous[next] = previous;
    if (previous !== NONE) this.#next[previous] = next;
  }

  #reach(number: number): void {
    if (number * 2 >= this.#versions.length) this.#grow(number + 1);
    while (this.#names.length <= number) this.#names.push('');
    this.#size = Math.max(this.#size, number + 1);
  }

  #grow(rows: number): void {
    const length = Math.min(ROWS_MAX, Math.max(4, rows * 2));
    this.#versions = enlarged(this.#versions, length * 2);
    this.#next = enlargedInts(this.#next, length * 2, NONE);
    this.#previous = enlargedInts(this.#previous, length * 2, NONE);
    this.#admitted = enlarged(this.#admitted, length);
    this.#at = enlarged(this.#at, length);
    this.#demand = enlargedBytes(this.#demand, length);
    this.#rate = enlargedBytes(this.#rate, length);
  }
}

function writeText(bytes: Uint8Array, offset: number, text: string): number {
  let at = writeVarint(bytes, offset, text.length);
  for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
  return at;
}
