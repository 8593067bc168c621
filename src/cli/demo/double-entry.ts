/**
 * One hop, recorded at both its ends. Exports of one tenant beyond its limit go on to a cheaper service, which has a sidecar of its own: what
 * one sidecar recorded as sent must be what the other recorded as arrived, of the operation at the edge where it began.
 */
import { Pool, request } from 'undici';
import { LITE, type Stage } from './stage.ts';

export interface DoubleEntry {
  readonly operation: string;
  /** Exports that their client had an answer to. */
  readonly answered: number;
  /** As the collector says: those that the orders sidecar served itself, those that it sent on, and those that arrived there. */
  readonly kept: number;
  readonly sent: number;
  readonly arrived: number;
}

const OPERATION = 'orders/exports';
/** Its plan allows 10 exports at once, and banks credit for 2 more with each second that it asked for little. */
const EXPORTER = 'oscorp';
const CREDIT_PER_SEC = 2;
const BEYOND = 32;
const AT_ONCE = 64;

/** More exports at once than the plan and its credit allow; how many were answered. */
export async function runExports(stage: Stage): Promise<number> {
  const pool = new Pool(`http://127.0.0.1:${stage.orders.sidecar.inbound}`, { connections: AT_ONCE, pipelining: 1 });
  const org = stage.tenants.find(({ name }) => name === EXPORTER)?.org as string;
  const headers = { authorization: `Bearer ${stage.credentials.token(org)}` };
  const one = async (at: number): Promise<number> => {
    const { statusCode, body } = await pool.request({ method: 'POST', path: `/exports/${at}`, headers });
    await body.dump();
    return statusCode === 200 ? 1 : 0;
  };
  // No sidecar is older than this process.
  const exports = Math.ceil((performance.now() / 1000) * CREDIT_PER_SEC) + BEYOND;
  const answered = await Promise.all(Array.from({ length: exports }, (_, at) => one(at)));
  await pool.close();
  return answered.reduce((a, b) => a + b, 0);
}

/** What became of them in the accounts, once all is told. */
export async function askBothEnds(stage: Stage, answered: number): Promise<DoubleEntry> {
  const query = new URLSearchParams({
    ...{ meter: 'requests', tenant: EXPORTER, operation: OPERATION, status: '2' },
    ...{ by: 'service,upstream', from: '1d' },
  });
  const { body } = await request(`${stage.collector}/v1/usage?${query}`);
  const { rows } = (await body.json()) as {
    rows: readonly { readonly service: string; readonly upstream: string; readonly value: number }[];
  };
  const sum = (isOf: (row: (typeof rows)[number]) => boolean): number =>
    rows.filter(isOf).reduce((total, { value }) => total + value, 0);
  return {
    operation: OPERATION,
    answered,
    kept: sum(({ service, upstream }) => service === 'orders' && upstream === ''),
    sent: sum(({ service, upstream }) => service === 'orders' && upstream === LITE),
    arrived: sum(({ service }) => service === LITE),
  };
}
