// hot path
/** How metering stands in the path: once for each request of a verified tenant, when all is over, and of a long one in parts before. The only file of the room that knows of requests. */
import type { Clock, MonotonicMs } from '../core/index.ts';
import type { Exchange, Filter, Identified, Outcome, Reply } from '../pipeline/index.ts';
import { OTHER, readHop, traceIdOf } from '../telemetry/index.ts';
import { OpenExchanges, type Told } from './open-exchanges.ts';
import { type MethodClass, UNITS_MAX, type Units, type UsageOutcome, type UsageRecord } from './usage-record.ts';

const NO_UNITS: readonly Units[] = [];
/** Operations that began elsewhere and are told apart, of one sidecar; one more is written as OTHER. Whoever calls chooses their names. */
const OPERATIONS_MAX = 4096;
/** Of one look, so that it does not hold the loop: some ms. What is left comes with the next. */
const PARTS_MAX = 2000;
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
  /** What is not over is recorded in part so long after its beginning, and again, ms. */
  readonly partEveryMs: number;
}

export interface MeteringStage {
  readonly filter: Filter<Identified>;
  /** Records what those used since their last record that are due. Called each second or so. */
  recordParts(): void;
}

/**
 * `onThrow: 'skip'`: what a tenant uses must not be a reason to refuse it. Behind identity, so that everything it records has a tenant; before
 * limits, so that its end runs after theirs and knows what they decided.
 */
export function meteringStage({ clock, record, isRefusing, traceIds, partEveryMs }: FilterOptions): MeteringStage {
  const open = new OpenExchanges();
  // One for all: it is filled and written at once.
  const usage = emptyRecord();
  const operations = new Set<string>();
  const known = (operation: string): string => {
    if (operations.has(operation)) return operation;
    if (operations.size >= OPERATIONS_MAX) return OTHER;
    operations.add(operation);
    return operation;
  };
  /** Since what was told of it, all but what became of it. */
  const fill = (x: Identified, now: MonotonicMs, told: Told | undefined): void => {
    usage.wallMs = clock.wallMs();
    usage.tenant = x.tenant.id;
    usage.route = x.route?.name ?? '';
    usage.upstream = upstreamOf(x);
    usage.hop = x.hop;
    usage.operation = x.hop === 0 ? '' : known(x.operation);
    usage.methodClass = methodClassOf(x.method);
    usage.bytesIn = x.requestBytes - (told?.bytesIn ?? 0);
    usage.bytesOut = x.responseBytes - (told?.bytesOut ?? 0);
    usage.durationUs = microseconds(now - (told?.at ?? x.acceptedAt));
    usage.upstreamUs = told?.hasUpstreamTime !== true && hasUpstreamTime(x) ? microseconds(x.headAt - x.sentAt) : 0;
    usage.units = told?.hasUnits === true ? NO_UNITS : (x.usage ?? NO_UNITS);
    usage.traceId = traceIds ? (x.traceId ?? '') : '';
  };
  const filter: Filter<Identified> = {
    name: 'metering',
    onThrow: 'skip',
    onRequest(x) {
      open.enter(x);
      if (x.trustClass === 'mesh') noteHop(x);
      return isRefusing() && x.route?.isCritical !== true ? FULL : undefined;
    },
    onDone(x, outcome) {
      fill(x, clock.now(), open.leave(x));
      usage.isPart = false;
      usage.outcome = outcomeOf(x, outcome);
      usage.statusClass = statusClassOf(statusOf(outcome));
      record(usage);
    },
  };
  return {
    filter,
    recordParts() {
      const now = clock.now();
      for (let parts = 0; parts < PARTS_MAX; parts++) {
        // Only what passed this stage is in there.
        const x = open.oldest as Identified | undefined;
        if (x === undefined) return;
        const told = open.told(x);
        if (now - (told?.at ?? x.acceptedAt) < partEveryMs) return;
        fill(x, now, told);
        usage.isPart = true;
        usage.outcome = servedAs(x);
        usage.statusClass = statusClassOf(x.status);
        record(usage);
        open.tell(x, {
          at: now,
          bytesIn: x.requestBytes,
          bytesOut: x.responseBytes,
          hasUpstreamTime: told?.hasUpstreamTime === true || hasUpstreamTime(x),
          hasUnits: told?.hasUnits === true || x.usage !== undefined,
        });
      }
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

function hasUpstreamTime({ sentAt, headAt }: Exchange): boolean {
  return sentAt > 0 && headAt > sentAt;
}

function outcomeOf(x: Exchange, outcome: Outcome): UsageOutcome {
  if (outcome.kind === 'aborted') return 'aborted';
  if (outcome.kind === 'replied')
    // Of our own answers those by which nobody could serve it are 5xx; that a line was too long is a refusal.
    return outcome.status >= 500 && outcome.reply.code !== 'temporary-reduced-capacity' ? 'failed' : 'denied';
  return outcome.kind === 'kept' ? 'degraded' : servedAs(x);
}

function servedAs({ grant }: Exchange): UsageOutcome {
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
