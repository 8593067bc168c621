/** What a tenancy stands on, real and silent; whoever looks at a part of it lays his own over it. */
import { type Clock, systemClock, systemTimers, type Timers } from '../../src/core/index.ts';
import { createMetrics, type Log, type Metrics, silentLog } from '../../src/telemetry/index.ts';

export function quietWorld(): { clock: Clock; timers: Timers; log: Log; metrics: Metrics } {
  return { clock: systemClock, timers: systemTimers, log: silentLog, metrics: createMetrics({ timers: systemTimers }) };
}
