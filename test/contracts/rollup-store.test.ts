import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { RollupThread } from '../../src/collector/index.ts';
import { type Kept, MemoryRollups } from '../collector/memory-rollups.ts';
import { rollupStoreContract } from './rollup-store.ts';

const dirs: string[] = [];
const opened: RollupThread[] = [];
t.teardown(async () => {
  await Promise.all(opened.map((store) => store.close()));
  for (const dir of dirs) rmSync(dir, { recursive: true });
});

rollupStoreContract(t, 'a list of rows', () => {
  const kept: Kept = { word: undefined, rows: [] };
  return async () => new MemoryRollups(kept);
});

rollupStoreContract(t, 'DuckDB in its thread', () => {
  const dir = mkdtempSync(join(tmpdir(), "reeve-sums'-"));
  dirs.push(dir);
  const o = { dir, memoryBytes: 2 ** 28, threads: 2, keepMinutesS: 7 * 86_400, keepHoursS: 400 * 86_400 };
  return async () => {
    const store = await RollupThread.open(o, (cause) => t.fail(cause.message));
    opened.push(store);
    return store;
  };
});
