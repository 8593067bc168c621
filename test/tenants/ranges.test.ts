/** Values that are written as they should be, and would switch a limit off or overflow what they are used for. */
import t from 'tap';
import { parseOne } from '../../src/tenants/documents/parse.ts';
import { bootFlags, formatFinding } from '../../src/tenants/index.ts';
import { document } from '../helpers/tenancy.ts';

function problem(kind: string, spec: object): string {
  const parsed = parseOne(document(kind, 'x', spec).replace(/\n---\n$/, ''));
  return parsed.isGood
    ? 'good'
    : parsed.problems.map((each) => `${each.path}: ${each.message} (${each.remedy})`).join();
}

const requests = (limit: string, more: object = {}): object => ({ rate: { requests: { limit, ...more } } });
const egress = (limit: string): object => ({ rate: { egress: { limit } } });
const credits = (earn: string, cap: string): object => requests('1/s', { credits: { earn, cap } });
const route = (spec: object): object => ({ match: { path: '/x' }, ...spec });
const hosts = (host: string): object => ({ plan: 'free', identity: { hosts: [host] } });
const provider = (clockSkew: string): object => ({
  type: 'jwt',
  issuer: 'https://id.example',
  audiences: ['api'],
  algorithms: ['RS256'],
  jwks: { file: 'keys.json' },
  tenantClaim: 'org_id',
  clockSkew,
});

t.test('a value out of the range of its use is refused with the nearest that is not', (t) => {
  for (const [kind, spec, pattern] of [
    ['Plan', egress('0B/s'), /egress\.limit: a rate of zero admits nobody/],
    ['Plan', egress('2000000GB/s'), /expected a byte rate from 1B\/d to .*\(use at most/],
    ['Plan', requests('0/s'), /requests\.limit: a rate of zero admits nobody/],
    ['Plan', requests('0.00000001/d'), /use at least 0\.1\/d/],
    ['Plan', requests('1000000001/s'), /expected a rate .*\(use at most 1_000_000_000\/s\)/],
    ['Plan', requests(`${'9'.repeat(35)}/s`), /use at most/],
    ['Plan', requests(`${'9'.repeat(400)}/s`), /got 9{40}… \(use at most/],
    ['Plan', credits('500%', '60s'), /credits\.earn: expected a percentage from 0% to 100%, got 500%/],
    ['Plan', credits('20%', '31d'), /credits\.cap: .*use at most 30d/],
    ['Plan', { degrade: ['credit', { shape: '365000d' }] }, /degrade\[1\]\.shape: .*use at most 10s/],
    ['Plan', { degrade: [{ shape: '10001ms' }] }, /use at most 10s/],
    ['Plan', { degrade: [{ shape: '0ms' }] }, /use at least 1ms/],
    ['Tenant', { plan: 'free', overrides: egress('0B/s') }, /spec\.overrides\.rate\.egress\.limit: a rate of zero/],
    ['Tenant', hosts('a..b'), /expected a host name such as acme\.app\.example, got "a\.\.b"/],
    ['Tenant', hosts('-a.b'), /host name/],
    ['Tenant', hosts('a-.b'), /host name/],
    ['Tenant', hosts('a.b.'), /host name/],
    ['Tenant', hosts(`${'a'.repeat(64)}.b`), /host name/],
    ['IdentityProvider', provider('365d'), /clockSkew: .*use at most 10min/],
    ['IdentityProvider', { ...provider('1h'), algorithms: ['RS256', 'HS256'] }, /clockSkew.*algorithms/],
    ['Route', route({ timeout: '0ms' }), /timeout: .*use at least 1ms/],
    ['Route', route({ timeout: '365d' }), /timeout: .*use at most 1h/],
    ['Route', route({ bodyMax: '0B' }), /bodyMax: .*use at least 1B/],
    ['Route', route(requests('0/s')), /rate\.requests\.limit: a rate of zero/],
    ['Route', { match: { path: '/x?y=1' } }, /expected a path pattern/],
    ['Route', { match: { path: '/x#y' } }, /expected a path pattern/],
  ] as const)
    t.match(problem(kind, spec), pattern, JSON.stringify(spec).slice(0, 100));
  t.end();
});

t.test('the ends of each range are in it', (t) => {
  for (const [kind, spec] of [
    ['Plan', egress('1B/d')],
    ['Plan', egress('1000GB/s')],
    ['Plan', requests('0.1/d')],
    ['Plan', requests('1_000_000_000/s')],
    ['Plan', credits('100%', '30d')],
    ['Plan', credits('0%', '0ms')],
    ['Plan', { degrade: [{ shape: '10s' }, { shape: '1ms' }, { stale: '1s' }, { stale: '1d' }, { features: ['a'] }] }],
    ['Tenant', hosts(`${'a'.repeat(63)}.B-2.c`)],
    ['Tenant', hosts('localhost')],
    ['IdentityProvider', provider('10min')],
    ['IdentityProvider', provider('0s')],
    ['Route', route({ timeout: '1ms', bodyMax: '1B' })],
    ['Route', route({ timeout: '1h', bodyMax: '1024TiB' })],
    ['Route', { match: { path: '/!"$%&()*+,-./:;<=>@[]^_{|}~' } }],
  ] as const)
    t.notMatch(problem(kind, spec), /expected|zero/, JSON.stringify(spec).slice(0, 100));
  t.end();
});

t.test('settings of the boot file have ranges too, and whole bytes', (t) => {
  const boot = (path: string, text: string) =>
    bootFlags(
      [
        ['upstream', 'http://127.0.0.1:1'],
        ['tenancy.dir', 'x'],
        [path, text],
      ].map(([path, text]) => ({ path: path as string, text: text as string, place: `--${path}` })),
      '/',
    );
  for (const path of ['wire.headTimeout', 'wire.idleTimeout', 'wire.connectTimeout', 'wire.responseTimeout'])
    for (const text of ['0ms', '365d', '61min'])
      t.match(boot(path, text).findings.map(formatFinding).join(), `--${path} spec.${path}: expected a duration from`);
  for (const [path, text] of [
    ['drain.grace', '25d'],
    ['drain.delay', '25d'],
    ['tenancy.removeGrace', '25d'],
    ['anonymous.limit', '0/s'],
    ['log.sample', '101%'],
    ['admission.wait', '0ms'],
    ['wire.headBytesMax', '0B'],
    ['wire.targetBytesMax', '1GiB'],
    ['wire.bodyBytesMax', '0B'],
  ] as const)
    t.match(boot(path, text).findings.map(formatFinding).join(), /: expected .* from /, path);
  t.equal(boot('wire.headBytesMax', '1.0001KiB').config?.wire.headBytesMax, 1024);
  t.match(
    boot('admission.min', '1001').findings.map(formatFinding).join(),
    /spec\.admission\.min: the least limit is above the most: 1001 and 1000/,
  );
  t.match(
    boot('drain.delay', '25s').findings.map(formatFinding).join(),
    /spec\.drain\.delay: nothing is left of the grace for requests in flight: 25s of 25s \(raise spec\.drain\.grace/,
  );
  t.same(boot('drain.delay', '24s').config?.drain, { delayMs: 24_000, graceMs: 25_000 });
  t.equal(boot('drain.grace', '0s').config?.drain.graceMs, 0);
  t.end();
});
