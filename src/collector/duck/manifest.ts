/**
 * Which files of the store's directory count, in one small file that is replaced as a whole. What it does not name is a rest of a crash, and
 * is removed. Hot rows as they were, the files beside them and the owner's word become true together.
 *
 *   dir/  manifest.json ──names──▶ hot-12.parquet · h-481032-13.parquet · m-481032-14.parquet …
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ReeveError } from '../../core/index.ts';

/** A file of sums. */
export interface SumFile {
  readonly name: string;
  readonly kind: 'minutes' | 'hours';
  /** Seconds since 1970: whole hours, from and up to. */
  readonly fromS: number;
  readonly toS: number;
  /** The highest revision in it. */
  readonly rev: number;
  readonly bytes: number;
  /** Of before operations were told apart it is not there. */
  readonly hasOperation?: boolean;
  /** Of hours: the file beside it that has the same as sums of days. */
  readonly days?: string;
}

export interface Manifest {
  /** 1: before operations were told apart, in the hot file too. */
  readonly version: 1 | 2;
  /** Grows with each file, so that no name is used twice. */
  readonly next: number;
  readonly hot: string | undefined;
  readonly files: readonly SumFile[];
  readonly word: string | undefined;
}

export const EMPTY: Manifest = { version: 2, next: 1, hot: undefined, files: [], word: undefined };
const NAME = 'manifest.json';

/** Of all files that count. */
export function namesOf({ hot, files }: Manifest): Set<string> {
  const names = [hot, ...files.flatMap(({ name, days }) => [name, days])];
  return new Set(names.filter((name) => name !== undefined));
}

/** Makes the directory when it is not there; removes what does not count. Throws a ReeveError when it cannot be used. */
export function readManifest(dir: string): Manifest {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const names = readdirSync(dir);
    const manifest = names.includes(NAME) ? parse(readFileSync(join(dir, NAME), 'utf8'), dir) : EMPTY;
    const counts = namesOf(manifest).add(NAME);
    for (const name of names) if (!counts.has(name)) rmSync(join(dir, name), { recursive: true });
    // A version that knows of no days has removed them: they are made again.
    const files = manifest.files.map(({ days, ...file }) =>
      days === undefined || !names.includes(days) ? file : { ...file, days },
    );
    return { ...manifest, files };
  } catch (cause) {
    throw unusable(dir, cause);
  }
}

/** The owner's word of the last save, asked while its process runs or does not; undefined: there is none. Throws as `readManifest`. */
export function savedWord(dir: string): string | undefined {
  try {
    return parse(readFileSync(join(dir, NAME), 'utf8'), dir).word;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(dir, cause);
  }
}

function unusable(dir: string, cause: unknown): unknown {
  if (cause instanceof ReeveError) return cause;
  return new ReeveError('rollups-unusable', `the sums cannot be read: ${(cause as NodeJS.ErrnoException).code}`, {
    place: dir,
    remedy: 'make the directory readable and writable',
    cause,
  });
}

function parse(text: string, dir: string): Manifest {
  let manifest: Manifest | undefined;
  try {
    manifest = JSON.parse(text) as Manifest;
  } catch {
    // Said below.
  }
  if ((manifest?.version === 1 || manifest?.version === 2) && Array.isArray(manifest.files)) return manifest;
  throw new ReeveError('rollups-unusable', 'the list of its files cannot be read', {
    place: join(dir, NAME),
    remedy: 'make the sums anew from the ledger with: reeve collector --rebuild',
  });
}

/** Durable when it returns. */
export function writeManifest(dir: string, manifest: Manifest): void {
  const path = join(dir, `${NAME}.new`);
  const file = openSync(path, 'w', 0o600);
  try {
    // All of it: one write may take less than it is given.
    writeFileSync(file, JSON.stringify(manifest));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  // The names that it names, before it.
  syncPath(dir);
  renameSync(path, join(dir, NAME));
  syncPath(dir);
}

/** A file, or the names in a directory. */
export function syncPath(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
