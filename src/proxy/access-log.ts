// hot path
/** The access log: which requests are written down, and what of them. OpenTelemetry's names. No query: it may hold secrets. */
import type { Clock, Random } from '../core/index.ts';
import { prefixOf } from '../identity/index.ts';
import type { Exchange, Outcome, Reply, ReplyCode } from '../pipeline/index.ts';
import { FieldName, type Log, type LogRecord, type Metrics } from '../telemetry/index.ts';
import type { Plan, SidecarConfig } from '../tenants/index.ts';
import { traceIdOfExchange } from './forwarded.ts';
import { RefusalSample } from './refusal-sample.ts';
import { rescues } from './rescue.ts';

export interface AccessLogOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly random: Random;
  readonly access: SidecarConfig['log'];
}

/** A request that was refused before there was an exchange: whatever is known of it. */
export interface Unadmitted {
  readonly code: ReplyCode;
  /** Undefined when the parser gave up. */
  readonly method?: string | undefined;
  /** As it stood in the request line. */
  readonly target?: string | undefined;
  /** Address of the peer's socket. */
  readonly peer: string | undefined;
}

const METHOD = new FieldName('http.request.method');
const PATH = new FieldName('url.path');
const STATUS = new FieldName('http.response.status_code');
const HOST = new FieldName('server.address');
const PEER = new FieldName('client.address');
const TENANT = new FieldName('tenant.id');
const PLAN = new FieldName('tenant.plan');
const DECISION = new FieldName('reeve.decision');
const OUTCOME = new FieldName('reeve.outcome');
const CODE = new FieldName('reeve.code');
const POLICY = new FieldName('limit.policy');
const UPSTREAM = new FieldName('upstream.name');
const UPSTREAM_ADDRESS = new FieldName('upstream.address');
const ABORTED_BY = new FieldName('reeve.aborted_by');
const REQUEST_ID = new FieldName('request_id');
const TRACE_ID = new FieldName('trace_id');
const BYTES_IN = new FieldName('bytes_in');
const BYTES_OUT = new FieldName('bytes_out');
const DURATION = new FieldName('duration_ms');

/** Characters of a path that passed no gate: enough to recognise it. */
const PATH_CHARS_MAX = 256;
/** Kept of what many lines have in common. A power of two. */
const COMMON_MAX = 64;

/** The fields that are the same in many lines, as one of them had them. */
interface Common {
  readonly method: string;
  readonly status: number | undefined;
  readonly plan: string | undefined;
  readonly decision: string;
  readonly outcome: string;
  readonly fields: Buffer;
}

export class AccessLog {
  readonly #record: LogRecord | undefined;
  readonly #random: Random;
  readonly #access: SidecarConfig['log'];
  readonly #common: (Common | undefined)[] = new Array(COMMON_MAX).fill(undefined);
  readonly #clock: Clock;
  /** Of tenants, and of peers that are none: whoever has no credential takes no tenant's place. */
  readonly #refusedTenants: RefusalSample;
  readonly #refusedPeers: RefusalSample;
  readonly #leftOut: { add(): void };

  constructor({ clock, log, metrics, random, access }: AccessLogOptions) {
    this.#record = access.access === 'off' ? undefined : log.record('info', 'http.request');
    this.#clock = clock;
    this.#random = random;
    this.#access = access;
    this.#refusedTenants = new RefusalSample(random, access.sample);
    this.#refusedPeers = new RefusalSample(random, access.sample);
    this.#leftOut = metrics.counter({
      name: 'reeve_access_refusals_left_out_total',
      help: 'Refusals that are not in the access log, for many of their kind came in a second: see log.sample.',
    });
  }

  /** `wallMs`: now. */
  exchange(x: Exchange, outcome: Outcome, decision: string, durationMs: number, wallMs: number): void {
    const record = this.#record;
    if (record === undefined || !this.#isWritten(x, outcome, wallMs)) return;
    record.begin(wallMs);
    this.#addCommon(record, x.method, outcome.status, x.tenant?.plan, decision, outcome.kind);
    record.text(PATH, x.path);
    record.text(HOST, x.host);
    record.text(PEER, x.peer);
    record.text(TENANT, x.tenant?.id);
    if (outcome.kind === 'replied') {
      record.text(CODE, outcome.reply.code);
      record.text(POLICY, policyOf(outcome.reply));
    } else if (outcome.kind === 'aborted') record.text(ABORTED_BY, outcome.side);
    // Who has to look at a failure of the upstream, and where.
    if (outcome.kind === 'replied' || outcome.kind === 'aborted') {
      record.text(UPSTREAM, x.endpoint?.name);
      record.text(UPSTREAM_ADDRESS, x.endpoint?.address);
    }
    // A token, whoever chose it.
    record.plain(REQUEST_ID, x.id);
    const traceId = traceIdOfExchange(x);
    if (traceId !== undefined) record.plain(TRACE_ID, traceId);
    record.number(BYTES_IN, x.requestBytes);
    record.number(BYTES_OUT, outcome.kind === 'replied' ? outcome.contentBytes : x.responseBytes);
    record.number(DURATION, durationMs);
    record.end();
  }

  /** Looked up by little, compared in full: a few dozen lines' beginnings are all there are. */
  #addCommon(
    record: LogRecord,
    method: string,
    status: number | undefined,
    plan: Plan | undefined,
    decision: string,
    outcome: string,
  ): void {
    const at = ((status ?? 0) + 11 * decision.length + 17 * method.length + 3 * (plan?.index ?? 0)) & (COMMON_MAX - 1);
    const kept = this.#common[at];
    if (
      kept !== undefined &&
      kept.method === method &&
      kept.status === status &&
      kept.plan === plan?.name &&
      kept.decision === decision &&
      kept.outcome === outcome
    )
      return record.again(kept.fields);
    const from = record.length;
    record.text(METHOD, method);
    record.number(STATUS, status);
    record.text(PLAN, plan?.name);
    record.text(DECISION, decision);
    record.text(OUTCOME, outcome);
    this.#common[at] = { method, status, plan: plan?.name, decision, outcome, fields: record.since(from) };
  }

  refusal({ code, method, target, peer }: Unadmitted): void {
    const record = this.#record;
    const wallMs = this.#clock.wallMs();
    if (record === undefined || !this.#isRefusalWritten(undefined, peer ?? '', code, wallMs)) return;
    record.begin(wallMs);
    record.text(METHOD, method);
    record.text(PATH, target === undefined ? undefined : pathOf(target));
    record.number(STATUS, rescues[code].status);
    record.text(PEER, peer);
    record.text(DECISION, 'refused');
    record.text(OUTCOME, 'refused');
    record.text(CODE, code);
    record.end();
  }

  #isWritten(x: Exchange, outcome: Outcome, wallMs: number): boolean {
    const { access, sample } = this.#access;
    if (access === 'all') return true;
    if (outcome.kind === 'replied') {
      const { code } = outcome.reply;
      return FAILURES.has(code) || this.#isRefusalWritten(x.tenant?.index, x.peer, code, wallMs);
    }
    if (outcome.kind === 'aborted' || outcome.status >= 500) return true;
    return access === 'sampled' && this.#random.float() < sample;
  }

  #isRefusalWritten(tenant: number | undefined, peer: string, code: ReplyCode, wallMs: number): boolean {
    if (this.#access.access === 'all') return true;
    const at = CODES.indexOf(code);
    const isWritten =
      tenant === undefined
        ? this.#refusedPeers.isWritten(hashOf(prefixOf(peer)), at, wallMs)
        : this.#refusedTenants.isWritten(tenant, at, wallMs);
    if (!isWritten) this.#leftOut.add();
    return isWritten;
  }
}

const CODES = Object.keys(rescues);
/** Of our own answers those that say that something failed, by what they mean: a gRPC caller is told of it with 200. The others refuse. */
const FAILURES: ReadonlySet<ReplyCode> = new Set<ReplyCode>([
  'upstream-unreachable',
  'upstream-reset',
  'upstream-timeout',
  'upstream-malformed',
  'upstream-unknown',
  'stage-failed',
  'draining',
]);

/** FNV-1a, 31 bits. What is hashed is short. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 1;
}

/** As `RateLimit-Policy` names what refused it; undefined where no limit did. */
function policyOf({ members }: Reply): string | undefined {
  return (members?.['violated-policies'] as readonly string[] | undefined)?.join(', ');
}

/** Of an origin-form target only: before the gate the others may hold anything, a password too. */
function pathOf(target: string): string | undefined {
  if (!target.startsWith('/')) return undefined;
  const query = target.search(/[?#]/);
  const path = query === -1 ? target : target.slice(0, query);
  return path.length > PATH_CHARS_MAX ? `${path.slice(0, PATH_CHARS_MAX)}…` : path;
}
