/** `reeve usage …`: what tenants used, as a collector knows it. */
import { createWriteStream } from 'node:fs';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { parseDurationMs, ReeveError, systemTimers } from '../../core/index.ts';
import { askCollector, type CollectorAsking, openCollector } from '../ask-collector.ts';
import { EXIT } from '../exit.ts';
import { type Cell, printJson, printRows } from '../output.ts';
import { timesOf } from '../times.ts';
import { refuseUnknownNames } from './unknown-names.ts';

type TableForm = 'table' | 'json' | 'csv';

interface Range extends CollectorAsking {
  readonly last?: string;
  readonly from?: string;
  readonly to?: string;
  readonly output: TableForm;
}

interface Answer {
  readonly rows: readonly Readonly<Record<string, Cell>>[];
  readonly provenance: {
    readonly complete: boolean;
    readonly completeUntil: string;
    readonly incomplete: readonly Missing[];
  };
}

interface Missing {
  readonly spool: string;
  readonly service: string;
  readonly instance: string;
  readonly last: string;
}

/** One tenant's usage, or of all. */
export async function show(
  tenant: string | undefined,
  o: Range & {
    readonly by?: string;
    readonly meter?: string;
    readonly service?: string;
    readonly route?: string;
    readonly operation?: string;
    readonly top?: string;
  },
): Promise<void> {
  const { by, meter, service, route, operation } = o;
  // Minutes are not kept for the month that is asked for otherwise.
  const isByMinutes = by?.split(',').includes('1m') === true;
  const range = isByMinutes && o.last === undefined && o.from === undefined ? { ...o, last: '1d' } : o;
  const narrowed = { tenant, meter, service, route, operation };
  const query = { ...narrowed, by, top: o.top, ...rangeOf(range) };
  if (o.output === 'csv') {
    const csv = await text(await openCollector(o, '/v1/usage', { ...query, format: 'csv' }));
    process.stdout.write(csv);
    // The first line names the columns.
    if (!csv.trimEnd().includes('\n')) await refuseUnknownNames(o, narrowed);
    return;
  }
  const answer = await askCollector<Answer>(o, '/v1/usage', query);
  if (o.output === 'json') printJson(answer);
  else {
    printTable(answer);
    tellIncomplete(answer.provenance.incomplete);
  }
  if (answer.rows.length > 0) return;
  await refuseUnknownNames(o, narrowed);
  if (o.output === 'table') process.stderr.write('nothing was used in this time\n');
}

/** Who uses most now; once, or again and again until interrupted. */
export async function top(
  o: CollectorAsking & {
    readonly by: string;
    readonly meter: string;
    readonly last: string;
    readonly limit: string;
    readonly interval: string;
    readonly count?: string;
    readonly output: 'table' | 'json';
  },
): Promise<void> {
  const intervalMs = parseDurationMs(o.interval);
  if (intervalMs === undefined || intervalMs < 100)
    throw new ReeveError('usage', `expected a time of at least 100ms, got ${JSON.stringify(o.interval)}`, {
      place: '--interval',
    });
  // A terminal is shown one picture after the other; a pipe gets one.
  const times = timesOf(o.count, process.stdout.isTTY ? Number.POSITIVE_INFINITY : 1);
  for (let i = 0; i < times; i++) {
    if (i > 0) await systemTimers.sleep(intervalMs);
    const { by, meter, last, limit } = o;
    const answer = await askCollector<Answer>(o, '/v1/usage/top', { by, meter, last, limit });
    if (process.stdout.isTTY && o.output === 'table') process.stdout.write('\x1b[H\x1b[2J');
    if (o.output === 'json') process.stdout.write(`${JSON.stringify(answer)}\n`);
    else printTable(answer);
    if (answer.rows.length > 0) continue;
    if (i === 0) await refuseUnknownNames(o, { meter });
    if (o.output === 'table') process.stderr.write(`nobody used ${meter} in the last ${last}\n`);
  }
}

interface Reconciliation {
  readonly from: string;
  readonly to: string;
  readonly services: number;
  readonly compared: number;
  readonly differences: readonly {
    readonly hour: string;
    readonly service: string;
    readonly tenant: string;
    readonly operation: string;
    readonly sent: number;
    readonly unsure: number;
    readonly arrived: number;
  }[];
  readonly incomplete: readonly Missing[];
}

/** Both sides of each hop; exit 1 when they differ. */
export async function reconcile(o: Range): Promise<void> {
  const answer = await askCollector<Reconciliation>(o, '/v1/reconcile', rangeOf(o));
  if (answer.differences.length > 0) process.exitCode = EXIT.findings;
  if (o.output === 'json') return printJson(answer);
  if (answer.differences.length > 0)
    printRows(
      ['HOUR', 'SERVICE', 'TENANT', 'OPERATION', 'SENT', 'UNSURE', 'ARRIVED', 'WHAT'],
      answer.differences.map(({ hour, service, tenant, operation, sent, unsure, arrived }) => [
        hour,
        service,
        tenant,
        operation,
        sent,
        unsure,
        arrived,
        whatOf(sent, unsure, arrived),
      ]),
    );
  const { differences, services, compared, from, to } = answer;
  process.stderr.write(
    `${differences.length} differences in ${compared} comparisons of ${services} services, ${from} to ${to}\n`,
  );
  if (compared === 0)
    process.stderr.write(
      'nothing could be compared: whole hours are, of services that others sent to and that report themselves\n',
    );
  tellIncomplete(answer.incomplete);
}

function whatOf(sent: number, unsure: number, arrived: number): string {
  return arrived < sent
    ? `${sent - arrived} not recorded where they arrived`
    : `${arrived - sent - unsure} not recorded where they were sent`;
}

/** All rows of the hours, to standard output or a file. */
export async function exported(
  o: CollectorAsking & Range & { readonly format: string; readonly file?: string },
): Promise<void> {
  if (o.format === 'parquet' && o.file === undefined && process.stdout.isTTY)
    throw new ReeveError('usage', 'Parquet is not for a terminal', {
      place: '--format parquet',
      remedy: 'name a file with --file',
    });
  const answer = await openCollector(o, '/v1/usage/export', { format: o.format, ...rangeOf(o) });
  if (o.file === undefined) return copy(answer);
  try {
    await pipeline(answer, createWriteStream(o.file));
  } catch (cause) {
    throw new ReeveError('findings', `not written whole: ${(cause as NodeJS.ErrnoException).code}`, {
      place: `--file ${o.file}`,
      remedy: 'name a file that can be written, with room for it',
      cause,
    });
  }
}

interface SpoolRow {
  readonly spool: string;
  readonly service: string;
  readonly instance: string;
  readonly state: string;
  readonly isConnected: boolean;
  readonly epoch: number;
  readonly seq: number;
  readonly lost: number;
  readonly watermark: string;
  readonly last: string;
}

export async function spools(o: CollectorAsking & { readonly output: 'table' | 'json' }): Promise<void> {
  const answer = await askCollector<{ readonly spools: readonly SpoolRow[] }>(o, '/v1/spools');
  if (o.output === 'json') return printJson(answer);
  printRows(
    ['SPOOL', 'SERVICE', 'INSTANCE', 'STATE', 'STREAM', 'TOLD', 'LOST', 'UNTIL'],
    answer.spools.map(({ spool, service, instance, state, isConnected, epoch, seq, lost, watermark }) => [
      spool,
      service,
      instance,
      state,
      isConnected ? 'yes' : 'no',
      `${epoch}:${seq}`,
      lost,
      watermark,
    ]),
  );
}

export async function writeOff(
  spool: string,
  o: CollectorAsking & { readonly output: 'table' | 'json' },
): Promise<void> {
  const answer = await askCollector<{ readonly spool: SpoolRow }>(
    o,
    `/v1/spools/${encodeURIComponent(spool)}/write-off`,
    {},
    'POST',
  );
  if (o.output === 'json') return printJson(answer);
  const { service, instance, epoch, seq } = answer.spool;
  process.stdout.write(`written off: ${spool} of ${service} ${instance}, told up to ${epoch}:${seq}\n`);
}

function rangeOf({ last, from, to }: Range): { from?: string; to?: string } {
  if (last !== undefined && from !== undefined)
    throw new ReeveError('usage', 'excludes --from', { place: '--last', remedy: 'give one of them' });
  if (last !== undefined && parseDurationMs(last) === undefined)
    throw new ReeveError('usage', `expected a time such as 30d, got ${JSON.stringify(last)}`, { place: '--last' });
  const begin = from ?? last;
  return { ...(begin === undefined ? {} : { from: begin }), ...(to === undefined ? {} : { to }) };
}

function printTable({ rows }: Answer): void {
  const columns = Object.keys(rows[0] ?? {});
  printRows(
    columns.map((column) => column.toUpperCase().replaceAll('_', ' ')),
    rows.map((row) => columns.map((column) => row[column] ?? '')),
  );
}

/** What is missing is no part of the table. */
function tellIncomplete(missing: readonly Missing[]): void {
  for (const { spool, service, instance, last } of missing)
    process.stderr.write(`incomplete: ${service} ${instance} (spool ${spool}) has told all until ${last}\n`);
}

async function copy(answer: NodeJS.ReadableStream): Promise<void> {
  for await (const chunk of answer) process.stdout.write(chunk);
}
