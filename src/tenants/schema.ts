/**
 * The schema of every document, written once. From it are generated: the validators (ajv standalone),
 * `config/schema/*.json` for editors, `docs/config.md`, the sidecar's flags and its REEVE_ variables.
 * A `title` names what a value is, for error messages; `examples[0]` is what the remedy shows.
 */
import type { Static } from 'typebox';
import { IdentityProviderSchema } from './schema/identity-provider.ts';
import { PlanSchema } from './schema/plan.ts';
import { RouteSchema } from './schema/route.ts';
import { SidecarSchema } from './schema/sidecar.ts';
import { TenantSchema } from './schema/tenant.ts';

export const schemas = {
  Sidecar: SidecarSchema,
  Plan: PlanSchema,
  Tenant: TenantSchema,
  IdentityProvider: IdentityProviderSchema,
  Route: RouteSchema,
} as const;

export type Kind = keyof typeof schemas;
export type SidecarDocument = Static<typeof SidecarSchema>;
export type PlanDocument = Static<typeof PlanSchema>;
export type TenantDocument = Static<typeof TenantSchema>;
export type IdentityProviderDocument = Static<typeof IdentityProviderSchema>;
export type RouteDocument = Static<typeof RouteSchema>;
