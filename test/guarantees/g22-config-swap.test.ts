/**
 * G22: nobody sees half of one configuration and half of another, however a Kubernetes volume is swapped. Judged twice: each snapshot by a
 * reader of all of it; and by clients and the application, with requests under way all the time. Every version gives its number to four
 * files: the plan's name and concurrency, the tenant's rate, the route's rate. A request must meet one number in all four.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Pool } from 'undici';
import { startSidecar } from '../../src/cli/sidecar.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import type { Tenancy } from '../../src/tenants/index.ts';
import { configFor, type Ending, engine, httpBackend } from '../helpers/sidecar.ts';
import { document, plan, provider, tenant } from '../helpers/tenancy.ts';
import { keySet, tokenFor } from '../helpers/tokens.ts';

const SWAPS = 300;
const TENANTS = 60;
const CLIENTS = 8;
/** No limit is ever met: the numbers are there to be read. */
const FIRST = 100_000;

const nameOf = (file: number, at: number): string => `t${file}-${at}`;

/** A volume as kubelet mounts it. `swap` puts the files of a version in force, and removes those before. */
function volume(t: Ending): { readonly dir: string; swap(at: number): void } {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-k8s-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const filesOf = (at: number): Readonly<Record<string, string>> => {
    const rate = { requests: { limit: `${FIRST + at}/s` } };
    const tenants = (file: number): string =>
      Array.from({ length: TENANTS / 3 }, (_, i) =>
        tenant(nameOf(file, i), {
          plan: `v${FIRST + at}`,
          identity: { claims: [`org_${nameOf(file, i)}`] },
          overrides: { rate },
        }),
      ).join('');
    return {
      'keys.json': keySet(),
      'providers.yaml': provider(),
      'plans.yaml': plan(`v${FIRST + at}`, { concurrency: FIRST + at }),
      'routes.yaml': document('Route', 'all', { match: { path: '/' }, rate }),
      't0.yaml': tenants(0),
      't1.yaml': tenants(1),
      't2.yaml': tenants(2),
    };
  };
  const swap = (at: number): void => {
    const files = filesOf(at);
    const folder = join(dir, `..v${at}`);
    mkdirSync(folder);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    symlinkSync(`..v${at}`, join(dir, '..data_tmp'));
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
    if (at === 0) for (const name of Object.keys(files)) symlinkSync(`..data/${name}`, join(dir, name));
    else rmSync(join(dir, `..v${at - 1}`), { recursive: true });
  };
  return { dir, swap };
}

/** Counts snapshots, and those that are not one whole version. */
function judgeSnapshots(tenancy: Tenancy): { seen: number; mixed: number } {
  const counts = { seen: 0, mixed: 0 };
  tenancy.onSwap(({ tenants, plans }) => {
    counts.seen++;
    const versions = new Set([...tenants.values()].map((each) => each.allowance.requests?.perSec));
    for (const each of plans.values()) versions.add(each.allowance.concurrency);
    if (tenants.size !== TENANTS || versions.size !== 1) counts.mixed++;
  });
  return counts;
}

interface Traffic {
  requests: number;
  /** Not 200, or no answer. */
  failed: number;
  mixed: number;
  /** Met an older version than an earlier answer to the same client. */
  wentBack: number;
  readonly versions: Set<number>;
}

/** What a request met: the plan that the application was told, and each limit that the client was told. One number, or it is mixed. */
function versionsIn(told: string, policy: string): Set<number> {
  const numbers = [/^v(\d+)$/, /"requests";q=(\d+);w=1\b/, /"concurrency";q=(\d+);/, /"route";q=(\d+);w=1\b/].map(
    (form, at) => Number(form.exec(at === 0 ? told : policy)?.[1]),
  );
  return new Set(numbers);
}

async function client(pool: Pool, traffic: Traffic, isOver: () => boolean): Promise<void> {
  const tokens = Array.from({ length: TENANTS }, (_, i) => tokenFor(`org_${nameOf(i % 3, Math.floor(i / 3))}`));
  let latest = 0;
  for (let i = 0; !isOver(); i++) {
    traffic.requests++;
    try {
      const authorization = `Bearer ${tokens[i % TENANTS]}`;
      const { statusCode, headers, body } = await pool.request({
        method: 'GET',
        path: '/',
        headers: { authorization },
      });
      const [version, ...others] = versionsIn(await body.text(), String(headers['ratelimit-policy']));
      if (statusCode !== 200) traffic.failed++;
      else if (others.length > 0 || Number.isNaN(version)) traffic.mixed++;
      else if ((version as number) < latest) traffic.wentBack++;
      else traffic.versions.add((latest = version as number));
    } catch {
      traffic.failed++;
    }
  }
}

t.test('swaps of ..data under load, some within 5 ms: nothing is mixed or empty, nothing fails', async (t) => {
  const { dir, swap } = volume(t);
  swap(0);
  // Long enough that swaps fall between a request and its answer.
  const application = await httpBackend(t, (req, res) => {
    setTimeout(() => res.end(req.headers['x-tenant-plan']), Math.random() * 20);
  });
  const sidecar = await startSidecar(
    configFor({
      upstream: application,
      'tenancy.dir': dir,
      'inbound.host': '127.0.0.1',
      'inbound.port': '0',
      'status.port': '0',
      'admin.port': '0',
      'application.port': '0',
      'wire.fastPath': String(engine === 'fast'),
    }),
    { log: silentLog },
  );
  t.teardown(() => sidecar.close());
  const pool = new Pool(`http://127.0.0.1:${sidecar.ports.inbound}`, { connections: CLIENTS });
  t.teardown(() => pool.destroy());
  const { tenancy } = sidecar;
  const snapshots = judgeSnapshots(tenancy);
  const traffic: Traffic = { requests: 0, failed: 0, mixed: 0, wentBack: 0, versions: new Set() };
  let isOver = false;
  const clients = Array.from({ length: CLIENTS }, () => client(pool, traffic, () => isOver));
  for (let at = 1; at <= SWAPS; at++) {
    swap(at);
    await sleep(at % 5 === 0 ? 40 : 2);
  }
  while (!traffic.versions.has(FIRST + SWAPS)) await sleep(10);
  isOver = true;
  await Promise.all(clients);
  const { requests, failed, mixed, wentBack, versions } = traffic;
  t.same({ failed, mixed, wentBack }, { failed: 0, mixed: 0, wentBack: 0 });
  t.equal(snapshots.mixed, 0);
  t.ok(snapshots.seen > SWAPS / 20, `${snapshots.seen} snapshots seen`);
  t.ok(versions.size > SWAPS / 20, `requests met ${versions.size} versions`);
  t.same(tenancy.findings(), []);
  t.comment(
    `G22 config swap, ${engine} engine: ${SWAPS} swaps, ${snapshots.seen} snapshots of which ${snapshots.mixed} mixed or empty; ${requests} requests met ${versions.size} versions, ${mixed} mixed, ${failed} failed`,
  );
});
