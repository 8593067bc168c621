/** The sums as a list of rows that is summed up anew for each question: what the contract holds the store against. */

import {
  BUILT_IN_METERS,
  type Difference,
  type Dimension,
  type Question,
  type Reconciled,
  type RollupStore,
  type StoreFigures,
  type TooMany,
  type UsageRow,
} from '../../src/collector/rollups.ts';
import { readSeries, readWindows, type Sums } from '../../src/metering/index.ts';

/** Of everybody, for ever. */
export const ALL_REQUESTS: Question = {
  source: 'hours',
  fromS: 0,
  toS: 4e9,
  by: [],
  where: {},
  meter: 'requests',
  rowsMax: 9,
  isTop: false,
};

interface Row extends Sums {
  readonly t: number;
  readonly meter: string;
  readonly of: Readonly<Record<Dimension, string>>;
}

type Hop = { -readonly [Key in keyof Difference]: Difference[Key] } & {
  /** Which of both have something of it. */
  sides: string;
};

export interface Kept {
  word: string | undefined;
  rows: Row[];
}

export class MemoryRollups implements RollupStore {
  readonly #kept: Kept;
  #rows: Row[];
  /** Throws or waits, when a call is to. */
  /** Of the last tidying. */
  retainedS = 0;
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
      const { methodClass, statusClass, meter, ...names } = readSeries(bytes);
      const { tenant, route, upstream, outcome } = names;
      const began = names.operation === '' && outcome !== 'reported' ? `${service}/${route}` : names.operation;
      const classes = { outcome, method: methodClass, status: String(statusClass) };
      const of = { service, tenant, route, upstream, operation: began, ...classes };
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
    const rows = this.#rows.filter(
      ({ t, meter, of }) => t >= fromS && t < toS && meter === '' && of.outcome !== 'reported',
    );
    const isSent = ({ of }: Row): boolean =>
      of.upstream !== '' && of.upstream !== of.service && of.outcome !== 'denied';
    const known = new Set(rows.filter(isSent).map(({ of }) => of.upstream));
    const reporting = new Set(rows.map(({ of }) => of.service));
    for (const service of known) if (!reporting.has(service)) known.delete(service);
    const hops = new Map<string, Hop>();
    const hop = (service: string, tenant: string, hourS: number, operation: string): Hop => {
      const key = JSON.stringify([service, tenant, hourS, operation]);
      const made = hops.get(key) ?? { service, tenant, operation, hourS, sent: 0, unsure: 0, arrived: 0, sides: '' };
      hops.set(key, made);
      return made;
    };
    for (const row of rows) {
      const { of, t, count } = row;
      const hourS = t - (t % 3600);
      if (known.has(of.service)) {
        const into = hop(of.service, of.tenant, hourS, of.operation);
        into.arrived += count;
        into.sides += 'arrived ';
      }
      if (!isSent(row) || !known.has(of.upstream)) continue;
      const into = hop(of.upstream, of.tenant, hourS, of.operation);
      into[['ok', 'shaped', 'degraded'].includes(of.outcome) ? 'sent' : 'unsure'] += count;
      into.sides += 'sent ';
    }
    // Where a side has an operation that the other does not have, all of the hour is one.
    const hourOf = ({ service, tenant, hourS }: Difference): string => JSON.stringify([service, tenant, hourS]);
    const untold = new Set<string>();
    for (const each of hops.values()) {
      const { service, operation, sent, sides } = each;
      const hasArrived = sides.includes('arrived');
      const isAlone = !sides.includes('sent') || (!hasArrived && sent > 0);
      const seemsBegun = hasArrived && operation.startsWith(`${service}/`);
      if (isAlone || seemsBegun || operation === '__other__') untold.add(hourOf(each));
    }
    for (const [key, each] of [...hops]) {
      if (!untold.has(hourOf(each))) continue;
      hops.delete(key);
      const into = hop(each.service, each.tenant, each.hourS, '');
      for (const name of ['sent', 'unsure', 'arrived'] as const) into[name] += each[name];
    }
    const size = ({ sent, unsure, arrived }: Difference): number => Math.max(sent - arrived, arrived - sent - unsure);
    const differences = [...hops.values()]
      .filter(({ sent, unsure, arrived }) => arrived < sent || arrived > sent + unsure)
      .map(({ sides: _, ...each }): Difference => each)
      .sort((a, b) => size(b) - size(a) || compare(keyOf(a), keyOf(b)));
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

  async tidy(_nowS: number, retainedS: number): Promise<void> {
    this.retainedS = retainedS;
    await this.hinder?.('tidy');
  }

  async figures(): Promise<StoreFigures> {
    return { hotRows: this.#rows.length, files: 0, fileBytes: 0 };
  }

  async close(): Promise<void> {}
}

function keyOf({ service, tenant, hourS, operation }: Difference): (string | number)[] {
  return [service, tenant, hourS, operation];
}

function compare(a: readonly (string | number)[], b: readonly (string | number)[]): number {
  for (let i = 0; i < a.length; i++) {
    const [one, other] = [a[i] as string | number, b[i] as string | number];
    if (one !== other) return one < other ? -1 : 1;
  }
  return 0;
}
