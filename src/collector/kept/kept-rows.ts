/**
 * Rows that sidecars keep here so that they outlive a whole fleet, by the fleet's label. Nobody here reads them: of two of one key the one of the
 * larger version holds, and a row is forgotten when its time is over.
 *
 *   fleet ─▶ key ─▶ version, value, until
 *
 * A fleet may have new rows while it has less than `SHARE` times what is free (dynamic thresholds: Choudhury and Hahne, 1998): one alone takes
 * seven eighths, two take 7/15 each, and there is always room for another one to begin.
 *
 * Bounds: `ROWS_MAX` rows of all fleets, and `BYTES_MAX` of memory; a key of 256 bytes, a value of 64; `FLEETS_MAX` fleets; `MESSAGES_BYTES_MAX` of
 * messages, until the next `letGo`.
 */

import type { KeptRow } from '../../metering/index.ts';
import { FleetRows, type MessageRoom } from './fleet-rows.ts';

/** What a row takes in memory beside its key and its value; test/collector/kept/memory.test.ts prints it. */
export const ROW_BYTES = 144;
export const ROWS_MAX: number = 2 ** 21;
/** Rows with 64 bytes of key and value each. */
const BYTES_MAX = ROWS_MAX * (ROW_BYTES + 64);
const SHARE = 7;
const FLEETS_MAX = 64;
const MESSAGES_BYTES_MAX = 2 ** 27;
const FLEET_LABEL = /^[\x21-\x7e]{1,63}$/;
export const FLEET_LETTERS_MAX = 63;
export const KEY_BYTES_MAX = 256;
export const VALUE_BYTES_MAX = 64;

/** - `news`. - `known`: what is here says as much. - `full`: there is no room. */
export type Merged = 'news' | 'known' | 'full';

/** Others are for tests. */
export interface KeptBounds {
  readonly rows?: number;
  /** Of memory. */
  readonly bytes?: number;
  /** Of messages. */
  readonly messages?: number;
}

interface Ahead {
  readonly rows: number;
  readonly bytes: number;
}

const NOTHING: Ahead = { rows: 0, bytes: 0 };

export class KeptRows {
  readonly #rowsMax: number;
  readonly #bytesMax: number;
  readonly #room: MessageRoom;
  readonly #fleets = new Map<string, FleetRows>();

  constructor({ rows = ROWS_MAX, bytes = BYTES_MAX, messages = MESSAGES_BYTES_MAX }: KeptBounds = {}) {
    this.#rowsMax = rows;
    this.#bytesMax = bytes;
    this.#room = { bytes: 0, max: messages };
  }

  get size(): number {
    return this.#sum(({ size }) => size);
  }

  /** Of keys and values. */
  get textBytes(): number {
    return this.#sum(({ bytes }) => bytes);
  }

  /** Of messages that were read, and are held for the next reader. */
  get messageBytes(): number {
    return this.#room.bytes;
  }

  /** Fleets that have a row. */
  fleets(): Iterable<string> {
    return this.#fleets.keys();
  }

  /** What is put while they are read comes too, or not. */
  of(fleet: string): Iterable<KeptRow> {
    return this.#fleets.get(fleet)?.rows() ?? [];
  }

  /** The same as messages: what several read is made once. */
  messages(fleet: string, make: (rows: readonly KeptRow[]) => Buffer): Iterable<Buffer> {
    return this.#fleets.get(fleet)?.messages(make) ?? [];
  }

  /** Those of the rows that are news and have room, all of them together; and how many have none. */
  choose(fleet: string, rows: readonly KeptRow[]): { readonly news: readonly KeptRow[]; readonly refused: number } {
    const ahead = { rows: 0, bytes: 0 };
    let refused = 0;
    const news = rows.filter((row) => {
      const answer = this.#ask(fleet, row, SHARE, ahead);
      if (answer === 'full') refused++;
      if (answer !== 'news') return false;
      ahead.rows++;
      ahead.bytes += ROW_BYTES + row.key.length + row.value.length;
      return true;
    });
    return { news, refused };
  }

  put(fleet: string, row: KeptRow): Merged {
    return this.#put(fleet, row, SHARE);
  }

  /** A row that was put before. In whatever order they come now, no fleet's share is less than it was then. */
  putAgain(fleet: string, row: KeptRow): Merged {
    return this.#put(fleet, row, Number.POSITIVE_INFINITY);
  }

  /** Forgets rows whose time is over; a step a row. */
  *dropping(nowMs: number): Generator<void> {
    for (const [fleet, rows] of this.#fleets) {
      yield* rows.dropping(nowMs);
      if (rows.size > 0) continue;
      rows.letGo();
      this.#fleets.delete(fleet);
    }
  }

  /** Messages that are held for readers. */
  letGo(): void {
    for (const rows of this.#fleets.values()) rows.letGo();
  }

  #put(fleet: string, row: KeptRow, share: number): Merged {
    const answer = this.#ask(fleet, row, share);
    if (answer !== 'news') return answer;
    const rows = this.#fleets.get(fleet) ?? new FleetRows(this.#room);
    this.#fleets.set(fleet, rows);
    rows.put(row);
    return answer;
  }

  /** `ahead`: what is to be put before it. */
  #ask(fleet: string, { key, version }: KeptRow, share: number, ahead: Ahead = NOTHING): Merged {
    const rows = this.#fleets.get(fleet);
    const before = rows?.versionOf(key);
    if (before !== undefined) return version > before ? 'news' : 'known';
    if (rows === undefined && this.#fleets.size >= FLEETS_MAX) return 'full';
    const own = { rows: rows?.size ?? 0, bytes: rows === undefined ? 0 : memoryOf(rows) };
    const free = { rows: this.#rowsMax - this.size, bytes: this.#bytesMax - this.#sum(memoryOf) };
    const hasRoom = (of: 'rows' | 'bytes'): boolean => isWithin(own[of] + ahead[of], free[of] - ahead[of], share);
    return hasRoom('rows') && hasRoom('bytes') ? 'news' : 'full';
  }

  #sum(of: (rows: FleetRows) => number): number {
    let sum = 0;
    for (const rows of this.#fleets.values()) sum += of(rows);
    return sum;
  }
}

/** Whether a fleet can be called so. */
export function isFleet(label: string): boolean {
  return FLEET_LABEL.test(label);
}

/** Whether a row can be one. */
export function isSound({ key, version, value, untilMs }: KeptRow): boolean {
  const isSized = key.length >= 1 && key.length <= KEY_BYTES_MAX && value.length <= VALUE_BYTES_MAX;
  return isSized && Number.isFinite(version) && Number.isSafeInteger(untilMs) && untilMs >= 0;
}

function isWithin(own: number, free: number, share: number): boolean {
  return free > 0 && own < share * free;
}

function memoryOf({ size, bytes }: FleetRows): number {
  return size * ROW_BYTES + bytes;
}
