/** An object as it is in force: the document it was made of, where that stood, and what it alone may hold. */
import type { IdentityProviderDocument, Kind, PlanDocument, RouteDocument, TenantDocument } from '../schema.ts';
import { claimsOf, hostsOf } from './compile.ts';

export interface LiveObject {
  readonly kind: Kind;
  readonly name: string;
  readonly json: string;
  readonly file: string;
  /** The text of the key file that an IdentityProvider names: keys and documents change together. */
  readonly keys: string | undefined;
  /** Of a Tenant. */
  readonly plan: string | undefined;
  /** What no other object of the kind may have: `claim "org_1"`, `host "a.example"`, `match "/x" of GET`. */
  readonly holds: readonly string[];
}

export interface Documents {
  readonly Plan: PlanDocument;
  readonly Tenant: TenantDocument;
  readonly IdentityProvider: IdentityProviderDocument;
  readonly Route: RouteDocument;
}

export const keyOf = (kind: string, name: string): string => `${kind}/${name}`;

/** A fresh object each time: what is compiled from it is kept, it is not. */
export function documentOf<K extends keyof Documents>({ json }: { readonly json: string }): Documents[K] {
  return JSON.parse(json) as Documents[K];
}

const NOTHING: readonly string[] = [];

/** From a good document. */
export function liveObject(record: Omit<LiveObject, 'plan' | 'holds'>): LiveObject {
  const { kind, name, json, file, keys } = record;
  if (kind === 'Tenant') {
    const { spec } = documentOf<'Tenant'>(record);
    return { kind, name, json, file, keys, plan: spec.plan, holds: heldBy(name, spec.identity) };
  }
  const holds = kind === 'Route' ? [matchOf(documentOf<'Route'>(record))] : NOTHING;
  return { kind, name, json, file, keys, plan: undefined, holds };
}

function heldBy(name: string, identity: TenantDocument['spec']['identity']): string[] {
  return [
    ...claimsOf(name, identity?.claims).map((each) => `claim "${each}"`),
    ...hostsOf(identity?.hosts).map((each) => `host "${each}"`),
    ...(identity?.apiKeys ?? []).map((each) => `API key id "${each.id}"`),
  ];
}

function matchOf({ spec: { match } }: RouteDocument): string {
  const methods = match.methods === undefined ? 'every method' : [...new Set(match.methods)].sort().join(',');
  return `match "${match.path}" of ${methods}`;
}
