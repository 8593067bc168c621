/** Sample traffic: every tenant at a rate of its own, open loop, so that one who waits does not slow the others' sending. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import type { DemoTenant, Stage } from './stage.ts';

export interface Tally {
  readonly tenant: DemoTenant;
  sent: number;
  /** By status; 0 when the connection failed. */
  readonly statuses: Map<number, number>;
  /** Of admitted requests, ms. */
  readonly latencies: number[];
  degradedSeen: number;
  wrongTenant: number;
}

/** The one that floods: 20 times what its plan allows. */
export const FLOODER = 'umbrella';
export const FLOOD_PER_SEC = 400;
/** Sustained over its plan, so that its ladder is seen. */
export const OVER = 'stark';
const OVER_PER_SEC = 60;
const USUAL_PER_SEC = 10;
export const SECONDS = 6;

/** Connections opened and code compiled before anything is counted. */
export async function warmUp(stage: Stage): Promise<void> {
  const pool = new Pool(`http://127.0.0.1:${stage.orders.sidecar.inbound}`, { connections: 32, pipelining: 1 });
  const org = stage.tenants.find(({ name }) => name === 'globex')?.org as string;
  const headers = { authorization: `Bearer ${stage.credentials.token(org)}` };
  const one = async (): Promise<void> =>
    void (await (await pool.request({ method: 'GET', path: '/orders/paid', headers })).body.dump());
  for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 20 }, one));
  await pool.close();
}

export async function runTraffic(stage: Stage, onProgress: (share: number) => void): Promise<Tally[]> {
  const pool = new Pool(`http://127.0.0.1:${stage.orders.sidecar.inbound}`, { connections: 128, pipelining: 1 });
  const tenants = stage.tenants.filter(({ name }) => name !== 'wonka');
  const tallies = tenants.map(
    (tenant): Tally => ({ tenant, sent: 0, statuses: new Map(), latencies: [], degradedSeen: 0, wrongTenant: 0 }),
  );
  const ticker = setInterval(() => onProgress(Math.min(1, (performance.now() - began) / (SECONDS * 1000))), 500);
  const began = performance.now();
  // A few ms apart: tenants do not begin in the same instant.
  await Promise.all(tallies.map((tally, at) => drive(pool, stage, tally, began + at * 9)));
  clearInterval(ticker);
  await pool.close();
  return tallies;
}

function rateOf(name: string): number {
  if (name === FLOODER) return FLOOD_PER_SEC;
  return name === OVER ? OVER_PER_SEC : USUAL_PER_SEC;
}

async function drive(pool: Pool, stage: Stage, tally: Tally, began: number): Promise<void> {
  const { name, org } = tally.tenant;
  const headers =
    name === 'initech' ? { 'x-api-key': stage.apiKey } : { authorization: `Bearer ${stage.credentials.token(org)}` };
  const perSec = rateOf(name);
  const pending: Promise<void>[] = [];
  for (let i = 0; i < perSec * SECONDS; i++) {
    const due = began + (i * 1000) / perSec;
    const waitMs = due - performance.now();
    if (waitMs > 1) await sleep(waitMs);
    pending.push(send(pool, tally, headers, i % 5 === 0 && perSec === USUAL_PER_SEC ? '/orders/paid' : '/orders'));
  }
  await Promise.all(pending);
}

async function send(pool: Pool, tally: Tally, headers: Record<string, string>, path: string): Promise<void> {
  tally.sent++;
  const began = performance.now();
  const { status, text } = await ask(pool, path, headers);
  tally.statuses.set(status, (tally.statuses.get(status) ?? 0) + 1);
  if (status !== 200) return;
  tally.latencies.push(performance.now() - began);
  const answer = JSON.parse(text) as { tenant: string; recommended?: unknown; paid?: { tenant: string } };
  if (answer.recommended === undefined) tally.degradedSeen++;
  if (answer.tenant !== tally.tenant.name || (answer.paid !== undefined && answer.paid.tenant !== tally.tenant.name))
    tally.wrongTenant++;
}

async function ask(
  pool: Pool,
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number; text: string }> {
  try {
    const { statusCode, body } = await pool.request({ method: 'GET', path, headers });
    return { status: statusCode, text: await body.text() };
  } catch {
    return { status: 0, text: '' };
  }
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
