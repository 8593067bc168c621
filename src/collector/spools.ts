/**
 * One row a spool: how far it is told. This is all there is against doubled records, and its window has no end.
 *
 *   taken   appended to the ledger: only what comes right behind it is accepted
 *   synced  on the medium: what a Welcome and an Ack say
 *
 * Bound: `SPOOLS_MAX` rows. Beyond it the row that said nothing for longest of those that said Bye, or were written off, is forgotten.
 */
import { crc32 } from 'node:zlib';
import { countOf, type Entry, LIFE_UNKNOWN } from './entry.ts';

/** A position, and what must fit behind it. */
export interface Mark {
  readonly epoch: number;
  readonly seq: number;
  /** CRC-32 of the frame that ends there. */
  readonly chain: number;
  /** Of the epoch. */
  readonly life: string;
  /** Numbers up to it since the first, over all epochs: records, gaps, and what damage hit. */
  readonly told: number;
}

export const NOTHING: Mark = { epoch: 0, seq: 0, chain: 0, life: LIFE_UNKNOWN, told: 0 };

/**
 * What stood in the ledger, or is missing there, between `synced` and this position, and does not count: nobody knows whether it was acknowledged. A
 * sidecar that still has it tells it again.
 */
export interface Doubt {
  readonly epoch: number;
  readonly seq: number;
  /** Numbers that were not told again so far. */
  readonly count: number;
}

/**
 * - `live`: more may come; windows wait for it. - `ended`: it said Bye with everything told. - `written off`: an operator said so. Whoever
 * speaks again is live again.
 */
export type SpoolState = 'live' | 'ended' | 'written off';

export interface Spool {
  readonly id: string;
  service: string;
  instance: string;
  state: SpoolState;
  taken: Mark;
  synced: Mark;
  /** Entries between the two. */
  pending: number;
  /** Wall ms: nothing that ended before comes later; of what is synced. */
  watermarkMs: number;
  /** Of what is taken. */
  watermarkTakenMs: number;
  /** When it was first and last heard of, wall ms. */
  firstMs: number;
  lastMs: number;
  /** Since the first, synced. */
  records: number;
  /** Without those in doubt. */
  lost: number;
  doubt: Doubt | undefined;
  /** Bytes that wait in it, by its own word. */
  spoolBytes: number;
  /** The opening that spoke last: an older one, or another of that number, is not the same spool. */
  newest: { readonly epoch: number; readonly life: string };
}

/** 100,000: a year of a fleet that replaces 250 pods a day, at some 300 bytes each. */
export const SPOOLS_MAX = 100_000;

/** A row as a save keeps it. */
type Kept = Omit<Spool, 'taken' | 'pending' | 'watermarkTakenMs' | 'synced'> & {
  readonly synced: Omit<Mark, 'told'> & Partial<Pick<Mark, 'told'>>;
};

export class Spools {
  readonly #rows = new Map<string, Spool>();
  readonly #max: number;
  /** Since the start: of a spool that is new it is not known whether it is. */
  hasForgotten = false;

  constructor(max: number = SPOOLS_MAX) {
    this.#max = max;
  }

  get size(): number {
    return this.#rows.size;
  }

  [Symbol.iterator](): IterableIterator<Spool> {
    return this.#rows.values();
  }

  get(id: string): Spool | undefined {
    return this.#rows.get(id);
  }

  /** Its row, made if it has none. Undefined: there is no room, every spool is live. */
  meet(id: string, service: string, instance: string, nowMs: number): Spool | undefined {
    const known = this.#rows.get(id);
    if (known !== undefined) return Object.assign(known, { service, instance });
    if (this.#rows.size >= this.#max && !this.#forgetOne()) return undefined;
    const row: Spool = {
      id,
      service,
      instance,
      state: 'live',
      taken: NOTHING,
      synced: NOTHING,
      pending: 0,
      watermarkMs: 0,
      watermarkTakenMs: 0,
      firstMs: nowMs,
      lastMs: nowMs,
      records: 0,
      lost: 0,
      doubt: undefined,
      spoolBytes: 0,
      newest: { epoch: 0, life: LIFE_UNKNOWN },
    };
    this.#rows.set(id, row);
    return row;
  }

  /** What a checkpoint keeps. */
  write(): readonly unknown[] {
    return [...this.#rows.values()].map(({ taken: _taken, pending: _pending, watermarkTakenMs: _ms, ...row }) => row);
  }

  /** Of what `write` gave. */
  read(rows: readonly unknown[]): void {
    for (const row of rows as readonly Kept[]) {
      // Those of an older version do not say how many were told.
      const synced: Mark = { ...row.synced, told: row.synced.told ?? row.records + row.lost };
      const more = { taken: synced, synced, pending: 0, watermarkTakenMs: row.watermarkMs, doubt: row.doubt };
      this.#rows.set(row.id, { ...row, ...more });
    }
  }

  #forgetOne(): boolean {
    let oldest: Spool | undefined;
    for (const row of this.#rows.values())
      if (row.state !== 'live' && row.pending === 0 && (oldest === undefined || row.lastMs < oldest.lastMs))
        oldest = row;
    if (oldest === undefined) return false;
    this.hasForgotten = true;
    return this.#rows.delete(oldest.id);
  }
}

/**
 * - `next`: it follows. - `elsewhere`: it does not, and the sender must ask from where on. - `foreign`: it stands there, but behind another
 * history: of a clone, or of a copy that was restored.
 */
export type Verdict = 'next' | 'elsewhere' | 'foreign';

type Place = Pick<Entry, 'kind' | 'epoch' | 'seqFrom' | 'seqTo' | 'chainBefore'>;

/** Where an entry stands to what was taken. `newest`: the opening whose stream it comes by; an entry of the ledger has passed it once. */
export function judge(at: Mark, entry: Place, newest?: { readonly epoch: number; readonly chain: number }): Verdict {
  const { kind, epoch, seqFrom, chainBefore } = entry;
  if (kind === 'write-off') return 'next';
  // A later epoch in which nothing was recorded says so with 0.
  if (kind === 'bye')
    return (epoch === at.epoch && entry.seqTo === at.seq) || (epoch > at.epoch && entry.seqTo === 0)
      ? 'next'
      : 'elsewhere';
  if (entry.seqTo < seqFrom) return 'elsewhere';
  if (epoch === at.epoch) {
    if (seqFrom !== at.seq + 1) return 'elsewhere';
    return chainBefore === at.chain ? 'next' : 'foreign';
  }
  if (epoch < at.epoch || seqFrom !== 1 || (newest !== undefined && epoch > newest.epoch)) return 'elsewhere';
  // The life of an epoch between the two is not known here; that of the newest is.
  return newest !== undefined && epoch === newest.epoch && chainBefore !== newest.chain ? 'foreign' : 'next';
}

/** What the first frame of an epoch has before it. */
export function chainStart(spoolId: string, life: string): number {
  return crc32(Buffer.from(spoolId + life, 'hex'));
}

/** It was appended to the ledger. */
export function take(row: Spool, entry: Entry): void {
  row.pending++;
  if (countOf(entry) === 0) return;
  row.taken = markOf(entry, row.taken.told + countOf(entry));
  row.watermarkTakenMs = Math.max(row.watermarkTakenMs, entry.watermarkMs);
}

/** It is on the medium. */
export function settle(row: Spool, entry: Entry): void {
  row.pending--;
  row.lastMs = Math.max(row.lastMs, entry.receivedMs);
  resolveDoubt(row, entry);
  if (entry.kind === 'write-off') row.state = 'written off';
  else row.state = entry.kind === 'bye' ? 'ended' : 'live';
  const count = countOf(entry);
  if (count === 0) return;
  row.synced = markOf(entry, row.synced.told + count);
  row.watermarkMs = Math.max(row.watermarkMs, entry.watermarkMs);
  if (entry.kind === 'gap') row.lost += count;
  else row.records += count;
  if (entry.epoch >= row.newest.epoch) row.newest = { epoch: entry.epoch, life: entry.life };
}

/** Of what is told now, or is missing before it, nobody is in doubt any more; what is left when it is passed, or nothing more comes, is lost. */
function resolveDoubt(row: Spool, entry: Entry): void {
  const { doubt } = row;
  if (doubt === undefined) return;
  const isOver = countOf(entry) === 0 || !isBefore(entry.epoch, entry.seqTo, doubt);
  const count = Math.max(0, doubt.count - toldAgain(doubt, entry));
  if (isOver) row.lost += count;
  row.doubt = isOver ? undefined : { ...doubt, count };
}

function toldAgain(doubt: Doubt, entry: Entry): number {
  if (entry.epoch > doubt.epoch) return 0;
  const beyond = entry.epoch === doubt.epoch ? Math.max(0, entry.seqTo - doubt.seq) : 0;
  return Math.max(0, countOf(entry) - beyond);
}

/** With those in doubt. */
export function lostOf({ lost, doubt }: Spool): number {
  return lost + (doubt?.count ?? 0);
}

/** Whether a position stands before another. */
export function isBefore(epoch: number, seq: number, at: Pick<Mark, 'epoch' | 'seq'>): boolean {
  return epoch < at.epoch || (epoch === at.epoch && seq < at.seq);
}

/** `told`: numbers up to its end. */
export function markOf({ epoch, seqTo, chainAfter, life }: Entry, told: number): Mark {
  return { epoch, seq: seqTo, chain: chainAfter, life, told };
}
