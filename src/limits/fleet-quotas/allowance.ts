/**
 * How far a sidecar goes with a hard quota ahead of what a collector has of it, so that whoever comes after a whole fleet, with the collector's
 * word alone, knows how much was spent at most.
 *
 *   0 ├── kept: a collector has it ──┼── ahead ──┤ cap
 *                          spent ──────────▲       half of it: the collector should hear now
 *
 * `freeOf` the limit may be ahead of any line, told or not. Who needs more for one request says so first, and it is in force once kept.
 * While the collector is away nothing is held: quotas do not hang on it. What is spent then it does not know.
 *
 * Bound: lines of hard quotas that were asked for here.
 */
import type { Line } from '../quotas/account.ts';
import { isSpent } from '../quotas/need.ts';

const FREE_MIN = 16;
const FREE_SHARE = 1 / 256;

/** Units of a limit that a sidecar may spend that no collector has heard of. */
export function freeOf(limit: number): number {
  return Math.max(FREE_MIN, Math.floor(limit * FREE_SHARE));
}

/** What a collector has of a line. */
interface Entry {
  readonly tenant: string;
  from: number;
  kept: number;
  ahead: number;
  /** To be in force once it is kept. */
  wished: number;
}

/** What is on its way to a collector. */
export interface Said {
  readonly line: Line;
  readonly tenant: string;
  readonly from: number;
  readonly spent: number;
  /** More than is in force; undefined: it is not. */
  readonly ahead: number | undefined;
}

export class Allowance {
  /** Something should be kept soon. */
  onPress: () => void = () => {};
  readonly #entries = new Map<Line, Entry>();
  readonly #touched = new Set<Line>();
  /** - `free`: no collector is there. - `shut`: it does not know of this sidecar yet. - `held`. */
  #state: 'free' | 'shut' | 'held' = 'free';

  /** Whether there is something that a collector may not have. */
  get isTouched(): boolean {
    return this.#touched.size > 0;
  }

  /** The line is looked up anew, perhaps in a new window. */
  open(tenant: string, line: Line): void {
    const entry = this.#entries.get(line);
    if (entry?.from === line.from && entry.kept <= line.spent) return;
    this.#entries.set(line, { tenant, from: line.from, kept: 0, ahead: 0, wished: 0 });
    this.#touched.add(line);
    this.#limit(line);
  }

  /** Something of it is spent. */
  asks(line: Line): void {
    if (!this.#entries.has(line)) return;
    this.#touched.add(line);
    if (line.spent < line.pressAt) return;
    line.pressAt = Number.POSITIVE_INFINITY;
    this.onPress();
  }

  /** A request needed more than it may be ahead. */
  lacks(line: Line, units: number): void {
    const entry = this.#entries.get(line);
    if (entry === undefined) return;
    // Nobody can be further ahead than what is left.
    const left = Math.max(0, line.quota.limit - line.used);
    if (units > entry.ahead) entry.wished = Math.max(entry.wished, Math.min(2 * units, left));
    this.#touched.add(line);
    this.onPress();
  }

  drop(line: Line): void {
    this.#entries.delete(line);
    this.#touched.delete(line);
  }

  /** What a collector should have, as it is now. */
  say(): Said[] {
    const said: Said[] = [];
    for (const line of this.#touched) {
      const { tenant, from, wished } = this.#entries.get(line) as Entry;
      said.push({ line, tenant, from, spent: line.spent, ahead: wished > 0 ? wished : undefined });
    }
    return said;
  }

  /** A collector has it. */
  confirm(said: readonly Said[]): void {
    for (const { line, from, spent, ahead = 0 } of said) {
      const entry = this.#entries.get(line);
      if (entry?.from !== from) continue;
      entry.kept = Math.max(entry.kept, spent);
      entry.ahead = Math.max(entry.ahead, ahead);
      if (entry.wished <= entry.ahead) entry.wished = 0;
      if (line.spent === spent && entry.wished === 0) this.#touched.delete(line);
      this.#limit(line);
    }
  }

  /** The collector has nothing of it any more. */
  forget(): void {
    for (const [line, entry] of this.#entries) {
      entry.wished = Math.max(entry.wished, entry.ahead);
      entry.ahead = 0;
      entry.kept = 0;
      this.#touched.add(line);
      this.#limit(line);
    }
  }

  /** - `free`: nothing holds. - `shut`: nothing is spent. - `held`: what is kept holds. */
  become(state: 'free' | 'shut' | 'held'): void {
    if (this.#state === state) return;
    this.#state = state;
    for (const line of this.#entries.keys()) this.#limit(line);
  }

  #limit(line: Line): void {
    const { kept, ahead } = this.#entries.get(line) as Entry;
    line.cap = Number.POSITIVE_INFINITY;
    line.pressAt = Number.POSITIVE_INFINITY;
    if (this.#state === 'free' || !isSpent(line)) return;
    const more = Math.max(freeOf(line.quota.limit), ahead);
    line.cap = this.#state === 'shut' ? 0 : kept + more;
    line.pressAt = kept + more / 2;
  }
}
