/** A whole fleet is killed and its disks are gone: what is left of its quotas is what was left, by the collector's word. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { request } from 'undici';
import { startCollector } from '../../src/cli/collector.ts';
import { collectorValues } from '../../src/cli/collector-settings.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { becomes } from '../helpers/processes.ts';
import { type ChildSidecar, childSidecar, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';

const [HARD, SIDECARS] = [240, 3] as const;
/** What a sidecar may spend of a limit of 240 before the collector has heard of it (allowance.ts). */
const AHEAD = 16;

t.test(
  'three sidecars are killed and lose their disks: quotas go on where they were',
  { timeout: 60_000 },
  async (t) => {
    const upstream = await httpBackend(t, (_, response) => response.end('ok'));
    const tenancy = makeTenancy({
      'plans.yaml':
        plan('prepaid', { quotas: { api_calls: { per: 'day', limit: HARD, mode: 'hard' } } }) +
        plan('open', { quotas: { requests: { per: 'day', limit: 1e6 } } }),
      'tenants.yaml':
        tenant('acme', { plan: 'prepaid', identity: { hosts: ['acme.test'] } }) +
        tenant('globex', { plan: 'open', identity: { hosts: ['globex.test'] } }),
    });
    t.teardown(() => tenancy.cleanUp());
    const dir = mkdtempSync(join(tmpdir(), 'reeve-checkpoint-'));
    t.teardown(() => rmSync(dir, { recursive: true }));
    const values = await collectorValues(
      undefined,
      { dir: join(dir, 'collector'), grpcPort: '0', httpPort: '0', statusPort: '0' },
      {},
    );
    const collector = await startCollector(values, { log: silentLog });
    t.teardown(() => collector.close());
    const [keyFile, seedFile] = [join(dir, 'keys'), join(dir, 'seeds')];
    writeFileSync(keyFile, `${randomBytes(32).toString('base64')}\n`);

    const start = async (life: number): Promise<ChildSidecar[]> => {
      const addresses: string[] = [];
      const sidecars: ChildSidecar[] = [];
      writeFileSync(seedFile, '');
      for (let at = 0; at < SIDECARS; at++) {
        const stateDir = join(dir, `state-${life}-${at}`);
        const sidecar = await childSidecar(t, {
          ...settings(upstream, tenancy),
          ...{ stateDir, 'inbound.trust': 'network', 'log.access': 'off' },
          ...{
            'gossip.keyFile': keyFile,
            'gossip.seeds.file': seedFile,
            'gossip.host': '127.0.0.1',
            'gossip.port': '0',
          },
          ...{ 'gossip.name': `pod-${at}`, 'metering.dir': join(stateDir, 'spool') },
          'metering.collector.address': `127.0.0.1:${collector.ports.grpc}`,
        });
        addresses.push(`127.0.0.1:${(sidecar.ports as { gossip?: number }).gossip}`);
        sidecars.push(sidecar);
        writeFileSync(seedFile, addresses.join('\n'));
      }
      return sidecars;
    };
    const killAll = async (sidecars: readonly ChildSidecar[], life: number): Promise<void> => {
      for (const { child } of sidecars) child.kill('SIGKILL');
      for (const { exited } of sidecars) await exited;
      for (let at = 0; at < SIDECARS; at++) rmSync(join(dir, `state-${life}-${at}`), { recursive: true });
    };
    const ask = async ({ ports }: ChildSidecar, host: string): Promise<boolean> => {
      const { statusCode, body } = await request(`http://127.0.0.1:${ports.inbound}/`, { headers: { host } });
      await body.dump();
      if (statusCode === 200 && host === 'acme.test') admitted++;
      return statusCode === 200;
    };
    /** Of the hard quota, by all that ever were. */
    let admitted = 0;
    /** Asks at all of them until so many were admitted in all, or nothing is any more. */
    const spend = async (sidecars: readonly ChildSidecar[], upTo: number): Promise<void> => {
      for (let refusedAt = Number.POSITIVE_INFINITY; admitted < upTo; ) {
        const answers = await Promise.all(sidecars.map((each) => ask(each, 'acme.test')));
        if (answers.some(Boolean)) refusedAt = performance.now();
        else if (performance.now() - refusedAt > 2500) return;
        else await sleep(20);
      }
    };
    const usedOf = async ({ ports }: ChildSidecar, name: string): Promise<number> => {
      const answer = await fetch(`http://127.0.0.1:${ports.admin}/v1/limits/${name}`);
      return ((await answer.json()) as { quotas: [{ used: number }] }).quotas[0].used;
    };

    const rightsOf = async (sidecars: readonly ChildSidecar[]): Promise<number> => {
      let rights = 0;
      for (const each of sidecars) {
        await ask(each, 'acme.test');
        const answer = await fetch(`http://127.0.0.1:${each.ports.admin}/v1/limits/acme`);
        rights += ((await answer.json()) as { quotas: [{ here: { rights: number } }] }).quotas[0].here.rights;
      }
      return rights;
    };

    const first = await start(0);
    for (const each of first) for (let i = 0; i < 5; i++) await ask(each, 'globex.test');
    await spend(first, 80);
    t.ok(admitted >= 80, `${admitted} of the hard quota are spent`);
    // What is a second old is the collector's.
    await sleep(1200);
    const spent = admitted;
    await killAll(first, 0);

    const second = await start(1);
    const [one] = second as [ChildSidecar];
    t.equal(await usedOf(one, 'globex'), 15, 'known before the first request');
    t.ok(await becomes(() => ask(one, 'acme.test'), 15_000), 'there is something left');
    const used = await usedOf(one, 'acme');
    t.ok(used >= spent && used <= spent + SIDECARS * AHEAD + 1, `${used} taken for used, ${spent} were`);
    // What the three may spend, and what they did: parts of what is left are rounded down.
    const isParted = async (): Promise<boolean> => (await rightsOf(second)) >= HARD - spent - SIDECARS * (AHEAD + 1);
    t.ok(await becomes(isParted, 10_000), 'nothing is lost but what nobody can know');
    const rights = await rightsOf(second);
    t.ok(rights <= HARD - spent, `${rights} may be spent, ${spent} were`);
    await spend(second, Number.POSITIVE_INFINITY);
    t.ok(admitted <= HARD, `${admitted} of ${HARD} were admitted in all`);
    t.ok(admitted - spent > (HARD - spent - SIDECARS * AHEAD) / 2, 'and most of what can be known to be left');
    t.comment(
      `figure: a fleet of ${SIDECARS} killed with its disks: ${spent} spent, ${used} taken for used, ${rights} of ${HARD} left to spend; ${admitted} admitted in all`,
    );
    await killAll(second, 1);
  },
);
