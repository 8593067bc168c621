/**
 * What the fleet's part of the limits takes of a core, from the simulator: 50 sidecars and 10,000 tenants, of which each asks at five of them
 * within ten seconds, 5,000 requests a second in all. CPU of this thread, by the sidecars and the seconds they lived: ticks, rows written, read and merged,
 * the protocol of gossip and the decisions, and what it takes to simulate. Frames are not sealed there.
 */
import { run } from '../../sim/job.ts';
import { SCENARIOS } from '../../sim/scenarios.ts';

export async function measureCpuShare(): Promise<number> {
  const { nodes, seconds } = SCENARIOS.find(({ name }) => name === 'many') as (typeof SCENARIOS)[number];
  const before = process.threadCpuUsage();
  await run({ scenario: 'many', policy: 'reeve', seed: 1 });
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1e6 / (nodes * seconds);
}
