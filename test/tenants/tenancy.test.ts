import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemClock, systemTimers } from '../../src/core/index.ts';
import { createLog, type Log } from '../../src/telemetry/index.ts';
import { formatFinding, type Tenancy } from '../../src/tenants/index.ts';
import { tenancyForTest } from '../helpers/open-tenancy.ts';
import type { Ending } from '../helpers/sidecar.ts';
import { document, makeTenancy, plan, provider, type TenancyDir, tenant } from '../helpers/tenancy.ts';

async function open(
  t: Ending,
  dir: TenancyDir,
  o: { allowShrink?: boolean; removeGraceMs?: number; stateDir?: string | undefined; log?: Log } = {},
): Promise<Tenancy> {
  const lines: string[] = [];
  const log = o.log ?? createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(line) });
  return tenancyForTest(t, dir, { log, ...o });
}

const texts = (tenancy: Tenancy): string[] => tenancy.findings().map(formatFinding);
const limitOf = (tenancy: Tenancy, name: string): string | undefined =>
  tenancy.snapshot.tenants.get(name)?.allowance.requests?.text;
const limited = (name: string, limit: string): string => tenant(name, { overrides: { rate: { requests: { limit } } } });
const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await systemTimers.sleep(5);
};

t.test('a changed document is live by itself; the others keep their objects', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': limited('acme', '10/s') + limited('globex', '10/s') });
  const tenancy = await open(t, dir);
  const before = tenancy.snapshot;
  const globex = before.tenants.get('globex');
  dir.write('tenants.yaml', limited('acme', '20/s') + limited('globex', '10/s'));
  await until(() => limitOf(tenancy, 'acme') === '20/s');
  t.equal(tenancy.snapshot.tenants.get('globex'), globex, 'the same object');
  t.equal(limitOf({ snapshot: before } as Tenancy, 'acme'), '10/s', 'the old snapshot is as it was');
  t.equal(tenancy.snapshot.tenants.get('acme')?.index, before.tenants.get('acme')?.index);
});

t.test('a broken document keeps its object, and everything else goes on', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': limited('acme', '10/s') + limited('globex', '10/s') });
  const tenancy = await open(t, dir);
  dir.write('tenants.yaml', limited('acme', '200') + limited('globex', '30/s'));
  await tenancy.refresh();
  t.equal(limitOf(tenancy, 'acme'), '10/s');
  t.equal(limitOf(tenancy, 'globex'), '30/s');
  t.match(texts(tenancy), [
    /^tenants\.yaml:1:\d+ Tenant "acme" spec\.overrides\.rate\.requests\.limit: expected a rate such as 200\/s, got "200" \(did you mean 200\/s\?\)$/,
  ]);
  t.equal(tenancy.status.lastReload?.result, 'partial');
  dir.write('tenants.yaml', `kind: Tenant\nmetadata: {name: acme\n---\n{{{\n---\n${limited('globex', '40/s')}`);
  await tenancy.refresh();
  t.equal(limitOf(tenancy, 'acme'), '10/s', 'whoever may be meant');
  t.equal(limitOf(tenancy, 'globex'), '40/s');
  dir.write('tenants.yaml', '{{{\n');
  await tenancy.refresh();
  t.equal(tenancy.snapshot.tenants.size, 2, 'nobody can say whose document broke: nothing goes');
  t.equal(tenancy.status.lastReload?.result, 'rejected');
});

t.test('a broken plan keeps its last good version for all who use it, a changed one reaches them', async (t) => {
  const dir = makeTenancy({
    'plans.yaml': plan('free', { rate: { requests: { limit: '10/s' } } }),
    'tenants.yaml': tenant('acme') + tenant('globex', { state: 'readonly' }),
  });
  const tenancy = await open(t, dir);
  dir.write('plans.yaml', plan('free', { rate: { requests: { limit: 'x' } } }));
  await tenancy.refresh();
  t.equal(limitOf(tenancy, 'acme'), '10/s');
  dir.write('plans.yaml', plan('free', { rate: { requests: { limit: '20/s' } } }));
  dir.write('tenants.yaml', `${tenant('acme')}kind: Tenant\nmetadata: { name: globex }\nspec: 5\n`);
  await tenancy.refresh();
  t.equal(limitOf(tenancy, 'acme'), '20/s');
  t.equal(limitOf(tenancy, 'globex'), '20/s', 'although its own document is broken');
  dir.write('plans.yaml', plan('other'));
  await tenancy.refresh();
  t.match(texts(tenancy).join('\n'), /Plan "free": was removed while tenants use it/);
  t.equal(limitOf(tenancy, 'acme'), '20/s');
});

t.test('two documents of one name: the live one wins, and both places are named', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': '', 'b.yaml': limited('acme', '10/s') });
  const tenancy = await open(t, dir);
  dir.write('a.yaml', `# a comment\n${limited('acme', '20/s')}`);
  await tenancy.refresh();
  t.equal(limitOf(tenancy, 'acme'), '10/s');
  t.match(texts(tenancy), [/^a\.yaml:2:\d+ Tenant "acme" metadata\.name: the name is taken by b\.yaml:1/]);
  dir.remove('b.yaml');
  await tenancy.refresh();
  t.equal(limitOf(tenancy, 'acme'), '20/s', 'it moved');
  dir.write('c.yaml', limited('acme', '30/s'));
  await tenancy.refresh();
  t.equal(limitOf(tenancy, 'acme'), '20/s');
});

t.test('no identity moves to another tenant by a mistake', async (t) => {
  const own = (name: string, identity: object): string => tenant(name, { identity });
  const key = (id: string) => ({ id, hash: `hmac-sha256:${'a'.repeat(64)}` });
  const dir = makeTenancy({
    'tenants.yaml':
      own('acme', { claims: ['o1'], hosts: ['a.test'], apiKeys: [key('k1')] }) + own('globex', { claims: ['o2'] }),
  });
  const tenancy = await open(t, dir);
  for (const identity of [{ claims: ['o1'] }, { claims: ['acme'] }, { hosts: ['A.test'] }, { apiKeys: [key('k1')] }]) {
    dir.write(
      'tenants.yaml',
      own('acme', { claims: ['o1'], hosts: ['a.test'], apiKeys: [key('k1')] }) +
        own('globex', identity) +
        own('initech', identity),
    );
    await tenancy.refresh();
    t.equal(tenancy.snapshot.tenantByClaim.get('o1')?.id, 'acme');
    t.equal(tenancy.snapshot.tenantByClaim.get('o2')?.id, 'globex', 'keeps its last good version');
    t.notOk(tenancy.snapshot.tenants.has('initech'));
    t.match(texts(tenancy).join(), /belongs to Tenant "acme"/);
  }
  dir.write('tenants.yaml', own('globex', { claims: ['o1'] }) + own('acme', { claims: ['o3'] }));
  await tenancy.refresh();
  t.equal(
    tenancy.snapshot.tenantByClaim.get('o1')?.id,
    'globex',
    'given up by one and taken by the other in one change',
  );
  dir.write('tenants.yaml', own('globex', { claims: ['o3'] }) + own('acme', { claims: ['o3'] }));
  await tenancy.refresh();
  t.equal(tenancy.snapshot.tenantByClaim.get('o3')?.id, 'acme');
  dir.write('tenants.yaml', own('globex', { claims: ['o9'] }) + own('acme', { claims: ['o9'] }));
  await tenancy.refresh();
  t.match(
    texts(tenancy),
    [/claim "o9" is also asked for by Tenant/, /claim "o9" is also asked for by Tenant/],
    'of two newcomers neither',
  );
  t.notOk(tenancy.snapshot.tenantByClaim.has('o9'));
});

t.test('a file that vanished keeps its objects for the grace, and then they go', async (t) => {
  const dir = makeTenancy({
    'tenants.yaml': Array.from({ length: 9 }, (_, i) => tenant(`t${i}`)).join(''),
    'extra.yaml': tenant('extra'),
  });
  const tenancy = await open(t, dir, { removeGraceMs: 600 });
  dir.remove('extra.yaml');
  await tenancy.refresh();
  t.ok(tenancy.snapshot.tenants.has('extra'));
  await until(() => !tenancy.snapshot.tenants.has('extra'));
  t.notOk(tenancy.snapshot.tenantByClaim.has('org_extra'));
  dir.write('extra.yaml', tenant('extra'));
  await tenancy.refresh();
  dir.remove('extra.yaml');
  await tenancy.refresh();
  dir.write('extra.yaml', tenant('extra'));
  await systemTimers.sleep(900);
  t.ok(tenancy.snapshot.tenants.has('extra'), 'it came back in time');
});

t.test('one change never takes a fifth of the tenants, unless that was allowed', async (t) => {
  const all = Array.from({ length: 10 }, (_, i) => tenant(`t${i}`));
  const dir = makeTenancy({ 'tenants.yaml': all.join('') });
  const tenancy = await open(t, dir);
  dir.write('tenants.yaml', all.slice(3).join(''));
  await tenancy.refresh();
  t.equal(tenancy.snapshot.tenants.size, 10);
  t.match(texts(tenancy).join(), /refused to remove 3 of 10 tenants in one change \(at most 2\)/);
  dir.write('tenants.yaml', all.slice(2).join(''));
  await tenancy.refresh();
  t.equal(tenancy.snapshot.tenants.size, 8, 'two may go');
  const free = await open(t, makeTenancy({ 'tenants.yaml': all.join('') }), { allowShrink: true });
  t.equal(free.snapshot.tenants.size, 10);
});

t.test('routes, providers and their keys are hot too', async (t) => {
  const route = (name: string, spec: object): string => document('Route', name, spec);
  const dir = makeTenancy({ 'routes.yaml': route('a', { match: { path: '/a/*' } }) });
  const tenancy = await open(t, dir);
  const first = tenancy.snapshot.providers.get('main');
  dir.write(
    'routes.yaml',
    route('a', { match: { path: '/a/*' } }) +
      route('b', { match: { path: '/a/*' } }) +
      route('c', { match: { path: '/a/x', methods: ['GET'] }, timeout: '1s', bodyMax: '1KiB' }),
  );
  await tenancy.refresh();
  t.same(
    tenancy.snapshot.routes.map((each) => each.name),
    ['c', 'a'],
  );
  t.match(texts(tenancy), [/match "\/a\/\*" of every method belongs to Route "a"/]);
  t.equal(tenancy.snapshot.providers.get('main'), first, 'an unchanged provider is the same object');
  dir.write('keys.json', '{"keys":[]}');
  await tenancy.refresh();
  t.not(tenancy.snapshot.providers.get('main'), first);
  for (const broken of ['{', '{"keys":5}', `{"keys":[${'{},'.repeat(100)}{}]}`]) {
    dir.write('keys.json', broken);
    await tenancy.refresh();
    t.match(texts(tenancy).join(), /the key file is not/);
    t.match(tenancy.snapshot.providers.get('main')?.jwks, { text: '{"keys":[]}' }, 'the last good keys stay');
  }
  dir.remove('keys.json');
  dir.write(
    'providers.yaml',
    provider('main', { jwks: { url: 'https://id.test/jwks' } }) +
      provider('other', { algorithms: ['HS256', 'RS256'] }) +
      provider('third', { jwks: { file: './none.json' } }),
  );
  dir.write('routes.yaml', plan('other'));
  await tenancy.refresh();
  t.match(tenancy.snapshot.providers.get('main')?.jwks, { url: 'https://id.test/jwks', allowPrivate: false });
  t.equal(tenancy.snapshot.providers.size, 1);
  t.match(texts(tenancy).join('\n'), /lets a public key be used as a secret[\s\S]*there is no key file/);
  t.equal(tenancy.snapshot.routes.length, 0);
  dir.write('providers.yaml', provider('main', { jwks: { url: 'https://id.test/jwks' } }));
  await tenancy.refresh();
  dir.write('providers.yaml', plan('another'));
  await tenancy.refresh();
  t.equal(tenancy.snapshot.providers.size, 0);
});

t.test('a start on identical files parses nothing, and on a broken mount comes up on the last good', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': limited('acme', '10/s') + limited('globex', '10/s') });
  const first = await open(t, dir, { stateDir: dir.stateDir });
  await first.close();
  const file = join(dir.stateDir, 'last-good.jsonl');
  const saved = readFileSync(file, 'utf8');
  t.match(saved, /"name":"acme"/);

  dir.write('tenants.yaml', limited('acme', 'broken') + limited('globex', '20/s'));
  const second = await open(t, dir, { stateDir: dir.stateDir });
  t.equal(limitOf(second, 'globex'), '20/s');
  await second.close();

  writeFileSync(file, saved);
  rmSync(dir.dir, { recursive: true });
  const lines: string[] = [];
  const log = createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(line) });
  const third = await open(t, dir, { stateDir: dir.stateDir, log });
  t.ok(third.status.isFromLastGood);
  t.equal(limitOf(third, 'acme'), '10/s');
  t.equal(third.snapshot.providers.size, 1, 'with its keys');
  t.match(lines.join(), /config\.last_good_used/);
  t.match(texts(third).join(), /cannot be read/);
  mkdirSync(dir.dir);
  dir.write('plans.yaml', plan('free'));
  dir.write('tenants.yaml', limited('acme', '30/s') + limited('globex', '30/s'));
  await third.refresh();
  t.equal(limitOf(third, 'acme'), '30/s');
  t.notOk(third.status.isFromLastGood);
  await third.close();
});

t.test('a last good file that was tampered with is ignored, and said so', async (t) => {
  for (const text of ['', 'x', '{"format":1}\n{"key":"Tenant/a"}\n{"sha256":"00"}\n']) {
    const dir = makeTenancy();
    writeFileSync(join(dir.stateDir, 'last-good.jsonl'), text);
    const lines: string[] = [];
    const log = createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(line) });
    const tenancy = await open(t, dir, { stateDir: dir.stateDir, log });
    t.match(lines.join(), /config\.last_good_ignored/);
    t.equal(tenancy.snapshot.tenants.size, 2);
  }
});

t.test('an object that is broken is in the last good file by its good version', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': limited('acme', '10/s') + limited('globex', '10/s') });
  const tenancy = await open(t, dir, { stateDir: dir.stateDir });
  dir.write('tenants.yaml', limited('acme', 'broken') + limited('globex', '20/s'));
  await tenancy.refresh();
  await tenancy.close();
  rmSync(dir.dir, { recursive: true });
  const next = await open(t, dir, { stateDir: dir.stateDir });
  t.equal(limitOf(next, 'acme'), '10/s');
  t.equal(limitOf(next, 'globex'), '20/s');
});

t.test('a state directory that cannot be written costs a warning, not the reload', async (t) => {
  const dir = makeTenancy();
  writeFileSync(join(dir.stateDir, '..', 'file'), '');
  const lines: string[] = [];
  const log = createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(line) });
  const tenancy = await open(t, dir, { stateDir: join(dir.stateDir, '..', 'file', 'x'), log });
  t.equal(tenancy.snapshot.tenants.size, 2);
  await tenancy.close();
  t.match(lines.join(), /config\.last_good_not_written/);
});

t.test('listeners hear of a swap in its own turn, and can stop; status names the files', async (t) => {
  const dir = makeTenancy();
  const tenancy = await open(t, dir);
  let heard = 0;
  const stop = tenancy.onSwap((next, previous) => {
    heard++;
    t.equal(tenancy.snapshot, next);
    t.equal(next.generation, previous.generation + 1);
  });
  dir.write('tenants.yaml', tenant('acme', { state: 'suspended' }));
  await tenancy.refresh();
  stop();
  dir.write('tenants.yaml', tenant('acme', { state: 'active' }));
  await tenancy.refresh();
  t.equal(heard, 1);
  t.match(
    tenancy.status.files.map((file) => file.path),
    ['keys.json', 'plans.yaml', 'providers.yaml', 'tenants.yaml'],
  );
  const { lastReload } = tenancy.status;
  await tenancy.refresh();
  t.equal(tenancy.status.lastReload, lastReload, 'a look that finds the same text is no reload');
  dir.write('tenants.yaml', `# a comment\n${tenant('acme', { state: 'active' })}`);
  await tenancy.refresh();
  t.equal(tenancy.status.lastReload?.result, 'unchanged');
  await tenancy.close();
  await tenancy.refresh();
});

t.test('a thousand documents are parsed in threads', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': Array.from({ length: 1200 }, (_, i) => tenant(`t${i}`)).join('') });
  const tenancy = await open(t, dir);
  t.equal(tenancy.snapshot.tenants.size, 1200);
  t.equal(tenancy.snapshot.tenantSlots, 1200);
});
