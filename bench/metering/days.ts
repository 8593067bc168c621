/**
 * What a collector has that has kept 90 days, and the rest of the 28 that the first of them is in: sums written by its own SQL in the files that merging leaves, the minutes of the hour that runs,
 * and the segments of a ledger that nothing was dropped from. Minutes of hours that are sealed are left out: a question of hours reads none.
 */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { type SumFile, writeManifest } from '../../src/collector/duck/manifest.ts';
import { nextMerge } from '../../src/collector/duck/merging.ts';
import { daysSql, fileSql, hotSql } from '../../src/collector/duck/sql.ts';
import { makeSegments } from './days-ledger.ts';

const HOUR_S = 3600;
const DAY_S = 86_400;
/** Of a file. */
const LONGEST_S = 28 * DAY_S;
/** Of each tenant: a request at the edge, and what it causes at two services behind it. */
const SERIES = `(VALUES (0, 'web', 'shop', 'orders', 'web/shop', 'read'), (1, 'orders', 'orders', 'payments', 'web/shop', 'write'), (2, 'payments', 'charges', '', 'web/shop', 'write'))
  s(id, service, route, upstream, operation, method)`;
/** Of a series, on average. */
const REQUESTS_AN_HOUR = 100;
/** Of a record in the ledger, as `wire_raw_bytes` of this suite has it, rounded. */
const LEDGER_BYTES_EACH = 14;
const MEMORY = '4GiB';
/** At most, until questions are over. */
const MAKING_S = 1200;

/** Kept in `dir` as a collector keeps it. */
export async function makeDays(dir: string, tenants: number, days: number): Promise<void> {
  const sums = join(dir, 'sums');
  mkdirSync(sums, { recursive: true });
  // The hour that runs while it is asked, not one that ends meanwhile: it would be sealed then.
  const nowS = Math.floor((Date.now() / 1000 + MAKING_S) / HOUR_S) * HOUR_S;
  // It has kept more than is asked for: the first file is asked for a part of it.
  const fromS = Math.floor((nowS - days * DAY_S) / LONGEST_S) * LONGEST_S;
  const db = await DuckDBInstance.create(':memory:', { memory_limit: MEMORY, temp_directory: join(dir, 'spill') });
  const connection = await db.connect();
  const files: SumFile[] = [];
  for (const [from, to] of spans(fromS, nowS)) files.push(await makeFile(connection, sums, tenants, from, to));
  const hot = await makeHot(connection, sums, tenants, nowS);
  connection.closeSync();
  db.closeSync();
  const requests = (3 * tenants * REQUESTS_AN_HOUR * (nowS - fromS)) / HOUR_S;
  const place = makeSegments(join(dir, 'ledger'), requests * LEDGER_BYTES_EACH, fromS * 1000, nowS * 1000);
  const word = JSON.stringify({ place, spools: [], sealedS: nowS });
  writeManifest(sums, { version: 2, next: 2, hot, files, word });
}

async function makeFile(
  connection: DuckDBConnection,
  sums: string,
  tenants: number,
  fromS: number,
  toS: number,
): Promise<SumFile> {
  const name = `h-${fromS / HOUR_S}-1.parquet`;
  const path = join(sums, name);
  await connection.run(fileSql(rowsOf(tenants, fromS, toS, HOUR_S, REQUESTS_AN_HOUR), HOUR_S, 0, path));
  const file: SumFile = { name, kind: 'hours', fromS, toS, rev: 0, bytes: statSync(path).size, hasOperation: true };
  if (toS - fromS < DAY_S) return file;
  const days = `d-${fromS / HOUR_S}-1.parquet`;
  await connection.run(daysSql({ path, hasOperation: true }, 0, join(sums, days)));
  return { ...file, days };
}

/** The hour that runs, as it is before it is sealed: a row for each minute. */
async function makeHot(connection: DuckDBConnection, sums: string, tenants: number, nowS: number): Promise<string> {
  const name = 'hot-1.parquet';
  const rows = rowsOf(tenants, nowS, nowS + HOUR_S, 60, REQUESTS_AN_HOUR / 60);
  const keys = 'service, tenant, route, upstream, outcome, method, status, meter, operation';
  await connection.run(
    `CREATE TABLE series AS SELECT (row_number() OVER () - 1)::INTEGER AS id, ${keys} FROM (SELECT DISTINCT ${keys} FROM ${rows})`,
  );
  await connection.run(
    `CREATE TABLE hot AS SELECT series.id AS series, rows.* EXCLUDE (${keys}) FROM ${rows} rows JOIN series USING (${keys})`,
  );
  await connection.run(hotSql(join(sums, name)));
  return name;
}

/** Every series in each window, with amounts that differ. */
function rowsOf(tenants: number, fromS: number, toS: number, spanS: number, requests: number): string {
  const some = (seed: number): string => `hash(tenant * 7919 + w * ${seed} + id)`;
  return `(SELECT service, 'tenant-' || tenant AS tenant, route, upstream, 'ok' AS outcome, method, 2::UTINYINT AS status, '' AS meter, operation,
    w::UINTEGER AS t, count, count * (100.0 + ${some(3)} % 700) AS bytes_in, count * (500.0 + ${some(5)} % 9000) AS bytes_out,
    count * (2000.0 + ${some(7)} % 40000) AS duration_us, CASE WHEN upstream = '' THEN 0.0 ELSE count * (1500.0 + ${some(11)} % 30000) END AS upstream_us,
    0.0 AS units, 50000.0 + ${some(13)} % 100000 AS duration_us_max
    FROM (SELECT *, (1 + ${some(1)} % ${Math.ceil(2 * requests) - 1})::DOUBLE AS count
      FROM range(${tenants}) a(tenant), range(${fromS}, ${toS}, ${spanS}) b(w), ${SERIES}))`;
}

/** What is left when all that is worth it was merged. */
function spans(fromS: number, toS: number): [number, number][] {
  let files: SumFile[] = [];
  for (let at = fromS; at < toS; at += HOUR_S)
    files.push({ name: '', kind: 'hours', fromS: at, toS: at + HOUR_S, rev: 0, bytes: 1000 });
  for (let merge = nextMerge(files, toS); merge !== undefined; merge = nextMerge(files, toS)) {
    const { files: of } = merge;
    const bytes = of.reduce((sum, each) => sum + each.bytes, 0);
    const merged = {
      ...(of[0] as SumFile),
      fromS: Math.min(...of.map((each) => each.fromS)),
      toS: Math.max(...of.map((each) => each.toS)),
      bytes,
    };
    files = [...files.filter((file) => !of.includes(file)), merged];
  }
  return files.map((file) => [file.fromS, file.toS]);
}
