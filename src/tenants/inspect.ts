/** One look at a directory, for the command line. What it takes is loaded then: a sidecar looks in its thread alone. */
import { systemClock, systemTimers } from '../core/index.ts';
import { readDirectory } from './documents/read-directory.ts';
import { emptySnapshot, type Finding, type Snapshot } from './model.ts';
import { SnapshotBuilder } from './snapshot/builder.ts';

export interface Inspection {
  readonly snapshot: Snapshot;
  readonly findings: readonly Finding[];
  readonly files: number;
}

export async function inspectTenancy(dir: string): Promise<Inspection> {
  const [{ Catalogue }, { plainFinding }, { loadFiles }] = await Promise.all([
    import('./catalogue/catalogue.ts'),
    import('./catalogue/complaints.ts'),
    import('./documents/load.ts'),
  ]);
  const read = await readDirectory(dir);
  if ('unreadable' in read) {
    const finding = plainFinding(dir, `cannot be read: ${read.unreadable}`, 'name a directory of YAML documents');
    return { snapshot: emptySnapshot, findings: [finding], files: 0 };
  }
  const files = await loadFiles(read.files, new Map(), { timers: systemTimers, remembered: new Map() });
  const { parts, findings } = new Catalogue().update(
    { files, unread: [] },
    { allowShrink: true, removeGraceMs: 0, now: systemClock.now() },
  );
  const snapshot = await new SnapshotBuilder().next(parts, systemTimers.yieldLoop);
  const problems = read.problems.map((each) => plainFinding(each.path, each.message, each.remedy));
  return { snapshot, findings: [...problems, ...findings], files: files.length };
}
