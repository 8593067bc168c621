// hot path
/** The access log: which requests are written down, and what of them. OpenTelemetry's names. No query: it may hold secrets. */
import type { Random } from '../core/index.ts';
import type { Exchange, Outcome, ReplyCode } from '../pipeline/index.ts';
import { type Log, parseTraceparent } from '../telemetry/index.ts';
import type { SidecarConfig } from '../tenants/index.ts';
import { rescues } from './rescue.ts';

export interface AccessLogOptions {
  readonly log: Log;
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

/** Characters of a path that passed no gate: enough to recognise it. */
const PATH_CHARS_MAX = 256;

export class AccessLog {
  readonly #log: Log;
  readonly #random: Random;
  readonly #access: SidecarConfig['log'];

  constructor({ log, random, access }: AccessLogOptions) {
    this.#log = log;
    this.#random = random;
    this.#access = access;
  }

  exchange(x: Exchange, outcome: Outcome, decision: string, durationMs: number): void {
    const isError =
      outcome.kind === 'aborted' ||
      (outcome.status ?? 0) >= 500 ||
      (outcome.kind === 'replied' && outcome.status >= 400);
    if (this.#isWritten(isError)) this.#log.info('http.request', fieldsOf(x, outcome, decision, durationMs));
  }

  refusal({ code, method, target, peer }: Unadmitted): void {
    if (!this.#isWritten(true)) return;
    this.#log.info('http.request', {
      'http.request.method': method,
      'url.path': target === undefined ? undefined : pathOf(target),
      'http.response.status_code': rescues[code].status,
      'client.address': peer,
      'reeve.decision': 'refused',
      'reeve.outcome': 'refused',
      'reeve.code': code,
    });
  }

  #isWritten(isError: boolean): boolean {
    const { access, sample } = this.#access;
    if (access === 'off') return false;
    return isError || access === 'all' || (access === 'sampled' && this.#random.float() < sample);
  }
}

/** Of an origin-form target only: before the gate the others may hold anything, a password too. */
function pathOf(target: string): string | undefined {
  if (!target.startsWith('/')) return undefined;
  const query = target.search(/[?#]/);
  const path = query === -1 ? target : target.slice(0, query);
  return path.length > PATH_CHARS_MAX ? `${path.slice(0, PATH_CHARS_MAX)}…` : path;
}

function fieldsOf(x: Exchange, outcome: Outcome, decision: string, durationMs: number): Record<string, unknown> {
  return {
    'http.request.method': x.method,
    'url.path': x.path,
    'http.response.status_code': outcome.status,
    'server.address': x.host,
    'client.address': x.peer,
    'tenant.id': x.tenant?.id,
    'tenant.plan': x.tenant?.plan.name,
    'reeve.decision': decision,
    'reeve.outcome': outcome.kind,
    'reeve.code': outcome.kind === 'replied' ? outcome.reply.code : undefined,
    'reeve.aborted_by': outcome.kind === 'aborted' ? outcome.side : undefined,
    request_id: x.id,
    trace_id: parseTraceparent(x.headers.first('traceparent') ?? '')?.traceId,
    bytes_in: x.requestBytes,
    bytes_out: x.responseBytes,
    duration_ms: Math.round(durationMs * 100) / 100,
  };
}
