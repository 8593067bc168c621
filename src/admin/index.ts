export type { AdminView } from './admin.ts';
export { describeTenant, openAdmin } from './admin.ts';
export { openApplication } from './application.ts';
export type { Explanation } from './explanation.ts';
export type { Health } from './health.ts';
export { createHealth } from './health.ts';
export type { Listener } from './listener.ts';
export { listen } from './listener.ts';
export { openStatus } from './status.ts';
