import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { reeve, reeveProcess } from '../helpers/command.ts';
import { becomes } from '../helpers/processes.ts';
import { childSidecar, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { apiKeyFor } from '../helpers/tokens.ts';

t.test('help, version and completion; mistakes are named with what to do', async (t) => {
  t.match(await reeve(['--help']), { status: 0, stdout: /Examples:[\s\S]*reeve run/ });
  t.match(await reeve(['--version']), { status: 0, stdout: /^0\.1\.0/ });
  t.match(await reeve(['version']), { status: 0, stdout: /^reeve 0\.1\.0, node v24/ });
  t.match(JSON.parse((await reeve(['version', '-o', 'json'])).stdout), { reeve: '0.1.0' });
  for (const command of [
    '',
    'config',
    'tenants',
    'limits',
    'demo',
    'run',
    'sidecar',
    'config validate',
    'config diff',
    'config schema',
    'config explain',
    'tenants list',
    'tenants get',
    'limits check',
    'limits watch',
    'gossip',
    'gossip members',
    'gossip watch',
    'check',
    'completion',
    'version',
  ]) {
    const { stdout } = await reeve([...command.split(' ').filter((word) => word !== ''), '--help']);
    t.ok((stdout.match(/^ {2}\$ reeve /gm) ?? []).length >= 2, `${command} --help has two examples`);
  }
  t.match(await reeve(['tenant']), { status: 2, stderr: /Did you mean tenants/ });
  t.match(await reeve(['version', '--outptu']), { status: 2, stderr: /unknown option/ });
});

t.test('configuration: validate, diff, schema, explain', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  t.match(await reeve(['config', 'validate', dir.dir]), {
    status: 0,
    stdout: /4 files, 2 tenants, 0 errors, 0 warnings/,
  });
  t.match(await reeve(['config', 'validate', 'config/tenancy', 'config/sidecar.yaml']), {
    status: 0,
    stdout: /12 tenants/,
  });
  const other = makeTenancy({
    'plans.yaml': plan('free', { degrade: ['reject', 'credit'] }),
    'tenants.yaml': tenant('acme', { plan: 'none' }),
  });
  t.teardown(() => other.cleanUp());
  const bad = await reeve(['config', 'validate', other.dir]);
  t.match(bad, { status: 1, stdout: /tenants\.yaml:1:\d+ Tenant "acme" spec\.plan: there is no Plan "none"/ });
  t.match(JSON.parse((await reeve(['config', 'validate', other.dir, '-o', 'json'])).stdout), {
    valid: false,
    findings: [{ severity: 'warning' }, { severity: 'error' }],
  });
  t.match(await reeve(['config', 'validate', '/nowhere']), { status: 2, stderr: /there is no such file/ });
  t.match(await reeve(['config', 'diff', dir.dir, dir.dir]), { status: 0, stdout: /0 differences/ });
  // Its acme is broken, and not gone.
  t.match(await reeve(['config', 'diff', dir.dir, other.dir]), { status: 2, stdout: /- Tenant globex/ });
  t.match(JSON.parse((await reeve(['config', 'diff', dir.dir, other.dir, '-o', 'json'])).stdout), {
    differences: [
      { kind: 'Plan', changes: [{ key: 'degrade', before: '[credit, reject]', after: '[reject, credit]' }] },
      { kind: 'Tenant', name: 'globex', change: 'removed' },
    ],
    notCompared: [{ kind: 'Tenant', name: 'acme', unreadIn: other.dir }],
  });
  t.match(JSON.parse((await reeve(['config', 'schema', 'tenant'])).stdout), { $schema: /draft-07/ });
  t.match(await reeve(['config', 'schema', 'Tennant']), { status: 2, stderr: /did you mean Tenant/ });
  t.match(await reeve(['config', 'explain', 'Plan.spec.rate.requests.limit']), {
    status: 0,
    stdout: /such as {2}200\/s/,
  });
  t.match(await reeve(['config', 'explain', 'Plan.spec.degrade']), {
    stdout: /words {4}credit, deprioritize, reject\n {2}\.shape/,
  });
  t.match(await reeve(['config', 'explain', 'Sidecar.spec.inbound']), { status: 0, stdout: /\.port/ });
  for (const key of ['Sidecar.spec.inbound.port', 'spec.inbound.port', 'inbound.port'])
    t.match(await reeve(['config', 'explain', key]), { status: 0, stdout: /Port to listen on[\s\S]*15006/ }, key);
  t.match(await reeve(['config', 'explain', 'spec.rate']), {
    status: 2,
    stderr: /more than one .*Plan\.spec\.rate, Route/,
  });
  t.match(await reeve(['config', 'explain', 'spec.wieght']), { status: 2, stderr: /no kind has "spec\.wieght"/ });
  t.match(await reeve(['config', 'explain', 'Plam.spec']), { status: 2, stderr: /did you mean Plan/ });
  t.match(await reeve(['config', 'explain', 'Plan.spec.rat']), { status: 2, stderr: /did you mean rate/ });
});

t.test('a sidecar is asked: tenants, limits, check', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const dir = makeTenancy({
    'plans.yaml': plan('free', {
      rate: { requests: { limit: '5/s', burst: 5 }, egress: { limit: '1MiB/s' } },
      degrade: ['credit', 'reject'],
    }),
  });
  t.teardown(() => dir.cleanUp());
  const sidecar = await childSidecar(t, settings(upstream, dir, { stateDir: dir.stateDir }), { isCounted: true });
  const admin = ['--admin', `http://127.0.0.1:${sidecar.ports.admin}`];
  t.match(await reeve(['tenants', 'list', ...admin]), { status: 0, stdout: /^acme\tfree\tactive\n/ });
  t.match(JSON.parse((await reeve(['tenants', 'list', '--tenancy', dir.dir, '-o', 'json'])).stdout), {
    tenants: [{ name: 'acme' }, { name: 'globex' }],
  });
  t.match(await reeve(['tenants', 'list', '--tenancy', '/nowhere']), { status: 2 });
  t.match(await reeve(['tenants', 'get', 'acme', ...admin]), { status: 0, stdout: /plan +free/ });
  t.match(JSON.parse((await reeve(['tenants', 'get', 'acme', '-o', 'json', ...admin])).stdout), { name: 'acme' });
  t.match(await reeve(['tenants', 'get', 'none', ...admin]), { status: 1, stderr: /there is no tenant "none"/ });
  t.match(await reeve(['limits', 'check', 'acme', ...admin]), {
    status: 0,
    stdout: /requests +5\/s, 5 of 5 left[\s\S]*would get: √ pass, within every limit/,
  });
  t.match(JSON.parse((await reeve(['limits', 'check', 'acme', '-o', 'json', ...admin])).stdout), { tenant: 'acme' });
  t.match(await reeve(['limits', 'check', 'acme', '--method', 'get', ...admin]), {
    stdout:
      /^get \/ would get: × 400 malformed-request, "get" is no HTTP method: .*case-sensitive; did you mean GET\?/m,
  });
  t.match(await reeve(['limits', 'check', 'acme', '--admin', 'http://127.0.0.1:1']), {
    status: 3,
    stderr: /no sidecar answers/,
  });
  t.match(await reeve(['check', '--live', '--tenancy', dir.dir, ...admin]), {
    status: 0,
    stdout: /√ sidecar answers[\s\S]*√ application accepts connections[\s\S]*Status check results are √/,
  });
  const dead = await childSidecar(t, settings('http://127.0.0.1:1', dir), { isCounted: true });
  t.match(await reeve(['check', '--live', '--admin', `http://127.0.0.1:${dead.ports.admin}`]), {
    status: 0,
    stdout:
      /‼ application accepts connections\n +nothing listens at http:\/\/127\.0\.0\.1:1[\s\S]*are √, with 1 warning\n/,
  });
  const file = join(dir.dir, 'elsewhere.yaml');
  for (const host of ['127.0.0.1', 'localhost']) {
    const spec = { upstream: 'http://127.0.0.1:9', tenancy: { dir: '.' }, admin: { host, port: dead.ports.admin } };
    writeFileSync(file, JSON.stringify({ apiVersion: 'reeve.dev/v1', kind: 'Sidecar', metadata: { name: 's' }, spec }));
    t.match(await reeve(['check', '--live', '--config', file]), {
      status: 1,
      stdout: /running sidecar\n-+\n√ sidecar answers/,
    });
  }
  t.match(await reeve(['check', '--live', '--admin', 'http://127.0.0.1:1']), {
    status: 3,
    stdout: /× sidecar answers[\s\S]*hint:/,
  });
  t.match(JSON.parse((await reeve(['check', '--config', 'config/sidecar.yaml', '-o', 'json'])).stdout), {
    success: true,
    categories: [{ categoryName: 'boot file' }, { categoryName: 'tenancy' }],
  });
  t.match(await reeve(['check', '--config', '/nowhere.yaml']), { status: 1, stdout: /× boot configuration is valid/ });
  t.match(await reeve(['check']), { status: 2, stderr: /nothing to check/ });
  sidecar.child.kill('SIGTERM');
  t.equal(await sidecar.exited, 0, 'SIGTERM drains and exits 0');
});

t.test('a sidecar that cannot start says why in one line', async (t) => {
  t.match(await reeve(['sidecar']), {
    status: 2,
    stderr:
      /--upstream[\s\S]*spec\.tenancy: .*--tenancy-dir, REEVE_TENANCY_DIR, or spec\.tenancy\.dir in the file of --config/,
  });
  t.match(await reeve(['sidecar', '--upstream', 'https://a', '--tenancy-dir', '/tmp', '--inbound-port', '99999']), {
    status: 2,
    stderr: /\(TLS to an upstream is not supported yet: use http:\/\/\)\n.*got 99999 \(choose from 0 to 65535\)\n/,
  });
  t.notMatch((await reeve(['check', '--config', 'config/tenancy/plans.yaml'])).stdout, /reeve: /);
  t.match(
    (await reeve(['sidecar', '--inbound-port', 'x', '--admin-port', 'y'])).stderr,
    /^reeve: --[^\n]+\nreeve: --[^\n]+\n$/,
  );
  t.match(await reeve(['sidecar', '--upstream', 'x', '--tenancy-dir', '/tmp']), {
    status: 2,
    stderr: /spec\.upstream: expected an upstream such as http:\/\/127\.0\.0\.1:8080, got "x"/,
  });
  t.match(await reeve(['sidecar'], { REEVE_UPSTREM: 'x' }), {
    status: 2,
    stderr: /REEVE_UPSTREM no setting has this variable/,
  });
  t.match(
    await reeve([
      'sidecar',
      '--upstream',
      'http://127.0.0.1:1',
      '--tenancy-dir',
      '/tmp',
      '--identity-pepper-file',
      '/nowhere',
    ]),
    { status: 1, stderr: /\/nowhere the pepper cannot be read/ },
  );
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const port = upstream.split(':')[2] as string;
  t.match(
    await reeve([
      'sidecar',
      '--upstream',
      upstream,
      '--tenancy-dir',
      'config/tenancy',
      '--inbound-host',
      '127.0.0.1',
      '--inbound-port',
      port,
      '--status-port',
      '0',
      '--admin-port',
      '0',
    ]),
    {
      status: 1,
      stderr:
        /cannot listen: EADDRINUSE \(stop what listens there, .* REEVE_INBOUND_PORT or inbound\.port in the boot file\)/,
    },
  );
});

t.test('run: an application and its sidecar, ended with its code', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const app = join(dir.dir, '..', 'app.mjs');
  writeFileSync(app, "console.log('hello'); setTimeout(() => process.exit(7), 500);");
  const env = { REEVE_INBOUND_PORT: '0', REEVE_STATUS_PORT: '0', REEVE_ADMIN_PORT: '0', REEVE_APPLICATION_PORT: '0' };
  t.match(reeveProcess(['run', '--tenancy', dir.dir, '--app-port', '1', '--', process.execPath, app], env), {
    status: 7,
    stdout: /app {3}│ hello/,
  });
  t.match(await reeve(['run', '--tenancy', dir.dir, '--', '/nowhere'], env), {
    status: 2,
    stderr: /cannot be started: ENOENT/,
  });
});

t.test('API keys that cannot be verified are warned of when the first one comes', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': tenant('globex') });
  t.teardown(() => dir.cleanUp());
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const { 'identity.pepperFile': _, ...withoutPepper } = settings(upstream, dir);
  const { lines } = await childSidecar(t, withoutPepper, { isCounted: true });
  const isWarned = (): boolean =>
    lines.some((line) => /"config\.finding".*API keys, but every one will be ref/.test(line));
  t.notOk(isWarned());
  const apiKeys = [{ id: 'k1', hash: apiKeyFor('k1').hash }];
  dir.write('keyed.yaml', tenant('keyed', { identity: { apiKeys } }));
  t.ok(await becomes(isWarned), lines.join('\n'));
});

t.test('a second signal ends at once', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const upstream = await httpBackend(t, () => {});
  const sidecar = await childSidecar(
    t,
    settings(upstream, dir, { 'identity.sources': 'host', 'inbound.trust': 'network' }),
    { isCounted: true },
  );
  const hanging = spawn(process.execPath, [
    '-e',
    `require('http').get({port:${sidecar.ports.inbound},headers:{host:'acme.test'}}).on('error',()=>{})`,
  ]);
  t.teardown(() => hanging.kill('SIGKILL'));
  await new Promise((resolve) => setTimeout(resolve, 400));
  sidecar.child.kill('SIGTERM');
  await new Promise((resolve) => setTimeout(resolve, 400));
  sidecar.child.kill('SIGTERM');
  t.equal(await sidecar.exited, 1);
});

t.test('a sidecar whose log nobody reads any more goes on serving', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const sidecar = await childSidecar(t, settings(upstream, dir), { isCounted: true });
  sidecar.child.stdout?.destroy();
  // Each refusal is a line of the log.
  for (let i = 0; i < 3; i++)
    t.equal((await fetch(`http://127.0.0.1:${sidecar.ports.inbound}/`)).status, 401, 'answered');
  t.equal(sidecar.child.exitCode, null);
  sidecar.child.kill('SIGTERM');
  t.equal(await sidecar.exited, 0);
});

t.test('whoever asks a sidecar to end gets the lines of all requests that were answered', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const upstream = await httpBackend(t, (_req, res) => res.end());
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    const sidecar = await childSidecar(t, { ...settings(upstream, dir), 'log.access': 'all' }, { isCounted: true });
    for (let i = 0; i < 20; i++) await (await fetch(`http://127.0.0.1:${sidecar.ports.inbound}/`)).text();
    const isRead = once(sidecar.child, 'close');
    sidecar.child.kill(signal);
    t.equal(await sidecar.exited, 0, signal);
    await isRead;
    t.equal(sidecar.lines.filter((line) => line.includes('"http.request"')).length, 20);
  }
});

t.test('check dials an upstream where the sidecar would: IPv4, IPv6, a socket file', async (t) => {
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const hear = async (on: { host: string; port: number } | { path: string }): Promise<number> => {
    const server = createServer().listen(on);
    t.teardown(() => server.close());
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const path = join(tenancy.dir, '../application.sock');
  await hear({ path });
  const rows = [
    `http://127.0.0.1:${await hear({ host: '127.0.0.1', port: 0 })}`,
    `http://[::1]:${await hear({ host: '::1', port: 0 })}`,
    `unix:${path}`,
  ];
  for (const upstream of rows)
    t.match(
      (await reeve(['check'], { REEVE_UPSTREAM: upstream, REEVE_TENANCY_DIR: tenancy.dir })).stdout,
      /√ application accepts connections/,
      upstream,
    );
  t.match(
    (await reeve(['check'], { REEVE_UPSTREAM: 'http://[::1]:1', REEVE_TENANCY_DIR: tenancy.dir })).stdout,
    /‼ application accepts connections\n {4}nothing listens at http:\/\/\[::1\]:1/,
  );
});
