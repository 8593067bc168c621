/** Sidecars as processes that share their limits by gossip over loopback, before one backend. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Pool } from 'undici';
import { systemTimers } from '../../src/core/index.ts';
import type { Pod } from './namespaces/network.ts';
import { becomes } from './processes.ts';
import { type ChildSidecar, childSidecar, type Ending, settings } from './sidecar.ts';
import { makeTenancy, plan, type TenancyDir, tenant } from './tenancy.ts';

/** Processes that start at once. */
const AT_ONCE = 4;
/** Until a sidecar has the state of the others, at most, on a machine that does much besides. */
const READY_MS = 30_000;
/** Of those that have an address of their own. */
const GOSSIP_PORT = 7946;

export interface RealFleet {
  readonly sidecars: (ChildSidecar & { readonly gossip: number })[];
  readonly tenancy: TenancyDir;
  /** Ends the one at this place by SIGTERM, and starts another of the same name, ready when this resolves. On loopback it has other ports. Rejects when the old one says that it did not end well. */
  replace(place: number): Promise<void>;
}

export interface RealFleetOptions {
  readonly nodes: number;
  /** Of the tenant acme, a second, for all of them together. */
  readonly limit: number;
  readonly burst: number;
  /** More of the tenant's plan. */
  readonly plan?: object;
  /** Settings of one's own, such as a state directory. */
  readonly own?: (place: number) => Readonly<Record<string, string>>;
  /** Their lines count where lines are counted. */
  readonly isCounted?: boolean;
  /** Each in a namespace of its own. Default: all on loopback. */
  readonly pods?: readonly Pod[];
}

export async function realFleet(t: Ending, upstream: string, options: RealFleetOptions): Promise<RealFleet> {
  const { nodes, limit, burst, own, isCounted = false, pods } = options;
  const spec = { rate: { requests: { limit: `${limit}/s`, burst } }, degrade: ['reject'], ...options.plan };
  const tenancy = makeTenancy({
    'plans.yaml': plan('free', spec),
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
  const start = async (place: number): Promise<RealFleet['sidecars'][number]> => {
    const [name, pod] = [`pod-${place}`, pods?.[place]];
    const given = {
      ...settings(upstream, tenancy),
      'inbound.trust': 'network',
      'gossip.keyFile': keyFile,
      'gossip.seeds.file': seedFile,
      'gossip.host': pod?.gossipHost ?? '127.0.0.1',
      'gossip.port': pod === undefined ? '0' : String(GOSSIP_PORT),
      'gossip.name': name,
      'log.access': 'off',
      ...(pod === undefined ? {} : { 'inbound.host': pod.clientHost, 'status.host': pod.clientHost }),
      ...own?.(place),
    };
    const within = pod === undefined ? [] : ['ip', 'netns', 'exec', pod.name];
    const sidecar = await childSidecar(t, given, { within, isCounted });
    const gossip = (sidecar.ports as { gossip?: number }).gossip as number;
    if (pod === undefined) addresses.add(`127.0.0.1:${gossip}`);
    tellSeeds();
    return { ...sidecar, gossip };
  };
  const sidecars: RealFleet['sidecars'] = [];
  for (let at = 0; at < nodes; at += AT_ONCE) {
    const places = Array.from({ length: Math.min(AT_ONCE, nodes - at) }, (_, i) => at + i);
    sidecars.push(...(await Promise.all(places.map(start))));
  }
  const replace = async (place: number): Promise<void> => {
    const old = sidecars[place] as RealFleet['sidecars'][number];
    old.child.kill('SIGTERM');
    const code = await old.exited;
    if (code !== 0) throw new Error(`${old.lines.join('\n')}\nit ended with ${code}`);
    if (pods === undefined) addresses.delete(`127.0.0.1:${old.gossip}`);
    const next = await start(place);
    sidecars[place] = next;
    const isReady = async (): Promise<boolean> =>
      (await fetch(`http://${pods?.[place]?.clientHost ?? '127.0.0.1'}:${next.ports.status}/startupz`)).ok;
    if (!(await becomes(isReady, READY_MS))) throw new Error(`${next.lines.join('\n')}\nit does not get ready`);
  };
  return { sidecars, tenancy, replace };
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
