/** A plan played: every comparison, then what each system is by itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SuiteRun } from '../run.ts';
import { UsageError } from '../usage-error.ts';
import { measureAllocation } from './allocation.ts';
import { checkAll } from './check.ts';
import { chooseCores, moveSelfTo } from './cores.ts';
import { job } from './figures.ts';
import { type Ground, layGround } from './ground.ts';
import { jobName } from './job.ts';
import { latenessOf, playLatency } from './latency.ts';
import type { Plan } from './plan.ts';
import { keep, type Results } from './results.ts';
import { checkRecords, playRounds, type Stage, setStage } from './stage.ts';
import { countSyscalls, straceMissing } from './syscalls.ts';
import { type System, startSystem } from './system.ts';
import { subject, systems } from './systems/index.ts';
import { makeTokens, type Tokens } from './tokens.ts';
import { writeTraffic } from './traffic.ts';
import { alarmOf } from './window.ts';
import { wrk } from './wrk.ts';

interface Run {
  readonly ground: Ground;
  readonly plan: Plan;
  readonly systems: readonly System[];
  readonly results: Results;
  readonly say: Pick<SuiteRun, 'progress' | 'alarm'>;
}

/** Raw rounds, kept as a file too. The process is moved to the core of the load. */
export async function measure(o: SuiteRun, plan: Plan): Promise<Results> {
  const results = emptyResults(o);
  const present = presentSystems(o, results);
  await using ground = await prepareGround();
  const run: Run = { ground, plan, systems: present, results, say: o };
  results.directPerSec = await measureDirect(ground);
  for (const contest of plan.contests) await compare(run, contest);
  for (const system of run.systems) await measureAlone(run, system);
  o.kept(keep(results, 'datapath'));
  return results;
}

/** The same systems on the same ground, and only the question whether each does its work. Says how many checks passed. */
export async function checkSystems(o: SuiteRun): Promise<number> {
  const present = presentSystems(o, emptyResults(o));
  await using ground = await prepareGround();
  return await checkAll(ground, present, o.progress);
}

async function prepareGround(): Promise<Ground> {
  const cores = chooseCores();
  // Signing uses all cores: it comes before this process is moved to one.
  await makeTokens('RS256', 1);
  moveSelfTo(cores.load);
  return await layGround(cores);
}

function emptyResults({ quick, commit, options }: SuiteRun): Results {
  const flags = [
    quick ? ' --quick' : '',
    options['brief'] === true ? ' --brief' : '',
    options['systems'] === undefined ? '' : ` --systems ${options['systems']}`,
  ];
  return {
    command: `npm run bench -- datapath${flags.join('')}`,
    startedAt: new Date().toISOString(),
    commit,
    subject: subject.name,
    versions: Object.fromEntries(
      systems.filter((each) => each.missing() === undefined).map((each) => [each.name, each.version()]),
    ),
    notes: Object.fromEntries(systems.map(({ name, note }) => [name, note])),
    missing: [],
    directPerSec: 0,
    contests: [],
    latency: [],
    syscalls: {},
    allocation: {},
    idleRssMb: {},
    fastShare: {},
  };
}

/** What is missing is named and left out. */
function presentSystems({ options, alarm }: SuiteRun, { missing }: Results): System[] {
  const only = typeof options['systems'] === 'string' ? options['systems'].split(',') : undefined;
  const stray = only?.find((name) => !systems.some((system) => system.name === name));
  if (stray !== undefined)
    throw new UsageError(`no system ${stray}; there are ${systems.map(({ name }) => name).join(', ')}`);
  const wanted = systems.filter(({ name }) => only === undefined || only.includes(name) || name === subject.name);
  for (const lack of [...wanted.map((system) => system.missing()), straceMissing()]) {
    if (lack === undefined) continue;
    missing.push(lack);
    alarm(`MISSING ${lack}`);
  }
  return wanted.filter((system) => system.missing() === undefined);
}

async function measureDirect(ground: Ground): Promise<number> {
  const { requests, tookUs } = await wrk({
    port: ground.upstreamPort,
    core: ground.cores.load,
    traffic: writeTraffic(ground.dir, job('W0'), await makeTokens('HS256', 1)),
    seconds: 1,
    name: 'the application',
  });
  return requests / (tookUs / 1e6);
}

const pick = (all: readonly System[], only: readonly string[] | undefined): System[] =>
  all.filter(({ name }) => only === undefined || only.includes(name));

async function compare(run: Run, o: Plan['contests'][number]): Promise<void> {
  const { ground, results, say } = run;
  const tokens = await makeTokens(o.job.algorithm, o.job.tokensPerTenant);
  await using stage = await setStage(ground, o.job, tokens, pick(run.systems, o.only));
  say.progress(`${jobName(o.job)}: ${stage.running.map(({ system }) => system.name).join(', ')} found correct`);
  const rounds = await playRounds(ground, stage, o);
  results.contests.push({ job: o.job, passed: stage.passed, rounds });
  const disturbed = alarmOf(rounds.flat());
  if (disturbed !== undefined) say.alarm(disturbed);
  if (results.contests.length === 1) await measureMore(run, stage);
  await checkRecords(stage);
}

/** With the systems of the first comparison, which are warm. */
async function measureMore({ ground, plan, results, say }: Run, stage: Stage): Promise<void> {
  const some: Stage = {
    ...stage,
    running: stage.running.filter(({ system }) => plan.latency.only?.includes(system.name) ?? true),
  };
  for (const perSec of plan.latency.perSec) {
    say.progress(`latency at ${perSec}/s`);
    // Faster, on two cores, it is always very late.
    const triesMax = perSec > 1000 ? 1 : plan.latency.triesMax;
    const rounds = await playLatency(ground, some, { ...plan.latency, perSec, triesMax });
    results.latency.push({ perSec, rounds });
    const late = latenessOf(rounds.flat());
    if (late !== undefined) say.alarm(late);
  }
  for (const running of stage.running) {
    const { system, place, tree } = running;
    if (system.fastShare !== undefined) {
      tree.continue();
      const answer = await fetch(`http://127.0.0.1:${place.statusPort}${system.metricsPath}`);
      results.fastShare[system.name] = system.fastShare(await answer.text());
      tree.stop();
    }
    if (straceMissing() !== undefined || !(plan.counted?.includes(system.name) ?? true)) continue;
    const counted = (results.syscalls[system.name] = [] as (typeof results.syscalls)[string]);
    for (let at = 0; at < plan.repeats; at++)
      counted.push(await countSyscalls(ground, stage, running, plan.tracedRequests));
  }
}

/** What needs a start of its own: memory at rest, and allocation under V8's trace. */
async function measureAlone({ ground, plan, results, say }: Run, system: System): Promise<void> {
  if (!(plan.counted?.includes(system.name) ?? true)) return;
  say.progress(`${system.name} alone`);
  const tokens: Tokens = await makeTokens('HS256', 1);
  const idle = (results.idleRssMb[system.name] = [] as number[]);
  for (let at = 0; at < plan.repeats; at++) {
    const place = await ground.place(system.name, job('W4'), tokens, { tenants: 1 });
    await using running = await startSystem(system, place, ground.cores.system);
    await sleep(500);
    idle.push(running.tree.rssMb());
  }
  if (!system.isNode) return;
  results.allocation[system.name] = await measureAllocation(ground, system, job('W4'), tokens, plan);
}
