// Generated from src/tenants/schema.ts by `npm run generate`. Do not edit.
import type { Validator } from './validators.js';
export const Sidecar: Validator;
