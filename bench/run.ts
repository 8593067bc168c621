/**
 * `npm run bench -- SUITE [--quick] [--json]`. A suite is a folder here with an index.ts; it returns figures, and says for each what
 * must be reached and what is the goal. Figures are of this machine and this moment: compare ratios, repeat.
 */
import { readdirSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { nearest } from '../src/core/index.ts';

/** Smaller is better unless `isLargerBetter`. */
export interface Target {
  readonly must: number;
  readonly goal: number;
  readonly isLargerBetter?: boolean;
}

export interface Suite {
  readonly describe: string;
  readonly targets: Readonly<Record<string, Target>>;
  run(o: {
    readonly quick: boolean;
    readonly progress: (text: string) => void;
  }): Promise<Readonly<Record<string, number>>>;
}

const suites = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((each) => each.isDirectory())
  .map((each) => each.name)
  .sort();
const [name, ...flags] = process.argv.slice(2);
const unknown = flags.find((flag) => flag !== '--quick' && flag !== '--json');
if (name === undefined || !suites.includes(name) || unknown !== undefined) {
  const near = name === undefined ? undefined : nearest(name, suites);
  process.stderr.write(
    `usage: npm run bench -- SUITE [--quick] [--json]; suites: ${suites.join(', ')}${near === undefined ? '' : ` (did you mean ${near}?)`}\n`,
  );
  process.exit(2);
}

const isJson = flags.includes('--json');
const suite = ((await import(join(import.meta.dirname, name, 'index.ts'))) as { suite: Suite }).suite;
const progress = (text: string): void => void process.stderr.write(`${text}\n`);
const figures = await suite.run({ quick: flags.includes('--quick'), progress });
const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
};
const missed = Object.entries(suite.targets)
  .filter(([key, { must, isLargerBetter }]) =>
    isLargerBetter ? (figures[key] as number) < must : (figures[key] as number) > must,
  )
  .map(([key]) => key);
if (isJson)
  process.stdout.write(
    `${JSON.stringify({ suite: name, machine, figures, targets: suite.targets, missed }, null, 2)}\n`,
  );
else {
  process.stdout.write(`${suite.describe}\n${machine.cpu}, ${machine.cores} cores, Node ${machine.node}\n\n`);
  for (const [key, value] of Object.entries(figures)) {
    const target = suite.targets[key];
    const verdict =
      target === undefined
        ? ''
        : `   must ${target.must}, goal ${target.goal}${missed.includes(key) ? '   MISSED' : value <= target.goal ? '   goal reached' : ''}`;
    process.stdout.write(`${key.padEnd(24)} ${value.toFixed(2).padStart(10)}${verdict}\n`);
  }
}
process.exitCode = missed.length === 0 ? 0 : 1;
