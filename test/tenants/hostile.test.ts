import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { parseOne } from '../../src/tenants/documents/parse.ts';
import { splitDocuments } from '../../src/tenants/documents/split.ts';
import {
  bootFlags,
  bootSidecar,
  diffSnapshots,
  formatFinding,
  inspectTenancy,
  routeOf,
  sidecarSettings,
} from '../../src/tenants/index.ts';
import { document, makeTenancy, plan, tenant } from '../helpers/tenancy.ts';

const inspect = async (
  files: Record<string, string | Buffer>,
  prepare: (dir: string) => void = () => {},
): Promise<string[]> => {
  const dir = makeTenancy();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(dir.dir, path, '..'), { recursive: true });
    writeFileSync(join(dir.dir, path), text);
  }
  prepare(dir.dir);
  const { findings } = await inspectTenancy(dir.dir);
  dir.cleanUp();
  return findings.map(formatFinding);
};

const head = 'apiVersion: reeve.dev/v1\nkind: Tenant\nmetadata: { name: x }\nspec:\n  plan: free\n';
const problem = (text: string): string => {
  const parsed = parseOne(text);
  return parsed.isGood
    ? 'good'
    : parsed.problems
        .map((each) => `${each.line}:${each.column} ${each.path} ${each.message} (${each.remedy})`)
        .join('; ');
};

t.test('errors name line, column, key and remedy', async (t) => {
  const rows: [string, RegExp][] = [
    [`${head}  stat: active\n`, /^6:3 spec\.stat unknown key \(did you mean state\?\)$/],
    [`${head}  zzzzzzzz: active\n`, /unknown key \(known here: plan, state/],
    [
      `${head}  state: activ\n`,
      /^6:10 spec\.state expected one of pending, active, readonly, suspended, offboarding, got "activ" \(did you mean active\?\)$/,
    ],
    [`${head}  state: 5\n`, /expected one of pending, active, .*got 5 /],
    [`${head}  overrides: { concurrency: 0 }\n`, /spec\.overrides\.concurrency expected value >= 1/],
    [`${head}  overrides: { concurrency: many }\n`, /expected an integer/],
    [
      `${head}  identity: { apiKeys: [ { id: "k 1", hash: x } ] }\n`,
      /spec\.identity\.apiKeys\[0\]\.id expected a key id such as k1/,
    ],
    ['apiVersion: reeve.dev/v1\nkind: Tenant\nmetadata: { name: x }\nspec: {}\n', /plan is missing \(add plan\)/],
    [
      'apiVersion: reeve.dev/v2\nkind: Tenant\nmetadata: { name: x }\nspec: { plan: a }\n',
      /expected "reeve\.dev\/v1", got "reeve\.dev\/v2" \(did you mean reeve\.dev\/v1\?\)/,
    ],
    ['kind: Plam\n', /expected a kind, got "Plam" \(did you mean Plan\?\)/],
    ['kind: Sidecar\n', /a boot file is no document of the tenancy \(name the tenancy directory alone/],
    ['kind: Kubernetes\n', /known here: Plan, Tenant/],
    ['kind: [a]\n', /expected a kind, got \["a"\]/],
    ['name: x\n', /kind is missing/],
    ['- a\n', /expected a document of keys and values/],
    ['just text\n', /expected a document/],
    ['a: 1\na: 2\n', /^2:1 .*the key "a" stands twice in its map, first 1 line above \(remove one of the two\)/],
    ['a:\n\t- b\n', /\(indent with spaces\)|tab/i],
    ['a: [\n', /^1:4 .*Flow.*\(close what begins here\)/],
    ['a:\n  b: { c: { d: 1 }\ne: 2\n', /^2:6 .*\(close what begins here\)/],
    ['a: { b: "x }\nc: 1\n', /^1:9 .*quote.*\(close what begins here\)/],
    ['a: 1\nb\nc: 2\n', /^2:1 .*\(write each line as key: value/],
    ['a: 1\nb:2\nc: 3\n', /^2:1 .*\(write each line as key: value/],
    ['a: b: c\n', /^1:4 .*\(indent the keys of one object alike, and quote/],
    ['a:\n  - b\n c: 1\n', /^3:1 .*\(indent the keys of one object alike\)/],
    ['a: @b\n', /^1:4 .*\(quote the value\)/],
    ['a: { b: 1 c: 2 }\n', /\(mend the YAML there\)/],
    ['a: !!js/function x\n', /tag/i],
    ['a: *nobody\n', /alias|Unresolved/i],
    ['%YAML 3.0\n---\na\n', /YAML|version/i],
    [`a: ${'['.repeat(40)}${']'.repeat(40)}\n`, /nested deeper than 32/],
    [`${Array.from({ length: 40 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')}\n`, /nested deeper than 32/],
    [`${' '.repeat(130)}a: 1\n`, /nested deeper than 32/],
    ['a: 1\0\n', /^1:5 .*NUL/],
    [`a: "${'x'.repeat(2 ** 20)}"\n`, /larger than 1048576 bytes/],
    [`a: [${'1,'.repeat(10_001)}1]\n`, /more than 10000 lines and commas/],
    [`a: [${'{b: 1},'.repeat(6000)}]\n`, /more than 10000 nodes/],
    ['__proto__: { polluted: 1 }\n', /this key is not allowed/],
    ['a: { constructor: 1 }\n', /^1:6 a\.constructor this key is not allowed/],
    [
      `a: &a [${'x,'.repeat(50)}x]\nb: &b [${'*a,'.repeat(40)}*a]\nc: &c [${'*b,'.repeat(40)}*b]\n`,
      /nodes with its aliases|alias/,
    ],
  ];
  for (const [text, pattern] of rows) t.match(problem(text), pattern);
  t.equal(
    problem(`${head}  overrides: { rate: { requests: { limit: 1_000/s, burst: 5_000 } } }\n`),
    'good',
    'numbers may carry _',
  );
  t.equal(({} as { polluted?: number }).polluted, undefined);
});

t.test('what a value without its unit most likely meant', async (t) => {
  const ask = (spec: object): string => problem(document('Plan', 'p', spec).replace(/\n---\n$/, ''));
  t.match(ask({ rate: { requests: { limit: 5 } } }), /did you mean 5\/s/);
  t.match(ask({ rate: { requests: '10/min' } }), /\(did you mean \{ limit: 10\/min \}\?\)/);
  t.match(ask({ rate: '10/min' }), /\(did you mean \{ requests: \{ limit: 10\/min \} \}\?\)/);
  for (const text of ['often', `${'1'.repeat(100)}/s`]) t.notMatch(ask({ rate: text }), /did you mean/);
  t.match(ask({ degrade: ['rejekt'] }), /\(did you mean reject\?\)/);
  t.match(ask({ degrade: [{ shpae: '1s' }] }), /\(did you mean shape\?\)/);
  t.match(ask({ degrade: [7] }), /\(known: credit, shape: 250ms, .*, reject\)/);
  t.match(ask({ concurrency: 1e9 }), /\(choose from 1 to 1000000\)/);
  t.match(ask({ rate: { egress: { limit: '20' } } }), /did you mean 20B\/s/);
  t.match(
    ask({ rate: { requests: { limit: '5/s', credits: { earn: '20', cap: '60' } } } }),
    /20%.*60ms or 60s|60ms or 60s.*20%/,
  );
  t.match(
    problem(document('Route', 'r', { match: { path: '/' }, bodyMax: '10' }).replace(/\n---\n$/, '')),
    /did you mean 10B/,
  );
  t.match(ask({ degrade: ['shape'] }), /expected a degrade rung/);
  t.match(ask({ degrade: [{ shape: '5' }] }), /5ms or 5s/);
  t.match(ask({ degrade: 'credit' }), /expected an array/);
});

t.test('meaning is checked too, and what is never reached is named', async (t) => {
  const found = await inspect({
    'x.yaml':
      plan('q', { degrade: ['deprioritize', 'reject', { stale: '60s' }, { stale: '2d' }] }) +
      plan('z', { rate: { requests: { limit: '0/s' } } }) +
      plan('b', { rate: { requests: { limit: '1/s', burst: 0.5 } } }) +
      tenant('m', { timezone: 'Mars/Olympus' }) +
      tenant('n', { timezone: 'Europe/Berlin' }) +
      tenant('o', { plan: 'none' }) +
      tenant('p', {
        identity: {
          apiKeys: [
            { id: 'k9', hash: `hmac-sha256:${'0'.repeat(64)}`, expires: '2027-13-45' },
            { id: 'k8', hash: `hmac-sha256:${'0'.repeat(64)}`, expires: '2027-01-01' },
          ],
        },
      }) +
      document('Route', 'r', { match: { path: '/' }, rate: { requests: { limit: '0/min' } } }) +
      document('Route', 's', { match: { path: '/s' }, rate: { requests: { limit: '1/s', strict: true } } }) +
      document('Plan', 'strict', {
        rate: { requests: { limit: '1/s', strict: true, credits: { earn: '10%', cap: '10s' } } },
      }),
  });
  const text = found.join('\n');
  for (const pattern of [
    /spec\.degrade\[2\]: is never reached/,
    /spec\.degrade\[3\]\.stale: expected a duration from 1s to 1d, got 2d/,
    /a rate of zero admits nobody/,
    /a burst under 1/,
    /spec\.rate\.requests\.strict: /,
    /credits: what is banked would exceed a strict limit/,
    /Mars\/Olympus/,
    /there is no Plan "none" \(known: /,
    /expires: expected a date/,
  ])
    t.match(text, pattern);
  t.match(
    (await inspect({ 'plans.yaml': '', 'x.yaml': tenant('o', { plan: 'none' }) })).join(),
    /there is none at all/,
  );
  const lost = await inspect({ 'plans.yaml': '', 'x.yaml': tenant('o') + tenant('p') + tenant('q') });
  t.equal(lost.filter((each) => each.includes('no Plan')).length, 1, 'one word for all tenants');
});

t.test('files that are no files, or no text, are named and harm nothing', async (t) => {
  const found = await inspect(
    {
      'latin.yaml': Buffer.from([0x61, 0x3a, 0x20, 0xff]),
      'sub/deep.yml': tenant('deep'),
      'keys2.json': Buffer.alloc(300 * 1024, 0x20),
      '.hidden.yaml': 'x: [',
      'note.txt': 'x: [',
    },
    (dir) => {
      spawnSync('mkfifo', [join(dir, 'pipe.yaml')]);
      symlinkSync('nowhere', join(dir, 'dangling.yaml'));
      symlinkSync('sub', join(dir, 'linked'));
      mkdirSync(join(dir, 'a/b/c/d/e/f/g/h/i'), { recursive: true });
      writeFileSync(join(dir, 'locked.yaml'), '');
      chmodSync(join(dir, 'locked.yaml'), 0o000);
      mkdirSync(join(dir, 'folder.yaml'));
    },
  );
  const text = found.join('\n');
  for (const pattern of [
    /latin\.yaml: is not UTF-8/,
    /keys2\.json: is larger than 262144 bytes/,
    /dangling\.yaml: cannot be read: ENOENT/,
    /pipe\.yaml: is not a regular file/,
    /nested deeper than 8/,
    /Tenant "deep" metadata\.name: the name is taken/,
  ])
    t.match(text, pattern);
  t.match((await inspectTenancy('/nonexistent')).findings.map(formatFinding), [/cannot be read/]);
});

t.test('documents are split where YAML splits them', async (t) => {
  const split = (text: string): string[] => [...splitDocuments(text)].map((each) => each.text.trim());
  t.same(split('a: 1\n---\nb: 2\n'), ['a: 1', 'b: 2']);
  t.same(split('---\r\na: 1\r\n---\r\nb: 2'), ['a: 1', 'b: 2']);
  t.same(split('\ufeffa: 1\n...\n---\nb: 2\n...\n'), ['a: 1', 'b: 2']);
  t.same(split('--- a: 1\n'), ['a: 1']);
  t.same(split('a: "\n --- x"\nb: ---\n'), ['a: "\n --- x"\nb: ---']);
  t.same(split('# only\n\n# comments\n---\n   \n'), []);
  t.same(split(''), []);
  const began = performance.now();
  split(`${'\n'.repeat(100_000)}a`);
  t.ok(performance.now() - began < 200, 'blank lines are no attack');
});

t.test('nothing that is written ends the process: 600 mutated documents', async (t) => {
  const good =
    document('Plan', 'p', {
      rate: { requests: { limit: '5/s', burst: 5 } },
      degrade: ['credit', { shape: '250ms' }, 'reject'],
    }) + tenant('acme');
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.nat(good.length - 1),
          fc.constantFrom(
            '{',
            '[',
            '"',
            "'",
            '\n',
            '\t',
            ' ',
            ':',
            '-',
            '&a',
            '*a',
            '!',
            '|',
            '>',
            '%',
            '\0',
            '\u2028',
            '#',
            '?',
            '~',
          ),
        ),
        { minLength: 1, maxLength: 12 },
      ),
      (edits) => {
        let text = good;
        for (const [at, what] of edits) text = text.slice(0, at) + what + text.slice(at + 1);
        for (const each of splitDocuments(text)) parseOne(each.text);
        return true;
      },
    ),
    { seed: 7, numRuns: 600 },
  );
  t.equal(Object.keys(Object.prototype).length, 0);
});

t.test('metering in the boot file: defaults, paths, and what does not fit together', async (t) => {
  const boot = (given: Record<string, string>, isKept = true) =>
    bootFlags(
      Object.entries({
        upstream: 'http://127.0.0.1:1',
        'tenancy.dir': 'tenancy',
        ...(isKept ? { stateDir: 'state' } : {}),
        ...given,
      }).map(([path, text]) => ({ path, text, place: path })),
      '/cwd',
    );
  const errors = (given: Record<string, string>, isKept = true): string =>
    boot(given, isKept).findings.map(formatFinding).join('\n');
  t.equal(boot({}).config?.metering, undefined);
  t.strictSame(boot({ 'metering.durability': 'strict' }).config?.metering, {
    dir: '/cwd/state/spool',
    collector: undefined,
    ...{ durability: 'strict', granularity: 'raw', maxBytes: 2 ** 30, onFull: 'failOpen' },
    ...{ streamEveryMs: 60_000, traceIds: false },
  });
  const address = { 'metering.collector.address': 'collector.reeve.svc:15010' };
  t.match(boot({ ...address, 'metering.dir': 'spool' }, false).config?.metering, {
    dir: '/cwd/spool',
    collector: { address: 'collector.reeve.svc:15010', tls: undefined, tokenFile: undefined },
  });
  const files = { 'metering.collector.tls.caFile': 'ca.pem', 'metering.collector.tokenFile': 'token' };
  t.match(boot({ ...address, ...files }).config?.metering?.collector, {
    tls: { caFile: '/cwd/ca.pem', certFile: undefined, keyFile: undefined },
    tokenFile: '/cwd/token',
  });
  const plain = boot({ ...address, ...files, 'metering.collector.tls.enabled': 'false' });
  t.equal(plain.config?.metering?.collector?.tls, undefined);
  t.match(errors({ 'metering.traceIds': 'true' }, false), /spec\.metering\.dir: there is no directory for the spool/);
  t.match(errors({ 'metering.maxBytes': '1KiB' }), /spec\.metering\.maxBytes: expected 1MiB to 1TiB, got 1KiB/);
  t.match(errors({ 'metering.maxBytes': '2TiB' }), /expected 1MiB to 1TiB/);
  t.match(
    errors({ 'metering.streamEvery': '900ms' }),
    /spec\.metering\.streamEvery: expected a duration from 1s to 1d, got 900ms/,
  );
  t.match(errors({ ...address, 'metering.collector.tls.certFile': 'c' }), /tls\.keyFile: a certificate and its key go/);
  t.match(errors({ ...address, 'metering.collector.tls.keyFile': 'k' }), /tls\.certFile: a certificate and its key go/);
  t.match(errors({ 'metering.collector.address': 'http://collector' }), /expected an address of a collector such as/);
});

t.test('the boot file and its flags: defaults, precedence, errors with the flag to set', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const file = join(dir.dir, '..', 'sidecar.yaml');
  const boot = (text: string, given: Record<string, string> = {}) => {
    writeFileSync(file, text);
    return bootSidecar(
      file,
      Object.entries(given).map(([path, each]) => ({
        path,
        text: each,
        place: sidecarSettings.find((setting) => setting.path === path)?.flag ?? path,
      })),
      '/cwd',
    );
  };
  const sound =
    'apiVersion: reeve.dev/v1\nkind: Sidecar\nmetadata: { name: s }\nspec:\n  upstream: http://127.0.0.1:1\n  upstreams: { lite: "unix:/x" }\n  tenancy: { dir: tenancy }\n  stateDir: state\n  identity: { pepperFile: pepper }\n  inbound: { port: 5 }\n';
  const good = await boot(sound, {
    'inbound.port': '7',
    upstreams: 'a=http://b,c=http://d',
    'identity.sources': 'jwt, host',
    'inbound.strict': '',
    'tenancy.dir': 'elsewhere',
    'anonymous.burst': '1_0',
  });
  t.match(good.config, {
    name: 's',
    inbound: { port: 7, strict: true, class: 'edge' },
    identity: { sources: ['jwt', 'host'] },
    tenancy: { dir: '/cwd/elsewhere', removeGraceMs: 2000 },
    wire: { headBytesMax: 32_768, bodyBytesMax: 67_108_864 },
    anonymous: { perSec: 100, burst: 10 },
    log: { sample: 0.01 },
  });
  t.equal(good.config?.upstreams.get('c'), 'http://d');
  t.ok((await boot(sound)).config?.stateDir?.endsWith('/state'));
  const errors = async (text: string, given: Record<string, string> = {}) =>
    (await boot(text, given)).findings.map(formatFinding).join('\n');
  t.match(await errors(sound, { upstream: 'https://a' }), /\(TLS to an upstream is not supported yet: use http:/);
  t.match(await errors(sound, { 'inbound.port': 'x' }), /--inbound-port: expected a number, got "x"/);
  t.match(
    await errors(sound, { 'inbound.strict': 'maybe' }),
    /--inbound-strict: expected true or false, got "maybe"$/m,
  );
  t.match(await errors(sound, { upstreams: 'a' }), /expected a map such as name=value/);
  t.match(
    await errors(sound, { 'inbound.class': 'mash' }),
    /spec\.inbound\.class: expected one of edge, mesh, got "mash" \(did you mean mesh\?\)/,
  );
  t.match(await errors(sound, { 'log.level': 'loud' }), /expected one of debug, info, warn, error, got "loud"/);
  t.match(await errors(sound, { 'inbound.port': '70000' }), /spec\.inbound\.port: expected value <= 65535/);
  t.match(
    await errors(`${sound}  inboun: 5\n`),
    /sidecar\.yaml:11:3 Sidecar "s" spec\.inboun: unknown key \(did you mean inbound\?\)/,
  );
  t.match(await errors(`${sound}---\n${sound}`), /expected one document, found 2/);
  t.match(
    await errors(sound, { 'inbound.trustedProxies': '10.0.0.0/8,nowhere,10.0.0.0/99,::1/128,1.2.3.4,1.2.3.4/5/6' }),
    /trustedProxies\.1: [\s\S]*trustedProxies\.2:[\s\S]*trustedProxies\.5:/,
  );
  t.match(await errors(sound, { 'identity.header': 'x-tenant-id' }), /is a protected name/);
  t.match(
    await errors(sound, { 'identity.apiKeyHeader': 'x-reeve-key' }),
    /spec\.identity\.apiKeyHeader: x-reeve-key is a protected/,
  );
  t.match(
    (await bootSidecar(undefined, [], '/')).findings.map(formatFinding).join('\n'),
    /set --upstream, REEVE_UPSTREAM, or spec\.upstream in the file of --config[\s\S]*set --tenancy-dir, REEVE_TENANCY_DIR, or spec\.tenancy\.dir/,
  );
  t.match((await bootSidecar('/nowhere.yaml', [], '/')).findings.map(formatFinding), [/cannot be read: ENOENT/]);
});

t.test('two tenancies are compared key by key', async (t) => {
  const snapshotOf = async (files: Record<string, string>) => {
    const dir = makeTenancy(files);
    const { snapshot } = await inspectTenancy(dir.dir);
    dir.cleanUp();
    return snapshot;
  };
  const a = await snapshotOf({
    'tenants.yaml': tenant('acme') + tenant('gone'),
    'r.yaml': document('Route', 'r', { match: { path: '/x', methods: ['GET'] } }),
  });
  const b = await snapshotOf({
    'plans.yaml': plan('free') + plan('pro'),
    'tenants.yaml': tenant('acme', { plan: 'pro', state: 'suspended' }) + tenant('new'),
    'r.yaml': document('Route', 'r', { match: { path: '/x', methods: ['POST'] } }),
  });
  t.same(
    diffSnapshots(a, b).map(
      ({ kind, name, change, changes }) => `${change} ${kind} ${name} ${changes.map(({ key }) => key).join()}`,
    ),
    [
      'added Plan pro ',
      'changed Tenant acme plan,state',
      'added Tenant new ',
      'removed Tenant gone ',
      'changed Route r match.methods',
    ],
  );
  t.same(diffSnapshots(a, a), []);
  t.equal(routeOf(a, 'POST', '/x'), undefined);
  t.equal(routeOf(a, 'GET', '/x')?.name, 'r');
});
