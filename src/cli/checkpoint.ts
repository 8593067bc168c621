/** What a collector keeps of a fleet's quotas. Loaded by who has both. */
import { Checkpoint, type CheckpointOptions, type FleetQuotas, registerCheckpoint } from '../limits/index.ts';
import { connectKeeper } from '../metering/index.ts';
import type { Metrics } from '../telemetry/index.ts';
import type { CollectorConfig } from '../tenants/index.ts';

export interface CheckpointWorld extends Pick<CheckpointOptions, 'clock' | 'timers' | 'random' | 'log'> {
  readonly metrics: Metrics;
  readonly collector: CollectorConfig;
  /** The fleet's label. */
  readonly cluster: string;
  readonly quotas: FleetQuotas;
}

export interface RunningCheckpoint extends Pick<Checkpoint, 'start' | 'leave'> {
  close(): void;
}

export async function openCheckpoint(world: CheckpointWorld): Promise<RunningCheckpoint> {
  const keeper = await connectKeeper(world.collector, world.cluster, world.clock, world.timers);
  const checkpoint = new Checkpoint({ ...world, quotas: world.quotas.kept, keeper });
  registerCheckpoint(world.metrics, checkpoint);
  return {
    start: () => checkpoint.start(),
    leave: () => checkpoint.leave(),
    close() {
      checkpoint.close();
      keeper.close();
    },
  };
}
