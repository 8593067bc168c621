/**
 * An attempt by node:http on a connection of its own, for what undici cannot say: Expect: 100-continue, request trailers, `OPTIONS *`; and
 * for the last attempt at a request that met dying connections, because undici cannot be told to make a new one.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { RESPONSE_HEAD_BYTES_MAX } from '../wire/index.ts';
import type { Answering, Attempt, Outgoing } from './attempt.ts';
import type { Waiting } from './turns.ts';
import { reasonOf, type Upstream } from './upstreams.ts';

/** Methods by which node:http sends no framing by itself. */
const WITHOUT_CONTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS']);

export class AloneAttempt implements Attempt, Waiting {
  readonly #upstream: Upstream;
  readonly #outgoing: Outgoing;
  readonly #answering: Answering;
  #request: ClientRequest | undefined;
  #response: IncomingMessage | undefined;
  #isConnected = false;
  #isOver = false;

  constructor(upstream: Upstream, outgoing: Outgoing, answering: Answering) {
    this.#upstream = upstream;
    this.#outgoing = outgoing;
    this.#answering = answering;
  }

  go(): void {
    const { method, target, headers } = this.#outgoing;
    const request = httpRequest({
      ...this.#upstream.address,
      method,
      path: target,
      agent: false,
      setHost: false,
      insecureHTTPParser: false,
      maxHeaderSize: RESPONSE_HEAD_BYTES_MAX,
      headers: [...headers, ...this.#ownFields()] as unknown as readonly string[],
    });
    this.#request = request;
    request.maxHeadersCount = 0;
    // Of silence: while it connects, then until the head of the answer, then within it.
    request.setTimeout(this.#upstream.connectTimeoutMs);
    request.on('timeout', () => this.#fail(new Error('timed out'), this.#isConnected ? 'timeout' : 'connect'));
    request.on('socket', (socket) => socket.once('connect', () => this.#onConnect()));
    request.on('finish', () => this.#answering.onSent());
    request.on('error', (cause) => this.#fail(cause));
    request.on('response', (response) => this.#onResponse(response));
    request.on(
      'information',
      ({ statusCode, rawHeaders }) =>
        statusCode !== 100 && this.#answering.onInformation(statusCode, rawHeaders as string[]),
    );
    request.on('upgrade', (_response, socket) => {
      socket.destroy();
      this.#fail(new Error('bad upgrade'));
    });
    if (this.#outgoing.expectsContinue) {
      request.once('continue', () => this.#answering.onContinue());
      request.flushHeaders();
    }
    this.#sendBody(request);
  }

  /** Whom the client stops is not silent. */
  pause(): void {
    this.#request?.setTimeout(0);
    this.#response?.pause();
  }

  resume(): void {
    this.#request?.setTimeout(this.#upstream.idleTimeoutMs);
    this.#response?.resume();
  }

  abort(): void {
    this.#finish();
  }

  #ownFields(): string[] {
    const { expectsContinue } = this.#outgoing;
    return [...this.#framing(), 'Connection', 'close', ...(expectsContinue ? ['Expect', '100-continue'] : [])];
  }

  /** Node would send an empty chunked body by the other methods (RFC 9110 §8.6: 0 says that there is none). */
  #framing(): string[] {
    const { method, body, headers } = this.#outgoing;
    if (headers.some((name, at) => at % 2 === 0 && name.toLowerCase() === 'content-length')) return [];
    if (body !== undefined) return ['Transfer-Encoding', 'chunked'];
    return WITHOUT_CONTENT.has(method) ? [] : ['Content-Length', '0'];
  }

  /**
   * As the client sends it, also before a 100: a client need not wait for one for ever (RFC 9110 §10.1.1), and an application that
   * knows nothing of Expect waits for the body.
   */
  #sendBody(request: ClientRequest): void {
    const { body, trailers } = this.#outgoing;
    if (body === undefined) return void request.end();
    body.on('data', (chunk: Buffer) => void (request.write(chunk) || body.pause()));
    request.on('drain', () => body.resume());
    body.on('end', () => {
      if (trailers !== undefined) request.addTrailers(pairsOf(trailers()));
      request.end();
    });
    body.on('error', (cause) => this.#fail(cause));
  }

  #onConnect(): void {
    this.#isConnected = true;
    this.#request?.setTimeout(this.#outgoing.timeoutMs);
  }

  #onResponse(response: IncomingMessage): void {
    this.#response = response;
    this.#request?.setTimeout(this.#upstream.idleTimeoutMs);
    this.#upstream.succeeded();
    this.#answering.onHead(response.statusCode as number, response.rawHeaders);
    response.on('data', (chunk: Buffer) => this.#answering.onData(chunk));
    response.on('end', () => this.#finish() && this.#answering.onEnd(response.rawTrailers));
    response.on('error', (cause) => this.#fail(cause));
  }

  #fail(cause: Error, error = reasonOf(cause)): void {
    // Its connection was never another's, so nothing tells a connection that died idle from an application that died of the request.
    if (this.#finish()) this.#answering.onFail(error, cause, 'final');
  }

  /** Closes the connection and gives the turn back. False when that was done before. */
  #finish(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#request?.destroy();
    this.#upstream.turns.leave(this);
    return true;
  }
}

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i] as string, flat[i + 1] as string]);
  return pairs;
}
