/**
 * `node sim/sweep.ts [--seeds N] [--nodes N] [GAIN…]`: each gain, or those named, of the share at half, at once and at twice what it is, the others as they are; what
 * becomes of the figures. Prints a table in Markdown: the record is docs/decisions/0012-fleet-rates.md.
 */
import { parseArgs } from 'node:util';
import { GAINS, type Gains } from '../src/limits/fleet/share.ts';
import { NODES_MOST, SEEDS_MOST, wholeNumber } from './flags.ts';
import type { Job } from './job.ts';
import { runAll } from './threads.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string' }, nodes: { type: 'string' } },
});
const seeds = wholeNumber('seeds', values.seeds ?? '200', 1, SEEDS_MOST);
const nodes = wholeNumber('nodes', values.nodes ?? '50', 1, NODES_MOST);
const SCENARIOS = ['steady', 'within', 'surge', 'shift'];
const FIGURES = ['mean_pct', 'steady_excess_pct', 'false_reject_pct', 'surge_excess_pct', 'reconverge_ms'];
/** Signs of bounds stay. */
const FACTORS = [0.5, 2];

const variants: { readonly name: string; readonly gains: Partial<Gains> }[] = [{ name: 'as it is', gains: {} }];
for (const key of (positionals.length > 0 ? positionals : Object.keys(GAINS)) as (keyof Gains)[])
  for (const factor of FACTORS) {
    const value = key === 'borrowBelow' ? Math.min(1, GAINS[key] * (factor < 1 ? 0.9 : 1.05)) : GAINS[key] * factor;
    variants.push({ name: `${key} ${Math.round(value * 1e4) / 1e4}`, gains: { [key]: value } });
  }

process.stdout.write(`| gains | ${FIGURES.join(' | ')} |\n|---|${FIGURES.map(() => '--:|').join('')}\n`);
for (const { name, gains } of variants) {
  const jobs = SCENARIOS.flatMap((scenario) =>
    Array.from({ length: seeds }, (_, at): Job => ({ scenario, policy: 'reeve', seed: at + 1, nodes, gains })),
  );
  const outcomes = await runAll(jobs, () => {});
  const cells = FIGURES.map((figure) => {
    const found = outcomes.flatMap(({ figures }) => (figures[figure] === undefined ? [] : [figures[figure]]));
    const sorted = found.sort((a, b) => a - b);
    const at = (share: number): string =>
      (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number).toFixed(
        figure.endsWith('ms') ? 0 : 2,
      );
    return `${at(0.5)} (${at(0.99)})`;
  });
  process.stdout.write(`| ${name} | ${cells.join(' | ')} |\n`);
}
