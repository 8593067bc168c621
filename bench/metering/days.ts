/** Sums of 90 days as a collector would have them by then: the files that merging leaves, one series a tenant and hour. */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { type SumFile, writeManifest } from '../../src/collector/duck/manifest.ts';
import { nextMerge } from '../../src/collector/duck/merging.ts';

const HOUR_S = 3600;
const DAY_S = 86_400;

export async function makeDays(dir: string, tenants: number, days: number): Promise<void> {
  const sums = join(dir, 'sums');
  mkdirSync(sums, { recursive: true });
  const nowS = Math.floor(Date.now() / 1000 / HOUR_S) * HOUR_S;
  const db = await (await DuckDBInstance.create(':memory:')).connect();
  const files: SumFile[] = [];
  for (const [fromS, toS] of spans(nowS - days * DAY_S, nowS)) {
    const name = `h-${fromS / HOUR_S}-1.parquet`;
    await db.run(`COPY (SELECT 'orders' AS service, 'tenant-' || tenant AS tenant, 'orders' AS route, '' AS upstream, 'ok' AS outcome, 'read' AS method, 2::UTINYINT AS status,
      '' AS meter, hour::UINTEGER AS t, 0::USMALLINT AS rev, 1 + hash(tenant * 7919 + hour) % 1000 AS count, 200.0 * (1 + hash(hour + tenant) % 999) AS bytes_in,
      900.0 * (1 + hash(hour * 3 + tenant) % 999) AS bytes_out, 5000.0 * (1 + hash(hour * 5 + tenant) % 999) AS duration_us,
      4000.0 * (1 + hash(hour * 7 + tenant) % 999) AS upstream_us, 0.0 AS units, 90000.0 AS duration_us_max
      FROM range(${tenants}) a(tenant), range(${fromS}, ${toS}, ${HOUR_S}) b(hour) ORDER BY tenant, t)
      TO '${join(sums, name)}' (FORMAT parquet, COMPRESSION zstd)`);
    files.push({ name, kind: 'hours', fromS, toS, rev: 0, bytes: statSync(join(sums, name)).size });
  }
  writeManifest(sums, { version: 1, next: 2, hot: undefined, files, word: undefined });
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
