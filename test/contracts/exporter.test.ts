import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import t from 'tap';
import { RollupThread } from '../../src/collector/index.ts';
import { exporterContract } from './exporter.ts';

const dirs: string[] = [];
t.teardown(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true });
});

function options(): Parameters<typeof RollupThread.open>[0] {
  const dir = mkdtempSync(join(tmpdir(), "reeve-export'-"));
  dirs.push(dir);
  return { dir, memoryBytes: 2 ** 28, threads: 2, keepMinutesS: 7 * 86_400, keepHoursS: 400 * 86_400 };
}

async function read(path: string): Promise<readonly Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const reader = await connection.runAndReadAll(`FROM read_parquet('${path.replaceAll("'", "''")}')`);
  const rows = reader.getRowObjectsJson() as Record<string, unknown>[];
  connection.closeSync();
  instance.closeSync();
  return rows;
}

exporterContract(t, 'DuckDB in its thread', () => RollupThread.open(options(), (cause) => t.fail(cause.message)), read);
