// hot path
/**
 * One attempt to have a request answered by an upstream, when its turn has come. Two ways behind one interface: undici's pool for nearly
 * everything; node:http on a connection of its own for what undici cannot say, and for the last attempt (forward-alone.ts).
 */
import type { Dispatcher } from 'undici';
import type { Answering, Attempt, Outgoing, Reach } from './attempt.ts';
import { AloneAttempt } from './forward-alone.ts';
import type { Waiting } from './turns.ts';
import type { Carried, Carrier, Lane } from './upstream-pool.ts';
import { reasonOf, type Upstream, type UpstreamError } from './upstreams.ts';

/** Takes a turn and goes when it comes. `needsNew`: not on a connection that carried another. */
export function forward(upstream: Upstream, outgoing: Outgoing, answering: Answering, needsNew = false): Attempt {
  const isUnsayable = outgoing.expectsContinue || outgoing.trailers !== undefined || outgoing.target === '*';
  const isAlone = needsNew || isUnsayable;
  const attempt = isAlone
    ? new AloneAttempt(upstream, outgoing, answering)
    : new PooledAttempt(upstream, outgoing, answering);
  upstream.turns.take(attempt);
  return attempt;
}

class PooledAttempt implements Attempt, Waiting, Carried {
  readonly #upstream: Upstream;
  readonly #outgoing: Outgoing;
  readonly #answering: Answering;
  #controller: Dispatcher.DispatchController | undefined;
  #lane: Lane | undefined;
  /** The connection it was written to, and what that had received before. */
  #carrier: Carrier | undefined;
  #bytesBefore = 0;
  /** It is with undici, which ends it by onResponseEnd or onResponseError. */
  #isDispatched = false;
  #isAborted = false;

  constructor(upstream: Upstream, outgoing: Outgoing, answering: Answering) {
    this.#upstream = upstream;
    this.#outgoing = outgoing;
    this.#answering = answering;
  }

  go(): void {
    this.#isDispatched = true;
    const { method, target, headers, body, timeoutMs } = this.#outgoing;
    this.#upstream.pool.dispatch(
      // A stream body of unknown length is sent chunked; with a Content-Length among the headers its length is checked.
      { method: method as Dispatcher.HttpMethod, path: target, headers, body: body ?? null, headersTimeout: timeoutMs },
      this,
    );
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  abort(): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    if (this.#isDispatched) this.#controller?.abort(new Error('the client is gone'));
    else this.#upstream.turns.leave(this);
  }

  takenBy(lane: Lane): void {
    this.#lane = lane;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isAborted) return controller.abort(new Error('the client is gone'));
    this.#carrier = (this.#lane as Lane).carrier as Carrier;
    this.#carrier.requests++;
    this.#bytesBefore = this.#carrier.socket.bytesRead;
    this.#upstream.succeeded();
    this.#answering.onSent();
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
    this.#upstream.turns.leave(this);
    this.#answering.onEnd(textOf((controller.rawTrailers ?? []) as Buffer[]));
  }

  onResponseError(_controller: Dispatcher.DispatchController, cause: Error): void {
    this.#upstream.turns.leave(this);
    if (this.#isAborted) return;
    const error = this.#errorOf(cause);
    this.#answering.onFail(error, cause, this.#reach(error));
  }

  #errorOf(cause: Error): UpstreamError {
    // Nothing was written, and there is no connection: it could not be made.
    const isUnreached = this.#controller === undefined && this.#lane?.carrier === undefined;
    return isUnreached ? 'connect' : reasonOf(cause);
  }

  #reach(error: UpstreamError): Reach {
    if (error !== 'reset') return 'final';
    // A fresh connection that dies is no accident of idleness: what happened once would happen again.
    if (this.#carrier === undefined) return (this.#lane?.carrier?.requests ?? 0) > 0 ? 'unsent' : 'final';
    const { requests, socket } = this.#carrier;
    return requests > 1 && socket.bytesRead === this.#bytesBefore ? 'unanswered' : 'final';
  }
}

/** Header bytes are latin-1 on the wire (RFC 9110 §5.5); as text they pass through us unchanged. */
function textOf(raw: readonly Buffer[]): string[] {
  return raw.map((each) => each.toString('latin1'));
}
