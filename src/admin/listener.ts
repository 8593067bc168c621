/**
 * A small HTTP listener for what operators read and applications report: one answer a request, errors with a remedy. Who connects is not
 * trusted: everything has a bound, and the newest connection is served, so that a probe gets through beside clients who only hold on.
 *
 *   connections  [oldest … newest]   one more than CONNECTIONS_MAX: the oldest is cut
 *   a request    head 5 s, whole 10 s ─▶ page ─▶ answer taken within 10 s, else cut
 */
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { ReeveError, type Timers } from '../core/index.ts';

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

export interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Beside those that every answer has. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A file of our own: its bytes are the body, and then it is removed. */
  readonly file?: string;
}

/** `body`: of a POST, where the listener takes one; else empty. */
export type Handler = (url: URL, req: IncomingMessage, body: string) => Page | Promise<Page>;

export const json = (value: unknown, status = 200): Page => ({
  status,
  contentType: 'application/json',
  body: `${JSON.stringify(value, null, 2)}\n`,
});
export const problem = (status: number, code: string, detail: string): Page => ({
  status,
  contentType: 'application/problem+json',
  body: `${JSON.stringify({ type: `https://reeve.dev/problems/${code}`, status, code, detail })}\n`,
});

/** An operator, a kubelet and a Prometheus: never more than a few. */
const CONNECTIONS_MAX = 64;
/** Node's own defaults look every 30 s only; a probe times out after 1 s. */
const LIMITS = {
  headersTimeout: 5000,
  requestTimeout: 10_000,
  keepAliveTimeout: 60_000,
  connectionsCheckingInterval: 1000,
  maxHeaderSize: 16_384,
};
/** An answer that its client has not taken by then is cut, ms. Prometheus gives up after 10 s by default. */
const ANSWER_MS_MAX = 10_000;

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly timers: Timers;
  /** Names the port in an error, as the boot file does. */
  readonly name: 'status' | 'admin' | 'application' | 'http';
  /** POST too, with a body of at most so many bytes. Default: it is read-only. */
  readonly bodyBytesMax?: number;
  /** An answer is taken by then, ms. Default: 10 s. */
  readonly answerMsMax?: number;
}

export async function listen(o: ListenOptions, handler: Handler): Promise<Listener> {
  const answerMs = o.answerMsMax ?? ANSWER_MS_MAX;
  const server = createServer({ ...LIMITS, requestTimeout: Math.max(LIMITS.requestTimeout, answerMs) }, (req, res) => {
    const late = o.timers.after(answerMs, () => res.destroy());
    res.on('close', () => late.cancel()).on('error', () => {});
    void answer(req, res, handler, o.bodyBytesMax);
  });
  const connections = new Set<Socket>();
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    if (connections.size > CONNECTIONS_MAX) (connections.values().next().value as Socket).destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new ReeveError('listen-failed', `cannot listen: ${cause.code}`, {
          place: `${o.host}:${o.port}`,
          remedy: `choose another port: --${o.name}-port, its variable, or ${o.name}.port in the file`,
          cause,
        }),
      ),
    );
    server.listen({ host: o.host, port: o.port }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(
  req: IncomingMessage,
  res: ServerResponse,
  handler: Handler,
  bodyBytesMax: number | undefined,
): Promise<void> {
  const page = await pageOf(req, handler, bodyBytesMax);
  res.writeHead(page.status, {
    // By this a client knows that it asked a sidecar and not whatever else listens there.
    server: 'reeve',
    'content-type': page.contentType,
    ...(page.file === undefined ? { 'content-length': Buffer.byteLength(page.body) } : {}),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(page.status === 405 ? { allow: bodyBytesMax === undefined ? 'GET, HEAD' : 'GET, HEAD, POST' } : {}),
    // What is left of it nobody reads.
    ...(page.status === 413 ? { connection: 'close' } : {}),
    ...page.headers,
  });
  if (page.file !== undefined) return sendFile(page.file, req, res);
  res.end(req.method === 'HEAD' ? undefined : page.body);
}

async function sendFile(path: string, req: IncomingMessage, res: ServerResponse): Promise<void> {
  try {
    if (req.method === 'HEAD') res.end();
    else await pipeline(createReadStream(path), res);
  } catch {
    // Who broke off has no answer; a file that cannot be read to its end is no whole answer.
    res.destroy();
  } finally {
    await rm(path, { force: true });
  }
}

async function pageOf(req: IncomingMessage, handler: Handler, bodyBytesMax: number | undefined): Promise<Page> {
  const isPost = req.method === 'POST' && bodyBytesMax !== undefined;
  if (req.method !== 'GET' && req.method !== 'HEAD' && !isPost)
    return problem(
      405,
      'method-not-allowed',
      bodyBytesMax === undefined ? 'This interface is read-only; use GET.' : 'Use GET or POST.',
    );
  const url = URL.parse(req.url as string, 'http://localhost');
  if (url === null) return problem(400, 'malformed-request', 'The target of the request is no path.');
  try {
    const body = isPost ? await bodyOf(req, bodyBytesMax) : '';
    if (body === undefined) return problem(413, 'body-too-large', `A body here has at most ${bodyBytesMax} bytes.`);
    return await handler(url, req, body);
  } catch {
    return problem(500, 'stage-failed', 'The page could not be made.');
  }
}

/** Undefined when it is too long. Who breaks off gets no answer; who is slow is cut by the time of a whole request. */
async function bodyOf(req: IncomingMessage, bytesMax: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
