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
 * Rows are kept by number and not by version: what is new is looked for when somebody asks, in the blocks of numbers of which it is known
 * that any is.
 *
 *   numbers    ┌─ 0…15 ─┬─ 16…31 ──┬─ 32… ──┐
 *   newest     │  810   │   4711   │   97   │    after 800: the third block is not looked at
 */

import { writeVarint } from '../../core/index.ts';
import { enlarged, roomFor } from '../arrays.ts';
import { ageScale, rateScale } from './log-byte.ts';
import { Oldest } from './oldest.ts';
import { NAME, type Part, ROW, ROWS_MAX, RowTable, UNKNOWN } from './row-table.ts';
import { VarintReader, varintBytes } from './varint.ts';

/** A name is a tenant's, at most 63 characters, and what of it is limited: a route by its name, at most 63. */
export const NAME_MAX = 140;
/** Numbers in one block, as a power of two. */
const BLOCK_BITS = 4;
/** The least that an entry takes: a step, a number, a text of no length. */
const ENTRY_BYTES_MIN = 3;
/** One for all: what is written is written at once. At most two entries a row, 3 MiB. */
const oldest = new Oldest();

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
  readonly #nameOf: (limit: number) => string;
  readonly #rows = new RowTable();
  /** Names of numbers that mean no limit of ours. */
  readonly #strange = new Map<number, string>();
  /** By block of numbers: the newest version in it. */
  #newest: Float64Array = new Float64Array(0);

  /** `nameOf`: the name of a limit of ours. It stays while a number means the limit, so that none is kept here. */
  constructor(nameOf: (limit: number) => string) {
    this.#nameOf = nameOf;
  }

  get size(): number {
    return this.#rows.size;
  }

  has(number: number): boolean {
    return number < this.size && this.#rows.version(number, ROW) > 0;
  }

  /** Undefined where the number means nothing. */
  nameOf(number: number): string | undefined {
    const limit = this.limit(number);
    return limit === UNKNOWN ? this.#strange.get(number) : this.#nameOf(limit);
  }

  /** What the number means of ours; `UNKNOWN`: nothing. */
  limit(number: number): number {
    return number < this.size ? this.#rows.limit(number) : UNKNOWN;
  }

  /** The number that means a limit of ours, or `UNKNOWN`. Looks at all. */
  numberOf(limit: number): number {
    return this.#rows.numberOf(limit);
  }

  /** Whole units. */
  admitted(number: number): number {
    return this.#rows.admitted(number);
  }

  /** Units a second. */
  demand(number: number): number {
    return rateScale.decode(this.#rows.demand(number));
  }

  /** Units a second. */
  rate(number: number): number {
    return rateScale.decode(this.#rows.rate(number));
  }

  /** Whole ms. */
  at(number: number): number {
    return this.#rows.at(number);
  }

  /** The row that the number had is no more. `limit`: of ours, what it means from now on. */
  putName({ number, version, name }: Name, limit: number = UNKNOWN): void {
    this.#reach(number);
    this.#rows.setVersion(number, ROW, 0);
    this.#rows.setLimit(number, limit);
    if (limit === UNKNOWN && name !== '') this.#strange.set(number, name);
    else this.#strange.delete(number);
    this.#note(number, NAME, version);
  }

  /** What is admitted counts in whole units. */
  put({ number, version, admitted, demand, rate, at }: Row): void {
    this.#reach(number);
    this.#rows.set(number, Math.floor(admitted), demand, rate, at);
    this.#note(number, ROW, version);
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
    this.#find(after, Math.floor((end - offset) / ENTRY_BYTES_MIN));
    for (let i = 0; i < oldest.size; i++) {
      const version = oldest.version(i);
      const entry = oldest.entry(i);
      const number = entry >> 1;
      const isName = (entry & 1) === 1;
      const name = isName ? (this.nameOf(number) ?? '') : '';
      const admitted = this.#rows.admitted(number);
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
      bytes[at++] = this.#rows.demand(number);
      bytes[at++] = this.#rows.rate(number);
      bytes[at++] = ageScale.encode(Math.max(0, now - this.#rows.at(number)));
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
      if ((named.get(number) ?? this.nameOf(number) ?? '') === '') return undefined;
      // What a member admitted never falls.
      const isGoingOn = this.has(number) && !named.has(number);
      if (isGoingOn && admitted < this.#rows.admitted(number)) return undefined;
      entries.push({ number, version, admitted, demand, rate, at });
    }
    return version === upTo ? entries : undefined;
  }

  /** The first `max` entries after a version, by version, in `oldest`. */
  #find(after: number, max: number): void {
    oldest.begin(max);
    if (after >= this.version) return;
    for (let block = 0; block < this.#newest.length; block++) {
      if ((this.#newest[block] as number) <= after) continue;
      const end = Math.min(this.size, (block + 1) << BLOCK_BITS);
      for (let number = block << BLOCK_BITS; number < end; number++) {
        const ofName = this.#rows.version(number, NAME);
        if (ofName > after) oldest.offer(ofName, number * 2 + 1);
        const ofRow = this.#rows.version(number, ROW);
        if (ofRow > after) oldest.offer(ofRow, number * 2);
      }
    }
    oldest.sort();
  }

  #note(number: number, part: Part, version: number): void {
    this.#rows.setVersion(number, part, version);
    this.#newest[number >> BLOCK_BITS] = version;
    this.version = version;
  }

  #reach(number: number): void {
    this.#rows.reach(number);
    const blocks = (number >> BLOCK_BITS) + 1;
    if (blocks > this.#newest.length) this.#newest = enlarged(this.#newest, roomFor(blocks));
  }
}

function writeText(bytes: Uint8Array, offset: number, text: string): number {
  let at = writeVarint(bytes, offset, text.length);
  for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
  return at;
}
