/** `reeve collector` and `reeve usage`: a collector with its files and ports, asked as a person asks. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { startCollector } from '../../src/cli/collector.ts';
import { collectorSettings, collectorValues } from '../../src/cli/collector-settings.ts';
import type { Log } from '../../src/telemetry/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { sidecarSettings } from '../../src/tenants/index.ts';
import { GrpcClient } from '../collector/grpc-client.ts';
import { Teller, usage } from '../collector/told.ts';
import { reeve } from '../helpers/command.ts';
import { becomes } from '../helpers/processes.ts';

const dir = mkdtempSync(join(tmpdir(), 'reeve-collector-'));
t.teardown(() => rmSync(dir, { recursive: true }));
const PORTS = { grpcPort: '0', httpPort: '0', statusPort: '0' };
const valuesOf = (options: object = {}) =>
  collectorValues(undefined, { dir: join(dir, 'data'), ...PORTS, ...options }, {});

t.test(
  'a collector answers what sidecars told: by table, JSON and CSV, behind a start and a rebuild too',
  async (t) => {
    let running = await startCollector(await valuesOf(), { log: silentLog });
    t.teardown(() => running.close());
    const now = Date.now();
    const teller = Object.assign(new Teller(), { watermarkMs: now });
    const billing = Object.assign(new Teller('ff'.repeat(16), 'billing'), { watermarkMs: now });
    const at = now - (now % 3_600_000) - 1800_000;
    const tell = async (port: number, by: Teller, records: ReturnType<typeof usage>[]) => {
      const client = new GrpcClient(port);
      client.send(by.hello());
      await client.next();
      client.send(by.batch(records));
      await client.next();
      return client;
    };
    const client = await tell(running.ports.grpc, teller, [
      ...Array.from({ length: 4 }, () => usage({ wallMs: at, upstream: 'billing' })),
      usage({ wallMs: now, tenant: 'globex', units: [{ meter: 'tokens', units: 3 }] }),
    ]);
    const other = await tell(
      running.ports.grpc,
      billing,
      Array.from({ length: 3 }, () => usage({ wallMs: at, operation: 'orders/orders', hop: 1 })),
    );
    other.send(billing.bye());
    await other.next();
    other.close();
    const ask = (...words: string[]) =>
      reeve(['usage', ...words, '--collector', `http://127.0.0.1:${running.ports.http}`]);
    t.match(await ask('acme', '--meter', 'requests', '--by', 'service'), {
      status: 0,
      stdout: 'billing\trequests\t3\norders\trequests\t4\n',
    });
    const costs = await ask('acme', '--meter', 'requests', '--by', 'operation', '--operation', 'orders/orders');
    t.match(costs, { status: 0, stdout: 'orders/orders\trequests\t7\n' }, 'at the edge and behind it');
    t.match(await ask('show', '--by', 'tenant', '--meter', 'tokens', '-o', 'csv'), {
      status: 0,
      stdout: 'tenant,meter,value\r\nglobex,tokens,3\r\n',
    });
    t.match(JSON.parse((await ask('show', 'acme', '--last', '1d', '-o', 'json')).stdout), {
      provenance: { spoolCount: 2 },
    });
    t.strictSame(await ask('acme', '--from', '2d', '--to', '1d'), {
      status: 0,
      stdout: '',
      stderr: 'nothing was used in this time\n',
    });
    for (const [words, stderr] of [
      [['nobody'], /^reeve: nothing was ever reported of tenant "nobody" \(`reeve usage --by tenant` names those/],
      [['acne'], /^reeve: nothing was ever reported of tenant "acne" \(did you mean acme\?\)\n$/],
      [['--meter', 'tokns'], /of meter "tokns" \(did you mean tokens\?\)/],
      [['--service', 'oders', '--route', 'oders'], /of service "oders" \(did.*\nreeve: .* of route "oders" \(did/],
      [['--operation', 'orders/oders', '-o', 'json'], /of operation "orders\/oders" \(did you mean orders\/orders\?/],
      [['globx', '--by', 'route', '-o', 'csv'], /of tenant "globx" \(did you mean globex\?\)/],
      [['top', '--meter', 'tokns', '--count', '2'], /of meter "tokns"/],
      [['export', '--file', join(dir, 'none/x')], /^reeve: --file .*none.x not written whole: ENOENT \(name a file/],
    ] as const)
      t.match(await ask(...words), { status: 1, stderr }, words.join(' '));
    for (const [words, stderr] of [
      [['--by', 'operatoin'], /^reeve: --by expected .* got "operatoin"; did you mean operation\? \(see --help\)\n$/],
      [['--by', '1h,1d'], /^reeve: --by windows have one length \(see --help\)\n$/],
      [['a\tb'], /^reeve: tenant expected a name, got "a\\tb" \(see/],
    ] as const)
      t.match(await ask(...words), { status: 2, stderr }, words.join(' '));
    t.match(await ask('globex', '--service', 'billing'), { status: 0, stderr: /nothing was used/ }, 'both are known');
    t.match(await ask('top', '--last', '60s'), { status: 0, stdout: /^globex\trequests\t1\t/ });
    t.match(JSON.parse((await ask('top', '-o', 'json', '--count', '1')).stdout), { rows: [{}] });
    t.match(await ask('top', '--count', '2', '--interval', '100ms'), { status: 0 });
    // Usage is summed by the second: one that is over, and all of one behind it.
    await setTimeout(Math.max(0, now + 2_100 - Date.now()));
    t.strictSame(await ask('top', '--last', '1s'), {
      status: 0,
      stdout: '',
      stderr: 'nobody used requests in the last 1s\n',
    });
    t.match(await ask('spools'), { status: 0, stdout: /orders\tpod-1\tlive\tyes\t1:5\t0/ });
    t.match(JSON.parse((await ask('spools', '-o', 'json')).stdout), { spools: [{}, {}] });
    const differing = await ask('reconcile', '--from', '2d');
    t.match(differing, {
      status: 1,
      stdout: /billing\tacme\torders\/orders\t4\t0\t3\t1 not recorded where they arrived/,
      stderr: /1 differences in 1 comparisons/,
    });
    t.match(JSON.parse((await ask('reconcile', '-o', 'json')).stdout), { differences: [{ sent: 4, arrived: 3 }] });
    t.match(await ask('export', '--last', '2d'), { status: 0, stdout: /^hour,service,tenant/ });
    const file = join(dir, 'usage.parquet');
    t.match(await ask('export', '--format', 'parquet', '--file', file), { status: 0 });
    t.equal(readFileSync(file).toString('latin1', 0, 4), 'PAR1');
    t.match(await ask('write-off', teller.spool), { status: 1, stderr: /the spool has a stream/ });
    client.close();
    t.match(await ask('write-off', billing.spool), { status: 0, stdout: /written off: ff/ });
    t.match(JSON.parse((await ask('write-off', billing.spool, '-o', 'json')).stdout), {
      spool: { state: 'written off' },
    });
    const status = `http://127.0.0.1:${running.ports.status}`;
    t.match(
      await (await fetch(`${status}/metrics`)).text(),
      /reeve_tenant_usage_total\{tenant="acme",meter="requests"\} 7\n[\s\S]*reeve_collector_spools 2/,
    );
    t.equal((await fetch(`${status}/readyz`)).status, 200);
    for (const isRebuilding of [false, true]) {
      await running.close();
      running = await startCollector(await valuesOf(), { log: silentLog, isRebuilding });
      t.match(await ask('acme', '--meter', 'requests'), { stdout: 'requests\t7\n' }, `rebuilding: ${isRebuilding}`);
    }
    await running.close();
    const ledger = join(dir, 'data/ledger');
    renameSync(ledger, join(dir, 'elsewhere'));
    for (let i = 0; i < 4; i++)
      await t.rejects(startCollector(await valuesOf(), { log: silentLog }), { code: 'ledger-behind', place: ledger });
    await t.rejects(startCollector(await valuesOf(), { log: silentLog, isRebuilding: true }), { code: 'ledger-empty' });
    writeFileSync(ledger, '');
    await t.rejects(startCollector(await valuesOf(), { log: silentLog, isRebuilding: true }), {
      code: 'ledger-unreadable',
    });
    rmSync(ledger);
    renameSync(join(dir, 'elsewhere'), ledger);
    await (await startCollector(await valuesOf(), { log: silentLog })).close();
    renameSync(join(dir, 'data/ledger/000000000001.wal'), join(dir, 'first'));
    await t.rejects(startCollector(await valuesOf(), { log: silentLog, isRebuilding: true }), {
      code: 'ledger-begins-late',
    });
  },
);

t.test('what each tenant used is in a scrape on loopback, or with a token for all', async (t) => {
  const readTokenFile = join(dir, 'metrics-tokens');
  writeFileSync(readTokenFile, 'for-all\nfor-acme acme\n');
  const events: string[] = [];
  const log: Log = { ...silentLog, warn: (event) => void events.push(event) };
  const cases = [
    { host: '127.0.0.1', file: readTokenFile, sees: ['nobody', 'acme', 'all'] },
    { host: '0.0.0.0', file: readTokenFile, sees: ['all'] },
    { host: '0.0.0.0', file: undefined, sees: ['nobody', 'acme', 'all'] },
  ];
  for (const { host, file, sees } of cases) {
    const values = await valuesOf({
      ...{ dir: join(dir, 'scraped'), statusHost: host },
      ...(file === undefined ? {} : { readTokenFile: file }),
    });
    const running = await startCollector(values, { log });
    const scrape = async (token?: string): Promise<string> => {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      return (await fetch(`http://127.0.0.1:${running.ports.status}/metrics`, { headers })).text();
    };
    const texts = { nobody: await scrape(), acme: await scrape('for-acme'), all: await scrape('for-all') };
    const seen = Object.entries(texts).filter(([, text]) => text.includes('reeve_tenant_usage'));
    t.strictSame(
      seen.map(([who]) => who),
      sees,
      host,
    );
    for (const text of Object.values(texts)) t.match(text, /\nreeve_collector_spools 0\n/, 'the rest is for everybody');
    await running.close();
  }
  t.strictSame(events, ['collector.metrics_open_to_all']);
});

t.test('a directory that another process has: no start; taken from a collector, that one cannot go on', async (t) => {
  const values = await valuesOf({ dir: join(dir, 'shared'), statusHost: '127.0.0.1' });
  const events: [string, unknown][] = [];
  const log: Log = { ...silentLog, error: (event, facts) => void events.push([event, facts]) };
  let death: unknown;
  const running = await startCollector(values, { log, onDeath: (cause) => (death = cause) });
  t.teardown(() => running.close());
  await t.rejects(startCollector(values, { log }), { code: 'log-in-use', place: join(dir, 'shared') });
  const client = new GrpcClient(running.ports.grpc);
  t.teardown(() => client.close());
  const teller = new Teller();
  client.send(teller.hello());
  client.send(teller.batch([usage()]));
  t.match([await client.next(), await client.next()], ['welcome 0:0', 'ack 1:1']);
  const manifest = (): string => readFileSync(join(dir, 'shared/sums/manifest.json'), 'utf8');
  await running.collector.save();
  const saved = manifest();
  const beat = join(dir, 'shared/beat');
  writeFileSync(beat, readFileSync(beat, 'latin1').replace(/^.{16}/, 'f'.repeat(16)));
  t.ok(await becomes(() => death !== undefined));
  t.match(death, { code: 'log-taken' });
  t.match(events, [['collector.cannot_go_on', { remedy: /Recreate/ }]]);
  client.send(teller.batch([usage()]));
  t.notMatch(await client.next(), /^ack/);
  t.match(running.collector.trouble, /cannot go on/);
  await t.rejects(running.collector.settle(), { code: 'log-taken' });
  await running.close();
  t.equal(manifest(), saved, 'and saves nothing');
  t.match(readFileSync(beat, 'latin1'), /^f{16} /, 'nor is the other one sent away');
  rmSync(beat);
});

const apart = spawnSync('unshare', ['-Urpf', '--mount-proc', 'true']).status === 0;

t.test(
  'a collector in another container on the same directory does not start',
  { skip: !apart && 'no PID namespace can be made here' },
  async (t) => {
    const shared = join(dir, 'apart');
    const running = await startCollector(await valuesOf({ dir: shared, statusHost: '127.0.0.1' }), { log: silentLog });
    t.teardown(() => running.close());
    const ports = ['grpc', 'http', 'status'].flatMap((name) => [`--${name}-port`, '0']);
    const node = [process.execPath, 'src/cli/reeve.mjs', 'collector', '--dir', shared, ...ports];
    const other = spawn('unshare', ['-Urpf', '--mount-proc', ...node], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    other.stderr.setEncoding('utf8').on('data', (text) => (said += text));
    const [code] = await once(other, 'close');
    t.equal(code, 1);
    t.match(said, /apart another process writes there .*Recreate/);
    t.equal(running.collector.trouble, undefined);
  },
);

t.test('what is typed wrong, and what is not there, is said in a line', async (t) => {
  t.match(await reeve(['usage', 'acme', '--collector', 'http://127.0.0.1:9']), {
    status: 3,
    stderr: /no collector answers: ECONNREFUSED .*--collector/,
  });
  t.match(await reeve(['usage', 'acme', '--collector', 'nonsense']), { status: 2, stderr: /expected a URL/ });
  t.match(await reeve(['usage', 'acme', '--token-file', join(dir, 'none')]), {
    status: 2,
    stderr: /cannot be read: ENOENT/,
  });
  t.match(await reeve(['usage', 'acme', '--last', '1d', '--from', '2d']), {
    status: 2,
    stderr: /--last excludes --from/,
  });
  t.match(await reeve(['usage', 'top', '--interval', 'soon']), { status: 2, stderr: /--interval/ });
  const stranger = createServer((_req, res) => res.end('hello')).listen(0, '127.0.0.1');
  await new Promise((resolve) => stranger.once('listening', resolve));
  t.teardown(() => stranger.close());
  const url = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}`;
  t.match(await reeve(['usage', 'acme', '--collector', url]), { status: 3, stderr: /no collector/ });
  let files = 0;
  const yaml = (text: string): string => {
    const file = join(dir, `${files++}.yaml`);
    writeFileSync(file, text);
    return file;
  };
  const misspelt = join(dir, 'misspelt.yaml');
  writeFileSync(misspelt, 'grpc: { prot: 1 }\n');
  for (const [options, words] of [
    [['--config', misspelt], /grpc\.prot.*grpc\.port/s],
    [['--grpc-port', '99999'], /--grpc-port expected a port/],
    [['--memory-credit', 'much'], /a size such as/],
    [['--seal-grace', 'long'], /a time such as/],
    [['--log-level', 'loud'], /debug, info, warn, error/],
    [['--tls-cert-file', 'x'], /needs tls.keyFile too/],
    [['--config', join(dir, 'none.yaml')], /none\.yaml cannot be read: ENOENT \(see docs/],
    [['--config', yaml('a: [\n')], /0\.yaml cannot be read: .* column 1 \(see docs/],
    [['--config', yaml('- a\n')], /1\.yaml expected keys with values \(see/],
    [['--config', yaml('grpc: { host: [a, b] }\n')], /2\.yaml grpc\.host expected one value, no list/],
  ] as const)
    t.match(await reeve(['collector', ...options]), { status: 2, stderr: words });
  t.match((await reeve(['collector', '--help'])).stdout, /--keep-ledger <duration>[\s\S]*Examples:/);
});

t.test(
  'settings: a flag before a variable before the file, and a misspelt one is met with what was meant',
  async (t) => {
    const file = join(dir, 'collector.yaml');
    writeFileSync(file, 'dir: of-file\ngrpc: { host: 10.0.0.1, port: 1 }\nkeep: { ledger: 30d }\n');
    const env = { REEVE_COLLECTOR_GRPC_PORT: '2', REEVE_COLLECTOR_HTTP_PORT: '3' };
    const values = await collectorValues(file, { httpPort: '4' }, env);
    t.match(Object.fromEntries(values), {
      dir: 'of-file',
      'grpc.host': '10.0.0.1',
      'grpc.port': 2,
      'http.port': 4,
      'keep.ledger': 30 * 86_400_000,
      'memory.credit': 512 * 2 ** 20,
    });
    writeFileSync(file, 'grpc: { prot: 1 }\n');
    await t.rejects(collectorValues(file, {}, {}), { code: 'usage', remedy: /did you mean grpc.port\?/ });
    writeFileSync(file, 'zzzzzzzzzzz: 1\n');
    await t.rejects(collectorValues(file, {}, {}), { code: 'usage', remedy: /--help/ });
    writeFileSync(file, '\n');
    t.equal((await collectorValues(file, {}, {})).get('dir'), 'reeve-collector');
    const page = readFileSync(join(import.meta.dirname, '../../docs/collector.md'), 'utf8');
    for (const { path, env: variable } of collectorSettings)
      t.ok(
        page.includes(`\`${path}\``) && variable.startsWith('REEVE_COLLECTOR_'),
        `docs/collector.md says what ${path} is`,
      );
  },
);

t.test('a sidecar and a collector on one machine start with the ports that they have by default', async (t) => {
  const portsOf = (
    settings: readonly { readonly path: string; readonly preset?: unknown; readonly default?: unknown }[],
  ) => settings.filter(({ path }) => path.endsWith('port')).map((each) => String(each.preset ?? each.default));
  const ports = [...portsOf(collectorSettings), ...portsOf(sidecarSettings)];
  t.same(ports.slice(0, 3), ['15010', '15011', '15012']);
  t.ok(ports.length > 6);
  t.equal(new Set(ports).size, ports.length, `no port twice: ${ports}`);
});

t.test('tokens and certificates: read at the start, renewed without one, refused when they are none', async (t) => {
  const events: string[] = [];
  const note = (event: string): void => void events.push(event);
  const log: Log = { ...silentLog, warn: note, error: note };
  mkdirSync(join(dir, 'secrets'));
  const [tokens, readers] = ['tokens', 'readers'].map((name) => join(dir, 'secrets', name)) as [string, string];
  writeFileSync(tokens, '# of sidecars\nfirst\n');
  writeFileSync(readers, 'all\nmine acme\n');
  const options = { dir: join(dir, 'secret'), tokenFile: tokens, readTokenFile: readers, grpcHost: '0.0.0.0' };
  const running = await startCollector(await valuesOf(options), { log });
  t.teardown(() => running.close());
  const word = async (token: string): Promise<string> => {
    const client = new GrpcClient(running.ports.grpc, { token });
    client.send(new Teller().hello());
    const said = await client.next();
    client.close();
    return said;
  };
  t.match([await word('first'), await word('second')], ['welcome 0:0', 'over 16']);
  writeFileSync(tokens, 'second\n');
  t.match([await word('first'), await word('second')], ['over 16', 'welcome 0:0']);
  rmSync(tokens);
  t.equal(await word('second'), 'welcome 0:0');
  t.ok(events.includes('collector.tokens_kept'));
  const ask = (...words: string[]) =>
    reeve(['usage', 'acme', '--collector', `http://127.0.0.1:${running.ports.http}`, ...words]);
  t.match(await ask(), { status: 1, stderr: /a token of this collector is needed.*--token-file/i });
  writeFileSync(tokens, 'mine\n');
  t.match(await ask('--token-file', tokens), { status: 0, stderr: /nothing was used/ }, 'nobody has reported yet');
  const client = new GrpcClient(running.ports.grpc, { token: 'mine' });
  const teller = new Teller();
  const wallMs = Date.now();
  const [of, units] = [{ route: 'ordery', operation: 'orders/ordery' }, [{ meter: 'tokenz', units: 1 }]];
  client.send(teller.hello());
  await client.next();
  client.send(teller.batch([usage({ wallMs }), usage({ ...of, units, wallMs, tenant: 'acmy' })]));
  await client.next();
  client.close();
  for (const word of ['route', 'operation', 'meter'])
    for (const name of ['ordery', 'orders/ordery', 'orders/orderz', 'tokenz', 'tokens'])
      t.match(
        await ask(`--${word}`, name, '--token-file', tokens),
        { status: 1, stderr: /of \w+ "[^"]*" \((did you mean (orders|orders\/orders)\?|`reeve usage)/ },
        'what another tenant used is as if it were not there',
      );
  const stranger = ['--collector', `http://127.0.0.1:${running.ports.http}`, '--token-file', tokens];
  const refused = await reeve(['usage', 'acmy', ...stranger]);
  t.match(refused, { status: 1, stderr: /This token is of another tenant/ });
  t.strictSame(await reeve(['usage', 'zzzz', ...stranger]), refused, 'nor is it said who there is');
  writeFileSync(tokens, '# nobody\n');
  await t.rejects(startCollector(await valuesOf(options), { log }), { code: 'collector-file', remedy: /openssl/ });
  await t.rejects(
    startCollector(await valuesOf({ dir: join(dir, 'x'), tlsCertFile: 'none', tlsKeyFile: 'none' }), { log }),
    { code: 'collector-file' },
  );
  const open = await startCollector(
    await valuesOf({ dir: join(dir, 'open'), grpcHost: '0.0.0.0', httpHost: '0.0.0.0' }),
    { log },
  );
  await open.close();
  t.ok(events.includes('collector.open_to_all'));
  t.ok(events.includes('collector.api_open_to_all'));
});
