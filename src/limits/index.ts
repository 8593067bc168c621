export type { Admission, AdmissionExplanation, AdmissionOptions } from './admission/admission.ts';
export { createAdmission } from './admission/admission.ts';
export type { LimitsExplanation } from './explain.ts';
export type { Limits, LimitsOptions } from './limits.ts';
export { createLimits } from './limits.ts';
