/**
 * A flood in a process of its own, so that who measures does not wait for who floods: `node flood.ts TOKEN PER_SEC`. Floods from the
 * message of a port until the message 0, and answers that with how many requests were sent and how many passed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';

const [token, perSec] = process.argv.slice(2) as [string, string];
const headers = { authorization: `Bearer ${token}` };
const counts = { sent: 0, passed: 0 };
let isOn = false;

async function once(pool: Pool): Promise<void> {
  counts.sent++;
  const { statusCode, body } = await pool.request({ method: 'GET', path: '/', headers });
  await body.dump();
  if (statusCode === 200) counts.passed++;
}

async function flood(port: number): Promise<void> {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 16 });
  const began = performance.now();
  const pending: Promise<void>[] = [];
  for (let i = 0; isOn; i++) {
    const wait = began + (i * 1000) / Number(perSec) - performance.now();
    if (wait > 1) await sleep(wait);
    pending.push(once(pool));
  }
  await Promise.all(pending);
  await pool.destroy();
  process.send?.({ ...counts });
}

process.on('message', (port: number) => {
  isOn = port !== 0;
  if (isOn) void flood(port);
});
process.on('disconnect', () => process.exit(0));
