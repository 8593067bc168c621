/**
 * Light tenants beside one with a hundred times the traffic of each, through a real sidecar before an application of limited capacity. The
 * flood never stops; in half of the rounds it is aimed at a sidecar and an application elsewhere, so that the machine is as busy in both.
 * Of each round the p99 of all light requests; of all rounds the median, so that a spell in which the machine did something else is not
 * taken for the flood.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { quantile } from '../../test/helpers/processes.ts';
import { childSidecar, settings } from '../../test/helpers/sidecar.ts';
import { makeTenancy, tenant } from '../../test/helpers/tenancy.ts';
import { tokenFor } from '../../test/helpers/tokens.ts';

/** What the application works on at once, and for how long: 160 a second. So slow that what is measured is its line, and not the machine. */
export const AT_ONCE = 32;
const WORK_MS = [150, 250] as const;
/** Ten of them, each with: enough requests that a round has a p99. */
const LIGHT_TENANTS = 10;
const LIGHT_PER_SEC = 3;
const HEAVY_PER_SEC = 100 * LIGHT_PER_SEC;
const HEAVY_CONNECTIONS = 200;
const ROUND_MS = 5000;

export interface Neighbours {
  /** The light tenants' p99 with the flood beside them, against that with the flood elsewhere. */
  readonly ratio: number;
  readonly aloneMs: number;
  readonly besideMs: number;
  readonly refused: number;
  /** Of the flood's, a second. */
  readonly heavyPerSec: number;
}

/** `given`: settings of the sidecars. */
export async function measureNeighbours(given: Readonly<Record<string, string>>, rounds: number): Promise<Neighbours> {
  const ends: (() => unknown)[] = [];
  const t = { teardown: (end: () => unknown) => void ends.unshift(end) };
  const start = (file: string, ...args: (string | number)[]) => {
    const child = fork(join(import.meta.dirname, file), args.map(String));
    ends.unshift(() => child.kill('SIGKILL'));
    return child;
  };
  try {
    const ports: number[] = [];
    for (let i = 0; i < 2; i++) {
      const [backend] = (await once(start('backend.ts', AT_ONCE, ...WORK_MS), 'message')) as [number];
      const names = Array.from({ length: LIGHT_TENANTS }, (_, at) => tenant(`light${at}`));
      const tenancy = makeTenancy({ 'light.yaml': names.join('') });
      ends.push(() => tenancy.cleanUp());
      ports.push((await childSidecar(t, settings(`http://127.0.0.1:${backend}`, tenancy, given))).ports.inbound);
    }
    const [here, elsewhere] = ports as [number, number];
    const flood = start('flood.ts', tokenFor('org_globex'), HEAVY_PER_SEC, HEAVY_CONNECTIONS);
    const p99s = { here: [] as number[], elsewhere: [] as number[] };
    let refused = 0;
    let passed = 0;
    // The first pair warms up.
    for (let round = -2; round < rounds * 2; round++) {
      const aim = Math.abs(round) % 2 === 0 ? 'here' : 'elsewhere';
      flood.send(aim === 'here' ? here : elsewhere);
      await sleep(300);
      const seen = await light(here, round < 0 ? 500 : ROUND_MS);
      flood.send(0);
      const [counts] = (await once(flood, 'message')) as [{ passed: number }];
      if (round < 0) continue;
      p99s[aim].push(quantile(seen.latencies, 0.99));
      refused += seen.refused;
      if (aim === 'here') passed += counts.passed;
    }
    const [aloneMs, besideMs] = [quantile(p99s.elsewhere, 0.5), quantile(p99s.here, 0.5)];
    const heavyPerSec = (passed * 1000) / (rounds * (ROUND_MS + 300));
    return { ratio: besideMs / aloneMs, aloneMs, besideMs, refused, heavyPerSec };
  } finally {
    for (const end of ends) end();
  }
}

/** The light tenants in turn, each at its pace. */
async function light(port: number, forMs: number): Promise<{ latencies: number[]; refused: number }> {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 32 });
  const tenants = Array.from({ length: LIGHT_TENANTS }, (_, at) => ({
    authorization: `Bearer ${tokenFor(`org_light${at}`)}`,
  }));
  const perSec = LIGHT_PER_SEC * LIGHT_TENANTS;
  const latencies: number[] = [];
  let refused = 0;
  const began = performance.now();
  const pending: Promise<void>[] = [];
  for (let i = 0; i < (perSec * forMs) / 1000; i++) {
    const due = began + (i * 1000) / perSec - performance.now();
    if (due > 1) await sleep(due);
    const sent = performance.now();
    const headers = tenants[i % tenants.length] as { authorization: string };
    pending.push(
      pool.request({ method: 'GET', path: '/', headers }).then(async ({ statusCode, body }) => {
        await body.dump();
        latencies.push(performance.now() - sent);
        if (statusCode !== 200) refused++;
      }),
    );
  }
  await Promise.all(pending);
  await pool.destroy();
  return { latencies, refused };
}
