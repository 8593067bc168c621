/**
 * Reeve beside the proxies people use, at equal work, in one run: requests a CPU-second, then latency at a fixed rate, memory, system
 * calls and allocation. bench/datapath/README.md says how, and what makes a run void.
 */
import type { Suite, SuiteRun } from '../run.ts';
import { UsageError } from '../usage-error.ts';
import { figuresOf, targets } from './figures.ts';
import { checkSystems, measure } from './measure.ts';
import { briefPlan, fullPlan, type Plan, quickPlan } from './plan.ts';
import { publish } from './publish.ts';
import { subject, systems } from './systems/index.ts';
import { tableOf } from './table.ts';

const others = systems.map(({ name }) => name).filter((name) => name !== subject.name);

export const suite: Suite = {
  describe: 'The data path: Reeve and its peers at equal work',
  targets,
  quick: 'a minute: the figures alone, from few and short rounds',
  options: {
    brief: { help: 'half the time of all: fewer and shorter rounds, fewer systems' },
    check: { help: 'a minute: does each system do the work? nothing is measured' },
    systems: { value: 'NAME,NAME', help: `beside ${subject.name} only these of: ${others.join(', ')}` },
    publish: { help: 'writes docs/benchmarks.md anew; with --brief from its fewer rounds' },
  },
  async run(o) {
    refuseContradictions(o);
    if (o.options['check'] === true) return { checks_passed: await checkSystems(o) };
    const plan = planOf(o);
    const results = await measure(o, plan);
    const figures = figuresOf(results);
    o.progress(`\n${tableOf(results)}`);
    if (o.options['publish'] === true) publish(results, figures, targets);
    return figures;
  },
};

function planOf({ quick, options }: SuiteRun): Plan {
  // No figure is about the general engine, and a minute is short: only who asks for it gets it.
  const isAsked = options['systems'] !== undefined;
  if (quick) return quickPlan(subject, [subject.name, ...others.filter((name) => isAsked || name !== 'reeve-general')]);
  return options['brief'] === true ? briefPlan([subject.name, 'nginx-njs', 'haproxy', 'envoy']) : fullPlan();
}

/** What is published is of all systems, and of more than a look. */
function refuseContradictions({ quick, options }: SuiteRun): void {
  const [isBrief, isCheck, isPublished] = [options['brief'], options['check'], options['publish']].map(Boolean);
  if (quick && isBrief) throw new UsageError('--quick and --brief are two lengths: choose one');
  if (isPublished && (quick || isCheck)) throw new UsageError('--publish needs a full run, or --brief');
  if (isPublished && options['systems'] !== undefined)
    throw new UsageError('--publish is of all systems: leave --systems out');
}
