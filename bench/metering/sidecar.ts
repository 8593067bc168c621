/**
 * What metering costs a sidecar: two of them side by side, equal but that one records and tells a collector. CPU a request when the core is
 * full, latency at a fixed rate, bytes told an event.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../../test/helpers/processes.ts';
import { chooseCores, moveSelfTo } from '../datapath/cores.ts';
import { type Ground, layGround } from '../datapath/ground.ts';
import { Histogram } from '../datapath/histogram.ts';
import type { Job } from '../datapath/job.ts';
import { generate, latenessOf } from '../datapath/latency.ts';
import type { OpenLoopWindow } from '../datapath/open-loop.ts';
import { freePorts } from '../datapath/ports.ts';
import { ProcessTree } from '../datapath/process-tree.ts';
import { bootstrap, estimate } from '../datapath/statistics.ts';
import { opened, type Running, startSystem } from '../datapath/system.ts';
import { reeve } from '../datapath/systems/reeve.ts';
import { makeTokens } from '../datapath/tokens.ts';
import { type Traffic, writeTraffic } from '../datapath/traffic.ts';
import { wrk } from '../datapath/wrk.ts';
import type { Figures, SuiteRun } from '../run.ts';

/** Without an access log, and without limits that would stop one tenant at 1,000 a second: metering alone is the difference. */
const JOB: Job = { level: 'W2', algorithm: 'HS256', tokensPerTenant: 1 };
const PER_SEC = 1000;
/** Until the last batches are told, ms. */
const TELL_MS = 2500;
/** Many short windows, so that what disturbs the machine disturbs both alike. */
const WINDOW_SEC = 2;
const WARM_SEC = 4;
const FRESH_MS_MAX = 10_000;

interface Pair<T> {
  readonly plain: T;
  readonly raw: T;
}

export async function measureSidecar({ quick, progress, alarm }: SuiteRun): Promise<Figures> {
  const [rounds, seconds] = quick ? [3, 2] : [30, 5];
  const cores = chooseCores();
  const tokens = await makeTokens(JOB.algorithm, 1);
  moveSelfTo(cores.load);
  await using ground = await layGround(cores);
  // On a real disk: what is recorded is written.
  const dir = mkdtempSync(join(tmpdir(), 'reeve-bench-metering-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(dir, { recursive: true, force: true }));
  const collector = await startCollector(stack, dir, cores.load);
  const traffic = writeTraffic(ground.dir, JOB, tokens);
  const start = async (name: string, flags: readonly string[]): Promise<Running> => {
    const system = reeve({ name, flags });
    return stack.use(await startSystem(system, await ground.place(name, JOB, tokens), cores.system));
  };
  const metering = [`--metering-dir=${join(dir, 'spool')}`, `--metering-collector-address=127.0.0.1:${collector.grpc}`];
  const folding = [`--metering-dir=${join(dir, 'folded')}`, `--metering-collector-address=127.0.0.1:${collector.grpc}`];
  const plain = await start('plain', []);
  const raw = await start('raw', metering);
  const folded = await start('folded', [...folding, '--metering-granularity=window']);
  const cpu: number[] = [];
  const fixedRate: Pair<OpenLoopWindow>[] = [];
  for (let round = -1; round < rounds; round++) {
    progress(
      round < 0 ? 'metering in the sidecar: warming up' : `metering in the sidecar: round ${round + 1} of ${rounds}`,
    );
    const seconds = round < 0 ? WARM_SEC : WINDOW_SEC;
    const us = await inTurn({ plain, raw }, round, (each) => cpuUs(each, ground, traffic, seconds));
    const atFixedRate = await inTurn({ plain, raw }, round, (each) => fixedRateOf(each, ground, traffic, seconds));
    if (round < 0) continue;
    cpu.push(us.raw - us.plain);
    fixedRate.push(atFixedRate);
  }
  const late = latenessOf(fixedRate.flatMap(({ plain, raw }) => [plain, raw]));
  if (late !== undefined) alarm(late);
  const freshness = await measureFreshness(raw, collector.http, traffic, quick ? 20 : 200);
  const bytesRaw = await bytesAnEvent(raw, ground, traffic, seconds);
  const bytesFolded = await bytesAnEvent(folded, ground, oneTenant(traffic), seconds);
  const [cpuEach, addedMs] = [estimate(cpu), bootstrap(fixedRate, addedP99Ms)];
  return {
    cpu_us_per_request: cpuEach.median,
    cpu_us_per_request_ci: [cpuEach.low, cpuEach.high],
    added_p99_ms: addedMs.median,
    added_p99_ms_ci: [addedMs.low, addedMs.high],
    bytes_per_event_raw: bytesRaw,
    bytes_per_event_folded: bytesFolded,
    freshness_p99_ms: freshness,
  };
}

/** One after the other; which is first changes from round to round. */
async function inTurn<T>(
  { plain, raw }: Pair<Running>,
  round: number,
  measure: (each: Running) => Promise<T>,
): Promise<Pair<T>> {
  if (round % 2 !== 0) {
    const first = await measure(raw);
    return { plain: await measure(plain), raw: first };
  }
  return { plain: await measure(plain), raw: await measure(raw) };
}

async function cpuUs({ place, tree }: Running, ground: Ground, traffic: Traffic, seconds: number): Promise<number> {
  const before = tree.cost().cpuNs;
  const { requests } = await wrk({ port: place.port, core: ground.cores.load, traffic, seconds, name: 'metering' });
  return (tree.cost().cpuNs - before) / 1000 / requests;
}

function fixedRateOf({ place }: Running, ground: Ground, traffic: Traffic, seconds: number): Promise<OpenLoopWindow> {
  return generate(ground, { ...traffic, port: place.port, perSec: PER_SEC, seconds });
}

/** Of all requests of the rounds: the difference of two quantiles of single windows is mostly chance. */
function addedP99Ms(rounds: readonly Pair<OpenLoopWindow>[]): number {
  const [plain, raw] = [new Histogram(), new Histogram()];
  for (const round of rounds) {
    plain.merge(round.plain.latencies);
    raw.merge(round.raw.latencies);
  }
  return (raw.quantile(0.99) - plain.quantile(0.99)) / 1000;
}

/** From the moment a client has its answer until the collector's answers have the request, p99 in ms. */
async function measureFreshness(
  { place }: Running,
  httpPort: number,
  traffic: Traffic,
  times: number,
): Promise<number> {
  const [first] = readFileSync(traffic.credentialsFile, 'utf8').split('\n', 1) as [string];
  const [tenant, credential] = first.split(' ');
  const recorded = async (): Promise<number> => {
    const url = `http://127.0.0.1:${httpPort}/v1/usage?tenant=${tenant}&meter=requests&from=1h`;
    const { rows } = (await (await fetch(url)).json()) as { rows: { value: number }[] };
    return rows[0]?.value ?? 0;
  };
  await sleep(TELL_MS);
  let requests = await recorded();
  const tookMs: number[] = [];
  for (let i = 0; i < times; i++) {
    const headers = { authorization: `Bearer ${credential}` };
    const answer = await fetch(`http://127.0.0.1:${place.port}/t/${tenant}/items`, { headers });
    await answer.arrayBuffer();
    if (answer.status !== 200) throw new Error(`void: an answer of ${answer.status}`);
    requests++;
    const began = performance.now();
    while ((await recorded()) < requests)
      if (performance.now() - began > FRESH_MS_MAX) throw new Error('void: a request is not in the answers');
    tookMs.push(performance.now() - began);
    // Not in step with the batches of the sidecar.
    await sleep(37 * (i % 11));
  }
  return quantile(tookMs, 0.99);
}

/** Compressed payload told for a record, at 1,000 requests a second. */
async function bytesAnEvent({ place }: Running, ground: Ground, traffic: Traffic, seconds: number): Promise<number> {
  await sleep(TELL_MS);
  const before = await told(place.statusPort);
  await generate(ground, { ...traffic, port: place.port, perSec: PER_SEC, seconds: seconds * 2 });
  await sleep(TELL_MS);
  const after = await told(place.statusPort);
  return (after.bytes - before.bytes) / (after.records - before.records);
}

async function told(statusPort: number): Promise<{ bytes: number; records: number }> {
  const text = await (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text();
  const sum = (pattern: RegExp): number =>
    [...text.matchAll(pattern)].reduce((total, [, value]) => total + Number(value), 0);
  return {
    bytes: sum(/^reeve_meter_sent_bytes_total\{form="compressed"\} (\S+)$/gm),
    records: sum(/^reeve_meter_records_total\{[^}]*\} (\S+)$/gm),
  };
}

/** All requests are the busiest tenant's: what folding is for. */
function oneTenant(traffic: Traffic): Traffic {
  const orderFile = `${traffic.orderFile}.one`;
  writeFileSync(orderFile, '0\n');
  return { ...traffic, orderFile };
}

async function startCollector(
  stack: AsyncDisposableStack,
  dir: string,
  core: number,
): Promise<{ readonly grpc: number; readonly http: number }> {
  const [grpc, http, status] = (await freePorts(3)) as [number, number, number];
  const flags = [
    `--dir=${join(dir, 'collector')}`,
    `--grpc-port=${grpc}`,
    `--http-port=${http}`,
    `--status-port=${status}`,
  ];
  // A machine of its own everywhere else: it gives way to the load, whose waiting would count as the sidecar's.
  const command = [
    'nice',
    '-n',
    '19',
    process.execPath,
    join(import.meta.dirname, '../../src/cli/reeve.mjs'),
    'collector',
    ...flags,
  ];
  const tree = stack.use(ProcessTree.start({ core, command, logFile: join(dir, 'collector.log') }));
  await opened(tree, grpc, 'the collector');
  return { grpc, http };
}
