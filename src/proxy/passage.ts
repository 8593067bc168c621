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
import {
  aborted,
  type Endpoint,
  type Exchange,
  forwarded,
  type Held,
  type KeptAnswer,
  type Outcome,
  type Pipeline,
  type Reply,
  type Side,
  type Verdict,
} from '../pipeline/index.ts';
import { HeaderList, mayTrail, type Passed, stripHopByHop } from '../wire/index.ts';
import { arrive, headUp, judge } from './arrival.ts';
import type { Answering, Attempt, Outgoing, Reach } from './attempt.ts';
import { DRAIN_BYTES_MAX, HINTS_MAX } from './bounds.ts';
import { ClientResponse } from './client-response.ts';
import {
  answerOf,
  bodyTooLarge,
  defectReply,
  drainingReply,
  outcomeOf,
  upstreamReplies,
  whyNot,
} from './engine-replies.ts';
import { forward } from './forward.ts';
import { BodyTooLarge, ClientGone, RequestBody } from './request-body.ts';
import { mayRetry, needsNewConnection } from './retry.ts';
import type { Upstream, UpstreamError } from './upstreams.ts';
import type { ProxyWorld } from './world.ts';

const HEADERS_OF_RESPONSE_MAX = 500;

export class Passage implements Answering, Held {
  readonly #world: ProxyWorld;
  readonly #req: IncomingMessage;
  readonly #response: ClientResponse;
  readonly #pipeline: Pipeline;
  #exchange: Exchange | undefined;
  #passed: Passed | undefined;
  #upstream: Upstream | undefined;
  #outgoing: Outgoing | undefined;
  #body: RequestBody | undefined;
  #attempt: Attempt | undefined;
  #attempts = 0;
  #hints = 0;
  #status: number | undefined;
  /** Content of the answer to come, where its length is known. */
  #contentLeft = Number.POSITIVE_INFINITY;
  /** The last of it, until the exchange is recorded. */
  #last: Buffer | undefined;
  /** What then ends the answer. */
  #finish: (() => void) | undefined;
  /** The chain has not answered yet: the end waits for it, so that stages give back what they took. */
  #isDeciding = false;
  #isClientGone = false;
  /** Nobody waits for it any more: the sidecar stops. */
  #isCut = false;
  #isDone = false;

  constructor(world: ProxyWorld, req: IncomingMessage, res: ServerResponse) {
    this.#world = world;
    this.#req = req;
    this.#response = new ClientResponse(req, res, world.timers);
    this.#pipeline = world.pipeline();
  }

  start(): void {
    this.#safely(() => this.#admit());
  }

  /** What arrives cannot end the process, nor leave an exchange open. */
  #safely(run: () => void): void {
    try {
      run();
    } catch (cause) {
      this.#world.onDefect('engine', cause);
      this.#fail(defectReply);
    }
  }

  #admit(): void {
    this.#response.onClose(() => this.#onClientClose());
    const headers = new HeaderList(this.#req.rawHeaders);
    const passed = judge(this.#world, this.#req, headers);
    if (passed.isRefused) return this.#refuse({ code: passed.code, detail: passed.detail });
    this.#passed = passed;
    const { framing } = passed;
    const isWhole = framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0);
    this.#exchange = arrive(this.#world, this.#req, passed, headers, isWhole);
    this.#decide();
  }

  #bodyBytesMax(x: Exchange): number {
    return x.route?.bodyBytesMax ?? this.#world.config.wire.bodyBytesMax;
  }

  #isBodyTooLong(x: Exchange): boolean {
    const { framing } = this.#passed as Passed;
    return framing.kind === 'length' && framing.bytes > this.#bodyBytesMax(x);
  }

  #decide(): void {
    const x = this.#exchange as Exchange;
    this.#isDeciding = true;
    const verdict = this.#pipeline.request(x);
    if (verdict instanceof Promise) void verdict.then((late) => this.#safely(() => this.#onVerdict(late)));
    else this.#onVerdict(verdict);
  }

  #onVerdict(verdict: Verdict): void {
    this.#isDeciding = false;
    if (this.#isClientGone) this.#end(aborted(this.#leaver, undefined));
    else if (this.#isCut) this.#fail(drainingReply);
    else if (verdict !== undefined) this.#reply(verdict, 'chain');
    else this.#send();
  }

  #send(): void {
    const x = this.#exchange as Exchange;
    // Behind the chain: a stranger must not learn a route's bound, and the refusal is counted as the tenant's.
    if (this.#isBodyTooLong(x)) return this.#reply(bodyTooLarge, 'engine');
    // The routing stage names none that is not there.
    const upstream = this.#world.upstreams.get((x.endpoint as Endpoint).name) as Upstream;
    const refusal = whyNot(upstream);
    if (refusal !== undefined) return this.#reply(refusal, 'engine');
    this.#upstream = upstream;
    this.#outgoing = this.#compose(x);
    if (this.#body === undefined) this.#allowWaiting();
    else
      this.#body.once('end', () => {
        this.#allowWaiting();
        this.onSent();
      });
    this.#try();
  }

  /** A client that has said everything and waits for a slow answer is not idle; one that stops in the middle is. */
  #allowWaiting(): void {
    const { timeoutMs } = this.#outgoing as Outgoing;
    const { idleTimeoutMs } = this.#world.config.wire;
    if (timeoutMs >= idleTimeoutMs && this.#status === undefined)
      this.#response.allowSilence(timeoutMs + idleTimeoutMs);
  }

  #compose(x: Exchange): Outgoing {
    const { config, isProtectedName } = this.#world;
    const { framing, expectsContinue } = this.#passed as Passed;
    const headers = headUp(this.#world, this.#req, this.#passed as Passed, x);
    if (framing.kind === 'chunked' || (framing.kind === 'length' && framing.bytes > 0))
      this.#body = new RequestBody(this.#req, this.#bodyBytesMax(x), (bytes) => void (x.requestBytes += bytes));
    const hasTrailers = framing.kind === 'chunked' && x.headers.has('trailer');
    return {
      method: x.method,
      target: x.target,
      headers,
      body: this.#body,
      timeoutMs: x.route?.timeoutMs ?? config.wire.responseTimeoutMs,
      expectsContinue,
      trailers: hasTrailers ? () => withoutProtected(this.#req.rawTrailers, isProtectedName) : undefined,
    };
  }

  #try(): void {
    this.#attempts++;
    const needsNew = needsNewConnection(this.#attempts);
    this.#attempt = forward(this.#upstream as Upstream, this.#outgoing as Outgoing, this, needsNew);
  }

  /** On its way: with its last byte, or that comes with the end of the body. */
  onSent(): void {
    if (this.#body === undefined || this.#body.readableEnded)
      (this.#exchange as Exchange).sentAt = this.#world.clock.now();
  }

  onContinue(): void {
    if (!this.#isDone) this.#response.continue();
  }

  onInformation(status: number, headers: string[]): void {
    if (status !== 103 || this.#req.httpVersion !== '1.1' || this.#isDone || this.#hints++ >= HINTS_MAX) return;
    const hints: Record<string, string[]> = {};
    for (let i = 0; i < headers.length; i += 2) {
      const name = (headers[i] as string).toLowerCase();
      if (mayTrail(name) && !this.#world.isProtectedName(name)) (hints[name] ??= []).push(headers[i + 1] as string);
    }
    if (hints['link'] !== undefined) this.#response.hint(hints);
  }

  onHead(status: number, raw: string[]): void {
    if (this.#isDone) return;
    const headers = new HeaderList(raw);
    // Parsers let through what no writer would write: statuses out of range, thousands of fields.
    const isSound = status >= 200 && status <= 599 && headers.count <= HEADERS_OF_RESPONSE_MAX;
    if (!isSound || !this.#writeHead(status, headers)) {
      this.#attempt?.abort();
      this.#upstream?.failed('malformed');
      this.#fail(upstreamReplies.malformed);
    }
  }

  /** False when the upstream's fields cannot be written as they are; nothing went out then. */
  #writeHead(status: number, headers: HeaderList): boolean {
    stripHopByHop(headers);
    if (status === 204 || status === 205) headers.remove('content-length');
    // RFC 9110 §15.3.6: no content, and the client must be able to tell.
    if (status === 205) headers.append('Content-Length', '0');
    if (this.#world.config.wire.via) headers.append('Via', `1.1 ${this.#world.config.name}`);
    const x = this.#exchange as Exchange;
    x.headAt = this.#world.clock.now();
    x.status = status;
    this.#pipeline.response(x, { status, headers });
    if (this.#isConnectionOver()) this.#response.isLast();
    this.#contentLeft = this.#contentOf(status, headers);
    if (!this.#response.head(status, headers.raw, this.#contentLeft === 0)) return false;
    this.#response.allowSilence(this.#world.config.wire.idleTimeoutMs);
    this.#status = status;
    return true;
  }

  /** Bytes of content to come; Infinity where the head does not say. */
  #contentOf(status: number, headers: HeaderList): number {
    if ((this.#exchange as Exchange).method === 'HEAD' || status === 204 || status === 205 || status === 304) return 0;
    return Number(headers.first('content-length') ?? Number.POSITIVE_INFINITY);
  }

  onData(chunk: Buffer): void {
    if (this.#isDone || this.#status === 205) return;
    const x = this.#exchange as Exchange;
    x.responseBytes += chunk.length;
    x.copy?.add(chunk, 0, chunk.length);
    this.#contentLeft -= chunk.length;
    if (this.#contentLeft === 0) this.#last = chunk;
    else if (!this.#response.write(chunk, this.#resume)) this.#attempt?.pause();
  }

  readonly #resume = (): void => this.#attempt?.resume();

  onEnd(trailers: string[]): void {
    if (this.#isDone) return;
    const pairs = withoutProtected(trailers, this.#world.isProtectedName);
    this.#end(forwarded(this.#status as number), () => this.#response.end(pairs, this.#last));
  }

  onFail(error: UpstreamError, cause: Error, reach: Reach): void {
    if (this.#isDone) return;
    if (this.#body?.errored instanceof BodyTooLarge) return this.#fail(bodyTooLarge);
    if (cause instanceof ClientGone || this.#body?.errored instanceof ClientGone) return this.#onClientClose();
    this.#upstream?.failed(error);
    if (mayRetry(reach, this.#outgoing as Outgoing, this.#attempts)) return this.#try();
    this.#fail(upstreamReplies[error]);
  }

  /** An answer while that is still possible; afterwards the response is cut, so that nobody takes it for whole. */
  #fail(reply: Reply, side: Side = 'upstream'): void {
    if (this.#status === undefined) return this.#reply(reply, 'engine');
    this.#attempt?.abort();
    this.#response.cut();
    this.#end(aborted(side, this.#status));
  }

  /** The sidecar stops, and waits no longer. */
  cutShort(): void {
    if (this.#isDone) return;
    this.#isCut = true;
    if (this.#isDeciding) this.#exchange?.abandon();
    else this.#fail(drainingReply, 'drain');
  }

  /** Whose doing it is that the client's connection closed. */
  get #leaver(): Side {
    return this.#isCut ? 'drain' : 'client';
  }

  #reply(reply: Reply | KeptAnswer, by: string): void {
    if (this.#isDone) return;
    this.#attempt?.abort();
    const x = this.#exchange;
    const answer = answerOf(reply, x, this.#pipeline, this.#world.date());
    if (this.#isConnectionOver()) this.#response.isLast();
    const send = (): void => this.#response.answer(answer.status, answer.headers, answer.body);
    if (x === undefined) {
      this.#isDone = true;
      send();
    } else this.#end(outcomeOf(reply, by, answer, x), send);
  }

  /** The gate's answer: nobody knows where the next request would begin, so the connection ends. */
  #refuse(reply: Reply): void {
    const { method, url: target, socket } = this.#req;
    this.#world.onRefused({ code: reply.code, method, target, peer: socket.remoteAddress });
    this.#response.isLast();
    this.#reply(reply, 'gate');
  }

  #isConnectionOver(): boolean {
    return this.#world.isDraining() || this.#isBodyUnread();
  }

  /**
   * A body we did not read and will not: too long to skip, or of unknown length. Of one that nobody began to read it makes no difference
   * whether it happens to be here already: what a client sees must not depend on how its bytes were cut.
   */
  #isBodyUnread(): boolean {
    const framing = this.#passed?.framing;
    if (framing?.kind === 'chunked') return this.#body === undefined || !this.#req.complete;
    return framing?.kind === 'length' && framing.bytes > DRAIN_BYTES_MAX && !this.#req.complete;
  }

  #onClientClose(): void {
    if (this.#isDone) return;
    this.#isClientGone = true;
    this.#attempt?.abort();
    this.#response.drop();
    this.#exchange?.abandon();
    if (!this.#isDeciding) this.#end(aborted(this.#leaver, this.#status));
  }

  /** `finish`: the last bytes, which wait for the exchange to be recorded. */
  #end(outcome: Outcome, finish?: () => void): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#finish = finish;
    if (this.#exchange !== undefined) this.#pipeline.done(this.#exchange, outcome);
    if (this.#world.commits?.hold(this) !== true) this.release();
  }

  release(): void {
    this.#finish?.();
    this.#body?.destroy();
    if (!this.#req.complete && !this.#req.destroyed) this.#req.resume();
  }
}

function withoutProtected(raw: readonly string[], isProtectedName: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    if (mayTrail(name) && !isProtectedName(name)) kept.push(name, raw[i + 1] as string);
  }
  return kept;
}
