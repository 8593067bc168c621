export type { AdminView } from './admin.ts';
export { openAdmin } from './admin.ts';
export type { Health } from './health.ts';
export { createHealth } from './health.ts';
export type { Listener } from './listener.ts';
export { openStatus } from './status.ts';
