/** G10: an upstream closes idle connections at random while they are used again. GET never fails for it, and no POST is executed twice. */
import { createServer, type Socket } from 'node:net';
import t from 'tap';
import { Pool } from 'undici';
import { listening, sidecarForTest } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const REQUESTS = 10_000;

t.test('10,000 requests over connections that die: 0 failed GETs, 0 POSTs executed twice', async (t) => {
  const executed = new Map<string, number>();
  const upstream = createServer((socket: Socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      const id = /\/(\w+-\d+)/.exec(chunk.toString('latin1'))?.[1];
      if (id === undefined) return;
      executed.set(id, (executed.get(id) ?? 0) + 1);
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      // The race: the answer says keep-alive, and the connection ends at some moment after it.
      if (Math.random() < 0.05) setTimeout(() => socket.destroy(), Math.random() * 3);
    });
  });
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`);
  const pool = new Pool(sidecar.url, { connections: 20, pipelining: 1 });
  t.teardown(() => pool.close());
  const headers = { authorization: `Bearer ${tokenFor('org_acme')}` };
  let failedGets = 0;
  let failedPosts = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < REQUESTS; i = next++) {
      const isPost = i % 4 === 0;
      const { statusCode, body } = await pool.request(
        isPost ? { method: 'POST', path: `/p-${i}`, headers, body: '' } : { method: 'GET', path: `/g-${i}`, headers },
      );
      await body.dump();
      if (statusCode !== 200 && isPost) failedPosts++;
      if (statusCode !== 200 && !isPost) failedGets++;
    }
  };
  await Promise.all(Array.from({ length: 20 }, worker));
  const doubled = [...executed].filter(([id, count]) => id.startsWith('p-') && count > 1).length;
  t.equal(failedGets, 0);
  t.equal(doubled, 0);
  t.comment(
    `G10 retry: ${REQUESTS} requests, ${failedGets} failed GETs, ${doubled} POSTs executed twice (${failedPosts} POSTs answered 502)`,
  );
});
