/** One look at a directory, for the command line. What it takes is loaded then: a sidecar looks in its thread alone. */
import { systemClock, systemTimers } from '../core/index.ts';
import type { LoadedFile } from './documents/load.ts';
import { type DirectoryText, readDirectory } from './documents/read-directory.ts';
import { emptySnapshot, type Finding, type Snapshot } from './model.ts';
import { keyOf } from './name.ts';
import type { Kind } from './schema.ts';
import { SnapshotBuilder } from './snapshot/builder.ts';

export interface Inspection {
  readonly snapshot: Snapshot;
  /** Their files as they stand in the directory; about the directory itself, its path as it was given. */
  readonly findings: readonly Finding[];
  readonly files: number;
  /** Of an object that is not in the snapshot: whether the files may hold it all the same, in what is broken or could not be read. */
  readonly mayHold: (kind: Kind, name: string) => boolean;
}

export async function inspectTenancy(dir: string): Promise<Inspection> {
  const [{ Catalogue }, { namingDirectory, plainFinding }, { loadFiles }] = await Promise.all([
    import('./catalogue/catalogue.ts'),
    import('./catalogue/complaints.ts'),
    import('./documents/load.ts'),
  ]);
  const read = await readDirectory(dir);
  if ('unreadable' in read) {
    const finding = plainFinding(dir, `cannot be read: ${read.unreadable}`, 'name a directory of YAML documents');
    return { snapshot: emptySnapshot, findings: [finding], files: 0, mayHold: () => true };
  }
  const files = await loadFiles(read.files, new Map(), { timers: systemTimers, remembered: new Map() });
  const { parts, findings } = new Catalogue().update(
    { files, unread: [] },
    { allowShrink: true, removeGraceMs: 0, now: systemClock.now() },
  );
  const snapshot = await new SnapshotBuilder().next(parts, systemTimers.yieldLoop);
  const problems = read.problems.map((each) => plainFinding(each.path, each.message, each.remedy));
  return {
    snapshot,
    findings: [...problems, ...namingDirectory(findings, dir)],
    files: files.length,
    mayHold: mayHold(read, files),
  };
}

/** No document at all is a lost mount more often than a tenancy of nobody. */
function mayHold({ problems, isCut }: DirectoryText, files: readonly LoadedFile[]): Inspection['mayHold'] {
  const all = files.flatMap((file) => file.documents.map((each) => each.parsed));
  const isAnything =
    isCut ||
    problems.length > 0 ||
    all.length === 0 ||
    files.some((file) => file.isCut) ||
    all.some((each) => !each.isGood && !each.isNamed);
  if (isAnything) return () => true;
  const named = new Set(all.map(({ kind, name }) => keyOf(kind as Kind, name as string)));
  return (kind, name) => named.has(keyOf(kind, name));
}
