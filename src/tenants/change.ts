/**
 * What the thread that reads the configuration hands to the loop that moves requests: compiled rows of what is new or different and
 * the names of what is gone, in parts small enough that reading one back is never noticed there.
 */
import type { Allowance, IdentityProvider, Plan, Route, Tenant } from './model.ts';

export type PlanRow = Omit<Plan, 'index'>;
export type RouteRow = Omit<Route, 'index'>;

/** A tenant with its plan by name; its allowance only where it is not the plan's own. */
export interface TenantRow extends Omit<Tenant, 'id' | 'index' | 'plan' | 'allowance'> {
  readonly name: string;
  readonly plan: string;
  readonly allowance: Allowance | undefined;
}

export interface Rows {
  readonly Plan: PlanRow;
  readonly IdentityProvider: IdentityProvider;
  readonly Route: RouteRow;
  readonly Tenant: TenantRow;
}

export type RowKind = keyof Rows;

/** The order in which parts come: a tenant finds its plan, and a plan leaves after its tenants. */
export const PUT_ORDER: readonly RowKind[] = ['Plan', 'IdentityProvider', 'Route', 'Tenant'];

export type ChangePart = {
  [K in RowKind]: { readonly kind: K; readonly put: readonly Rows[K][]; readonly drop: readonly string[] };
}[RowKind];
