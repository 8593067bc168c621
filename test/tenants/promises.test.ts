/** What is promised of a tenancy whose files break, clash, vanish and come back. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../src/core/index.ts';
import { createLog } from '../../src/telemetry/index.ts';
import { parseOne } from '../../src/tenants/documents/parse.ts';
import { splitDocuments } from '../../src/tenants/documents/split.ts';
import {
  bootSidecar,
  diffSnapshots,
  type Finding,
  formatFinding,
  inspectTenancy,
  openTenancy,
  type Tenancy,
} from '../../src/tenants/index.ts';
import { quietWorld } from '../helpers/quiet-world.ts';
import type { Ending } from '../helpers/sidecar.ts';
import { document, makeTenancy, plan, provider, type TenancyDir, tenant } from '../helpers/tenancy.ts';

async function open(t: Ending, dir: TenancyDir, o: { stateDir?: string; removeGraceMs?: number } = {}) {
  const tenancy = await openTenancy({
    dir: dir.dir,
    stateDir: undefined,
    allowShrink: false,
    removeGraceMs: 30,
    ...quietWorld(),
    ...o,
  });
  t.teardown(async () => {
    await tenancy.close();
    dir.cleanUp();
  });
  return tenancy;
}

const texts = (tenancy: Tenancy): string => tenancy.findings().map(formatFinding).join('\n');
const names = (tenancy: Tenancy): string[] => [...tenancy.snapshot.tenants.keys()].sort();
const limited = (name: string, limit: string, more: object = {}): string =>
  tenant(name, { overrides: { rate: { requests: { limit } } }, ...more });
const limitOf = (tenancy: Tenancy, name: string) => tenancy.snapshot.tenants.get(name)?.allowance.requests?.text;
const holder = (tenancy: Tenancy, claim: string) => tenancy.snapshot.tenantByClaim.get(claim)?.id;

/** What this process has computed, ms: others who use the machine do not count. */
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

t.test('a document that misnames itself removes nothing', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': tenant('acme') + tenant('globex') });
  const tenancy = await open(t, dir);
  const labels = Array.from({ length: 30 }, (_, i) => `    label-${i}: x\n`).join('');
  for (const broken of [
    tenant('acme').replace('"Tenant"', '"Tennant"'),
    `apiVersion: reeve.dev/v1\nkind: Tennant\nmetadata: { name: acme }\nspec: { plan: free }\n---\n`,
    `apiVersion: reeve.dev/v1\nkind: Tenant\nmetadata:\n  labels:\n${labels}  Name: acme\nspec: { plan: free }\n---\n`,
    // Another object's name stands where a name could be looked for.
    'apiVersion: reeve.dev/v1\nkind: Tenant\nmetadata:\n  labels:\n    name: globex\n    kind: Plan\n  name: acme\nspec: { plam: free }\n---\n',
    'kind: Tenant\nmetadata: {name: globex\n---\n',
    `a: [${'1,'.repeat(20_000)}]\n---\n`,
  ]) {
    const began = cpuMs();
    dir.write('tenants.yaml', broken + limited('globex', '7/s'));
    await tenancy.refresh();
    t.same(names(tenancy), ['acme', 'globex'], broken.slice(0, 60));
    t.equal(limitOf(tenancy, 'globex'), '7/s');
    t.ok(cpuMs() - began < 3000, 'at once');
    dir.write('tenants.yaml', tenant('acme') + tenant('globex'));
    await tenancy.refresh();
  }
});

t.test('a plan never leaves while tenants that stay are on it', async (t) => {
  const all = Array.from({ length: 10 }, (_, i) => limited(`t${i}`, '5/s'));
  const dir = makeTenancy({ 'tenants.yaml': all.join('') });
  const tenancy = await open(t, dir);
  dir.write('plans.yaml', plan('other'));
  dir.write('tenants.yaml', plan('another'));
  await tenancy.refresh();
  t.equal(tenancy.snapshot.tenants.size, 10, 'the guard holds the tenants');
  t.ok(tenancy.snapshot.plans.has('free'), 'and so their plan');
  dir.write('tenants.yaml', `${all.slice(1).join('')}kind: Tenant\nmetadata: { name: t0 }\n`);
  await tenancy.refresh();
  t.ok(tenancy.snapshot.plans.has('free'), 'a broken document uses its plan too');
  t.match(texts(tenancy), /Plan "free": was removed while tenants use it/);
});

t.test('an identity stays with its tenant over a restart, whatever the order of files', async (t) => {
  const own = (name: string, claim: string) => tenant(name, { identity: { claims: [claim] } });
  const dir = makeTenancy({ 'tenants.yaml': '', 'z.yaml': own('b', 'org') });
  const first = await open(t, dir, { stateDir: dir.stateDir });
  dir.write('a.yaml', own('a', 'org') + limited('b', '9/s'));
  await first.refresh();
  t.equal(holder(first, 'org'), 'b');
  await first.close();
  const second = await open(t, dir, { stateDir: dir.stateDir });
  t.equal(holder(second, 'org'), 'b');
  t.equal(limitOf(second, 'b'), undefined, 'and its document is the one that was live');
  t.match(texts(second), /claim "org" belongs to Tenant "b"/);
  await second.close();
  const fresh = await open(
    t,
    makeTenancy({ 'tenants.yaml': '', 'a.yaml': own('a', 'org'), 'z.yaml': own('b', 'org') }),
  );
  t.equal(holder(fresh, 'org'), undefined, 'of two newcomers neither has it');
  t.match(texts(fresh), /"a".*also asked for by Tenant "b"[\s\S]*"b".*also asked for by Tenant "a"/);
  const twins = await open(t, makeTenancy({ 'tenants.yaml': limited('a', '1/s') + limited('a', '2/s') }));
  t.same(names(twins), [], 'of two new documents of one name neither');
  t.match(texts(twins), /the name is taken by tenants\.yaml:3[\s\S]*the name is taken by tenants\.yaml:1/);
});

t.test('within one file the live document wins over one of its name, wherever it stands', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': limited('acme', '10/s') });
  const tenancy = await open(t, dir);
  dir.write('tenants.yaml', limited('acme', '1000/s') + limited('acme', '10/s'));
  await tenancy.refresh();
  t.equal(limitOf(tenancy, 'acme'), '10/s');
  dir.write('tenants.yaml', limited('acme', '20/s') + limited('acme', '30/s'));
  await tenancy.refresh();
  t.equal(limitOf(tenancy, 'acme'), '10/s', 'neither is live: nothing changes');
  dir.write('tenants.yaml', limited('acme', '20/s'));
  await tenancy.refresh();
  t.equal(limitOf(tenancy, 'acme'), '20/s');
});

t.test('what came from the last good copy stays until a file says something', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': limited('acme', '10/s') });
  const first = await open(t, dir, { stateDir: dir.stateDir });
  await first.close();
  for (const name of ['keys.json', 'plans.yaml', 'providers.yaml', 'tenants.yaml']) dir.remove(name);
  const second = await open(t, dir, { stateDir: dir.stateDir, removeGraceMs: 0 });
  t.ok(second.status.isFromLastGood);
  writeFileSync(join(dir.dir, 'note.txt'), '');
  dir.write('empty.yaml', '# nothing\n');
  await second.refresh();
  t.same(names(second), ['acme']);
  t.same([second.snapshot.plans.size, second.snapshot.providers.size], [1, 1]);
  t.ok(second.status.isFromLastGood);
  t.ok(texts(second).includes(`${dir.dir}: no document is left; the 3 live objects stay (bring the files back`));
  await second.close();
  const third = await open(t, dir, { stateDir: dir.stateDir });
  t.same(names(third), ['acme'], 'nor is the copy overwritten');
});

t.test('a restart with one broken document keeps its object from the last good copy', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': limited('acme', '10/s') + limited('globex', '10/s') });
  const first = await open(t, dir, { stateDir: dir.stateDir });
  await first.close();
  dir.write('plans.yaml', plan('free', { concurrency: 0 }));
  dir.write('tenants.yaml', limited('acme', 'x') + limited('globex', '20/s'));
  const second = await open(t, dir, { stateDir: dir.stateDir });
  t.same(
    [limitOf(second, 'acme'), limitOf(second, 'globex')],
    ['10/s', '20/s'],
    'a broken plan does not take its tenants with it',
  );
  t.notOk(second.status.isFromLastGood);
});

t.test('a tenant whose new document is refused follows its plan as every other', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': tenant('acme') });
  const tenancy = await open(t, dir);
  for (const [at, broken] of [
    tenant('acme', { timezone: 'Mars/Olympus' }),
    tenant('acme', { plan: 'none' }),
    tenant('acme', { identity: { claims: ['globex'] } }) + tenant('globex'),
  ].entries()) {
    dir.write('plans.yaml', plan('free', { concurrency: at + 1 }));
    dir.write('tenants.yaml', broken);
    await tenancy.refresh();
    t.equal(tenancy.snapshot.tenants.get('acme')?.allowance.concurrency, at + 1);
    t.equal(tenancy.snapshot.tenants.get('acme')?.plan, tenancy.snapshot.plans.get('free'));
  }
});

t.test('routes that swap their matches in one change do', async (t) => {
  const route = (name: string, path: string) => document('Route', name, { match: { path } });
  const dir = makeTenancy({ 'r.yaml': route('a', '/a') + route('b', '/b') });
  const tenancy = await open(t, dir);
  dir.write('r.yaml', route('a', '/b') + route('b', '/a'));
  await tenancy.refresh();
  t.same(texts(tenancy), '');
  t.same(
    tenancy.snapshot.routes.map((each) => `${each.name} ${each.path.text}`),
    ['a /b', 'b /a'],
  );
});

t.test('small print of documents: directives, line ends, dates, keys, stars', async (t) => {
  const split = (text: string) => [...splitDocuments(text)].map((each) => each.text);
  t.same(split('%YAML 1.2\n---\na: 1\n'), ['\na: 1\n']);
  t.same(split('a: "\u2028---\u2028"\nb: "x\r---"\n').length, 1, 'only a line feed ends a line');
  const problem = (text: string): string => {
    const parsed = parseOne(text.replace('\n---\n', ''));
    return parsed.isGood ? 'good' : parsed.problems.map((each) => each.message).join();
  };
  const keys = (...all: object[]) =>
    tenant('acme', { identity: { apiKeys: all.map((each) => ({ hash: `hmac-sha256:${'0'.repeat(64)}`, ...each })) } });
  t.match(problem(keys({ id: 'k', expires: '2027-02-30' })), /expected a date/);
  t.equal(problem(keys({ id: 'k', expires: '2028-02-29T10:00:00Z' })), 'good');
  t.match(problem(keys({ id: 'k' }, { id: 'k' })), /the key id "k" stands here twice/);
  t.match(problem(tenant('acme', { timezone: '+01:00' })), /IANA time zone/);
  t.match(problem(document('Route', 'r', { match: { path: '/a*' } })), /only as the last segment/);
  t.match(problem(document('Route', 'r', { match: { path: '/*/a/*' } })), /only as the last segment/);
  const wide = `a:\n${Array.from({ length: 9000 }, (_, i) => `  k${i}: 1\n`).join('')}`;
  const began = cpuMs();
  t.match(problem(wide), /kind is missing/);
  t.ok(cpuMs() - began < 1500, 'keys are compared once over, not each with each');
  t.match(problem(`${wide}  k5: 2\n`), /the key "k5" stands twice in its map, first 8995 lines above/);
  t.match(problem('{ 1: a, "1": b }\n'), /the key "1" stands twice in its map, first on this line/);
  t.match(problem('{ &n name: a, *n : b }\n'), /the key "name" stands twice/);
});

t.test('a flag supplies what the boot file leaves out, and the file is found from the given folder', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const head = 'apiVersion: reeve.dev/v1\nkind: Sidecar\nmetadata: { name: s }\n';
  const boot = (text: string, given: Record<string, string> = {}) => {
    writeFileSync(join(dir.stateDir, 'boot.yaml'), text);
    return bootSidecar(
      'boot.yaml',
      Object.entries(given).map(([path, each]) => ({ path, text: each, place: `--${path}` })),
      dir.stateDir,
    );
  };
  const upstream = { upstream: 'http://127.0.0.1:1' };
  const good = await boot(`${head}spec:\n  tenancy: { dir: t }\n`, upstream);
  t.match(good.config, { upstream: 'http://127.0.0.1:1', tenancy: { dir: join(dir.stateDir, 't') } });
  t.ok((await boot(`${head}spec: {}\n`, { ...upstream, 'tenancy.dir': 't' })).config);
  t.ok((await boot(head, { ...upstream, 'tenancy.dir': 't' })).config, 'even the whole of it');
  const errors = async (text: string, given: Record<string, string> = {}) =>
    (await boot(text, given)).findings.map(formatFinding).join('\n');
  t.match(
    await errors(`${head}spec:\n  tenancy: { dir: t }\n`),
    /boot\.yaml:4:1 Sidecar "s" spec\.upstream: upstream is missing \(set --upstream, REEVE_UPSTREAM, or /,
  );
  t.match(await errors(`${head}spec: 5\n`, upstream), /boot\.yaml:4:7 Sidecar "s" spec: /);
  t.match(await errors(`${head}spec: { inbound: 5 }\n`, { ...upstream, 'inbound.port': '1' }), /spec\.inbound/);
  t.match(await errors('- 1\n', upstream), /expected a document of keys and values/);
  t.match(await errors('kind: 5\nmetadata: 5\n', upstream), /expected a kind/);
  t.match(
    await errors(`${head}spec: { tenancy: { dir: t } }\n`, { upstream: 'nowhere' }),
    /^--upstream spec\.upstream: /,
  );
  t.match(await errors('a: [\n'), /boot\.yaml:/);
  t.match(await errors('~\n', upstream), /expected a document of keys and values/);
  t.match(await errors(''), /expected one document, found 0/);
});

t.test('a broken plan is one finding, not one for each of its tenants', async (t) => {
  const tenancy = await open(t, makeTenancy({ 'plans.yaml': plan('free', { concurrency: 0 }) }));
  t.same(tenancy.snapshot.tenants.size, 0);
  t.equal(tenancy.findings().length, 1);
  t.match(texts(tenancy), /Plan "free" spec\.concurrency/);
});

t.test('a plan that may be in a document that names nothing for certain is not said to be nowhere', async (t) => {
  const torn = 'kind: Plan\nmetadata: { name: small }\nspec: { weight: 1\n';
  const said = async (files: Record<string, string>): Promise<string> => {
    const dir = makeTenancy({ 'plans.yaml': '', 'tenants.yaml': tenant('acme', { plan: 'small' }), ...files });
    t.teardown(() => dir.cleanUp());
    return (await inspectTenancy(dir.dir)).findings.map(formatFinding).join('\n');
  };
  const may = (place: string): string =>
    `there is no Plan "small" (the document at ${place}, which has an error, may be it: mend that first)`;
  t.ok((await said({ 'p.yaml': `# first\n${torn}` })).includes(may('p.yaml:1')));
  t.ok((await said({ 'p.yaml': `{{{\n---\n${torn}` })).includes(may('p.yaml:3')), 'the one that seems to be called so');
  t.ok((await said({ 'p.yaml': '{{{\n' })).includes(may('p.yaml:1')), 'or any that names nothing');
  t.match(await said({ 'p.yaml': torn.replace('small', 'large') }), /there is no Plan "small" \(there is none at all/);
  t.match(
    await said({ 'p.yaml': torn.replace('Plan', 'Route').replace('name: small', '') }),
    /there is no Plan "small" \(there is none at all/,
  );
});

t.test('of very many problems a thousand are shown, and the rest is a number', async (t) => {
  const many = Array.from({ length: 1300 }, (_, i) => tenant(`t${i}`, { plan: 'none' })).join('');
  const dir = makeTenancy({ 'tenants.yaml': many });
  const tenancy = await open(t, dir);
  t.equal(tenancy.findings().length, 1001);
  t.match(formatFinding(tenancy.findings().at(-1) as never), /^\/.+ warning: 300 more problems are not shown/);
  const began = cpuMs();
  dir.write('plans.yaml', Array.from({ length: 12 }, (_, i) => plan(`p${i}`)).join('') + plan('free', { weight: 2 }));
  await tenancy.refresh();
  t.match(texts(tenancy), /there is no Plan "none" \(known: free, p0, p1, p2, p3, p4, p5, p6, p7, p8\)/);
  t.ok(cpuMs() - began < 1500, 'and a later change does not pay for them again');
});

t.test('a folder that cannot be listed, or swapped by an absolute link, keeps its objects', async (t) => {
  const dir = makeTenancy({ 'sub/x.yaml': tenant('deep') });
  const tenancy = await open(t, dir, { removeGraceMs: 0 });
  chmodSync(join(dir.dir, '..'), 0o755);
  // Root may list everything: for the length of the look this process is nobody.
  const isRoot = process.geteuid?.() === 0;
  chmodSync(join(dir.dir, 'sub'), 0o000);
  if (isRoot) process.seteuid?.(65_534);
  await tenancy.refresh();
  const listed = texts(tenancy);
  if (isRoot) process.seteuid?.(0);
  chmodSync(dir.dir, 0o111);
  if (isRoot) process.seteuid?.(65_534);
  await tenancy.refresh();
  if (isRoot) process.seteuid?.(0);
  chmodSync(dir.dir, 0o755);
  t.match(listed, /^sub: cannot be read: EACCES/m);
  t.match(texts(tenancy), /cannot be read: EACCES.*; what is in force stays/);
  t.ok(names(tenancy).includes('deep'));
  chmodSync(join(dir.dir, 'sub'), 0o755);
  const versions = makeTenancy();
  t.teardown(() => versions.cleanUp());
  mkdirSync(join(versions.dir, '..v1'));
  writeFileSync(join(versions.dir, '..v1', 'p.yaml'), plan('swapped'));
  symlinkSync(join(versions.dir, '..v1'), join(versions.dir, '..data'));
  const { snapshot } = await inspectTenancy(versions.dir);
  t.same([...snapshot.plans.keys()], ['swapped'], 'what is behind an absolute link is what counts');
});

t.test('a file that is emptied and written again loses nothing in between', async (t) => {
  const dir = makeTenancy({ 'extra.yaml': tenant('extra') });
  // Longer than a look takes on a machine that has other work.
  const tenancy = await open(t, dir, { removeGraceMs: 30_000 });
  const index = tenancy.snapshot.tenants.get('extra')?.index;
  writeFileSync(join(dir.dir, 'extra.yaml'), '');
  await tenancy.refresh();
  t.ok(names(tenancy).includes('extra'), 'it has its grace');
  writeFileSync(join(dir.dir, 'extra.yaml'), tenant('extra'));
  await tenancy.refresh();
  t.equal(tenancy.snapshot.tenants.get('extra')?.index, index);
});

t.test('links in circles are named and lead nowhere', async (t) => {
  const dir = makeTenancy({ 'sub/x.yaml': tenant('deep') });
  t.teardown(() => dir.cleanUp());
  for (let i = 0; i < 6; i++) symlinkSync('.', join(dir.dir, `loop${i}`));
  symlinkSync('..', join(dir.dir, 'sub', 'up'));
  const { snapshot, findings } = await inspectTenancy(dir.dir);
  t.ok(snapshot.tenants.has('deep'));
  t.equal(findings.length, 7);
  t.match(findings.map(formatFinding).join(), /sub\/up: is a link to a folder that it stands in/);
});

t.test('a start on which every file is broken says that it runs on the last good copy', async (t) => {
  const dir = makeTenancy();
  await (await open(t, dir, { stateDir: dir.stateDir })).close();
  for (const name of ['plans.yaml', 'providers.yaml', 'tenants.yaml']) dir.write(name, 'a: [');
  const second = await open(t, dir, { stateDir: dir.stateDir });
  t.same(names(second), ['acme', 'globex']);
  t.ok(second.status.isFromLastGood);
});

t.test('what others find in the tenancy is among its findings, and counted by severity', async (t) => {
  const dir = makeTenancy();
  const w = quietWorld();
  const tenancy = await openTenancy({ ...w, dir: dir.dir, stateDir: undefined, allowShrink: false, removeGraceMs: 0 });
  t.teardown(async () => {
    await tenancy.close();
    dir.cleanUp();
  });
  const found: Finding = {
    ...{ severity: 'warning', file: 'boot', line: 0, column: 0, kind: 'Sidecar', name: 's', path: 'spec.x' },
    ...{ message: 'is not there', remedy: 'add it' },
  };
  tenancy.alsoFinds(() => [found]);
  t.match(tenancy.findings(), [found]);
  let page = '';
  for await (const chunk of w.metrics.exposition()) page += chunk;
  t.match(page, /reeve_config_findings\{severity="error"\} 0\nreeve_config_findings\{severity="warning"\} 1\n/);
});

t.test('what may be in files that are broken is known by name where the name is certain', async (t) => {
  const at = async (files: Record<string, string>) => {
    const dir = makeTenancy(files);
    t.teardown(() => dir.cleanUp());
    return inspectTenancy(dir.dir);
  };
  const sound = await at({});
  t.notOk(sound.mayHold('Tenant', 'gone'));
  const named = await at({ 'tenants.yaml': tenant('acme', { plan: 7 }) });
  t.ok(named.mayHold('Tenant', 'acme'));
  t.notOk(named.mayHold('Plan', 'acme'), 'another kind is another object');
  t.notOk(named.mayHold('Tenant', 'gone'));
  for (const files of [
    { 'torn.yaml': 'kind: {\n' },
    { 'plans.yaml': '', 'providers.yaml': '', 'tenants.yaml': '' },
    { 'more.yaml': `kind: Tenant\nmetadata: { name: "not a name" }\n` },
  ])
    t.ok((await at(files)).mayHold('Tenant', 'gone'), Object.keys(files).join());
  t.ok((await inspectTenancy('/nonexistent')).mayHold('Tenant', 'gone'));
});

t.test('a directory without documents, and keys that fit no algorithm, are findings', async (t) => {
  const dir = makeTenancy({ 'plans.yaml': '', 'providers.yaml': '', 'tenants.yaml': '' });
  const tenancy = await open(t, dir);
  t.ok(texts(tenancy).startsWith(`${dir.dir}: holds no document: every request is refused`));
  dir.write(
    'providers.yaml',
    provider('main', { algorithms: ['ES256'] }) +
      provider('short', { jwks: { file: 'k.json' }, algorithms: ['HS256'] }),
  );
  dir.write('k.json', '{"keys":[null,{"kty":"oct","k":"c2hvcnQ"},{"kty":"oct"}]}');
  await tenancy.refresh();
  t.equal(tenancy.snapshot.providers.size, 2, 'they are taken all the same: an emptied set revokes');
  t.match(
    texts(tenancy),
    /warning: IdentityProvider "main" spec\.jwks\.file: no key of the file fits ES256[\s\S]*"short" .*no key of the file fits HS256/,
  );
});

t.test('what was wrong and is mended is said', async (t) => {
  const lines: string[] = [];
  const dir = makeTenancy();
  const tenancy = await openTenancy({
    dir: dir.dir,
    stateDir: undefined,
    allowShrink: false,
    removeGraceMs: 30,
    ...quietWorld(),
    log: createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(line) }),
  });
  t.teardown(async () => {
    await tenancy.close();
    dir.cleanUp();
  });
  dir.write('bad.yaml', 'a: [');
  await tenancy.refresh();
  t.match(lines.at(-1), /"severity":"warn.*config\.reloaded.*"result":"rejected"/);
  dir.write('bad.yaml', '# mended\n');
  await tenancy.refresh();
  t.match(lines.at(-1), /"severity":"info.*config\.reloaded.*"result":"unchanged"/);
});

t.test('a label called index is a difference like any other', async (t) => {
  const snapshotOf = async (label: string) => {
    const dir = makeTenancy({
      'tenants.yaml': document('Tenant', 'a', { plan: 'free' }, { labels: { index: label } }),
    });
    t.teardown(() => dir.cleanUp());
    return (await inspectTenancy(dir.dir)).snapshot;
  };
  t.match(diffSnapshots(await snapshotOf('1'), await snapshotOf('2')), [
    { name: 'a', changes: [{ key: 'labels.index' }] },
  ]);
});

t.test('names that come and go leave no slots behind', async (t) => {
  const route = (name: string) => document('Route', name, { match: { path: `/${name}` } });
  const dir = makeTenancy({ 'r.yaml': route('r0'), 'p.yaml': plan('p0') });
  const tenancy = await open(t, dir);
  for (let i = 1; i <= 5; i++) {
    dir.write('r.yaml', route(`r${i}`));
    dir.write('p.yaml', plan(`p${i}`));
    await tenancy.refresh();
  }
  t.ok((tenancy.snapshot.routes[0]?.index ?? 9) <= 1);
  t.ok([...tenancy.snapshot.plans.values()].every((each) => each.index <= 2));
});

t.test('a provider keeps its keys while their file is gone, and takes new ones at once', async (t) => {
  const dir = makeTenancy({
    'k2.json': '{"keys":[]}',
    'providers.yaml': provider('main', { jwks: { file: './k2.json' } }),
  });
  const tenancy = await open(t, dir);
  t.match(tenancy.snapshot.providers.get('main')?.jwks, { file: 'k2.json', text: '{"keys":[]}' });
  dir.remove('k2.json');
  await tenancy.refresh();
  t.match(tenancy.snapshot.providers.get('main')?.jwks, { text: '{"keys":[]}' });
  t.match(texts(tenancy), /providers\.yaml:1:\d+ IdentityProvider "main" spec\.jwks\.file: there is no key file/);
});
