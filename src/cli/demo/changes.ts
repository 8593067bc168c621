/** How long a changed document takes to bite: from the rename to the first request that is decided by it. */
import { request } from 'undici';
import type { Stage } from './stage.ts';

const WAIT_MS_MAX = 5000;
const ROUNDS = 5;

/** Lifts one tenant's limit, several times; ms of each. */
export async function timeChanges(stage: Stage): Promise<number[]> {
  const took: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const limit = 100 + round;
    const before = limit - 1;
    const began = stage.rewriteTenants((text) =>
      text.replace(`limit: ${before}/s, burst: 100`, `limit: ${limit}/s, burst: 100`),
    );
    took.push(await until(stage, `"requests";q=${limit};w=1`, began));
  }
  return took;
}

async function until(stage: Stage, policy: string, began: number): Promise<number> {
  const org = stage.tenants.find((each) => each.name === 'oscorp')?.org as string;
  const headers = { authorization: `Bearer ${stage.credentials.token(org)}` };
  while (performance.now() - began < WAIT_MS_MAX) {
    const { headers: answer, body } = await request(`http://127.0.0.1:${stage.orders.sidecar.inbound}/health`, {
      headers,
    });
    await body.dump();
    if (String(answer['ratelimit-policy']).includes(policy)) return performance.now() - began;
  }
  return Number.POSITIVE_INFINITY;
}

/** What a suspended tenant gets. */
export async function trySuspended(stage: Stage): Promise<number> {
  const org = stage.tenants.find((each) => each.name === 'wonka')?.org as string;
  const { statusCode, body } = await request(`http://127.0.0.1:${stage.orders.sidecar.inbound}/orders`, {
    headers: { authorization: `Bearer ${stage.credentials.token(org)}` },
  });
  await body.dump();
  return statusCode;
}
