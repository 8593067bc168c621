/** The systems of one job, started and found correct; all are stopped except the one that is measured. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { checkCorrectness } from './correctness.ts';
import type { Ground } from './ground.ts';
import { isAtLeast, type Job, jobName } from './job.ts';
import { type Running, type System, startSystem } from './system.ts';
import type { Tokens } from './tokens.ts';
import { type Traffic, writeTraffic } from './traffic.ts';
import { measureWindow, type Window } from './window.ts';
import { StoodStill } from './wrk.ts';

export interface Stage extends AsyncDisposable {
  readonly job: Job;
  readonly traffic: Traffic;
  readonly running: readonly Running[];
  /** What each was found to do. */
  readonly passed: Readonly<Record<string, readonly string[]>>;
}

/** Systems that do not know the level are left out. */
export async function setStage(ground: Ground, job: Job, tokens: Tokens, systems: readonly System[]): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const able = systems.filter(({ levels }) => levels.includes(job.level));
  const starts = able.map(async (system) =>
    stack.use(await startSystem(system, await ground.place(system.name, job, tokens), ground.cores.system)),
  );
  // Also when one fails, all are waited for, so that each is in the stack that ends it.
  await Promise.allSettled(starts);
  const running = await Promise.all(starts);
  const passed: Record<string, readonly string[]> = {};
  for (const each of running) {
    passed[each.system.name] = await checkCorrectness(each);
    each.tree.stop();
  }
  const open = stack.move();
  return {
    job,
    traffic: writeTraffic(ground.dir, job, tokens),
    running,
    passed,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

export interface RoundOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmSeconds: number;
  readonly warmsNodeOnly?: boolean;
}

/** Of a window in which the machine stood still. */
const TRIES_MAX = 3;

/** Rounds in the order ABCD DCBA, so that a drift of the machine meets each system from both sides. */
export async function playRounds(ground: Ground, stage: Stage, o: RoundOptions): Promise<Window[][]> {
  const measure = async (each: Running, seconds: number): Promise<Window> => {
    for (let tries = 1; ; tries++) {
      try {
        return { ...(await measureWindow(each, ground.cores, stage.traffic, seconds)), tries };
      } catch (cause) {
        if (!(cause instanceof StoodStill) || tries === TRIES_MAX) throw cause;
      }
    }
  };
  for (const each of stage.running)
    if (each.system.isNode || o.warmsNodeOnly !== true) await measure(each, o.warmSeconds);
  const rounds: Window[][] = [];
  for (let round = 0; round < o.rounds; round++) {
    const windows: Window[] = [];
    for (const each of inTurn(stage.running, round)) windows.push(await measure(each, o.seconds));
    rounds.push(windows);
  }
  return rounds;
}

export function inTurn<T>(all: readonly T[], round: number): readonly T[] {
  return round % 2 === 0 ? all : all.toReversed();
}

/** Ends the systems and counts what they wrote down. Throws when one lost a record of a request that it answered. */
export async function checkRecords(stage: Stage): Promise<void> {
  for (const { system, place, tree, sent } of stage.running) {
    await tree.end();
    if (!isAtLeast(stage.job.level, 'W4')) continue;
    const written = system.records === 'sink' ? place.sink.lines : await countTenants(join(place.dir, system.records));
    if (written < sent)
      throw new Error(`${system.name} at ${jobName(stage.job)} is void: ${written} records of ${sent} requests`);
  }
}

/** Lines that name a tenant of ours. */
async function countTenants(file: string): Promise<number> {
  let lines = 0;
  for await (const chunk of createReadStream(file)) {
    const bytes = chunk as Buffer;
    for (let at = bytes.indexOf('":"t'); at !== -1; at = bytes.indexOf('":"t', at + 4)) lines++;
  }
  return lines;
}
