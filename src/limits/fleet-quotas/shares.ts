/**
 * Who has which part of all hard quotas. Once a day somebody begins a charter, of the whole; parts of it are given on, each once, by who has
 * them. Windows that begin on a day go by the charter of that day, or by the next there is.
 *
 *   0 ├───── begun by a ─────────────────────────┤ 2^32
 *     ├── a ──┤├─ b ─┤├─ b gave d ─┤├──── c ─────┤        part [x, y) of a limit of R units: ⌊y·R⌋ − ⌊x·R⌋, so that nothing is lost
 *
 * What was somebody's who left is its heir's: heirs.ts.
 */
import type { Claims } from './claims.ts';
import { type FleetRow, row } from './row.ts';

export const WHOLE: number = 2 ** 32;

export interface Part {
  readonly begin: number;
  readonly end: number;
}

export class Shares {
  readonly #claims: Claims;
  #version = -1;
  /** Days that have a charter, rising, and what each holds of it. */
  #days: number[] = [];
  readonly #roots = new Map<number, string>();
  #parts = new Map<number, Map<string, readonly Part[]>>();
  /** By actor. */
  readonly #latest = new Map<string, number>();

  constructor(claims: Claims) {
    this.#claims = claims;
  }

  /** Of windows that begin on the day; undefined: there is none yet. */
  charterOf(day: number): number | undefined {
    this.#look();
    return this.#days.find((each) => each >= day);
  }

  get newest(): number | undefined {
    this.#look();
    return this.#days.at(-1);
  }

  /** Begins a charter; all of it is `actor`'s. */
  begin(day: number, actor: string): boolean {
    return this.#claims.put(row({ kind: 'share', day, meter: actor, from: actor, to: actor }, 0, WHOLE));
  }

  /** Gives a part on. Whoever gives has it. */
  give(charter: number, from: string, to: string, { begin, end }: Part): boolean {
    this.#look();
    const meter = this.#roots.get(charter) as string;
    return this.#claims.put(row({ kind: 'share', day: charter, meter, from, to }, begin, end));
  }

  /** What one gave to another: it can do so once. */
  given(charter: number, from: string, to: string): Part | undefined {
    this.#look();
    const meter = this.#roots.get(charter) as string;
    const gift = this.#claims.get(row({ kind: 'share', day: charter, meter, from, to }, 0));
    return gift && { begin: gift.x, end: gift.y };
  }

  /** What an actor has of a charter, its heirs' and estates' not included. */
  partsOf(charter: number, actor: string): readonly Part[] {
    this.#look();
    return this.#parts.get(charter)?.get(actor) ?? [];
  }

  /** All that ever had something of a charter. */
  holders(charter: number): Iterable<string> {
    this.#look();
    return this.#parts.get(charter)?.keys() ?? [];
  }

  /** Whether it ever had something of a charter. */
  holds(charter: number, actor: string): boolean {
    this.#look();
    return this.#parts.get(charter)?.has(actor) === true;
  }

  /** The day of the newest charter of which it ever had something; -1: of none that is known here. */
  latestOf(actor: string): number {
    this.#look();
    return this.#latest.get(actor) ?? -1;
  }

  /** Reads it all anew when there are other shares. */
  #look(): void {
    const version = this.#claims.changesOf('share');
    if (this.#version === version) return;
    this.#version = version;
    this.#parts = new Map();
    this.#roots.clear();
    const shares = new Map<number, FleetRow[]>();
    for (const each of this.#claims.ofKind('share')) {
      const rows = shares.get(each.day);
      if (rows === undefined) shares.set(each.day, [each]);
      else rows.push(each);
    }
    for (const [day, rows] of shares) {
      const root = rows.reduce<string | undefined>(
        (first, { from, to }) => (from === to && (first === undefined || from < first) ? from : first),
        undefined,
      );
      if (root === undefined) continue;
      this.#roots.set(day, root);
      this.#parts.set(day, partsOf(rows.filter(({ meter }) => meter === root)));
    }
    this.#days = [...this.#parts.keys()].sort((a, b) => a - b);
    this.#latest.clear();
    for (const day of this.#days) for (const actor of this.holders(day)) this.#latest.set(actor, day);
  }
}

/** By actor: what it got, less what it gave. */
function partsOf(rows: readonly FleetRow[]): Map<string, readonly Part[]> {
  const parts = new Map<string, readonly Part[]>();
  for (const { to, x, y } of rows) parts.set(to, [...(parts.get(to) ?? []), { begin: x, end: y }]);
  for (const { from, to, x, y } of rows)
    if (from !== to)
      parts.set(
        from,
        (parts.get(from) ?? []).flatMap((part) => without(part, x, y)),
      );
  return parts;
}

function without(part: Part, begin: number, end: number): Part[] {
  const before = { begin: part.begin, end: Math.min(part.end, begin) };
  const behind = { begin: Math.max(part.begin, end), end: part.end };
  return [before, behind].filter((each) => each.begin < each.end);
}

export function lengthOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { begin, end }) => sum + end - begin, 0);
}

/** Units of a limit that parts are. Where something is taken off the limit, which each knows for itself, parts are rounded down alone. */
export function unitsOf(parts: readonly Part[], limit: number, outside: number): number {
  const left = Math.max(0, limit - outside);
  let units = 0;
  for (const { begin, end } of parts)
    units +=
      outside > 0
        ? Math.floor(((end - begin) / WHOLE) * left)
        : Math.floor((end / WHOLE) * left) - Math.floor((begin / WHOLE) * left);
  return units;
}
