/** What there is to ask: each page with its parameters, as both are checked and documented. */
import type { Completeness } from '../completeness.ts';
import { BUILT_IN_METERS, DIMENSIONS, type Question } from '../rollups.ts';
import { lostOf } from '../spools.ts';
import { type ApiAnswer, type Asking, jsonAnswer, problemAnswer } from './answer.ts';
import { aligned, Mistake, questionOf, rangeOf, topOf } from './asked.ts';
import { type Cell, csvOf, FORM_TYPES, formOf, ndjsonOf, recordsOf, type Table } from './forms.ts';

export interface Page {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly summary: string;
  /** Of the query, by name: what they mean. */
  readonly parameters: Readonly<Record<string, string>>;
  /** Media types of a good answer. */
  readonly types: readonly string[];
  /** A token of one tenant may ask it, for that tenant. */
  readonly isForTenants: boolean;
  readonly run: (asking: Asking) => Promise<ApiAnswer>;
}

/** Spools that an answer names. */
const SPOOLS_MAX = 1000;
const DIFFERENCES_MAX = 10_000;
const TABLES = Object.values(FORM_TYPES);
const FILTERS = Object.fromEntries(DIMENSIONS.map((each) => [each, `only of this ${each}`]));
const RANGE = {
  from: 'begin: a date, a time with its zone, or how long ago; 30d by default',
  to: 'end, not with it; now by default',
};
const FORMAT = { format: 'json, csv or ndjson; wins over Accept' };
const METER = { meter: `one of ${BUILT_IN_METERS.join(', ')}, or the application's own; all by default` };

export const pages: readonly Page[] = [
  {
    method: 'GET',
    path: '/v1/usage',
    summary: 'What was used, summed up by dimensions and windows of time',
    parameters: {
      ...RANGE,
      ...METER,
      by: `some of ${DIMENSIONS.join(', ')}, and one of 1m, 1h, 1d`,
      top: 'only so many rows, those with the largest value; needs a meter',
      ...FILTERS,
      ...FORMAT,
    },
    types: TABLES,
    isForTenants: true,
    run: usage,
  },
  {
    method: 'GET',
    path: '/v1/usage/top',
    summary: 'Who uses most now',
    parameters: {
      last: '1s to 120s; 60s by default',
      ...METER,
      by: `some of ${DIMENSIONS.join(', ')}; tenant by default`,
      limit: 'rows, 1 to 1000; 20 by default',
      ...FILTERS,
      ...FORMAT,
    },
    types: TABLES,
    isForTenants: false,
    run: top,
  },
  {
    method: 'GET',
    path: '/v1/usage/export',
    summary: 'All rows of hours as a file',
    parameters: { ...RANGE, format: 'csv, ndjson or parquet; csv by default' },
    types: ['text/csv', 'application/x-ndjson', 'application/vnd.apache.parquet'],
    isForTenants: false,
    run: exported,
  },
  {
    method: 'GET',
    path: '/v1/reconcile',
    summary: 'Where two sides of a hop have recorded different numbers of requests',
    parameters: RANGE,
    types: ['application/json'],
    isForTenants: false,
    run: reconcile,
  },
  {
    method: 'GET',
    path: '/v1/spools',
    summary: 'Every spool: how far it is told, and whether windows wait for it',
    parameters: {},
    types: ['application/json'],
    isForTenants: false,
    run: async ({ collector }) =>
      jsonAnswer({
        spools: [...collector.spools].map((spool) => ({
          ...spoolView(spool),
          isConnected: collector.sessions.has(spool.id),
        })),
      }),
  },
  {
    method: 'POST',
    path: '/v1/spools/{spool}/write-off',
    summary: 'Nothing more comes of a spool: no window waits for it any more',
    parameters: {},
    types: ['application/json'],
    isForTenants: false,
    run: async ({ collector, path }) =>
      jsonAnswer({ spool: spoolView(await collector.writeOff(path['spool'] as string)) }),
  },
];

async function usage(asking: Asking): Promise<ApiAnswer> {
  const { collector, store, query, nowMs, keepMinutesS } = asking;
  const question = questionOf(query, { nowMs: nowMs(), keepMinutesS });
  await collector.settle();
  const rows = await store.query(question);
  if ('tooMany' in rows)
    return problemAnswer(
      422,
      'too-many-rows',
      `More than ${rows.tooMany} rows; ask for less, or for /v1/usage/export.`,
    );
  const { by, stepS, fromS, toS, source } = question;
  const table: Table = {
    columns: [...(stepS === undefined ? [] : ['time']), ...by, 'meter', 'value'],
    rows: rows.map(({ t, of, meter, value }): Cell[] => [...(t === undefined ? [] : [isoOf(t)]), ...of, meter, value]),
  };
  return tableAnswer(asking, table, toS, {
    query: {
      from: isoOf(fromS),
      to: isoOf(toS),
      by: [...by],
      ...(stepS === undefined ? {} : { stepS }),
      source,
      where: question.where,
      meter: question.meter ?? null,
    },
  });
}

async function top(asking: Asking): Promise<ApiAnswer> {
  const { collector, store, query, nowMs } = asking;
  const question: Question = topOf(query, nowMs());
  await collector.settle();
  const rows = await store.query(question);
  if ('tooMany' in rows) throw new Error('a top has no more rows than were asked for');
  const { by, fromS, toS } = question;
  const table: Table = {
    columns: [...by, 'meter', 'value', 'per_sec'],
    rows: rows.map(({ of, meter, value }): Cell[] => [...of, meter, value, value / (toS - fromS)]),
  };
  return tableAnswer(asking, table, toS, {
    query: { from: isoOf(fromS), to: isoOf(toS), by: [...by], meter: question.meter ?? null },
  });
}

async function exported({ collector, store, query, nowMs }: Asking): Promise<ApiAnswer> {
  const format = query.get('format') ?? 'csv';
  if (format !== 'csv' && format !== 'ndjson' && format !== 'parquet')
    throw new Mistake('format', `expected csv, ndjson or parquet, got ${JSON.stringify(format)}`);
  const { fromMs, toMs } = rangeOf(query, nowMs());
  const { fromS, toS } = aligned(fromMs, toMs, 3600);
  await collector.settle();
  const contentType = { csv: 'text/csv', ndjson: 'application/x-ndjson', parquet: 'application/vnd.apache.parquet' }[
    format
  ];
  return { status: 200, contentType, body: '', file: await store.export(format, fromS, toS) };
}

async function reconcile({ collector, store, query, nowMs, graceMs }: Asking): Promise<ApiAnswer> {
  const { fromMs, toMs } = rangeOf(query, nowMs());
  await collector.settle();
  const completeness = collector.completeness(Math.min(toMs, nowMs() - graceMs));
  // Hours that both sides have told whole.
  const { fromS } = aligned(fromMs, toMs, 3600);
  const toS = Math.max(fromS, Math.floor(completeness.untilMs / 3_600_000) * 3600);
  const { services, compared, differences } = await store.reconcile(fromS, toS, DIFFERENCES_MAX);
  return jsonAnswer({
    from: isoOf(fromS),
    to: isoOf(toS),
    services,
    compared,
    differences: differences.slice(0, DIFFERENCES_MAX).map(({ hourS, ...rest }) => ({ hour: isoOf(hourS), ...rest })),
    hasMore: differences.length > DIFFERENCES_MAX,
    incomplete: incompleteView(completeness),
  });
}

function tableAnswer(asking: Asking, table: Table, toS: number, more: object): ApiAnswer {
  const { query, accept, collector, nowMs, graceMs } = asking;
  const form = formOf(query.get('format'), accept);
  if (form === undefined)
    throw new Mistake('format', `expected json, csv or ndjson, got ${JSON.stringify(query.get('format'))}`);
  // What ended a moment ago is still on its way.
  const completeness = collector.completeness(Math.min(toS * 1000, nowMs() - graceMs));
  const isComplete = completeness.missingCount === 0;
  const headers = {
    'x-reeve-complete': String(isComplete),
    'x-reeve-complete-until': new Date(completeness.untilMs).toISOString(),
  };
  if (form === 'csv') return { status: 200, contentType: FORM_TYPES.csv, body: csvOf(table), headers };
  if (form === 'ndjson') return { status: 200, contentType: FORM_TYPES.ndjson, body: ndjsonOf(table), headers };
  return {
    ...jsonAnswer({ ...more, rows: recordsOf(table), provenance: provenanceOf(asking, completeness) }),
    headers,
  };
}

/** What the numbers are made of. Which spools there are is the operator's: a tenant is told how many are missing, no more. */
function provenanceOf({ collector, nowMs, query, tenant }: Asking, completeness: Completeness): object {
  const told = {
    asOf: new Date(nowMs()).toISOString(),
    complete: completeness.missingCount === 0,
    completeUntil: new Date(completeness.untilMs).toISOString(),
    incompleteCount: completeness.missingCount,
  };
  if (tenant !== undefined) return { ...told, incomplete: [] };
  const service = query.get('service');
  const spools = [...collector.spools].filter((spool) => service === null || spool.service === service);
  return {
    ...told,
    ledger: collector.ledger.highWater,
    incomplete: incompleteView(completeness),
    spoolCount: spools.length,
    spools: spools.slice(0, SPOOLS_MAX).map((spool) => ({
      spool: spool.id,
      service: spool.service,
      instance: spool.instance,
      epoch: spool.synced.epoch,
      seq: spool.synced.seq,
      watermark: new Date(spool.watermarkMs).toISOString(),
      records: spool.records,
      lost: lostOf(spool),
      inDoubt: spool.doubt?.count ?? 0,
    })),
  };
}

function incompleteView({ missing }: Completeness): object[] {
  return missing.map(({ spool, service, instance, lastMs }) => ({
    spool,
    service,
    instance,
    last: new Date(lastMs).toISOString(),
  }));
}

type SpoolOfCollector = Asking['collector']['spools'] extends Iterable<infer Row> ? Row : never;

function spoolView(spool: SpoolOfCollector): object {
  const { id, service, instance, state, synced, watermarkMs, firstMs, lastMs, records, doubt, spoolBytes } = spool;
  return {
    spool: id,
    service,
    instance,
    state,
    epoch: synced.epoch,
    seq: synced.seq,
    records,
    lost: lostOf(spool),
    inDoubt: doubt?.count ?? 0,
    spoolBytes,
    watermark: new Date(watermarkMs).toISOString(),
    first: new Date(firstMs).toISOString(),
    last: new Date(lastMs).toISOString(),
  };
}

function isoOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}
