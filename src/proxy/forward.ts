// hot path
/**
 * One attempt to have a request answered by an upstream. Two ways behind one interface: undici's pool for nearly everything;
 * node:http on a connection of its own for what undici cannot say (Expect: 100-continue, request trailers, OPTIONS *).
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { mayTrail } from '../wire/index.ts';
import type { Upstream, UpstreamError } from './upstreams.ts';

export interface Outgoing {
  readonly method: string;
  readonly target: string;
  /** Name and value alternating, Host first. */
  readonly headers: string[];
  readonly body: Readable | undefined;
  readonly timeoutMs: number | undefined;
  readonly expectsContinue: boolean;
  /** Trailers of the request, read when its body has ended; undefined when it announced none. */
  readonly trailers: (() => string[]) | undefined;
}

/** What an attempt tells. After `onEnd` or `onFail` nothing more comes. */
export interface Answering {
  onContinue(): void;
  onInformation(status: number, headers: string[]): void;
  onHead(status: number, headers: string[]): void;
  onData(chunk: Buffer): void;
  onEnd(trailers: string[]): void;
  onFail(error: UpstreamError, cause: Error): void;
}

export interface Attempt {
  pause(): void;
  resume(): void;
  /** Ends the attempt and frees its connection at once. `onFail` is not called. */
  abort(): void;
}

export function forward(upstream: Upstream, outgoing: Outgoing, answering: Answering): Attempt {
  const isAlone = outgoing.expectsContinue || outgoing.trailers !== undefined || outgoing.target === '*';
  return isAlone ? forwardAlone(upstream, outgoing, answering) : forwardPooled(upstream, outgoing, answering);
}

function forwardPooled(
  upstream: Upstream,
  { method, target, headers, body, timeoutMs }: Outgoing,
  answering: Answering,
): Attempt {
  const attempt = new PooledAttempt(upstream, answering);
  upstream.pool.dispatch(
    // A stream body of unknown length is sent chunked; with a Content-Length among the headers its length is checked.
    {
      method: method as Dispatcher.HttpMethod,
      path: target,
      headers,
      body: body ?? null,
      ...(timeoutMs === undefined ? {} : { headersTimeout: timeoutMs }),
    },
    attempt,
  );
  return attempt;
}

class PooledAttempt implements Attempt, Dispatcher.DispatchHandler {
  readonly #upstream: Upstream;
  readonly #answering: Answering;
  #controller: Dispatcher.DispatchController | undefined;
  #isAborted = false;

  constructor(upstream: Upstream, answering: Answering) {
    this.#upstream = upstream;
    this.#answering = answering;
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  abort(): void {
    this.#isAborted = true;
    this.#controller?.abort(new Error('the client is gone'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isAborted) controller.abort(new Error('the client is gone'));
    else this.#upstream.succeeded();
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    const headers = textOf(controller.rawHeaders as Buffer[]);
    if (status < 200) this.#answering.onInformation(status, headers);
    else this.#answering.onHead(status, headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#answering.onData(chunk);
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    this.#answering.onEnd(textOf((controller.rawTrailers ?? []) as Buffer[]));
  }

  onResponseError(_controller: Dispatcher.DispatchController, cause: Error): void {
    if (this.#isAborted) return;
    this.#answering.onFail(this.#reasonOf(cause), cause);
  }

  #reasonOf(cause: Error): UpstreamError {
    // Before a connection took the request, only connecting can have failed.
    return this.#controller === undefined ? 'connect' : reasonOf(cause);
  }
}

/** Header bytes are latin-1 on the wire (RFC 9110 §5.5); as text they pass through us unchanged. */
function textOf(raw: readonly Buffer[]): string[] {
  return raw.map((each) => each.toString('latin1'));
}

function reasonOf(cause: Error): UpstreamError {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT' || code === 'ETIMEDOUT') return 'timeout';
  if (
    code === 'UND_ERR_CONNECT_TIMEOUT' ||
    code === 'ECONNREFUSED' ||
    code === 'ENOENT' ||
    code === 'EHOSTUNREACH' ||
    code === 'ENOTFOUND'
  )
    return 'connect';
  if (
    code.startsWith('HPE_') ||
    code === 'UND_ERR_HEADERS_OVERFLOW' ||
    code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' ||
    /bad (response|upgrade)/.test(cause.message)
  )
    return 'malformed';
  return 'reset';
}

function forwardAlone(
  upstream: Upstream,
  { method, target, headers, body, timeoutMs, expectsContinue, trailers }: Outgoing,
  answering: Answering,
): Attempt {
  let isOver = false;
  let response: IncomingMessage | undefined;
  const fail = (cause: Error): void => {
    if (isOver) return;
    isOver = true;
    request.destroy();
    answering.onFail(cause instanceof TimedOut ? 'timeout' : reasonOf(cause), cause);
  };
  const framing =
    body === undefined || headers.some((name, at) => at % 2 === 0 && name.toLowerCase() === 'content-length')
      ? []
      : ['Transfer-Encoding', 'chunked'];
  const request = httpRequest({
    ...upstream.address,
    method,
    path: target,
    agent: false,
    setHost: false,
    insecureHTTPParser: false,
    headers: [
      ...headers,
      ...framing,
      'Connection',
      'close',
      ...(expectsContinue ? ['Expect', '100-continue'] : []),
    ] as unknown as readonly string[],
  });
  request.maxHeadersCount = 0;
  const send = (): void => {
    body?.on('data', (chunk: Buffer) => void (request.write(chunk) || body.pause()));
    request.on('drain', () => body?.resume());
    body?.on('end', () => {
      if (trailers !== undefined && framing.length > 0) request.addTrailers(pairsOf(trailers()));
      request.end();
    });
    body?.on('error', (cause) => fail(cause));
    if (body === undefined) request.end();
  };
  if (expectsContinue) {
    request.once('continue', () => {
      answering.onContinue();
      send();
    });
    request.flushHeaders();
  } else send();
  if (timeoutMs !== undefined) request.setTimeout(timeoutMs, () => fail(new TimedOut()));
  request.on(
    'information',
    ({ statusCode, rawHeaders }) => statusCode !== 100 && answering.onInformation(statusCode, rawHeaders as string[]),
  );
  request.on('upgrade', (_response, socket) => {
    socket.destroy();
    fail(new Error('bad upgrade'));
  });
  request.on('error', fail);
  request.on('response', (incoming) => {
    response = incoming;
    upstream.succeeded();
    answering.onHead(incoming.statusCode as number, incoming.rawHeaders);
    incoming.on('data', (chunk: Buffer) => answering.onData(chunk));
    incoming.on('end', () => {
      if (isOver) return;
      isOver = true;
      answering.onEnd(incoming.rawTrailers);
      request.destroy();
    });
    incoming.on('error', fail).on('close', () => incoming.complete || fail(new Error('cut short')));
  });
  return {
    pause: () => void response?.pause(),
    resume: () => void response?.resume(),
    abort() {
      isOver = true;
      request.on('error', () => {}).destroy();
    },
  };
}

class TimedOut extends Error {}

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2)
    if (mayTrail(flat[i] as string)) pairs.push([flat[i] as string, flat[i + 1] as string]);
  return pairs;
}
