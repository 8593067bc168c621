// hot path
/**
 * A bounded view by tenant: up to 50 tenants have series of their own, everyone else is `__other__`, and what leaves the view is added
 * to it, so that the sum over all series never falls. Who is in is decided at a scrape, by the requests of the last minute or since the
 * scrape before, whichever is longer: a request only counts.
 *
 * Accuracy: a tenant's own series counts from when it entered the view. The whole truth is in the access log.
 */
import type { Clock } from '../core/index.ts';
import { type Metrics, OTHER, TENANTS_SHOWN_MAX } from '../telemetry/index.ts';

/** Tenants counted in one minute to find the busiest; the rest of a larger crowd is `__other__` until the next. */
const COUNTED_MAX = 20_000;
const ROUND_MS = 60_000;

interface Cell {
  passed: number;
  refused: number;
}

export class TopTenants {
  readonly #clock: Clock;
  readonly #shown = new Map<string, Cell>();
  readonly #other: Cell = { passed: 0, refused: 0 };
  #round = new Map<string, number>();
  #roundEndsAt: number;
  #left = 0;

  constructor(metrics: Metrics, clock: Clock) {
    this.#clock = clock;
    this.#roundEndsAt = clock.now() + ROUND_MS;
    metrics.collected({
      name: 'reeve_tenant_requests_total',
      help: 'Requests of the busiest tenants; all others together are __other__.',
      type: 'counter',
      labels: ['tenant', 'result'],
      collect: (emit) => {
        if (this.#clock.now() >= this.#roundEndsAt) this.#turn();
        for (const [tenant, cell] of [...this.#shown, [OTHER, this.#other] as const]) {
          emit([tenant, 'passed'], cell.passed);
          emit([tenant, 'refused'], cell.refused);
        }
      },
    });
    metrics.gauge({
      name: 'reeve_tenant_series',
      help: 'Tenants that have series of their own.',
      read: () => this.#shown.size,
    });
    metrics.collected({
      name: 'reeve_tenant_series_left_total',
      help: 'Tenants that left the view by tenant.',
      type: 'counter',
      labels: [],
      collect: (emit) => emit([], this.#left),
    });
  }

  add(tenant: string, isRefused: boolean): void {
    const count = this.#round.get(tenant);
    if (count !== undefined || this.#round.size < COUNTED_MAX) this.#round.set(tenant, (count ?? 0) + 1);
    const cell = this.#shown.get(tenant) ?? (this.#shown.size < TENANTS_SHOWN_MAX ? this.#show(tenant) : this.#other);
    if (isRefused) cell.refused++;
    else cell.passed++;
  }

  #show(tenant: string): Cell {
    const cell = { passed: 0, refused: 0 };
    this.#shown.set(tenant, cell);
    return cell;
  }

  /** Who was not among the busiest twice the view's size goes; their counts stay in the sum. */
  #turn(): void {
    const busiest = busiestOf(this.#round, TENANTS_SHOWN_MAX * 2);
    const kept = new Set(busiest);
    const isCrowded = this.#round.size > TENANTS_SHOWN_MAX;
    for (const [tenant, cell] of this.#shown) {
      if (kept.has(tenant) || !isCrowded) continue;
      this.#shown.delete(tenant);
      this.#other.passed += cell.passed;
      this.#other.refused += cell.refused;
      this.#left++;
    }
    for (const tenant of busiest.slice(0, TENANTS_SHOWN_MAX))
      if (this.#shown.size < TENANTS_SHOWN_MAX && !this.#shown.has(tenant)) this.#show(tenant);
    this.#round = new Map();
    this.#roundEndsAt = this.#clock.now() + ROUND_MS;
  }
}

/** The tenants with the most requests, the busiest first. Numbers alone are sorted, in a fifth of the time of all entries. */
function busiestOf(round: ReadonlyMap<string, number>, max: number): string[] {
  const counts = Float64Array.from(round.values()).sort();
  const least = counts[Math.max(0, counts.length - max)] ?? 0;
  const above = [...round].filter(([, count]) => count > least).sort((a, b) => b[1] - a[1]);
  const busiest = above.map(([tenant]) => tenant);
  for (const [tenant, count] of round) {
    if (busiest.length >= max) break;
    if (count === least) busiest.push(tenant);
  }
  return busiest;
}
