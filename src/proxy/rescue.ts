/**
 * The one place that knows the status codes of our own answers: a `Reply` becomes a problem document (RFC 9457), or for a gRPC
 * caller a trailers-only response. Nothing of our inside is in it.
 */
import type { Reply, ReplyCode } from '../pipeline/index.ts';

export interface Rescue {
  readonly status: number;
  /** google.rpc.Code. */
  readonly grpcStatus: number;
  readonly title: string;
  /** For docs/errors.md: when it happens, and what to do. */
  readonly meaning: string;
}

const row = (status: number, grpcStatus: number, title: string, meaning: string): Rescue => ({
  status,
  grpcStatus,
  title,
  meaning,
});

export const rescues: Readonly<Record<ReplyCode, Rescue>> = {
  'malformed-request': row(
    400,
    3,
    'Malformed request',
    'The head is not sound HTTP/1.1 or could be read in two ways. Send one framing header, one Host, an absolute path.',
  ),
  'head-too-large': row(
    431,
    8,
    'Request head too large',
    'More or larger header fields than `wire.headersMax` and `wire.headBytesMax` allow.',
  ),
  'target-too-long': row(414, 3, 'Request target too long', 'The target is longer than `wire.targetBytesMax`.'),
  'body-too-large': row(
    413,
    8,
    'Request body too large',
    "The body is larger than the route's `bodyMax` or `wire.bodyBytesMax`.",
  ),
  'unsupported-transfer-coding': row(
    501,
    12,
    'Transfer coding not supported',
    'The only transfer coding is `chunked`, alone.',
  ),
  'method-not-supported': row(501, 12, 'Method not supported', 'CONNECT and TRACE do not pass.'),
  'expectation-failed': row(417, 3, 'Expectation failed', 'The only expectation is `100-continue`.'),
  'head-timeout': row(408, 4, 'Request timeout', 'The request head was not complete within `wire.headTimeout`.'),
  'protected-header': row(
    400,
    7,
    'Protected header',
    'The listener is strict and the request carries a header that only the inside may set.',
  ),
  'hop-by-hop-nomination': row(
    400,
    3,
    'Forbidden nomination',
    '`Connection` names a field that must survive: framing, tracing, forwarding, credentials, tenant.',
  ),
  'credential-missing': row(
    401,
    16,
    'Credential missing',
    'No configured source yields a tenant. Send the credential your provider or operator gave you.',
  ),
  'credential-invalid': row(
    401,
    16,
    'Credential invalid',
    'The credential does not verify. Operators: `detail` of the log line `identity.refused` says why, `reeve_identity_failures_total` how often.',
  ),
  'credential-expired': row(401, 16, 'Credential expired', 'Fetch a new one.'),
  'identity-unavailable': row(
    503,
    14,
    'Identity unavailable',
    'The keys of the provider could not be fetched yet. Operators: `identity.keys_not_fetched` in the log.',
  ),
  'tenant-mismatch': row(
    403,
    7,
    'Tenant mismatch',
    'Two sources name different tenants, such as a token of one and the host of another.',
  ),
  'tenant-unknown': row(
    403,
    7,
    'Tenant unknown',
    'The credential is good, but names no tenant of the tenancy. Operators: `detail` and `external_id` of the log line `identity.refused`.',
  ),
  'tenant-pending': row(403, 7, 'Tenant pending', 'The tenant is not open yet.'),
  'tenant-readonly': row(403, 7, 'Tenant read-only', 'Only GET, HEAD and OPTIONS pass.'),
  'tenant-suspended': row(403, 7, 'Tenant suspended', 'The operator has suspended the tenant.'),
  'tenant-offboarding': row(403, 7, 'Tenant closed', 'The tenant is being removed.'),
  'anonymous-rate': row(
    429,
    8,
    'Too many unidentified requests',
    'More failed identifications from one network than `anonymous.limit`.',
  ),
  'quota-exceeded': row(
    429,
    8,
    'Quota exceeded',
    "The tenant is over a rate, and its plan's ladder ends, or has used a quota; `violated-policies` names it. Retry after `Retry-After`; without one, it is a level that must fall first.",
  ),
  'concurrency-exceeded': row(
    429,
    8,
    'Concurrency exceeded',
    'More requests of the tenant at once than its plan allows.',
  ),
  'temporary-reduced-capacity': row(
    503,
    14,
    'Temporarily reduced capacity',
    'The application is busy: the request waited for its turn as long as it may, or too many waited. Retry after `Retry-After`. Operators: `reeve_admission_refused_total` says why, `reeve_admission_limit` how much the application gets at once.',
  ),
  'upstream-unreachable': row(
    502,
    14,
    'Upstream unreachable',
    'The application does not accept connections. Operators: is it running where `upstream` says, or where `upstreams` does for degraded requests? `upstream.name` and `upstream.address` of the access log say which.',
  ),
  'upstream-reset': row(502, 14, 'Upstream reset', 'The application closed the connection before it answered.'),
  'upstream-timeout': row(
    504,
    4,
    'Upstream timeout',
    "No answer within the route's `timeout` or `wire.responseTimeout`.",
  ),
  'upstream-malformed': row(502, 13, 'Upstream malformed', 'The application answered with what is not sound HTTP.'),
  'upstream-unknown': row(
    502,
    13,
    'Upstream unknown',
    "A route's degraded upstream is not in the sidecar's `upstreams`.",
  ),
  'stage-failed': row(
    500,
    13,
    'Stage failed',
    'A stage of the sidecar failed; a defect. Operators: `stage.failed` in the log.',
  ),
  draining: row(
    503,
    14,
    'Draining',
    'The sidecar stops, and no answer began within `drain.grace`. The application may have seen the request.',
  ),
  'not-ready': row(503, 14, 'Not ready', 'The sidecar has no configuration yet.'),
};

/** Problem types of draft-ietf-httpapi-ratelimit-headers-10; the others are ours. */
const REGISTERED: ReadonlySet<ReplyCode> = new Set(['quota-exceeded', 'temporary-reduced-capacity']);

function typeOf(code: ReplyCode): string {
  return REGISTERED.has(code)
    ? `https://iana.org/assignments/http-problem-types#${code}`
    : `https://reeve.dev/problems/${code}`;
}

export interface Answer {
  readonly status: number;
  /** Name and value alternating; Content-Length included. */
  readonly headers: string[];
  readonly body: string;
}

/** What an answer says of its exchange. */
export interface About {
  /** For the Date field. */
  readonly date: string;
  /** Undefined where there is no exchange: the request did not pass the gate. */
  readonly requestId?: string | undefined;
}

export function rescue(reply: Reply, isGrpc: boolean, { date, requestId }: About): Answer {
  const { status, grpcStatus, title } = rescues[reply.code];
  const about = requestId === undefined ? ['Date', date] : ['Date', date, 'X-Request-Id', requestId];
  if (isGrpc) {
    const message = encodeURIComponent(`${title}: ${reply.detail}`);
    return {
      status: 200,
      headers: [
        ...about,
        'Content-Type',
        'application/grpc',
        'grpc-status',
        String(grpcStatus),
        'grpc-message',
        message,
        'Content-Length',
        '0',
      ],
      body: '',
    };
  }
  // A client's own id is a token, which may hold what no URI may.
  const instance = requestId === undefined ? undefined : `urn:request:${encodeURIComponent(requestId)}`;
  const body = `${JSON.stringify({ type: typeOf(reply.code), title, status, detail: reply.detail, instance, code: reply.code, ...reply.members })}\n`;
  const headers = [
    ...about,
    'Content-Type',
    'application/problem+json',
    'Content-Length',
    String(Buffer.byteLength(body)),
    'Cache-Control',
    'no-store',
  ];
  if (reply.retryAfterMs !== undefined)
    headers.push('Retry-After', String(Math.max(1, Math.ceil(reply.retryAfterMs / 1000))));
  if (reply.headers !== undefined) headers.push(...reply.headers);
  return { status, headers, body };
}
