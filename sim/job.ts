/** One run: a scenario under a policy with a seed, in a thread of its own or here. */
import { isMainThread, parentPort } from 'node:worker_threads';
import { SimFleet } from './fleet.ts';
import { OURS, type Policy, RIVALS } from './policies.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';

export interface Job {
  readonly scenario: string;
  readonly policy: string;
  readonly seed: number;
  /** Another number of sidecars than the scenario's. */
  readonly nodes?: number;
}

export interface Outcome {
  readonly figures: Readonly<Record<string, number>>;
  /** Percent of the limit admitted in each tenth of a second. */
  readonly admitted: readonly number[];
}

export function policyOf(name: string): Policy | undefined {
  return [OURS, ...RIVALS].find((each) => each.name === name);
}

/** Throws when something was seen that no run may show. */
export function run({ scenario: name, policy, seed, nodes }: Job): Outcome {
  const found = SCENARIOS.find((each) => each.name === name) as Scenario;
  const scenario = nodes === undefined ? found : { ...found, nodes };
  const fleet = new SimFleet(scenario, policyOf(policy) as Policy, seed);
  fleet.run();
  const [violation] = fleet.violations;
  if (violation !== undefined)
    throw new Error(`${name} under ${policy} with seed ${seed} broke what must hold: ${violation}`);
  return { figures: scenario.measure(fleet), admitted: fleet.oracle.admittedPct() };
}

if (!isMainThread)
  parentPort?.on('message', (job: Job) => {
    try {
      parentPort?.postMessage({ outcome: run(job) });
    } catch (cause) {
      parentPort?.postMessage({ failed: String((cause as Error).stack) });
    }
  });
