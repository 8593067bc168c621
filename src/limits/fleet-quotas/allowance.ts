/**
 * How far a sidecar goes with a hard quota ahead of what somebody keeps of it, its disk or a collector, so that whoever comes after, with that word
 * alone, knows how much was spent at most.
 *
 *   0 ├── kept ──────────────────────┼── ahead ──┤ cap
 *                          spent ──────────▲       half of it: more should be kept now
 *
 * `freeOf` the limit may be ahead of any line, told or not. Who needs more for one request says so first, and it is in force once kept. Where many
 * requests at once may be ahead further, each time they are not enough it is twice as much.
 * Of a life behind others that crashed one after the other both are half as much for each: what all of them may have spent unseen is less than twice
 * what one may, but for what runs at once, however often a process crashes.
 * While the keeper is away nothing is held: quotas do not hang on it. What is spent then it does not know.
 *
 * Bound: lines of hard quotas that were asked for here.
 */
import type { Line } from '../quotas/account.ts';
import { isSpent } from '../quotas/need.ts';

const FREE_MIN = 16;
const FREE_SHARE = 1 / 256;

/** Units of a limit that a sidecar may spend before they are kept. `crashes`: of lives before it, one after the other. */
export function freeOf(limit: number, crashes = 0): number {
  return Math.floor(Math.max(FREE_MIN, Math.floor(limit * FREE_SHARE)) / 2 ** crashes);
}

/** What is kept of a line. */
interface Entry {
  readonly tenant: string;
  from: number;
  kept: number;
  ahead: number;
  /** To be in force once it is kept. */
  wished: number;
  /** Units up to which it may be spent, and at which more should be kept. */
  cap: number;
  pressAt: number;
}

const { POSITIVE_INFINITY: NO_BOUND } = Number;

/** What is on its way to be kept. */
export interface Said {
  readonly line: Line;
  readonly tenant: string;
  readonly from: number;
  readonly spent: number;
  /** More than is in force; undefined: it is not. */
  readonly ahead: number | undefined;
  /** What may be spent once it is kept, but for what may be ahead of any line. */
  readonly most: number;
}

export class Allowance {
  /** Something should be kept soon. */
  onPress: () => void = () => {};
  /** More is kept, or nothing has to be. */
  onKept: () => void = () => {};
  readonly #onLimit: (line: Line) => void;
  readonly #burstShare: number;
  readonly #entries = new Map<Line, Entry>();
  readonly #touched = new Set<Line>();
  /** - `free`: nobody keeps it. - `shut`: the keeper does not know of this sidecar yet. - `held`. */
  #state: 'free' | 'shut' | 'held' = 'free';
  #crashes = 0;

  /** `onLimit`: a line may be spent further than before, or less far. `burstShare`: of a limit, as far as many requests at once let it go ahead. */
  constructor(onLimit: (line: Line) => void, burstShare = 0) {
    this.#onLimit = onLimit;
    this.#burstShare = burstShare;
  }

  /** Units up to which a line may be spent. */
  capOf(line: Line): number {
    return this.#entries.get(line)?.cap ?? NO_BOUND;
  }

  /** Units of it at which more should be kept. */
  pressAtOf(line: Line): number {
    return this.#entries.get(line)?.pressAt ?? NO_BOUND;
  }

  /** Whether there is something that may not be kept. */
  get isTouched(): boolean {
    return this.#touched.size > 0;
  }

  /** The line is looked up anew, perhaps in a new window. */
  open(tenant: string, line: Line): void {
    const before = this.#entries.get(line);
    // Of another limit than before another part may be ahead.
    if (before?.from === line.from && before.kept <= line.spent) return this.#limit(line, before);
    const entry = { tenant, from: line.from, kept: 0, ahead: 0, wished: 0, cap: NO_BOUND, pressAt: NO_BOUND };
    this.#entries.set(line, entry);
    this.#touched.add(line);
    this.#limit(line, entry);
  }

  /** Something of it is spent. */
  asks(line: Line): void {
    const entry = this.#entries.get(line);
    if (entry === undefined) return;
    this.#touched.add(line);
    if (line.spent < entry.pressAt) return;
    entry.pressAt = NO_BOUND;
    this.#onLimit(line);
    this.onPress();
  }

  /** A request needed more than it may be ahead. */
  lacks(line: Line, units: number): void {
    const entry = this.#entries.get(line);
    if (entry === undefined || line.spent + line.reserved + units <= entry.cap) return;
    const { limit } = line.quota;
    // Nobody can be further ahead than what is left.
    const left = Math.max(0, limit - line.used);
    const more = this.#moreThan(limit, entry.ahead);
    // What runs has reserved as much.
    const needed = line.reserved + units;
    const less = 2 ** this.#crashes;
    const wanted =
      needed > more
        ? Math.max(needed, (2 * needed) / less)
        : Math.min(2 * more, Math.floor((this.#burstShare * limit) / less));
    if (wanted > more) entry.wished = Math.max(entry.wished, Math.min(wanted, left));
    this.#touched.add(line);
    this.onPress();
  }

  drop(line: Line): void {
    this.#entries.delete(line);
    this.#touched.delete(line);
  }

  /** What should be kept, as it is now. `isAll`: also what is. */
  say(isAll = false): Said[] {
    const said: Said[] = [];
    for (const line of isAll ? this.#entries.keys() : this.#touched) {
      const { tenant, from, ahead, wished } = this.#entries.get(line) as Entry;
      const { spent, reserved } = line;
      said.push({
        line,
        tenant,
        from,
        spent,
        ahead: wished > 0 ? wished : undefined,
        most: spent + Math.max(ahead, wished, reserved),
      });
    }
    return said;
  }

  /** It is kept. */
  confirm(said: readonly Said[]): void {
    for (const { line, from, spent, ahead = 0 } of said) {
      const entry = this.#entries.get(line);
      if (entry?.from !== from) continue;
      entry.kept = Math.max(entry.kept, spent);
      entry.ahead = Math.max(entry.ahead, ahead);
      if (entry.wished <= entry.ahead) entry.wished = 0;
      if (line.spent === spent && entry.wished === 0) this.#touched.delete(line);
      this.#limit(line, entry);
    }
    this.onKept();
  }

  /** Nothing of it is kept any more. */
  forget(): void {
    for (const [line, entry] of this.#entries) {
      entry.wished = Math.max(entry.wished, entry.ahead);
      entry.ahead = 0;
      entry.kept = 0;
      this.#touched.add(line);
      this.#limit(line, entry);
    }
  }

  /** So many lives before this one crashed, one after the other. Before anything is kept. */
  follow(crashes: number): void {
    this.#crashes = crashes;
  }

  /** - `free`: nothing holds. - `shut`: nothing is spent. - `held`: what is kept holds. */
  become(state: 'free' | 'shut' | 'held'): void {
    if (this.#state === state) return;
    this.#state = state;
    for (const [line, entry] of this.#entries) this.#limit(line, entry);
    this.onKept();
  }

  #moreThan(limit: number, ahead: number): number {
    return Math.max(freeOf(limit, this.#crashes), ahead);
  }

  #limit(line: Line, entry: Entry): void {
    const { kept, ahead } = entry;
    const isBound = this.#state !== 'free' && isSpent(line);
    const more = this.#moreThan(line.quota.limit, ahead);
    entry.cap = !isBound ? NO_BOUND : this.#state === 'shut' ? 0 : kept + more;
    entry.pressAt = isBound ? kept + more / 2 : NO_BOUND;
    this.#onLimit(line);
  }
}
