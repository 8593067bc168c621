/** What can be said of a spool from outside, while its sidecar runs or does not: for `reeve check`. Nothing is written. */
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readSpoolHead } from './block.ts';

/** Directories of spools that were fenced, beside it. */
export function fencedBeside(dir: string): readonly string[] {
  let names: string[];
  try {
    names = readdirSync(dirname(dir)).sort();
  } catch {
    return [];
  }
  return names.filter((name) => name.startsWith(`${basename(dir)}.fenced-`)).map((name) => join(dirname(dir), name));
}

/** Whose a segment is, by the owner's part of its head; undefined: it is no spool's. */
export function spoolIdOf(head: Buffer): string | undefined {
  return readSpoolHead(head)?.spoolId;
}
