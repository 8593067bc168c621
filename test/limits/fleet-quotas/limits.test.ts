/** The limits of a sidecar that shares its quotas: what they carry, explain and measure. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Member } from '../../../src/gossip/index.ts';
import { OriginLog } from '../../../src/limits/fleet-quotas/origin-log.ts';
import { row } from '../../../src/limits/fleet-quotas/row.ts';
import { carriageOf, FleetQuotas, FleetRates } from '../../../src/limits/index.ts';
import { silentLog } from '../../../src/telemetry/index.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { becomes } from '../../helpers/processes.ts';
import { plan, world } from '../world.ts';
import { actorOf } from './world.ts';

const QUOTAS = {
  api_calls: { per: 'day', limit: 10, mode: 'hard' },
  tokens: { per: 'day', limit: 10 },
  seats: { gauge: true, limit: 3 },
};

t.test('a sidecar of a fleet explains what of a quota is used here, may be, and is elsewhere', async (t) => {
  const clock = new ManualClock();
  const fleetQuotas = new FleetQuotas({ actor: actorOf(1), clock });
  const stateDir = mkdtempSync(join(tmpdir(), 'reeve-'));
  t.teardown(() => rmSync(stateDir, { recursive: true }));
  const more = { clock, timers: clock, stateDir, fleetQuotas };
  const w = await world(plan('free', { quotas: QUOTAS }), undefined, '', more);
  await w.limits.open();
  fleetQuotas.know('others');
  w.limits.use(w.snapshot, w.snapshot);
  for (let i = 0; i < 8; i++) {
    clock.advance(250);
    fleetQuotas.tick();
  }
  t.equal(w.one('acme'), 'pass');
  const { quotas } = w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' });
  t.match(quotas, [
    { meter: 'api_calls', used: 1, here: { used: 1, rights: 10, elsewhere: 0 } },
    { meter: 'tokens', used: 0, here: { used: 0 } },
    { meter: 'seats', here: undefined },
  ]);
  t.equal(fleetQuotas.size.own, 0, 'nobody is told what does not stand on disk');
  await becomes(() => {
    clock.advance(250);
    fleetQuotas.tick();
    return fleetQuotas.size.own > 0;
  });
  let page = '';
  for await (const chunk of w.metrics.exposition()) page += chunk;
  t.match(page, /reeve_quota_rights_total\{what="wanted"\} 0/);
  t.match(page, /reeve_quota_rows\{whose="own"\} [1-9]/);
  t.match(page, /reeve_quota_rows_total\{result="refused"\} 0/);
  await w.limits.close();
});

t.test(
  'when there is no room for rights it is counted, explained, and said once a minute with what to do',
  async (t) => {
    const clock = new ManualClock();
    const fleetQuotas = new FleetQuotas({ actor: actorOf(1), clock, claimsMax: 0 });
    const said: Record<string, unknown>[] = [];
    const log = { ...silentLog, error: (event: string, fields?: object) => void said.push({ event, ...fields }) };
    const w = await world(plan('free', { quotas: QUOTAS }), undefined, '', { clock, timers: clock, fleetQuotas, log });
    await w.limits.open();
    fleetQuotas.know('others');
    w.limits.use(w.snapshot, w.snapshot);
    const pass = (): void => {
      for (let i = 0; i < 8; i++) {
        clock.advance(250);
        fleetQuotas.tick();
      }
    };
    pass();
    t.equal(w.one('acme'), 'quota-exceeded', 'no charter, no rights');
    t.match(said, [{ event: 'quota.rights_full', row: 'share', remedy: /soft quotas/ }]);
    pass();
    t.equal(said.length, 1);
    clock.advance(60_000);
    fleetQuotas.claims.put(row({ kind: 'spent', tenant: 'acme', meter: 'api_calls', from: actorOf(1) }, 1));
    t.match(said[1], { row: 'spent', 'tenant.id': 'acme', meter: 'api_calls' });
    const { rights } = w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' });
    t.match(rights, { rows: 0, max: 0 });
    t.ok((rights?.refused ?? 0) > 2);
    let page = '';
    for await (const chunk of w.metrics.exposition()) page += chunk;
    t.match(page, /reeve_quota_right_rows 0/);
    t.match(page, new RegExp(`reeve_quota_right_rows_refused_total ${rights?.refused}`));
    await w.limits.close();
  },
);

t.test('who waits for most of the fleet to inherit says of how many it sees how many', async (t) => {
  const clock = new ManualClock();
  const fleetQuotas = new FleetQuotas({ actor: actorOf(1), clock });
  const said: Record<string, unknown>[] = [];
  const log = { ...silentLog, warn: (event: string, fields?: object) => void said.push({ event, ...fields }) };
  const w = await world(plan('free', { quotas: QUOTAS }), undefined, '', { clock, timers: clock, fleetQuotas, log });
  await w.limits.open();
  fleetQuotas.follow({ expected: 3, isIsolated: false, isFound: true });
  fleetQuotas.know('others');
  fleetQuotas.inherit([actorOf(2)], fleetQuotas.heritage({ actor: actorOf(2), as: 'crashed', crashes: 0, ahead: [] }));
  for (let i = 0; i < 100; i++) {
    clock.advance(250);
    fleetQuotas.tick();
  }
  t.match(said, [{ event: 'quota.rights_wait', members: 1, expected: 3, remedy: /seeds/ }]);
  t.equal(said.length, 1);
  await w.limits.close();
});

t.test('one delegate carries both, each in its lane', async (t) => {
  const clock = new ManualClock();
  const rates = new FleetRates({ clock, partition: 'hold' });
  const quotas = new FleetQuotas({ actor: actorOf(1), clock });
  const carriage = carriageOf(rates, quotas);
  const member = { slot: 1, incarnation: actorOf(2), name: 'b', address: '10.0.0.2:1', state: 'alive', isListed: true };
  carriage.onMember(member as Member);
  clock.advance(100);
  rates.tick();
  t.equal(rates.members, 2);
  t.equal(carriage.cold, quotas.lane);
  t.equal(carriage.version(1), 0);
  const bytes = new Uint8Array(9);
  t.match(carriage.write(1, 0, bytes, 3, 9), { offset: 3, upTo: 0 });
  t.equal(carriage.read(1, 0, 5, bytes), false);
  t.equal(quotas.counts.refused, 0, 'it was of rates');
  // What comes before there are quotas to decide by it is known all the same.
  for (const what of ['disk', 'others'] as const) quotas.know(what);
  for (let i = 0; i < 40; i++) quotas.tick();
  const told = new OriginLog(actorOf(2));
  const key = { tenant: 'acme', meter: 'api_calls', day: 100, from: actorOf(2), to: actorOf(1) };
  for (const kind of ['count', 'total', 'gauge', 'grant'] as const) told.put(row({ ...key, kind }, 5));
  const today = Math.floor(clock.wallMs() / 86_400_000);
  told.put(row({ ...key, kind: 'grant', day: today }, 5));
  const delta = new Uint8Array(400);
  const { offset, upTo } = told.write(0, delta, 0, 400);
  t.ok(quotas.lane.read(1, 0, upTo, delta.subarray(0, offset)));
  t.equal(quotas.counters.valueOf('acme', 'api_calls', 100), 5);
  t.equal(quotas.counts.merged, 4, 'all but rights of a window that is over');
  t.equal(quotas.counts.known, 1);
  carriage.onForgotten(1);
  t.equal(rates.members, 1);
});
