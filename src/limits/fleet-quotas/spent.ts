/**
 * What was spent here of hard quotas, as the others hear it. What cannot be said, for want of room, is kept in mind as long as its window runs;
 * where there is no room for that either, or rows of the window were forgotten, nobody knows what is left of it, and all of it is refused.
 *
 *   line ─ say ─▶ claims ─▶ others          left before its window ended, and not said: kept, `KEPT_MAX` of them
 */
import type { Clock } from '../../core/index.ts';
import type { Line } from '../quotas/account.ts';
import type { Claims } from './claims.ts';
import { type FleetRow, keyOf, NOBODY, type RowKey, row } from './row.ts';

const KEPT_MAX = 4096;

export interface SpentWorld {
  readonly self: string;
  readonly claims: Claims;
  readonly clock: Clock;
  /** Tells what was counted of a quota: others must know it before they know what was spent. False: there is no room. */
  readonly tellCounts: (tenant: string, meter: string) => boolean;
  /** Whether rows of the window were forgotten here. */
  readonly isForgotten: (tenant: string, meter: string, day: number) => boolean;
  /** Another bound is for tests. */
  readonly keptMax?: number;
}

export class Spent {
  readonly #o: SpentWorld;
  /** Lines of which the last is not said. */
  readonly #unsaid = new Set<Line>();
  readonly #kept = new Map<string, Pick<FleetRow, 'x' | 'y'>>();
  /** Until then nobody knows here what was spent in a window that is opened again, wall ms. */
  #blindUntil = 0;
  readonly #lost = new WeakSet<Line>();

  constructor(world: SpentWorld) {
    this.#o = world;
  }

  /** Whether all of the lines that are open is said. */
  get isSaid(): boolean {
    return this.#unsaid.size === 0;
  }

  /** Also of those that were left. */
  get isAllSaid(): boolean {
    return this.isSaid && this.#kept.size === 0 && !this.#isBlind;
  }

  get #isBlind(): boolean {
    return this.#o.clock.wallMs() < this.#blindUntil;
  }

  /** Nobody knows what is left of it. */
  isLost(line: Line): boolean {
    return this.#lost.has(line);
  }

  /** A line comes into a window, perhaps again. */
  restore(tenant: string, line: Line): void {
    const key = this.#key(tenant, line);
    const [said, kept] = [this.#o.claims.get(key), this.#kept.get(keyOf(key))];
    line.spent = Math.max(said?.x ?? 0, kept?.x ?? 0);
    line.credited = Math.max(said?.y ?? 0, kept?.y ?? 0);
    const isUnknown = said === undefined && kept === undefined && this.#isBlind;
    if (isUnknown || this.#o.isForgotten(tenant, line.quota.meter, line.from)) this.#lost.add(line);
    else this.#lost.delete(line);
  }

  /** What was given back, of what is said. */
  creditSaid(tenant: string, line: Line): number {
    return this.#o.claims.get(this.#key(tenant, line))?.y ?? 0;
  }

  /** False: not all of it is said now. `held`: beyond what was spent. */
  say(tenant: string, line: Line, held = 0): boolean {
    const x = line.spent + held;
    if (x === 0) return true;
    const isSaid =
      this.#o.tellCounts(tenant, line.quota.meter) &&
      this.#o.claims.put(row(this.#key(tenant, line), x, line.credited));
    if (isSaid) this.#unsaid.delete(line);
    else this.#unsaid.add(line);
    return isSaid;
  }

  /** A line leaves its window, or its tenant goes. False: what was spent of it is not said. */
  leave(tenant: string, line: Line): boolean {
    const { clock, keptMax = KEPT_MAX } = this.#o;
    const key = keyOf(this.#key(tenant, line));
    // What runs may still be counted, on a line that nobody looks at any more.
    const isSaid = this.say(tenant, line, line.reserved);
    this.#unsaid.delete(line);
    if (isSaid || clock.wallMs() >= line.endMs) this.#kept.delete(key);
    else if (this.#kept.size < keptMax) this.#kept.set(key, { x: line.spent + line.reserved, y: line.credited });
    else this.#blindUntil = Math.max(this.#blindUntil, line.endMs);
    return isSaid;
  }

  #key(tenant: string, { quota, from }: Line): RowKey {
    return { kind: 'spent', tenant, meter: quota.meter, day: from, from: this.#o.self, to: NOBODY };
  }
}
