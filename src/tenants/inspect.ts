/** One look at a directory, for the command line: what it says, and how two of them differ. */
import { systemClock, systemTimers } from '../core/index.ts';
import { Catalogue } from './catalogue.ts';
import { loadFiles } from './load.ts';
import { emptySnapshot, type Finding, type Snapshot } from './model.ts';
import { createPace } from './pace.ts';
import { readDirectory } from './read-directory.ts';

export interface Inspection {
  readonly snapshot: Snapshot;
  readonly findings: readonly Finding[];
  readonly files: number;
}

export async function inspectTenancy(dir: string): Promise<Inspection> {
  const world = { clock: systemClock, timers: systemTimers };
  const asFinding = (file: string, message: string, remedy: string): Finding => ({
    severity: 'error',
    file,
    line: 0,
    column: 0,
    kind: undefined,
    name: undefined,
    path: '',
    message,
    remedy,
  });
  const read = await readDirectory(dir);
  if ('unreadable' in read)
    return {
      snapshot: emptySnapshot,
      findings: [asFinding(dir, `cannot be read: ${read.unreadable}`, 'name a directory of YAML documents')],
      files: 0,
    };
  const pace = createPace(world);
  const loaded = await loadFiles(read.files, new Map(), { ...world, pace, remembered: new Map() });
  const update = await new Catalogue().update(
    loaded.files,
    { allowShrink: true, removeGraceMs: 0, now: systemClock.now() },
    pace,
  );
  const findings = [
    ...read.problems.map((each) => asFinding(each.path, each.message, each.remedy)),
    ...update.findings,
  ];
  return { snapshot: update.snapshot, findings, files: loaded.files.length };
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

function changedKeys(before: object, after: object): string[] {
  const text = (value: unknown) =>
    JSON.stringify(value, (key, each: unknown) =>
      key === 'index'
        ? undefined
        : each instanceof Set
          ? [...each]
          : each === Number.POSITIVE_INFINITY
            ? 'never'
            : each,
    );
  const [a, b] = [before, after] as [Record<string, unknown>, Record<string, unknown>];
  return Object.keys(b)
    .filter((key) => key !== 'index' && key !== 'source' && key !== 'plan' && text(a[key]) !== text(b[key]))
    .concat(planName(a) === planName(b) ? [] : ['plan']);
}

function planName(object: Record<string, unknown>): string | undefined {
  return (object['plan'] as { name?: string } | undefined)?.name;
}
