/**
 * `npm run bench -- SUITE [--quick] [--json]`. A suite is a folder here with an index.ts; it returns figures, and says for each what
 * must be reached and what is the goal. Figures are of this machine and this moment: compare ratios, repeat.
 * Ends with 0, with 1 when a figure missed its must or the suite failed, with 2 when what was asked for cannot be.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nearest } from '../src/core/index.ts';
import { UsageError } from './usage-error.ts';

/** Smaller is better unless `isLargerBetter`. */
export interface Target {
  readonly must: number;
  readonly goal: number;
  readonly isLargerBetter?: boolean;
}

/** A flag of a suite; `value` names what follows it, where something does. */
export interface Flag {
  readonly help: string;
  readonly value?: string;
}

/** `NAME_ci` holds the 95 % interval of `NAME`. */
export type Figures = Readonly<Record<string, number | readonly [low: number, high: number]>>;

export interface Suite {
  readonly describe: string;
  readonly targets: Readonly<Record<string, Target>>;
  /** What stands after the suite's name, in words for its usage. */
  readonly operands?: readonly string[];
  /** What --quick leaves out, where there is more to say than that. */
  readonly quick?: string;
  /** Flags of its own beside --quick and --json. */
  readonly options?: Readonly<Record<string, Flag>>;
  run(o: SuiteRun): Promise<Figures>;
}

export interface SuiteRun {
  readonly quick: boolean;
  /** Of this checkout; `-dirty` when it is not as it was committed. */
  readonly commit: string;
  readonly progress: (text: string) => void;
  /** Says why figures are not to be relied on: shown at once, and once more beside them. */
  readonly alarm: (text: string) => void;
  /** Where the raw measurements are. */
  readonly kept: (file: string) => void;
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
const alarms: string[] = [];
const alarm = (text: string): void => {
  alarms.push(text);
  progress(`  ALARM: ${text}`);
};
let raw: string | undefined;
const kept = (file: string): void => {
  raw = file;
  progress(`raw rounds: ${file}`);
};
const commit = currentCommit();
const quick = values['quick'] === true;
const isJson = values['json'] === true;
const figures = await suite
  .run({ quick, commit, progress, alarm, kept, operands: positionals, options: values })
  .catch((cause: Error) => {
    if (isJson) print({ error: cause.message, alarms });
    if (cause instanceof UsageError) return refuse(cause.message);
    return refuse(`${name} failed: ${cause.message}`, 1);
  });
const unmeasured = Object.keys(suite.targets).filter((key) => figures[key] === undefined);
const missed = Object.entries(suite.targets)
  .filter(([key, { must, isLargerBetter }]) =>
    isLargerBetter ? (figures[key] as number) < must : (figures[key] as number) > must,
  )
  .map(([key]) => key);
if (isJson) print({ figures, targets: suite.targets, missed, unmeasured, alarms });
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
  { describe, targets, operands = [], quick = 'less of everything: sooner, and less sure', options = {} }: Suite,
): { values: Record<string, boolean | string | undefined>; positionals: string[] } {
  const all: Readonly<Record<string, Flag>> = {
    quick: { help: quick },
    json: { help: 'one object for programs: figures, targets, what was missed, alarms, commit, machine; or the error' },
    ...options,
  };
  const written = Object.entries(all).map(([key, { value }]) => `--${key}${value === undefined ? '' : ` ${value}`}`);
  const usage = `usage: npm run bench -- ${[suiteName, ...operands, ...written.map((flag) => `[${flag}]`)].join(' ')}`;
  const flags = Object.entries(all).map(
    ([key, { value }]) => [key, { type: value === undefined ? 'boolean' : 'string' }] as const,
  );
  if (rest.includes('--help')) {
    const explained = Object.values(all).map(({ help }, at) => `  ${(written[at] as string).padEnd(30)} ${help}`);
    const wanted = Object.entries(targets).map(
      ([key, { must, goal, isLargerBetter }]) =>
        `  ${key.padEnd(30)} must ${must}, goal ${goal}, ${isLargerBetter ? 'or more' : 'or less'}`,
    );
    const ends =
      'ends with 0; 1 when a figure missed its must or the suite failed; 2 when what was asked for cannot be';
    process.stdout.write(`${[describe, usage, ...explained, '', ...wanted, '', ends].join('\n')}\n`);
    process.exit();
  }
  try {
    const parsed = parseArgs({ args: rest, options: Object.fromEntries(flags), allowPositionals: true });
    if (parsed.positionals.length !== operands.length) refuse(usage);
    return parsed as ReturnType<typeof parse>;
  } catch (cause) {
    // Node's first sentence says what is wrong; the others are about positional arguments.
    return refuse(`${(cause as Error).message.split('. ')[0]}\n${usage}`);
  }
}

function refuse(text: string, exitCode = 2): never {
  process.stderr.write(`${text}\n`);
  process.exit(exitCode);
}

/** For programs: what was measured, of what, and what became of it. */
function print(result: object): void {
  const of = { suite: name, operands: positionals, options: values, commit, machine, raw };
  process.stdout.write(`${JSON.stringify({ ...of, ...result }, null, 2)}\n`);
}

function printTable(): void {
  process.stdout.write(`${suite.describe}\n${machine.cpu}, ${machine.cores} cores, Node ${machine.node}\n\n`);
  for (const [key, value] of Object.entries(figures)) {
    if (typeof value !== 'number') continue;
    const interval = figures[`${key}_ci`];
    const between = typeof interval === 'object' ? `${interval.map((end) => end.toFixed(2)).join(' … ')}` : '';
    process.stdout.write(
      `${key.padEnd(28)} ${value.toFixed(2).padStart(10)}   ${between.padEnd(20)}${verdict(key, value)}\n`,
    );
  }
  if (unmeasured.length > 0) process.stdout.write(`\nnot measured: ${unmeasured.join(', ')}\n`);
  for (const text of alarms) process.stdout.write(`\nALARM: ${text}\n`);
  if (missed.length > 0) process.stdout.write(`\nmissed its must: ${missed.join(', ')}\n`);
}

function currentCommit(): string {
  const { stdout } = spawnSync('git', ['describe', '--always', '--dirty'], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  });
  return stdout?.trim() || 'unknown';
}

function verdict(key: string, value: number): string {
  const target = suite.targets[key];
  if (target === undefined) return '';
  const isGoal = target.isLargerBetter ? value >= target.goal : value <= target.goal;
  const reached = missed.includes(key) ? '   MISSED' : isGoal ? '   goal reached' : '';
  const interval = figures[`${key}_ci`];
  const isSure = typeof interval !== 'object' || interval[0] >= target.must === interval[1] >= target.must;
  return `   must ${target.must}, goal ${target.goal}${reached}${isSure ? '' : ', not surely'}`;
}
