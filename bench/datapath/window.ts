/** One measured window: the system continues, is loaded, is stopped again; what it cost, and whether something disturbed it. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from './statistics.ts';
import type { Running } from './system.ts';
import type { Traffic } from './traffic.ts';
import { wrk } from './wrk.ts';

export interface Window {
  readonly system: string;
  readonly requests: number;
  readonly tookUs: number;
  readonly cpuNs: number;
  /** Its threads ready and waiting for the core; of several threads, also for each other. */
  readonly waitNs: number;
  /** Share of the core's time that other processes took. */
  readonly others: number;
  /** Share of the core's time that the hypervisor took. */
  readonly stolen: number;
  readonly rssMb: number;
  /** More than one when the machine stood still meanwhile. */
  readonly tries: number;
}

/** Shares beyond which a window is called disturbed. /proc/stat counts in ticks of 10 ms, 1 % of the shortest window. */
const OTHERS_MAX = 0.03;
const STOLEN_MAX = 0.01;
const TICK_NS = 1e7;

/** Lets what piled up in a stopped process come and go, ms. */
const SETTLE_MS = 30;

export const perCpuSec = ({ requests, cpuNs }: Window): number => requests / (cpuNs / 1e9);

export const isDisturbed = ({ others, stolen, tries }: Window): boolean =>
  others > OTHERS_MAX || stolen > STOLEN_MAX || tries > 1;

/** The alarm of a comparison in one line; undefined when nothing disturbed it. */
export function alarmOf(windows: readonly Window[]): string | undefined {
  const disturbed = windows.filter(isDisturbed).length;
  if (disturbed === 0) return undefined;
  const percent = (value: (window: Window) => number): string => `${(median(windows.map(value)) * 100).toFixed(1)} %`;
  const waited = percent(({ waitNs, cpuNs }) => waitNs / cpuNs);
  return (
    `${disturbed} of ${windows.length} windows disturbed; in the median the system waited ${waited} of its running time ` +
    `for the core, others took ${percent(({ others }) => others)} of it, ${percent(({ stolen }) => stolen)} was stolen`
  );
}

export async function measureWindow(
  running: Running,
  cores: { readonly system: number; readonly load: number },
  traffic: Traffic,
  seconds: number,
): Promise<Omit<Window, 'tries'>> {
  const { system, place, tree } = running;
  tree.continue();
  try {
    await sleep(SETTLE_MS);
    const pids = tree.pids();
    const before = { ...tree.cost(pids), core: coreTimes(cores.system) };
    const load = await wrk({ port: place.port, core: cores.load, traffic, seconds, name: system.name });
    const { cpuNs, waitNs } = tree.cost(pids);
    running.sent += load.requests;
    const after = coreTimes(cores.system);
    const ticks = after.all - before.core.all;
    return {
      system: system.name,
      ...load,
      cpuNs: cpuNs - before.cpuNs,
      waitNs: waitNs - before.waitNs,
      others: Math.max(0, (after.busy - before.core.busy) * TICK_NS - (cpuNs - before.cpuNs)) / (ticks * TICK_NS),
      stolen: (after.stolen - before.core.stolen) / ticks,
      rssMb: tree.rssMb(),
    };
  } finally {
    tree.stop();
  }
}

/** In ticks, from /proc/stat: user nice system idle iowait irq softirq steal. */
function coreTimes(core: number): { readonly all: number; readonly busy: number; readonly stolen: number } {
  const line = new RegExp(`^cpu${core} (.+)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? '';
  const ticks = line.split(' ').slice(0, 8).map(Number);
  const all = ticks.reduce((sum, each) => sum + each, 0);
  const stolen = ticks[7] ?? 0;
  return { all, busy: all - (ticks[3] ?? 0) - (ticks[4] ?? 0) - stolen, stolen };
}
