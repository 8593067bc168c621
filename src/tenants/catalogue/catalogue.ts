/**
 * The objects in force, and how the files of one moment change them. Atomic per object: what is good is taken, what is broken stays
 * on its last good version, and nothing is in force before everything is judged.
 *
 *   files ─▶ settle ─▶ removals ─▶ plans ─▶ providers ─▶ tenants, routes (what they hold is judged) ─▶ change
 */
import type { MonotonicMs } from '../../core/index.ts';
import { type ChangePart, type Holding, IDENTITIES, type Identities, PUT_ORDER, type RowKind } from '../change.ts';
import { compilePlan, compileProvider, compileRoute } from '../compile.ts';
import { isTenancyFile, type LoadedFile } from '../documents/load.ts';
import type { Finding, IdentityProvider, TenantState } from '../model.ts';
import { keyOf } from '../name.ts';
import { pack } from '../packed-texts.ts';
import type { Kind } from '../schema.ts';
import { Complaints, DIRECTORY } from './complaints.ts';
import { Holdings } from './holdings.ts';
import { hasUsableKey, keyFileOf, keySource, objectToKeySet } from './key-file.ts';
import { documentOf, keyIn, type LiveObject, liveObject, NO_DOCUMENT } from './live-object.ts';
import { type RemovalRules, Removals } from './removals.ts';
import { type Settled, settle, type Wanted } from './settle.ts';

/** The files of one moment. */
export interface Moment {
  readonly files: readonly LoadedFile[];
  /** Files and folders that are there and could not be read, or the whole directory: their objects stay. */
  readonly unread: readonly string[] | 'everything';
}

export interface Update {
  /** What is in force now and was not when the last change was made; compiled part by part, as they are asked for. */
  readonly parts: Iterable<ChangePart>;
  readonly partCount: number;
  /** Tenants in force. */
  readonly tenants: ReadonlyMap<TenantState, number>;
  /** Objects added, changed or removed. */
  readonly changed: number;
  readonly findings: readonly Finding[];
  /** How many of all problems, shown or not, are errors. */
  readonly errors: number;
  /** Objects of vanished files live on until then. */
  readonly nextRemovalAt: MonotonicMs | undefined;
}

/** Route documents in force. 1,000: each is judged on the loop with every swap, and a request finds its own among them. */
export const ROUTES_MAX = 1000;
/** Objects in a part: taken over by the loop in a few tenths of a millisecond. */
const PART_OBJECTS = 64;

export class Catalogue {
  #live: ReadonlyMap<string, LiveObject> = new Map();
  /** What the last change left on the other side. */
  #published: ReadonlyMap<string, LiveObject> = new Map();
  readonly #holdings = { Tenant: new Holdings(), Route: new Holdings() };
  readonly #removals = new Removals();

  get live(): ReadonlyMap<string, LiveObject> {
    return this.#live;
  }

  /** Objects of an earlier process, taken as they are: they were good then. In force with the next update. */
  restore(objects: readonly LiveObject[]): void {
    this.#live = new Map(objects.map((object) => [keyOf(object.kind, object.name), object]));
    for (const { kind, name, holds } of objects)
      if (kind === 'Tenant' || kind === 'Route') this.#holdings[kind].hold(name, holds);
  }

  /**
   * What is in force on the other side, as far as it can be told from there: without documents. In front of a first update, when another
   * catalogue made it so and is lost. It is replaced, kept or removed by the rules for all live objects.
   */
  takeOver(inForce: readonly LiveObject[]): void {
    const live = new Map(inForce.map((object) => [keyOf(object.kind, object.name), object]));
    this.#published = live;
    this.restore([...new Map([...live, ...this.#live]).values()]);
  }

  update({ files, unread }: Moment, rules: RemovalRules): Update {
    const documents = files.filter((file) => isTenancyFile(file.path));
    const keyFiles = new Map(files.filter((file) => !isTenancyFile(file.path)).map((file) => [file.path, file.text]));
    const complaints = new Complaints();
    const settled = settle(documents, this.#live, complaints);
    // A file that is emptied is most often one that is being written: its objects have the grace of one that vanished.
    const present = new Set(documents.filter((file) => file.documents.length > 0).map((file) => file.path));
    const { removed, nextAt } = this.#removals.judge(this.#live, settled, present, unread, rules, complaints);
    if (documents.every((file) => file.documents.length === 0) && this.#live.size === 0)
      complaints.plain(DIRECTORY, 'holds no document: every request is refused', 'check that the directory is mounted');
    const next = new Map(this.#live);
    for (const wanted of ofKind(settled, 'Plan')) next.set(wanted.document.key, this.#objectOf(wanted, undefined));
    this.#providers(next, settled, keyFiles, complaints);
    this.#exclusive('Tenant', next, settled, removed, complaints);
    this.#exclusive('Route', next, settled, removed, complaints);
    leave(next, removed, complaints);
    this.#live = next;
    return {
      ...this.#change(),
      tenants: countTenants(next),
      findings: complaints.list(),
      errors: complaints.errors,
      nextRemovalAt: nextAt,
    };
  }

  /** The live object when the document says nothing new. */
  #objectOf({ document: { kind, name, key, json }, file }: Wanted, keys: string | undefined): LiveObject {
    const live = this.#live.get(key);
    const isSame = live?.json === json && live.file === file.path && live.keys === keys;
    return isSame ? live : liveObject({ kind, name, json, file: file.path, keys });
  }

  #providers(
    next: Map<string, LiveObject>,
    settled: Settled,
    keyFiles: ReadonlyMap<string, string>,
    complaints: Complaints,
  ): void {
    for (const wanted of ofKind(settled, 'IdentityProvider')) {
      const { jwks, algorithms } = documentOf<'IdentityProvider'>(wanted.document).spec;
      const keys = 'file' in jwks ? keyFiles.get(keyFileOf(jwks.file)) : undefined;
      const message = 'file' in jwks ? objectToKeySet(jwks.file, keys) : undefined;
      if (message === undefined) {
        next.set(wanted.document.key, this.#objectOf(wanted, keys));
        if (keys !== undefined && !hasUsableKey(keys, algorithms))
          complaints.found(
            wanted,
            ['spec', 'jwks', 'file'],
            `no key of the file fits ${algorithms.join(', ')}: every token is refused`,
            "put the provider's current keys there",
            'warning',
          );
      } else
        complaints.found(
          wanted,
          ['spec', 'jwks', 'file'],
          message,
          'put a JWK set {"keys": […]} beside the documents, in a file named *.json',
        );
    }
  }

  /** Kinds whose objects may not share what they hold. */
  #exclusive(
    kind: 'Tenant' | 'Route',
    next: Map<string, LiveObject>,
    settled: Settled,
    removed: ReadonlySet<string>,
    complaints: Complaints,
  ): void {
    const changed = new Map<string, LiveObject>();
    let known: string | undefined;
    for (const wanted of ofKind(settled, kind)) {
      const object = this.#objectOf(wanted, undefined);
      if (object === this.#live.get(wanted.document.key)) continue;
      if (object.plan === undefined || next.has(keyOf('Plan', object.plan))) changed.set(object.name, object);
      // A broken plan has a finding of its own, which its tenants need not repeat.
      else if (!settled.kept.has(keyOf('Plan', object.plan))) {
        // One word for all tenants.
        if (known === NO_PLAN) continue;
        known ??= knownPlans(next);
        complaints.found(wanted, ['spec', 'plan'], `there is no Plan "${object.plan}"`, known, 'error', {
          wants: keyOf('Plan', object.plan),
        });
      }
    }
    if (kind === 'Route') refuseTooMany(changed, next, settled, removed, complaints);
    const movers = new Map<string, readonly string[]>();
    for (const key of removed) if (key.startsWith(`${kind}/`)) movers.set(key.slice(kind.length + 1), []);
    for (const [name, { holds }] of changed)
      if (!isSameList(holds, this.#live.get(keyOf(kind, name))?.holds)) movers.set(name, holds);
    const refused = this.#holdings[kind].take(movers);
    for (const [name, object] of changed) {
      const clash = refused.get(name);
      if (clash === undefined) next.set(keyOf(kind, name), object);
      else
        complaints.found(
          settled.wanted.get(keyOf(kind, name)) as Wanted,
          ['spec', kind === 'Tenant' ? 'identity' : 'match'],
          `${clash.what} ${clash.isHeld ? 'belongs to' : 'is also asked for by'} ${kind} "${clash.other}"`,
          'remove it from one of the two',
        );
    }
  }

  /** From what was published to what is live. A tenant is published again with its plan. */
  #change(): Pick<Update, 'parts' | 'partCount' | 'changed'> {
    const [live, published] = [this.#live, this.#published];
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
    this.#published = live;
    const changed = PUT_ORDER.reduce((sum, kind) => sum + put[kind].length + drop[kind].length, 0);
    const partCount = PUT_ORDER.reduce(
      (sum, kind) => sum + Math.ceil(put[kind].length / PART_OBJECTS) + Math.ceil(drop[kind].length / PART_OBJECTS),
      0,
    );
    return { parts: partsOf(put, drop, published), partCount, changed };
  }
}

/** Routes beyond the bound: whoever is in force stays, newcomers are taken in the order of their names. */
function refuseTooMany(
  changed: Map<string, LiveObject>,
  next: ReadonlyMap<string, LiveObject>,
  { wanted }: Settled,
  removed: ReadonlySet<string>,
  complaints: Complaints,
): void {
  let room = ROUTES_MAX;
  for (const [key, { kind }] of next) if (kind === 'Route' && !removed.has(key)) room--;
  for (const name of [...changed.keys()].sort()) {
    const key = keyOf('Route', name);
    if (next.has(key) || room-- > 0) continue;
    changed.delete(name);
    const message = `more than ${ROUTES_MAX} routes`;
    complaints.found(wanted.get(key) as Wanted, ['metadata', 'name'], message, 'join routes that cost the same');
  }
}

/** Takes out what is removed. A plan stays while tenants that stay are on it. */
function leave(next: Map<string, LiveObject>, removed: ReadonlySet<string>, complaints: Complaints): void {
  const inUse = new Set<string>();
  if (removed.size > 0)
    for (const [key, { plan }] of next) if (plan !== undefined && !removed.has(key)) inUse.add(plan);
  for (const key of removed) {
    const { kind, name, file } = next.get(key) as LiveObject;
    if (kind !== 'Plan' || !inUse.has(name)) next.delete(key);
    else
      complaints.plain(
        file,
        'was removed while tenants use it; its last version stays',
        'move the tenants to another plan first',
        { kind, name },
      );
  }
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
    if (isSameList(held, holds)) continue;
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

function countTenants(live: ReadonlyMap<string, LiveObject>): Map<TenantState, number> {
  const counts = new Map<TenantState, number>();
  for (const { state } of live.values()) if (state !== undefined) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

function* ofKind({ wanted }: Settled, kind: Kind): Generator<Wanted> {
  for (const each of wanted.values()) if (each.document.kind === kind) yield each;
}

const NO_PLAN = 'there is none at all, so no tenant is served: add documents of kind Plan';

function knownPlans(next: ReadonlyMap<string, LiveObject>): string {
  const names: string[] = [];
  for (const { kind, name } of next.values()) if (kind === 'Plan' && names.push(name) === 10) break;
  return names.length === 0 ? NO_PLAN : `known: ${names.join(', ')}`;
}

function isSameList(a: readonly string[], b: readonly string[] | undefined): boolean {
  return a.length === b?.length && a.every((each, at) => each === b[at]);
}
