/**
 * The regression gate: figures of a request that do not depend on the machine, each against a bound near what was reached last. A change
 * that makes one clearly worse fails here; one that makes it better moves the bound in the same commit.
 */
import { figuresOf } from '../datapath/figures.ts';
import { measure } from '../datapath/measure.ts';
import { gatePlan } from '../datapath/plan.ts';
import { straceMissing } from '../datapath/syscalls.ts';
import { subject } from '../datapath/systems/index.ts';
import type { Suite } from '../run.ts';
import { UsageError } from '../usage-error.ts';

/** node:http and undici doing the same work in the same run. */
const PEER = 'undici';

export const suite: Suite = {
  describe: `The gate: a request beside ${PEER}'s, its system calls and its bytes`,
  quick: 'the same: it takes less than a minute',
  // must: room for noise below what was reached last, which is 2.1 to 2.7, 4.12 and 1,140 to 1,180; goal: that of the design.
  targets: {
    vs_undici: { must: 1.7, goal: 2.4, isLargerBetter: true },
    syscalls_per_request: { must: 4.3, goal: 4.3 },
    alloc_bytes_per_request: { must: 1400, goal: 512 },
  },
  async run(o) {
    const lack = straceMissing();
    if (lack !== undefined) throw new UsageError(`the gate counts system calls: ${lack}`);
    const only = { ...o, options: { ...o.options, systems: PEER } };
    return figuresOf(await measure(only, gatePlan(subject, PEER)));
  },
};
