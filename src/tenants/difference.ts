/** How two snapshots differ, for the command line. */
import type { Snapshot } from './model.ts';

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
