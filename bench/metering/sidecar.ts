/**
 * What metering costs a sidecar: two of them side by side, equal but that one records and tells a collector. CPU a request when the core is
 * full, latency at a fixed rate, bytes told an event.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chooseCores, moveSelfTo } from '../datapath/cores.ts';
import { type Ground, layGround } from '../datapath/ground.ts';
import type { Job } from '../datapath/job.ts';
import { generate } from '../datapath/latency.ts';
import { freePorts } from '../datapath/ports.ts';
import { ProcessTree } from '../datapath/process-tree.ts';
import { estimate } from '../datapath/statistics.ts';
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

export async function measureSidecar({ quick, progress }: SuiteRun): Promise<Figures> {
  const [rounds, seconds] = quick ? [3, 2] : [9, 5];
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
  const metering = [`--metering-dir=${join(dir, 'spool')}`, `--metering-collector-address=127.0.0.1:${collector}`];
  const folding = [`--metering-dir=${join(dir, 'folded')}`, `--metering-collector-address=127.0.0.1:${collector}`];
  const plain = await start('plain', []);
  const raw = await start('raw', metering);
  const folded = await start('folded', [...folding, '--metering-granularity=window']);
  const cpu: number[] = [];
  const p99: number[] = [];
  for (let round = -1; round < rounds; round++) {
    progress(
      round < 0 ? 'metering in the sidecar: warming up' : `metering in the sidecar: round ${round + 1} of ${rounds}`,
    );
    const pair = round % 2 === 0 ? [plain, raw] : [raw, plain];
    const costs = new Map<Running, { us: number; p99: number }>();
    for (const each of pair) costs.set(each, await measure(each, ground, traffic, seconds));
    if (round < 0) continue;
    const [without, withIt] = [costs.get(plain), costs.get(raw)] as { us: number; p99: number }[] as [
      { us: number; p99: number },
      { us: number; p99: number },
    ];
    cpu.push(withIt.us - without.us);
    p99.push(withIt.p99 - without.p99);
  }
  const bytesRaw = await bytesAnEvent(raw, ground, traffic, seconds);
  const bytesFolded = await bytesAnEvent(folded, ground, oneTenant(traffic), seconds);
  const [cpuUs, addedMs] = [estimate(cpu), estimate(p99)];
  return {
    cpu_us_per_request: cpuUs.median,
    cpu_us_per_request_ci: [cpuUs.low, cpuUs.high],
    added_p99_ms: addedMs.median,
    added_p99_ms_ci: [addedMs.low, addedMs.high],
    bytes_per_event_raw: bytesRaw,
    bytes_per_event_folded: bytesFolded,
  };
}

async function measure(
  { place, tree }: Running,
  ground: Ground,
  traffic: Traffic,
  seconds: number,
): Promise<{ us: number; p99: number }> {
  const before = tree.cost().cpuNs;
  const load = { port: place.port, core: ground.cores.load, traffic, seconds, name: 'metering' };
  const { requests } = await wrk(load);
  const us = (tree.cost().cpuNs - before) / 1000 / requests;
  const { p99Us } = await generate(ground, { ...traffic, port: place.port, perSec: PER_SEC, seconds });
  return { us, p99: p99Us / 1000 };
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

async function startCollector(stack: AsyncDisposableStack, dir: string, core: number): Promise<number> {
  const [grpc, http, status] = (await freePorts(3)) as [number, number, number];
  const flags = [
    `--dir=${join(dir, 'collector')}`,
    `--grpc-port=${grpc}`,
    `--http-port=${http}`,
    `--status-port=${status}`,
  ];
  const command = [process.execPath, join(import.meta.dirname, '../../src/cli/reeve.mjs'), 'collector', ...flags];
  const tree = stack.use(ProcessTree.start({ core, command, logFile: join(dir, 'collector.log') }));
  await opened(tree, grpc, 'the collector');
  return grpc;
}
