/** What the engine itself answers when an upstream cannot: one sentence each, nothing of our inside. And how any answer of ours leaves. */
import {
  type Exchange,
  type KeptAnswer,
  kept,
  type Outcome,
  type Pipeline,
  type Reply,
  replied,
} from '../pipeline/index.ts';
import { HeaderList } from '../wire/index.ts';
import { rescue } from './rescue.ts';
import type { Upstream, UpstreamError } from './upstreams.ts';

export const upstreamReplies: Readonly<Record<UpstreamError, Reply>> = {
  connect: {
    code: 'upstream-unreachable',
    detail: 'The application does not accept connections.',
    retryAfterMs: 1000,
  },
  reset: { code: 'upstream-reset', detail: 'The application closed the connection before it answered.' },
  timeout: { code: 'upstream-timeout', detail: 'The application did not answer in time.' },
  malformed: { code: 'upstream-malformed', detail: 'The application did not answer in sound HTTP.' },
};

export const bodyTooLarge: Reply = { code: 'body-too-large', detail: 'The body is larger than this route allows.' };

export const drainingReply: Reply = {
  code: 'draining',
  detail: 'The sidecar stops, and the answer did not come in time. The application may have seen the request.',
};

export const defectReply: Reply = { code: 'stage-failed', detail: 'The sidecar failed to handle the request.' };

const FULL: Reply = {
  code: 'temporary-reduced-capacity',
  detail: 'Too many requests wait for the application.',
  retryAfterMs: 1000,
};

/** Why nothing can be sent to this upstream now, or undefined when it can. */
export function whyNot(upstream: Upstream): Reply | undefined {
  const closedMs = upstream.closedMs();
  if (closedMs > 0) return { ...upstreamReplies.connect, retryAfterMs: closedMs };
  return upstream.turns.isFull ? FULL : undefined;
}

export interface Answer {
  readonly status: number;
  /** Name and value alternating. */
  readonly headers: string[];
  readonly body: string | Buffer;
}

/** An answer that no upstream gives now, as it leaves: the stages of its exchange, if there is one, have seen it. */
export function answerOf(reply: Reply | KeptAnswer, x: Exchange | undefined, pipeline: Pipeline, date: string): Answer {
  // Only stages have kept ones, and they have an exchange.
  if (isKept(reply)) return keptAnswer(reply, x as Exchange, pipeline);
  const isGrpc = x?.headers.first('content-type')?.startsWith('application/grpc') ?? false;
  const { status, headers, body } = rescue(reply, isGrpc, { date, requestId: x?.id });
  const list = new HeaderList(headers);
  if (x !== undefined) pipeline.response(x, { status, headers: list });
  return { status, headers: list.raw, body };
}

function isKept(reply: Reply | KeptAnswer): reply is KeptAnswer {
  return 'content' in reply;
}

function keptAnswer({ status, fields, content }: KeptAnswer, x: Exchange, pipeline: Pipeline): Answer {
  const headers = new HeaderList(fields);
  headers.remove('x-request-id');
  headers.append('X-Request-Id', x.id);
  // A 304 has no content, and the length would be that of the answer it stands for.
  if (status !== 304) headers.append('Content-Length', String(content.length));
  if (x.method !== 'HEAD') x.responseBytes = content.length;
  pipeline.response(x, { status, headers });
  return { status, headers: headers.raw, body: content };
}

/** What became of an exchange that was answered so. */
export function outcomeOf(reply: Reply | KeptAnswer, by: string, { status, body }: Answer, x: Exchange): Outcome {
  if (isKept(reply)) return kept(status);
  return replied(by, reply, status, x.method === 'HEAD' ? 0 : Buffer.byteLength(body));
}
