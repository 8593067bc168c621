/** The comparison's own parts: what it measures with, and that its checks void a proxy that does not do the work. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { checkCorrectness } from '../../bench/datapath/correctness.ts';
import { addedMs, figuresOf, job } from '../../bench/datapath/figures.ts';
import { Histogram } from '../../bench/datapath/histogram.ts';
import { type LatencyWindow, latenessOf } from '../../bench/datapath/latency.ts';
import type { OpenLoopResult } from '../../bench/datapath/open-loop.ts';
import type { Results } from '../../bench/datapath/results.ts';
import { estimate, median } from '../../bench/datapath/statistics.ts';
import type { Running } from '../../bench/datapath/system.ts';
import { systems } from '../../bench/datapath/systems/index.ts';
import { tableOf } from '../../bench/datapath/table.ts';
import { render } from '../../bench/datapath/template.ts';
import { drawRanks, linesOf, PROBES, TENANTS } from '../../bench/datapath/tenants.ts';
import { AUDIENCE, ISSUER, makeTokens } from '../../bench/datapath/tokens.ts';
import type { Window } from '../../bench/datapath/window.ts';
import { createTenantWork } from '../../bench/peers/tenant-work.ts';
import { type Ending, listening } from '../helpers/sidecar.ts';

t.test('the histogram is within 0.8 % of the true quantile', async (t) => {
  for (const scale of [1, 300, 40_000, 900_000]) {
    const histogram = new Histogram();
    for (let at = 1; at <= 1000; at++) histogram.add((at * scale) / 10);
    for (const share of [0.5, 0.99, 1]) {
      const wanted = share * 100 * scale;
      const off = Math.abs(histogram.quantile(share) - wanted);
      t.ok(off <= Math.max(1, wanted * 0.008), `${share} of ${scale}: off by ${off}`);
    }
    t.equal(histogram.total, 1000);
  }
  t.equal(new Histogram().quantile(0.5), 0);
});

t.test('the interval holds the median, is that of equal rounds, and narrows with more of them', async (t) => {
  t.same(estimate([2, 2, 2, 2, 2]), { median: 2, low: 2, high: 2 });
  const rounds = Array.from({ length: 9 }, (_, at) => 1 + ((at * 7) % 9) / 10);
  const few = estimate(rounds);
  const many = estimate(Array.from({ length: 10 }, () => rounds).flat());
  t.equal(few.median, median(rounds));
  t.ok(few.low < few.median && few.high > few.median);
  t.ok(many.high - many.low < few.high - few.low);
});

t.test('a template keeps the lines of its level and algorithm', async (t) => {
  const text = ['always @NAME@', 'from2  #: W2-', 'only2  #: W2', 'low  #: W0-W1', 'hs  #: W2- HS256', 'rs //: RS256'];
  const kept = (level: 'W0' | 'W2' | 'W4', algorithm: 'HS256' | 'RS256'): string[] =>
    render(text.join('\n'), job(level, algorithm), { NAME: 'x' }).split('\n');
  t.same(kept('W0', 'HS256'), ['always x', 'low']);
  t.same(kept('W2', 'HS256'), ['always x', 'from2', 'only2', 'hs']);
  t.same(kept('W4', 'RS256'), ['always x', 'from2', 'rs']);
  t.throws(() => render('@ABSENT@', job('W0'), {}), /ABSENT/);
});

t.test('requests come in the order of Zipf, and never from tenants that are kept for checks', async (t) => {
  const ranks = drawRanks(100_000);
  const counts = new Float64Array(TENANTS);
  for (const rank of ranks) (counts[rank] as number)++;
  t.ok(Math.abs((counts[0] as number) / 100_000 - 0.102) < 0.01);
  t.ok(Math.abs((counts[0] as number) / (counts[9] as number) - 10) < 2);
  t.same(Array.from(counts.slice(-PROBES)), [0, 0, 0]);
});

t.test('a request that waits behind a stall is charged for the wait', async (t) => {
  let asked = 0;
  const server = createServer((_, response) => {
    // One answer of 400 takes 300 ms; with one connection, 60 requests are due meanwhile.
    if (++asked === 200) setTimeout(() => response.end('late'), 300);
    else response.end('soon');
  });
  const port = await listening(t, server);
  const dir = mkdtempSync(join(tmpdir(), 'reeve-open-loop-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, 'credentials'), 't0 token\n');
  writeFileSync(join(dir, 'order'), '0\n');
  const config = {
    port,
    perSec: 200,
    seconds: 2,
    connections: 1,
    credentialsFile: join(dir, 'credentials'),
    orderFile: join(dir, 'order'),
    header: 'authorization',
    prefix: 'Bearer',
  };
  writeFileSync(join(dir, 'config'), JSON.stringify(config));
  const program = join(import.meta.dirname, '../../bench/datapath/open-loop.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [program, join(dir, 'config')]);
  const result = JSON.parse(stdout) as OpenLoopResult;
  t.equal(result.requests, 400);
  t.equal(result.wrong, 0);
  // One of 320 counted answers alone is beyond p99; the wait of those behind it makes 6 % of them slow.
  t.ok(result.p99Us > 200_000, `p99 ${result.p99Us} µs`);
});

const BODY = 'x'.repeat(1024);
const limits = linesOf(TENANTS, (name, tier) => `${name} ${tier.name} ${tier.perSec}`)
  .trimEnd()
  .split('\n');

interface Spoiling {
  /** Before the tenant's work: true when the request is answered. */
  readonly before?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** What reaches the application. */
  readonly arrives?: (headers: IncomingHttpHeaders, path: string) => void;
}

/** A proxy with its application in one server. It does what the peers do, but for what is spoilt. */
async function checked(t: Ending, { before, arrives }: Spoiling): Promise<string[]> {
  const tokens = await makeTokens('HS256', 1);
  const work = createTenantWork({
    level: 'W3',
    algorithm: 'HS256',
    issuer: ISSUER,
    audience: AUDIENCE,
    secret: tokens.secret,
    publicPem: '',
    recordFile: '',
    limits,
  });
  const server = createServer(async (request, response) => {
    if (before?.(request, response) === true) return;
    const { headers, url } = request;
    const { refused } = work.admit(headers);
    if (refused !== 0) return void response.writeHead(refused).end();
    arrives?.(headers, url ?? '');
    const want = /^\/t\/(t\d+)\//.exec(url ?? '')?.[1];
    if (want !== undefined && want !== headers['x-tenant-id']) return void response.writeHead(421).end();
    if (url !== '/echo') return void response.end(BODY);
    const chunks: Buffer[] = await request.toArray();
    const rawHeaders = Object.entries(headers).flatMap(([name, value]) => [name, String(value)]);
    response.end(JSON.stringify({ rawHeaders, body: Buffer.concat(chunks).toString() }));
  });
  const port = await listening(t, server);
  const place = { port, job: job('W3'), tokens } as unknown as Running['place'];
  return checkCorrectness({ system: systems[1], place } as unknown as Running);
}

t.test('a proxy that does the work passes', async (t) => {
  t.equal((await checked(t, {})).length, 21);
});

t.test('a proxy that leaves out a part of the work is void', async (t) => {
  const answered = (response: ServerResponse): boolean => {
    response.end(BODY);
    return true;
  };
  let served = 0;
  const spoilt: readonly [RegExp, Spoiling][] = [
    [/no token is refused/, { before: ({ headers }, response) => !headers.authorization && answered(response) }],
    [
      /what t00000 forged is gone/,
      { arrives: (headers, path) => void (path === '/echo' && (headers['x-tenant-id'] += ', evil')) },
    ],
    [/no tier t00000 chose/, { arrives: (headers) => void (headers['x-tenant-tier'] = 'evil') }],
    [/arrives as itself/, { arrives: (headers) => void (headers['x-tenant-id'] = 't00000') }],
    [/over the limit/, { before: ({ url }, response) => url === '/items' && ++served > 6 && answered(response) }],
  ];
  for (const [why, how] of spoilt) await t.rejects(checked(t, how), why);
});

const fixedRate = (lateP99Us: number): LatencyWindow => ({
  ...{ system: 'direct', cpuNs: 0, requests: 1, wrong: 0, p50Us: 1, p99Us: 1, p999Us: 1, collections: 0, tries: 1 },
  ...{ latencies: [], lateP99Us },
});

const window = (system: string, requests: number): Window => ({
  system,
  requests,
  tookUs: 1e6,
  cpuNs: 1e9,
  waitNs: 0,
  others: 0,
  stolen: 0,
  rssMb: 50,
  tries: 1,
});

const noResults: Results = {
  ...{ command: '', startedAt: '', commit: '', subject: '', versions: {}, notes: {}, missing: [], directPerSec: 1e5 },
  ...{ contests: [], latency: [], syscalls: {}, allocation: {}, idleRssMb: {}, fastShare: {} },
};

t.test('figures are medians of ratios within a round; what was not measured has none', async (t) => {
  // The machine was twice as fast in the second round: ratios do not notice.
  const rounds = [10, 20, 10].map((speed) => [
    window('reeve-general', 30 * speed),
    window('haproxy', 20 * speed),
    window('undici', 60 * speed),
  ]);
  const latency = [1, 2].map((speed) => [
    { ...fixedRate(100), system: 'reeve-general', cpuNs: 64e6 / speed, requests: 16 },
    { ...fixedRate(100), system: 'haproxy', cpuNs: 128e6 / speed ** 2, requests: 16 },
  ]);
  const results: Results = {
    ...noResults,
    subject: 'reeve-general',
    missing: ['envoy: bench/peers/install.sh'],
    contests: [{ job: job('W4'), passed: {}, rounds }],
    latency: [{ perSec: 1000, rounds: latency }],
  };
  const figures = figuresOf(results);
  t.match(figures, {
    vs_haproxy: 1.5,
    vs_haproxy_ci: [1.5, 1.5],
    vs_undici: 0.5,
    rss_10k_tenants_mb: 50,
    vcpu_open_1000: 3,
    vcpu_open_vs_haproxy: 0.75,
    vcpu_open_vs_haproxy_ci: [0.5, 1],
  });
  t.notOk('vs_envoy' in figures || 'fast_share' in figures);
  const table = tableOf(results);
  t.match(table, '1.50× (1.50 … 1.50)');
  t.match(table, '0.50× (0.50 … 0.50)');
  t.match(table, 'Not installed, and so not here: envoy');
});

t.test('what is added is of the requests of all rounds together', (t) => {
  const counts = (...of: readonly (readonly [us: number, times: number])[]) => {
    const histogram = new Histogram();
    for (const [us, times] of of) for (let i = 0; i < times; i++) histogram.add(us);
    return histogram.counts;
  };
  const windows = (slow: number, slowUs: number, haproxyUs: number): LatencyWindow[] => [
    { ...fixedRate(100), latencies: counts([100, 1000]) },
    { ...fixedRate(100), system: 'reeve', latencies: counts([150, 1000 - slow], [slowUs, slow]) },
    { ...fixedRate(100), system: 'haproxy', latencies: counts([haproxyUs, 1000]) },
  ];
  // In half of the rounds the p99 is a slow one; of all requests 0.9 % are.
  const rounds = Array.from({ length: 20 }, (_, at) => windows(at % 2 === 0 ? 14 : 4, 5000, 200));
  t.equal(addedMs(rounds, 'reeve', 0.5).median, 0.05);
  const { median, low, high } = addedMs(rounds, 'reeve', 0.99);
  t.same([median, low], [0.05, 0.05]);
  t.ok(high > 4, 'not surely');
  const figuresFor = (latency: LatencyWindow[][]) =>
    figuresOf({ ...noResults, subject: 'reeve', latency: [{ perSec: 1000, rounds: latency }] });
  t.match(figuresFor(rounds), { added_p50_ms: 0.05, added_p50_vs_haproxy: 0.5, added_p99_vs_haproxy: 0.5 });
  const without = figuresFor([windows(0, 0, 200).slice(0, 2)]);
  t.ok('added_p99_ms' in without && !('added_p99_vs_haproxy' in without));
  t.notOk('added_p99_vs_haproxy' in figuresFor([windows(0, 0, 105)]), 'HAProxy added nothing that can be told');
  t.notOk('added_p99_ms' in figuresFor([windows(0, 0, 200).slice(1)]), 'without the direct way');
  t.end();
});

t.test('a generator that was late is told beside what it measured', async (t) => {
  t.equal(latenessOf([fixedRate(20), fixedRate(200)]), undefined);
  const late = [fixedRate(100), fixedRate(300), fixedRate(900)];
  t.match(latenessOf(late), /over 200 µs at p99 in 2 of 3 windows, by 300 µs in the median, which is in their p99$/);
  t.match(latenessOf([...late, { ...fixedRate(900), tries: 3 }]), /; 1 were measured again for it$/);
});

t.test('a suite says by --help what it measures, and by --json all that a program needs', async (t) => {
  const { stdout: help } = await promisify(execFile)(process.execPath, ['bench/run.ts', 'datapath', '--help']);
  t.match(help, /^The data path: Reeve and its peers at equal work\nusage: .*\[--brief\]/);
  t.match(help, /^ {2}vs_haproxy +must 1, goal 1.4, or more$/m);
  t.match(help, /^ {2}--publish +writes docs\/benchmarks.md anew/m);
  const args = ['bench/run.ts', 'micro', '--quick', '--json'];
  const run = await promisify(execFile)(process.execPath, args).catch((error: unknown) => error);
  const { code = 0, stdout } = run as { code?: number; stdout: string };
  const said = JSON.parse(stdout);
  t.match(said, {
    suite: 'micro',
    commit: /^[0-9a-f]{7}/,
    machine: { node: process.version },
    unmeasured: [],
    alarms: [],
  });
  t.same(
    Object.keys(said.targets).filter((name) => typeof said.figures[name] !== 'number'),
    [],
  );
  t.equal(code, said.missed.length === 0 ? 0 : 1);
});

t.test('what cannot be measured ends with 2 and says what can, before anything is started', async (t) => {
  const said = async (...args: readonly string[]): Promise<string> => {
    const run = promisify(execFile)(process.execPath, ['bench/run.ts', ...args]);
    const { code, stderr } = (await run.catch((error: unknown) => error)) as { code?: number; stderr: string };
    t.equal(code, 2, args.join(' '));
    return stderr;
  };
  t.match(await said('datapth'), /did you mean datapath/);
  t.match(await said('datapath', '--systems', 'haprox'), /no system haprox; there are reeve, .*haproxy/);
  t.match(await said('datapath', '--nope'), /^Unknown option '--nope'\nusage: .*--systems NAME,NAME/);
  t.match(await said('datapath', '--quick', '--publish'), /^--publish needs a full run/);
  t.match(await said('compare', 'nosuch', 'HEAD'), /^no revision nosuch here/);
});
