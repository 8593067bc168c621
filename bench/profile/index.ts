/**
 * Where the CPU of a request goes: perf's samples of a sidecar at W4, with its core full and at 1,000 requests a second, by the system call
 * of the kernel, Node's own code and the rooms of Reeve.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { chooseCores, moveSelfTo } from '../datapath/cores.ts';
import { job } from '../datapath/figures.ts';
import { type Ground, layGround } from '../datapath/ground.ts';
import { generate } from '../datapath/latency.ts';
import { type Running, startSystem } from '../datapath/system.ts';
import { subject } from '../datapath/systems/index.ts';
import { makeTokens } from '../datapath/tokens.ts';
import { type Traffic, writeTraffic } from '../datapath/traffic.ts';
import { wrk } from '../datapath/wrk.ts';
import type { Figures, Suite } from '../run.ts';
import { UsageError } from '../usage-error.ts';
import { PARTS, type RoomOf, roomsOfBundle } from './parts.ts';
import { countParts, perfMissing, record, SAMPLES_PER_SEC } from './samples.ts';

const FILE: string = join(import.meta.dirname, '../../docs/profile.md');
const PER_SEC = 1000;
/** Until perf looks, and longer than it does, s. */
const LEAD_SEC = 1;

/** µs of CPU a request, by part. */
type Profile = ReadonlyMap<string, number>;

interface Profiles {
  readonly saturated: Profile;
  readonly open_1000: Profile;
}

export const suite: Suite = {
  describe: 'Where the CPU of a request goes at W4: kernel, Node, and the rooms of Reeve, by perf',
  targets: {},
  options: { publish: { help: 'writes docs/profile.md anew' } },
  async run({ quick, commit, progress, options }): Promise<Figures> {
    const lack = perfMissing();
    if (lack !== undefined) throw new UsageError(`a profile is made by ${lack}`);
    const profiles = await profile(quick ? 3 : 20, progress);
    const text = tableOf(profiles);
    progress(`\n${text}`);
    if (options['publish'] === true) writeFileSync(FILE, pageOf(text, commit));
    return figuresOf(profiles);
  },
};

async function profile(seconds: number, progress: (text: string) => void): Promise<Profiles> {
  const cores = chooseCores();
  moveSelfTo(cores.load);
  await using ground = await layGround(cores);
  const tokens = await makeTokens('HS256', 1);
  const place = await ground.place(subject.name, job('W4'), tokens, { nodeFlags: ['--perf-basic-prof'] });
  await using running = await startSystem(subject, place, cores.system);
  // Where V8 says what it compiled, and perf looks for it.
  using _ = { [Symbol.dispose]: () => rmSync(`/tmp/perf-${running.tree.pid}.map`, { force: true }) };
  const traffic = writeTraffic(ground.dir, job('W4'), tokens);
  const load = { port: place.port, core: cores.load, traffic, name: subject.name };
  const roomOf = roomsOfBundle();
  progress('warming up');
  await wrk({ ...load, seconds: 6 });
  progress('the core is full');
  const saturated = await sampled(running, ground, seconds, roomOf, async () =>
    wrk({ ...load, seconds: seconds + 2 * LEAD_SEC }),
  );
  progress(`${PER_SEC.toLocaleString('en')} requests a second`);
  const open = await sampled(running, ground, seconds, roomOf, () => openLoop(ground, traffic, place.port, seconds));
  return { saturated, open_1000: open };
}

/** The generator is made for windows of a few seconds. */
async function openLoop(
  ground: Ground,
  traffic: Traffic,
  port: number,
  seconds: number,
): Promise<{ requests: number }> {
  let requests = 0;
  for (let left = seconds + 2 * LEAD_SEC; left > 0; left -= 5)
    requests += (await generate(ground, { ...traffic, port, perSec: PER_SEC, seconds: Math.min(5, left) })).requests;
  return { requests };
}

async function sampled(
  { tree }: Running,
  { dir, cores }: Ground,
  seconds: number,
  roomOf: RoomOf,
  load: () => Promise<{ requests: number }>,
): Promise<Profile> {
  const before = tree.cost().cpuNs;
  const [{ requests }, file] = await Promise.all([load(), record({ pid: tree.pid, core: cores.load, seconds, dir })]);
  const usEach = (tree.cost().cpuNs - before) / 1000 / requests;
  const counts = await countParts(file, tree.pid, roomOf);
  const all = [...counts.values()].reduce((sum, each) => sum + each, 0);
  return new Map([...counts].map(([part, count]) => [part, (count / all) * usEach]));
}

const sumOf = (values: Iterable<number>): number => [...values].reduce((sum, each) => sum + each, 0);

/** Rooms first by what they take when the core is full. */
function partsOf({ saturated, open_1000 }: Profiles): string[] {
  const known: readonly string[] = PARTS;
  const rooms = [...new Set([...saturated.keys(), ...open_1000.keys()])].filter((part) => !known.includes(part));
  rooms.sort((a, b) => (saturated.get(b) ?? 0) - (saturated.get(a) ?? 0));
  return [...known.filter((part) => saturated.has(part) || open_1000.has(part)), ...rooms];
}

function tableOf(profiles: Profiles): string {
  const { saturated, open_1000 } = profiles;
  const columns = [saturated, open_1000];
  const cells = (of: (profile: Profile) => number): string =>
    columns
      .map((each) => `${of(each).toFixed(1)} | ${((100 * of(each)) / sumOf(each.values())).toFixed(0)} %`)
      .join(' | ');
  const known: readonly string[] = PARTS;
  return [
    `| | core full, µs a request | | ${PER_SEC.toLocaleString('en')} requests/s, µs a request | |`,
    '|---|--:|--:|--:|--:|',
    ...partsOf(profiles).map(
      (part) => `| ${known.includes(part) ? part : `\`src/${part}\``} | ${cells((each) => each.get(part) ?? 0)} |`,
    ),
    `| all | ${cells((each) => sumOf(each.values()))} |`,
  ].join('\n');
}

function figuresOf(profiles: Profiles): Figures {
  const figures: Record<string, number> = {};
  for (const [name, each] of Object.entries(profiles) as [string, Profile][]) {
    figures[`${name}_us`] = sumOf(each.values());
    for (const part of partsOf(profiles)) {
      const key = part.toLowerCase().replaceAll(/\W+/g, '_');
      figures[`${name}_${key}_us`] = each.get(part) ?? 0;
    }
  }
  return figures;
}

const pageOf = (table: string, commit: string): string => `# Where the CPU of a request goes

Written by \`npm run bench -- profile --publish\` on ${new Date().toISOString().slice(0, 10)} from commit ${commit}. Machine: ${cpus()[0]?.model ?? 'unknown'}, Linux ${release()}, Node ${process.version}.

A sidecar at [W4](../bench/datapath/README.md): a signed token, a limit, a record and metrics for each request, 10,000 tenants. perf looks ${SAMPLES_PER_SEC} times a second of its CPU time; the shares are of the µs that the same window took. V8 puts functions into their callers, and what was put into
another room's counts as that room's. For comparisons with others see [the benchmark](benchmarks.md).

${table}

- **Kernel.** Two reads, two writes and a part of a wait a request: loopback TCP, whose other end is served within the write. With one request at a time each write wakes who waits for it, and each answer is waited for anew.
- **Node and V8: native code.** From the kernel's event to a function of ours and back: libuv, the handle of the socket, the scope that each callback is run in; builtins and the collector.
- **Rooms.** What Reeve itself does. \`npm run bench -- micro\` has the parts by themselves.
`;
