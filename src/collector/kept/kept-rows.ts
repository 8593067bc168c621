/**
 * Rows that sidecars keep here so that they outlive a whole fleet, by the fleet's label. Nobody here reads them: of two of one key the one of the
 * larger version holds, and a row is forgotten when its time is over.
 *
 *   fleet ─▶ key ─▶ version, value, until
 *
 * Bounds: `ROWS_MAX` rows of all fleets, half of them of one; a key of 256 bytes, a value of 64; `FLEETS_MAX` fleets.
 */

import type { KeptRow } from '../../metering/index.ts';

/** 2^19: two days of 10,000 tenants with five meters at five sidecars. About 300 bytes each. */
export const ROWS_MAX = 2 ** 19;
const FLEETS_MAX = 64;
export const FLEET_LETTERS_MAX = 63;
export const KEY_BYTES_MAX = 256;
export const VALUE_BYTES_MAX = 64;

/** - `news`. - `known`: what is here says as much. - `full`: there is no room. */
export type Merged = 'news' | 'known' | 'full';

export class KeptRows {
  readonly #rowsMax: number;
  readonly #fleets = new Map<string, Map<string, KeptRow>>();
  #size = 0;

  /** Another bound is for tests. */
  constructor(rowsMax: number = ROWS_MAX) {
    this.#rowsMax = rowsMax;
  }

  get size(): number {
    return this.#size;
  }

  /** Fleets that have a row. */
  fleets(): Iterable<string> {
    return this.#fleets.keys();
  }

  /** What is put while they are read comes too, or not. */
  of(fleet: string): Iterable<KeptRow> {
    return this.#fleets.get(fleet)?.values() ?? [];
  }

  /** What `put` would say. */
  ask(fleet: string, { key, version }: KeptRow): Merged {
    const rows = this.#fleets.get(fleet);
    const before = rows?.get(textOf(key));
    if (before !== undefined) return version > before.version ? 'news' : 'known';
    const isFull = this.#size >= this.#rowsMax || (rows?.size ?? 0) >= this.#rowsMax / 2;
    return isFull || (rows === undefined && this.#fleets.size >= FLEETS_MAX) ? 'full' : 'news';
  }

  put(fleet: string, row: KeptRow): Merged {
    const answer = this.ask(fleet, row);
    if (answer !== 'news') return answer;
    const rows = this.#fleets.get(fleet) ?? new Map<string, KeptRow>();
    this.#fleets.set(fleet, rows);
    this.#size -= rows.size;
    rows.set(textOf(row.key), row);
    this.#size += rows.size;
    return answer;
  }

  /** Forgets rows whose time is over; a step a row. */
  *dropping(nowMs: number): Generator<void> {
    for (const [fleet, rows] of this.#fleets) {
      for (const [key, { untilMs }] of rows) {
        if (untilMs <= nowMs && rows.delete(key)) this.#size--;
        yield;
      }
      if (rows.size === 0) this.#fleets.delete(fleet);
    }
  }
}

/** Whether a row can be one. */
export function isSound({ key, version, value, untilMs }: KeptRow): boolean {
  const isSized = key.length >= 1 && key.length <= KEY_BYTES_MAX && value.length <= VALUE_BYTES_MAX;
  return isSized && Number.isFinite(version) && Number.isSafeInteger(untilMs) && untilMs >= 0;
}

function textOf({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('latin1');
}
