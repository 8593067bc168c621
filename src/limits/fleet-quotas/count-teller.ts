/**
 * Which counts are told when not all can be: what weighs most goes first, so that a busy tenant's are never late, and a thousand tenants that
 * each asked once wait. The newest numbers of a row stand for all before.
 *
 *   counters ─ changed ─▶ untold, by row ─ heaviest first, so many bytes a second ─▶ own log
 *
 * Bound: a row each that this sidecar counted on days that are open.
 */
import type { CounterRow, CounterStore } from '../quotas/counter-store.ts';
import type { OriginLog } from './origin-log.ts';
import { row } from './row.ts';

/** What all members together tell a second, bytes: each hears it about once. 64 kB/s are the bound of gossip with 10,000 tenants; rates and digests need the rest. */
export const TOLD_BYTES_PER_SEC = 30_000;
/** Of a row with its key, and of numbers alone: of ten-letter names. */
const [KEYED_BYTES, NUMBERS_BYTES] = [45, 10] as const;

export class CountTeller {
  readonly #counters: CounterStore;
  readonly #log: OriginLog;
  readonly #untold = new Map<string, CounterRow>();
  #version = 0;

  constructor(counters: CounterStore, log: OriginLog) {
    this.#counters = counters;
    this.#log = log;
  }

  /** Rows that wait. */
  get waiting(): number {
    return this.#untold.size;
  }

  /** `bytes`: about as many are told; rows that `mustGo` are, in any case. */
  tell(bytes: number, mustGo: (row: CounterRow) => boolean): void {
    const { version } = this.#counters;
    for (const each of this.#counters.changedSince(this.#version)) this.#untold.set(nameOf(each), each);
    this.#version = version;
    let left = bytes;
    for (const each of this.#inOrder(bytes, mustGo)) {
      if (left <= 0 && !mustGo(each)) break;
      const told = toRow(each);
      left -= this.#log.told(told) === undefined ? KEYED_BYTES : NUMBERS_BYTES;
      this.#log.put(told);
      this.#untold.delete(nameOf(each));
    }
  }

  /** Days before this are over. */
  drop(before: number): void {
    for (const [name, { day }] of this.#untold) if (day < before) this.#untold.delete(name);
  }

  #inOrder(bytes: number, mustGo: (row: CounterRow) => boolean): CounterRow[] {
    const rows = [...this.#untold.values()];
    if (rows.length * KEYED_BYTES <= bytes) return rows;
    const weights = new Map(rows.map((each) => [each, mustGo(each) ? Number.POSITIVE_INFINITY : this.#weight(each)]));
    const of = (each: CounterRow): number => weights.get(each) as number;
    return rows.sort((a, b) => (of(b) > of(a) ? 1 : of(b) < of(a) ? -1 : 0));
  }

  /** Units that the others do not know of. */
  #weight(each: CounterRow): number {
    const told = this.#log.told(toRow(each));
    return each.count - (told?.x ?? 0) + each.credit - (told?.y ?? 0);
  }
}

function nameOf({ tenant, meter, day }: CounterRow): string {
  return `${tenant} ${meter} ${day}`;
}

function toRow({ tenant, meter, day, actor, count, credit }: CounterRow) {
  return row({ kind: 'count', tenant, meter, day, from: actor }, count, credit);
}
