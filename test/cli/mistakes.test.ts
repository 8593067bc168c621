/** What is typed wrong gets one line that names the place and the remedy, and its exit code: 2 usage, 3 nobody answers, 1 the rest. */

import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { reeve, reeveProcess } from '../helpers/command.ts';
import { becomes } from '../helpers/processes.ts';
import { childSidecar, httpBackend, listening, settings } from '../helpers/sidecar.ts';
import { document, makeTenancy, plan, tenant } from '../helpers/tenancy.ts';

t.test('commands, flags and names: one line each, with what was meant', async (t) => {
  const rows: readonly [string, number, RegExp][] = [
    ['', 2, /^Usage: reeve/],
    ['tenant', 2, /^reeve: unknown command 'tenant'\n\(Did you mean tenants\?\)\n\(try `reeve --help`\)/],
    ['config vaildate x', 2, /Did you mean validate\?[\s\S]*try `reeve config --help`/],
    ['tenants list --outptu json', 2, /Did you mean --output\?[\s\S]*try `reeve tenants list --help`/],
    ['tenants list -o yaml', 2, /^reeve: .*Allowed choices are text, json/],
    ['tenants list more', 2, /^reeve: too many arguments/],
    ['tenants get', 2, /missing required argument 'name'/],
    ['completion bsah', 2, /did you mean bash\?/],
    ['completion tcsh', 2, /known: bash, zsh, fish/],
    ['config schema plna', 2, /did you mean Plan\?/],
    ['config schema nothing', 2, /known: Sidecar, Plan/],
    ['config explain Tenant.spec.constructor', 2, /has no key "constructor" \(known: plan, state/],
    ['config explain Plan.spec.weight.x', 2, /nothing is below it/],
    ['config diff /nowhere config/tenancy', 2, /\/nowhere there is no such file/],
    ['config diff config/tenancy README.md', 2, /README\.md is no directory/],
    ['tenants list --tenancy /nowhere', 2, /\/nowhere there is no such file/],
    ['tenants get acne --tenancy config/tenancy', 1, /there is no tenant "acne" \(did you mean acme\?\)/],
    ['tenants get zzzzzz --tenancy config/tenancy', 1, /`reeve tenants list` names them/],
    ['tenants list --admin localhost:15000', 2, /--admin expected a URL, got "localhost:15000" \(such as http/],
    ['tenants list --admin nonsense', 2, /--admin expected a URL/],
    ['check --live --admin nonsense', 2, /--admin expected a URL/],
    ['tenants list --admin http://127.0.0.1:1', 3, /no sidecar answers: ECONNREFUSED \(start one/],
    ['limits check acme --path exports', 2, /--path expected a path/],
    ['limits watch acme --count x', 2, /^reeve: --count expected a whole number of 1 or more, got "x"\n$/],
    ['gossip watch --count 0', 2, /^reeve: --count expected a whole number/],
    ['usage top --count 1.5', 2, /^reeve: --count expected a whole number/],
    ['usage acme --last 1x', 2, /^reeve: --last expected a time such as 30d, got "1x"\n$/],
    ['usage acme --last 1d --from 2d', 2, /^reeve: --last excludes --from \(give one of them\)\n$/],
    ['run -- true', 2, /--tenancy the tenancy is missing/],
    ['run --tenancy config/tenancy --app-port x -- true', 2, /--app-port expected a port, got "x" \(such as 3000\)/],
    ['run --tenancy config/tenancy --app-port 70000 -- true', 2, /--app-port expected a port/],
    ['run --tenancy /nowhere -- true', 2, /\/nowhere there is no such file/],
    ['run --tenancy config/tenancy', 2, /missing required argument 'command'/],
  ];
  for (const [line, status, stderr] of rows) {
    const ran = await reeve(line.split(' ').filter((word) => word !== ''));
    t.match(ran, { status, stderr }, `reeve ${line}`);
    t.notMatch(ran.stderr, /^\s+at /m, 'no stack');
    t.equal(ran.stdout, '', 'nothing on standard output');
  }
});

t.test('a process says the same and ends with that code', async (t) => {
  for (const [line, status] of [
    ['version', 0],
    ['tenants get acne --tenancy config/tenancy', 1],
    ['tenants list -o yaml', 2],
    ['tenants list --admin http://127.0.0.1:1', 3],
  ] as const) {
    const ran = reeveProcess(line.split(' '));
    t.equal(ran.status, status, line);
    t.same(ran, await reeve(line.split(' ')));
  }
});

t.test('a misspelt variable names the right one', async (t) => {
  t.match(await reeve(['sidecar'], { REEVE_UPSTREM: 'x' }), { status: 2, stderr: /did you mean REEVE_UPSTREAM\?/ });
  t.match(await reeve(['sidecar'], { REEVE_QQQQQQQQQQQQQQQQQ: 'x' }), {
    status: 2,
    stderr: /see `reeve sidecar --help`/,
  });
  // What Kubernetes puts into the environment beside a Service named reeve is no slip.
  t.match(await reeve(['sidecar'], { REEVE_SERVICE_HOST: '10.0.0.1', REEVE_PORT_80_TCP: 'x' }), {
    stderr: /--upstream/,
  });
});

t.test('what listens there but is no sidecar is said so', async (t) => {
  for (const body of ['<html>', '{"tenants":[]}']) {
    const port = await listening(
      t,
      createServer((_req, res) => res.end(body)),
    );
    const asked = await import('../../src/cli/ask-admin.ts').then(({ listTenants }) =>
      listTenants(`http://127.0.0.1:${port}`).catch((cause: unknown) => cause),
    );
    t.match(asked, { code: 'unreachable', message: /what answers there is no sidecar/ });
  }
});

t.test('names that a running sidecar does not know, and its other port', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const sidecar = await childSidecar(t, settings(upstream, dir));
  const admin = ['--admin', `http://127.0.0.1:${sidecar.ports.admin}`];
  t.strictSame(await reeve(['limits', 'watch', 'acmee', ...admin]), {
    status: 1,
    stdout: '',
    stderr: 'reeve: there is no tenant "acmee" (did you mean acme?)\n',
  });
  t.match(await reeve(['gossip', 'members', ...admin]), { status: 1, stderr: /is configured \(spec\.gossip\)\.\n$/ });
  t.match(await reeve(['tenants', 'get', 'glbex', ...admin]), { status: 1, stderr: /did you mean globex\?/ });
  t.match(await reeve(['limits', 'check', 'acmee', ...admin]), { status: 1, stderr: /did you mean acme\?/ });
  const status = ['--admin', `http://127.0.0.1:${sidecar.ports.status}`];
  t.match(await reeve(['tenants', 'get', 'acme', ...status]), {
    status: 1,
    stderr: /Here are \/metrics.*\(name the admin port with --admin;/,
  });
  t.match(await reeve(['check', '--live', ...status]), { status: 1, stdout: /× sidecar answers/ });
});

t.test('broken documents are not left out without a word', async (t) => {
  const good = makeTenancy();
  const broken = makeTenancy({ 'more.yaml': tenant('third', { plan: 'none' }), 'bad.yaml': 'kind: x\n' });
  t.teardown(() => good.cleanUp());
  t.teardown(() => broken.cleanUp());
  const { status, stdout, stderr } = await reeve(['config', 'diff', good.dir, broken.dir]);
  t.match({ status, stdout }, { status: 2, stdout: /^0 differences\n$/ });
  t.ok(stderr.startsWith(`reeve: ${broken.dir} has `), 'whose errors they are');
  t.match(stderr, /errors; what is broken is not compared:\n {2}.*bad\.yaml[\s\S]*\n {2}.*more\.yaml/);
  t.match(await reeve(['tenants', 'list', '--tenancy', broken.dir]), {
    status: 0,
    stdout: 'acme\tfree\tactive\nglobex\tfree\tactive\n',
    stderr: /not read: .*more\.yaml/,
  });
  writeFileSync(join(good.dir, '../two.yaml'), 'kind: Sidecar\n---\nkind: Sidecar\n');
  t.match(await reeve(['config', 'validate', join(good.dir, '../two.yaml')]), {
    status: 1,
    stdout: /1 file, 0 tenants, 1 error,/,
  });
});

t.test('what a broken side of config diff may still hold is not told as added or removed', async (t) => {
  const others = Array.from({ length: 12 }, (_, at) => tenant(`t${at}`)).join('');
  const good = makeTenancy({ 'tenants.yaml': tenant('acme') + tenant('globex') + others });
  // Its name is certain: what else is missing was removed.
  const named = makeTenancy({ 'tenants.yaml': tenant('acme', { plan: 'none' }) + tenant('globex') });
  // Nothing is certain behind YAML that is torn.
  const torn = makeTenancy({ 'tenants.yaml': `${tenant('globex', { state: 'suspended' })}kind: {\n` });
  const empty = makeTenancy({ 'plans.yaml': '', 'providers.yaml': '', 'tenants.yaml': '' });
  for (const dir of [good, named, torn, empty]) t.teardown(() => dir.cleanUp());
  const diff = (...args: string[]) => reeve(['config', 'diff', ...args]);

  const one = await diff(good.dir, named.dir);
  t.match(one, { status: 2, stderr: /has 1 error;.*\n.*Tenant "acme" spec\.plan: there is no Plan "none"/ });
  t.match(one.stdout, /^(- Tenant t\d+\n){12}12 differences, 1 not compared: Tenant acme\n$/);
  const all = await diff(good.dir, torn.dir);
  t.match(all, { status: 2, stderr: /tenants\.yaml:3:\d+/ });
  t.match(
    all.stdout,
    /^~ Tenant globex state: active → suspended\n1 difference, 13 not compared: Tenant acme, (Tenant t\d, ){9}and 3 more\n$/,
  );
  const added = JSON.parse((await diff(torn.dir, good.dir, '-o', 'json')).stdout);
  t.match(added, {
    differences: { length: 1, 0: { name: 'globex', change: 'changed' } },
    notCompared: { length: 13, 0: { kind: 'Tenant', name: 'acme', unreadIn: torn.dir } },
    errors: [{ dir: torn.dir, text: /tenants\.yaml/ }],
  });
  const nothing = await diff(good.dir, empty.dir);
  t.match(nothing, { status: 2, stdout: /^0 differences, \d+ not compared: / });
  t.ok(nothing.stderr.includes(`\n  ${empty.dir}: holds no document`), 'a path that is there');
  t.match(await diff(good.dir, good.dir), { status: 0, stderr: '' });
});

t.test('what follows from one mistake is one line for a person, and each for a program', async (t) => {
  const wanting = Array.from({ length: 12 }, (_, at) => tenant(`t${at}`, { plan: at < 11 ? 'gold' : 'silver' })).join(
    '',
  );
  const misspelt = plan('gold').replace(/kind: ?"?Plan"?|"kind":"Plan"/, (text) => text.replace('Plan', 'Pln'));
  const dir = makeTenancy({ 'gold.yaml': misspelt, 'more.yaml': wanting });
  t.teardown(() => dir.cleanUp());
  const { status, stdout } = await reeve(['config', 'validate', dir.dir]);
  t.equal(status, 1);
  t.match(stdout, /gold\.yaml.* kind: expected a kind, got "Pln" \(did you mean Plan\?\)/);
  t.match(
    stdout,
    /Tenant "t0" spec\.plan: there is no Plan "gold" \(the document at [^\n]*gold\.yaml:1, which has an error, may be it: mend that first\)\n {2}… and 10 more want it\n/,
  );
  t.match(stdout, /Tenant "t11" spec\.plan: there is no Plan "silver" \([^\n]*\)\n(?! )/);
  t.equal(stdout.match(/there is no Plan/g)?.length, 2);
  t.match(stdout, /, 13 errors,/, 'all are counted');
  const { findings } = JSON.parse((await reeve(['config', 'validate', dir.dir, '-o', 'json'])).stdout) as {
    findings: { wants?: string }[];
  };
  t.equal(findings.filter(({ wants }) => wants === 'Plan/gold').length, 11);
  const checked = (await reeve(['check', '--tenancy', dir.dir])).stdout;
  t.match(checked, /there is no Plan "gold".*\n +… and 10 more want it\n +hint: the document at/);
  t.equal(checked.match(/there is no Plan/g)?.length, 2);
});

t.test('a pepper that is empty is refused', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  writeFileSync(dir.pepperFile, '\n');
  t.match(
    await reeve([
      'sidecar',
      '--upstream',
      'http://127.0.0.1:1',
      '--tenancy-dir',
      dir.dir,
      '--identity-pepper-file',
      dir.pepperFile,
    ]),
    { status: 1, stderr: /pepper the pepper is empty \(write a secret/ },
  );
});

t.test(
  'a slip in the name of a degraded upstream is found before traffic degrades: validate, check, live',
  async (t) => {
    const upstream = await httpBackend(t, (_req, res) => res.end());
    const route = document('Route', 'exports', { match: { path: '/x' }, degraded: { upstream: 'exports-lit' } });
    const dir = makeTenancy({ 'routes.yaml': route });
    t.teardown(() => dir.cleanUp());
    const boot = join(dir.dir, '../boot.yaml');
    const spec = { upstream, upstreams: { 'exports-lite': upstream }, tenancy: { dir: 'tenancy' } };
    writeFileSync(boot, document('Sidecar', 's', spec).replace('\n---', ''));
    const found =
      /routes\.yaml:1:\d+ warning: Route "exports" spec\.degraded\.upstream: .*"exports-lit".*did you mean exports-lite\?/;
    t.match(await reeve(['config', 'validate', boot, dir.dir]), { status: 0, stdout: found });
    t.notMatch(
      (await reeve(['config', 'validate', dir.dir])).stdout,
      /exports-lit/,
      'without the boot file nobody knows',
    );
    t.match((await reeve(['check', '--config', boot])).stdout, found);
    const sidecar = await childSidecar(t, settings(upstream, dir, { upstreams: `exports-lite=${upstream}` }));
    const admin = `http://127.0.0.1:${sidecar.ports.admin}`;
    t.ok(
      await becomes(() =>
        sidecar.lines.some((line) => line.includes('config.finding') && line.includes('exports-lit')),
      ),
    );
    t.match(await reeve(['check', '--live', '--admin', admin]), { status: 0, stdout: found });
    const metrics = await (await fetch(`http://127.0.0.1:${sidecar.ports.status}/metrics`)).text();
    t.match(metrics, /reeve_config_findings\{severity="warning"\} 1\n/, 'what the admin API shows, Prometheus counts');
  },
);
