export type { Fields, Level, Log } from './log.ts';
export { createLog, silentLog } from './log.ts';
export { LogOutput } from './log-output.ts';
export type { Emit, HotCounters, HotHistogram, MetricRow, Metrics } from './metrics.ts';
export { createMetrics } from './metrics.ts';
export { OTHER, PLANS_MAX, TENANTS_SHOWN_MAX, UPSTREAMS_SHOWN_MAX } from './series.ts';
export type { TraceContext } from './trace.ts';
export { childOf, formatTraceparent, newTrace, parseTraceparent } from './trace.ts';
