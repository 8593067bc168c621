/** A small HTTP listener for what operators read: GET and HEAD only, short timeouts, one answer a request, errors with a remedy. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ReeveError } from '../core/index.ts';

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** A body as text, or in chunks so that a long one does not hold the loop. */
export interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | AsyncIterable<string>;
}

export type Handler = (url: URL, req: IncomingMessage) => Page | Promise<Page>;

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

export async function listen(o: { host: string; port: number; flag: string }, handler: Handler): Promise<Listener> {
  const server = createServer(
    { headersTimeout: 5000, requestTimeout: 10_000, keepAliveTimeout: 60_000, maxHeaderSize: 16_384 },
    (req, res) => {
      void answer(req, res, handler);
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new ReeveError('listen-failed', `cannot listen: ${cause.code}`, {
          place: `${o.host}:${o.port}`,
          remedy: `choose another port with ${o.flag}`,
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

async function answer(req: IncomingMessage, res: ServerResponse, handler: Handler): Promise<void> {
  res.on('error', () => {});
  const page = await pageOf(req, handler);
  try {
    res.writeHead(page.status, {
      'content-type': page.contentType,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    if (req.method === 'HEAD') return void res.end();
    if (typeof page.body === 'string') return void res.end(page.body);
    for await (const chunk of page.body) if (!res.write(chunk)) await drained(res);
    res.end();
  } catch {
    res.destroy();
  }
}

function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    res.once('drain', resolve).once('close', resolve);
  });
}

async function pageOf(req: IncomingMessage, handler: Handler): Promise<Page> {
  if (req.method !== 'GET' && req.method !== 'HEAD')
    return problem(405, 'method-not-allowed', 'This interface is read-only; use GET.');
  try {
    return await handler(new URL(req.url ?? '/', 'http://localhost'), req);
  } catch {
    return problem(500, 'stage-failed', 'The page could not be made.');
  }
}
