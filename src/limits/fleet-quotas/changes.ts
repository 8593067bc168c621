/**
 * What a collector does not have yet: what this sidecar counted, and of what others counted what it tells for them (adoption.ts). Where the
 * collector has nothing of before, all that is known here.
 *
 *   counters, own log ─ next ─▶ rows, so many at once ─ done ─▶ behind them
 */
import type { CounterRow, CounterStore } from '../quotas/counter-store.ts';
import type { GaugeStore } from '../quotas/gauge-store.ts';
import { type KeptRow, keptRow } from './kept-row.ts';
import type { OriginLog } from './origin-log.ts';
import { type FleetRow, row } from './row.ts';

export interface ChangesWorld {
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  /** What is told here of gauges, and for others. */
  readonly own: OriginLog;
}

/** Versions up to which rows were handed over. */
interface Mark {
  counted: number;
  told: number;
}

export interface Batch {
  readonly rows: readonly KeptRow[];
  /** Nothing is behind it that there was when it was made. */
  readonly isAll: boolean;
}

const NOTHING: Readonly<Mark> = { counted: 0, told: 0 };

export class Changes {
  readonly #o: ChangesWorld;
  #mark = NOTHING;
  #next = NOTHING;
  /** All that is known, as far as it is not handed over. */
  #all: Iterator<FleetRow> | undefined;

  constructor(world: ChangesWorld) {
    this.#o = world;
  }

  /** Whether there is something to hand over; perhaps of kinds that are not kept. */
  get isBehind(): boolean {
    const { counters, own } = this.#o;
    return this.#all !== undefined || counters.version > this.#mark.counted || own.version > this.#mark.told;
  }

  /** Everything there is is to be handed over. */
  begin(): void {
    this.#mark = NOTHING;
    this.#all = this.#everything();
  }

  /** At most so many rows: the same again until `done`, but for those of others of which `begin` makes all. */
  next(max: number): Batch {
    const rows: KeptRow[] = [];
    const mark = { ...this.#mark };
    this.#next = mark;
    const pending = this.#pending(mark);
    while (rows.length < max) {
      const { value, done } = pending.next();
      if (done === true) return { rows, isAll: true };
      const kept = keptRow(value);
      if (kept !== undefined) rows.push(kept);
    }
    return { rows, isAll: false };
  }

  /** The last one is kept. */
  done(): void {
    this.#mark = this.#next;
  }

  *#pending(mark: Mark): Generator<FleetRow, undefined> {
    for (let next = this.#all?.next(); next !== undefined && next.done !== true; next = this.#all?.next())
      yield next.value;
    this.#all = undefined;
    const { counters, own } = this.#o;
    for (const each of counters.changedSince(mark.counted)) {
      mark.counted = each.version;
      yield countRow(each);
    }
    const { version: newest } = own;
    for (const { row: told, version } of own.changedSince(mark.told)) {
      mark.told = version;
      // What was counted here is handed over as it is counted.
      if (told.from !== counters.actor || told.kind === 'gauge') yield told;
    }
    mark.told = newest;
    return undefined;
  }

  *#everything(): Generator<FleetRow> {
    const { counters, gauges } = this.#o;
    for (const each of counters.rows()) yield countRow(each);
    for (const { tenant, meter, day, total } of counters.closed())
      yield row({ kind: 'total', tenant, meter, day }, total);
    for (const { tenant, meter, value, at, actor } of gauges.rows())
      yield row({ kind: 'gauge', tenant, meter, from: actor }, at, value);
  }
}

function countRow({ tenant, meter, day, actor, count, credit }: CounterRow): FleetRow {
  return row({ kind: 'count', tenant, meter, day, from: actor }, count, credit);
}
