/**
 * `npm run sim -- [SCENARIO… | all] [--seeds N] [--seed N] [--nodes N] [--policy NAME] [--quick] [--json] [--plot DIR]`
 *
 * Runs scenarios with the production modules in virtual time, beside the policies of others. Figures are over the seeds; the same seed,
 * the same run.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nearest } from '../src/core/index.ts';
import { NODES_MOST, SEED_MOST, SEEDS_MOST, wholeNumber } from './flags.ts';
import { type Job, type Outcome, policyOf } from './job.ts';
import { measureMemory } from './memory.ts';
import { type Line, plot } from './plot.ts';
import { OURS, RIVALS } from './policies.ts';
import { QUOTA_SCENARIOS } from './quota-scenarios.ts';
import { SCENARIOS } from './scenarios.ts';
import { missedBy, reaches, type Spread, TARGETS } from './targets.ts';
import { runAll } from './threads.ts';

const SEEDS = 200;
const SEEDS_QUICK = 2;
/** Rivals are shown, not judged. */
const SEEDS_RIVALS = 5;
const QUICK: readonly string[] = [
  'steady',
  'within',
  'flash',
  'shift',
  'partition',
  'crash',
  'skipper-600',
  'skipper-1200',
  'many',
  'quota-soft',
  'quota-cut',
  'quota-rolling',
  'quota-blackout',
];
/** Long: three seeds. */
const LONG: readonly string[] = ['many', 'large', 'quota-many'];
const QUOTAS: readonly string[] = QUOTA_SCENARIOS.map(({ name }) => name);
/** Of as many tenants, what one takes of a sidecar's memory is measured as well. */
const WITH_MEMORY = 'many';
/** The same whatever the policy. */
const OURS_ALONE: readonly string[] = [...LONG, 'views'];
/** What is asked of each kind. */
interface Named {
  readonly name: string;
  readonly describe: string;
  readonly nodes: number;
}
const ALL: readonly Named[] = [...SCENARIOS, ...QUOTA_SCENARIOS];

const { values, positionals } = parse();
if (values.help === true) help();
const quick = values.quick === true;
const seeds = numberOf('seeds', 1, SEEDS_MOST) ?? (quick ? SEEDS_QUICK : SEEDS);
const first = numberOf('seed', 0, SEED_MOST) ?? 1;
const nodes = numberOf('nodes', 1, NODES_MOST);
const policies =
  values.policy === undefined
    ? [OURS, ...RIVALS]
    : [
        policyOf(values.policy) ??
          refuse(
            `there is no policy ${values.policy}; known: ${[OURS, ...RIVALS].map((each) => each.name).join(', ')}`,
          ),
      ];
const chosen = choose(positionals);
const began = performance.now();
const results = new Map<string, Outcome[]>();
// Before anything else runs: what that leaves behind would be freed while it is measured.
const isMeasured = policies.includes(OURS) && chosen.some(({ name }) => name === WITH_MEMORY);
const memory = isMeasured ? await measureMemory() : undefined;
for (const [at, scenario] of chosen.entries()) {
  for (const policy of policies) {
    const isOurs = policy === OURS;
    if (!isOurs && OURS_ALONE.includes(scenario.name)) continue;
    if (QUOTAS.includes(scenario.name) && policy.quota === undefined) continue;
    const count = isOurs ? (LONG.includes(scenario.name) ? Math.min(seeds, 3) : seeds) : Math.min(seeds, SEEDS_RIVALS);
    const jobs = Array.from({ length: count }, (_, seed): Job => {
      const job = { scenario: scenario.name, policy: policy.name, seed: first + seed };
      return nodes === undefined ? job : { ...job, nodes };
    });
    const outcomes = await runAll(jobs, (done) =>
      progress(`${at + 1}/${chosen.length} ${scenario.name} ${policy.name} ${done}/${count}`),
    ).catch((cause: Error) => refuse(cause.message, 1));
    results.set(`${scenario.name} ${policy.name}`, outcomes);
  }
}
progress('');

const figures = figuresOf(OURS.name);
if (memory !== undefined) {
  const { idle, hot } = memory;
  figures['idle_bytes_per_tenant'] = spread([idle]);
  figures['hot_bytes_per_tenant'] = spread([hot]);
}
const rivals = Object.fromEntries(policies.filter((each) => each !== OURS).map(({ name }) => [name, figuresOf(name)]));
// Rivals are not judged: without ours nothing is.
const missed = policies.includes(OURS)
  ? missedBy(
      chosen.map(({ name }) => name),
      figures,
    )
  : [];
if (values.plot !== undefined) drawAll(values.plot);
if (values.json === true)
  process.stdout.write(
    `${JSON.stringify({ seeds, seed: first, seconds: Math.round((performance.now() - began) / 1000), figures, rivals, targets: TARGETS, missed }, null, 2)}\n`,
  );
else table();
process.exitCode = missed.length === 0 ? 0 : 1;

function figuresOf(policy: string): Record<string, Spread> {
  const all: Record<string, Spread> = {};
  const runs = new Map<string, number[]>();
  // What several scenarios measure is one figure over all of them.
  for (const { name } of chosen)
    for (const { figures: found } of results.get(`${name} ${policy}`) ?? [])
      for (const [figure, value] of Object.entries(found)) runs.set(figure, [...(runs.get(figure) ?? []), value]);
  for (const [figure, values] of runs) all[figure] = spread(values);
  if (policy === OURS.name && chosen.length > 0) {
    const most = Math.max(...chosen.map((each) => nodes ?? each.nodes));
    all['nodes_max'] = { p1: most, p50: most, p99: most, max: most };
  }
  return all;
}

function spread(runs: readonly number[]): Spread {
  const sorted = [...runs].sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number) * 1000) / 1000;
  return { p1: at(0.01), p50: at(0.5), p99: at(0.99), max: at(1) };
}

function table(): void {
  const rows = Object.entries(figures).map(([name, { p50, p99, max }]) => {
    const target = TARGETS[name];
    const judged = target === undefined ? '' : `must ${target.must}, goal ${target.goal}`;
    const isMissed = missed.includes(name) ? '  MISSED' : '';
    const isShort = isMissed === '' && target !== undefined && !reaches(name, figures[name] as Spread, target.goal);
    const others = RIVALS.map((each) => rivals[each.name]?.[name]?.p50 ?? '');
    return [name, p50, p99, max, ...others, judged + isMissed + (isShort ? '  short of the goal' : '')];
  });
  const head = ['', 'p50', 'p99', 'max', ...RIVALS.map((each) => each.name), ''];
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => String(row[column]).length)));
  for (const row of [head, ...rows])
    process.stdout.write(
      `${row.map((cell, column) => (column === 0 || column === row.length - 1 ? String(cell).padEnd(widths[column] as number) : String(cell).padStart(widths[column] as number))).join('  ')}\n`,
    );
  process.stdout.write(
    `${seeds} seeds from ${first} (rivals: at most ${SEEDS_RIVALS}, their medians), ${Math.round((performance.now() - began) / 1000)} s\n`,
  );
}

/** A picture a scenario: the first of the policies that were run as a band, the others as lines. */
function drawAll(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const { name, describe } of chosen) {
    const [first, ...others] = policies.flatMap((policy): Line[] => {
      const runs = results.get(`${name} ${policy.name}`)?.map((each) => each.admitted);
      return runs === undefined ? [] : [{ name: policy.name, runs }];
    });
    const drawn = QUOTAS.includes(name) ? 'quota' : 'rate';
    if (first === undefined) continue;
    const file = join(folder, `${name}.svg`);
    writeFileSync(file, plot(`${name}: ${describe}`, drawn, first, others));
    process.stderr.write(`${file}\n`);
  }
}

function choose(names: readonly string[]): readonly Named[] {
  if (names.length === 0 || names.includes('all')) return quick ? ALL.filter((each) => QUICK.includes(each.name)) : ALL;
  return [...new Set(names)].map((name) => {
    const found = ALL.find((each) => each.name === name);
    if (found !== undefined) return found;
    const known = ALL.map((each) => each.name);
    const near = nearest(name, known);
    return refuse(
      `there is no scenario ${name}${near === undefined ? '' : ` (did you mean ${near}?)`}; known: all, ${known.join(', ')}`,
    );
  });
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        seeds: { type: 'string' },
        seed: { type: 'string' },
        nodes: { type: 'string' },
        policy: { type: 'string' },
        plot: { type: 'string' },
        quick: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (cause) {
    return refuse((cause as Error).message);
  }
}

/** Of a flag that may be left out. */
function numberOf(flag: 'seeds' | 'seed' | 'nodes', least: number, most: number): number | undefined {
  const text = values[flag];
  try {
    return text === undefined ? undefined : wholeNumber(flag, text, least, most);
  } catch (cause) {
    return refuse((cause as Error).message);
  }
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (/ (\d+)\/\1$/.test(text)) process.stderr.write(`${text}\n`);
}

function help(): never {
  const scenarios = ALL.map(({ name, describe }) => `  ${name.padEnd(18)} ${describe}`).join('\n');
  const known = [OURS, ...RIVALS].map(({ name, describe }) => `  ${name.padEnd(14)} ${describe}`).join('\n');
  process.stdout.write(`usage: npm run sim -- [SCENARIO… | all] [--seeds N] [--seed FIRST] [--nodes N] [--policy NAME] [--quick] [--json] [--plot DIR]

Scenarios:
${scenarios}

Policies (default: all):
${known}

Examples:
  npm run sim -- all --quick
  npm run sim -- surge --seeds 20 --policy reeve
  npm run sim -- partition --plot /tmp/plots
`);
  process.exit(0);
}

function refuse(message: string, code = 2): never {
  process.stderr.write(`sim: ${message}\n`);
  process.exit(code);
}
