/**
 * A request through the stages of a sidecar as its chain builds them, by itself: no socket, the bytes of its head read before, no head
 * written, and no metering, which is measured alone.
 */
import {
  empty,
  holdClock,
  type MonotonicMs,
  releaseClock,
  renewClock,
  systemClock,
  systemRandom,
  systemTimers,
} from '../../src/core/index.ts';
import { createIdentity, type IdentityOptions } from '../../src/identity/index.ts';
import { createAdmission, createLimits } from '../../src/limits/index.ts';
import { chain, Exchange, type Grant, type Outcome, type Pipeline } from '../../src/pipeline/index.ts';
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
/**
 * By so much the clock of `token_new` goes forward at each reading; a request reads it twice, to look for its token and to keep it. Its
 * tenant comes again after 2 × 1,024 of them, half an hour: a verdict lives ten minutes (VERIFIED_MS in src/identity/token-cache.ts).
 */
const STEP_MS = 1000;
/** Of the application. */
const UPSTREAM_MS = 0.3;
const SERVED: Outcome = { kind: 'forwarded', status: 200 };
const PASSED: Grant = { decision: 'pass', useDegradedRoute: false, isShadowed: false };
/** The engine makes one as it writes the head, which is not of the stages. */
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';

export interface ChainWork {
  readonly works: Readonly<Record<'chain' | 'token_known' | 'token_new' | 'metrics_counted', () => void>>;
  /** All that the chain registers, as Prometheus gets it. */
  scrape(): Promise<void>;
  /** After the works: throws when a token that was to be known was verified, or one that was to be new was known. */
  check(): Promise<void>;
}

interface Request {
  readonly reader: RequestReader;
  /** Of its fields, before stages removed some. */
  readonly kept: Uint8Array;
}

/** Comes again and again, each time just before now. */
type Ended = Exchange & { acceptedAt: MonotonicMs };

type World = Omit<IdentityOptions, 'config'> & { readonly random: typeof systemRandom };

export async function chainWork(): Promise<ChainWork> {
  const tokens = await makeTokens('HS256', 1);
  const requests = Array.from({ length: TENANTS }, (_, rank) => requestOf((tokens.good[rank] as [string])[0]));
  const snapshot = await snapshotOf(tokens.jwks);
  const config = configFor({ upstream: 'http://127.0.0.1:9', 'tenancy.dir': '/', 'log.access': 'all' });
  const world = worldOf(createMetrics({ timers: systemTimers }));
  const { pipeline } = await sidecarChain(world, config, snapshot);
  const [known, fresh] = [worldOf(), forgetful()];
  return {
    works: {
      chain: passage(pipeline, snapshot, requests),
      token_known: identification(await identityChain(known, config, snapshot), snapshot, requests),
      token_new: identification(await identityChain(fresh, config, snapshot), snapshot, requests),
      metrics_counted: counting(config, snapshot, requests),
    },
    async scrape() {
      for await (const _ of world.metrics.exposition());
    },
    async check() {
      const [ofKnown, ofNew] = [await lookUps(known.metrics), await lookUps(fresh.metrics)];
      // The first of each tenant is new.
      if (ofKnown.hit === 0 || ofKnown.miss > TENANTS) throw new Error(`token_known: ${JSON.stringify(ofKnown)}`);
      if (ofNew.miss === 0 || ofNew.hit > 0) throw new Error(`token_new: ${JSON.stringify(ofNew)}`);
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

/** What the cache of tokens said, and how often. */
async function lookUps(metrics: Metrics): Promise<Record<'hit' | 'miss', number>> {
  let text = '';
  for await (const chunk of metrics.exposition()) text += chunk;
  // What is zero is not shown.
  const count = (result: string): number =>
    Number(new RegExp(`^reeve_identity_tokens_total\\{result="${result}"\\} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  return { hit: count('hit'), miss: count('miss') };
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

/** Arrival, request, answer and end, with the clock as the engine holds it for one read. Metering is not in it. */
function passage(pipeline: Pipeline, snapshot: Snapshot, requests: readonly Request[]): () => void {
  const response = new ResponseReader();
  response.read(RESPONSE, 0, RESPONSE.length, false);
  const { fields } = response;
  const kept = fields.kept.slice(0, fields.count);
  let turn = 0;
  return () => {
    holdClock();
    const request = requests[(turn = (turn + 1) % TENANTS)] as Request;
    const requestHeaders = headersOf(request);
    const x = arrivalOf(request, requestHeaders, snapshot);
    if (pipeline.request(x) !== undefined) throw new Error('it is refused, or waits');
    x.traceId = TRACE_ID;
    x.sentAt = x.acceptedAt;
    x.headAt = x.sentAt + UPSTREAM_MS;
    x.status = 200;
    begin(fields, kept);
    const headers = new ByteHeaders(fields);
    pipeline.response(x, { status: 200, headers });
    headers.detach();
    x.responseBytes = 1024;
    renewClock();
    pipeline.done(x, SERVED);
    requestHeaders.detach();
    releaseClock();
  };
}

function identification(pipeline: Pipeline, snapshot: Snapshot, requests: readonly Request[]): () => void {
  let turn = 0;
  return () => {
    holdClock();
    const request = requests[(turn = (turn + 1) % TENANTS)] as Request;
    const headers = headersOf(request);
    if (pipeline.request(arrivalOf(request, headers, snapshot)) !== undefined)
      throw new Error('it is refused, or waits');
    headers.detach();
    releaseClock();
  };
}

/** The end of a request that took a millisecond, as it is counted; nothing is logged. */
function counting(config: SidecarConfig, snapshot: Snapshot, requests: readonly Request[]): () => void {
  let now = systemClock.now();
  // Its own, read once for all tenants: a clock that is held would be so for the other works too.
  const world = { ...worldOf(), clock: { ...systemClock, now: () => now } };
  const access = new AccessLog({ ...world, access: { ...config.log, access: 'off' } });
  const { onDone } = createObserver({ ...world, access });
  if (onDone === undefined) throw new Error('nothing counts');
  const ended = requests.map((request, rank) => {
    const x = arrivalOf(request, headersOf(request), snapshot);
    x.tenant = snapshot.tenantByClaim.get(tenantName(rank));
    if (x.tenant === undefined) throw new Error(`${tenantName(rank)} is not there`);
    x.grant = PASSED;
    x.traceId = TRACE_ID;
    return x as Ended;
  });
  let turn = 0;
  return () => {
    turn = (turn + 1) % TENANTS;
    if (turn === 0) now = systemClock.now();
    const x = ended[turn] as Ended;
    x.acceptedAt = (now - 1) as MonotonicMs;
    onDone(x, SERVED);
  };
}

function requestOf(token: string): Request {
  const head = Buffer.from(REQUEST.toString('latin1').replace(/Bearer \S+/, `Bearer ${token}`), 'latin1');
  const reader = new RequestReader({ headersMax: 100, headBytesMax: 32 * 1024, targetBytesMax: 8192 });
  if (reader.read(head, 0, head.length) !== 'boring') throw new Error('the request is not sound');
  return { reader, kept: reader.fields.kept.slice(0, reader.fields.count) };
}

function headersOf({ reader, kept }: Request): ByteHeaders {
  begin(reader.fields, kept);
  return new ByteHeaders(reader.fields);
}

function arrivalOf({ reader }: Request, headers: ByteHeaders, snapshot: Snapshot): Exchange {
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
    headers,
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
  try {
    const { snapshot, findings } = await inspectTenancy(dir.dir);
    const wrong = findings.find(({ severity }) => severity === 'error');
    if (wrong !== undefined) throw new Error(JSON.stringify(wrong));
    return snapshot;
  } finally {
    dir.cleanUp();
  }
}
