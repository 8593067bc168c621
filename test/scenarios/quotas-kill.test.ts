/** A sidecar is killed in the middle of traffic and started again: what it had counted is there, but for its last second. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Pool } from 'undici';
import { childSidecar, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const ROUNDS = 3;
const CLIENTS = 16;
/** A commit a second, and the time the disk takes for it. */
const LOST_MS_MAX = 1500;

t.test(
  'kill −9 in mid-traffic, three times: at most the last second of counts is missing',
  { timeout: 120_000 },
  async (t) => {
    const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
    const tenancy = makeTenancy({
      'plans.yaml': plan('free', { quotas: { api_calls: { limit: 1e9 } } }),
      'tenants.yaml': tenant('acme'),
    });
    t.teardown(() => tenancy.cleanUp());
    const given = { ...settings(upstream, tenancy), stateDir: tenancy.stateDir };
    const authorization = `Bearer ${tokenFor('org_acme')}`;
    const usedOf = async (admin: number): Promise<number> => {
      const answer = await fetch(`http://127.0.0.1:${admin}/v1/limits/acme`);
      return ((await answer.json()) as { quotas: [{ used: number }] }).quotas[0].used;
    };
    /** When each request was answered, ms: of those that were not nobody can say. */
    const answered: number[] = [];
    let worst = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const sidecar = await childSidecar(t, given);
      const before = await usedOf(sidecar.ports.admin);
      t.ok(before <= answered.length + round * CLIENTS, `${before} of ${answered.length}: nothing is counted twice`);
      const pool = new Pool(`http://127.0.0.1:${sidecar.ports.inbound}`, { connections: CLIENTS });
      const began = answered.length;
      let isRunning = true;
      const clients = Array.from({ length: CLIENTS }, async () => {
        while (isRunning) {
          try {
            const { body } = await pool.request({ method: 'GET', path: '/', headers: { authorization } });
            await body.dump();
            answered.push(performance.now());
          } catch {
            return;
          }
        }
      });
      await sleep(2500 + round * 333);
      sidecar.child.kill('SIGKILL');
      const killedAt = performance.now();
      await sidecar.exited;
      isRunning = false;
      await Promise.all(clients);
      await pool.destroy();
      const next = await childSidecar(t, given);
      const used = await usedOf(next.ports.admin);
      next.child.kill('SIGTERM');
      await next.exited;
      const safe = answered.slice(began).filter((at) => at < killedAt - LOST_MS_MAX).length;
      const lost = before + (answered.length - began) - used;
      worst = Math.max(worst, lost);
      t.ok(answered.length - began > 500, `${answered.length - began} requests`);
      t.ok(
        used >= before + safe,
        `${used} counted, ${before} before and ${safe} answered until a second before the kill`,
      );
      t.ok(used <= before + answered.length - began + CLIENTS, 'and none that was not sent');
    }
    t.comment(
      `figure: kill -9 under load, ${ROUNDS} times: at most ${worst} of ${Math.round(answered.length / ROUNDS)} calls not counted`,
    );
  },
);
