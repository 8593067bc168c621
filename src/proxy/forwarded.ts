// hot path
/**
 * Fields about the way of a request: request id, trace context, forwarding, Via. What an untrusted client says about its own way is
 * replaced; what a trusted proxy says is kept and extended.
 */
import type { Random } from '../core/index.ts';
import type { Exchange, TrustClass } from '../pipeline/index.ts';
import {
  childOf,
  formatHop,
  formatTraceparent,
  newTrace,
  operationOf,
  parseTraceparent,
  type TraceContext,
  traceIdOf,
  withHop,
} from '../telemetry/index.ts';
import type { SidecarConfig } from '../tenants/index.ts';
import { foldName, type Headers, isToken } from '../wire/index.ts';

const REQUEST_ID_CHARS_MAX = 128;

/** The client's own id when it is a sound token, else a new one. Written into the headers. */
export function requestId(headers: Headers, random: Random): string {
  const given = headers.first('x-request-id');
  if (
    given !== undefined &&
    given.length <= REQUEST_ID_CHARS_MAX &&
    isToken(given) &&
    headers.all('x-request-id').length === 1
  )
    return given;
  headers.remove('x-request-id');
  const id = random.hex(16);
  headers.append('x-request-id', id);
  return id;
}

/** Our member of `tracestate` for the next sidecar; undefined: this one records nothing, and is no hop. */
export function hopMember({ metering, name }: SidecarConfig, x: Exchange): string | undefined {
  if (metering === undefined) return undefined;
  return formatHop({
    hop: x.hop + 1,
    operation: x.operation === '' ? operationOf(name, x.route?.name) : x.operation,
  });
}

/**
 * At an edge the trace is always new: clients choose trace ids, and two tenants could choose the same. `member`: of ours, for `tracestate`;
 * without one that stays as it is.
 */
export function continueTrace(
  headers: Headers,
  trustClass: TrustClass,
  random: Random,
  member: string | undefined,
): TraceContext {
  const given =
    trustClass === 'mesh' && headers.all('traceparent').length === 1
      ? parseTraceparent(headers.first('traceparent') as string)
      : undefined;
  headers.remove('traceparent');
  if (given === undefined) headers.removeWhere((name) => name === 'tracestate' || name === 'baggage');
  const trace = given === undefined ? newTrace(random) : childOf(given, random);
  headers.append('traceparent', formatTraceparent(trace));
  if (member !== undefined) {
    const states = headers.all('tracestate');
    headers.remove('tracestate');
    headers.append('tracestate', withHop(states, member));
  }
  return trace;
}

/** What its log line and its exemplar say: the trace it was sent on in, else what the client named. */
export function traceIdOfExchange(x: Exchange): string | undefined {
  return x.traceId ?? traceIdOf(x.headers.first('traceparent'));
}

/** By folded name: servers that map headers to variables read `X_Forwarded_For` as ours. */
export function isForwarding(name: string): boolean {
  const folded = foldName(name);
  return folded === 'forwarded' || folded === 'x-real-ip' || folded.startsWith('x-forwarded-');
}

export interface Peer {
  readonly address: string;
  readonly isTrusted: boolean;
  /** Authority of the request, for X-Forwarded-Host. */
  readonly host: string | undefined;
}

/** `X-Forwarded-For`, `-Proto` and `-Host`; `Forwarded` (RFC 7239) only from trusted proxies, who know what they wrote. */
export function forwardedFields(headers: Headers, { address, isTrusted, host }: Peer): void {
  if (!isTrusted) headers.removeWhere(isForwarding);
  const chain = headers.all('x-forwarded-for').join(', ');
  headers.remove('x-forwarded-for');
  headers.append('X-Forwarded-For', chain === '' ? address : `${chain}, ${address}`);
  if (!headers.has('x-forwarded-proto')) headers.append('X-Forwarded-Proto', 'http');
  if (host !== undefined && host !== '' && !headers.has('x-forwarded-host')) headers.append('X-Forwarded-Host', host);
}
