// hot path
/**
 * One request through the fast engine: the same chain, the same answers and the same single end as a `Passage` of the general engine. Its
 * head is on a slate; its client gives it content and takes bytes.
 *
 *   admit ─▶ chain ─▶ turn ─▶ connection ─▶ head ─▶ content… ─▶ end
 *     │        │        │         │           └─ from here on a failure cuts the response short: never a clean end
 *     └────────┴────────┴─────────┴─ until here a failure is an answer of ours
 */
import { type MonotonicMs, renewClock } from '../../core/index.ts';
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
} from '../../pipeline/index.ts';
import { ByteHeaders, type FieldTable, LAST_CHUNK, type ResponseReader } from '../../wire/index.ts';
import type { Reach } from '../attempt.ts';
import { DRAIN_BYTES_MAX, HINTS_MAX } from '../bounds.ts';
import {
  answerOf,
  bodyTooLarge,
  defectReply,
  drainingReply,
  outcomeOf,
  upstreamReplies,
  whyNot,
} from '../engine-replies.ts';
import { mayRetry, needsNewConnection } from '../retry.ts';
import type { Waiting } from '../turns.ts';
import type { Upstream, UpstreamError } from '../upstreams.ts';
import { arrive } from './arrival.ts';
import type { Answering, Carrier } from './carrier.ts';
import type { FastClient } from './fast-client.ts';
import { dropFolds, writeHeadUp } from './request-head.ts';
import { hintOf, lastChunkWith, messageOf, showHead, writeHeadDown } from './response-head.ts';
import type { Slate } from './slate.ts';
import type { FastWorld } from './world.ts';

/** Content kept for a connection that is not there yet; one read more may come on top. A client that is not read is not seen leaving either. */
const EARLY_BYTES_MAX = 64 * 1024;

export class FastPassage implements Answering, Waiting, Held {
  readonly #world: FastWorld;
  readonly #client: FastClient;
  readonly #slate: Slate;
  readonly #pipeline: Pipeline;
  readonly #headers: ByteHeaders;
  readonly #exchange: Exchange;
  readonly #contentLength: number;
  #upstream: Upstream | undefined;
  #connection: Carrier | undefined;
  /** Content that came before a connection did. */
  #early: Buffer | undefined;
  #contentLeft: number;
  #attempts = 0;
  #hints = 0;
  #status: number | undefined;
  #isChunked = false;
  #isPaused = false;
  /** What goes out once the exchange is recorded. */
  #last: Buffer | undefined;
  /** The chain has not answered yet: the end waits for it, so that stages give back what they took. */
  #isDeciding = false;
  #isClientGone = false;
  /** Nobody waits for it any more: the sidecar stops. */
  #isCut = false;
  #isDone = false;

  /** The slate holds a whole head, which was there at `now`. */
  constructor(world: FastWorld, client: FastClient, slate: Slate, now: MonotonicMs) {
    const { reader } = slate;
    this.#world = world;
    this.#client = client;
    this.#slate = slate;
    this.#pipeline = world.pipeline();
    this.#contentLength = Math.max(0, reader.contentLength);
    this.#contentLeft = this.#contentLength;
    if (reader.fields.hasSuspect) dropFolds(reader.fields);
    this.#headers = new ByteHeaders(reader.fields);
    this.#exchange = arrive(world, slate, this.#headers, client.peer, now);
  }

  get isGone(): boolean {
    return this.#isDone || this.#isClientGone;
  }

  get needsNew(): boolean {
    return needsNewConnection(this.#attempts);
  }

  get isForHead(): boolean {
    return this.#exchange.method === 'HEAD';
  }

  get isWhole(): boolean {
    return this.#contentLeft === 0;
  }

  start(): void {
    this.#world.onBegin();
    try {
      this.#admit();
    } catch (cause) {
      this.onDefect(cause);
    }
  }

  onDefect(cause: unknown): void {
    this.#world.onDefect('fast', cause);
    this.#fail(defectReply);
  }

  #admit(): void {
    this.#isDeciding = true;
    const verdict = this.#pipeline.request(this.#exchange);
    if (verdict instanceof Promise) void this.#wait(verdict);
    else this.#onVerdict(verdict);
  }

  async #wait(pending: Promise<Verdict>): Promise<void> {
    const verdict = await pending;
    try {
      this.#onVerdict(verdict);
    } catch (cause) {
      this.onDefect(cause);
    }
  }

  #onVerdict(verdict: Verdict): void {
    this.#isDeciding = false;
    if (this.#isClientGone) this.#end(aborted(this.#leaver, undefined));
    else if (this.#isCut) this.#fail(drainingReply);
    else if (verdict !== undefined) this.#reply(verdict, 'chain');
    else this.#send();
  }

  #send(): void {
    const x = this.#exchange;
    const bytesMax = x.route?.bodyBytesMax ?? this.#world.config.wire.bodyBytesMax;
    // Behind the chain: strangers cannot probe for a route's bound.
    if (this.#contentLength > bytesMax) return this.#reply(bodyTooLarge, 'engine');
    // The routing stage names none that is not there.
    const upstream = this.#world.upstreams.get((x.endpoint as Endpoint).name) as Upstream;
    const refusal = whyNot(upstream);
    if (refusal !== undefined) return this.#reply(refusal, 'engine');
    writeHeadUp(this.#world, this.#slate, x, this.#headers, this.#client.peer);
    this.#upstream = upstream;
    upstream.turns.take(this);
  }

  /** Its turn has come. */
  go(): void {
    this.#attempts++;
    this.#world.pools.of(this.#upstream as Upstream).want(this);
  }

  onConnection(connection: Carrier): void {
    const early = this.#early;
    this.#early = undefined;
    this.#upstream?.succeeded();
    this.#connection = connection;
    const head = this.#slate.written;
    connection.begin(this, early === undefined ? head : Buffer.concat([head, early]));
    if (this.#contentLeft === 0) this.#exchange.sentAt = connection.since;
    if (early !== undefined) this.#client.resume();
  }

  /** Content of the request; the bytes are the client's. */
  onRequestContent(bytes: Buffer, from: number, to: number): void {
    this.#exchange.requestBytes += to - from;
    this.#contentLeft -= to - from;
    const copy = Buffer.from(bytes.subarray(from, to));
    if (this.#connection !== undefined) {
      if (!this.#connection.write(copy, this.#contentLeft === 0)) this.#client.pause();
      if (this.#contentLeft === 0) this.#exchange.sentAt = this.#connection.since;
      return;
    }
    this.#early = this.#early === undefined ? copy : Buffer.concat([this.#early, copy]);
    if (this.#contentLeft > 0 && this.#early.length >= EARLY_BYTES_MAX) this.#client.pause();
  }

  onDrain(): void {
    if (this.#contentLength > 0) this.#client.resume();
  }

  onInterim(reader: ResponseReader): void {
    if (reader.status !== 103 || this.#hints++ >= HINTS_MAX) return;
    const hint = hintOf(new ByteHeaders(reader.fields), this.#world.isProtectedName);
    if (hint !== undefined) this.#client.write(Buffer.from(hint, 'latin1'));
  }

  onHead(reader: ResponseReader, contentBytesMax: number): void {
    const { config } = this.#world;
    const { status } = reader;
    const headers = new ByteHeaders(reader.fields);
    // RFC 9110 §15.3.6: no content, and the client must be able to tell.
    if (status === 205) {
      reader.framing = 'none';
      reader.contentLength = 0;
    }
    this.#isChunked = reader.framing === 'chunked' || reader.framing === 'close';
    if (config.wire.via) headers.append('Via', this.#world.via);
    this.#exchange.headAt = this.#connection?.since ?? 0;
    this.#exchange.status = status;
    showHead(this.#pipeline, this.#exchange, status, headers);
    if (this.#isConnectionOver()) this.#client.isLast = true;
    const head = writeHeadDown(reader, this.#client.isLast, headers.appended);
    headers.detach();
    this.#world.outbox.begin(contentBytesMax, head.bytes, head.length);
    this.#status = status;
  }

  onBegin(contentBytesMax: number): void {
    this.#world.outbox.begin(contentBytesMax, undefined, 0);
  }

  onContent(bytes: Buffer, from: number, to: number): void {
    if (this.#status === 205) return;
    this.#exchange.responseBytes += to - from;
    this.#exchange.copy?.add(bytes, from, to);
    this.#world.outbox.addContent(bytes, from, to, this.#isChunked);
  }

  onRead(): void {
    if (this.#client.flush(undefined)) return;
    this.#isPaused = true;
    this.#connection?.pause();
  }

  /** The client took what it was sent. */
  onClientDrain(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#connection?.resume();
  }

  onEnd(trailers: FieldTable | undefined): void {
    this.#connection = undefined;
    if (this.#isDone) return;
    const end = this.#isChunked ? this.#lastChunk(trailers) : undefined;
    if (this.#world.commits === undefined) this.#client.flush(end);
    else this.#last = this.#world.outbox.take(end);
    this.#end(forwarded(this.#status as number));
  }

  #lastChunk(trailers: FieldTable | undefined): Uint8Array {
    if (trailers === undefined) return LAST_CHUNK;
    return lastChunkWith(new ByteHeaders(trailers), this.#world.isProtectedName);
  }

  onFail(error: UpstreamError, reach: Reach): void {
    this.#connection = undefined;
    if (this.#isDone) return;
    this.#upstream?.failed(error);
    const { method } = this.#exchange;
    if (this.#contentLength === 0 && mayRetry(reach, { method, body: undefined }, this.#attempts)) this.go();
    else this.#fail(upstreamReplies[error]);
  }

  onClientGone(): void {
    if (this.#isDone) return;
    this.#isClientGone = true;
    this.#abort();
    this.#exchange.abandon();
    if (!this.#isDeciding) this.#end(aborted(this.#leaver, this.#status));
  }

  /** What took too long. `idleMs`: how long the client has been silent. */
  sweep(now: number, idleMs: number): void {
    const { responseTimeoutMs, idleTimeoutMs } = this.#world.config.wire;
    const timeoutMs = this.#exchange.route?.timeoutMs ?? responseTimeoutMs;
    const isAnswering = this.#status !== undefined;
    // A client that has said everything and waits for a slow answer is not idle; one that stops in the middle is.
    const isWaiting = !isAnswering && this.#contentLeft === 0;
    const upstreamMs = this.#connection === undefined || this.#isPaused ? 0 : now - this.#connection.since;
    if (upstreamMs > (isAnswering ? idleTimeoutMs : timeoutMs)) this.#connection?.timeOut();
    else if (idleMs > (isWaiting ? timeoutMs + idleTimeoutMs : idleTimeoutMs)) this.#client.destroy();
  }

  /** An answer while that is still possible; afterwards the response is cut, so that nobody takes it for whole. */
  #fail(reply: Reply, side: Side = 'upstream'): void {
    if (this.#status === undefined) return this.#reply(reply, 'engine');
    if (this.#isDone) return;
    this.#abort();
    this.#client.cut();
    this.#end(aborted(side, this.#status));
  }

  /** The sidecar stops, and waits no longer. */
  cutShort(): void {
    if (this.#isDone) return;
    this.#isCut = true;
    if (this.#isDeciding) this.#exchange.abandon();
    else this.#fail(drainingReply, 'drain');
  }

  /** Whose doing it is that the client's connection closed. */
  get #leaver(): Side {
    return this.#isCut ? 'drain' : 'client';
  }

  #reply(reply: Reply | KeptAnswer, by: string): void {
    if (this.#isDone) return;
    this.#abort();
    const x = this.#exchange;
    const answer = answerOf(reply, x, this.#pipeline, this.#world.date());
    if (this.#isConnectionOver()) this.#client.isLast = true;
    const { isLast } = this.#client;
    this.#last = messageOf(answer.status, answer.headers, answer.body, { isLast, isForHead: this.isForHead });
    this.#end(outcomeOf(reply, by, answer, x));
  }

  #abort(): void {
    this.#connection?.destroy();
    this.#connection = undefined;
  }

  #isConnectionOver(): boolean {
    return this.#world.isDraining() || (this.#contentLeft > 0 && this.#contentLength > DRAIN_BYTES_MAX);
  }

  #end(outcome: Outcome): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#upstream?.turns.leave(this);
    // What took long within this read is of its duration.
    renewClock();
    this.#pipeline.done(this.#exchange, outcome);
    if (this.#world.commits?.hold(this) !== true) this.release();
  }

  /** The last bytes, and the end. */
  release(): void {
    if (this.#last !== undefined) this.#client.write(this.#last);
    this.#headers.detach();
    this.#client.onEnd();
    this.#world.onEnd();
  }
}
