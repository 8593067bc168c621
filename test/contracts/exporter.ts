/** What every exporter must do: run over each adapter of it, which is a store of sums as well. */
import { readFileSync, rmSync } from 'node:fs';
import type { Test } from 'tap';
import type { Exporter, Question, RollupStore } from '../../src/collector/rollups.ts';
import { usage, windowsOf } from '../collector/told.ts';
import { BEGIN_S } from './rollup-store.ts';

const HOUR_S = 3600;

export type ExportingStore = RollupStore & Exporter;
/** What a Parquet file holds, as rows by column: whoever runs the contract can read one. */
export type ReadParquet = (path: string) => Promise<readonly Record<string, unknown>[]>;

interface Row {
  readonly hourS: number;
  readonly service: string;
  readonly tenant: string;
  readonly count: number;
  readonly bytesIn: number;
}

export function exporterContract(t: Test, name: string, fresh: () => Promise<ExportingStore>, read: ReadParquet): void {
  /** Two services, two tenants, three hours; the first hour is in its final form. */
  const filled = async (): Promise<ExportingStore> => {
    const store = await fresh();
    for (let hour = 0; hour < 3; hour++)
      for (const service of ['orders', 'billing']) {
        const wallMs = (BEGIN_S + hour * HOUR_S + 60) * 1000;
        const records = ['acme', 'it,"is"\nodd'].flatMap((tenant) =>
          Array.from({ length: 2 }, (_, i) => usage({ tenant, wallMs, bytesIn: 2 ** 40 + hour * 10 + i })),
        );
        await store.apply(service, windowsOf(records));
        if (hour === 0) await store.save('word', BEGIN_S + HOUR_S);
      }
    return store;
  };
  const askedOf = async (store: ExportingStore, fromS: number, toS: number): Promise<string[]> => {
    const question: Question = {
      ...{ source: 'hours', fromS, toS, by: ['service', 'tenant'], stepS: HOUR_S, where: {} },
      ...{ meter: 'bytes_in', rowsMax: 1000, isTop: false },
    };
    const rows = await store.query(question);
    if ('tooMany' in rows) throw new Error('too many');
    return rows.map(({ t, of, value }) => `${t} ${JSON.stringify(of)} ${value}`).sort();
  };
  const linesOf = (rows: readonly Row[]): string[] =>
    rows
      .map(({ hourS, service, tenant, bytesIn }) => `${hourS} ${JSON.stringify([service, tenant])} ${bytesIn}`)
      .sort();

  const forms: readonly ['csv' | 'ndjson' | 'parquet', (path: string) => Promise<readonly Row[]>][] = [
    ['csv', async (path) => csvRows(readFileSync(path, 'utf8')).map(rowOf)],
    [
      'ndjson',
      async (path) =>
        readFileSync(path, 'utf8')
          .trimEnd()
          .split('\n')
          .map((line) => rowOf(JSON.parse(line) as Record<string, unknown>)),
    ],
    ['parquet', async (path) => (await read(path)).map(rowOf)],
  ];
  for (const [form, rowsIn] of forms)
    t.test(`${name}: ${form} has the rows of the hours in between, as a question answers them`, async (t) => {
      const store = await filled();
      for (const [fromS, toS] of [
        [0, 4e9],
        [BEGIN_S, BEGIN_S + HOUR_S],
        [BEGIN_S + HOUR_S, BEGIN_S + 3 * HOUR_S],
      ] as const) {
        const path = await store.export(form, fromS, toS);
        const rows = await rowsIn(path);
        t.same(linesOf(rows), await askedOf(store, fromS, toS));
        t.ok(rows.length > 0 && rows.every(({ count }) => count === 2), 'requests are counted');
        rmSync(path);
      }
      await store.close();
    });

  t.test(`${name}: whole numbers are written whole, others with their fraction`, async (t) => {
    const store = await fresh();
    const units = [
      { meter: 'tokens', units: 2.5 },
      { meter: 'pages', units: -3 },
    ];
    await store.apply('orders', windowsOf([usage({ bytesIn: 2 ** 50 + 1, units })]));
    const csv = await store.export('csv', 0, 4e9);
    const rows = csvRows(readFileSync(csv, 'utf8'));
    t.match(
      rows.map(({ meter, count, bytes_in: bytesIn, units }) => [meter, count, bytesIn, units]),
      [
        ['', '1', '1125899906842625', '0'],
        ['pages', '1', '0', '-3'],
        ['tokens', '1', '0', '2.5'],
      ],
    );
    t.notMatch(readFileSync(csv, 'utf8'), /\.0/);
    const ndjson = await store.export('ndjson', 0, 4e9);
    const text = readFileSync(ndjson, 'utf8');
    t.match(text, /"bytes_in":1125899906842625,/, 'a number, and no text');
    t.match(text, /"units":2\.5[,}]/);
    t.notMatch(text, /\d\.0/);
    for (const path of [csv, ndjson]) rmSync(path);
    await store.close();
  });

  t.test(
    `${name}: a file is whose who asked; of hours without rows there is one too, and what is odd in a name stays in it`,
    async (t) => {
      const store = await filled();
      const paths = await Promise.all(Array.from({ length: 4 }, () => store.export('ndjson', 0, 4e9)));
      t.equal(new Set(paths).size, 4);
      const [first, ...others] = paths.map((path) => readFileSync(path, 'utf8'));
      for (const each of others) t.equal(each, first);
      for (const path of paths) rmSync(path);
      t.ok((first as string).includes(JSON.stringify('it,"is"\nodd')));
      const none = await store.export('csv', 0, HOUR_S);
      t.same(csvRows(readFileSync(none, 'utf8')), []);
      await store.tidy(BEGIN_S + 4 * HOUR_S, BEGIN_S + 4 * HOUR_S);
      t.same((await askedOf(store, 0, 4e9)).length, 12, 'no file of it is removed by what it was exported from');
      await store.close();
    },
  );
}

function rowOf(row: Record<string, unknown>): Row {
  const { hour, service, tenant, count, bytes_in: bytesIn } = row;
  const hourS = Date.parse(`${String(hour).replace(' ', 'T')}Z`) / 1000;
  return { hourS, service: String(service), tenant: String(tenant), count: Number(count), bytesIn: Number(bytesIn) };
}

/** Fields may be quoted, with quotes doubled and lines broken in them (RFC 4180). */
function csvRows(text: string): Record<string, string>[] {
  const lines: string[][] = [[]];
  for (const [, quoted, bare = '', end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|$)/g)) {
    (lines.at(-1) as string[]).push(quoted?.replaceAll('""', '"') ?? bare);
    if (end === '\n') lines.push([]);
    if (end === '') break;
  }
  const [names = [], ...rows] = lines.filter((line) => line.length > 1);
  return rows.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at] ?? ''])));
}
