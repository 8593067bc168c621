/**
 * `npm test [-- files or folders…]`: the files of tests in processes of their own; those of the rooms with coverage, some guarantees once more with the
 * other engine, and then, one at a time, what measures time. Writes test-results.json and ends with `N passed, N failed`.
 * `npm test -- --coverage files…` says which lines those files leave out of the rooms they are of.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import coverageMap from '../test/coverage-map.mjs';
import { Coverage, type Judged } from './test/coverage.ts';
import { type Outcome, type Ran, runTests, type TestRun } from './test/file.ts';
import { stripSources } from './test/strip.ts';

/**
 * Each of these holds a figure of time to a bound, so nothing else runs beside it. One that fails is measured once more, for the machine may have
 * been another's for a while, and both are shown: what a defect fails, it fails twice.
 */
const ALONE = [
  'test/guarantees/g09-backpressure.test.ts',
  'test/guarantees/g14-limits-first.test.ts',
  'test/guarantees/g17-noisy-neighbour.test.ts',
  'test/guarantees/g22-config-swap.test.ts',
  'test/guarantees/g25-forged-frames.test.ts',
  'test/scenarios/fleet.test.ts',
  'test/scenarios/large-swap.test.ts',
  'test/scenarios/metrics.test.ts',
  'test/scenarios/quotas-kill.test.ts',
  'test/sim/namespaces.test.ts',
];
/** So many files of a folder are run by one process, for a start costs as much as many of them. */
const TOGETHER_MAX = 8;
/** These say something for their whole process: which engine, and how V8 began. */
const BY_THEMSELVES = ['test/proxy/general-engine.test.ts', 'test/tenants/priority.test.ts'];
/** Processes at once. Twice the cores: half of their time many wait, for a timeout or for silence on a connection. */
const JOBS = 2 * availableParallelism();
/**
 * These promises hold for both engines: their files run a second time with the general one alone. Those of `test/proxy` are
 * in general-engine.test.ts, where they count as coverage; G28 has both engines in one run.
 */
const OF_BOTH_ENGINES = [
  'test/guarantees/g01-smuggling.test.ts',
  'test/guarantees/g03-framing.test.ts',
  'test/guarantees/g04-hop-by-hop.test.ts',
  'test/guarantees/g05-spoofing.test.ts',
  'test/guarantees/g07-truncation.test.ts',
  'test/guarantees/g08-abort.test.ts',
  'test/guarantees/g09-backpressure.test.ts',
  'test/guarantees/g10-retry.test.ts',
  'test/guarantees/g14-limits-first.test.ts',
  'test/guarantees/g15-slow-clients.test.ts',
  'test/guarantees/g17-noisy-neighbour.test.ts',
  'test/guarantees/g22-config-swap.test.ts',
  'test/guarantees/g24-hostile-tokens.test.ts',
  'test/guarantees/g30-never-dies.test.ts',
];
const RESULTS = 'test-results.json';

/** tap builds its test object from the plugins in .taprc: after an install, and when they changed. */
function buildTap(): void {
  const built = 'node_modules/.tap-built';
  const plugins = readFileSync('.taprc', 'utf8');
  if (existsSync(built) && readFileSync(built, 'utf8') === plugins) return;
  const { status, stdout, stderr } = spawnSync('tap', ['build'], { encoding: 'utf8' });
  if (status === 0) writeFileSync(built, plugins);
  else process.stdout.write(`${stdout}${stderr}`);
}

/** The files of a folder go together, but for those that need a process of their own. */
function runsOf(paths: readonly string[], isCounted: boolean, engine?: 'general'): TestRun[] {
  const folders = new Map<string, string[]>();
  for (const path of paths) {
    const key = BY_THEMSELVES.includes(path) || ALONE.includes(path) ? path : (path.split('/')[1] as string);
    folders.set(key, [...(folders.get(key) ?? []), path]);
  }
  return [...folders.values()].flatMap((of) => {
    const runs = Math.ceil(of.length / TOGETHER_MAX);
    const covers = (isCounted && coverageMap(of[0] as string)) || [];
    return Array.from({ length: runs }, (_, run) => ({
      paths: of.filter((_, at) => at % runs === run),
      covers,
      ...(engine && { engine }),
    }));
  });
}

/** The longest first, by what the last run took: nobody waits for one that began last. */
function longestFirst(runs: readonly TestRun[]): TestRun[] {
  const lastMs = new Map<string, number>();
  if (existsSync(RESULTS)) {
    const { tests } = JSON.parse(readFileSync(RESULTS, 'utf8')) as { tests: Outcome[] };
    for (const { name, durationMs } of tests) {
      const key = keyOf(name.split(' > ')[0] as string, name.endsWith(' (general engine)') ? 'general' : undefined);
      lastMs.set(key, (lastMs.get(key) ?? 0) + durationMs);
    }
  }
  const last = ({ paths, engine }: TestRun): number =>
    paths.reduce((sum, path) => sum + (lastMs.get(keyOf(path, engine)) ?? 0), 0);
  return [...runs].sort((a, b) => last(b) - last(a));
}

const isGood = ({ outcomes }: Ran): boolean => outcomes.every(({ outcome }) => outcome !== 'failed');

const isAlone = ({ paths }: TestRun): boolean => ALONE.includes(paths[0] as string);

function tell(files: readonly Ran[], how = ''): void {
  for (const file of files) {
    for (const failure of file.failures) process.stdout.write(`  not ok ${failure}\n`);
    process.stdout.write(`${isGood(file) ? 'ok    ' : 'NOT OK'} ${file.name} (${file.durationMs} ms${how})\n`);
  }
}

const keyOf = (path: string, engine: TestRun['engine']): string => `${path} ${engine ?? ''}`;

async function runAll(runs: readonly TestRun[], jobs: number, coverageDir: string): Promise<Ran[]> {
  const queue = [...runs];
  const ran: Ran[] = [];
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const first = await runTests(next, coverageDir);
      tell(first);
      const isAgain = isAlone(next) && !first.every(isGood);
      const files = isAgain ? await runTests(next, coverageDir) : first;
      if (isAgain) tell(files, ', measured once more');
      ran.push(...files);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return ran;
}

const USAGE = `usage: npm test [-- [--coverage] FILE|FOLDER …], such as npm test -- test/limits
Without any: all of them, and test-results.json. --coverage: which lines they leave out of the rooms they are of.`;

function refuse(text: string): never {
  process.stderr.write(`${text}\n${USAGE}\n`);
  process.exit(2);
}

/** A folder stands for its tests. */
function testsOf(path: string): string[] {
  const tests = path.endsWith('.ts') ? globSync(path) : globSync(join(path, '**/*.test.ts')).sort();
  return tests.length > 0 ? tests : refuse(`no test is ${path}`);
}

const { values, positionals } = ((): { values: { coverage?: boolean; help?: boolean }; positionals: string[] } => {
  try {
    return parseArgs({
      options: { coverage: { type: 'boolean' }, help: { type: 'boolean' } },
      allowPositionals: true,
    });
  } catch (cause) {
    return refuse((cause as Error).message);
  }
})();
if (values.help === true) {
  process.stdout.write(`${USAGE}\n`);
  process.exit();
}
const isAll = positionals.length === 0;
const isCounted = isAll || values.coverage === true;
const paths = isAll ? testsOf('test') : [...new Set(positionals.map((path) => relative('.', path)).flatMap(testsOf))];
const runs = runsOf(paths, isCounted);
if (isAll) runs.push(...runsOf(OF_BOTH_ENGINES, false, 'general'));

const began = performance.now();
using coverage = new Coverage();
buildTap();
if (isCounted) stripSources();
const ran = [
  ...(await runAll(longestFirst(runs.filter((each) => !isAlone(each))), JOBS, coverage.dir)),
  ...(await runAll(runs.filter(isAlone), 1, coverage.dir)),
];
ran.sort((a, b) => (a.name < b.name ? -1 : 1));
const outcomes = ran.flatMap((each) => each.outcomes);
const figures = [...new Set(ran.flatMap((each) => each.figures))];
if (isAll) {
  const judged = await judge();
  outcomes.push(...judged.outcomes);
  process.stdout.write(judged.table);
} else if (isCounted) {
  await coverage.print();
}

/** What a room's tests left out is tried once more with nothing beside them: which way a race goes is a matter of the machine. */
async function judge(): Promise<Judged> {
  const first = await coverage.judge();
  if (first.short.length === 0) return first;
  process.stdout.write(`${first.table}left out: ${first.left.join('; ')}; once more:\n`);
  const isOf = ({ paths: [path] }: TestRun): boolean =>
    first.short.some((room) => path?.startsWith(`test/${room.split('/')[0]}/`));
  const again = await runAll(
    runs.filter((each) => each.covers.length > 0 && isOf(each)),
    1,
    coverage.dir,
  );
  outcomes.push(...again.flatMap((each) => each.outcomes).filter(({ outcome }) => outcome === 'failed'));
  const second = await coverage.judge();
  if (second.short.length > 0) process.stdout.write(`left out twice: ${second.left.join('; ')}\n`);
  return second;
}

const count = (outcome: Outcome['outcome']) => outcomes.filter((each) => each.outcome === outcome).length;
const summary = {
  passed: count('passed'),
  failed: count('failed'),
  skipped: count('skipped'),
  durationMs: Math.round(performance.now() - began),
  node: process.version,
};
if (isAll) writeFileSync(RESULTS, `${JSON.stringify({ summary, figures, tests: outcomes }, null, 2)}\n`);
if (figures.length > 0) process.stdout.write(`\n${figures.join('\n')}\n`);
for (const { name } of outcomes.filter((each) => each.outcome === 'failed')) process.stdout.write(`failed: ${name}\n`);
process.stdout.write(`\n${summary.passed} passed, ${summary.failed} failed\n`);
process.exitCode = summary.failed === 0 ? 0 : 1;
