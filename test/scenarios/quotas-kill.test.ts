/** A sidecar is killed in the middle of traffic and started again: what it had counted is there, but for its last second, and of a hard quota no more is spent than it has. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Pool } from 'undici';
import { becomes } from '../helpers/processes.ts';
import { childSidecar, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const ROUNDS = 3;
const CLIENTS = 16;
/** Of the hard quota, and lives of the process that spend it. */
const LIMIT = 4000;
const LIVES = 5;
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

t.test('kill −9 in mid-traffic, four times: a hard quota is never exceeded', { timeout: 120_000 }, async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const tenancy = makeTenancy({
    'plans.yaml': plan('free', { quotas: { api_calls: { per: 'day', limit: LIMIT, mode: 'hard' } } }),
    'tenants.yaml': tenant('acme'),
  });
  t.teardown(() => tenancy.cleanUp());
  const given = { ...settings(upstream, tenancy), stateDir: tenancy.stateDir };
  const authorization = `Bearer ${tokenFor('org_acme')}`;
  let admitted = 0;
  let early = 0;
  for (let life = 0; life < LIVES; life++) {
    const sidecar = await childSidecar(t, given);
    const pool = new Pool(`http://127.0.0.1:${sidecar.ports.inbound}`, { connections: CLIENTS });
    const isLast = life === LIVES - 1;
    let isRunning = true;
    let of = 0;
    const clients = Array.from({ length: CLIENTS }, async () => {
      while (isRunning) {
        try {
          const { statusCode, headers, body } = await pool.request({
            method: 'GET',
            path: '/',
            headers: { authorization },
          });
          await body.dump();
          if (statusCode === 200) of++;
          // Whoever is told to come back soon was refused for the disk alone.
          else if (Number(headers['retry-after']) <= 2) early++;
          else return;
        } catch {
          return;
        }
      }
    });
    // In the middle of the limit: each life spends about as much.
    await becomes(() => of >= LIMIT / LIVES, 20_000);
    if (isLast) await Promise.all(clients);
    sidecar.child.kill('SIGKILL');
    await sidecar.exited;
    isRunning = false;
    await Promise.all(clients);
    await pool.destroy();
    admitted += of;
  }
  t.ok(admitted <= LIMIT, `${admitted} of ${LIMIT} admitted`);
  // A kill costs 16 units or 1/256 of the limit, and what a burst was ahead, at most a sixteenth of it.
  t.ok(admitted >= LIMIT * (1 - (LIVES - 1) / 16) - CLIENTS * LIVES, `${admitted} of ${LIMIT} admitted`);
  t.equal(early, 0, 'none is refused for the disk');
  t.comment(`figure: kill -9 under load, ${LIVES - 1} times: ${admitted} of a hard quota of ${LIMIT} admitted`);
});
