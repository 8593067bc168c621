/** What can be wrong with a log, in words for the log and the operator. */
import { ReeveError } from '../core/index.ts';

/** What was wrong with a file, for the log and the operator. */
export interface Damage {
  /**
   * `torn tail`: what a crash of the machine cut off, or a sync that failed. `corrupt`: bytes are not those that were written. `unreadable`: the whole file;
   * it is put aside. `missing`: segments that others follow are not there.
   */
  readonly what: 'torn tail' | 'corrupt' | 'unreadable' | 'missing';
  readonly path: string;
  readonly segment: number;
  /** Where in the file. */
  readonly offset: number;
  /** That are lost; 0 where nobody can say, or where only the log's own are. */
  readonly bytes: number;
  readonly detail: string;
}

export const NOT_WRITTEN = 'it is not what was written; what stands behind it is read';
export const ENDLESS = 'its end is missing, and frames stand behind it';

const REMEDIES: Readonly<Record<string, string>> = {
  EEXIST: 'another process writes this directory; give each its own',
  ENOSPC: 'make room for a segment',
  EDQUOT: 'make room for a segment',
  ENOENT: 'the directory was removed: make it again, and start anew',
  EROFS: 'name a directory that can be written',
  EACCES: 'let the user of this process write there',
  EPERM: 'let the user of this process write there',
  ENOTDIR: 'name a directory, or one that can be made',
  EIO: 'the disk fails: look at the log of the kernel',
};

/** Errors of the disk as the operator needs them; `only`: of these codes. */
export function explained(dir: string, cause: unknown, only?: readonly string[]): unknown {
  const { code } = cause as NodeJS.ErrnoException;
  if (cause instanceof ReeveError || code === undefined || only?.includes(code) === false) return cause;
  const remedy = REMEDIES[code] ?? 'name a directory that can be written, with room for a segment';
  return new ReeveError('log-unusable', `the log cannot be written: ${code}`, { place: dir, remedy, cause });
}
