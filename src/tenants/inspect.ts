/** One look at a directory, for the command line: what it says, and how two of them differ. */
import { systemClock, systemTimers } from '../core/index.ts';
import { Catalogue } from './catalogue/catalogue.ts';
import { plainFinding } from './catalogue/complaints.ts';
import { loadFiles } from './documents/load.ts';
import { readDirectory } from './documents/read-directory.ts';
import { emptySnapshot, type Finding, type Snapshot } from './model.ts';
import { SnapshotBuilder } from './snapshot/builder.ts';

export interface Inspection {
  readonly snapshot: Snapshot;
  readonly findings: readonly Finding[];
  readonly files: number;
}

export async function inspectTenancy(dir: string): Promise<Inspection> {
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

export interface Difference {
  readonly kind: 'Plan' | 'Tenant' | 'IdentityProvider' | 'Route';
  readonly name: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** Keys whose value differs, for a change. */
  readonly keys: readonly string[];
}

/** What `next` says that `previous` did not. Slots and files are not compared: they are not what a person wrote. */
export function diffSnapshots(previous: Snapshot, next: Snapshot): Difference[] {
  const routes = (snapshot: Snapshot) => new Map(snapshot.routes.map((route) => [route.name, route]));
  return [
    ...diffMaps('Plan', previous.plans, next.plans),
    ...diffMaps('Tenant', previous.tenants, next.tenants),
    ...diffMaps('IdentityProvider', previous.providers, next.providers),
    ...diffMaps('Route', routes(previous), routes(next)),
  ];
}

function diffMaps(
  kind: Difference['kind'],
  previous: ReadonlyMap<string, object>,
  next: ReadonlyMap<string, object>,
): Difference[] {
  const differences: Difference[] = [];
  for (const [name, object] of next) {
    const before = previous.get(name);
    const keys = before === undefined ? [] : changedKeys(before, object);
    if (before === undefined) differences.push({ kind, name, change: 'added', keys });
    else if (keys.length > 0) differences.push({ kind, name, change: 'changed', keys });
  }
  for (const name of previous.keys())
    if (!next.has(name)) differences.push({ kind, name, change: 'removed', keys: [] });
  return differences;
}

/** Slots and places are not what a person wrote; a plan is compared by its name. */
const NOT_WRITTEN: ReadonlySet<string> = new Set(['index', 'source', 'plan']);

function changedKeys(before: object, after: object): string[] {
  const text = (value: unknown) =>
    JSON.stringify(value, (_, each: unknown) =>
      each instanceof Set ? [...each] : each === Number.POSITIVE_INFINITY ? 'never' : each,
    );
  const [a, b] = [before, after] as [Record<string, unknown>, Record<string, unknown>];
  return Object.keys(b)
    .filter((key) => !NOT_WRITTEN.has(key) && text(a[key]) !== text(b[key]))
    .concat(planName(a) === planName(b) ? [] : ['plan']);
}

function planName(object: Record<string, unknown>): string | undefined {
  return (object['plan'] as { name?: string } | undefined)?.name;
}
