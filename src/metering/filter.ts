// hot path
/** How metering stands in the path: once for each request of a verified tenant, when all is over. The only file of the room that knows of requests. */
import type { Clock } from '../core/index.ts';
import type { Exchange, Filter, Identified, Outcome, Reply } from '../pipeline/index.ts';
import { OTHER, readHop, traceIdOf } from '../telemetry/index.ts';
import { type MethodClass, UNITS_MAX, type Units, type UsageOutcome, type UsageRecord } from './usage-record.ts';

const NO_UNITS: readonly Units[] = [];
/** Operations that began elsewhere and are told apart, of one sidecar; one more is written as OTHER. Whoever calls chooses their names. */
const OPERATIONS_MAX = 4096;
const FULL: Reply = {
  code: 'temporary-reduced-capacity',
  detail: 'Usage cannot be recorded at present.',
  retryAfterMs: 1000,
};

export interface FilterOptions {
  readonly clock: Clock;
  readonly record: (record: UsageRecord) => void;
  /** Whether requests are refused, because what they use could not be recorded. */
  readonly isRefusing: () => boolean;
  /** Whether records carry the id of their trace. */
  readonly traceIds: boolean;
}

/**
 * `onThrow: 'skip'`: what a tenant uses must not be a reason to refuse it. Behind identity, so that everything it records has a tenant; before
 * limits, so that its end runs after theirs and knows what they decided.
 */
export function meteringFilter({ clock, record, isRefusing, traceIds }: FilterOptions): Filter<Identified> {
  // One for all: it is filled and written at once.
  const usage = emptyRecord();
  const operations = new Set<string>();
  const known = (operation: string): string => {
    if (operations.has(operation)) return operation;
    if (operations.size >= OPERATIONS_MAX) return OTHER;
    operations.add(operation);
    return operation;
  };
  return {
    name: 'metering',
    onThrow: 'skip',
    onRequest(x) {
      if (x.trustClass === 'mesh') noteHop(x);
      return isRefusing() && x.route?.isCritical !== true ? FULL : undefined;
    },
    onDone(x, outcome) {
      usage.wallMs = clock.wallMs();
      usage.tenant = x.tenant.id;
      usage.route = x.route?.name ?? '';
      usage.upstream = upstreamOf(x);
      usage.hop = x.hop;
      usage.operation = x.hop === 0 ? '' : known(x.operation);
      usage.outcome = outcomeOf(x, outcome);
      usage.methodClass = methodClassOf(x.method);
      usage.statusClass = statusClassOf(statusOf(outcome));
      usage.bytesIn = x.requestBytes;
      usage.bytesOut = x.responseBytes;
      usage.durationUs = microseconds(clock.now() - x.acceptedAt);
      usage.upstreamUs = x.sentAt > 0 && x.headAt > x.sentAt ? microseconds(x.headAt - x.sentAt) : 0;
      usage.units = x.usage ?? NO_UNITS;
      usage.traceId = traceIds ? (x.traceId ?? '') : '';
      record(usage);
    },
  };
}

/** What an application said by itself was used. */
export function reportedRecord(wallMs: number, tenant: string, units: readonly Units[]): UsageRecord {
  return { ...emptyRecord(), wallMs, tenant, units: units.slice(0, UNITS_MAX), outcome: 'reported' };
}

function emptyRecord(): UsageRecord {
  return {
    wallMs: 0,
    tenant: '',
    route: '',
    upstream: '',
    operation: '',
    hop: 0,
    isPart: false,
    outcome: 'ok',
    methodClass: 'other',
    statusClass: 0,
    bytesIn: 0,
    bytesOut: 0,
    durationUs: 0,
    upstreamUs: 0,
    units: NO_UNITS,
    traceId: '',
  };
}

/** What the sidecar before it said. Without a sound trace nobody's `tracestate` counts (W3C Trace Context §3.3.1.2). */
function noteHop(x: Exchange): void {
  const states = x.headers.all('tracestate');
  if (states.length === 0 || traceIdOf(x.headers.only('traceparent') ?? undefined) === undefined) return;
  const said = readHop(states);
  if (said === undefined) return;
  x.hop = said.hop;
  x.operation = said.operation;
}

function upstreamOf({ endpoint }: Exchange): string {
  return endpoint === undefined || endpoint.name === 'application' ? '' : endpoint.name;
}

function outcomeOf({ grant }: Exchange, outcome: Outcome): UsageOutcome {
  if (outcome.kind === 'aborted') return 'aborted';
  if (outcome.kind === 'replied')
    // Of our own answers those by which nobody could serve it are 5xx; that a line was too long is a refusal.
    return outcome.status >= 500 && outcome.reply.code !== 'temporary-reduced-capacity' ? 'failed' : 'denied';
  if (outcome.kind === 'kept') return 'degraded';
  switch (grant?.decision) {
    case 'shape':
      return 'shaped';
    case 'degrade':
    case 'stale':
      return 'degraded';
    default:
      return 'ok';
  }
}

function statusOf(outcome: Outcome): number {
  return outcome.status ?? 0;
}

function statusClassOf(status: number): number {
  return status < 100 ? 0 : Math.min(5, Math.floor(status / 100));
}

function methodClassOf(method: string): MethodClass {
  switch (method) {
    case 'GET':
    case 'HEAD':
    case 'OPTIONS':
      return 'read';
    case 'POST':
    case 'PUT':
    case 'PATCH':
    case 'DELETE':
      return 'write';
    default:
      return 'other';
  }
}

function microseconds(ms: number): number {
  return Math.max(0, Math.round(ms * 1000));
}
