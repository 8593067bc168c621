/**
 * Which counts are told when not all can be: what weighs most goes first, so that a busy tenant's are never late, and a thousand tenants that
 * each asked once wait. The newest numbers of a row stand for all before.
 *
 *   counters ─ changed ─▶ by weight: 1 │ 2 … 3 │ 4 … 7 │ … ─ heaviest first, so many bytes a second ─▶ own log
 *
 * Rows that weigh nearly the same go in the order in which they came to weigh that. Nothing is sorted: a turn takes so many rows in, and tells so many.
 *
 * Bound: a row each that this sidecar counted on days that are open.
 */
import type { CounterRow, CounterStore } from '../quotas/counter-store.ts';
import type { OriginLog } from './origin-log.ts';
import { type FleetRow, row } from './row.ts';

/** What all members together tell a second, bytes: each hears it about once. 64 kB/s are the bound of gossip with 10,000 tenants; rates and digests need the rest. */
export const TOLD_BYTES_PER_SEC = 30_000;
/** Of a row with its key, and of numbers alone: of ten-letter names. */
const [KEYED_BYTES, NUMBERS_BYTES] = [45, 10] as const;
/** Rows taken in, and told, in a turn: about half a millisecond each. */
const TURN_ROWS = 100;
/** Counts go up to 2^50. */
const WEIGHTS = 52;

export class CountTeller {
  readonly #counters: CounterStore;
  readonly #log: OriginLog;
  /** By the power of two that a row weighs, and by name. */
  readonly #untold: Map<string, CounterRow>[] = Array.from({ length: WEIGHTS }, () => new Map());
  readonly #weights = new Map<string, number>();
  #coming: Iterator<CounterRow> | undefined;
  #version = 0;
  /** Bytes that may still be told of this second's. */
  #bytes = 0;

  constructor(counters: CounterStore, log: OriginLog) {
    this.#counters = counters;
    this.#log = log;
  }

  /** Rows that wait. */
  get waiting(): number {
    return this.#weights.size;
  }

  /** Whether a turn would do anything. */
  get isBehind(): boolean {
    return this.#coming !== undefined || (this.#bytes > 0 && this.waiting > 0);
  }

  /** Each second: what changed is to be told, about so many bytes of it. */
  begin(bytes: number): void {
    this.#bytes = bytes;
    if (this.#coming !== undefined) return;
    this.#coming = this.#counters.changedSince(this.#version);
    this.#version = this.#counters.version;
  }

  /** Takes in what changed, and when that is done tells what weighs most. */
  turn(rows: number = TURN_ROWS): void {
    for (let i = 0; i < rows && this.#coming !== undefined; i++) {
      const next = this.#coming.next();
      if (next.done === true) this.#coming = undefined;
      else this.#take(next.value);
    }
    if (this.#coming === undefined) this.#tell(rows);
  }

  /** Tells what was counted of one quota, at once. False: there is no room. */
  tellOf(tenant: string, meter: string): boolean {
    let isTold = true;
    for (const each of this.#counters.ownRowsOf(tenant, meter)) {
      isTold = this.#log.put(toRow(each)) && isTold;
      this.#remove(nameOf(each));
    }
    return isTold;
  }

  /** Days before this are over. */
  drop(before: number): void {
    for (const untold of this.#untold) for (const [name, { day }] of untold) if (day < before) this.#remove(name);
  }

  #take(each: CounterRow): void {
    const name = nameOf(each);
    const weight = this.#weightOf(each);
    if (this.#weights.get(name) !== weight) this.#remove(name);
    if (weight < 0) return;
    this.#weights.set(name, weight);
    (this.#untold[weight] as Map<string, CounterRow>).set(name, each);
  }

  #remove(name: string): void {
    const weight = this.#weights.get(name);
    if (weight === undefined) return;
    this.#weights.delete(name);
    this.#untold[weight]?.delete(name);
  }

  #tell(rows: number): void {
    let left = rows;
    for (let weight = WEIGHTS - 1; weight >= 0; weight--)
      for (const [name, each] of this.#untold[weight] as Map<string, CounterRow>) {
        if (this.#bytes <= 0 || left-- <= 0) return;
        const told = toRow(each);
        this.#bytes -= this.#log.told(told) === undefined ? KEYED_BYTES : NUMBERS_BYTES;
        this.#log.put(told);
        this.#remove(name);
      }
  }

  /** The power of two of the units that the others do not know of; negative when they know all. */
  #weightOf(each: CounterRow): number {
    const told = this.#log.told(toRow(each));
    const units = each.count - (told?.x ?? 0) + each.credit - (told?.y ?? 0);
    return units <= 0 ? -1 : Math.max(0, Math.min(WEIGHTS - 1, 1 + Math.floor(Math.log2(units))));
  }
}

function nameOf({ tenant, meter, day }: CounterRow): string {
  return `${tenant} ${meter} ${day}`;
}

function toRow({ tenant, meter, day, actor, count, credit }: CounterRow): FleetRow {
  return row({ kind: 'count', tenant, meter, day, from: actor }, count, credit);
}
