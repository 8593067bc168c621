/** A service as anybody writes it: lists orders, asks payments whether they are paid. It knows nothing of Reeve. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const payments = process.env['PAYMENTS_URL'] ?? 'http://127.0.0.1:8090';
/** Requests by what the tenant header said, as the demo compares it. */
const seen = new Map<string, number>();

const server = createServer(async (req, res) => {
  const tenant = (req.headers['x-tenant-id'] as string | undefined) ?? 'nobody';
  if (req.url === '/seen') return void res.end(JSON.stringify(Object.fromEntries(seen)));
  seen.set(tenant, (seen.get(tenant) ?? 0) + 1);
  const isDegraded = String(req.headers['x-tenant-degrade'] ?? '').startsWith('2');
  // A service relays its caller's credential and trace, as services do.
  const headers: Record<string, string> = {};
  for (const name of ['authorization', 'x-api-key', 'traceparent', 'tracestate'])
    if (typeof req.headers[name] === 'string') headers[name] = req.headers[name];
  const paid = req.url?.startsWith('/orders/paid')
    ? await fetch(`${payments}/payments`, { headers }).then((answer) => answer.json())
    : undefined;
  res.setHeader('content-type', 'application/json');
  res.end(
    JSON.stringify({
      service: 'orders',
      tenant,
      plan: req.headers['x-tenant-plan'],
      orders: [1, 2, 3],
      ...(isDegraded ? {} : { recommended: [4, 5] }),
      paid,
    }),
  );
});

server.keepAliveTimeout = 60_000;
server.listen(Number(process.env['PORT'] ?? 8080), '127.0.0.1', () => {
  process.stdout.write(`orders listens on ${(server.address() as AddressInfo).port}\n`);
});
