/** The sums as a list of rows that is summed up anew for each question: what the contract holds the store against. */

import {
  BUILT_IN_METERS,
  type Dimension,
  type Question,
  type Reconciled,
  type RollupStore,
  type StoreFigures,
  type TooMany,
  type UsageRow,
} from '../../src/collector/rollups.ts';
import { readSeries, readWindows, type Sums } from '../../src/metering/index.ts';

interface Row extends Sums {
  readonly t: number;
  readonly meter: string;
  readonly of: Readonly<Record<Dimension, string>>;
}

export interface Kept {
  word: string | undefined;
  rows: Row[];
}

export class MemoryRollups implements RollupStore {
  readonly #kept: Kept;
  #rows: Row[];
  /** Throws or waits, when a call is to. */
  hinder: ((call: 'apply' | 'save' | 'tidy') => void | Promise<void>) | undefined;
  sealedS: number[] = [];

  constructor(kept: Kept = { word: undefined, rows: [] }) {
    this.#kept = kept;
    this.#rows = [...kept.rows];
  }

  get word(): string | undefined {
    return this.#kept.word;
  }

  async apply(service: string, payload: Buffer): Promise<void> {
    const isWhole = readWindows(payload, (windowMs, bytes, sums) => {
      const { tenant, route, upstream, outcome, methodClass, statusClass, meter } = readSeries(bytes);
      const of = { service, tenant, route, upstream, outcome, method: methodClass, status: String(statusClass) };
      this.#rows.push({ ...sums, t: Math.floor(windowMs / 1000), meter, of });
      return true;
    });
    if (!isWhole) throw new Error('broken windows');
    await this.hinder?.('apply');
  }

  async query(question: Question): Promise<readonly UsageRow[] | TooMany> {
    const { fromS, toS, by, stepS, where, meter, rowsMax, isTop } = question;
    const found = new Map<string, UsageRow>();
    const add = (row: Row, name: string, amount: number): void => {
      if (meter !== undefined && meter !== name) return;
      const t = stepS === undefined ? undefined : row.t - (row.t % stepS);
      const of = by.map((each) => row.of[each]);
      const key = JSON.stringify([t, of, name]);
      const value = (found.get(key)?.value ?? 0) + amount;
      found.set(key, { ...(t === undefined ? {} : { t }), of, meter: name, value });
    };
    for (const row of this.#rows) {
      if (row.t < fromS || row.t >= toS) continue;
      if (Object.entries(where).some(([dimension, value]) => row.of[dimension as Dimension] !== value)) continue;
      if (row.meter !== '') add(row, row.meter, row.units);
      else {
        const amounts = [
          row.of.outcome === 'reported' ? 0 : row.count,
          row.bytesIn,
          row.bytesOut,
          row.durationUs / 1000,
          row.upstreamUs / 1000,
        ];
        for (const [i, name] of BUILT_IN_METERS.entries()) add(row, name, amounts[i] as number);
      }
    }
    const keys = ({ t, of, meter: name }: UsageRow): (string | number)[] => [
      ...(t === undefined ? [] : [t]),
      ...of,
      name,
    ];
    const rows = [...found.values()].sort((a, b) => (isTop ? b.value - a.value : 0) || compare(keys(a), keys(b)));
    if (isTop) return rows.slice(0, rowsMax);
    return rows.length > rowsMax ? { tooMany: rowsMax } : rows;
  }

  async reconcile(fromS: number, toS: number, rowsMax: number): Promise<Reconciled> {
    const hops = new Map<
      string,
      { service: string; tenant: string; hourS: number; sent: number; unsure: number; arrived: number }
    >();
    const rows = this.#rows.filter(
      ({ t, meter, of }) => t >= fromS && t < toS && meter === '' && of.outcome !== 'reported',
    );
    const isSent = ({ of }: Row): boolean =>
      of.upstream !== '' && of.upstream !== of.service && of.outcome !== 'denied';
    const known = new Set(rows.filter(isSent).map(({ of }) => of.upstream));
    const reporting = new Set(rows.map(({ of }) => of.service));
    for (const service of known) if (!reporting.has(service)) known.delete(service);
    const hop = (service: string, { of, t }: Row) => {
      const key = JSON.stringify([service, of.tenant, t - (t % 3600)]);
      const made = hops.get(key) ?? {
        service,
        tenant: of.tenant,
        hourS: t - (t % 3600),
        sent: 0,
        unsure: 0,
        arrived: 0,
      };
      hops.set(key, made);
      return made;
    };
    for (const row of rows) {
      if (known.has(row.of.service)) hop(row.of.service, row).arrived += row.count;
      if (!isSent(row) || !known.has(row.of.upstream)) continue;
      const isSure = ['ok', 'shaped', 'degraded'].includes(row.of.outcome);
      hop(row.of.upstream, row)[isSure ? 'sent' : 'unsure'] += row.count;
    }
    const size = ({ sent, unsure, arrived }: { sent: number; unsure: number; arrived: number }): number =>
      Math.max(sent - arrived, arrived - sent - unsure);
    const differences = [...hops.values()]
      .filter(({ sent, unsure, arrived }) => arrived < sent || arrived > sent + unsure)
      .sort((a, b) => size(b) - size(a) || compare([a.service, a.tenant, a.hourS], [b.service, b.tenant, b.hourS]));
    return { services: known.size, compared: hops.size, differences: differences.slice(0, rowsMax) };
  }

  async save(word: string, sealS: number): Promise<number> {
    const rows = [...this.#rows];
    await this.hinder?.('save');
    const hours = new Set(rows.filter(({ t }) => t < sealS).map(({ t }) => t - (t % 3600)));
    this.sealedS.push(sealS);
    Object.assign(this.#kept, { word, rows });
    return hours.size;
  }

  async tidy(): Promise<void> {
    await this.hinder?.('tidy');
  }

  async figures(): Promise<StoreFigures> {
    return { hotRows: this.#rows.length, files: 0, fileBytes: 0 };
  }

  async close(): Promise<void> {}
}

function compare(a: readonly (string | number)[], b: readonly (string | number)[]): number {
  for (let i = 0; i < a.length; i++) {
    const [one, other] = [a[i] as string | number, b[i] as string | number];
    if (one !== other) return one < other ? -1 : 1;
  }
  return 0;
}
