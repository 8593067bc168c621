/**
 * What each tenant used since the start, for Prometheus: a counter a tenant and meter, written in slices so that no scrape holds the loop.
 *
 * Bounds: `TENANTS_MAX` tenants and `METERS_MAX` meters of applications; what is beyond counts as `__other__`.
 */
import { readSeries, readWindows } from '../metering/index.ts';
import { BUILT_IN_METERS } from './rollups.ts';

const TENANTS_MAX = 50_000;
const METERS_MAX = 32;
const OTHER = '__other__';
/** 200 lines take under 1 ms. */
const SLICE_LINES = 200;
const FAMILY = 'reeve_tenant_usage';
const HELP = 'What a tenant used by meter since the collector started; times in ms.';

export class TenantTotals {
  /** By tenant: the built-in meters in their order, then those of applications as they came. */
  readonly #totals = new Map<string, number[]>();
  readonly #meters: string[] = [...BUILT_IN_METERS];

  /** Windows of a service. */
  add(payload: Buffer): void {
    readWindows(payload, (_windowMs, series, sums) => {
      const { tenant, outcome, meter } = readSeries(series);
      const totals = this.#of(tenant);
      if (meter !== '') add(totals, this.#meter(meter), sums.units);
      else {
        add(totals, 0, outcome === 'reported' ? 0 : sums.count);
        add(totals, 1, sums.bytesIn);
        add(totals, 2, sums.bytesOut);
        add(totals, 3, sums.durationUs / 1000);
        add(totals, 4, sums.upstreamUs / 1000);
      }
      return true;
    });
  }

  async *exposition(form: 'text' | 'openmetrics'): AsyncGenerator<string> {
    const family = form === 'text' ? `${FAMILY}_total` : FAMILY;
    let text = `# HELP ${family} ${HELP}\n# TYPE ${family} counter\n`;
    let lines = 0;
    for (const [tenant, totals] of this.#totals) {
      const label = escapeLabel(tenant);
      for (let meter = 0; meter < totals.length; meter++) {
        if (totals[meter] === undefined) continue;
        text += `${FAMILY}_total{tenant="${label}",meter="${escapeLabel(this.#meters[meter] as string)}"} ${totals[meter]}\n`;
        lines++;
      }
      if (lines < SLICE_LINES) continue;
      yield text;
      text = '';
      lines = 0;
    }
    yield text;
  }

  #of(tenant: string): number[] {
    const known = this.#totals.get(tenant);
    if (known !== undefined) return known;
    if (this.#totals.size >= TENANTS_MAX && tenant !== OTHER) return this.#of(OTHER);
    const totals: number[] = [];
    this.#totals.set(tenant, totals);
    return totals;
  }

  #meter(name: string): number {
    const known = this.#meters.indexOf(name);
    if (known !== -1) return known;
    if (this.#meters.length >= BUILT_IN_METERS.length + METERS_MAX && name !== OTHER) return this.#meter(OTHER);
    return this.#meters.push(name) - 1;
  }
}

function add(totals: number[], at: number, amount: number): void {
  totals[at] = (totals[at] ?? 0) + amount;
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
