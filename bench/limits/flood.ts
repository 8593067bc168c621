/**
 * A tenant that floods, in a process of its own: `node flood.ts TOKEN PER_SEC CONNECTIONS`. Requests leave when they are due, whatever
 * became of those before, as far as its connections carry them. Floods from the message of a port until the message 0, which it answers with what was sent
 * and how much of it passed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';

const [token, perSec, connections] = process.argv.slice(2) as [string, string, string];
const headers = { authorization: `Bearer ${token}` };
let counts = { sent: 0, passed: 0 };
let isOn = false;

async function once(pool: Pool): Promise<void> {
  counts.sent++;
  const { statusCode, body } = await pool.request({ method: 'GET', path: '/', headers });
  await body.dump();
  if (statusCode === 200) counts.passed++;
}

async function flood(port: number): Promise<void> {
  counts = { sent: 0, passed: 0 };
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: Number(connections) });
  const began = performance.now();
  const open = new Set<Promise<void>>();
  for (let i = 0; isOn; i++) {
    const wait = began + (i * 1000) / Number(perSec) - performance.now();
    if (wait > 1) await sleep(wait);
    if (open.size >= Number(connections)) continue;
    const sent = once(pool).finally(() => open.delete(sent));
    open.add(sent);
  }
  await Promise.all(open);
  await pool.destroy();
  process.send?.(counts);
}

process.on('message', (port: number) => {
  isOn = port !== 0;
  if (isOn) void flood(port);
});
process.on('disconnect', () => process.exit(0));
