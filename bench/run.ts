/**
 * `npm run bench -- SUITE [--quick] [--json]`. A suite is a folder here with an index.ts; it returns figures, and says for each what
 * must be reached and what is the goal. Figures are of this machine and this moment: compare ratios, repeat.
 */
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nearest } from '../src/core/index.ts';

/** Smaller is better unless `isLargerBetter`. */
export interface Target {
  readonly must: number;
  readonly goal: number;
  readonly isLargerBetter?: boolean;
}

/** `NAME_ci` holds the 95 % interval of `NAME`. */
export type Figures = Readonly<Record<string, number | readonly [low: number, high: number]>>;

export interface Suite {
  readonly describe: string;
  readonly targets: Readonly<Record<string, Target>>;
  /** What stands after the suite's name, in words for its usage. */
  readonly operands?: readonly string[];
  /** Flags of its own beside --quick and --json; a text says that a value follows, and what it is. */
  readonly options?: Readonly<Record<string, true | string>>;
  run(o: SuiteRun): Promise<Figures>;
}

export interface SuiteRun {
  readonly quick: boolean;
  readonly progress: (text: string) => void;
  readonly operands: readonly string[];
  readonly options: Readonly<Record<string, boolean | string | undefined>>;
}

const suites = readdirSync(import.meta.dirname)
  .filter((folder) => existsSync(join(import.meta.dirname, folder, 'index.ts')))
  .sort();
const [name, ...rest] = process.argv.slice(2);
if (name === '--help') await showSuites();
if (name === undefined || !suites.includes(name)) {
  const near = name === undefined ? undefined : nearest(name, suites);
  const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
  refuse(`usage: npm run bench -- SUITE [--quick] [--json]; suites: ${suites.join(', ')}${hint}`);
}

const suite = await suiteOf(name);
const { values, positionals } = parse(name, suite);
// Before the suite, which may move this process to one core.
const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
};
const progress = (text: string): void => void process.stderr.write(`${text}\n`);
const quick = values['quick'] === true;
const figures = await suite
  .run({ quick, progress, operands: positionals, options: values })
  .catch((cause: Error) => refuse(`${name} failed: ${cause.message}`, 1));
const unmeasured = Object.keys(suite.targets).filter((key) => figures[key] === undefined);
const missed = Object.entries(suite.targets)
  .filter(([key, { must, isLargerBetter }]) =>
    isLargerBetter ? (figures[key] as number) < must : (figures[key] as number) > must,
  )
  .map(([key]) => key);
if (values['json'] === true)
  process.stdout.write(
    `${JSON.stringify({ suite: name, machine, figures, targets: suite.targets, missed, unmeasured }, null, 2)}\n`,
  );
else printTable();
process.exitCode = missed.length === 0 ? 0 : 1;

async function suiteOf(folder: string): Promise<Suite> {
  return ((await import(join(import.meta.dirname, folder, 'index.ts'))) as { suite: Suite }).suite;
}

async function showSuites(): Promise<never> {
  const usage = 'usage: npm run bench -- SUITE [--quick] [--json]; npm run bench -- SUITE --help says what it measures';
  const lines: string[] = [];
  for (const each of suites) lines.push(`  ${each.padEnd(10)} ${(await suiteOf(each)).describe}`);
  process.stdout.write(`${[usage, ...lines].join('\n')}\n`);
  process.exit();
}

function parse(
  suiteName: string,
  { describe, targets, operands = [], options = {} }: Suite,
): { values: Record<string, boolean | string | undefined>; positionals: string[] } {
  const described = Object.entries(options).map(([key, value]) => `[--${key}${value === true ? '' : ` ${value}`}]`);
  const usage = `usage: npm run bench -- ${[suiteName, ...operands, '[--quick] [--json]', ...described].join(' ')}`;
  const flags = Object.entries({ quick: true, json: true, ...options }).map(
    ([key, value]) => [key, { type: value === true ? 'boolean' : 'string' }] as const,
  );
  if (rest.includes('--help')) {
    const wanted = Object.entries(targets).map(
      ([key, { must, goal }]) => `  ${key.padEnd(30)} must ${must}, goal ${goal}`,
    );
    process.stdout.write(`${[describe, usage, ...wanted].join('\n')}\n`);
    process.exit();
  }
  try {
    const parsed = parseArgs({ args: rest, options: Object.fromEntries(flags), allowPositionals: true });
    if (parsed.positionals.length !== operands.length) refuse(usage);
    return parsed as ReturnType<typeof parse>;
  } catch (cause) {
    return refuse(`${(cause as Error).message}\n${usage}`);
  }
}

function refuse(text: string, exitCode = 2): never {
  process.stderr.write(`${text}\n`);
  process.exit(exitCode);
}

function printTable(): void {
  process.stdout.write(`${suite.describe}\n${machine.cpu}, ${machine.cores} cores, Node ${machine.node}\n\n`);
  for (const [key, value] of Object.entries(figures)) {
    if (typeof value !== 'number') continue;
    const interval = figures[`${key}_ci`];
    const between = typeof interval === 'object' ? `${interval.map((end) => end.toFixed(2)).join(' … ')}` : '';
    process.stdout.write(
      `${key.padEnd(26)} ${value.toFixed(2).padStart(10)}   ${between.padEnd(20)}${verdict(key, value)}\n`,
    );
  }
  if (unmeasured.length > 0) process.stdout.write(`\nnot measured: ${unmeasured.join(', ')}\n`);
}

function verdict(key: string, value: number): string {
  const target = suite.targets[key];
  if (target === undefined) return '';
  const isGoal = target.isLargerBetter ? value >= target.goal : value <= target.goal;
  const reached = missed.includes(key) ? '   MISSED' : isGoal ? '   goal reached' : '';
  return `   must ${target.must}, goal ${target.goal}${reached}`;
}
