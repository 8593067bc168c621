/** What goes on from its last good version, and who is left out, is told by name in the log, the status and the metrics. */
import t from 'tap';
import { systemClock, systemTimers } from '../../src/core/index.ts';
import { createLog, createMetrics, type Metrics } from '../../src/telemetry/index.ts';
import type { TenancyOptions } from '../../src/tenants/index.ts';
import { tenancyForTest } from '../helpers/open-tenancy.ts';
import type { Ending } from '../helpers/sidecar.ts';
import { makeTenancy, plan, provider, type TenancyDir, tenant } from '../helpers/tenancy.ts';

type Line = Readonly<Record<string, unknown>>;

/** A tenancy whose log is read. */
async function heard(t: Ending, dir: TenancyDir, more: Partial<TenancyOptions> = {}) {
  const written: Line[] = [];
  const log = createLog({ clock: systemClock, level: 'info', write: (line) => void written.push(JSON.parse(line)) });
  const tenancy = await tenancyForTest(t, dir, { log, ...more });
  const lines = (event: string): Line[] => written.filter((each) => each['event'] === event);
  return { tenancy, lines };
}

async function pageOf(metrics: Metrics): Promise<string> {
  let text = '';
  for await (const chunk of metrics.exposition()) text += chunk;
  return text;
}

t.test('a restart on a broken plan says which objects are from the last good copy', async (t) => {
  const dir = makeTenancy();
  const first = await tenancyForTest(t, dir, { stateDir: dir.stateDir });
  t.same(first.status.kept, { total: 0, first: [] });
  await first.close();
  dir.write('plans.yaml', plan('free', { concurrency: 0 }));
  dir.write('tenants.yaml', tenant('acme') + tenant('globex', { plan: 'none' }));
  const metrics = createMetrics({ timers: systemTimers });
  const { tenancy, lines } = await heard(t, dir, { stateDir: dir.stateDir, metrics });
  const kept = { total: 2, first: ['Plan "free"', 'Tenant "globex"'] };
  t.notOk(tenancy.status.isFromLastGood, 'the rest is from the files');
  t.same(tenancy.status.kept, kept);
  t.match(lines('config.last_good_used'), [{ severity: 'warn', dir: dir.stateDir, objects: 2, first: kept.first }]);
  t.match(lines('config.reloaded'), [{ result: 'partial', kept: 2 }]);
  t.match(await pageOf(metrics), /^reeve_config_kept_objects 2$/m);
  t.same(lines('config.tenants_left_out'), []);
  dir.write('plans.yaml', plan('free'));
  dir.write('tenants.yaml', tenant('acme') + tenant('globex'));
  await tenancy.refresh();
  t.equal(tenancy.status.kept.total, 0);
});

t.test('a provider whose keys are gone goes on with the old ones, and is named', async (t) => {
  const dir = makeTenancy({
    'k.json': '{"keys":[]}',
    'providers.yaml': provider('main', { jwks: { file: 'k.json' } }),
  });
  const { tenancy } = await heard(t, dir);
  dir.remove('k.json');
  await tenancy.refresh();
  t.same(tenancy.status.kept, { total: 1, first: ['IdentityProvider "main"'] });
});

t.test('a cold start on a partly broken tenancy names who is left out, and why, once', async (t) => {
  const dir = makeTenancy({
    'small.yaml': plan('small', { concurrency: 0 }),
    'more.yaml':
      tenant('alpha', { plan: 'small' }) +
      tenant('beta', { plan: 'none' }) +
      tenant('gamma', { timezone: 'Mars/Olympus' }) +
      'kind: Tenant\nmetadata: { name: delta }\nspec: { plan: free\n',
  });
  const metrics = createMetrics({ timers: systemTimers });
  const { tenancy, lines } = await heard(t, dir, { metrics });
  t.equal(tenancy.snapshot.tenants.size, 2, 'the others are in force');
  const [said, ...more] = lines('config.tenants_left_out');
  t.match(said, { severity: 'error', total: 4 });
  t.same([said?.['tenants']].flat().sort(), ['alpha', 'beta', 'delta', 'gamma']);
  t.equal([said?.['why']].flat().length, 4);
  t.same(more, []);
  t.match(await pageOf(metrics), /^reeve_config_tenants_left_out 4$/m);
  t.equal(tenancy.status.leftOut.total, 4);
  for (const [name, why] of [
    ['alpha', /^small\.yaml:1:\d+ Plan "small" spec\.concurrency: /],
    ['beta', /^more\.yaml:\d+:\d+ Tenant "beta" spec\.plan: there is no Plan "none"/],
    ['gamma', /Tenant "gamma" spec\.timezone: /],
    ['delta', /^more\.yaml:\d+:\d+ Tenant "delta": /],
  ] as const)
    t.match(tenancy.whyLeftOut(name), why);
  t.same([tenancy.whyLeftOut('acme'), tenancy.whyLeftOut('nobody')], [undefined, undefined]);
  dir.write('other.yaml', '# nothing\n');
  await tenancy.refresh();
  t.equal(lines('config.tenants_left_out').length, 1, 'not again');
  dir.write('small.yaml', plan('small'));
  await tenancy.refresh();
  t.match(lines('config.tenants_left_out')[1], { total: 3 });
  t.ok(tenancy.snapshot.tenants.has('alpha'));
});

t.test(
  'of very many that are left out the first are named, and a reason is given where no finding is kept',
  async (t) => {
    const many = Array.from({ length: 1200 }, (_, i) => tenant(`t${i}`, { plan: 'small' })).join('');
    const dir = makeTenancy({ 'plans.yaml': '', 'tenants.yaml': many });
    const { tenancy, lines } = await heard(t, dir);
    t.match(lines('config.tenants_left_out'), [{ total: 1200, tenants: { length: 10 } }]);
    t.match(tenancy.whyLeftOut('t0'), /there is no Plan "small" \(there is none at all/);
    t.equal(tenancy.whyLeftOut('t999'), 'its Plan "small" is not in force');
    t.equal(tenancy.whyLeftOut('t1000'), undefined);
    dir.write('tenants.yaml', many + tenant('last', { plan: 'small' }));
    await tenancy.refresh();
    t.match(lines('config.tenants_left_out')[1], { total: 1201 }, 'one more is said, though it is not named');
  },
);
