/** Metering as this sidecar does it. Loaded by who records. */
import { hostname } from 'node:os';
import type { Clock, Random, Timers } from '../core/index.ts';
import { type Metering, openMetering } from '../metering/index.ts';
import type { Log, Metrics } from '../telemetry/index.ts';
import type { SidecarConfig } from '../tenants/index.ts';

export interface MeterWorld {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Undefined: nothing is recorded. Rejects with a ReeveError when the spool cannot be opened. */
export async function openMeter({ metering, name }: SidecarConfig, world: MeterWorld): Promise<Metering | undefined> {
  return metering && openMetering({ ...world, config: metering, service: name, instance: hostname() });
}
