// hot path
/**
 * One request through the general engine: gate, chain, upstream, response. It alone moves the bytes of the exchange, and it ends it
 * exactly once.
 *
 *   admit ─▶ chain ─▶ dispatch ─▶ head ─▶ data… ─▶ end
 *     │        │          │          └─ from here on a failure cuts the response short: never a clean end
 *     └────────┴──────────┴─ until here a failure is an answer of ours
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Exchange, type Outcome, type Pipeline, type Reply, type Verdict } from '../pipeline/index.ts';
import { routeOf } from '../tenants/index.ts';
import { gate, HeaderList, listMembers, mayTrail, type Passed, stripHopByHop } from '../wire/index.ts';
import { type Answering, type Attempt, forward, type Outgoing } from './forward.ts';
import { continueTrace, forwardedFields, requestId } from './forwarded.ts';
import { BodyTooLarge, ClientGone, RequestBody } from './request-body.ts';
import { rescue } from './rescue.ts';
import type { Upstream, UpstreamError } from './upstreams.ts';
import type { ProxyWorld } from './world.ts';

/** Methods that may be sent a second time (RFC 9110 §9.2.2), here only without content. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);
/** A restarted application closes many idle connections at once; each retry may meet another of them. */
const RETRIES_MAX = 2;
/** A refused request's body up to this size is read to its end, so that the connection can be kept. */
const DRAIN_BYTES_MAX = 64 * 1024;
const HEADERS_OF_RESPONSE_MAX = 500;

export class Passage implements Answering {
  readonly #world: ProxyWorld;
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #pipeline: Pipeline;
  #exchange: Exchange | undefined;
  #passed: Passed | undefined;
  #upstream: Upstream | undefined;
  #outgoing: Outgoing | undefined;
  #body: RequestBody | undefined;
  #attempt: Attempt | undefined;
  #attempts = 0;
  #status: number | undefined;
  /** The chain has not answered yet: the end waits for it, so that stages give back what they took. */
  #isDeciding = false;
  #isClientGone = false;
  #isDone = false;

  constructor(world: ProxyWorld, req: IncomingMessage, res: ServerResponse) {
    this.#world = world;
    this.#req = req;
    this.#res = res;
    this.#pipeline = world.pipeline();
  }

  /** Never throws: what arrives cannot end the process. */
  start(): void {
    try {
      this.#admit();
    } catch (cause) {
      this.#world.onDefect('engine', cause);
      this.#reply({ code: 'stage-failed', detail: 'The sidecar failed to handle the request.' }, 'engine');
    }
  }

  #admit(): void {
    const { config, snapshot, isProtectedName } = this.#world;
    const headers = new HeaderList(this.#req.rawHeaders);
    const { headersMax, headBytesMax, targetBytesMax } = config.wire;
    const passed = gate(
      { method: this.#req.method as string, target: this.#req.url as string, version: this.#req.httpVersion, headers },
      { headersMax, headBytesMax, targetBytesMax, isProtectedName },
    );
    this.#res.on('close', () => this.#onClientClose());
    if (passed.isRefused) {
      this.#refuse({ code: passed.code, detail: passed.detail });
      return;
    }
    this.#passed = passed;
    this.#exchange = this.#arrive(passed, headers, snapshot());
    const { route } = this.#exchange;
    const bytesMax = route?.bodyBytesMax ?? config.wire.bodyBytesMax;
    if (passed.framing.kind === 'length' && passed.framing.bytes > bytesMax) {
      this.#reply({ code: 'body-too-large', detail: `The body is larger than ${bytesMax} bytes.` }, 'engine');
      return;
    }
    this.#decide();
  }

  #arrive(passed: Passed, headers: HeaderList, snapshot: Exchange['snapshot']): Exchange {
    const { config, clock, random } = this.#world;
    const te = headers.first('te');
    const trailer = headers.first('trailer');
    stripHopByHop(headers);
    headers.removeWhere(
      (name) => name === 'host' || name === 'expect' || (name === 'content-length' && passed.framing.kind !== 'length'),
    );
    // The two hop-by-hop fields that matter end to end: the client reads trailers, the body will have some.
    if (te !== undefined && /(^|,)\s*trailers\s*(,|;|$)/i.test(te)) headers.append('TE', 'trailers');
    const announced = listMembers(trailer === undefined ? [] : [trailer]).filter(
      (name) => mayTrail(name) && !this.#world.isProtectedName(name),
    );
    if (announced.length > 0 && passed.framing.kind === 'chunked') headers.append('Trailer', announced.join(', '));
    return new Exchange({
      id: requestId(headers, random),
      trustClass: config.inbound.class,
      snapshot,
      acceptedAt: clock.now(),
      method: this.#req.method as string,
      target: passed.target,
      path: passed.path,
      host: passed.host,
      headers,
      peer: this.#req.socket.remoteAddress ?? '',
      route: routeOf(snapshot, this.#req.method as string, passed.path),
    });
  }

  #decide(): void {
    const x = this.#exchange as Exchange;
    this.#isDeciding = true;
    const verdict = this.#pipeline.request(x);
    if (verdict instanceof Promise) void verdict.then((late) => this.#onVerdict(late));
    else this.#onVerdict(verdict);
  }

  #onVerdict(verdict: Verdict): void {
    this.#isDeciding = false;
    if (this.#isClientGone) this.#end({ kind: 'aborted', side: 'client', status: undefined });
    else if (verdict !== undefined) this.#reply(verdict, 'chain');
    else this.#send();
  }

  #send(): void {
    const x = this.#exchange as Exchange;
    const upstream = this.#world.upstreams.get(x.endpoint?.name ?? '');
    if (upstream === undefined)
      return this.#reply({ code: 'upstream-unknown', detail: 'The upstream is not known here.' }, 'engine');
    const closedMs = upstream.closedMs();
    if (closedMs > 0)
      return this.#reply(
        {
          code: 'upstream-unreachable',
          detail: 'The application does not accept connections.',
          retryAfterMs: closedMs,
        },
        'engine',
      );
    if (upstream.isFull())
      return this.#reply(
        {
          code: 'temporary-reduced-capacity',
          detail: 'Too many requests wait for the application.',
          retryAfterMs: 1000,
        },
        'engine',
      );
    this.#upstream = upstream;
    this.#outgoing = this.#compose(x);
    this.#try();
  }

  #compose(x: Exchange): Outgoing {
    const { config, random, isTrustedProxy, isProtectedName } = this.#world;
    const { framing, authority, expectsContinue } = this.#passed as Passed;
    continueTrace(x.headers, x.trustClass, random);
    forwardedFields(x.headers, { address: x.peer, isTrusted: isTrustedProxy(x.peer), host: authority });
    if (config.wire.via) x.headers.append('Via', `${this.#req.httpVersion} ${config.name}`);
    const hasBody = framing.kind === 'chunked' || (framing.kind === 'length' && framing.bytes > 0);
    if (hasBody)
      this.#body = new RequestBody(
        this.#req,
        x.route?.bodyBytesMax ?? config.wire.bodyBytesMax,
        (bytes) => void (x.requestBytes += bytes),
      );
    const hasTrailers = framing.kind === 'chunked' && x.headers.has('trailer');
    const host = authority ?? '';
    return {
      method: x.method,
      target: x.target,
      headers: ['Host', host === '' ? 'localhost' : host, ...x.headers.raw, ...x.inject],
      body: this.#body,
      timeoutMs: x.route?.timeoutMs,
      expectsContinue: expectsContinue && hasBody,
      trailers: hasTrailers ? () => withoutProtected(this.#req.rawTrailers, isProtectedName) : undefined,
    };
  }

  #try(): void {
    this.#attempts++;
    this.#attempt = forward(this.#upstream as Upstream, this.#outgoing as Outgoing, this);
  }

  onContinue(): void {
    if (!this.#isDone) this.#res.writeContinue();
  }

  onInformation(status: number, headers: string[]): void {
    if (status !== 103 || this.#req.httpVersion !== '1.1' || this.#isDone || this.#res.headersSent) return;
    const hints: Record<string, string[]> = {};
    for (let i = 0; i < headers.length; i += 2) {
      const name = (headers[i] as string).toLowerCase();
      if (mayTrail(name) && !this.#world.isProtectedName(name)) (hints[name] ??= []).push(headers[i + 1] as string);
    }
    if (hints['link'] === undefined) return;
    try {
      this.#res.writeEarlyHints(hints);
    } catch {
      // Node writes well-formed links only; a hint is worth no failure.
    }
  }

  onHead(status: number, raw: string[]): void {
    if (this.#isDone) return;
    const headers = new HeaderList(raw);
    // Parsers let through what no writer would write: statuses out of range, thousands of fields.
    const isSound = status >= 200 && status <= 599 && headers.count <= HEADERS_OF_RESPONSE_MAX;
    if (!isSound || !this.#writeHead(status, headers)) {
      this.#attempt?.abort();
      this.#upstream?.failed('malformed');
      this.#onUpstreamError('malformed');
    }
  }

  /** False when the upstream's fields cannot be written as they are; nothing went out then. */
  #writeHead(status: number, headers: HeaderList): boolean {
    stripHopByHop(headers);
    if (status === 204 || status === 205) headers.remove('content-length');
    if (this.#world.config.wire.via) headers.append('Via', `1.1 ${this.#world.config.name}`);
    this.#pipeline.response(this.#exchange as Exchange, { status, headers });
    if (this.#world.isDraining() || this.#isBodyUnread()) this.#res.shouldKeepAlive = false;
    try {
      this.#res.writeHead(status, headers.raw);
      // At once: the body may be a stream that begins much later.
      this.#res.flushHeaders();
    } catch {
      return false;
    }
    this.#status = status;
    return true;
  }

  onData(chunk: Buffer): void {
    if (this.#isDone) return;
    (this.#exchange as Exchange).responseBytes += chunk.length;
    if (this.#res.write(chunk)) return;
    this.#attempt?.pause();
    this.#res.once('drain', () => this.#attempt?.resume());
  }

  onEnd(trailers: string[]): void {
    if (this.#isDone) return;
    const pairs = withoutProtected(trailers, this.#world.isProtectedName);
    if (pairs.length > 0 && this.#res.chunkedEncoding)
      for (let i = 0; i < pairs.length; i += 2) this.#res.addTrailers([[pairs[i] as string, pairs[i + 1] as string]]);
    this.#res.end();
    this.#end({ kind: 'forwarded', status: this.#status as number });
  }

  onFail(error: UpstreamError, cause: Error): void {
    if (this.#isDone) return;
    if (this.#body?.errored instanceof BodyTooLarge)
      return this.#fail({ code: 'body-too-large', detail: 'The body is larger than this route allows.' });
    if (cause instanceof ClientGone || this.#body?.errored instanceof ClientGone) return this.#onClientClose();
    this.#upstream?.failed(error);
    const mayRetry =
      error === 'reset' &&
      this.#status === undefined &&
      this.#body === undefined &&
      IDEMPOTENT.has((this.#exchange as Exchange).method);
    if (mayRetry && this.#attempts <= RETRIES_MAX) return this.#try();
    this.#onUpstreamError(error);
  }

  #onUpstreamError(error: UpstreamError): void {
    const replies: Readonly<Record<UpstreamError, Reply>> = {
      connect: {
        code: 'upstream-unreachable',
        detail: 'The application does not accept connections.',
        retryAfterMs: 1000,
      },
      reset: { code: 'upstream-reset', detail: 'The application closed the connection before it answered.' },
      timeout: { code: 'upstream-timeout', detail: 'The application did not answer in time.' },
      malformed: { code: 'upstream-malformed', detail: 'The application did not answer in sound HTTP.' },
    };
    this.#fail(replies[error]);
  }

  /** An answer while that is still possible; afterwards the response is cut, so that nobody takes it for whole. */
  #fail(reply: Reply): void {
    if (this.#status === undefined) return this.#reply(reply, 'engine');
    cut(this.#res);
    this.#end({ kind: 'aborted', side: 'upstream', status: this.#status });
  }

  #reply(reply: Reply, by: string): void {
    if (this.#isDone) return;
    this.#attempt?.abort();
    const x = this.#exchange;
    const isGrpc = x?.headers.first('content-type')?.startsWith('application/grpc') ?? false;
    const answer = rescue(reply, isGrpc);
    const headers = new HeaderList(answer.headers);
    if (x !== undefined) this.#pipeline.response(x, { status: answer.status, headers });
    if (this.#res.headersSent || this.#res.destroyed) cut(this.#res);
    else {
      if (this.#world.isDraining() || this.#isBodyUnread()) this.#res.shouldKeepAlive = false;
      this.#res.writeHead(answer.status, headers.raw).end(this.#req.method === 'HEAD' ? undefined : answer.body);
    }
    if (x === undefined) this.#isDone = true;
    else this.#end({ kind: 'replied', by, reply, status: answer.status });
  }

  /** The gate's answer: nobody knows where the next request would begin, so the connection ends. */
  #refuse(reply: Reply): void {
    this.#world.onRefused(reply.code);
    this.#res.shouldKeepAlive = false;
    this.#reply(reply, 'gate');
  }

  /** A body we did not read and will not: too long to skip, or of unknown length. */
  #isBodyUnread(): boolean {
    const framing = this.#passed?.framing;
    if (this.#req.complete || framing === undefined || framing.kind === 'none') return false;
    return framing.kind === 'chunked' || framing.bytes > DRAIN_BYTES_MAX;
  }

  #onClientClose(): void {
    if (this.#isDone || this.#res.writableFinished) return;
    this.#isClientGone = true;
    this.#attempt?.abort();
    this.#res.destroy();
    if (!this.#isDeciding) this.#end({ kind: 'aborted', side: 'client', status: this.#status });
  }

  #end(outcome: Outcome): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#body?.destroy();
    if (!this.#req.complete && !this.#req.destroyed) this.#req.resume();
    if (this.#exchange !== undefined) this.#pipeline.done(this.#exchange, outcome);
  }
}

/** Breaks the connection so that the client sees a failure even where the end of the connection would be the end of the body. */
function cut(res: ServerResponse): void {
  if (res.socket === null) res.destroy();
  else res.socket.resetAndDestroy();
}

function withoutProtected(raw: readonly string[], isProtectedName: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    if (mayTrail(name) && !isProtectedName(name)) kept.push(name, raw[i + 1] as string);
  }
  return kept;
}
