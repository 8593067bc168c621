/**
 * What a collector does not have yet: what this sidecar counted, and of what others counted what it tells for them (adoption.ts). Where the
 * collector has nothing of before, all that is known here.
 *
 *   counters, own log ─ mark ─▶ what there is now ─ next ─▶ rows, so many at once ─ done ─▶ behind them
 *
 * What changes behind a mark goes with the next, so that each comes to an end; a row has the numbers of the moment in which it is read.
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
  /** The day before which the window of a day is over; undefined: it is not known. */
  readonly endOf: (tenant: string, meter: string, day: number) => number | undefined;
}

/** Versions up to which rows were handed over. */
interface Mark {
  counted: number;
  told: number;
}

export interface Batch {
  readonly rows: readonly KeptRow[];
  /** Nothing is behind it that there was at the mark. */
  readonly isAll: boolean;
}

const NOTHING: Readonly<Mark> = { counted: 0, told: 0 };

export class Changes {
  readonly #o: ChangesWorld;
  #done = NOTHING;
  #next = NOTHING;
  /** Up to where this goes, and own rows that changed until then. */
  #upTo = NOTHING;
  #counting: Iterator<CounterRow & { readonly version: number }> | undefined;
  /** All that is known, as far as it is not handed over, and what was read of it for a batch that is not done. */
  #all: Iterator<FleetRow> | undefined;
  #taken: FleetRow[] = [];
  /** Behind it stands the first row for which there was no room; `all`: it was one of all. */
  #refused: Readonly<Mark> | 'all' | undefined;

  constructor(world: ChangesWorld) {
    this.#o = world;
  }

  /** Whether there is something to hand over; perhaps of kinds that are not kept. */
  get isBehind(): boolean {
    const { counters, own } = this.#o;
    return this.#isOfAll || counters.version > this.#done.counted || own.version > this.#done.told;
  }

  get #isOfAll(): boolean {
    return this.#all !== undefined || this.#taken.length > 0;
  }

  /** Everything there is is to be handed over. */
  begin(): void {
    this.#done = NOTHING;
    this.#refused = undefined;
    this.#taken = [];
    this.#all = this.#everything();
  }

  /** What there is now is to be handed over, and with it all since a row for which there was no room. */
  mark(): void {
    if (this.#refused === 'all') this.begin();
    else this.#done = this.#refused ?? this.#done;
    this.#refused = undefined;
    const { counters, own } = this.#o;
    this.#upTo = { counted: counters.version, told: own.version };
    this.#counting = counters.changedSince(this.#done.counted);
  }

  /** At most so many rows of what there was at the mark. Where they are not done, another mark gives them again. */
  next(max: number): Batch {
    const rows: KeptRow[] = [];
    const next = { ...this.#done };
    this.#next = next;
    const pending = this.#pending(next);
    while (rows.length < max) {
      const { value, done } = pending.next();
      if (done === true) return { rows, isAll: true };
      const { tenant, meter, day } = value;
      const kept = keptRow(value, value.kind === 'count' ? this.#o.endOf(tenant, meter, day) : undefined);
      if (kept !== undefined) rows.push(kept);
    }
    return { rows, isAll: false };
  }

  /** The last one is kept, but for so many rows. */
  done(refused: number): void {
    if (refused > 0) this.#refused ??= this.#isOfAll ? 'all' : this.#done;
    this.#taken = [];
    this.#done = this.#next;
  }

  /** Own rows of one quota, of days `from` to `to`, the last not included. */
  *ofQuota(tenant: string, meter: string, from: number, to: number): Generator<KeptRow> {
    for (const each of this.#o.counters.ownRowsOf(tenant, meter))
      if (each.day >= from && each.day < to) yield keptRow(countRow(each), to) as KeptRow;
  }

  *#pending(next: Mark): Generator<FleetRow, undefined> {
    yield* this.#takeAll();
    const { counters, own } = this.#o;
    for (let each = this.#counting?.next(); each !== undefined && each.done !== true; each = this.#counting?.next()) {
      const { version } = each.value;
      // What changed since then goes once more with the next.
      if (version <= this.#upTo.counted) next.counted = Math.max(next.counted, version);
      yield countRow(each.value);
    }
    next.counted = Math.max(next.counted, this.#upTo.counted);
    for (const { row: told, version } of own.changedSince(next.told)) {
      if (version > this.#upTo.told) break;
      next.told = version;
      // What was counted here is handed over as it is counted.
      if (told.from !== counters.actor || told.kind === 'gauge') yield told;
    }
    next.told = Math.max(next.told, this.#upTo.told);
    return undefined;
  }

  *#takeAll(): Generator<FleetRow> {
    const again = this.#taken;
    this.#taken = [...again];
    yield* again;
    for (let each = this.#all?.next(); each !== undefined && each.done !== true; each = this.#all?.next()) {
      this.#taken.push(each.value);
      yield each.value;
    }
    this.#all = undefined;
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
