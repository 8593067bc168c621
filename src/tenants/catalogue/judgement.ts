/**
 * What one moment's files would make of the objects in force, without making it: judged anew with more that may not go, when errors
 * are found only after it was settled what goes.
 *
 *   settle ─▶ removals ─▶ plans ─▶ providers ─▶ tenants, routes (what they hold is judged)
 */
import { isTenancyFile, type LoadedFile } from '../documents/load.ts';
import { keyOf } from '../name.ts';
import type { Kind } from '../schema.ts';
import { Complaints, DIRECTORY, placeOf } from './complaints.ts';
import type { Clash, Holdings, Movers } from './holdings.ts';
import { hasUsableKey, keyFileOf, objectToKeySet } from './key-file.ts';
import { documentOf, holdsSame, type LiveObject, liveObject } from './live-object.ts';
import type { RemovalRules, Removals } from './removals.ts';
import { type Settled, settle, type Wanted } from './settle.ts';

/** The files of one moment. */
export interface Moment {
  readonly files: readonly LoadedFile[];
  /** Files and folders that are there and could not be read, or the whole directory: their objects stay. */
  readonly unread: readonly string[] | 'everything';
}

/** What is judged against: none of it is changed, but for when files vanished. */
export interface Ground {
  readonly live: ReadonlyMap<string, LiveObject>;
  readonly holdings: Readonly<Record<Exclusive, Holdings>>;
  readonly removals: Removals;
}

/** Kinds whose objects may not share what they hold. */
export type Exclusive = 'Tenant' | 'Route';

export interface Judgement extends ReturnType<Removals['judge']> {
  readonly next: Map<string, LiveObject>;
  readonly settled: Settled;
  readonly complaints: Complaints;
  /** By key: sound documents that are not taken all the same, and the plan they ask for. */
  readonly refused: Map<string, string | undefined>;
  /** Who comes to hold what, but for those who are refused. */
  readonly moves: { readonly kind: Exclusive; readonly movers: Movers; readonly clashes: ReadonlyMap<string, Clash> }[];
}

/** Route documents in force. 1,000: each is judged on the loop with every swap, and a request finds its own among them. */
export const ROUTES_MAX = 1000;
/** Rounds of judging one moment. 3: the first mostly does; what is held can make one more error, and those one more. Then no file that is there removes. */
const ROUNDS_MAX = 3;

/** A file with an error removes nothing; which files have one is certain only at the end of a round. */
export function judge(ground: Ground, moment: Moment, rules: RemovalRules): Judgement {
  const first = judgeOnce(ground, moment, rules, []);
  let { judgement } = first;
  let isDoubtful = first.isDoubtful;
  for (let round = 2; isDoubtful; round++) {
    const spoilt = round <= ROUNDS_MAX ? judgement.complaints.spoilt : moment.files.map((file) => file.path);
    ({ judgement, isDoubtful } = judgeOnce(ground, moment, rules, spoilt));
  }
  return judgement;
}

/** `isDoubtful`: something would go, and a file was found to have an error after that was said. */
function judgeOnce(
  { live, holdings, removals }: Ground,
  { files, unread }: Moment,
  rules: RemovalRules,
  spoilt: Iterable<string>,
): { judgement: Judgement; isDoubtful: boolean } {
  const documents = files.filter((file) => isTenancyFile(file.path));
  const keyFiles = new Map(files.filter((file) => !isTenancyFile(file.path)).map((file) => [file.path, file.text]));
  const complaints = new Complaints(spoilt);
  const settled = settle(documents, live, complaints);
  // A file that is emptied is most often one that is being written: its objects have the grace of one that vanished.
  const present = new Set(documents.filter((file) => file.documents.length > 0).map((file) => file.path));
  const going = removals.judge(live, settled, present, unread, rules, complaints);
  const known = complaints.spoilt.size;
  if (documents.every((file) => file.documents.length === 0) && live.size === 0)
    complaints.plain(DIRECTORY, 'holds no document: every request is refused', 'check that the directory is mounted');
  const next = new Map(live);
  // Where it goes on, it is looked for from now on.
  for (const [key, file] of going.held) {
    const object = live.get(key) as LiveObject;
    if (object.file !== file) next.set(key, { ...object, file });
  }
  const judgement: Judgement = { ...going, next, settled, complaints, refused: new Map(), moves: [] };
  for (const wanted of ofKind(settled, 'Plan')) next.set(wanted.document.key, objectOf(live, wanted, undefined));
  takeProviders(judgement, live, keyFiles);
  takeExclusive('Tenant', judgement, live, holdings);
  takeExclusive('Route', judgement, live, holdings);
  leave(judgement);
  return { judgement, isDoubtful: going.removed.size > 0 && complaints.spoilt.size > known };
}

/** The live object when the document says nothing new. */
function objectOf(
  objects: ReadonlyMap<string, LiveObject>,
  { document: { kind, name, key, json }, file }: Wanted,
  keys: string | undefined,
): LiveObject {
  const live = objects.get(key);
  const isSame = live?.json === json && live.file === file.path && live.keys === keys;
  return isSame ? live : liveObject({ kind, name, json, file: file.path, keys });
}

function takeProviders(
  { next, settled, complaints, refused }: Judgement,
  live: ReadonlyMap<string, LiveObject>,
  keyFiles: ReadonlyMap<string, string>,
): void {
  for (const wanted of ofKind(settled, 'IdentityProvider')) {
    const { jwks, algorithms } = documentOf<'IdentityProvider'>(wanted.document).spec;
    const keys = 'file' in jwks ? keyFiles.get(keyFileOf(jwks.file)) : undefined;
    const message = 'file' in jwks ? objectToKeySet(jwks.file, keys) : undefined;
    if (message === undefined) {
      next.set(wanted.document.key, objectOf(live, wanted, keys));
      if (keys !== undefined && !hasUsableKey(keys, algorithms))
        complaints.found(
          wanted,
          ['spec', 'jwks', 'file'],
          `no key of the file fits ${algorithms.join(', ')}: every token is refused`,
          "put the provider's current keys there",
          'warning',
        );
    } else {
      refused.set(wanted.document.key, undefined);
      complaints.found(
        wanted,
        ['spec', 'jwks', 'file'],
        message,
        'put a JWK set {"keys": […]} beside the documents, in a file named *.json',
      );
    }
  }
}

function takeExclusive(
  kind: Exclusive,
  judgement: Judgement,
  live: ReadonlyMap<string, LiveObject>,
  holdings: Ground['holdings'],
): void {
  const { next, settled, removed, complaints, refused, moves } = judgement;
  const changed = changedOf(kind, judgement, live);
  if (kind === 'Route') refuseTooMany(changed, judgement);
  const movers = new Map<string, readonly string[]>();
  for (const key of removed) if (key.startsWith(`${kind}/`)) movers.set(key.slice(kind.length + 1), []);
  for (const [name, { holds }] of changed)
    if (!holdsSame(holds, live.get(keyOf(kind, name))?.holds)) movers.set(name, holds);
  const clashes = holdings[kind].refusedOf(movers);
  moves.push({ kind, movers, clashes });
  for (const [name, object] of changed) {
    const clash = clashes.get(name);
    const key = keyOf(kind, name);
    if (clash === undefined) {
      next.set(key, object);
      continue;
    }
    refused.set(key, object.plan);
    complaints.found(
      settled.wanted.get(key) as Wanted,
      ['spec', kind === 'Tenant' ? 'identity' : 'match'],
      `${clash.what} ${clash.isHeld ? 'belongs to' : 'is also asked for by'} ${kind} "${clash.other}"`,
      'remove it from one of the two',
    );
  }
}

/** What is new or different, by name, and has the plan it asks for. */
function changedOf(
  kind: Exclusive,
  { next, settled, complaints, refused }: Judgement,
  live: ReadonlyMap<string, LiveObject>,
): Map<string, LiveObject> {
  const changed = new Map<string, LiveObject>();
  let isSaid = false;
  for (const wanted of ofKind(settled, kind)) {
    const object = objectOf(live, wanted, undefined);
    const { plan } = object;
    if (object === live.get(wanted.document.key)) continue;
    if (plan === undefined || next.has(keyOf('Plan', plan))) {
      changed.set(object.name, object);
      continue;
    }
    refused.set(wanted.document.key, plan);
    complaints.spoils(wanted);
    // A broken plan has a finding of its own, which its tenants need not repeat; that there is none at all is one word for all.
    if (isSaid || settled.kept.has(keyOf('Plan', plan))) continue;
    const remedy = planRemedy(plan, settled, next);
    isSaid = remedy === NO_PLAN;
    complaints.found(wanted, ['spec', 'plan'], `there is no Plan "${plan}"`, remedy, 'error', {
      wants: keyOf('Plan', plan),
    });
  }
  return changed;
}

const NO_PLAN = 'there is none at all, so no tenant is served: add documents of kind Plan';

/** A document that does not even name itself for certain may be that plan: what it seems to be called tells most. */
function planRemedy(plan: string, { murky }: Settled, next: ReadonlyMap<string, LiveObject>): string {
  const hidden =
    murky.find(({ loaded: { parsed } }) => parsed.name === plan) ??
    murky.find(({ loaded: { parsed } }) => parsed.name === undefined && (parsed.kind ?? 'Plan') === 'Plan');
  if (hidden !== undefined) return `the document at ${placeOf(hidden)}, which has an error, may be it: mend that first`;
  const names: string[] = [];
  for (const { kind, name } of next.values()) if (kind === 'Plan' && names.push(name) === 10) break;
  return names.length === 0 ? NO_PLAN : `known: ${names.join(', ')}`;
}

/** Routes beyond the bound: whoever is in force stays, newcomers are taken in the order of their names. */
function refuseTooMany(
  changed: Map<string, LiveObject>,
  { next, settled: { wanted }, removed, complaints, refused }: Judgement,
): void {
  let room = ROUTES_MAX;
  for (const [key, { kind }] of next) if (kind === 'Route' && !removed.has(key)) room--;
  for (const name of [...changed.keys()].sort()) {
    const key = keyOf('Route', name);
    if (next.has(key) || room-- > 0) continue;
    changed.delete(name);
    refused.set(key, undefined);
    const message = `more than ${ROUTES_MAX} routes`;
    complaints.found(wanted.get(key) as Wanted, ['metadata', 'name'], message, 'join routes that cost the same');
  }
}

/** Takes out what is removed. A plan stays while tenants that stay are on it. */
function leave({ next, removed, complaints }: Judgement): void {
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

function* ofKind({ wanted }: Settled, kind: Kind): Generator<Wanted> {
  for (const each of wanted.values()) if (each.document.kind === kind) yield each;
}
