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
import type { Figures, Suite, SuiteRun } from '../run.ts';
import { UsageError } from '../usage-error.ts';
import { PARTS, type RoomOf, roomsOfCheckout } from './parts.ts';
import { countParts, LEAD_SEC, perfMissing, record, SAMPLES_PER_SEC } from './samples.ts';

const FILE: string = join(import.meta.dirname, '../../docs/profile.md');
const PER_SEC = 1000;
/** Of one life of the generator, which ends before it must be collected, s. 5: the benchmark asks it three times as many requests. */
const GENERATOR_SEC_MAX = 5;
const WARM_SEC = 6;

interface Profile {
  /** µs of CPU a request, by part. */
  readonly us: ReadonlyMap<string, number>;
  readonly samples: number;
  /** That perf looked. */
  readonly seconds: number;
}

interface Profiles {
  readonly saturated: Profile;
  readonly open: Profile;
}

export const suite: Suite = {
  describe: 'Where the CPU of a request goes at W4: kernel, Node, and the rooms of Reeve, by perf',
  targets: {},
  options: { publish: { help: 'writes docs/profile.md anew' } },
  async run(o): Promise<Figures> {
    refuseContradictions(o);
    const lack = perfMissing();
    if (lack !== undefined) throw new UsageError(`a profile is made by ${lack}`);
    const profiles = await profile(o.quick ? 3 : 20, o.progress);
    if (o.options['json'] !== true) o.progress(`\n${tableOf(profiles)}`);
    if (o.options['publish'] === true) writeFileSync(FILE, pageOf(profiles, o.commit));
    return figuresOf(profiles);
  },
};

/** What is published is of more than a look, and of something that others can look at. */
function refuseContradictions({ quick, commit, options }: SuiteRun): void {
  if (options['publish'] !== true) return;
  if (quick) throw new UsageError('--publish needs a full run: leave --quick out');
  if (commit.endsWith('-dirty')) throw new UsageError(`--publish needs a commit, and this is ${commit}`);
}

async function profile(seconds: number, progress: (text: string) => void): Promise<Profiles> {
  const cores = chooseCores();
  moveSelfTo(cores.load);
  await using ground = await layGround(cores);
  const tokens = await makeTokens('HS256', 1);
  const place = await ground.place(subject.name, job('W4'), tokens, { nodeFlags: ['--perf-basic-prof'] });
  await using running = await startSystem(subject, place, cores.system);
  using _ = removedAtEnd(`/tmp/perf-${running.tree.pid}.map`);
  const traffic = writeTraffic(ground.dir, job('W4'), tokens);
  const load = { port: place.port, core: cores.load, traffic, name: subject.name };
  const roomOf = roomsOfCheckout();
  progress('warming up');
  await wrk({ ...load, seconds: WARM_SEC });
  progress('the core is full');
  const saturated = await sampled(running, ground, seconds, roomOf, async () =>
    wrk({ ...load, seconds: seconds + 2 * LEAD_SEC }),
  );
  progress(`${PER_SEC.toLocaleString('en')} requests a second`);
  const open = await sampled(running, ground, seconds, roomOf, () =>
    openLoop(ground, traffic, place.port, seconds + 2 * LEAD_SEC),
  );
  return { saturated, open };
}

/** Where V8 says what it compiled, and perf looks for it: also when the run is interrupted. */
function removedAtEnd(file: string): Disposable {
  const remove = (): void => rmSync(file, { force: true });
  process.once('exit', remove);
  return { [Symbol.dispose]: remove };
}

async function openLoop(
  ground: Ground,
  traffic: Traffic,
  port: number,
  seconds: number,
): Promise<{ requests: number }> {
  let requests = 0;
  for (let left = seconds; left > 0; left -= GENERATOR_SEC_MAX) {
    const window = { ...traffic, port, perSec: PER_SEC, seconds: Math.min(GENERATOR_SEC_MAX, left) };
    requests += (await generate(ground, window)).requests;
  }
  return { requests };
}

/** The µs are of the whole load, the shares of what perf saw of it. */
async function sampled(
  { tree }: Running,
  { dir, cores }: Ground,
  seconds: number,
  roomOf: RoomOf,
  load: () => Promise<{ requests: number }>,
): Promise<Profile> {
  const before = tree.cost().cpuNs;
  // Each is waited for, also when the other fails: neither outlives what it looks at.
  const [loaded, recorded] = await Promise.allSettled([
    load(),
    record({ pid: tree.pid, core: cores.load, seconds, dir }),
  ]);
  if (loaded.status === 'rejected') throw loaded.reason;
  if (recorded.status === 'rejected') throw recorded.reason;
  const usEach = (tree.cost().cpuNs - before) / 1000 / loaded.value.requests;
  const counts = await countParts(recorded.value, tree.pid, roomOf);
  const samples = sumOf(counts.values());
  return { us: new Map([...counts].map(([part, count]) => [part, (count / samples) * usEach])), samples, seconds };
}

const sumOf = (values: Iterable<number>): number => [...values].reduce((sum, each) => sum + each, 0);
const isRoom = (part: string): boolean => !(part in PARTS);

/** Rooms last, first those that take most when the core is full. */
function partsOf({ saturated, open }: Profiles): string[] {
  const seen = new Set([...saturated.us.keys(), ...open.us.keys()]);
  const rooms = [...seen].filter(isRoom);
  rooms.sort((a, b) => (saturated.us.get(b) ?? 0) - (saturated.us.get(a) ?? 0));
  return [...Object.keys(PARTS).filter((part) => seen.has(part)), ...rooms];
}

function tableOf(profiles: Profiles): string {
  const columns = [profiles.saturated.us, profiles.open.us];
  const cells = (of: (us: ReadonlyMap<string, number>) => number): string =>
    columns.map((us) => `${of(us).toFixed(1)} | ${((100 * of(us)) / sumOf(us.values())).toFixed(0)} %`).join(' | ');
  return [
    `| | core full, µs a request | | ${PER_SEC.toLocaleString('en')} requests/s, µs a request | |`,
    '|---|--:|--:|--:|--:|',
    ...partsOf(profiles).map(
      (part) => `| ${isRoom(part) ? `\`src/${part}\`` : part} | ${cells((us) => us.get(part) ?? 0)} |`,
    ),
    `| all | ${cells((us) => sumOf(us.values()))} |`,
  ].join('\n');
}

function figuresOf(profiles: Profiles): Figures {
  const names: Readonly<Record<string, string>> = PARTS;
  const figures: Record<string, number> = {};
  const add = (column: string, { us }: Profile): void => {
    figures[`${column}_us`] = sumOf(us.values());
    for (const part of partsOf(profiles)) figures[`${column}_${names[part] ?? part}_us`] = us.get(part) ?? 0;
  };
  add('saturated', profiles.saturated);
  add(`open_${PER_SEC}`, profiles.open);
  return figures;
}

function pageOf(profiles: Profiles, commit: string): string {
  const { saturated, open } = profiles;
  const size = ({ seconds, samples }: Profile): string => `${seconds} s and ${samples.toLocaleString('en')} samples`;
  return `# Where the CPU of a request goes

Written by \`npm run bench -- profile --publish\` on ${new Date().toISOString().slice(0, 10)} from commit ${commit}. Machine: ${cpus()[0]?.model ?? 'unknown'}, Linux ${release()}, Node ${process.version}.

A sidecar at [W4](../bench/datapath/README.md): a signed token, a limit, a record and metrics for each request, 10,000 tenants. perf looks ${SAMPLES_PER_SEC} times a second of its CPU time. Each column is one window, without an interval: ${size(saturated)} with the core full, ${size(open)} at ${PER_SEC.toLocaleString('en')} requests a second. The shares are what perf saw; the µs are these shares of the CPU time that the load took, which begins ${LEAD_SEC} s before perf and ends after it. For comparisons with others see [the benchmark](benchmarks.md).

${tableOf(profiles)}

What is counted where:

- **Kernel.** By the system call it was in. \`write\` and \`read\` are with their vectors (\`writev\`), \`epoll\` is all of its calls, \`other\` is other calls, the way into a call and out of it, and interrupts. \`npm run bench -- datapath\` counts the calls: \`syscalls_per_request\`. The clock is cpu-clock: code which runs with interrupts off is booked where they come on again.
- **Node and V8: native code.** libuv and Node, the interpreter, the collector and compilers where they run in the main thread, and builtins, whoever calls them: Map, adding strings, inline caches. The garbage of rooms counts here as well.
- **Rooms.** What is compiled from \`src/\`: a lower bound of what they cost, for their builtins and garbage are Node's. V8 puts functions into their callers; what was put into another room's counts as that room's. \`npm run bench -- micro\` has parts of them by themselves.
- **Tokens.** Each tenant has one, and nearly every one was verified before: what verifying costs is \`token_new_ns\` of \`npm run bench -- micro\`.
- **perf itself.** What its interrupts cost is within.

Our reading, not measured here: a write to loopback TCP also runs the other end's receiving, so a part of \`write\` is that of the peer; at a low rate each write wakes who waits for it, and each answer is waited for anew.
`;
}
