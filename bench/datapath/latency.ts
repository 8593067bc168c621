/** Latency that a system adds at a fixed rate: its quantiles less those of the direct way, in the same rounds. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Ground } from './ground.ts';
import type { OpenLoopConfig, OpenLoopWindow } from './open-loop.ts';
import { inTurn, type Stage } from './stage.ts';
import { median } from './statistics.ts';
import type { Running } from './system.ts';

export interface LatencyWindow extends OpenLoopWindow {
  /** `direct`: no proxy between. */
  readonly system: string;
  readonly cpuNs: number;
  /** Windows measured until one in which the generator was not very late: this one, or the last that may be. */
  readonly tries: number;
}

export interface LatencyOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly perSec: number;
  /** Of a window in which the generator is very late. */
  readonly triesMax: number;
}

type Measured = Omit<LatencyWindow, 'tries'>;

const CONNECTIONS = 16;

/** More than a generator allocates in its life, MiB: a collection held it for 10 to 15 ms, and that was the p99 of every system. */
const NEVER_COLLECTED = ['--min-semi-space-size=128', '--max-semi-space-size=128'];

/** A generator that was later than this at p99 is seen in the p99 of what it measured, µs: a fifth of what the best proxies add there. */
const LATE_MAX_US = 200;
/** The p99 of such a window is the generator's, µs. */
const VERY_LATE_US = 800;
export const DIRECT = 'direct';

export async function playLatency(ground: Ground, stage: Stage, o: LatencyOptions): Promise<LatencyWindow[][]> {
  const rounds: LatencyWindow[][] = [];
  for (let round = 0; round < o.rounds; round++) {
    const windows: LatencyWindow[] = [];
    for (const each of inTurn([undefined, ...stage.running], round))
      windows.push(
        await onTime(
          () => (each === undefined ? direct(ground, stage, o) : through(each, ground, stage, o)),
          o.triesMax,
        ),
      );
    rounds.push(windows);
  }
  return rounds;
}

/** A window in which the generator was very late says nothing of the system, and is measured again: the rule is the same for all. */
async function onTime(measure: () => Promise<Measured>, triesMax: number): Promise<LatencyWindow> {
  for (let tries = 1; ; tries++) {
    const window = await measure();
    if (window.lateP99Us <= VERY_LATE_US || tries >= triesMax) return { ...window, tries };
  }
}

/** In one line; undefined when the generator was on time. Without `tries` a window was measured once. */
export function latenessOf(windows: readonly { lateP99Us: number; tries?: number }[]): string | undefined {
  const late = windows.filter(({ lateP99Us }) => lateP99Us > LATE_MAX_US).length;
  if (late === 0) return undefined;
  const middle = median(windows.map(({ lateP99Us }) => lateP99Us));
  const again = windows.filter(({ tries = 1 }) => tries > 1).length;
  return (
    `the generator was late by over ${LATE_MAX_US} µs at p99 in ${late} of ${windows.length} windows, by ${middle} µs in the median, ` +
    `which is in their p99${again === 0 ? '' : `; ${again} were measured again for it`}`
  );
}

async function direct(ground: Ground, stage: Stage, o: LatencyOptions): Promise<Measured> {
  // The application checks tenant headers, which nobody adds on the direct way.
  const traffic = { ...stage.traffic, header: '-' };
  return { system: DIRECT, cpuNs: 0, ...(await generate(ground, { ...o, ...traffic, port: ground.upstreamPort })) };
}

async function through(running: Running, ground: Ground, stage: Stage, o: LatencyOptions): Promise<Measured> {
  const { system, place, tree } = running;
  tree.continue();
  try {
    const before = tree.cost();
    const result = await generate(ground, { ...o, ...stage.traffic, port: place.port });
    running.sent += result.requests;
    return { system: system.name, cpuNs: tree.cost().cpuNs - before.cpuNs, ...result };
  } finally {
    tree.stop();
  }
}

/** Requests at a fixed rate, straight to the port. Rejects when an answer was wrong. */
export async function generate(ground: Ground, config: Omit<OpenLoopConfig, 'connections'>): Promise<OpenLoopWindow> {
  const file = join(ground.dir, 'open-loop.json');
  writeFileSync(file, JSON.stringify({ ...config, connections: CONNECTIONS }));
  const program = join(import.meta.dirname, 'open-loop.ts');
  const args = ['-c', String(ground.cores.load), process.execPath, ...NEVER_COLLECTED, program, file];
  const { stdout } = await promisify(execFile)('taskset', args, { timeout: (config.seconds + 60) * 1000 });
  const result = JSON.parse(stdout) as OpenLoopWindow;
  if (result.collections > 0) throw new Error(`void: the generator was collected ${result.collections} times`);
  if (result.wrong > 0) throw new Error(`void: ${result.wrong} wrong answers of ${result.requests} at a fixed rate`);
  return result;
}
