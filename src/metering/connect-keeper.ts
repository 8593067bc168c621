/** Who keeps rows for a fleet. gRPC is loaded by who asks for one. */
import type { Clock, Timers } from '../core/index.ts';
import type { CollectorConfig } from '../tenants/index.ts';
import type { KeeperLink } from './keeper-link.ts';

/** `fleet`: its label. */
export async function connectKeeper(
  collector: CollectorConfig,
  fleet: string,
  clock: Clock,
  timers: Timers,
): Promise<KeeperLink> {
  const { KeeperLink } = await import('./keeper-link.ts');
  return new KeeperLink(collector, fleet, clock, timers);
}
