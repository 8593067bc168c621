/**
 * Questions as SQL. What a client says is only ever bound; of texts only names of columns and our own files stand in a statement.
 *
 *   hot ⋈ series ──┐
 *   moving ⋈ series┼─ UNION ALL ─ WHERE time, dimensions ─ GROUP BY window, dimensions, meter
 *   Parquet files ─┘
 */
import { OTHER } from '../../telemetry/index.ts';
import { BUILT_IN_METERS, type Dimension, type Question } from '../rollups.ts';

export const DAY_S = 86_400;
/** What is summed up, and the longest. */
export const SUMS = ['count', 'bytes_in', 'bytes_out', 'duration_us', 'upstream_us', 'units'] as const;
export const LONGEST = 'duration_us_max';
/** Of a series, in the order of its table. */
export const KEYS = [
  'service',
  'tenant',
  'route',
  'upstream',
  'outcome',
  'method',
  'status',
  'meter',
  'operation',
] as const;

/** A statement, and what is bound in it: names are ours. */
export interface Statement {
  readonly sql: string;
  readonly values: Readonly<Record<string, string | number>>;
}

export const CREATE: readonly string[] = [
  `CREATE TABLE series (id INTEGER, ${KEYS.map((key) => `${key} ${key === 'status' ? 'UTINYINT' : 'VARCHAR'}`).join(', ')})`,
  `CREATE TABLE hot (t UINTEGER, series INTEGER, ${[...SUMS, LONGEST].map((each) => `${each} DOUBLE`).join(', ')})`,
  'CREATE TABLE moving AS SELECT * FROM hot',
];

/** Sums of rows that are told apart by nothing but what is grouped by. */
export const SUMMED: string = [...SUMS.map((each) => `sum(${each}) AS ${each}`), `max(${LONGEST}) AS ${LONGEST}`].join(
  ', ',
);
const COLUMNS: readonly string[] = [...KEYS, 't', ...SUMS, LONGEST];
/** In which rows of files stand: what is asked for together lies together. */
const ORDER = 'tenant, meter, t, service, route, upstream, operation, outcome, method, status';

/** A file of ours. */
export interface Written {
  readonly path: string;
  /** It has a column for operations: those of before do not. */
  readonly hasOperation: boolean;
}

/** What may be in place of a table: rows of files that fit a condition. What began where is not known of before: each in its own place. */
function rowsOf(files: readonly Written[], columns: readonly string[], where = 'TRUE'): string {
  const part = (hasOperation: boolean): string[] => {
    const paths = files.filter((each) => each.hasOperation === hasOperation).map(({ path }) => quote(path));
    if (paths.length === 0) return [];
    const old = `(SELECT *, CASE WHEN outcome = 'reported' THEN '' ELSE service || '/' || route END AS operation FROM read_parquet([${paths.join(', ')}]))`;
    return [
      `SELECT ${columns.join(', ')} FROM ${hasOperation ? `read_parquet([${paths.join(', ')}])` : old} WHERE ${where}`,
    ];
  };
  return [...part(true), ...part(false)].join(' UNION ALL ');
}

/** Our own paths; the directory is the operator's, and may have any letter. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/**
 * Those that lie within the time that is asked for, and those that go beyond it. Of a file with days beside it the days within that time may be asked
 * instead (`days`), and its hours only for what is left at both ends (`ends`).
 */
export interface Files {
  readonly whole: readonly Written[];
  readonly cut: readonly Written[];
  readonly days: readonly Written[];
  readonly ends: readonly Written[];
}

/** All rows of a time, hot and written, that a condition on columns holds for. Of files that lie within the time, it is not looked at. */
function rowsWhere({ whole, cut, days, ends }: Files, fromS: number, toS: number, condition: string): string {
  // Numbers of our own, and no parameters: with those DuckDB knows at planning which row groups to read.
  const within = (from: number, to: number): string => `t >= ${Math.trunc(from)} AND t < ${Math.trunc(to)}`;
  const inTime = `${within(fromS, toS)} AND ${condition}`;
  const [firstS, lastS] = wholeDays(fromS, toS);
  const inDays = `${within(firstS, lastS)} AND ${condition}`;
  const atEnds = `(${within(fromS, firstS)} OR ${within(lastS, toS)}) AND ${condition}`;
  const hot = (table: string): string =>
    `SELECT ${COLUMNS.join(', ')} FROM ${table} JOIN series ON series.id = ${table}.series WHERE ${inTime}`;
  const written = (files: readonly Written[], where: string): string[] =>
    files.length === 0 ? [] : [rowsOf(files, COLUMNS, where)];
  return [
    hot('hot'),
    hot('moving'),
    ...written(whole, condition),
    ...written(cut, inTime),
    ...written(days, inDays),
    ...written(ends, atEnds),
  ].join(' UNION ALL ');
}

/** From where to where days lie whole within a time, seconds; the first is not before the last when there is none. */
export function wholeDays(fromS: number, toS: number): readonly [firstS: number, lastS: number] {
  return [Math.ceil(fromS / DAY_S) * DAY_S, Math.floor(toS / DAY_S) * DAY_S];
}

export function isBuiltIn(meter: string): boolean {
  return (BUILT_IN_METERS as readonly string[]).includes(meter);
}

/** By which of the sums a built-in meter is answered. A report of the application's is no request. */
const METER_SUMS: Readonly<Record<string, string>> = {
  requests: `sum(count) FILTER (outcome <> 'reported')`,
  bytes_in: 'sum(bytes_in)',
  bytes_out: 'sum(bytes_out)',
  compute_ms: 'sum(duration_us) / 1000',
  upstream_ms: 'sum(upstream_us) / 1000',
};

/** Rows of columns: t (with a step), the dimensions, meter, value. */
export function questionSql(question: Question, files: Files): Statement {
  const { by, stepS, where, meter, fromS, toS, rowsMax, isTop } = question;
  const values: Record<string, string | number> = {};
  const conditions = ['TRUE'];
  for (const [dimension, value] of Object.entries(where) as [Dimension, string][]) {
    // A status is a number in the tables.
    conditions.push(`${dimension} = $w_${dimension}`);
    values[`w_${dimension}`] = dimension === 'status' ? Number(value) : value;
  }
  if (meter !== undefined && isBuiltIn(meter)) conditions.push("meter = ''");
  else if (meter !== undefined) {
    conditions.push('meter = $w_meter');
    values['w_meter'] = meter;
  }
  const rows = rowsWhere(files, fromS, toS, conditions.join(' AND '));
  const keys = [...(stepS === undefined ? [] : [`t - t % ${Math.trunc(stepS)} AS t`]), ...by];
  const group = keys.map((_, at) => at + 1).join(', ');
  const grouped = (what: string, condition: string): string => {
    const groupBy = group === '' ? '' : ` GROUP BY ${group}`;
    const having = group === '' ? ' HAVING count(*) > 0' : '';
    return `SELECT ${[...keys, what].join(', ')} FROM rows WHERE ${condition}${groupBy}${having}`;
  };
  const parts: string[] = [];
  for (const each of BUILT_IN_METERS)
    if (meter === undefined || meter === each)
      parts.push(grouped(`'${each}' AS meter, coalesce(${METER_SUMS[each]}, 0) AS value`, `meter = ''`));
  if (meter === undefined)
    parts.push(
      `SELECT ${[...keys, 'meter', 'sum(units) AS value'].join(', ')} FROM rows WHERE meter <> '' GROUP BY ALL`,
    );
  else if (!isBuiltIn(meter)) parts.push(grouped('$w_meter AS meter, sum(units) AS value', 'TRUE'));
  const names = [...(stepS === undefined ? [] : ['t']), ...by, 'meter'];
  const order = isTop ? `value DESC, ${names.join(', ')}` : names.join(', ');
  const materialized = parts.length > 1 ? 'MATERIALIZED ' : '';
  return {
    sql: `WITH rows AS ${materialized}(${rows}) SELECT * FROM (${parts.join(' UNION ALL ')}) ORDER BY ${order} LIMIT ${Math.trunc(rowsMax) + (isTop ? 0 : 1)}`,
    values,
  };
}

/**
 * Rows of columns: service, tenant, hour, operation, sent, unsure, arrived; and how much was compared. Both ends of a hop know its operation,
 * unless its trace was lost or begun anew, so that it seems to begin where it arrived, or one of them has no more room for names, or does not know of
 * operations. So where a side has one that the other does not have, all of the hour is compared in one.
 */
export function reconcileSql(fromS: number, toS: number, files: Files, rowsMax: number): Statement {
  const rows = rowsWhere(files, fromS, toS, "meter = '' AND outcome <> 'reported'");
  return {
    sql: `WITH rows AS MATERIALIZED (${rows}),
arrived AS (SELECT service, tenant, t - t % 3600 AS hour, operation, sum(count) AS arrived FROM rows GROUP BY ALL),
sent AS (SELECT upstream AS service, tenant, t - t % 3600 AS hour, operation,
  coalesce(sum(count) FILTER (outcome IN ('ok', 'shaped', 'degraded')), 0) AS sent,
  coalesce(sum(count) FILTER (outcome IN ('failed', 'aborted')), 0) AS unsure
  FROM rows WHERE upstream <> '' AND upstream <> service AND outcome <> 'denied' GROUP BY ALL),
known AS (SELECT DISTINCT service FROM sent INTERSECT SELECT DISTINCT service FROM arrived),
told AS (SELECT *, bool_and(sent IS NOT NULL AND (arrived IS NOT NULL OR sent = 0) AND operation <> ${quote(OTHER)}
  AND NOT (arrived IS NOT NULL AND starts_with(operation, service || '/'))) OVER (PARTITION BY service, tenant, hour) AS is_told
  FROM arrived FULL JOIN sent USING (service, tenant, hour, operation) WHERE service IN (FROM known)),
both_sides AS (SELECT service, tenant, hour, CASE WHEN is_told THEN operation ELSE '' END AS operation,
  coalesce(sum(sent), 0) AS sent, coalesce(sum(unsure), 0) AS unsure, coalesce(sum(arrived), 0) AS arrived FROM told GROUP BY ALL),
found AS (SELECT service, tenant, hour, operation, sent, unsure, arrived FROM both_sides WHERE arrived < sent OR arrived > sent + unsure
  UNION ALL SELECT '', '', 0, '', 0, 0, 0)
SELECT *, (SELECT count(*) FROM known) AS services, (SELECT count(*) FROM both_sides) AS compared FROM found
ORDER BY service <> '', greatest(sent - arrived, arrived - sent - unsure) DESC, service, tenant, hour, operation LIMIT ${Math.trunc(rowsMax) + 1}`,
    values: {},
  };
}

/** Rows of the hours in between as a file. */
export function exportSql(
  form: 'csv' | 'ndjson' | 'parquet',
  path: string,
  fromS: number,
  toS: number,
  files: Files,
): string {
  const rows = rowsWhere(files, fromS, toS, 'TRUE');
  const format = { csv: 'FORMAT csv, HEADER', ndjson: 'FORMAT json', parquet: 'FORMAT parquet, COMPRESSION zstd' }[
    form
  ];
  const summed = `SELECT make_timestamp(CAST(t - t % 3600 AS BIGINT) * 1000000) AS hour, ${KEYS.join(', ')}, ${SUMMED} FROM (${rows}) GROUP BY ALL ORDER BY hour, tenant, service, meter`;
  return `COPY (SELECT ${form === 'parquet' ? '*' : `* REPLACE (${DIGITS[form]})`} FROM (${summed})) TO ${quote(path)} (${format})`;
}

/** Text has whole numbers as people write them: a DOUBLE would be `5.0`. */
const digitsAs = (type: string): string =>
  [...SUMS, LONGEST]
    .map(
      (each) =>
        `CASE WHEN ${each} = trunc(${each}) THEN ${each}::HUGEINT::VARCHAR ELSE ${each}::VARCHAR END::${type} AS ${each}`,
    )
    .join(', ');
const DIGITS = { csv: digitsAs('VARCHAR'), ndjson: digitsAs('JSON') };

/** What stands in a file of minutes or hours: the rows of a table, in the order in which they are asked for. */
export function fileSql(from: string, spanS: number, rev: number, path: string): string {
  return `COPY (SELECT ${KEYS.join(', ')}, t - t % ${Math.trunc(spanS)} AS t, ${Math.trunc(rev)}::USMALLINT AS rev, ${SUMMED}
FROM ${from} GROUP BY ALL ORDER BY ${ORDER}) TO ${quote(path)} (FORMAT parquet, COMPRESSION zstd)`;
}

/** What stands in the file of hot rows. */
export function hotSql(path: string): string {
  return `COPY (SELECT ${KEYS.join(', ')}, t, ${SUMMED} FROM hot JOIN series ON series.id = hot.series GROUP BY ALL) TO ${quote(path)} (FORMAT parquet, COMPRESSION zstd)`;
}

/** What `hotSql` wrote, as a table. */
export function loadSql(table: string, file: Written): string {
  return `CREATE TABLE ${table} AS ${rowsOf([file], COLUMNS)}`;
}

/** Several files as one; a revision stays one. */
export function mergeSql(files: readonly Written[], path: string): string {
  return `COPY (SELECT ${KEYS.join(', ')}, t, rev, ${SUMMED} FROM (${rowsOf(files, [...COLUMNS, 'rev'])}) GROUP BY ALL ORDER BY ${ORDER})
TO ${quote(path)} (FORMAT parquet, COMPRESSION zstd)`;
}

/** Days of a file of hours. */
export function daysSql(file: Written, rev: number, path: string): string {
  return fileSql(`(${rowsOf([file], COLUMNS)})`, DAY_S, rev, path);
}
