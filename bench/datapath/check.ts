/** `--check`: every system at every level it knows, with both algorithms, without a measurement. */
import { checkCorrectness } from './correctness.ts';
import type { Ground } from './ground.ts';
import { type Algorithm, isAtLeast, type Job, jobName } from './job.ts';
import { type System, startSystem } from './system.ts';
import { makeTokens } from './tokens.ts';

/** How many checks passed; rejects at the first that does not. */
export async function checkAll(
  ground: Ground,
  systems: readonly System[],
  progress: (text: string) => void,
): Promise<number> {
  let count = 0;
  for (const system of systems)
    for (const job of jobsOf(system)) {
      const place = await ground.place(system.name, job, await makeTokens(job.algorithm, 1));
      await using running = await startSystem(system, place, ground.cores.system);
      const passed = await checkCorrectness(running);
      progress(`${system.name.padEnd(14)} ${jobName(job).padEnd(10)} ${passed.length} checks passed`);
      count += passed.length;
    }
  return count;
}

function jobsOf({ levels }: System): Job[] {
  return levels.flatMap((level) => {
    const algorithms: readonly Algorithm[] = isAtLeast(level, 'W2') ? ['HS256', 'RS256'] : ['HS256'];
    return algorithms.map((algorithm) => ({ level, algorithm, tokensPerTenant: 1 }));
  });
}
