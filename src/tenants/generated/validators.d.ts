// Generated from src/tenants/schema.ts by `npm run generate`. Do not edit.
export interface SchemaError {
  readonly instancePath: string;
  readonly keyword: string;
  readonly message?: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly schema: unknown;
  readonly parentSchema?: Readonly<Record<string, unknown>>;
  readonly data: unknown;
}
export interface Validator {
  (document: unknown): boolean;
  readonly errors?: readonly SchemaError[] | null;
}
export const Plan: Validator;
export const Tenant: Validator;
export const IdentityProvider: Validator;
export const Route: Validator;
