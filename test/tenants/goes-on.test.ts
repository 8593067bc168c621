/** What stands nowhere any more in a file that has an error: it may be what the error hides, so it goes on as it was, and is named. */
import t from 'tap';
import { systemClock } from '../../src/core/index.ts';
import { createLog } from '../../src/telemetry/index.ts';
import { formatFinding, type Tenancy } from '../../src/tenants/index.ts';
import { tenancyForTest } from '../helpers/open-tenancy.ts';
import { document, makeTenancy, plan, provider, tenant } from '../helpers/tenancy.ts';

const texts = (tenancy: Tenancy): string => tenancy.findings().map(formatFinding).join('\n');
const names = (tenancy: Tenancy): string[] => [...tenancy.snapshot.tenants.keys()].sort();
const route = (name: string, path: string): string => document('Route', name, { match: { path } });
const BROKEN = tenant('broken', { plan: 5 });

t.test('a slip that gives a tenant the name of another removes nobody, until it is mended', async (t) => {
  const sound = tenant('acme') + tenant('globex') + tenant('wayne');
  const dir = makeTenancy({ 'tenants.yaml': sound });
  const tenancy = await tenancyForTest(t, dir);
  dir.write('tenants.yaml', sound.replace('"name":"wayne"', '"name":"acme"'));
  await tenancy.refresh();
  t.same(names(tenancy), ['acme', 'globex', 'wayne']);
  t.match(
    texts(tenancy),
    /^tenants\.yaml warning: Tenant "wayne" stands in no sound document any more, and goes on as it was until every document here can be used \(mend them; what then stands nowhere is removed\)$/m,
  );
  t.equal(tenancy.findings().length, 2, 'and the error');
  dir.write('tenants.yaml', tenant('acme', { state: 'readonly' }) + tenant('wayne', { plan: 'none' }) + BROKEN);
  await tenancy.refresh();
  t.same(names(tenancy), ['acme', 'globex', 'wayne'], 'whatever the error is');
  t.equal(tenancy.snapshot.tenants.get('acme')?.state, 'readonly', 'what is sound is taken');
  t.match(texts(tenancy), /Tenant "globex" stands in no sound document any more/);
  dir.write('tenants.yaml', tenant('acme') + tenant('wayne'));
  await tenancy.refresh();
  t.same(names(tenancy), ['acme', 'wayne'], 'without an error, what stands nowhere is removed');
  t.equal(texts(tenancy), '');
});

t.test('an error that only other objects show holds its file too', async (t) => {
  const own = (name: string, claim: string) => tenant(name, { identity: { claims: [claim] } });
  for (const [what, slip] of [
    ['no such plan', tenant('new', { plan: 'none' })],
    ['what another holds', own('new', 'org_acme')],
  ] as const) {
    const dir = makeTenancy({ 'a.yaml': own('acme', 'org_acme'), 'tenants.yaml': tenant('globex') + tenant('wayne') });
    const tenancy = await tenancyForTest(t, dir);
    dir.write('tenants.yaml', tenant('globex') + slip);
    await tenancy.refresh();
    t.same(names(tenancy), ['acme', 'globex', 'wayne'], what);
    t.match(texts(tenancy), /Tenant "wayne" stands in no sound document any more/);
  }
});

t.test('one that goes on can be what another file asks for in vain, however long the chain', async (t) => {
  const own = (name: string, claim: string) => tenant(name, { identity: { claims: [claim] } });
  const chain = Array.from({ length: 6 }, (_, at) => at);
  const dir = makeTenancy({
    'tenants.yaml': own('acme', 'taken') + Array.from({ length: 40 }, (_, at) => tenant(`t${at}`)).join(''),
    ...Object.fromEntries(chain.map((at) => [`f${at}.yaml`, own(`old${at}`, `claim${at}`)])),
  });
  const tenancy = await tenancyForTest(t, dir);
  dir.write('f0.yaml', own('new0', 'taken'));
  // Each gives away a name that the one before would have to free.
  for (const at of chain.slice(1)) dir.write(`f${at}.yaml`, own(`new${at}`, `claim${at - 1}`));
  await tenancy.refresh();
  t.same(
    names(tenancy).filter((name) => /^(old|new)/.test(name)),
    chain.map((at) => `old${at}`),
  );
  dir.write('f0.yaml', own('new0', 'free'));
  await tenancy.refresh();
  t.same(
    names(tenancy).filter((name) => /^(old|new)/.test(name)),
    chain.map((at) => `new${at}`),
    'and all of it goes through once the first is mended',
  );
});

t.test('what goes on keeps what it holds: a new name for it waits until the file is mended', async (t) => {
  const own = (name: string) => tenant(name, { identity: { claims: ['org_wayne'] } });
  const dir = makeTenancy({ 'tenants.yaml': tenant('acme') + own('wayne') });
  const tenancy = await tenancyForTest(t, dir);
  dir.write('tenants.yaml', tenant('acme') + own('bruce') + BROKEN);
  await tenancy.refresh();
  t.equal(tenancy.snapshot.tenantByClaim.get('org_wayne')?.id, 'wayne');
  t.match(texts(tenancy), /claim "org_wayne" belongs to Tenant "wayne"/);
  dir.write('tenants.yaml', tenant('acme') + own('bruce'));
  await tenancy.refresh();
  t.same(names(tenancy), ['acme', 'bruce']);
});

t.test('so do plans, routes and providers, each by its own file', async (t) => {
  const dir = makeTenancy({
    'mixed.yaml': plan('small') + route('a', '/a') + provider('second', { issuer: 'https://other.example' }),
    'routes.yaml': route('b', '/b'),
  });
  const tenancy = await tenancyForTest(t, dir);
  const inForce = () => [
    tenancy.snapshot.plans.has('small'),
    tenancy.snapshot.providers.has('second'),
    ...tenancy.snapshot.routes.map((each) => each.name),
  ];
  dir.write('mixed.yaml', plan('broken', { concurrency: 0 }));
  dir.write('routes.yaml', route('c', '/c'));
  await tenancy.refresh();
  t.same(inForce(), [true, true, 'a', 'c'], 'the file without an error removes');
  t.match(
    texts(tenancy),
    /3 objects stand in no sound document any more, and go on as they were until every document here can be used: Plan "small", IdentityProvider "second", Route "a" \(/,
  );
  dir.write('mixed.yaml', plan('other'));
  await tenancy.refresh();
  t.same(inForce(), [false, false, 'c']);
});

t.test('a thousand of them are one finding, with the first names', async (t) => {
  const many = Array.from({ length: 1000 }, (_, i) => tenant(`t${i}`)).join('');
  const dir = makeTenancy({ 'tenants.yaml': many });
  const tenancy = await tenancyForTest(t, dir);
  dir.write('tenants.yaml', BROKEN);
  await tenancy.refresh();
  t.equal(tenancy.snapshot.tenants.size, 1000);
  t.equal(tenancy.findings().length, 2);
  t.match(texts(tenancy), /1000 objects stand .*: Tenant "t0", .*, Tenant "t9", and 990 more \(/);
});

t.test('a file that is deleted removes, whatever another file says', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': tenant('acme') + tenant('globex'), 'w.yaml': tenant('wayne') });
  const tenancy = await tenancyForTest(t, dir, { removeGraceMs: 0 });
  dir.write('tenants.yaml', tenant('acme') + tenant('globex') + BROKEN);
  dir.remove('w.yaml');
  await tenancy.refresh();
  t.same(names(tenancy), ['acme', 'globex']);
});

t.test('a file that is renamed and has an error holds those of its old name', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': tenant('acme') + tenant('globex') + tenant('wayne') });
  const tenancy = await tenancyForTest(t, dir, { removeGraceMs: 0 });
  dir.write('eu.yaml', tenant('acme') + tenant('globex') + tenant('acme'));
  dir.remove('tenants.yaml');
  await tenancy.refresh();
  t.same(
    names(tenancy),
    ['acme', 'globex', 'wayne'],
    'the others moved there, so wayne may be what the error is about',
  );
  t.match(texts(tenancy), /^eu\.yaml warning: Tenant "wayne" stands/m);
  dir.write('eu.yaml', tenant('acme') + tenant('globex') + BROKEN);
  await tenancy.refresh();
  t.same(names(tenancy), ['acme', 'globex', 'wayne']);
  dir.write('eu.yaml', tenant('acme') + tenant('globex'));
  await tenancy.refresh();
  t.same(names(tenancy), ['acme', 'globex']);
});

t.test('a restart finds what goes on, by the last good copy', async (t) => {
  const sound = tenant('acme') + tenant('globex') + tenant('wayne');
  const dir = makeTenancy({ 'tenants.yaml': sound });
  const first = await tenancyForTest(t, dir, { stateDir: dir.stateDir });
  dir.write('tenants.yaml', sound.replace('"name":"wayne"', '"name":"acme"'));
  await first.refresh();
  await first.close();
  const lines: string[] = [];
  const log = createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(line) });
  const second = await tenancyForTest(t, dir, { stateDir: dir.stateDir, log });
  t.same(names(second), ['acme', 'globex', 'wayne']);
  t.match(texts(second), /Tenant "wayne" stands in no sound document any more/);
  dir.write('tenants.yaml', tenant('acme') + tenant('globex'));
  await second.refresh();
  t.same(names(second), ['acme', 'globex']);
  await second.close();
  dir.write('tenants.yaml', tenant('acme') + BROKEN);
  const third = await tenancyForTest(t, dir, { stateDir: dir.stateDir });
  t.same(names(third), ['acme', 'globex'], 'what broke while nobody looked');
});
