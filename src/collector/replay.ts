/**
 * The ledger, read back at a start: which of its entries count. Of each spool they stand on one line of numbers (`stood`), so that what is missing is seen.
 *
 *   told   0        2                32      37
 *   ───────[ 1:1–2 ]░░░░░░░░░░░░░░░░░[ 2:1–5 ]──▶ an entry behind a hole
 *                                     ├ it was synced by the word of this entry, or of a later one: lost, counted, said; the entry counts
 *                                     ├ a later entry begins before the end of this one: an earlier start did not take it, and it was told again
 *                                     └ nobody says: in doubt. The spool ends before the hole; who has it tells it again
 *
 * Those of version 0 do not say where they stood: behind a hole they count by the age of their segment, and a hole at the end of an epoch is not seen.
 *
 * Bound: `HELD_BYTES_MAX` of payloads wait for a later entry's word. What one spool had on its way to one sync is 4 MiB by its credit.
 */
import { countOf, type Entry } from './entry.ts';
import { chainStart, isBefore, judge, type Mark, markOf, type Spool, type Spools, settle, take } from './spools.ts';

/** Numbers that were acknowledged, maybe, and are missing. */
export interface Hole {
  readonly row: Spool;
  readonly lost: number;
  /** Positions of the entries around it. */
  readonly behind: string;
  readonly before: string;
}

const HELD_BYTES_MAX = 64 * 2 ** 20;

/** With where it stood. */
type Placed = Entry & Required<Pick<Entry, 'stood'>>;

export class Replay {
  readonly #spools: Spools;
  readonly #onHole: (hole: Hole) => void;
  readonly #bytesMax: number;
  /** Behind a hole, in order. */
  readonly #held = new Map<Spool, Placed[]>();
  #heldBytes = 0;
  /** That counted, and that did not. */
  entries = 0;
  refused = 0;

  constructor(spools: Spools, onHole: (hole: Hole) => void, bytesMax: number = HELD_BYTES_MAX) {
    this.#spools = spools;
    this.#onHole = onHole;
    this.#bytesMax = bytesMax;
  }

  /** Of all entries that wait, about. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** The next entry. Returns those that count now, in order: none, this one, also some that waited. `isSettled` is asked of version 0 alone. */
  read(entry: Entry, isSettled: boolean): readonly Entry[] {
    const row = this.#spools.meet(entry.spoolId, entry.service, entry.instance, entry.receivedMs);
    const counting: Entry[] = [];
    if (row === undefined) this.refused++;
    else if (entry.stood === undefined) this.#readOld(row, entry, isSettled, counting);
    else this.#readPlaced(row, { ...entry, stood: entry.stood }, counting);
    this.entries += counting.length;
    return counting;
  }

  /** Nobody says any more that those that wait were synced. */
  giveUp(): void {
    for (const [row, held] of this.#held) this.#doubt(row, held);
    this.#held.clear();
    this.#heldBytes = 0;
  }

  #readOld(row: Spool, entry: Entry, isSettled: boolean, counting: Entry[]): void {
    // Who wrote it did not know those that wait.
    this.#release(row, row.taken.told);
    const isNext = judge(row.taken, entry) === 'next';
    const missing = isNext || !isSettled ? 0 : numbersBetween(row.taken, entry);
    if (isNext || missing > 0) this.#count(row, entry, row.taken.told + missing, counting);
    else this.refused++;
  }

  #readPlaced(row: Spool, entry: Placed, counting: Entry[]): void {
    const { told, synced } = entry.stood;
    // One that was forgotten told something before.
    if (row.taken.epoch === 0 && this.#spools.hasForgotten) row.taken = row.synced = { ...row.taken, told };
    for (const each of this.#release(row, told)) {
      const { told: before } = each.stood;
      if (before <= synced || before === row.taken.told) this.#count(row, each, before, counting);
      else this.#hold(row, each);
    }
    const isNext = told <= row.taken.told && judge(row.taken, entry) === 'next';
    const isBehindHole = told > row.taken.told && isBehind(row.taken, entry);
    if (isNext || (isBehindHole && told <= synced)) this.#count(row, entry, told, counting);
    else if (isBehindHole) this.#hold(row, entry);
    else this.refused++;
  }

  /** It counts, and `told` numbers stand before it. */
  #count(row: Spool, entry: Entry, told: number, counting: Entry[]): void {
    const lost = Math.max(0, told - row.taken.told);
    if (lost > 0) {
      this.#onHole({ row, lost, behind: placeOf(row.taken), before: `${entry.epoch}:${entry.seqFrom}` });
      row.lost += lost;
      lessen(row, entry, lost);
      if (countOf(entry) === 0) row.taken = row.synced = endOf(entry);
    }
    row.taken = row.synced = { ...row.taken, told };
    take(row, entry);
    settle(row, entry);
    counting.push(entry);
  }

  #hold(row: Spool, entry: Placed): void {
    const held = this.#held.get(row) ?? [];
    this.#held.set(row, held);
    // What was read is good until the next is read.
    const { batch } = entry;
    held.push(batch === undefined ? entry : { ...entry, batch: { ...batch, zstd: Buffer.from(batch.zstd) } });
    this.#heldBytes += bytesOf(entry);
    if (this.#heldBytes > this.#bytesMax) this.giveUp();
  }

  /** Those that wait, and that the next one, which begins at `told`, does not begin anew. */
  #release(row: Spool, told: number): readonly Placed[] {
    const held = this.#held.get(row) ?? [];
    this.#held.delete(row);
    for (const each of held) this.#heldBytes -= bytesOf(each);
    const at = held.findIndex((each) => each.stood.told + countOf(each) > told);
    if (at === -1) return held;
    this.#doubt(row, held.slice(at));
    return held.slice(0, at);
  }

  /** They do not count now: what is told, or missing, up to their end is taken off again. */
  #doubt(row: Spool, held: readonly Placed[]): void {
    this.refused += held.length;
    const last = held.at(-1) as Placed;
    const { epoch, seq, told: end } = markOf(last, last.stood.told + countOf(last));
    const before = row.doubt;
    const count = Math.max(end - row.taken.told, before?.count ?? 0);
    row.doubt = before !== undefined && isBefore(epoch, seq, before) ? { ...before, count } : { epoch, seq, count };
    // Windows wait for it.
    row.state = 'live';
  }
}

/** Of what is missing before an entry, and is lost now, nobody is in doubt any more. */
function lessen(row: Spool, entry: Entry, lost: number): void {
  const { doubt, taken } = row;
  if (doubt === undefined) return;
  const from = taken.epoch === entry.epoch ? taken.seq : 0;
  const isSame = entry.epoch === doubt.epoch;
  const beyond = isSame ? Math.max(0, lastBefore(entry) - Math.max(doubt.seq, from)) : 0;
  row.doubt = { ...doubt, count: Math.max(0, doubt.count - Math.max(0, lost - beyond)) };
}

/** The number that stood before an entry, in its epoch. */
function lastBefore({ kind, seqFrom }: Entry): number {
  return kind === 'batch' || kind === 'gap' ? seqFrom - 1 : seqFrom;
}

/** How many numbers are missing, as far as the epoch of the entry says it; 0: it does not stand behind. */
function numbersBetween(at: Mark, entry: Entry): number {
  if (!isBehind(at, entry)) return 0;
  return lastBefore(entry) - (entry.epoch === at.epoch ? at.seq : 0);
}

function isBehind(at: Mark, entry: Entry): boolean {
  return entry.seqTo >= entry.seqFrom && !isBefore(entry.epoch, lastBefore(entry), at);
}

/** Where the spool of a Bye or a write-off ended. */
function endOf(entry: Entry): Mark {
  const mark = markOf(entry, 0);
  // Of an epoch in which nothing was recorded: what comes first in it has this before it.
  return entry.kind === 'bye' && mark.seq === 0 ? { ...mark, chain: chainStart(entry.spoolId, entry.life) } : mark;
}

function bytesOf({ batch }: Entry): number {
  return 256 + (batch?.zstd.length ?? 0);
}

const placeOf = ({ epoch, seq }: Mark): string => `${epoch}:${seq}`;
