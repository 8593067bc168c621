/** Sidecars as processes that share their limits by gossip over loopback, before one backend. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Pool } from 'undici';
import { systemTimers } from '../../src/core/index.ts';
import { type ChildSidecar, childSidecar, type Ending, settings } from './sidecar.ts';
import { makeTenancy, plan, type TenancyDir, tenant } from './tenancy.ts';

/** Processes that start at once. */
const AT_ONCE = 4;

export interface RealFleet {
  readonly sidecars: (ChildSidecar & { readonly gossip: number })[];
  readonly tenancy: TenancyDir;
}

/** `limit` and `burst` of the tenant acme, a second, for all of them together. */
export async function realFleet(
  t: Ending,
  upstream: string,
  { nodes, limit, burst }: { nodes: number; limit: number; burst: number },
): Promise<RealFleet> {
  const tenancy = makeTenancy({
    'plans.yaml': plan('free', { rate: { requests: { limit: `${limit}/s`, burst } }, degrade: ['reject'] }),
    'tenants.yaml': tenant('acme', { identity: { hosts: ['acme.test'] } }),
  });
  t.teardown(() => tenancy.cleanUp());
  const keyFile = join(tenancy.stateDir, 'gossip-keys');
  const seedFile = join(tenancy.stateDir, 'gossip-seeds');
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
  const sidecars: RealFleet['sidecars'] = [];
  for (let at = 0; at < nodes; at += AT_ONCE) {
    const names = Array.from({ length: Math.min(AT_ONCE, nodes - at) }, (_, i) => `pod-${at + i}`);
    for (const sidecar of await Promise.all(names.map(start)))
      sidecars.push({ ...sidecar, gossip: (sidecar.ports as { gossip?: number }).gossip as number });
  }
  return { sidecars, tenancy };
}

export interface Admitted {
  readonly at: number;
  readonly isAdmitted: boolean;
}

/** Requests that come at random, `perSec(place)` a second to each sidecar, for so many ms. */
export async function offer(
  ports: readonly number[],
  perSec: (place: number) => number,
  forMs: number,
): Promise<Admitted[]> {
  const seen: Admitted[] = [];
  const began = performance.now();
  const headers = { host: 'acme.test' };
  await Promise.all(
    ports.map(async (port, place) => {
      const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 8 });
      const pending: Promise<void>[] = [];
      let next = 0;
      for (;;) {
        next += (-Math.log(1 - Math.random()) * 1000) / perSec(place);
        if (next > forMs) break;
        const wait = began + next - performance.now();
        if (wait > 1) await systemTimers.sleep(wait);
        pending.push(
          pool.request({ method: 'GET', path: '/', headers }).then(async ({ statusCode, body }) => {
            await body.dump();
            if (statusCode !== 200 && statusCode !== 429) throw new Error(`answered ${statusCode}`);
            seen.push({ at: performance.now() - began, isAdmitted: statusCode === 200 });
          }),
        );
      }
      await Promise.all(pending);
      await pool.destroy();
    }),
  );
  return seen;
}
