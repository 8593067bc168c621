/**
 * Levels, such as bytes stored: of each tenant and meter the last value that was reported. A last-writer-wins register (Shapiro et al.
 * 2011): the later report stands; of two at the same millisecond that of the greater actor. A level has no window and outlives days.
 *
 * Accuracy: a change (`+1024`) is added to the value known here; two sidecars that change one gauge at once keep one of the
 * changes. Who has several reports the whole value.
 *
 * Bound: `GAUGES_MAX` values, those of tenants that are gone included, for a tenant that comes back has what it had.
 */

import { ACTOR, isCount, isName } from './sound.ts';

/** 2^17: 10,000 tenants of eight gauges and their like again. About 200 bytes each. */
export const GAUGES_MAX = 2 ** 17;
/** As that of counters. */
const VALUE_MAX = 2 ** 50;

export interface GaugeRow {
  readonly tenant: string;
  readonly meter: string;
  readonly value: number;
  /** Wall ms of the report. */
  readonly at: number;
  /** Who took the report: 16 hex digits. */
  readonly actor: string;
}

interface Gauge extends GaugeRow {
  /** Of the last own change, as counters have it; 0 for what came from others. */
  readonly version: number;
}

export class GaugeStore {
  readonly actor: string;
  readonly #max: number;
  readonly #gauges = new Map<string, Gauge>();
  #version = 0;

  /** Another bound is for tests. */
  constructor(actor: string, max: number = GAUGES_MAX) {
    this.actor = actor;
    this.#max = max;
  }

  get size(): number {
    return this.#gauges.size;
  }

  get version(): number {
    return this.#version;
  }

  valueOf(tenant: string, meter: string): number {
    return this.#gauges.get(keyOf(tenant, meter))?.value ?? 0;
  }

  /** Wall ms of the last report; 0: there was none. */
  reportedAt(tenant: string, meter: string): number {
    return this.#gauges.get(keyOf(tenant, meter))?.at ?? 0;
  }

  /** A level never falls below 0. False when there is no room. A clock that was set back does not make a report an old one. */
  set(tenant: string, meter: string, value: number, at: number): boolean {
    const key = keyOf(tenant, meter);
    const before = this.#gauges.get(key);
    if (before === undefined && this.#gauges.size >= this.#max) return false;
    const after = before === undefined ? at : Math.max(at, before.at + 1);
    const level = Math.min(Math.max(0, value), VALUE_MAX);
    this.#gauges.set(key, { tenant, meter, value: level, at: after, actor: this.actor, version: ++this.#version });
    return true;
  }

  /** Whether the row was news. */
  merge({ tenant, meter, value, at, actor }: GaugeRow): boolean {
    if (!(isName(tenant) && isName(meter) && isCount(value) && Number.isFinite(at) && ACTOR.test(actor))) return false;
    const key = keyOf(tenant, meter);
    const before = this.#gauges.get(key);
    if (before === undefined && this.#gauges.size >= this.#max) return false;
    if (before !== undefined && (at < before.at || (at === before.at && actor <= before.actor))) return false;
    this.#gauges.set(key, { tenant, meter, value, at, actor, version: 0 });
    return true;
  }

  /** Own changes after the version. */
  *changedSince(version: number): Generator<GaugeRow> {
    if (version === this.#version) return;
    for (const gauge of this.#gauges.values()) if (gauge.version > version) yield gauge;
  }

  /** Every value, whoever took it. */
  rows(): IterableIterator<GaugeRow> {
    return this.#gauges.values();
  }
}

/** No name has a space. */
function keyOf(tenant: string, meter: string): string {
  return `${tenant} ${meter}`;
}
