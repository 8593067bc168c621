/** A request through the stages of a sidecar as its chain builds them, by itself: no socket, and the bytes of its head read before. */
import {
  empty,
  holdClock,
  type MonotonicMs,
  releaseClock,
  systemClock,
  systemRandom,
  systemTimers,
} from '../../src/core/index.ts';
import { createIdentity, type IdentityOptions } from '../../src/identity/index.ts';
import { createAdmission, createLimits } from '../../src/limits/index.ts';
import { chain, Exchange, type Outcome, type Pipeline } from '../../src/pipeline/index.ts';
import { AccessLog, buildChain, createObserver, openUpstreams } from '../../src/proxy/index.ts';
import { createLog, createMetrics, type Metrics } from '../../src/telemetry/index.ts';
import { emptySnapshot, inspectTenancy, type SidecarConfig, type Snapshot } from '../../src/tenants/index.ts';
import { ByteHeaders, type FieldTable, RequestReader, ResponseReader } from '../../src/wire/index.ts';
import { configFor } from '../../test/helpers/sidecar.ts';
import { makeTenancy, plan, provider, tenant } from '../../test/helpers/tenancy.ts';
import { tenantName } from '../datapath/tenants.ts';
import { AUDIENCE, ISSUER, makeTokens } from '../datapath/tokens.ts';
import { REQUEST, RESPONSE } from './heads.ts';

/** Tenants that ask in turn: more than fit a first-level cache. */
const TENANTS = 1024;
/** By so much the clock of `token_new` goes forward from one request to the next: what was verified is over when its tenant comes again. */
const STEP_MS = 1000;
const SERVED: Outcome = { kind: 'forwarded', status: 200 };

export interface ChainWork {
  readonly works: Readonly<Record<'chain' | 'token_known' | 'token_new' | 'metrics_counted', () => void>>;
  /** All that has been counted, as Prometheus gets it. */
  scrape(): Promise<void>;
}

interface Request {
  readonly reader: RequestReader;
  /** Of its fields, before stages removed some. */
  readonly kept: Uint8Array;
}

type World = Omit<IdentityOptions, 'config'> & { readonly random: typeof systemRandom };

export async function chainWork(): Promise<ChainWork> {
  const tokens = await makeTokens('HS256', 1);
  const requests = Array.from({ length: TENANTS }, (_, rank) => requestOf((tokens.good[rank] as [string])[0]));
  const snapshot = await snapshotOf(tokens.jwks);
  const config = configFor({ upstream: 'http://127.0.0.1:9', 'tenancy.dir': '/', 'log.access': 'all' });
  const world = worldOf(createMetrics({ timers: systemTimers }));
  const { pipeline } = await sidecarChain(world, config, snapshot);
  return {
    works: {
      chain: passage(pipeline, snapshot, requests),
      token_known: identification(await identityChain(worldOf(), config, snapshot), snapshot, requests),
      token_new: identification(await identityChain(forgetful(), config, snapshot), snapshot, requests),
      metrics_counted: counting(config, snapshot, requests),
    },
    async scrape() {
      for await (const _ of world.metrics.exposition());
    },
  };
}

function worldOf(metrics: Metrics = createMetrics({ timers: systemTimers })): World {
  const clock = systemClock;
  const log = createLog({ clock, level: 'info', write() {}, writeRecord() {} });
  return { clock, timers: systemTimers, random: systemRandom, metrics, log, pepper: undefined };
}

/** Every token is new to it. */
function forgetful(): World {
  let now: number = systemClock.now();
  return { ...worldOf(), clock: { ...systemClock, now: () => (now += STEP_MS) as MonotonicMs } };
}

const identityOf = (world: World, config: SidecarConfig): ReturnType<typeof createIdentity> =>
  createIdentity({ ...world, config: { ...config.identity, ...config.inbound, anonymous: config.anonymous } });

const fail = (stage: string, cause: unknown): never => {
  throw new Error(`${stage} threw`, { cause });
};

async function identityChain(world: World, config: SidecarConfig, snapshot: Snapshot): Promise<Pipeline> {
  const identity = identityOf(world, config);
  await identity.prepare(snapshot);
  return chain(fail).use(identity.sanitise).use(identity.identify).compile();
}

async function sidecarChain(world: World, config: SidecarConfig, snapshot: Snapshot): Promise<{ pipeline: Pipeline }> {
  const identity = identityOf(world, config);
  await identity.prepare(snapshot);
  const limits = createLimits(world);
  limits.use(snapshot, emptySnapshot);
  const upstreams = openUpstreams({ ...world, config });
  const pipeline = buildChain({
    observe: createObserver({ ...world, access: new AccessLog({ ...world, access: config.log }) }),
    identity,
    limits,
    admission: createAdmission({
      ...world,
      admission: config.admission,
      connectionsMax: config.wire.upstreamConnectionsMax,
      upstreams: upstreams.names,
    }),
    upstreams: upstreams.addresses,
    onStageThrow: fail,
  });
  return { pipeline };
}

/** Request, answer and end; all that a request's policy costs. */
function passage(pipeline: Pipeline, snapshot: Snapshot, requests: readonly Request[]): () => void {
  const response = new ResponseReader();
  response.read(RESPONSE, 0, RESPONSE.length, false);
  const { fields } = response;
  const kept = fields.kept.slice(0, fields.count);
  let turn = 0;
  return () => {
    holdClock();
    const x = arrivalOf(requests[(turn = (turn + 1) % TENANTS)] as Request, snapshot);
    if (pipeline.request(x) !== undefined) throw new Error('it is refused, or waits');
    x.sentAt = x.headAt = x.acceptedAt;
    x.status = 200;
    begin(fields, kept);
    pipeline.response(x, { status: 200, headers: new ByteHeaders(fields) });
    x.responseBytes = 1024;
    pipeline.done(x, SERVED);
    releaseClock();
  };
}

function identification(pipeline: Pipeline, snapshot: Snapshot, requests: readonly Request[]): () => void {
  let turn = 0;
  return () => {
    const x = arrivalOf(requests[(turn = (turn + 1) % TENANTS)] as Request, snapshot);
    if (pipeline.request(x) !== undefined) throw new Error('it is refused, or waits');
  };
}

/** The end of a request, as it is counted; nothing is logged. */
function counting(config: SidecarConfig, snapshot: Snapshot, requests: readonly Request[]): () => void {
  const world = worldOf();
  const access = new AccessLog({ ...world, access: { ...config.log, access: 'off' } });
  const observer = createObserver({ ...world, access });
  const ended = requests.map((request, rank) => {
    const x = arrivalOf(request, snapshot);
    x.tenant = snapshot.tenantByClaim.get(tenantName(rank));
    return x;
  });
  let turn = 0;
  return () => observer.onDone?.(ended[(turn = (turn + 1) % TENANTS)] as Exchange, SERVED);
}

function requestOf(token: string): Request {
  const head = Buffer.from(REQUEST.toString('latin1').replace(/Bearer \S+/, `Bearer ${token}`), 'latin1');
  const reader = new RequestReader({ headersMax: 100, headBytesMax: 32 * 1024, targetBytesMax: 8192 });
  if (reader.read(head, 0, head.length) !== 'boring') throw new Error('the request is not sound');
  return { reader, kept: reader.fields.kept.slice(0, reader.fields.count) };
}

function arrivalOf({ reader, kept }: Request, snapshot: Snapshot): Exchange {
  begin(reader.fields, kept);
  const target = reader.target();
  return new Exchange({
    id: '7f3c9a1e5b2d4c6f8a0b1c2d3e4f5a6b',
    trustClass: 'edge',
    snapshot,
    acceptedAt: systemClock.now(),
    method: reader.method,
    target,
    path: reader.path(),
    host: reader.host(),
    port: reader.port,
    isWhole: true,
    headers: new ByteHeaders(reader.fields),
    peer: '127.0.0.1',
    route: undefined,
  });
}

/** As if the head had been read anew. */
function begin(fields: FieldTable, kept: Uint8Array): void {
  fields.kept.set(kept);
  empty(fields.appended);
}

async function snapshotOf(jwks: string): Promise<Snapshot> {
  const rate = { requests: { limit: '1000000/s', burst: 1_000_000 } };
  const tenants = Array.from({ length: TENANTS }, (_, rank) => {
    const name = tenantName(rank);
    return tenant(name, { plan: 'pro', identity: { claims: [name] } });
  });
  const dir = makeTenancy({
    'keys.json': jwks,
    'plans.yaml': plan('pro', { rate, degrade: ['reject'] }),
    'providers.yaml': provider('bench', {
      issuer: ISSUER,
      audiences: [AUDIENCE],
      algorithms: ['HS256'],
      tenantClaim: 'tid',
    }),
    'tenants.yaml': tenants.join(''),
  });
  const { snapshot, findings } = await inspectTenancy(dir.dir);
  dir.cleanUp();
  const wrong = findings.find(({ severity }) => severity === 'error');
  if (wrong !== undefined) throw new Error(JSON.stringify(wrong));
  return snapshot;
}
