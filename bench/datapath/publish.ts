/** Writes docs/benchmarks.md from a run: machine, versions, configurations, the command, targets and every table. */
import { writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Figures, Target } from '../run.ts';
import type { Results } from './results.ts';
import { tableOf } from './table.ts';

const FILE: string = join(import.meta.dirname, '../../docs/benchmarks.md');

export function publish(results: Results, figures: Figures, targets: Readonly<Record<string, Target>>): void {
  writeFileSync(FILE, pageOf(results, figures, targets));
}

function pageOf(results: Results, figures: Figures, targets: Readonly<Record<string, Target>>): string {
  const { command, startedAt, commit, versions, notes, contests } = results;
  const { length: rounds } = contests[0]?.rounds ?? [];
  return `# The data path beside its peers

Written by \`${command} --publish\` on ${startedAt.slice(0, 10)} from commit ${commit}; peers are installed by \`bench/peers/install.sh\`. How it is measured and what voids a run:
[bench/datapath/README.md](../bench/datapath/README.md). Configurations: [bench/peers](../bench/peers).

Machine: ${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}. The system under test has one core, everything else another.
Rounds of the first table: ${rounds}, interleaved, each system forward and backward in turn. A ratio above 1 says that ${results.subject} does more in the same CPU time; the interval is of 95 %, by bootstrap over rounds. *Not surely*: the must lies within the interval.

## What was to be reached

| figure | measured | 95 % interval | must | goal | |
|---|--:|--:|--:|--:|---|
${Object.entries(targets)
  .map(([name, target]) => targetRow(name, target, figures))
  .join('\n')}

## Everything

${tableOf(results)}
## Systems

| system | version | how it is configured |
|---|---|---|
${Object.entries(notes)
  .map(([name, note]) => `| ${name} | ${versions[name] ?? 'not installed'} | ${note} |`)
  .join('\n')}
`;
}

function targetRow(name: string, { must, goal, isLargerBetter = false }: Target, figures: Figures): string {
  const value = figures[name];
  const interval = figures[`${name}_ci`];
  if (typeof value !== 'number' || typeof interval !== 'object')
    return `| ${name} | not measured | | ${must} | ${goal} | |`;
  const reaches = (target: number): boolean => (isLargerBetter ? value >= target : value <= target);
  const [low, high] = interval;
  const isSure = low >= must === high >= must;
  const word = `${reaches(goal) ? 'goal' : reaches(must) ? 'must' : 'missed'}${isSure ? '' : ', not surely'}`;
  const written = (each: number): string => (Math.abs(each) < 1000 ? each.toPrecision(3) : each.toFixed(0));
  const ends = interval.map(written).join(' … ');
  return `| ${name} | ${written(value)} | ${ends} | ${must} | ${goal} | ${word} |`;
}
