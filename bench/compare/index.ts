/**
 * What a change did to the data path: `npm run bench -- compare OLD NEW`, two revisions of Git. Each is checked out to a temporary
 * folder with this checkout's node_modules, both are loaded in turn at W4, and what is reported is NEW in terms of OLD.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Allocation, measureAllocation } from '../datapath/allocation.ts';
import { chooseCores, moveSelfTo } from '../datapath/cores.ts';
import { job } from '../datapath/figures.ts';
import { type Ground, layGround } from '../datapath/ground.ts';
import { keep, ratios, valuesOf } from '../datapath/results.ts';
import { checkRecords, playRounds, setStage } from '../datapath/stage.ts';
import { estimate } from '../datapath/statistics.ts';
import { countSyscalls, type Syscalls, straceMissing } from '../datapath/syscalls.ts';
import type { System } from '../datapath/system.ts';
import { reeve } from '../datapath/systems/reeve.ts';
import { makeTokens } from '../datapath/tokens.ts';
import { alarmOf, perCpuSec } from '../datapath/window.ts';
import type { Figures, Suite, SuiteRun } from '../run.ts';
import { UsageError } from '../usage-error.ts';

const root: string = join(import.meta.dirname, '../..');

export const suite: Suite = {
  describe: 'Two revisions of Reeve on the data path, W4 HS256; ratios are NEW over OLD',
  operands: ['OLD', 'NEW'],
  targets: {},
  async run({ quick, progress, alarm, kept, operands }): Promise<Figures> {
    const [oldCommit, newCommit] = operands.map(commitOf) as [string, string];
    const cores = chooseCores();
    moveSelfTo(cores.load);
    await using stack = new AsyncDisposableStack();
    const older = checkOut(stack, 'old', oldCommit, progress);
    const newer = checkOut(stack, 'new', newCommit, progress);
    const ground = stack.use(await layGround(cores));
    const commits = { old: oldCommit, new: newCommit };
    return await compare(ground, [older, newer], commits, { quick, alarm, kept });
  },
};

function commitOf(revision: string): string {
  const args = ['rev-parse', '--verify', '--end-of-options', `${revision}^{commit}`];
  const { status, stdout, error } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  if (error !== undefined) throw new UsageError(`revisions are Git's, and git cannot be started: ${error.message}`);
  if (status !== 0) throw new UsageError(`no revision ${revision} here; git log --oneline shows some`);
  return stdout.trim();
}

function checkOut(stack: AsyncDisposableStack, name: string, commit: string, progress: (text: string) => void): System {
  const git = (...args: readonly string[]): string =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  const folder = mkdtempSync(join(tmpdir(), 'reeve-compare-'));
  const remove = (): void => {
    rmSync(folder, { recursive: true, force: true });
    git('worktree', 'prune');
  };
  process.once('exit', remove);
  stack.defer(remove);
  const checkout = join(folder, name);
  git('worktree', 'add', '--detach', checkout, commit);
  symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'));
  progress(`${name}: ${git('log', '-1', '--format=%h %s', commit)}`);
  if (
    readFileSync(join(root, 'package-lock.json'), 'utf8') !== readFileSync(join(checkout, 'package-lock.json'), 'utf8')
  )
    progress(`  its package-lock.json is another one; it runs with the packages of this checkout`);
  return reeve({ name, root: checkout });
}

async function compare(
  ground: Ground,
  systems: readonly [System, System],
  commits: Readonly<Record<string, string>>,
  { quick, alarm, kept }: Pick<SuiteRun, 'quick' | 'alarm' | 'kept'>,
): Promise<Figures> {
  const tokens = await makeTokens('HS256', 1);
  const length = quick ? { rounds: 5, seconds: 1, warmSeconds: 2 } : { rounds: 12, seconds: 4, warmSeconds: 6 };
  await using stage = await setStage(ground, job('W4'), tokens, systems);
  const rounds = await playRounds(ground, stage, length);
  const disturbed = alarmOf(rounds.flat());
  if (disturbed !== undefined) alarm(disturbed);
  const syscalls: Record<string, Syscalls> = {};
  if (straceMissing() === undefined)
    for (const each of stage.running)
      syscalls[each.system.name] = await countSyscalls(ground, stage, each, quick ? 2000 : 10_000);
  await checkRecords(stage);
  const contest = { job: stage.job, passed: stage.passed, rounds };
  const raw = { commits, contest, syscalls };
  // Also where what follows fails.
  kept(keep(raw, 'compare'));
  const allocation: Record<string, Allocation[]> = {};
  const lasts = { repeats: quick ? 1 : 3, countSeconds: 1 };
  for (const system of systems)
    allocation[system.name] = await measureAllocation(ground, system, job('W4'), tokens, lasts);
  kept(keep({ ...raw, allocation }, 'compare'));
  const figures: Record<string, number | readonly [number, number]> = {};
  const add = (name: string, values: readonly number[]): void => {
    const { median, low, high } = estimate(values);
    figures[name] = median;
    figures[`${name}_ci`] = [low, high];
  };
  add('new_vs_old', ratios(contest, 'new', 'old') as number[]);
  for (const { name } of systems) {
    add(
      `${name}_cpu_us_per_request`,
      valuesOf(contest, name, (window) => 1e6 / perCpuSec(window)),
    );
    add(
      `${name}_rss_mb`,
      valuesOf(contest, name, ({ rssMb }) => rssMb),
    );
    const counted = syscalls[name];
    if (counted !== undefined) figures[`${name}_syscalls_per_request`] = counted.calls / counted.requests;
    add(
      `${name}_alloc_bytes_per_request`,
      (allocation[name] ?? []).map(({ bytes, requests }) => bytes / requests),
    );
  }
  return figures;
}
