/**
 * An application of limited capacity, in a process of its own: `node backend.ts AT_ONCE LEAST_MS MOST_MS`. So many requests are worked on at
 * once, each for a time between the two; the others wait in its own line, first come first served. Tells its port.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const [atOnceMax, leastMs, mostMs] = process.argv.slice(2).map(Number) as [number, number, number];
const line: ServerResponse[] = [];
let atOnce = 0;

function work(res: ServerResponse): void {
  atOnce++;
  // Not all the same: requests that began together would end together, and free all places at once.
  setTimeout(
    () => {
      res.end('ok');
      atOnce--;
      const next = line.shift();
      if (next !== undefined) work(next);
    },
    leastMs + Math.random() * (mostMs - leastMs),
  );
}

const server = createServer({ keepAliveTimeout: 60_000 }, (_req, res) => {
  if (atOnce < atOnceMax) work(res);
  else line.push(res);
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('disconnect', () => process.exit(0));
