/** The service orders asks. It knows nothing of Reeve either. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const server = createServer((req, res) => {
  res.setHeader('content-type', 'application/json');
  res.end(JSON.stringify({ service: 'payments', tenant: req.headers['x-tenant-id'] ?? 'nobody', paid: true }));
});

server.keepAliveTimeout = 60_000;
server.listen(Number(process.env['PORT'] ?? 8090), '127.0.0.1', () => {
  process.stdout.write(`payments listens on ${(server.address() as AddressInfo).port}\n`);
});
