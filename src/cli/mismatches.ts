/** What the tenancy asks of this sidecar and its boot configuration does not give, looked for in each generation. */
import type { Log } from '../telemetry/index.ts';
import {
  type Finding,
  formatFinding,
  type SidecarConfig,
  type Snapshot,
  type Tenancy,
  unknownUpstreams,
} from '../tenants/index.ts';
import { refusedApiKeys } from './api-keys.ts';

/** From now on they are among the findings of the tenancy; each is said in the log once. */
export function watchMismatches(tenancy: Tenancy, config: SidecarConfig, names: ReadonlySet<string>, log: Log): void {
  let found: readonly Finding[] = [];
  const look = async (snapshot: Snapshot): Promise<void> => {
    const keys = refusedApiKeys(config, snapshot, 'boot configuration');
    const now = [
      ...(keys === undefined ? [] : [keys]),
      ...(await unknownUpstreams(config.tenancy.dir, snapshot, names)),
    ];
    // A later generation is looked at by a later look.
    if (snapshot !== tenancy.snapshot) return;
    const known = new Set(found.map(formatFinding));
    found = now;
    for (const finding of now.map(formatFinding)) if (!known.has(finding)) log.warn('config.finding', { finding });
  };
  // A look that failed, such as for want of descriptors, is made again with the next generation.
  const lookSafely = (snapshot: Snapshot): void =>
    void look(snapshot).catch((cause: unknown) => log.warn('config.upstreams_not_checked', { cause }));
  tenancy.onSwap(lookSafely);
  lookSafely(tenancy.snapshot);
  tenancy.alsoFinds(() => found);
}
