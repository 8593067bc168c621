/** node:http in front, undici's Pool behind, and the tenant's work between. `node undici.ts CONFIG.json` */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Dispatcher, Pool } from 'undici';
import { createTenantWork, readConfig, serveMetrics } from './tenant-work.ts';

/** Of one connection only (RFC 9110 §7.6.1); undici regenerates the framing. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
]);

const { port, statusPort, upstreamPort, work: config } = readConfig();
const work = createTenantWork(config);
const pool = new Pool(`http://127.0.0.1:${upstreamPort}`, { connections: 256, pipelining: 1 });

createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const startedMs = performance.now();
  const { tenant, refused } = work.admit(request.headers);
  if (refused === 0) return forward(request, response, tenant, startedMs);
  response.writeHead(refused).end();
  work.record(tenant, refused, 0, 0, startedMs);
}).listen(port, '127.0.0.1', 4096);
serveMetrics(statusPort, work);

function forward(request: IncomingMessage, response: ServerResponse, tenant: number, startedMs: number): void {
  const { headers } = request;
  const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
  let status = 0;
  let bytesOut = 0;
  pool.dispatch(
    {
      path: request.url ?? '/',
      method: request.method as Dispatcher.HttpMethod,
      headers: endToEnd(headers),
      body: hasBody ? request : null,
    },
    {
      onRequestStart(controller) {
        response.once('close', () => {
          if (!response.writableFinished) controller.abort(new Error('the client went away'));
        });
      },
      onResponseStart(controller, statusCode, answered) {
        status = statusCode;
        response.writeHead(statusCode, endToEnd(answered));
        response.on('drain', () => controller.resume());
      },
      onResponseData(controller, chunk) {
        bytesOut += chunk.length;
        if (!response.write(chunk)) controller.pause();
      },
      onResponseEnd() {
        response.end();
        work.record(tenant, status, Number(headers['content-length'] ?? 0), bytesOut, startedMs);
      },
      onResponseError() {
        if (response.headersSent) response.destroy();
        else response.writeHead(502).end();
      },
    },
  );
}

function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const kept: IncomingHttpHeaders = {};
  for (const name in headers) if (!HOP_BY_HOP.has(name)) kept[name] = headers[name];
  return kept;
}
