// hot path
/**
 * What tenants spent of the rates of routes: a cell for each pair of route and tenant that has spent something, and none for the others.
 *
 *   route ─▶ table ─▶ slot ─▶ cell      a cell is free again when what was spent has drained,
 *                                       or its route or its tenant is gone
 *
 * A rate that changes touches no cell: the change is noted in the route's table, and a cell catches up when it is read next, or when the
 * sweep comes by. Each swap sweeps a part, so no cell is ever more than one round of the sweep behind, so no table
 * keeps more changes than that.
 *
 * Accuracy: exact up to `CELLS_MAX` pairs. Beyond, a new pair takes the cell of the pair, of a few looked at, that would drain first.
 */
import { enlarged, enlargedInts } from './arrays.ts';
import { Gcra, type Rate } from './gcra.ts';

/** 2^19: each of 10,000 tenants on 50 routes. About 90 bytes each. Arrays of twice as many take 10 ms to enlarge. */
export const CELLS_MAX = 2 ** 19;
/** Cells looked at in one swap. 2^13: half a millisecond, and all are seen in 64 swaps. */
const SWEEP = 2 ** 13;
/** Cells looked at for each new pair: two, so that what has drained is found faster than cells are added. */
const LOOK = 2;
/** Cells looked at for a new pair when all are in use. */
const LOOK_FULL = 32;

interface Change {
  readonly epoch: number;
  readonly at: number;
  readonly before: Rate;
  readonly after: Rate;
}

/** What is known of one route. */
interface Table {
  /** By tenant slot. */
  readonly cells: Map<number, number>;
  changes: Change[];
  /** The epoch of the last change; 0 when there was none. */
  epoch: number;
  isGone: boolean;
}

export class RouteCounts {
  readonly #max: number;
  readonly #sweep: number;
  readonly #tables = new Map<number, Table>();
  readonly #counts: Gcra = new Gcra(0);
  readonly #free: number[] = [];
  /** By cell: whose it is; undefined when it is free. */
  readonly #owners: (Table | undefined)[] = [];
  #slots: Uint32Array = new Uint32Array(0);
  #lives: Float64Array = new Float64Array(0);
  /** When it has drained, ms. */
  #doneAt: Float64Array = new Float64Array(0);
  /** Up to which change it is settled. */
  #epochs: Float64Array = new Float64Array(0);
  /** By slot: a tenant that is gone leaves cells of an earlier life behind. */
  #life: Int32Array = new Int32Array(0);
  #epoch = 0;
  #hand = 0;

  /** Other bounds than these are for tests. */
  constructor(max: number = CELLS_MAX, sweep: number = SWEEP) {
    this.#max = max;
    this.#sweep = sweep;
  }

  /** Cells there are, in use or free. */
  get size(): number {
    return this.#owners.length;
  }

  /** Changes of a route's rate that some cell may not have seen yet. */
  changesKept(route: number): number {
    return this.#tables.get(route)?.changes.length ?? 0;
  }

  /** Room for so many tenants. */
  reserve(slots: number): void {
    this.#life = enlargedInts(this.#life, slots);
  }

  /** 0 when one request conforms now, else ms until it would. */
  waitMs(route: number, slot: number, rate: Rate, now: number): number {
    const cell = this.#find(route, slot);
    return cell === NONE ? 0 : this.#counts.waitMs(cell, rate, 1, now);
  }

  left(route: number, slot: number, rate: Rate, now: number): number {
    const cell = this.#find(route, slot);
    return cell === NONE ? rate.burst : this.#counts.left(cell, rate, now);
  }

  /** Spends one request; what does not conform becomes debt, at most `debtMax` beyond the burst. */
  take(route: number, slot: number, rate: Rate, now: number, debtMax: number): void {
    let cell = this.#find(route, slot);
    if (cell === NONE) cell = this.#add(route, slot, now);
    this.#counts.take(cell, rate, 1, now, debtMax);
    this.#doneAt[cell] = this.#counts.fullAt(cell, rate.perSec);
  }

  /** A tenant is gone: its cells are not the next one's. */
  forget(slot: number): void {
    (this.#life[slot] as number) += 1;
  }

  /** A route's index may mean another route now; its counts are not that one's. */
  forgetRoute(route: number): void {
    const table = this.#tables.get(route);
    if (table === undefined) return;
    table.isGone = true;
    this.#tables.delete(route);
  }

  /** A route's rate changes now: what was spent stays spent, but locks nobody out for longer than the new burst. */
  settle(route: number, before: Rate, after: Rate, now: number): void {
    const table = this.#tables.get(route);
    if (table === undefined) return;
    table.epoch = this.#epoch + 1;
    table.changes.push({ epoch: table.epoch, at: now, before, after });
  }

  /** Once a swap, behind its changes: a bounded number of cells catches up or is freed. */
  turn(now: number): void {
    this.#epoch++;
    this.#look(Math.min(this.#sweep, this.#owners.length), now);
    const past = this.#epoch - Math.ceil(this.#max / this.#sweep) - 1;
    for (const table of this.#tables.values())
      if ((table.changes[0]?.epoch ?? this.#epoch) <= past)
        table.changes = table.changes.filter(({ epoch }) => epoch > past);
  }

  #find(route: number, slot: number): number {
    const table = this.#tables.get(route);
    const cell = table?.cells.get(slot);
    if (table === undefined || cell === undefined || this.#lives[cell] !== this.#life[slot]) return NONE;
    if ((this.#epochs[cell] as number) < table.epoch) this.#catchUp(cell, table);
    return cell;
  }

  #catchUp(cell: number, table: Table): void {
    for (const { epoch, at, before, after } of table.changes) {
      if (epoch <= (this.#epochs[cell] as number)) continue;
      this.#counts.settle(cell, before, after, at);
      this.#doneAt[cell] = this.#counts.fullAt(cell, after.perSec);
    }
    this.#epochs[cell] = table.epoch;
  }

  #add(route: number, slot: number, now: number): number {
    let table = this.#tables.get(route);
    if (table === undefined) {
      table = { cells: new Map(), changes: [], epoch: 0, isGone: false };
      this.#tables.set(route, table);
    }
    const stale = table.cells.get(slot);
    if (stale !== undefined) this.#release(stale, table);
    this.#look(LOOK, now);
    const cell = this.#free.pop() ?? (this.#owners.length < this.#max ? this.#grown() : this.#taken(now));
    table.cells.set(slot, cell);
    this.#owners[cell] = table;
    this.#slots[cell] = slot;
    this.#lives[cell] = this.#life[slot] as number;
    this.#epochs[cell] = this.#epoch;
    this.#counts.forget(cell);
    return cell;
  }

  #grown(): number {
    const cell = this.#owners.length;
    this.#owners.push(undefined);
    if (cell < this.#slots.length) return cell;
    const cells = Math.min(Math.max(1024, cell * 2), this.#max);
    this.#counts.grow(cells);
    const slots = new Uint32Array(cells);
    slots.set(this.#slots);
    this.#slots = slots;
    this.#lives = enlarged(this.#lives, cells);
    this.#doneAt = enlarged(this.#doneAt, cells);
    this.#epochs = enlarged(this.#epochs, cells);
    return cell;
  }

  /** All cells are in use: of the next few, the one that drains first. */
  #taken(now: number): number {
    const few = Math.min(LOOK_FULL, this.#max);
    this.#look(few, now);
    if (this.#free.length === 0) {
      let first = this.#hand;
      for (let i = 0; i < few; i++) {
        const cell = (this.#hand + i) % this.#max;
        if ((this.#doneAt[cell] as number) < (this.#doneAt[first] as number)) first = cell;
      }
      this.#release(first, this.#owners[first] as Table);
    }
    return this.#free.pop() as number;
  }

  /** The hand goes round: what it finds is settled, and freed when nothing is left of it. */
  #look(cells: number, now: number): void {
    for (let i = 0; i < cells && this.#owners.length > 0; i++) {
      const cell = this.#hand;
      this.#hand = (cell + 1) % this.#owners.length;
      const table = this.#owners[cell];
      if (table === undefined) continue;
      if ((this.#epochs[cell] as number) < table.epoch) this.#catchUp(cell, table);
      const isGone = table.isGone || this.#lives[cell] !== this.#life[this.#slots[cell] as number];
      if (isGone || (this.#doneAt[cell] as number) <= now) this.#release(cell, table);
    }
  }

  #release(cell: number, table: Table): void {
    table.cells.delete(this.#slots[cell] as number);
    this.#owners[cell] = undefined;
    this.#free.push(cell);
  }
}

const NONE = -1;
