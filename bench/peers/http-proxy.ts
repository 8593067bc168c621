/** http-proxy 1.18 with a keep-alive agent, and the tenant's work before it. `node http-proxy.ts CONFIG.json` */
import { Agent, createServer, type IncomingMessage } from 'node:http';
import httpProxy from 'http-proxy';
import { createTenantWork, readConfig, serveMetrics } from './tenant-work.ts';

interface Passing extends IncomingMessage {
  tenant?: number;
  startedMs?: number;
}

const { port, statusPort, upstreamPort, work: config } = readConfig();
const work = createTenantWork(config);
const proxy = httpProxy.createProxyServer({
  target: `http://127.0.0.1:${upstreamPort}`,
  agent: new Agent({ keepAlive: true, maxSockets: 256 }),
});
proxy.on('proxyRes', (upstream, request: Passing) => {
  const { tenant = -1, startedMs = 0, headers } = request;
  const { statusCode = 0, headers: answered } = upstream;
  upstream.once('end', () =>
    work.record(
      tenant,
      statusCode,
      Number(headers['content-length'] ?? 0),
      Number(answered['content-length'] ?? 0),
      startedMs,
    ),
  );
});
proxy.on('error', (_, __, response) => {
  if ('writeHead' in response && !response.headersSent) response.writeHead(502);
  response.end();
});

createServer({ keepAliveTimeout: 60_000 }, (request: Passing, response) => {
  request.startedMs = performance.now();
  const { tenant, refused } = work.admit(request.headers);
  request.tenant = tenant;
  if (refused === 0) return proxy.web(request, response);
  response.writeHead(refused).end();
  work.record(tenant, refused, 0, 0, request.startedMs);
}).listen(port, '127.0.0.1', 4096);
serveMetrics(statusPort, work);
