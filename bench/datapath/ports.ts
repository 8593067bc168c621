/** Free ports of loopback, so that two runs do not meet. */
import { createServer, type Server } from 'node:net';

/** Below the range from which the kernel takes the ports of outgoing connections (32,768 on), which the load would else occupy. */
const FROM = 18_000;
const COUNT = 12_000;

/** All are held until the last is known, so that none is given twice. */
export async function freePorts(count: number): Promise<number[]> {
  const held: { port: number; server: Server }[] = [];
  while (held.length < count) {
    const port = FROM + Math.floor(Math.random() * COUNT);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (isFree) held.push({ port, server });
  }
  await Promise.all(held.map(({ server }) => new Promise((resolve) => server.close(resolve))));
  return held.map(({ port }) => port);
}
