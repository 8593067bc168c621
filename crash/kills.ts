/**
 * `npm run crash -- --kills N`: two sidecars under load and a collector, each killed by SIGKILL again and again, at any moment and at named
 * points of its work with the disk. In the end what is in the ledger is held against what each client saw: an answer that was whole and is
 * not there was lost, one that is there twice was doubled.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createNetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seeded } from '../test/helpers/scale.ts';
import { Clients, tenants } from './clients.ts';
import { Actor, type Fate, type Role } from './company.ts';
import { type Ledgered, readLedger } from './ledgered.ts';
import { ALL_POINTS, followerOf, LEDGER_POINTS, SPOOL_POINTS, SUMS_POINTS } from './points.ts';

export interface KillsOptions {
  readonly kills: number;
  readonly seed: number;
  /** Spools hold 1 MiB, the ledger's segments 128 KiB, a save is made all the time, and now and then the collector is away: spools fill, are folded and refuse. */
  readonly isSmall?: boolean;
}

export interface KillsResult {
  readonly kills: number;
  /** Answers that clients saw whole. */
  readonly requests: number;
  /** Of these, before the last kill. */
  readonly between: number;
  readonly recorded: number;
  readonly lost: number;
  readonly doubled: number;
  /** Records that are missing in the ledger by its own account. */
  readonly gaps: number;
  /** In the ledger, and nobody sent them. */
  readonly invented: number;
  /** In the ledger in windows: the ladder folded them while the collector was away. */
  readonly folded: number;
  /** What the collector answers to who asks for requests, all in all. */
  readonly queried: number;
  /** Kills by who and where. */
  readonly points: Readonly<Record<string, number>>;
  /** Named points that nobody was killed at. */
  readonly never: readonly string[];
  readonly seconds: number;
}

const CLIENTS_EACH = 4;
/** Behind the last kill everybody serves again: so many answers of each are waited for. */
const ANSWERS_AFTER = 50;
/** How long a life is that is not ended at a point, ms, at most. */
const LIFE_MS_MAX = 600;
/** How long a point is waited for, ms, at most. */
const PATIENCE_MS = 2500;
/** Of so many lives one ends at a moment, from outside. */
const MOMENTS = 3;
/** Of so many kills of small ones the collector is away for the first part, so that spools are folded. */
const TURN = 30;
const AWAY = 20;
/** How often a place that nobody was killed at yet is chosen. */
const NEW = 0.5;

/** How often a sidecar comes to these in a second or two; to the others once or twice, and so a collector to all. */
const OFTEN: Readonly<Record<string, number>> = { append: 100, sync: 10 };

/** As a command: prints the result, and returns the exit code. */
export async function runKills({ isJson, ...options }: KillsOptions & { readonly isJson: boolean }): Promise<number> {
  const result = await killAndJudge(options, (text) => process.stderr.write(`${text}\n`));
  print(result, isJson);
  return isGood(result) ? 0 : 1;
}

export const isGood = ({ lost, doubled, invented, queried, recorded }: KillsResult): boolean =>
  lost + doubled + invented === 0 && queried === recorded;

/** Files are kept, and said where, when a promise was broken. Rejects when a process does not live as it should, or nobody is served behind the last kill. */
export async function killAndJudge(
  { kills, seed, isSmall = false }: KillsOptions,
  progress: (text: string) => void,
): Promise<KillsResult> {
  const began = performance.now();
  // The same order of fates in every run; what comes of them is for the machine to say.
  const random = seeded(seed);
  const dir = mkdtempSync(join(tmpdir(), 'reeve-crash-'));
  progress(`${kills} kills, seed ${seed}, in ${dir}`);
  const application = await openApplication();
  const ports = await freePorts(5);
  const [grpc, http] = [ports[3] as number, ports[4] as number];
  const collector = new Actor(collectorRole(dir, grpc, http));
  const sidecars = [0, 1].map((at) => new Actor(sidecarRole(dir, at, ports[at] as number, portOf(application), grpc)));
  writeTenancy(dir);
  const actors = [...sidecars, collector];
  try {
    const points: Record<string, number> = {};
    const clients = new Clients(ports.slice(0, 2), CLIENTS_EACH);
    // What was answered before the first kill is there behind the last, too.
    await Promise.all(actors.map((actor) => actor.start()));
    await clients.seeMore(1);
    await Promise.all(actors.map((actor) => actor.end()));
    await killAll(actors, { kills, isSmall, random, points, progress });
    const between = clients.seen.size;
    await Promise.all(actors.map((actor) => actor.start()));
    await clients.seeMore(ANSWERS_AFTER);
    await clients.stop();
    for (const sidecar of sidecars) await sidecar.stop();
    const queried = await askRequests(http);
    await collector.stop();
    const result = judge(clients, readLedger(join(dir, 'collector/ledger')), { between, queried, points, began });
    if (isGood(result)) rmSync(dir, { recursive: true, force: true });
    else progress(`the files are kept in ${dir}`);
    return result;
  } finally {
    for (const actor of actors) actor.kill();
    application.closeAllConnections();
    application.close();
  }
}

/** Each lives one life after the other until all kills are done. */
async function killAll(
  actors: readonly Actor[],
  {
    kills,
    isSmall,
    random,
    points,
    progress,
  }: {
    readonly kills: number;
    readonly isSmall: boolean;
    readonly random: () => number;
    readonly points: Record<string, number>;
    readonly progress: (text: string) => void;
  },
): Promise<void> {
  let left = kills;
  let told = 0;
  const run = async (actor: Actor): Promise<void> => {
    const isCollector = actor.role.name === 'collector';
    let met: string | undefined;
    while (left > 0) {
      if (isCollector && isSmall && told % TURN < AWAY) {
        await sleep(100);
        continue;
      }
      left--;
      const fate = fateOf(actor, { random, met, isSmall, points });
      met = await actor.live(fate, isSmall ? smallOf(actor.role) : actor.role);
      if (met === undefined) {
        left++;
        continue;
      }
      const at = `${whoOf(actor)} ${met}`;
      points[at] = (points[at] ?? 0) + 1;
      // Now and then the one it talks to dies with it.
      if (random() < 0.1) for (const other of actors) if (other !== actor && random() < 0.5) other.kill();
      if (++told % 50 === 0) progress(`${told} of ${kills} kills`);
    }
  };
  await Promise.all(actors.map(run));
}

const whoOf = ({ role }: Actor): string => (role.name === 'collector' ? 'collector' : 'sidecar');

function smallOf(role: Role): Role {
  if (role.name === 'collector') return { ...role, program: 'crash/small-collector.ts', args: [] };
  // One that is killed while its spool is full and open has records that nobody knows of: docs/fault-model.md.
  return { ...role, env: { ...role.env, REEVE_METERING_MAX_BYTES: '1MiB', REEVE_METERING_ON_FULL: 'failClosed' } };
}

function fateOf(
  actor: Actor,
  {
    random,
    met,
    isSmall,
    points,
  }: {
    readonly random: () => number;
    /** Where its last life ended. */
    readonly met: string | undefined;
    readonly isSmall: boolean;
    readonly points: Readonly<Record<string, number>>;
  },
): Fate {
  const follower = met === undefined ? undefined : followerOf(met, random() < 0.5 ? 'before' : 'after');
  if (follower !== undefined && random() < 0.8)
    return { kind: 'point', point: follower, count: 1, patienceMs: PATIENCE_MS };
  if (random() * MOMENTS < 1) return { kind: 'moment', afterMs: Math.floor(random() * LIFE_MS_MAX) };
  const who = whoOf(actor);
  const all = who === 'collector' ? [...LEDGER_POINTS, ...SUMS_POINTS] : SPOOL_POINTS;
  const fresh = all.filter((each) => points[`${who} ${each}`] === undefined);
  const names = fresh.length > 0 && random() < NEW ? fresh : all;
  const point = names[Math.floor(random() * names.length)] as string;
  const [what, call = ''] = point.split('.');
  // A save is made by a stop, or behind much more than a short life has.
  if (what === 'sums' && !isSmall) return { kind: 'parting', point, afterMs: random() * LIFE_MS_MAX };
  const often = what === 'spool' ? (OFTEN[call] ?? 2) : 3;
  // It is folded when it is full, not before.
  const patience = call === 'rename' ? 1 : random();
  return { kind: 'point', point, count: 1 + Math.floor(random() * often), patienceMs: patience * PATIENCE_MS };
}

function judge(
  clients: Clients,
  ledger: Ledgered,
  { between, queried, points, began }: Pick<KillsResult, 'between' | 'queried' | 'points'> & { readonly began: number },
): KillsResult {
  const { records, folded, gaps } = ledger;
  let missing = 0;
  for (const id of clients.seen) if (!ledger.times.has(id)) missing++;
  // Windows know no ids: as many as were folded may be there, and a gap says how many a full spool had no room for.
  const lost = Math.max(0, missing - folded - gaps);
  let doubled = 0;
  let invented = 0;
  for (const [id, times] of ledger.times) {
    if (times > 1) doubled++;
    if (!clients.sent.has(id)) invented++;
  }
  // Nor is more there than was sent.
  invented += Math.max(0, records - doubled - clients.sent.size);
  return {
    kills: Object.values(points).reduce((sum, each) => sum + each, 0),
    requests: clients.seen.size,
    between,
    recorded: records,
    folded,
    lost,
    doubled,
    gaps,
    invented,
    queried,
    points,
    never: ALL_POINTS.filter((point) => points[point] === undefined),
    seconds: Math.round((performance.now() - began) / 1000),
  };
}

function print(result: KillsResult, isJson: boolean): void {
  if (isJson) return void process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  const { points, never, ...figures } = result;
  for (const [name, value] of Object.entries(figures))
    process.stdout.write(`${name.padEnd(10)} ${String(value).padStart(9)}\n`);
  process.stdout.write('\nkilled at\n');
  for (const [name, value] of Object.entries(points).sort())
    process.stdout.write(`  ${name.padEnd(36)} ${String(value).padStart(5)}\n`);
  if (never.length > 0) process.stdout.write(`\nnobody was killed at\n  ${never.join('\n  ')}\n`);
}

/** All requests that were ever recorded, as the collector says. */
async function askRequests(port: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/usage?meter=requests&from=1d`);
  const { rows } = (await answer.json()) as { rows: readonly { readonly value: number }[] };
  return rows.reduce((sum, { value }) => sum + value, 0);
}

/** What the application says was used: records of a kilobyte, so that a spool of 1 MiB fills in seconds. */
const USED = Array.from({ length: 16 }, (_, i) => `${'a_meter_of_a_long_name_'.repeat(2)}${i}=1`).join(', ');

async function openApplication(): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 60_000 }, (req, res) => {
    res.setHeader('x-reeve-usage', USED);
    if (req.url === '/empty') res.writeHead(204).end();
    else if (req.url === '/large') res.end(Buffer.alloc(200_000, 'x'));
    else if (req.url === '/chunked') {
      res.write('first,');
      setImmediate(() => res.end('last'));
    } else res.end('a whole answer');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** Ports that are free now, below those that the kernel gives to who asks for any. */
async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let port = 20_000 + (process.pid % 5000); ports.length < count; port++) if (await isFree(port)) ports.push(port);
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createNetServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

function sidecarRole(dir: string, at: number, port: number, upstream: number, collector: number): Role {
  return {
    name: `sidecar ${at}`,
    args: ['sidecar', '--config', join(dir, `sidecar-${at}.yaml`)],
    started: '"sidecar.started"',
    env: {
      REEVE_UPSTREAM: `http://127.0.0.1:${upstream}`,
      REEVE_TENANCY_DIR: join(dir, 'tenancy'),
      REEVE_STATE_DIR: join(dir, `state-${at}`),
      REEVE_INBOUND_HOST: '127.0.0.1',
      REEVE_INBOUND_PORT: String(port),
      REEVE_INBOUND_CLASS: 'mesh',
      REEVE_INBOUND_TRUST: 'network',
      REEVE_IDENTITY_SOURCES: 'header',
      REEVE_STATUS_HOST: '127.0.0.1',
      REEVE_STATUS_PORT: '0',
      REEVE_ADMIN_PORT: '0',
      REEVE_APPLICATION_PORT: '0',
      // Half of the requests go through each engine.
      REEVE_WIRE_FAST_PATH: String(at === 0),
      REEVE_METERING_COLLECTOR_ADDRESS: `127.0.0.1:${collector}`,
      REEVE_METERING_TRACE_IDS: 'true',
    },
  };
}

function collectorRole(dir: string, grpc: number, http: number): Role {
  return {
    name: 'collector',
    args: ['collector'],
    started: '"collector.started"',
    env: {
      REEVE_COLLECTOR_DIR: join(dir, 'collector'),
      REEVE_COLLECTOR_GRPC_PORT: String(grpc),
      REEVE_COLLECTOR_HTTP_PORT: String(http),
      REEVE_COLLECTOR_STATUS_HOST: '127.0.0.1',
      REEVE_COLLECTOR_STATUS_PORT: '0',
    },
  };
}

function writeTenancy(dir: string): void {
  mkdirSync(join(dir, 'tenancy'));
  const document = (kind: string, name: string, spec: object): string =>
    JSON.stringify({ apiVersion: 'reeve.dev/v1', kind, metadata: { name }, spec });
  const documents = [
    document('Plan', 'any', {}),
    ...tenants.map((name) => document('Tenant', name, { plan: 'any', identity: { claims: [name] } })),
  ];
  writeFileSync(join(dir, 'tenancy/all.yaml'), `${documents.join('\n---\n')}\n`);
  for (const [at, name] of ['orders', 'payments'].entries())
    writeFileSync(join(dir, `sidecar-${at}.yaml`), document('Sidecar', name, {}));
}
