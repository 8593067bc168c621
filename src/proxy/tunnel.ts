/**
 * Upgrades, WebSocket above all: the request walks the same gate and chain, then both sides become one pipe. The upstream's 101 is
 * checked; any other answer is relayed as what it is. Torn down together; the exchange ends when both sides have.
 */
import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import type { Duplex } from 'node:stream';
import { Exchange, type Outcome, type Pipeline, type Reply } from '../pipeline/index.ts';
import { routeOf } from '../tenants/index.ts';
import { gate, HeaderList, listMembers, type Passed, stripHopByHop } from '../wire/index.ts';
import { continueTrace, forwardedFields, requestId } from './forwarded.ts';
import { rescue } from './rescue.ts';
import type { Upstream } from './upstreams.ts';
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

export class Tunnel {
  readonly #world: ProxyWorld;
  readonly #req: IncomingMessage;
  readonly #client: Duplex;
  readonly #head: Buffer;
  readonly #pipeline: Pipeline;
  #exchange: Exchange | undefined;
  #upstreamSocket: Duplex | undefined;
  #status: number | undefined;
  #isDeciding = false;
  #isDone = false;

  constructor(world: ProxyWorld, req: IncomingMessage, client: Duplex, head: Buffer) {
    this.#world = world;
    this.#req = req;
    this.#client = client;
    this.#head = head;
    this.#pipeline = world.pipeline();
  }

  /** Ends the tunnel, for a drain whose grace is over. */
  destroy(): void {
    this.#client.destroy();
  }

  start(): void {
    this.#client.on('error', () => this.#client.destroy());
    this.#client.on('close', () => this.#onClosed('client'));
    try {
      this.#admit();
    } catch (cause) {
      this.#world.onDefect('tunnel', cause);
      this.#reply({ code: 'stage-failed', detail: 'The sidecar failed to handle the request.' });
    }
  }

  #admit(): void {
    const { config, snapshot, isProtectedName, clock, random } = this.#world;
    const headers = new HeaderList(this.#req.rawHeaders);
    const { headersMax, headBytesMax, targetBytesMax } = config.wire;
    const passed = gate(
      { method: 'GET', target: this.#req.url as string, version: this.#req.httpVersion, headers },
      { headersMax, headBytesMax, targetBytesMax, isProtectedName },
    );
    if (passed.isRefused) return this.#reply(passed);
    const protocol = headers.first('upgrade') as string;
    stripHopByHop(headers);
    headers.removeWhere((name) => name === 'host' || name === 'content-length');
    const now = snapshot();
    const x = new Exchange({
      id: requestId(headers, random),
      trustClass: config.inbound.class,
      snapshot: now,
      acceptedAt: clock.now(),
      method: 'GET',
      target: passed.target,
      path: passed.path,
      host: passed.host,
      headers,
      peer: this.#req.socket.remoteAddress ?? '',
      route: routeOf(now, 'GET', passed.path),
    });
    this.#exchange = x;
    this.#isDeciding = true;
    const verdict = this.#pipeline.request(x);
    const go = (late: Reply | undefined): void => {
      this.#isDeciding = false;
      if (this.#client.destroyed) this.#end({ kind: 'aborted', side: 'client', status: undefined });
      else if (late !== undefined) this.#reply(late);
      else this.#dial(x, passed, protocol);
    };
    if (verdict instanceof Promise) void verdict.then(go);
    else go(verdict);
  }

  #dial(x: Exchange, passed: Passed, protocol: string): void {
    const { random, isTrustedProxy, config } = this.#world;
    const upstream = this.#world.upstreams.get(x.endpoint?.name ?? '');
    if (upstream === undefined)
      return this.#reply({ code: 'upstream-unknown', detail: 'The upstream is not known here.' });
    continueTrace(x.headers, x.trustClass, random);
    forwardedFields(x.headers, { address: x.peer, isTrusted: isTrustedProxy(x.peer), host: passed.authority });
    if (config.wire.via) x.headers.append('Via', `1.1 ${config.name}`);
    const headers = [
      'Host',
      passed.authority ?? 'localhost',
      ...x.headers.raw,
      ...x.inject,
      'Connection',
      'Upgrade',
      'Upgrade',
      protocol,
    ];
    const request = httpRequest({
      ...upstream.address,
      method: 'GET',
      path: x.target,
      agent: false,
      setHost: false,
      headers: headers as unknown as readonly string[],
    });
    request.maxHeadersCount = 0;
    request.setTimeout(x.route?.timeoutMs ?? config.wire.responseTimeoutMs, () =>
      request.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })),
    );
    this.#client.on('close', () => request.destroy());
    request.on('error', (cause: NodeJS.ErrnoException) => this.#onDialError(upstream, cause));
    request.on('response', (response) => this.#relay(upstream, response));
    request.on('upgrade', (response, socket, head) => this.#open(upstream, response, socket, head, protocol));
    request.end();
  }

  #onDialError(upstream: Upstream, cause: NodeJS.ErrnoException): void {
    if (this.#isDone || this.#client.destroyed) return;
    const isTimeout = cause.code === 'ETIMEDOUT';
    upstream.failed(
      isTimeout
        ? 'timeout'
        : cause.code === 'ECONNREFUSED' || cause.code === 'ENOENT'
          ? 'connect'
          : cause.code?.startsWith('HPE_')
            ? 'malformed'
            : 'reset',
    );
    if (this.#status !== undefined) this.#client.destroy();
    else
      this.#reply(
        isTimeout
          ? { code: 'upstream-timeout', detail: 'The application did not answer in time.' }
          : { code: 'upstream-unreachable', detail: 'The application did not take the upgrade.' },
      );
  }

  #open(upstream: Upstream, response: IncomingMessage, socket: Duplex, head: Buffer, protocol: string): void {
    const headers = new HeaderList(response.rawHeaders);
    const answered = listMembers(headers.all('upgrade'));
    if (this.#client.destroyed || response.statusCode !== 101 || !answered.includes(protocol.toLowerCase())) {
      socket.destroy();
      upstream.failed('malformed');
      return this.#reply({
        code: 'upstream-malformed',
        detail: 'The application answered an upgrade that was not asked for.',
      });
    }
    upstream.succeeded();
    this.#upstreamSocket = socket;
    this.#status = 101;
    stripHopByHop(headers);
    const x = this.#exchange as Exchange;
    this.#pipeline.response(x, { status: 101, headers });
    this.#client.write(
      headText(101, 'Switching Protocols', [...headers.raw, 'Connection', 'Upgrade', 'Upgrade', answered[0] as string]),
      'latin1',
    );
    if (head.length > 0) this.#count(head, 'response', this.#client);
    if (this.#head.length > 0) this.#count(this.#head, 'request', socket);
    pump(this.#client, socket, (bytes) => void (x.requestBytes += bytes));
    pump(socket, this.#client, (bytes) => void (x.responseBytes += bytes));
    socket.on('error', () => socket.destroy());
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
    if (this.#client.destroyed) return;
    upstream.succeeded();
    const x = this.#exchange as Exchange;
    const headers = new HeaderList(response.rawHeaders);
    stripHopByHop(headers);
    const status = response.statusCode as number;
    if (status < 200 || status > 599) {
      response.destroy();
      upstream.failed('malformed');
      return this.#reply({ code: 'upstream-malformed', detail: 'The application did not answer in sound HTTP.' });
    }
    this.#status = status;
    this.#pipeline.response(x, { status, headers });
    // Without a length the end of the connection is the end of the body.
    this.#client.write(headText(status, '', [...headers.raw, 'Connection', 'close']), 'latin1');
    response.on('data', (chunk: Buffer) => {
      x.responseBytes += chunk.length;
      if (!this.#client.write(chunk)) response.pause();
    });
    this.#client.on('drain', () => response.resume());
    response.on('end', () => {
      this.#end({ kind: 'forwarded', status });
      this.#client.end();
    });
    response.on('error', () => this.#client.destroy()).on('close', () => response.complete || this.#client.destroy());
  }

  #reply(reply: Reply): void {
    if (this.#isDone) return;
    const answer = rescue(reply, false);
    const headers = new HeaderList(answer.headers);
    const x = this.#exchange;
    if (x !== undefined) this.#pipeline.response(x, { status: answer.status, headers });
    if (!this.#client.destroyed)
      this.#client.end(
        `${headText(answer.status, '', [...headers.raw, 'Connection', 'close'])}${answer.body}`,
        'latin1',
      );
    if (x === undefined) {
      this.#isDone = true;
      this.#world.onRefused(reply.code);
    } else this.#end({ kind: 'replied', by: 'tunnel', reply, status: answer.status });
  }

  #onClosed(side: 'client' | 'upstream'): void {
    this.#upstreamSocket?.destroy();
    if (side === 'upstream') this.#client.destroy();
    if (this.#isDeciding) return;
    this.#end(
      this.#status === 101 ? { kind: 'forwarded', status: 101 } : { kind: 'aborted', side, status: this.#status },
    );
  }

  #end(outcome: Outcome): void {
    if (this.#isDone) return;
    this.#isDone = true;
    if (this.#exchange !== undefined) this.#pipeline.done(this.#exchange, outcome);
  }
}

function pump(from: Duplex, to: Duplex, count: (bytes: number) => void): void {
  from.on('data', (chunk: Buffer) => {
    count(chunk.length);
    if (!to.write(chunk)) from.pause();
  });
  to.on('drain', () => from.resume());
  from.on('end', () => to.end());
}

function headText(status: number, reason: string, raw: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let i = 0; i < raw.length; i += 2) text += `${raw[i]}: ${raw[i + 1]}\r\n`;
  return `${text}\r\n`;
}
