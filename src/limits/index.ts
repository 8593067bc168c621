export type { Admission, AdmissionExplanation, AdmissionOptions } from './admission/admission.ts';
export { createAdmission } from './admission/admission.ts';
export { carriageOf } from './carriage.ts';
export type { LimitsExplanation } from './explain.ts';
export { FleetRates, TICK_MS } from './fleet/fleet-rates.ts';
export { FleetQuotas, QUOTA_TICK_MS } from './fleet-quotas/fleet-quotas.ts';
export type { Limits, LimitsOptions, UsageReported } from './limits.ts';
export { createLimits } from './limits.ts';
