/**
 * What others want of hard quotas. A want that could not be met is looked at again ever less often, and once nothing is left to give here
 * not before something of its window changed, or it is said again.
 *
 *   want ─▶ due now ─ met, or not said again for 10 s ─▶ gone
 *             ▲  └─ not ─▶ 0.25 s, 0.5 s … 8 s          nothing to give: only then
 *             └── said again, or rights that came in ──┘
 *
 * Bound: a want a member, tenant and meter: rows of claims.
 */
import type { FleetRow } from './row.ts';

const [FIRST_MS, LONGEST_MS] = [250, 8000] as const;

/** Until what could not be had is asked for again, ms. */
export function patienceMs(tries: number): number {
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** tries);
}

/** Who still lacks something says so again, behind 8 s at most. Of two that want nothing any more each would give the other all it has, again and again. */
const WANTED_MS = 10_000;

interface Want {
  readonly row: FleetRow;
  readonly until: number;
  tries: number;
  dueAt: number;
}

/** - `met`, or there is no such window any more. - `unmet`. - `empty`: and there is nothing to give here. */
export type Answer = 'met' | 'unmet' | 'empty';

type Of = Pick<FleetRow, 'tenant' | 'meter'>;

export class Wants {
  /** By tenant and meter, and by who wants. */
  readonly #wants = new Map<string, Map<string, Want>>();
  /** None is due before, ms. */
  #nextAt = Number.POSITIVE_INFINITY;

  /** Somebody wants more than before, or still. */
  add(row: FleetRow, now: number): void {
    const name = nameOf(row);
    const wants = this.#wants.get(name) ?? new Map<string, Want>();
    this.#wants.set(name, wants.set(row.from, { row, until: now + WANTED_MS, tries: 0, dueAt: 0 }));
    this.#nextAt = 0;
  }

  /** There may be something to give again. */
  wake(of: Of): void {
    this.#wake(this.#wants.get(nameOf(of)));
  }

  wakeAll(): void {
    for (const each of this.#wants.values()) this.#wake(each);
  }

  #wake(wants: Map<string, Want> | undefined): void {
    for (const want of wants?.values() ?? []) {
      want.tries = 0;
      want.dueAt = 0;
      this.#nextAt = 0;
    }
  }

  /** Looks at those that are due, at most so many. */
  answer(now: number, max: number, give: (want: FleetRow) => Answer): void {
    if (now < this.#nextAt) return;
    let left = max;
    let nextAt = Number.POSITIVE_INFINITY;
    for (const [name, wants] of this.#wants) {
      for (const [from, want] of wants) {
        if (want.until <= now) wants.delete(from);
        else if (want.dueAt <= now && left-- > 0) {
          const answer = give(want.row);
          if (answer === 'met') wants.delete(from);
          want.dueAt = answer === 'empty' ? want.until : now + patienceMs(want.tries++);
        }
        if (wants.has(from)) nextAt = Math.min(nextAt, want.dueAt);
      }
      if (wants.size === 0) this.#wants.delete(name);
    }
    this.#nextAt = nextAt;
  }
}

function nameOf({ tenant, meter }: Of): string {
  return `${tenant} ${meter}`;
}
