export type { LimitsExplanation } from './explain.ts';
export type { Limits, LimitsOptions, UsageReported } from './limits.ts';
export { createLimits } from './limits.ts';
