/** An object as it is in force: the document it was made of, where that stood, and what it alone may hold. */

import type { Identities } from '../change.ts';
import { claimsOf, hostsOf, stateOf } from '../compile.ts';
import type { Snapshot, TenantState } from '../model.ts';
import type { IdentityProviderDocument, Kind, PlanDocument, RouteDocument, TenantDocument } from '../schema.ts';

export interface LiveObject {
  readonly kind: Kind;
  readonly name: string;
  /** `NO_DOCUMENT` when it is in force and its document is not known any more. */
  readonly json: string;
  readonly file: string;
  /** The text of the key file that an IdentityProvider names: keys and documents change together. */
  readonly keys: string | undefined;
  /** Of a Tenant. */
  readonly plan: string | undefined;
  /** Of a Tenant. */
  readonly state: TenantState | undefined;
  /** What no other object of the kind may have: `claim "org_1"`, `host "a.example"`, `match "/x" of GET`. */
  readonly holds: readonly string[];
}

export const NO_DOCUMENT = '';

/** As findings name it: `Tenant "acme"`. */
export function titleOf({ kind, name }: Pick<LiveObject, 'kind' | 'name'>): string {
  return `${kind} "${name}"`;
}

export interface Documents {
  readonly Plan: PlanDocument;
  readonly Tenant: TenantDocument;
  readonly IdentityProvider: IdentityProviderDocument;
  readonly Route: RouteDocument;
}

/** A fresh object each time: what is compiled from it is kept, it is not. */
export function documentOf<K extends keyof Documents>({ json }: { readonly json: string }): Documents[K] {
  return JSON.parse(json) as Documents[K];
}

const NOTHING: readonly string[] = [];

/** From a good document. */
export function liveObject(record: Omit<LiveObject, 'plan' | 'state' | 'holds'>): LiveObject {
  const { kind, name, json, file, keys } = record;
  if (kind === 'Tenant') {
    const { spec } = documentOf<'Tenant'>(record);
    return { kind, name, json, file, keys, plan: spec.plan, state: stateOf(spec), holds: heldBy(name, spec.identity) };
  }
  const holds = kind === 'Route' ? [matchOf(documentOf<'Route'>(record))] : NOTHING;
  return { kind, name, json, file, keys, plan: undefined, state: undefined, holds };
}

export function holdsSame(a: readonly string[], b: readonly string[] | undefined): boolean {
  return a.length === b?.length && a.every((each, at) => each === b[at]);
}

function heldBy(name: string, identity: TenantDocument['spec']['identity']): string[] {
  return identitiesOf({
    claims: claimsOf(name, identity?.claims),
    hosts: hostsOf(identity?.hosts),
    apiKeys: identity?.apiKeys ?? [],
  });
}

interface Identified {
  readonly claims: readonly string[];
  readonly hosts: readonly string[];
  readonly apiKeys: readonly { readonly id: string }[];
}

/** As people read it in a finding, what stands in the quotes is the key itself. */
const NOUNS: Readonly<Record<Identities, string>> = { claims: 'claim', hosts: 'host', apiKeys: 'API key id' };

function identitiesOf({ claims, hosts, apiKeys }: Identified): string[] {
  const held = (by: Identities, keys: readonly string[]): string[] => keys.map((key) => `${NOUNS[by]} "${key}"`);
  return [
    ...held('claims', claims),
    ...held('hosts', hosts),
    ...held(
      'apiKeys',
      apiKeys.map((each) => each.id),
    ),
  ];
}

/** The key in what a tenant holds when that is of this sort. */
export function keyIn(held: string, by: Identities): string | undefined {
  const noun = NOUNS[by];
  return held.startsWith(noun) ? held.slice(noun.length + 2, -1) : undefined;
}

function matchOf({ spec: { match } }: RouteDocument): string {
  return matchText(match.path, match.methods);
}

function matchText(path: string, methods: Iterable<string> | undefined): string {
  return `match "${path}" of ${methods === undefined ? 'every method' : [...new Set(methods)].sort().join(',')}`;
}

/** What is in force, told from the snapshot itself. */
export function inForceOf({ plans, providers, routes, tenants }: Snapshot): LiveObject[] {
  const object = (kind: Kind, name: string, file: string, more: Partial<LiveObject> = {}): LiveObject => ({
    kind,
    name,
    json: NO_DOCUMENT,
    file,
    keys: undefined,
    plan: undefined,
    state: undefined,
    holds: NOTHING,
    ...more,
  });
  return [
    ...[...plans.values()].map(({ name, source }) => object('Plan', name, source)),
    ...[...providers.values()].map(({ name, source }) => object('IdentityProvider', name, source)),
    ...routes.map(({ name, source, path, methods }) =>
      object('Route', name, source, {
        holds: [matchText(path.kind === 'exact' ? path.text : `${path.text}*`, methods)],
      }),
    ),
    ...[...tenants.values()].map((tenant) =>
      object('Tenant', tenant.id, tenant.source, {
        plan: tenant.plan.name,
        state: tenant.state,
        holds: identitiesOf(tenant),
      }),
    ),
  ];
}
