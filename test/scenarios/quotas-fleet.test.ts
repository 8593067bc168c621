/** Three sidecars as processes before one application: a quota is that of all, and outlives each of them. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { request } from 'undici';
import { freePort } from '../helpers/backends.ts';
import { becomes } from '../helpers/processes.ts';
import { type ChildSidecar, childSidecar, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';

const LIMIT = 300;

interface QuotaPage {
  readonly quotas: readonly { readonly meter: string; readonly used: number; readonly here?: { rights?: number } }[];
}

async function quotaOf({ ports }: ChildSidecar, tenant: string): Promise<QuotaPage['quotas'][number]> {
  const answer = await fetch(`http://127.0.0.1:${ports.admin}/v1/limits/${tenant}`);
  return ((await answer.json()) as QuotaPage).quotas[0] as QuotaPage['quotas'][number];
}

async function ask({ ports }: ChildSidecar, host: string): Promise<boolean> {
  const { statusCode, body } = await request(`http://127.0.0.1:${ports.inbound}/`, { headers: { host } });
  await body.dump();
  return statusCode === 200;
}

t.test('a hard quota of 300 admits 300 at three sidecars, and counts outlive a rolling restart', async (t) => {
  const upstream = await httpBackend(t, (_, response) => response.end('ok'));
  const tenancy = makeTenancy({
    'plans.yaml':
      plan('prepaid', { quotas: { api_calls: { per: 'month', limit: LIMIT, mode: 'hard' } } }) +
      plan('open', { quotas: { requests: { per: 'month', limit: 1e6 } } }),
    'tenants.yaml':
      tenant('acme', { plan: 'prepaid', identity: { hosts: ['acme.test'] } }) +
      tenant('globex', { plan: 'open', identity: { hosts: ['globex.test'] } }),
  });
  t.teardown(() => tenancy.cleanUp());
  const keyFile = join(tenancy.stateDir, 'keys');
  const seedFile = join(tenancy.stateDir, 'seeds');
  writeFileSync(keyFile, `${randomBytes(32).toString('base64')}\n`);
  writeFileSync(seedFile, '');
  const addresses = new Set<string>();
  const start = async (name: string): Promise<ChildSidecar> => {
    const sidecar = await childSidecar(t, {
      ...settings(upstream, tenancy),
      'inbound.trust': 'network',
      'gossip.keyFile': keyFile,
      'gossip.seeds.file': seedFile,
      'gossip.host': '127.0.0.1',
      'gossip.port': '0',
      'gossip.name': name,
      'log.access': 'off',
    });
    addresses.add(`127.0.0.1:${(sidecar.ports as { gossip?: number }).gossip}`);
    writeFileSync(seedFile, [...addresses].join('\n'));
    return sidecar;
  };
  const sidecars = [await start('pod-0'), await start('pod-1'), await start('pod-2')];
  let admitted = 0;
  const spend = async (): Promise<boolean> => {
    const answers = await Promise.all(
      sidecars.flatMap((each) => Array.from({ length: 20 }, () => ask(each, 'acme.test'))),
    );
    admitted += answers.filter(Boolean).length;
    return admitted >= LIMIT;
  };
  t.ok(await becomes(spend, 20_000), 'all of it is spent');
  for (let i = 0; i < 5; i++) await spend();
  t.equal(admitted, LIMIT);

  for (const each of sidecars) for (let i = 0; i < 20; i++) await ask(each, 'globex.test');
  for (let at = 0; at < sidecars.length; at++) {
    const old = sidecars[at] as ChildSidecar;
    old.child.kill('SIGTERM');
    t.equal(await old.exited, 0);
    addresses.delete(`127.0.0.1:${(old.ports as { gossip?: number }).gossip}`);
    sidecars[at] = await start(`pod-${at}-again`);
  }
  for (const each of sidecars) {
    t.ok(await becomes(async () => (await quotaOf(each, 'globex')).used === 60, 5000), 'counted once each');
    t.equal((await quotaOf(each, 'acme')).used, LIMIT);
    t.equal(await ask(each, 'acme.test'), false);
  }
});

t.test('a fleet that is killed at once, again and again, knows what its lives counted, and spends on', async (t) => {
  const ROUNDS = 3;
  // A sixteenth of it is what may be ahead of any disk, however many come at once.
  const HARD = 256;
  const upstream = await httpBackend(t, (_, response) => response.end('ok'));
  const tenancy = makeTenancy({
    'plans.yaml':
      plan('open', { quotas: { requests: { per: 'month', limit: 1e6 } } }) +
      plan('prepaid', { quotas: { api_calls: { per: 'month', limit: HARD, mode: 'hard' } } }),
    'tenants.yaml':
      tenant('globex', { plan: 'open', identity: { hosts: ['globex.test'] } }) +
      tenant('acme', { plan: 'prepaid', identity: { hosts: ['acme.test'] } }),
  });
  t.teardown(() => tenancy.cleanUp());
  const keyFile = join(tenancy.stateDir, 'keys');
  const seedFile = join(tenancy.stateDir, 'seeds');
  writeFileSync(keyFile, `${randomBytes(32).toString('base64')}\n`);
  const ports = await Promise.all(['pod-0', 'pod-1', 'pod-2'].map(() => freePort()));
  writeFileSync(seedFile, ports.map((port) => `127.0.0.1:${port}`).join('\n'));
  const startAll = (): Promise<ChildSidecar[]> =>
    Promise.all(
      ports.map((port, at) =>
        childSidecar(t, {
          ...settings(upstream, tenancy),
          stateDir: join(tenancy.stateDir, `pod-${at}`),
          'inbound.trust': 'network',
          'gossip.keyFile': keyFile,
          'gossip.seeds.file': seedFile,
          'gossip.host': '127.0.0.1',
          'gossip.port': String(port),
          'log.access': 'off',
        }),
      ),
    );
  let admitted = 0;
  /** Of a hard quota: so many more, wherever there are some. */
  const spend = async (sidecars: readonly ChildSidecar[], units: number): Promise<void> => {
    const end = admitted + units;
    const some = async (): Promise<boolean> => {
      for (const each of sidecars)
        for (let i = 0; i < 20 && admitted < end; i++) if (await ask(each, 'acme.test')) admitted++;
      return admitted >= end;
    };
    t.ok(await becomes(some, 15_000), `${admitted} of ${end}`);
  };
  const usedOf = async (sidecar: ChildSidecar): Promise<number> => (await quotaOf(sidecar, 'globex')).used;
  for (let round = 0; round < ROUNDS; round++) {
    const sidecars = await startAll();
    const known = round * 30;
    const saysKnown = async (): Promise<boolean> =>
      (await Promise.all(sidecars.map(usedOf))).every((used) => used === known);
    t.ok(await becomes(saysKnown, 15_000), `${known}, and not ${await Promise.all(sidecars.map(usedOf))}`);
    for (const each of sidecars) for (let i = 0; i < 10; i++) await ask(each, 'globex.test');
    await spend(sidecars, 30);
    // A commit a second.
    await sleep(2000);
    for (const { child } of sidecars) child.kill('SIGKILL');
    await Promise.all(sidecars.map(({ exited }) => exited));
  }
  // So a kill costs 16 units at most, the next 8, and so on.
  const certain = HARD - ports.length * (16 + 8 + 4);
  const sidecars = await startAll();
  for (const { lines } of sidecars) t.match(lines.join('\n'), /"quota.life_crashed".*16 units/);
  await spend(sidecars, certain - admitted);
  for (let i = 0; i < 3; i++) {
    for (const each of sidecars) for (let at = 0; at < 20; at++) if (await ask(each, 'acme.test')) admitted++;
    await sleep(1000);
  }
  t.ok(admitted <= HARD, `${admitted}`);
  t.comment(`figure: a fleet of 3 killed ${ROUNDS} times, with disks: ${admitted} of a hard quota of ${HARD} admitted`);
});
