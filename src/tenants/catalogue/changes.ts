/** From what was published to what is live, in parts small enough for the loop. */
import { type ChangePart, type Holding, IDENTITIES, type Identities, PUT_ORDER, type RowKind } from '../change.ts';
import { compilePlan, compileProvider, compileRoute } from '../compile.ts';
import type { IdentityProvider } from '../model.ts';
import { keyOf } from '../name.ts';
import { pack } from '../packed-texts.ts';
import { keySource } from './key-file.ts';
import { documentOf, holdsSame, keyIn, type LiveObject, NO_DOCUMENT } from './live-object.ts';

export interface Change {
  /** Compiled part by part, as they are asked for. */
  readonly parts: Iterable<ChangePart>;
  readonly partCount: number;
  /** Objects added, changed or removed. */
  readonly changed: number;
}

type Objects = ReadonlyMap<string, LiveObject>;

/** Objects in a part: taken over by the loop in a few tenths of a millisecond. */
const PART_OBJECTS = 64;

/** A tenant is published again with its plan. */
export function changeOf(live: Objects, published: Objects): Change {
  const put: Record<RowKind, LiveObject[]> = { Plan: [], IdentityProvider: [], Route: [], Tenant: [] };
  const drop: Record<RowKind, string[]> = { Plan: [], IdentityProvider: [], Route: [], Tenant: [] };
  const isPlanNew = (name: string): boolean => {
    const key = keyOf('Plan', name);
    return published.get(key)?.json !== live.get(key)?.json;
  };
  const newPlans = new Set<string>();
  for (const { kind, name } of live.values()) if (kind === 'Plan' && isPlanNew(name)) newPlans.add(name);
  for (const [key, object] of live) {
    const isNew = object !== published.get(key) || (object.plan !== undefined && newPlans.has(object.plan));
    if (isNew && object.json !== NO_DOCUMENT) put[object.kind as RowKind].push(object);
  }
  for (const [key, { kind, name }] of published) if (!live.has(key)) drop[kind as RowKind].push(name);
  const changed = PUT_ORDER.reduce((sum, kind) => sum + put[kind].length + drop[kind].length, 0);
  const partCount = PUT_ORDER.reduce(
    (sum, kind) => sum + Math.ceil(put[kind].length / PART_OBJECTS) + Math.ceil(drop[kind].length / PART_OBJECTS),
    0,
  );
  return { parts: partsOf(put, drop, published), partCount, changed };
}

type ByKind<T> = Readonly<Record<RowKind, readonly T[]>>;

/** `before`: who held what until now. */
function* partsOf(
  put: ByKind<LiveObject>,
  drop: ByKind<string>,
  before: ReadonlyMap<string, LiveObject>,
): Generator<ChangePart> {
  for (const kind of PUT_ORDER)
    for (const objects of chunks(put[kind]))
      yield kind === 'Tenant' ? tenantsPart(objects, [], before) : rowsPart(kind, objects, []);
  for (const kind of PUT_ORDER.toReversed())
    for (const names of chunks(drop[kind]))
      yield kind === 'Tenant' ? tenantsPart([], names, before) : rowsPart(kind, [], names);
}

function* chunks<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += PART_OBJECTS) yield all.slice(at, at + PART_OBJECTS);
}

function rowsPart(
  kind: Exclude<RowKind, 'Tenant'>,
  objects: readonly LiveObject[],
  drop: readonly string[],
): ChangePart {
  if (kind === 'Plan')
    return { kind, put: objects.map((object) => compilePlan(documentOf<'Plan'>(object), object.file)), drop };
  if (kind === 'Route')
    return { kind, put: objects.map((object) => compileRoute(documentOf<'Route'>(object), object.file)), drop };
  return { kind, put: objects.map(providerRow), drop };
}

function providerRow(object: LiveObject): IdentityProvider {
  const document = documentOf<'IdentityProvider'>(object);
  return compileProvider(document, keySource(document.spec.jwks, object.keys), object.file);
}

function tenantsPart(
  objects: readonly LiveObject[],
  drop: readonly string[],
  before: ReadonlyMap<string, LiveObject>,
): ChangePart {
  const taken: Record<Identities, Holding[]> = { claims: [], hosts: [], apiKeys: [] };
  const left: Record<Identities, Holding[]> = { claims: [], hosts: [], apiKeys: [] };
  const heldBefore = (name: string): readonly string[] => before.get(keyOf('Tenant', name))?.holds ?? [];
  for (const { name, holds } of objects) {
    const held = heldBefore(name);
    if (holdsSame(held, holds)) continue;
    note(
      left,
      name,
      held.filter((each) => !holds.includes(each)),
    );
    note(
      taken,
      name,
      holds.filter((each) => !held.includes(each)),
    );
  }
  for (const name of drop) note(left, name, heldBefore(name));
  const documents = pack(objects.map(({ file, json }) => `[${JSON.stringify(file)},${json}]`));
  return { kind: 'Tenant', put: objects.map(({ name }) => name), documents, drop, taken, left };
}

function note(into: Record<Identities, Holding[]>, name: string, holds: readonly string[]): void {
  for (const held of holds)
    for (const by of IDENTITIES) {
      const key = keyIn(held, by);
      // By its name as an external id it is found anyway; a host or a key may be called the same.
      if (key !== undefined && (key !== name || by !== 'claims')) into[by].push([key, name]);
    }
}
