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

const ROUND_MS = 60_000;

interface Cell {
  passed: number;
  refused: number;
}

export class TopTenants {
  readonly #clock: Clock;
  readonly #shown = new Map<string, Cell>();
  readonly #other: Cell = { passed: 0, refused: 0 };
  // By the tenant's slot: whose it was when it last counted, how often in this round, and its cell while it is shown. About 20 bytes a tenant.
  #ids: (string | undefined)[] = [];
  #cells: (Cell | undefined)[] = [];
  #round: Uint32Array = new Uint32Array(0);
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

  add({ id, index }: { readonly id: string; readonly index: number }, isRefused: boolean): void {
    if (this.#ids[index] !== id) this.#meet(id, index);
    (this.#round[index] as number) += 1;
    const cell = this.#cells[index] ?? this.#other;
    if (isRefused) cell.refused++;
    else cell.passed++;
  }

  /** For the first time, or where another was before. */
  #meet(id: string, index: number): void {
    if (this.#round.length <= index) this.#grow(Math.max(1024, 2 * index));
    this.#ids[index] = id;
    this.#round[index] = 0;
    this.#cells[index] = this.#shown.get(id) ?? (this.#shown.size < TENANTS_SHOWN_MAX ? this.#show(id) : undefined);
  }

  /** One after the other would take 10 ms for 100,000 slots. */
  #grow(slots: number): void {
    const round = new Uint32Array(slots);
    round.set(this.#round);
    this.#round = round;
    this.#ids = longer(this.#ids, slots);
    this.#cells = longer(this.#cells, slots);
  }

  #show(id: string): Cell {
    const cell = { passed: 0, refused: 0 };
    this.#shown.set(id, cell);
    return cell;
  }

  /** Who was not among the busiest twice the view's size goes; their counts stay in the sum. */
  #turn(): void {
    const busiest = this.#busiest(TENANTS_SHOWN_MAX * 2);
    const kept = new Set(busiest.map((index) => this.#ids[index]));
    const isCrowded = this.#round.reduce((sum, count) => sum + Math.min(count, 1), 0) > TENANTS_SHOWN_MAX;
    for (const [tenant, cell] of this.#shown) {
      if (kept.has(tenant) || !isCrowded) continue;
      this.#shown.delete(tenant);
      this.#other.passed += cell.passed;
      this.#other.refused += cell.refused;
      this.#left++;
    }
    this.#cells.forEach((cell, index) => {
      if (cell !== undefined && this.#shown.get(this.#ids[index] as string) !== cell) this.#cells[index] = undefined;
    });
    for (const index of busiest.slice(0, TENANTS_SHOWN_MAX)) {
      const id = this.#ids[index] as string;
      if (this.#shown.size < TENANTS_SHOWN_MAX && !this.#shown.has(id)) this.#cells[index] = this.#show(id);
    }
    this.#round.fill(0);
    this.#roundEndsAt = this.#clock.now() + ROUND_MS;
  }

  /** The slots with the most requests, the busiest first. Numbers alone are sorted, in a fifth of the time of all entries. */
  #busiest(max: number): number[] {
    const counts = this.#round.filter((count) => count > 0).sort();
    const least = counts[Math.max(0, counts.length - max)] ?? 1;
    const above: number[] = [];
    const level: number[] = [];
    for (let index = 0; index < this.#ids.length; index++) {
      const count = this.#round[index] as number;
      if (count > least) above.push(index);
      else if (count === least && level.length < max) level.push(index);
    }
    above.sort((a, b) => (this.#round[b] as number) - (this.#round[a] as number));
    return [...above, ...level].slice(0, max);
  }
}

function longer<T>(list: readonly (T | undefined)[], length: number): (T | undefined)[] {
  const larger = new Array<T | undefined>(length).fill(undefined);
  for (let i = 0; i < list.length; i++) larger[i] = list[i];
  return larger;
}
