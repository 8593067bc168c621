/**
 * What the fleet knows of rights and of marks that were announced: rows of all kinds that are neither counts nor gauges, whoever wrote them.
 *
 *   put ──▶ row (larger numbers hold) ◀── merge        bags: all rows of a tenant, meter and window
 *            └▶ changed: for the own log of gossip; since a version: for the disk
 *
 * Bound: `CLAIMS_MAX` rows, about 300 bytes each. What does not fit is not known here: who does not know of a right does not spend it.
 */
import { type FleetRow, isSound, keyOf, type RowKey, type RowKind } from './row.ts';

/** 2^17: shares and wills of a month, and 2,000 hard quotas by the month of which 50 members spend at once; of quotas by the day fewer. */
export const CLAIMS_MAX = 2 ** 17;

/** Kinds of which each row may change what all others mean. */
export type WholeKind = 'share' | 'will';

/** Rows of one tenant, meter and window. */
export type Bag = ReadonlyMap<string, FleetRow>;

interface Kept extends FleetRow {
  readonly version: number;
}

const NO_BAG: Bag = new Map();

export class Claims {
  readonly #max: number;
  readonly #rows = new Map<string, Kept>();
  readonly #bags = new Map<string, Map<string, FleetRow>>();
  #changed = new Map<string, FleetRow>();
  /** Of kinds that are read as a whole, and how often they changed. */
  readonly #kinds = { share: { rows: new Map<string, FleetRow>(), changes: 0 }, will: { rows: new Map<string, FleetRow>(), changes: 0 } };
  #version = 0;

  /** Another bound is for tests. */
  constructor(max: number = CLAIMS_MAX) {
    this.#max = max;
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Of the last change. */
  get version(): number {
    return this.#version;
  }

  /** How often rows of the kind changed. */
  changesOf(kind: WholeKind): number {
    return this.#kinds[kind].changes;
  }

  ofKind(kind: WholeKind): Iterable<FleetRow> {
    return this.#kinds[kind].rows.values();
  }

  get(key: RowKey): FleetRow | undefined {
    return this.#rows.get(keyOf(key));
  }

  /** Rows of a tenant, meter and window; those that have no tenant are in the bag of their day. */
  bag(tenant: string, meter: string, day: number): Bag {
    return this.#bags.get(bagOf({ tenant, meter, day })) ?? NO_BAG;
  }

  /** Says something that others should know. False when it is not known now: there is no room. */
  put(row: FleetRow): boolean {
    if (this.merge(row)) this.#changed.set(keyOf(row), this.get(row) as FleetRow);
    return this.get(row) !== undefined;
  }

  /** Whether the row was news. */
  merge(row: FleetRow): boolean {
    if (!isSound(row)) return false;
    const before = this.get(row);
    if (before !== undefined && row.x <= before.x && row.y <= before.y) return false;
    if (before === undefined && this.#rows.size >= this.#max) return false;
    const { kind, tenant, meter, day, from, to } = row;
    const x = Math.max(row.x, before?.x ?? 0);
    const y = Math.max(row.y, before?.y ?? 0);
    const kept = { kind, tenant, meter, day, from, to, x, y, version: ++this.#version };
    const key = keyOf(row);
    // Behind all that changed before.
    this.#rows.delete(key);
    this.#rows.set(key, kept);
    const name = bagOf(row);
    const bag = this.#bags.get(name) ?? new Map<string, FleetRow>();
    this.#bags.set(name, bag.set(key, kept));
    if (isWhole(kind)) {
      this.#kinds[kind].rows.set(key, kept);
      this.#kinds[kind].changes++;
    }
    return true;
  }

  /** What was said since this was last asked. */
  takeChanged(): FleetRow[] {
    const changed = [...this.#changed.values()];
    this.#changed = new Map();
    return changed;
  }

  /** Changes after the version, whoever said them. */
  *changedSince(version: number): Generator<FleetRow> {
    if (version >= this.#version) return;
    for (const row of this.#rows.values()) if (row.version > version) yield row;
  }

  rows(): Iterable<FleetRow> {
    return this.#rows.values();
  }

  /** Forgets rows whose time is over. */
  drop(isOver: (key: RowKey) => boolean): void {
    for (const [key, row] of this.#rows) {
      if (!isOver(row)) continue;
      this.#rows.delete(key);
      const { kind } = row;
      if (isWhole(kind) && this.#kinds[kind].rows.delete(key)) this.#kinds[kind].changes++;
      const name = bagOf(row);
      const bag = this.#bags.get(name) as Map<string, FleetRow>;
      bag.delete(key);
      if (bag.size === 0) this.#bags.delete(name);
    }
  }
}

function isWhole(kind: RowKind): kind is WholeKind {
  return kind === 'share' || kind === 'will';
}

/** A share names in its meter who began it: it is in the bag of its day. */
function bagOf({ tenant, meter, day }: Pick<RowKey, 'tenant' | 'meter' | 'day'>): string {
  return tenant === '' ? `${day}` : `${tenant} ${meter} ${day}`;
}
