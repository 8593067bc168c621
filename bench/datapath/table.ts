/** The raw rounds as tables of Markdown: every system, wins and losses alike. */
import { addedMs, vcpuOf } from './figures.ts';
import { jobName } from './job.ts';
import { latenessOf } from './latency.ts';
import { type Contest, type LatencyRun, type Results, ratios, valuesOf } from './results.ts';
import { type Estimate, estimate, median } from './statistics.ts';
import { isDisturbed, perCpuSec } from './window.ts';

export function tableOf(results: Results): string {
  const { contests, latency, missing, directPerSec } = results;
  const windows = contests.flatMap(({ rounds }) => rounds.flat());
  const fastest = Math.max(...windows.map(({ requests, tookUs }) => requests / (tookUs / 1e6)));
  const parts = [
    ...contests.map((contest) => contestTable(contest, results.subject)),
    ...latency.filter(({ rounds }) => rounds.length > 0).map(latencyTable),
    restTable(results),
    `The direct way carried ${Math.round(directPerSec)} requests/s, ${(directPerSec / fastest).toFixed(1)} times the fastest window of a proxy. ` +
      `Disturbed windows (other processes took over 3 % of the core of the system, or over 1 % was stolen): ${windows.filter(isDisturbed).length} of ${windows.length}.`,
    missing.length === 0 ? '' : `Not installed, and so not here: ${missing.join('; ')}.`,
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function contestTable(contest: Contest, subject: string): string {
  const rows = systemsOf(contest).map((system) => {
    const perSec = estimate(valuesOf(contest, system, perCpuSec));
    const rss = median(valuesOf(contest, system, ({ rssMb }) => rssMb));
    const ratio = system === subject ? undefined : ratios(contest, subject, system);
    const cells = [
      system,
      perSec.median.toFixed(0),
      `${perSec.low.toFixed(0)} … ${perSec.high.toFixed(0)}`,
      (1e6 / perSec.median).toFixed(1),
      ratio === undefined ? '' : ratioText(estimate(ratio)),
      rss.toFixed(0),
    ];
    return row(cells);
  });
  return [
    `### ${jobName(contest.job)}`,
    '',
    row(['system', 'requests / CPU-second', '95 % interval', 'CPU µs / request', `${subject} against it`, 'RSS MB']),
    row(['---', '--:', '--:', '--:', '--:', '--:']),
    ...rows,
  ].join('\n');
}

function latencyTable({ perSec, rounds }: LatencyRun): string {
  const systems = (rounds[0] ?? []).map(({ system }) => system).filter((system) => system !== 'direct');
  const rows = systems.map((system) => {
    const p50 = addedMs(rounds, system, 0.5);
    const p99 = addedMs(rounds, system, 0.99);
    const cpu = rounds.flatMap((windows) => vcpuOf(windows, system));
    const late = rounds.flatMap((windows) =>
      windows.filter((window) => window.system === system).map(({ lateP99Us }) => lateP99Us / 1000),
    );
    return row([system, intervalText(p50), intervalText(p99), median(late).toFixed(3), median(cpu).toFixed(3)]);
  });
  const late = latenessOf(rounds.flat());
  return [
    `### Latency added at ${perSec} requests/s, open loop, 16 connections`,
    '',
    row(['system', 'p50 ms', 'p99 ms', 'generator late, p99 ms', 'vCPU for 1,000 requests/s']),
    row(['---', '--:', '--:', '--:', '--:']),
    ...rows,
    ...(late === undefined ? [] : ['', `${late[0]?.toUpperCase()}${late.slice(1)}.`]),
  ].join('\n');
}

function restTable({ syscalls, allocation, idleRssMb }: Results): string {
  const systems = [...new Set([...Object.keys(syscalls), ...Object.keys(allocation), ...Object.keys(idleRssMb)])];
  const of = (values: readonly number[] | undefined, digits: number): string =>
    values === undefined || values.length === 0 ? '' : median(values).toFixed(digits);
  return [
    '### A request, and memory at rest (W4 HS256)',
    '',
    row(['system', 'system calls / request', 'heap bytes / request', 'RSS MB with 1 tenant, idle']),
    row(['---', '--:', '--:', '--:']),
    ...systems.map((system) =>
      row([
        system,
        of(
          syscalls[system]?.map(({ calls, requests }) => calls / requests),
          2,
        ),
        of(
          allocation[system]?.map(({ bytes, requests }) => bytes / requests),
          0,
        ),
        of(idleRssMb[system], 0),
      ]),
    ),
  ].join('\n');
}

/** In the order of the table of systems, which is that of even rounds. */
const systemsOf = ({ rounds }: Contest): string[] => (rounds[0] ?? []).map(({ system }) => system);

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const ratioText = ({ median: middle, low, high }: Estimate): string =>
  `${middle.toFixed(2)}× (${low.toFixed(2)} … ${high.toFixed(2)})`;

const intervalText = ({ median: middle, low, high }: Estimate): string =>
  `${middle.toFixed(3)} (${low.toFixed(3)} … ${high.toFixed(3)})`;
