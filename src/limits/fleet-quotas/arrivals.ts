/**
 * Rows that come in, of another sidecar or of a collector: each goes to the store of its kind, and who must know of it is told.
 *
 *   row ─▶ count, total ─▶ counters ─▶ lines
 *          gauge ────────▶ gauges ───▶ lines
 *          any other ────▶ claims ───▶ escrow
 *
 * Bounds: those of the stores; for what has no room there, it is as if it had not come.
 */
import type { Clock } from '../../core/index.ts';
import type { Accounts } from '../quotas/accounts.ts';
import { DAY_MS } from '../quotas/calendar.ts';
import type { CounterStore } from '../quotas/counter-store.ts';
import type { GaugeStore } from '../quotas/gauge-store.ts';
import type { Adoption } from './adoption.ts';
import type { Claims } from './claims.ts';
import type { Comeback } from './comeback.ts';
import type { Escrow } from './escrow.ts';
import type { Retention } from './retention.ts';
import type { FleetRow } from './row.ts';

/** A day is over everywhere 12 h after it is in UTC. */
const OVER_MS = DAY_MS / 2;

export interface ArrivalsWorld {
  readonly self: string;
  readonly clock: Clock;
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  readonly claims: Claims;
  readonly retention: Retention;
  readonly escrow: Escrow;
  readonly comeback: Comeback;
  readonly adoption: Adoption;
  /** Undefined: nothing is served yet. */
  readonly accounts: () => Accounts | undefined;
}

export class Arrivals {
  /** Rows that were news, and those that were not: held already, over, or without room. */
  readonly counts = { merged: 0, known: 0 };
  readonly #o: ArrivalsWorld;

  constructor(world: ArrivalsWorld) {
    this.#o = world;
  }

  /** Whatever it says, nobody but this sidecar knows what it wrote itself. */
  take(news: FleetRow): void {
    const { self, comeback, adoption } = this.#o;
    comeback.hear(news);
    const isNews = news.from !== self && this.#merge(news);
    this.counts[isNews ? 'merged' : 'known']++;
    if (isNews) adoption.hear(news);
  }

  #merge(news: FleetRow): boolean {
    const { kind, tenant, meter, day, from: actor, x, y } = news;
    const { counters, claims, retention, escrow } = this.#o;
    if (kind === 'count') return counters.merge({ tenant, meter, day, actor, count: x, credit: y }) === 'merged';
    if (kind === 'total') return this.#mergeTotal(news);
    if (kind === 'gauge') return this.#mergeGauge(news);
    if (retention.isOver(news) || !claims.merge(news)) return false;
    escrow.learn(news);
    return true;
  }

  /** Of a day that is not over yet, a total is not the last word. */
  #mergeTotal({ tenant, meter, day, x }: FleetRow): boolean {
    const { clock, counters, accounts } = this.#o;
    const over = Math.floor((clock.wallMs() - OVER_MS) / DAY_MS);
    if (day >= over || counters.mergeTotal({ tenant, meter, day, total: x }) !== 'merged') return false;
    accounts()?.markStale(tenant);
    return true;
  }

  #mergeGauge({ tenant, meter, from, x, y }: FleetRow): boolean {
    const { gauges, accounts } = this.#o;
    const isNews = gauges.merge({ tenant, meter, value: y, at: x, actor: from });
    if (isNews) accounts()?.levelChanged(tenant, meter);
    return isNews;
  }
}
