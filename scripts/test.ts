/**
 * `npm test [-- files…]`: tap in passes: the rooms' own tests with coverage, then the guarantees and scenarios beside those that are run
 * again with the other engine, and then, one file at a time, what measures time. Writes test-results.json and ends with `N passed, N failed`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

interface Outcome {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly durationMs: number;
}

interface TapEvent {
  readonly name: string;
  readonly level?: number;
  readonly ok?: boolean;
  readonly time?: number;
  readonly fullname?: string;
  readonly skip?: string | boolean;
  readonly diag?: unknown;
  readonly tests?: number;
}

/**
 * The coverage each room has by its own tests, lines and branches in percent; less fails. 100 and 100 for identity, limits, tenants and
 * pipeline, at least 90 and 90 for the others. A floor only ever rises.
 */
const FLOORS: Readonly<Record<string, readonly [number, number]>> = {
  admin: [99, 95],
  cli: [98, 93],
  collector: [98, 92],
  core: [100, 100],
  gossip: [100, 99],
  identity: [100, 100],
  limits: [100, 100],
  metering: [99, 96],
  pipeline: [100, 100],
  proxy: [98, 92],
  'proxy/fast': [98, 92],
  telemetry: [100, 100],
  tenants: [100, 100],
  wal: [100, 100],
  wire: [100, 99],
};
/** Each of these holds a figure in milliseconds to a bound, so nothing else runs beside it. */
const ALONE = [
  'test/guarantees/g09-backpressure.test.ts',
  'test/guarantees/g14-limits-first.test.ts',
  'test/guarantees/g17-noisy-neighbour.test.ts',
  'test/guarantees/g22-config-swap.test.ts',
  'test/scenarios/fleet.test.ts',
  'test/scenarios/large-swap.test.ts',
  'test/scenarios/metrics.test.ts',
  'test/sim/namespaces.test.ts',
];
/** Of the others the longest, each with a tap of its own: one works all the time, the other waits most of it. */
const LONGEST = ['test/guarantees/g16-idle-connections.test.ts', 'test/guarantees/g28-drain.test.ts'];
/** These belong to no room, and cover none. */
const WHOLE = ['contracts', 'guarantees', 'scenarios', 'sim'];
/** Files at once. One more than the cores: half of their time many wait, for a timeout or for silence on a connection. */
const JOBS = availableParallelism() + 1;
/**
 * These promises of the wire hold for both engines: their files run a second time with the general one alone. Those of `test/proxy` are
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
  'test/guarantees/g30-never-dies.test.ts',
];
const UNCOVERED = ['--disable-coverage'];

const isWhole = (file: string): boolean => WHOLE.some((folder) => file.startsWith(`test/${folder}/`));

const outcomes: Outcome[] = [];
const figures: string[] = [];
let taps = 0;

async function runTap(
  files: readonly string[],
  jobs: number,
  coverage: readonly string[],
  engine?: 'general',
): Promise<void> {
  if (files.length === 0) return;
  const raw = join(tmpdir(), `reeve-test-${process.pid}-${taps++}.tap`);
  const args = ['-R', 'jsonstream', '-o', raw, `--jobs=${jobs}`, ...coverage, ...files];
  const env: NodeJS.ProcessEnv = { ...process.env };
  if (engine !== undefined) env['ENGINE'] = engine;
  // A third less of a start. Not where lines are counted: of code from the cache V8 tells only roughly which branches ran.
  if (coverage === UNCOVERED) env['NODE_COMPILE_CACHE'] ??= join(tmpdir(), 'node-compile-cache');
  const tap = spawn('tap', args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const suffix = engine === undefined ? '' : ` (${engine} engine)`;
  await collect(tap, suffix);
  // A tap that was killed says nothing of the files it did not come to.
  for (const file of files)
    if (!outcomes.some(({ name }) => name.startsWith(file) && name.endsWith(suffix)))
      note({ name: file, fullname: `${file} > the file as a whole, which did not run${suffix}` }, 'failed');
  for (const line of readFileSync(raw, 'utf8').split('\n')) {
    const figure = /^\s*# ((?:G\d\d|figure|missing)\b.*)$/.exec(line)?.[1];
    if (figure !== undefined && !figures.includes(figure)) figures.push(figure);
  }
  rmSync(raw);
}

async function collect(tap: ChildProcess, suffix: string): Promise<void> {
  let inFile = 0;
  for await (const line of createInterface({ input: tap.stdout as NodeJS.ReadableStream })) {
    if (!line.startsWith('["')) continue;
    const [type, read] = JSON.parse(line) as [string, TapEvent];
    const event = typeof read === 'object' && read !== null ? named(read, suffix) : read;
    if (type === 'start' && event.level === 1) inFile = 0;
    if (type === 'fail') process.stdout.write(`  not ok ${event.fullname}\n${indented(event.diag)}\n`);
    if (type === 'skip' && event.fullname?.split(' > ').length === 2) inFile += note(event, 'skipped');
    if (type !== 'end') continue;
    if (event.level === 2) inFile += note(event, event.ok === true ? 'passed' : 'failed');
    if (event.level !== 1) continue;
    if (
      inFile === 0 ||
      (event.ok !== true && !outcomes.some((each) => each.outcome === 'failed' && each.name.startsWith(event.name)))
    ) {
      note({ ...event, fullname: `${event.name} > the file as a whole` }, event.ok === true ? 'passed' : 'failed');
    }
    process.stdout.write(
      `${event.ok === true ? 'ok    ' : 'NOT OK'} ${event.name} (${Math.round(event.time ?? 0)} ms)\n`,
    );
  }
  await new Promise((resolve) => (tap.exitCode === null ? tap.once('close', resolve) : resolve(undefined)));
}

/** Outcomes of one file under two engines are two. */
function named(event: TapEvent, suffix: string): TapEvent {
  const fullname = event.fullname === undefined ? {} : { fullname: `${event.fullname}${suffix}` };
  return suffix === '' ? event : { ...event, name: `${event.name}${suffix}`, ...fullname };
}

/** tap builds its test object from the plugins in .taprc: after an install, and when they changed. */
function buildTap(): void {
  const built = 'node_modules/.tap-built';
  const plugins = readFileSync('.taprc', 'utf8');
  if (existsSync(built) && readFileSync(built, 'utf8') === plugins) return;
  const { status, stdout, stderr } = spawnSync('tap', ['build'], { encoding: 'utf8' });
  if (status === 0) writeFileSync(built, plugins);
  else process.stdout.write(`${stdout}${stderr}`);
}

function note(event: TapEvent, outcome: Outcome['outcome']): number {
  outcomes.push({ name: event.fullname ?? event.name, outcome, durationMs: Math.round(event.time ?? 0) });
  return 1;
}

function indented(value: unknown): string {
  return JSON.stringify(value ?? null, null, 2)
    .slice(0, 4000)
    .replaceAll(/^/gm, '    ');
}

/** One outcome a room: is it covered by its own tests? */
function judgeCoverage(): void {
  const summary = JSON.parse(readFileSync('.tap/report/coverage-summary.json', 'utf8')) as Record<
    string,
    Record<'lines' | 'branches', { total: number; covered: number }>
  >;
  const rooms = new Map<string, { lines: number[]; branches: number[] }>();
  for (const [file, { lines, branches }] of Object.entries(summary)) {
    const room = /\/src\/(proxy\/fast|[^/]+)\/(?!generated\/)/.exec(file)?.[1];
    if (room === undefined) continue;
    const sums = rooms.get(room) ?? { lines: [0, 0], branches: [0, 0] };
    rooms.set(room, sums);
    for (const [sum, part] of [
      [sums.lines, lines],
      [sums.branches, branches],
    ] as const) {
      sum[0] = (sum[0] ?? 0) + part.covered;
      sum[1] = (sum[1] ?? 0) + part.total;
    }
  }
  process.stdout.write('\ncoverage of each room by its own tests   lines  branches\n');
  for (const room of Object.keys(FLOORS)) {
    // A room without a test of its own is covered by nothing.
    const { lines, branches } = rooms.get(room) ?? { lines: [0, 1], branches: [0, 1] };
    const [line, branch] = [lines, branches].map(
      ([covered, total]) => (100 * (covered as number)) / Math.max(total as number, 1),
    ) as [number, number];
    const [lineFloor, branchFloor] = FLOORS[room] as readonly [number, number];
    const isGood = line >= lineFloor && branch >= branchFloor;
    outcomes.push({
      name: `coverage of ${room}: ${lineFloor} % of lines, ${branchFloor} % of branches`,
      outcome: isGood ? 'passed' : 'failed',
      durationMs: 0,
    });
    process.stdout.write(
      `${isGood ? 'ok    ' : 'NOT OK'} ${room.padEnd(33)} ${line.toFixed(1).padStart(6)} ${branch.toFixed(1).padStart(9)}\n`,
    );
  }
}

const asked = process.argv.slice(2);
const files = asked.length > 0 ? asked : globSync('test/**/*.test.ts').sort();
const began = performance.now();
buildTap();

const own = files.filter((file) => !isWhole(file));
const isAlone = (file: string): boolean => ALONE.includes(file);
const whole = files.filter((file) => isWhole(file) && !isAlone(file));
const alone = files.filter(isAlone);
await runTap(own, JOBS, asked.length > 0 ? UNCOVERED : ['--coverage-report=json-summary', '--show-full-coverage']);
if (own.length > 0 && asked.length === 0) judgeCoverage();
const again = OF_BOTH_ENGINES.filter((file) => asked.length === 0 && files.includes(file));
await Promise.all([
  runTap(
    whole.filter((file) => !LONGEST.includes(file)),
    JOBS - 1,
    UNCOVERED,
  ),
  ...LONGEST.map((file) =>
    runTap(
      whole.filter((each) => each === file),
      1,
      UNCOVERED,
    ),
  ),
  runTap(
    again.filter((file) => !isAlone(file)),
    1,
    UNCOVERED,
    'general',
  ),
]);
await runTap(alone, 1, UNCOVERED);
await runTap(again.filter(isAlone), 1, UNCOVERED, 'general');

const count = (outcome: Outcome['outcome']) => outcomes.filter((each) => each.outcome === outcome).length;
const summary = {
  passed: count('passed'),
  failed: count('failed'),
  skipped: count('skipped'),
  durationMs: Math.round(performance.now() - began),
  node: process.version,
};
if (asked.length === 0)
  writeFileSync('test-results.json', `${JSON.stringify({ summary, figures, tests: outcomes }, null, 2)}\n`);
if (figures.length > 0) process.stdout.write(`\n${figures.join('\n')}\n`);
for (const { name } of outcomes.filter((each) => each.outcome === 'failed')) process.stdout.write(`failed: ${name}\n`);
process.stdout.write(`\n${summary.passed} passed, ${summary.failed} failed\n`);
process.exitCode = summary.failed === 0 ? 0 : 1;
