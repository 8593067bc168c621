/**
 * What one member says of the limits it has seen requests for: the name of each, once, and always the newest row. Each has the version it
 * was written in; who holds version n holds all that was written up to n and is not replaced since.
 *
 *   either  version − the last one's   varint
 *           number of the limit × 2 + 1, its name           varint, length, text
 *   or      version − the last one's   varint
 *           number of the limit × 2                         varint
 *           admitted since the member began                 varint, units
 *           demand, rate admitted now, age                  a byte each, on log scales
 *
 * A member numbers its limits itself; a name stands before the first row of its number, and is never replaced.
 */
import { enlarged, enlargedBytes } from '../arrays.ts';
import { ageScale, rateScale } from './log-byte.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from './varint.ts';

/** A name is a tenant's, at most 63 characters, and what of it is limited. */
export const NAME_MAX = 80;
/** Of a name, which is longer than a row. */
const ENTRY_BYTES_MAX = 2 * VARINT_BYTES_MAX + NAME_MAX + 1;
/** Limits of one member. 2^17: each of 100,000 tenants. About 30 bytes each. */
export const ROWS_MAX = 2 ** 17;

export interface Name {
  readonly number: number;
  readonly version: number;
  readonly name: string;
}

export interface Row {
  readonly number: number;
  readonly version: number;
  /** Units, since the member began. */
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
  /** Filled anew for each delta. */
  readonly #found = new Map<number, number>();
  #names: string[] = [];
  /** By number: the version of its row, and of its name. 0: none. */
  #versions: Float64Array = new Float64Array(0);
  #named: Float64Array = new Float64Array(0);
  #admitted: Float64Array = new Float64Array(0);
  #at: Float64Array = new Float64Array(0);
  #demand: Uint8Array = new Uint8Array(0);
  #rate: Uint8Array = new Uint8Array(0);

  get size(): number {
    return this.#size;
  }

  has(number: number): boolean {
    return number < this.#size && (this.#versions[number] as number) > 0;
  }

  nameOf(number: number): string | undefined {
    return this.#names[number];
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

  putName({ number, version, name }: Name): void {
    this.#reach(number, version);
    this.#names[number] = name;
    this.#named[number] = version;
  }

  put({ number, version, admitted, demand, rate, at }: Row): void {
    this.#reach(number, version);
    this.#versions[number] = version;
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
    for (const version of this.#newerThan(after)) {
      if (end - at < ENTRY_BYTES_MAX) break;
      const number = this.#found.get(version) as number;
      at = writeVarint(bytes, at, version - upTo);
      upTo = version;
      if (this.#named[number] === version) {
        at = writeVarint(bytes, at, number * 2 + 1);
        at = writeText(bytes, at, this.#names[number] as string);
        continue;
      }
      at = writeVarint(bytes, at, number * 2);
      at = writeVarint(bytes, at, Math.floor(this.#admitted[number] as number));
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
    const named = new Set<number>();
    let version = after;
    while (!reader.isAtEnd) {
      const step = reader.varint();
      if (step === 0) return undefined;
      version += step;
      const head = reader.varint();
      const number = Math.floor(head / 2);
      if (number >= ROWS_MAX || version > upTo) return undefined;
      if (head % 2 === 1) {
        const name = reader.text(NAME_MAX);
        if (!reader.isSound || name === '') return undefined;
        named.add(number);
        if (this.#names[number] === undefined) entries.push({ number, version, name });
        continue;
      }
      const admitted = reader.varint();
      const demand = reader.byte();
      const rate = reader.byte();
      const at = now - ageScale.decode(reader.byte());
      if (!reader.isSound || (this.#names[number] === undefined && !named.has(number))) return undefined;
      // What was held before is not undone by a frame that came late; what a member admitted never falls.
      if (this.has(number) && version <= (this.#versions[number] as number)) continue;
      if (this.has(number) && admitted < Math.floor(this.#admitted[number] as number)) return undefined;
      entries.push({ number, version, admitted, demand, rate, at });
    }
    return version === upTo ? entries : undefined;
  }

  /** Versions in their order; `#found` says whose each is. */
  #newerThan(after: number): number[] {
    this.#found.clear();
    if (this.version <= after) return [];
    for (let number = 0; number < this.#size; number++) {
      const named = this.#named[number] as number;
      const version = this.#versions[number] as number;
      if (named > after) this.#found.set(named, number);
      if (version > after) this.#found.set(version, number);
    }
    return [...this.#found.keys()].sort((a, b) => a - b);
  }

  #reach(number: number, version: number): void {
    if (number >= this.#versions.length) this.#grow(number + 1);
    this.#size = Math.max(this.#size, number + 1);
    this.version = Math.max(this.version, version);
  }

  #grow(rows: number): void {
    const length = Math.min(ROWS_MAX, Math.max(16, rows * 2));
    this.#versions = enlarged(this.#versions, length);
    this.#named = enlarged(this.#named, length);
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
