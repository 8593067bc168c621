/** Sidecars as processes that share their limits by gossip over loopback, before one backend. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Pool } from 'undici';
import { systemTimers } from '../../src/core/index.ts';
import type { Pod } from './namespaces/network.ts';
import { type ChildSidecar, childSidecar, type Ending, settings } from './sidecar.ts';
import { makeTenancy, plan, type TenancyDir, tenant } from './tenancy.ts';

/** Processes that start at once. */
const AT_ONCE = 4;
/** Of those that have an address of their own. */
const GOSSIP_PORT = 7946;

export interface RealFleet {
  readonly sidecars: (ChildSidecar & { readonly gossip: number })[];
  readonly tenancy: TenancyDir;
}

/** `limit` and `burst` of the tenant acme, a second, for all of them together. `pods`: each in a namespace of its own; default: all on loopback. */
export async function realFleet(
  t: Ending,
  upstream: string,
  { nodes, limit, burst, pods }: { nodes: number; limit: number; burst: number; pods?: readonly Pod[] },
): Promise<RealFleet> {
  const tenancy = makeTenancy({
    'plans.yaml': plan('free', { rate: { requests: { limit: `${limit}/s`, burst } }, degrade: ['reject'] }),
    'tenants.yaml': tenant('acme', { identity: { hosts: ['acme.test'] } }),
  });
  t.teardown(() => tenancy.cleanUp());
  const keyFile = join(tenancy.stateDir, 'gossip-keys');
  const seedFile = join(tenancy.stateDir, 'gossip-seeds');
  writeFileSync(keyFile, `${randomBytes(32).toString('base64')}\n`);
  // In a namespace of its own each has the same port, so that all are known before they begin.
  const addresses = new Set(pods?.map(({ gossipHost }) => `${gossipHost}:${GOSSIP_PORT}`));
  const tellSeeds = (): void => writeFileSync(seedFile, [...addresses].join('\n'));
  tellSeeds();
  const start = async (name: string, pod: Pod | undefined): Promise<RealFleet['sidecars'][number]> => {
    const own = {
      ...settings(upstream, tenancy),
      'inbound.trust': 'network',
      'gossip.keyFile': keyFile,
      'gossip.seeds.file': seedFile,
      'gossip.host': pod?.gossipHost ?? '127.0.0.1',
      'gossip.port': pod === undefined ? '0' : String(GOSSIP_PORT),
      'gossip.name': name,
      'log.access': 'off',
      ...(pod === undefined ? {} : { 'inbound.host': pod.clientHost, 'status.host': pod.clientHost }),
    };
    const within = pod === undefined ? {} : { within: ['ip', 'netns', 'exec', pod.name] };
    const sidecar = await childSidecar(t, own, within);
    const gossip = (sidecar.ports as { gossip?: number }).gossip as number;
    if (pod === undefined) addresses.add(`127.0.0.1:${gossip}`);
    tellSeeds();
    return { ...sidecar, gossip };
  };
  const sidecars: RealFleet['sidecars'] = [];
  for (let at = 0; at < nodes; at += AT_ONCE) {
    const places = Array.from({ length: Math.min(AT_ONCE, nodes - at) }, (_, i) => at + i);
    sidecars.push(...(await Promise.all(places.map((place) => start(`pod-${place}`, pods?.[place])))));
  }
  return { sidecars, tenancy };
}

export interface Admitted {
  readonly at: number;
  readonly isAdmitted: boolean;
}

/** Requests that come at random, `perSec(place)` a second to each sidecar, for so many ms. `origins`: `http://host:port`. */
export async function offer(
  origins: readonly string[],
  perSec: (place: number) => number,
  forMs: number,
): Promise<Admitted[]> {
  const seen: Admitted[] = [];
  const began = performance.now();
  const headers = { host: 'acme.test' };
  await Promise.all(
    origins.map(async (origin, place) => {
      const pool = new Pool(origin, { connections: 8 });
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
