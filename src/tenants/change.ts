/**
 * What the thread that reads the configuration hands to the loop that moves requests: what is new or different and the names of what
 * is gone, in parts small enough that taking one over is never noticed there.
 */
import type { IdentityProvider, Plan, Route } from './model.ts';
import type { PackedTexts } from './packed-texts.ts';

export type PlanRow = Omit<Plan, 'index'>;
export type RouteRow = Omit<Route, 'index'>;

/** By what tenants are found beside their names. */
export const IDENTITIES = ['claims', 'hosts', 'apiKeys'] as const;
export type Identities = (typeof IDENTITIES)[number];

/** A key and the name of its tenant. */
export type Holding = readonly [key: string, tenant: string];

export interface TenantsPart {
  readonly kind: 'Tenant';
  readonly put: readonly string[];
  /** `["file", document]` as JSON, of each name in `put`: compiled when the tenant is first asked for. */
  readonly documents: PackedTexts;
  readonly drop: readonly string[];
  /** What tenants of the part are found by now, and are no more, as far as that changed. */
  readonly taken: Readonly<Record<Identities, readonly Holding[]>>;
  readonly left: Readonly<Record<Identities, readonly Holding[]>>;
}

interface Rows {
  readonly Plan: PlanRow;
  readonly IdentityProvider: IdentityProvider;
  readonly Route: RouteRow;
}

export type RowsPart = {
  [K in keyof Rows]: { readonly kind: K; readonly put: readonly Rows[K][]; readonly drop: readonly string[] };
}[keyof Rows];

export type ChangePart = RowsPart | TenantsPart;
export type RowKind = ChangePart['kind'];

/** The order in which parts come: a tenant finds its plan, and a plan leaves after its tenants. */
export const PUT_ORDER: readonly RowKind[] = ['Plan', 'IdentityProvider', 'Route', 'Tenant'];
