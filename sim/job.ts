/** One run: a scenario under a policy with a seed, in a thread of its own or here. */
import { isMainThread, parentPort } from 'node:worker_threads';
import { GAINS, type Gains, shareByDemand } from '../src/limits/fleet/share.ts';
import { SimFleet } from './fleet.ts';
import { OURS, type Policy, RIVALS } from './policies.ts';
import { QuotaFleet, type QuotaScenario } from './quota-fleet.ts';
import { QUOTA_SCENARIOS } from './quota-scenarios.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';

export interface Job {
  readonly scenario: string;
  readonly policy: string;
  readonly seed: number;
  /** Another number of sidecars than the scenario's. */
  readonly nodes?: number;
  /** Another limit, units a second; its burst is a tenth of a second's. */
  readonly limit?: number;
  /** Others than ours has. */
  readonly gains?: Partial<Gains>;
}

export interface Outcome {
  readonly figures: Readonly<Record<string, number>>;
  /** Of each tenth of a second: percent of a rate admitted in it, or of a quota used until then. */
  readonly admitted: readonly number[];
}

export function policyOf(name: string): Policy | undefined {
  return [OURS, ...RIVALS].find((each) => each.name === name);
}

/** Something was seen that no run may show. */
export class Violation extends Error {
  constructor({ scenario, policy, seed, nodes }: Job, what: string) {
    const again = `npm run sim -- ${scenario} --policy ${policy} --seed ${seed} --seeds 1${nodes === undefined ? '' : ` --nodes ${nodes}`}`;
    super(`${scenario} under ${policy} with seed ${seed} broke what must hold: ${what}; again: ${again}`);
  }
}

/** Rejects with a Violation. */
export async function run(job: Job): Promise<Outcome> {
  const { scenario: name, policy: rule, seed, nodes, limit, gains } = job;
  if (QUOTA_SCENARIOS.some((each) => each.name === name)) return runQuota(job);
  const found = SCENARIOS.find((each) => each.name === name) as Scenario;
  const scenario = {
    ...found,
    ...(nodes === undefined ? {} : { nodes }),
    ...(limit === undefined ? {} : { limit, burst: limit / 10 }),
  };
  const known = policyOf(rule) as Policy;
  const policy = gains === undefined ? known : { ...known, rule: shareByDemand({ ...GAINS, ...gains }) };
  const fleet = new SimFleet(scenario, policy, seed);
  fleet.run();
  judge(job, fleet);
  return { figures: scenario.measure(fleet), admitted: fleet.oracle.admittedPct() };
}

function judge(job: Job, { invariants: { violation } }: SimFleet | QuotaFleet): void {
  if (violation !== undefined) throw new Violation(job, violation);
}

async function runQuota(job: Job): Promise<Outcome> {
  const { scenario: name, policy, seed, nodes } = job;
  const found = QUOTA_SCENARIOS.find((each) => each.name === name) as QuotaScenario;
  const fleet = new QuotaFleet({ ...found, ...(nodes === undefined ? {} : { nodes }) }, seed, policyOf(policy)?.quota);
  await fleet.run();
  judge(job, fleet);
  return { figures: found.measure(fleet), admitted: fleet.usedPct };
}

if (!isMainThread)
  parentPort?.on('message', async (job: Job) => {
    try {
      parentPort?.postMessage({ outcome: await run(job) });
    } catch (cause) {
      parentPort?.postMessage({ failed: cause instanceof Violation ? cause.message : String((cause as Error).stack) });
    }
  });
