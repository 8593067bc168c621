/** What can be said of a collector's ledger and sums together, from outside, while it runs or does not: for `reeve check`. Nothing is written. */
import { join } from 'node:path';
import { type Disk, systemDisk } from '../wal/index.ts';
import type { Word } from './collector.ts';
import { savedWord } from './duck/manifest.ts';
import { assertReaches } from './segment-ledger.ts';

/**
 * `dir`: the collector's. Throws the ReeveError that a start would end with: `ledger-behind`, `rollups-unusable`.
 */
export function assertFits(dir: string, disk: Disk = systemDisk): void {
  const word = savedWord(join(dir, 'sums'));
  if (word === undefined) return;
  assertReaches(disk, join(dir, 'ledger'), (JSON.parse(word) as Word).place);
}
