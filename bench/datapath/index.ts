/**
 * Reeve beside the proxies people use, at equal work, in one run: requests a CPU-second, then latency at a fixed rate, memory, system
 * calls and allocation. bench/datapath/README.md says how, and what makes a run void.
 */
import type { Suite } from '../run.ts';
import { figuresOf, targets } from './figures.ts';
import { checkSystems, measure } from './measure.ts';
import { briefPlan, fullPlan, quickPlan } from './plan.ts';
import { publish } from './publish.ts';
import { subject, systems } from './systems/index.ts';
import { tableOf } from './table.ts';

const others = systems.map(({ name }) => name).filter((name) => name !== subject.name);

export const suite: Suite = {
  describe: 'The data path: Reeve and its peers at equal work',
  targets,
  quick: 'under a minute: the figures alone, from few and short rounds',
  options: {
    brief: { help: 'ten minutes instead of half an hour: fewer rounds, W4 and W5 only' },
    check: { help: 'a minute: does each system do the work? nothing is measured' },
    systems: { value: 'NAME,NAME', help: `beside ${subject.name} only these of: ${others.join(', ')}` },
    publish: { help: 'writes docs/benchmarks.md anew; with --brief from its fewer rounds' },
  },
  async run(o) {
    if (o.options['check'] === true) return { checks_passed: await checkSystems(o) };
    const plan = o.quick ? quickPlan(subject) : o.options['brief'] === true ? briefPlan() : fullPlan();
    const results = await measure(o, plan);
    const figures = figuresOf(results);
    o.progress(`\n${tableOf(results)}`);
    if (o.options['publish'] === true) publish(results, figures, targets);
    return figures;
  },
};
