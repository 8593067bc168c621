/**
 * Numbers of series: the meters of tenants. A number that is given back is used again.
 *
 * Bounds: so many series, and `METERS_MAX` names of meters. 8 bytes a series, and an entry of a map.
 */
import { enlarged, roomFor } from '../arrays.ts';
import { Names } from './names.ts';

/** Names of meters: each quota of each plan has one. */
export const METERS_MAX = 1024;
/** No room; no such series. */
const NONE = -1;

export class SeriesTable {
  readonly #most: number;
  readonly #tenants = new Names();
  readonly #meters = new Names();
  /** Tenant and meter in one number. */
  readonly #byKey = new Map<number, number>();
  readonly #free: number[] = [];
  /** By series. */
  #key: Float64Array = new Float64Array(0);
  #count = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** In the order in which they came. */
  all(): Iterable<number> {
    return this.#byKey.values();
  }

  /** -1: there is none. */
  find(tenant: string, meter: string): number {
    const [ofTenant, ofMeter] = [this.#tenants.find(tenant), this.#meters.find(meter)];
    return ofTenant === NONE || ofMeter === NONE ? NONE : (this.#byKey.get(ofTenant * METERS_MAX + ofMeter) ?? NONE);
  }

  /** -1: there is no room for one more. */
  add(tenant: string, meter: string): number {
    if (this.size >= this.#most) return NONE;
    if (this.#meters.find(meter) === NONE && this.#meters.size >= METERS_MAX) return NONE;
    const key = this.#tenants.take(tenant) * METERS_MAX + this.#meters.take(meter);
    const series = this.#free.pop() ?? this.#count++;
    if (series >= this.#key.length) this.#key = enlarged(this.#key, roomFor(series + 1));
    this.#key[series] = key;
    this.#byKey.set(key, series);
    return series;
  }

  nameOf(series: number): { readonly tenant: string; readonly meter: string } {
    const key = this.#key[series] as number;
    return { tenant: this.#tenants.nameOf(Math.floor(key / METERS_MAX)), meter: this.#meters.nameOf(key % METERS_MAX) };
  }

  drop(series: number): void {
    const key = this.#key[series] as number;
    this.#byKey.delete(key);
    this.#free.push(series);
    this.#tenants.release(Math.floor(key / METERS_MAX));
    this.#meters.release(key % METERS_MAX);
  }
}
