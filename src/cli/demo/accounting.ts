/**
 * Who used what, while what counts it is killed: requests of every tenant, in whose midst the orders sidecar is ended by SIGKILL and the
 * collector is away for a while. In the end the collector's totals are held against what the clients counted.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool, request } from 'undici';
import type { DemoTenant, Stage } from './stage.ts';

export interface Account {
  readonly tenant: string;
  /** Answers that its client had whole. */
  whole: number;
  /** Requests that were cut: the sidecar may have recorded them before it was killed. */
  cut: number;
  recorded: number;
}

const SECONDS = 3;
/** Of each tenant: what any plan allows. */
const PER_SEC = 8;
const KILL_MS = 800;
/** Until what is told must be in the totals. */
const WAIT_MS_MAX = 15_000;

export async function keepAccounts(stage: Stage): Promise<Account[]> {
  const before = await settledTotals(stage);
  const tenants = stage.tenants.filter(({ name }) => name !== 'wonka');
  const accounts = tenants.map(({ name }): Account => ({ tenant: name, whole: 0, cut: 0, recorded: 0 }));
  const traffic = Promise.all(tenants.map((tenant, at) => drive(stage, tenant, accounts[at] as Account)));
  await sleep(KILL_MS);
  await stage.withoutCollector(async () => {
    await stage.killSidecar();
    await sleep(KILL_MS);
  });
  await traffic;
  const after = await settledTotals(stage, (totals) =>
    accounts.every(({ tenant, whole }) => of(totals, tenant) - of(before, tenant) >= whole),
  );
  for (const account of accounts) account.recorded = of(after, account.tenant) - of(before, account.tenant);
  return accounts;
}

const of = (totals: Totals, tenant: string): number => totals.get(tenant) ?? 0;

type Totals = ReadonlyMap<string, number>;

/** Requests to orders by tenant, as the collector says, once two looks a second apart say the same. */
async function settledTotals(stage: Stage, isGood: (totals: Totals) => boolean = () => true): Promise<Totals> {
  const began = performance.now();
  let before = '';
  for (;;) {
    const totals = await askTotals(stage);
    const text = JSON.stringify([...totals].sort());
    if ((text === before && isGood(totals)) || performance.now() - began > WAIT_MS_MAX) return totals;
    before = text;
    await sleep(1000);
  }
}

async function askTotals(stage: Stage): Promise<Totals> {
  const { body } = await request(`${stage.collector}/v1/usage?meter=requests&service=orders&by=tenant&from=1d`);
  const { rows } = (await body.json()) as { rows: readonly { readonly tenant: string; readonly value: number }[] };
  return new Map(rows.map(({ tenant, value }) => [tenant, value]));
}

async function drive(stage: Stage, { name, org }: DemoTenant, account: Account): Promise<void> {
  const pool = new Pool(`http://127.0.0.1:${stage.orders.sidecar.inbound}`, { connections: 4, pipelining: 1 });
  const headers =
    name === 'initech' ? { 'x-api-key': stage.apiKey } : { authorization: `Bearer ${stage.credentials.token(org)}` };
  const pending: Promise<void>[] = [];
  const began = performance.now();
  for (let i = 0; i < PER_SEC * SECONDS; i++) {
    await sleep(Math.max(0, began + (i * 1000) / PER_SEC - performance.now()));
    pending.push(send(pool, headers, account));
  }
  await Promise.all(pending);
  await pool.close();
}

async function send(pool: Pool, headers: Record<string, string>, account: Account): Promise<void> {
  try {
    const { body } = await pool.request({ method: 'GET', path: '/orders', headers });
    await body.text();
    account.whole++;
  } catch (cause) {
    // Nobody was there: nobody can have recorded it.
    if ((cause as NodeJS.ErrnoException).code !== 'ECONNREFUSED') account.cut++;
  }
}
