/** The command as it is given: the most important scenarios with all their sidecars, and a fleet of two hundred. */
import { spawn } from 'node:child_process';
import t from 'tap';
import { TARGETS } from '../../sim/targets.ts';
import { environmentOf, root } from '../helpers/sidecar.ts';

/** Half a minute on two cores that do nothing else. */
const PATIENCE_MS = 240_000;

interface Result {
  readonly seeds: number;
  readonly seconds: number;
  readonly figures: Readonly<Record<string, { readonly p50: number; readonly max: number }>>;
  readonly missed: readonly string[];
}

async function sim(...args: string[]): Promise<{ code: number | null; result: Result }> {
  const child = spawn(process.execPath, ['sim/run.ts', ...args, '--json', '--policy', 'reeve'], {
    cwd: root,
    env: environmentOf(process.env),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let out = '';
  child.stdout.on('data', (piece: Buffer) => {
    out += piece;
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, result: JSON.parse(out) as Result };
}

// Beside each other: of the large fleet one run is one thread.
t.setTimeout(PATIENCE_MS);
const quick = sim('all', '--quick', '--seeds', '1');
const large = sim('large', '--seeds', '1');

/** All that the quick scenarios measure and that has a target. */
const JUDGED = [
  'mean_pct',
  'steady_excess_pct',
  'flash_excess_pct',
  'shift_excess_pct',
  'partition_excess_pct',
  'false_reject_pct',
  'reconverge_ms',
  'crash_reclaim_ms',
  'hard_quota_exceeded',
  'soft_quota_error_pct',
  'counts_lost_rolling',
  'events_per_crossing',
];

t.test('all --quick reaches every target that it measures', { timeout: PATIENCE_MS }, async (t) => {
  const { code, result } = await quick;
  t.same(result.missed, []);
  t.equal(code, 0);
  t.same(
    Object.keys(TARGETS)
      .filter((name) => result.figures[name] !== undefined)
      .sort(),
    [...JUDGED].sort(),
  );
  t.ok((result.figures['nodes_max']?.max ?? 0) >= 50, 'fleets are as large as the scenarios say');
  const { mean_pct, false_reject_pct, reconverge_ms } = result.figures;
  t.comment(
    `figure sim quick: ${mean_pct?.p50} % of the limit admitted, ${false_reject_pct?.max} % wrongly refused, ${reconverge_ms?.max} ms after a shift, in ${result.seconds} s`,
  );
});

t.test('two hundred sidecars share one limit', { timeout: PATIENCE_MS }, async (t) => {
  const { code, result } = await large;
  t.equal(code, 0);
  t.equal(result.figures['nodes_max']?.max, 200);
  const { large_mean_pct: mean, large_excess_pct: excess } = result.figures;
  t.ok(Math.abs((mean?.p50 ?? 0) - 100) <= 2, `${mean?.p50} % of the limit admitted`);
  t.ok(
    (excess?.max ?? Number.POSITIVE_INFINITY) <= 3,
    `${excess?.max} % more than limit and burst in the worst second`,
  );
  t.comment(`figure sim large: ${mean?.p50} % of the limit admitted by 200 sidecars, in ${result.seconds} s`);
});
