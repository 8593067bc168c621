/**
 * What the fleet knows of rights and of marks that were announced: rows of all kinds that are neither counts nor gauges, whoever wrote them.
 *
 *   put ──▶ row (larger numbers hold) ◀── merge        bags: all rows of a window, by the day on which it begins
 *            └▶ changed: for the own log of gossip; since a version: for the disk
 *
 * Bound: `CLAIMS_MAX` rows, about 300 bytes each, a sixteenth of them for shares and wills alone: what fills the rest shuts no later window.
 * What does not fit is not known here. Who does not know of a right does not spend it; and of whom something was not taken in that makes less
 * of what it has, that is noted: nobody takes for its own what may be spent.
 */
import { type FleetRow, isSound, keyOf, NOBODY, type RowKey, type RowKind } from './row.ts';

/** 2^17. How many tenants that are: docs/quotas.md. */
export const CLAIMS_MAX = 2 ** 17;
const LOG_MIN = 1024;
const RESERVED_SHARE = 1 / 16;
/** Actors and days of which something is missing; beyond, of all something may be. */
const MISSED_MAX = 2 ** 14;

/** Rows of one tenant, meter and window. */
export type Bag = ReadonlyMap<string, FleetRow>;
/** Kinds of which each row may change what all others mean. */
export type WholeKind = 'share' | 'will';

interface Kept extends FleetRow {
  readonly version: number;
  /** It did not change again, and is not forgotten. */
  isLast: boolean;
}

const NO_BAG: Bag = new Map();
/** It is needed longest. */
const SHARE = { kind: 'share', tenant: '', meter: '', from: NOBODY, to: NOBODY } as const;

export class Claims {
  readonly max: number;
  /** Rows for which there was no room. */
  refused = 0;
  /** Told of them. */
  onFull: (row: FleetRow) => void = () => {};
  readonly #missedMax: number;
  readonly #rows = new Map<string, Kept>();
  /** Changes in their order, twice as many as there are rows at most. */
  #log: Kept[] = [];
  /** By the day on which their windows begin, and by tenant and meter. */
  readonly #days = new Map<number, Map<string, Map<string, FleetRow>>>();
  readonly #wholes = { share: new Map<string, FleetRow>(), will: new Map<string, FleetRow>() };
  readonly #changes = { share: 0, will: 0 };
  readonly #missed = new Set<string>();
  /** What was said here: what is to be told next, as it was at a version, and what changed since. */
  #staged = new Map<string, Kept>();
  #stagedAt = 0;
  #changed = new Map<string, Kept>();
  #version = 0;

  /** Other bounds are for tests. */
  constructor(max: number = CLAIMS_MAX, missedMax: number = MISSED_MAX) {
    this.max = max;
    this.#missedMax = missedMax;
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
    return this.#changes[kind];
  }

  ofKind(kind: WholeKind): Iterable<FleetRow> {
    return this.#wholes[kind].values();
  }

  get(key: RowKey): FleetRow | undefined {
    return this.#rows.get(keyOf(key));
  }

  /** Rows of a tenant, meter and window; those that have no tenant are in one bag of their day. */
  bag(tenant: string, meter: string, day: number): Bag {
    return this.#days.get(day)?.get(bagOf({ tenant, meter })) ?? NO_BAG;
  }

  /** Windows by the day on which they begin; shares and wills by theirs. */
  get byDay(): ReadonlyMap<number, ReadonlyMap<string, Bag>> {
    return this.#days;
  }

  /** All rows, window by window: who reads them while some change comes to an end. */
  *byWindow(): Generator<FleetRow> {
    for (const bags of this.#days.values()) for (const bag of bags.values()) yield* bag.values();
  }

  /** Whether there is anybody of whom something is missing. */
  get isMissing(): boolean {
    return this.#missed.size > 0;
  }

  /** Whether something that somebody gave or spent of windows of the day is not known here, so that it may have less than it seems. */
  hasMissed(actor: string, day: number): boolean {
    return this.#missed.size > 0 && (this.#missed.size >= this.#missedMax || this.#missed.has(`${day} ${actor}`));
  }

  /** Says something that others should know. False when it is not known now: there is no room. */
  put(row: FleetRow): boolean {
    const took = this.#take(row);
    if (took === 'news') this.#changed.set(keyOf(row), this.#rows.get(keyOf(row)) as Kept);
    return took === 'news' || took === 'known';
  }

  /** Whether the row, another's, was news. */
  merge(row: FleetRow): boolean {
    const took = this.#take(row);
    if (took === 'full' && this.#missed.size < this.#missedMax)
      for (const actor of poorer(row)) this.#missed.add(`${row.day} ${actor}`);
    return took === 'news';
  }

  #take(row: FleetRow): 'news' | 'known' | 'full' | 'malformed' {
    if (!isSound(row)) return 'malformed';
    const key = keyOf(row);
    const before = this.#rows.get(key);
    if (before !== undefined && row.x <= before.x && row.y <= before.y) return 'known';
    const { kind, tenant, meter, day, from, to } = row;
    if (
      before === undefined &&
      this.#rows.size >= this.max - (isWhole(kind) ? 0 : Math.floor(this.max * RESERVED_SHARE))
    ) {
      this.refused++;
      this.onFull(row);
      return 'full';
    }
    const x = Math.max(row.x, before?.x ?? 0);
    const y = Math.max(row.y, before?.y ?? 0);
    const kept = { kind, tenant, meter, day, from, to, x, y, version: ++this.#version, isLast: true };
    if (before !== undefined) before.isLast = false;
    this.#rows.set(key, kept);
    this.#note(kept);
    this.#bagFor(row).set(key, kept);
    if (isWhole(kind)) {
      this.#wholes[kind].set(key, kept);
      this.#changes[kind]++;
    }
    return 'news';
  }

  #bagFor(row: FleetRow): Map<string, FleetRow> {
    let bags = this.#days.get(row.day);
    if (bags === undefined) this.#days.set(row.day, (bags = new Map()));
    const name = bagOf(row);
    let bag = bags.get(name);
    if (bag === undefined) bags.set(name, (bag = new Map()));
    return bag;
  }

  /** Whether something was said that was not taken since. */
  get hasChanged(): boolean {
    return this.#staged.size + this.#changed.size > 0;
  }

  /** Whether it was said here, and not taken since. */
  isUntold(row: FleetRow): boolean {
    const key = keyOf(row);
    return this.#staged.has(key) || this.#changed.has(key);
  }

  /**
   * What was said since this was last asked, all of it up to some version that is no later. What changes meanwhile comes behind it, however often it
   * does: a row that grows all the time is told all the same.
   */
  takeChanged(upTo: number): FleetRow[] {
    const rows: FleetRow[] = [];
    for (;;) {
      if (this.#staged.size === 0) {
        [this.#staged, this.#changed] = [this.#changed, this.#staged];
        this.#stagedAt = this.#version;
      }
      if (this.#staged.size === 0 || this.#stagedAt > upTo) return rows;
      for (const row of this.#staged.values()) rows.push(row);
      this.#staged.clear();
    }
  }

  /** Changes after the version, whoever said them, as they were then: also those that changed again since. */
  changedSince(version: number): FleetRow[] {
    let from = this.#log.length;
    while (from > 0 && (this.#log[from - 1] as Kept).version > version) from--;
    return this.#log.slice(from);
  }

  /** What changed again, or is forgotten, goes when it is half of all. */
  #note(row: Kept): void {
    this.#log.push(row);
    if (this.#log.length <= 2 * this.#rows.size + LOG_MIN) return;
    this.#log = this.#log.filter(({ isLast }) => isLast);
  }

  rows(): Iterable<FleetRow> {
    return this.#rows.values();
  }

  /** Forgets rows whose time is over; a step a window. `isOver` is asked once a kind of row and window. */
  *dropping(isOver: (key: RowKey) => boolean): Generator<void> {
    for (const [day, bags] of this.#days) {
      for (const [name, bag] of bags) {
        this.#drop(bag, isOver);
        if (bag.size === 0) bags.delete(name);
        yield;
      }
      if (bags.size === 0) this.#days.delete(day);
    }
    for (const each of this.#missed) {
      const day = Number(each.slice(0, each.indexOf(' ')));
      if (isOver({ ...SHARE, day })) this.#missed.delete(each);
    }
  }

  #drop(bag: Map<string, FleetRow>, isOver: (key: RowKey) => boolean): void {
    for (const [key, row] of bag) {
      if (!isOver(row)) continue;
      bag.delete(key);
      (this.#rows.get(key) as Kept).isLast = false;
      this.#rows.delete(key);
      if (isWhole(row.kind) && this.#wholes[row.kind].delete(key)) this.#changes[row.kind]++;
    }
  }
}

function isWhole(kind: RowKind): kind is WholeKind {
  return kind === 'share' || kind === 'will';
}

/** Who has less by what the row says. */
function poorer({ kind, from, to }: FleetRow): readonly string[] {
  if (kind === 'keep') return [to];
  return kind === 'spent' || kind === 'grant' || kind === 'share' ? [from] : [];
}

/** A share names in its meter who began it: it is in the bag of its day. */
function bagOf({ tenant, meter }: Pick<RowKey, 'tenant' | 'meter'>): string {
  return tenant === '' ? '' : `${tenant} ${meter}`;
}
