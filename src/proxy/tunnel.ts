/**
 * Upgrades, WebSocket above all: the request walks the same gate and chain, then both sides become one pipe. The upstream's 101 is
 * checked; any other answer is relayed as what it is. Torn down together; the exchange ends when both sides have.
 */
import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
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
  type Verdict,
} from '../pipeline/index.ts';
import { HeaderList, listMembers, type Passed, stripHopByHop } from '../wire/index.ts';
import { arrive, headUp, judge } from './arrival.ts';
import { answerOf, defectReply, drainingReply, outcomeOf, upstreamReplies } from './engine-replies.ts';
import { reasonOf, type Upstream } from './upstreams.ts';
import type { ProxyWorld } from './world.ts';

/** Whether a request is an upgrade that becomes a tunnel: one protocol, nominated, and not h2c, which is stripped. */
export function isTunnel(req: IncomingMessage): boolean {
  const upgrade = req.headers.upgrade;
  if (
    upgrade === undefined ||
    !/^[!#$%&'*+.^_`|~0-9A-Za-z/-]+$/.test(upgrade) ||
    upgrade.toLowerCase().startsWith('h2c')
  )
    return false;
  const hasBody = req.headers['transfer-encoding'] !== undefined || (req.headers['content-length'] ?? '0') !== '0';
  return (
    req.method === 'GET' &&
    req.httpVersion === '1.1' &&
    !hasBody &&
    listMembers([req.headers.connection ?? '']).includes('upgrade')
  );
}

export class Tunnel implements Held {
  readonly #world: ProxyWorld;
  readonly #req: IncomingMessage;
  readonly #client: Socket;
  readonly #head: Buffer;
  readonly #pipeline: Pipeline;
  #exchange: Exchange | undefined;
  #upstreamSocket: Socket | undefined;
  #status: number | undefined;
  /** The last bytes of an answer, until the exchange is recorded; undefined: there is none. */
  #last: string | Buffer | undefined;
  #isDeciding = false;
  /** Nobody waits for it any more: the sidecar stops. */
  #isCut = false;
  #isDone = false;

  constructor(world: ProxyWorld, req: IncomingMessage, client: Socket, head: Buffer) {
    this.#world = world;
    this.#req = req;
    this.#client = client;
    this.#head = head;
    this.#pipeline = world.pipeline();
  }

  /** The sidecar stops, and waits no longer. */
  cutShort(): void {
    if (this.#isDone) return;
    this.#isCut = true;
    if (this.#isDeciding) this.#exchange?.abandon();
    else if (this.#status === undefined) this.#reply(drainingReply);
    // An answer that is relayed must not look whole.
    else if (this.#status !== 101) this.#client.resetAndDestroy();
    else this.#client.destroy();
  }

  start(): void {
    const { idleTimeoutMs } = this.#world.config.wire;
    this.#client.on('close', () => this.#onClosed('client'));
    // Both directions pass this socket, so its silence is the tunnel's.
    this.#client.setTimeout(idleTimeoutMs, () => this.#client.destroy());
    this.#safely(() => this.#admit());
  }

  /** What arrives cannot end the process, nor leave an exchange open. */
  #safely(run: () => void): void {
    try {
      run();
    } catch (cause) {
      this.#world.onDefect('tunnel', cause);
      this.#reply(defectReply);
    }
  }

  #admit(): void {
    const headers = new HeaderList(this.#req.rawHeaders);
    const passed = judge(this.#world, this.#req, headers);
    if (passed.isRefused) return this.#reply(passed);
    const protocol = headers.first('upgrade') as string;
    const x = arrive(this.#world, this.#req, passed, headers, false);
    // A refusal is relayed without trailers.
    headers.remove('te');
    headers.remove('content-length');
    this.#exchange = x;
    this.#isDeciding = true;
    const verdict = this.#pipeline.request(x);
    const go = (late: Verdict): void => {
      this.#isDeciding = false;
      if (this.#client.destroyed) this.#end(aborted(this.#isCut ? 'drain' : 'client', undefined));
      else if (this.#isCut) this.#reply(drainingReply);
      else if (late !== undefined) this.#reply(late);
      else this.#dial(x, passed, protocol);
    };
    if (!(verdict instanceof Promise)) return go(verdict);
    const unwatch = this.#watchClient();
    void verdict.then((late) => {
      unwatch();
      this.#safely(() => go(late));
    });
  }

  /** While it waits: a socket that nobody reads does not tell of its end. What the client sends meanwhile stays where it is, at most a read. */
  #watchClient(): () => void {
    const client = this.#client;
    const look = (): void => {
      if (client.readableLength === 0) client.read();
    };
    const gone = (): void => void client.destroy();
    client.on('readable', look).on('end', gone);
    return () => client.off('readable', look).off('end', gone);
  }

  #dial(x: Exchange, passed: Passed, protocol: string): void {
    const upstream = this.#world.upstreams.get((x.endpoint as Endpoint).name) as Upstream;
    const closedMs = upstream.closedMs();
    if (closedMs > 0) return this.#reply({ ...upstreamReplies.connect, retryAfterMs: closedMs });
    const timeoutMs = x.route?.timeoutMs ?? this.#world.config.wire.responseTimeoutMs;
    const request = httpRequest({
      ...upstream.address,
      method: 'GET',
      path: x.target,
      agent: false,
      setHost: false,
      headers: [
        ...headUp(this.#world, this.#req, passed, x),
        'Connection',
        'Upgrade',
        'Upgrade',
        protocol,
      ] as unknown as readonly string[],
    });
    request.maxHeadersCount = 0;
    request.setTimeout(timeoutMs, () => request.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })));
    this.#client.on('close', () => request.destroy());
    request.on('finish', () => void (x.sentAt = this.#world.clock.now()));
    request.on('error', (cause: NodeJS.ErrnoException) => this.#onDialError(upstream, cause));
    request.on('response', (response) => this.#relay(upstream, response));
    request.on('upgrade', (response, socket, head) => this.#open(upstream, response, socket as Socket, head, protocol));
    request.end();
  }

  #onDialError(upstream: Upstream, cause: Error): void {
    if (this.#isDone || this.#client.destroyed) return;
    const reason = reasonOf(cause);
    upstream.failed(reason);
    if (this.#status === undefined) this.#reply(upstreamReplies[reason]);
    else this.#client.resetAndDestroy();
  }

  #open(upstream: Upstream, response: IncomingMessage, socket: Socket, head: Buffer, protocol: string): void {
    const headers = new HeaderList(response.rawHeaders);
    const answered = listMembers(headers.all('upgrade'));
    socket.on('error', () => socket.destroy());
    if (this.#isDone) return void socket.destroy();
    if (!answered.includes(protocol.toLowerCase())) {
      socket.destroy();
      upstream.failed('malformed');
      return this.#reply(upstreamReplies.malformed);
    }
    // From here on only silence of both sides ends it.
    socket.removeAllListeners('timeout').setTimeout(0);
    upstream.succeeded();
    this.#upstreamSocket = socket;
    this.#status = 101;
    stripHopByHop(headers);
    headers.remove('content-length');
    const x = this.#exchange as Exchange;
    x.headAt = this.#world.clock.now();
    x.status = 101;
    this.#pipeline.response(x, { status: 101, headers });
    this.#client.write(
      headText(101, 'Switching Protocols', [...headers.raw, 'Connection', 'Upgrade', 'Upgrade', answered[0] as string]),
      'latin1',
    );
    if (head.length > 0) this.#count(head, 'response', this.#client);
    if (this.#head.length > 0) this.#count(this.#head, 'request', socket);
    pump(this.#client, socket, (bytes) => void (x.requestBytes += bytes));
    this.#client.on('end', () => socket.end());
    // Its end is the last that the client gets: it waits until all is over, and recorded.
    pump(socket, this.#client, (bytes) => void (x.responseBytes += bytes));
    socket.on('close', () => this.#onClosed('upstream'));
  }

  #count(chunk: Buffer, side: 'request' | 'response', to: Duplex): void {
    const x = this.#exchange as Exchange;
    if (side === 'request') x.requestBytes += chunk.length;
    else x.responseBytes += chunk.length;
    to.write(chunk);
  }

  /** An ordinary answer instead of a 101: relayed, and the connection closed behind it. */
  #relay(upstream: Upstream, response: IncomingMessage): void {
    if (this.#isDone || this.#client.destroyed) return;
    upstream.succeeded();
    const x = this.#exchange as Exchange;
    const headers = new HeaderList(response.rawHeaders);
    stripHopByHop(headers);
    const status = response.statusCode as number;
    if (status < 200 || status > 599) {
      response.destroy();
      upstream.failed('malformed');
      return this.#reply(upstreamReplies.malformed);
    }
    this.#status = status;
    x.headAt = this.#world.clock.now();
    x.status = status;
    this.#pipeline.response(x, { status, headers });
    // Without a length the end of the connection is the end of the body.
    const head = headText(status, '', [...headers.raw, 'Connection', 'close']);
    let left = Number(headers.first('content-length') ?? Number.POSITIVE_INFINITY);
    let last: string | Buffer | undefined;
    // Without a body the head is all of it.
    if (left === 0 || status === 204 || status === 304) last = head;
    else this.#client.write(head, 'latin1');
    response.on('data', (chunk: Buffer) => {
      x.responseBytes += chunk.length;
      left -= chunk.length;
      if (left === 0) last = chunk;
      else if (!this.#client.write(chunk)) response.pause();
    });
    this.#client.on('drain', () => response.resume());
    response.on('end', () => {
      this.#last = last ?? '';
      this.#end(forwarded(status));
    });
    // The end of the connection is the end of the body here: only a reset tells that there was more.
    response.on('error', () => this.#client.resetAndDestroy());
  }

  #reply(reply: Reply | KeptAnswer): void {
    if (this.#isDone) return;
    const x = this.#exchange;
    const answer = answerOf(reply, x, this.#pipeline, this.#world.date());
    this.#last = `${headText(answer.status, '', [...answer.headers, 'Connection', 'close'])}${answer.body}`;
    if (x === undefined) {
      this.#isDone = true;
      this.release();
      const { method, url: target } = this.#req;
      // What passed no gate reached no stage that could have kept anything.
      this.#world.onRefused({ code: (reply as Reply).code, method, target, peer: this.#client.remoteAddress });
    } else this.#end(outcomeOf(reply, 'tunnel', answer, x));
  }

  /** The last bytes, of a tunnel its end; then what the client still sends is thrown away, so that its end is seen. */
  release(): void {
    if (this.#last === undefined) return;
    this.#client.end(this.#last, 'latin1');
    if (this.#status === 101) this.#client.destroySoon();
    else this.#client.resume();
  }

  #onClosed(side: 'client' | 'upstream'): void {
    // A side that ended in order has its last bytes delivered; one that broke off breaks the other.
    const [client, upstream] = [this.#client, this.#upstreamSocket];
    if (side === 'upstream' && upstream?.readableEnded === true) this.#last = '';
    else if (side === 'upstream') client.resetAndDestroy();
    else client.readableEnded ? upstream?.destroySoon() : upstream?.destroy();
    if (this.#isDeciding) return this.#exchange?.abandon();
    this.#end(this.#status === 101 ? forwarded(101) : aborted(this.#isCut ? 'drain' : side, this.#status));
  }

  #end(outcome: Outcome): void {
    if (this.#isDone) return;
    this.#isDone = true;
    if (this.#exchange !== undefined) this.#pipeline.done(this.#exchange, outcome);
    if (this.#world.commits?.hold(this) !== true) this.release();
  }
}

function pump(from: Duplex, to: Duplex, count: (bytes: number) => void): void {
  from.on('data', (chunk: Buffer) => {
    count(chunk.length);
    if (!to.write(chunk)) from.pause();
  });
  to.on('drain', () => from.resume());
}

function headText(status: number, reason: string, raw: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let i = 0; i < raw.length; i += 2) text += `${raw[i]}: ${raw[i + 1]}\r\n`;
  return `${text}\r\n`;
}
