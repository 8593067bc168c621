/**
 * All sidecars of a fleet are replaced under load, one after the other: what they counted is what their clients were given, to the last one.
 * Each comes back under its name at a new address. Every other one has its state directory again, as in a StatefulSet; the rest come with
 * nothing, as in a Deployment, and what those before them had counted is only with the others.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { becomes } from '../helpers/processes.ts';
import { realFleet } from '../helpers/real-fleet.ts';
import { httpBackend } from '../helpers/sidecar.ts';

/** 20 in `.ci/run`. */
const NODES = Number(process.env['ROLLING_NODES'] ?? 5);
const CLIENTS = 20;
/** Of the application, and between two requests of a client: 250 a second in all, half of the clients waiting at any time, and room on two cores to start sidecars. */
const [ANSWER_MS, PAUSE_MS] = [40, 40];
/** Where a client goes next: no multiple of it is one of NODES, so that those who were together part. */
const STEP = 7;
/** Of rate and quota: far beyond what is asked for. */
const PLENTY = 1e6;

t.test(`a rolling restart of all ${NODES} under load loses no count`, { timeout: 120_000 }, async (t) => {
  const upstream = await httpBackend(t, (_, response) => setTimeout(() => response.end('ok'), ANSWER_MS));
  const dir = mkdtempSync(join(tmpdir(), 'reeve-rolling-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const fleet = await realFleet(t, upstream, {
    nodes: NODES,
    limit: PLENTY,
    burst: PLENTY,
    plan: { quotas: { requests: { per: 'month', limit: PLENTY } } },
    own: (place) => (place % 2 === 0 ? { stateDir: join(dir, `pod-${place}`) } : ({} as Record<string, string>)),
  });
  let admitted = 0;
  const refused: (number | undefined)[] = [];
  /** Requests that were sent and not answered whole: nobody but the sidecar can say whether they were counted. */
  const cut: string[] = [];
  let moves = 0;
  /** True when the connection goes on. */
  const ask = (agent: Agent, place: number): Promise<boolean> =>
    new Promise((resolve) => {
      const port = fleet.sidecars[place]?.ports.inbound;
      const req = request({ host: '127.0.0.1', port, agent, headers: { host: 'acme.test' } }, (res) => {
        if (res.statusCode === 200) admitted++;
        else refused.push(res.statusCode);
        res.resume().once('end', () => resolve(res.headers.connection !== 'close'));
        res.once('error', () => resolve(false));
      });
      req.once('error', (cause: NodeJS.ErrnoException) => {
        if (cause.code !== 'ECONNREFUSED') cut.push(`${cause.code}`);
        resolve(false);
      });
      req.end();
    });
  let isOver = false;
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let place = client % NODES; !isOver; ) {
      if (await ask(agent, place)) {
        await sleep(PAUSE_MS);
      } else {
        place = (place + STEP) % NODES;
        moves++;
      }
    }
    agent.destroy();
  });

  const began = performance.now();
  try {
    for (let place = 0; place < NODES; place++) await fleet.replace(place);
  } finally {
    isOver = true;
  }
  const tookSec = (performance.now() - began) / 1000;
  await Promise.all(clients);
  t.same(refused, []);

  const used = (): Promise<number[]> =>
    Promise.all(
      fleet.sidecars.map(async ({ ports }) => {
        const answer = await fetch(`http://127.0.0.1:${ports.admin}/v1/limits/acme`);
        return ((await answer.json()) as { quotas: [{ used: number }] }).quotas[0].used;
      }),
    );
  t.ok(await becomes(async () => new Set(await used()).size === 1), 'all agree');
  const counted = await used();
  t.comment(
    `figure: ${NODES} sidecars replaced under load in ${tookSec.toFixed(1)} s: ${admitted} requests admitted, ` +
      `${Math.min(...counted)} to ${Math.max(...counted)} counted at each; clients moved on ${moves} times, ${cut.length} were cut`,
  );
  for (const each of counted)
    t.ok(each >= admitted && each <= admitted + cut.length, `${each} counted, ${admitted} admitted, cut: ${cut}`);
  t.ok(admitted > 50 * NODES && moves >= NODES, 'there was load');
});
