/** What can be said of a spool from outside, while its sidecar runs or does not: for `reeve check`. Nothing is written. */
import { accessSync, constants, readdirSync, statfsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

export interface SpoolState {
  /** Undefined: there is none yet; a sidecar makes it. */
  readonly bytes: number | undefined;
  /** Of the system, such as EACCES: it cannot be written. */
  readonly unwritable: string | undefined;
  /** That its disk has left for it, bytes; undefined: there is none yet. */
  readonly freeBytes: number | undefined;
  /** Files that were found damaged and put aside. */
  readonly corrupt: readonly string[];
  /** Directories of spools that were fenced, beside it. */
  readonly fenced: readonly string[];
}

export function inspectSpool(dir: string): SpoolState {
  const names = namesIn(dir);
  const beside = namesIn(dirname(dir)) ?? [];
  return {
    bytes: names?.filter((name) => name.endsWith('.wal')).reduce((sum, name) => sum + sizeOf(join(dir, name)), 0),
    unwritable: names === undefined ? undefined : refusalOf(dir),
    freeBytes: names === undefined ? undefined : freeBytesOf(dir),
    corrupt: (names ?? []).filter((name) => name.endsWith('.corrupt')).map((name) => join(dir, name)),
    fenced: beside
      .filter((name) => name.startsWith(`${basename(dir)}.fenced-`))
      .map((name) => join(dirname(dir), name)),
  };
}

/** Undefined: there is no such directory. */
function namesIn(dir: string): string[] | undefined {
  try {
    return readdirSync(dir).sort();
  } catch {
    return undefined;
  }
}

function refusalOf(dir: string): string | undefined {
  try {
    accessSync(dir, constants.W_OK);
    return undefined;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code;
  }
}

function freeBytesOf(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
}

/** 0: it was removed meanwhile. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
