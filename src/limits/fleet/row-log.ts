/**
 * What one member says of the limits it has seen requests for: one row a limit, always the newest. A row has the version it was written
 * in; who holds version n holds all that was written up to n.
 *
 *   row   version − the last one's   varint
 *         number of the limit × 2, + 1 with its name      varint
 *         its name, when the reader cannot have it yet    length, text
 *         admitted since the member began                 varint, units
 *         demand, rate admitted now, age                  a byte each, on log scales
 *
 * A member numbers its limits itself; the number is said with the name once, and holds from then on.
 */
import { ageScale, rateScale } from './log-byte.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from './varint.ts';

/** A name is a tenant's, at most 63 characters, and what of it is limited. */
export const NAME_MAX = 80;
const ROW_BYTES_MAX = 3 * VARINT_BYTES_MAX + NAME_MAX + 1 + 3;
/** Limits of one member. 2^17: each of 100,000 tenants. About 30 bytes each. */
export const ROWS_MAX = 2 ** 17;

export interface Row {
  readonly number: number;
  readonly version: number;
  readonly name: string | undefined;
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
  #names: string[] = [];
  /** By number. 0: no row. */
  #versions: Float64Array = new Float64Array(0);
  /** From which version on whoever holds it knows the name. */
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

  put({ number, version, name, admitted, demand, rate, at }: Row): void {
    if (number >= this.#versions.length) this.#grow(number + 1);
    this.#size = Math.max(this.#size, number + 1);
    if (name !== undefined) {
      this.#names[number] = name;
      this.#named[number] = version;
    }
    this.#versions[number] = version;
    this.#admitted[number] = admitted;
    this.#demand[number] = demand;
    this.#rate[number] = rate;
    this.#at[number] = at;
    this.version = Math.max(this.version, version);
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
    for (const number of this.#newerThan(after)) {
      if (end - at < ROW_BYTES_MAX) break;
      const version = this.#versions[number] as number;
      const isNew = (this.#named[number] as number) > after;
      at = writeVarint(bytes, at, version - upTo);
      at = writeVarint(bytes, at, number * 2 + (isNew ? 1 : 0));
      if (isNew) at = writeText(bytes, at, this.#names[number] as string);
      at = writeVarint(bytes, at, Math.floor(this.#admitted[number] as number));
      bytes[at++] = this.#demand[number] as number;
      bytes[at++] = this.#rate[number] as number;
      bytes[at++] = ageScale.encode(Math.max(0, now - (this.#at[number] as number)));
      upTo = version;
    }
    return { offset: at, upTo };
  }

  /** The rows of a delta, or undefined when it is malformed or does not continue what is held. */
  read(after: number, upTo: number, now: number, bytes: Uint8Array): Row[] | undefined {
    if (after > this.version || upTo <= after) return undefined;
    const reader = new VarintReader(bytes);
    const rows: Row[] = [];
    let version = after;
    while (!reader.isAtEnd) {
      version += reader.varint();
      const head = reader.varint();
      const number = Math.floor(head / 2);
      const name = head % 2 === 1 ? reader.text(NAME_MAX) : undefined;
      const admitted = reader.varint();
      const demand = reader.byte();
      const rate = reader.byte();
      const at = now - ageScale.decode(reader.byte());
      const isKnown = name !== undefined || this.has(number);
      if (!reader.isSound || !isKnown || number >= ROWS_MAX || version > upTo || name === '') return undefined;
      // What was held before is not undone by a frame that came late; what a member admitted never falls.
      const isNewer = !this.has(number) || version > (this.#versions[number] as number);
      if (!isNewer) continue;
      if (this.has(number) && admitted < (this.#admitted[number] as number)) return undefined;
      rows.push({ number, version, name, admitted, demand, rate, at });
    }
    return version === upTo ? rows : undefined;
  }

  #newerThan(after: number): number[] {
    if (this.version <= after) return [];
    const numbers: number[] = [];
    for (let number = 0; number < this.#size; number++)
      if ((this.#versions[number] as number) > after) numbers.push(number);
    return numbers.sort((a, b) => (this.#versions[a] as number) - (this.#versions[b] as number));
  }

  #grow(rows: number): void {
    const length = Math.min(ROWS_MAX, Math.max(16, rows * 2));
    this.#versions = enlargedFloats(this.#versions, length);
    this.#named = enlargedFloats(this.#named, length);
    this.#admitted = enlargedFloats(this.#admitted, length);
    this.#at = enlargedFloats(this.#at, length);
    this.#demand = enlargedBytes(this.#demand, length);
    this.#rate = enlargedBytes(this.#rate, length);
  }
}

function writeText(bytes: Uint8Array, offset: number, text: string): number {
  let at = writeVarint(bytes, offset, text.length);
  for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
  return at;
}

function enlargedFloats(array: Float64Array, length: number): Float64Array {
  const larger = new Float64Array(length);
  larger.set(array);
  return larger;
}

function enlargedBytes(array: Uint8Array, length: number): Uint8Array {
  const larger = new Uint8Array(length);
  larger.set(array);
  return larger;
}
