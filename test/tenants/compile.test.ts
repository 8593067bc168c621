import t from 'tap';
import type { TenantIndex } from '../../src/core/index.ts';
import { compilePlan, compileProvider, compileRoute, compileTenant } from '../../src/tenants/compile.ts';
import { objectionsTo } from '../../src/tenants/documents/meaning.ts';
import { parseOne, placeProblem } from '../../src/tenants/documents/parse.ts';
import { lineAt, splitDocuments } from '../../src/tenants/documents/split.ts';
import { problemsOf } from '../../src/tenants/findings.ts';
import { emptySnapshot, formatFinding, routeOf, type Snapshot } from '../../src/tenants/index.ts';
import type {
  IdentityProviderDocument,
  PlanDocument,
  RouteDocument,
  TenantDocument,
} from '../../src/tenants/schema.ts';
import { sortRoutes } from '../../src/tenants/snapshot/builder.ts';
import { RouteIndex } from '../../src/tenants/snapshot/route-index.ts';
import { Slots } from '../../src/tenants/snapshot/slots.ts';
import { provider } from '../helpers/tenancy.ts';

const planOf = (spec: PlanDocument['spec']) =>
  compilePlan({ apiVersion: 'reeve.dev/v1', kind: 'Plan', metadata: { name: 'p' }, spec }, 'p.yaml');

const tenantDocument = (spec: Omit<TenantDocument['spec'], 'plan'>): TenantDocument => ({
  apiVersion: 'reeve.dev/v1',
  kind: 'Tenant',
  metadata: { name: 'acme' },
  spec: { plan: 'p', ...spec },
});

const tenantOf = (spec: Omit<TenantDocument['spec'], 'plan'>, on: PlanDocument['spec'] = {}) =>
  compileTenant(tenantDocument(spec), 0 as TenantIndex, { ...planOf(on), index: 0 }, 'x.yaml');

t.test('a plan is compiled: units, burst of one second, ladder', async (t) => {
  t.match(planOf({}), { weight: 1, allowance: { requests: undefined, egress: undefined, concurrency: undefined } });
  t.same(
    planOf({}).ladder.map((each) => each.kind),
    ['credit', 'reject'],
  );
  t.match(planOf({ rate: { requests: { limit: '90/min' } } }).allowance.requests, { perSec: 1.5, burst: 1.5 });
  t.equal(planOf({ rate: { requests: { limit: '6/min' } } }).allowance?.requests?.burst, 1, 'at least one request');
  t.match(planOf({ rate: { egress: { limit: '20MiB/s' } } }).allowance.egress, { bytesPerSec: 20 * 2 ** 20 });
  const credits = { earn: '20%', cap: '60s' };
  t.same(planOf({ rate: { requests: { limit: '200/s', burst: 400, credits } } }).allowance.requests, {
    perSec: 200,
    burst: 400,
    credits: { earn: 0.2, capUnits: 12_000 },
    text: '200/s',
  });
  const degrade: PlanDocument['spec']['degrade'] = [
    'credit',
    { shape: '250ms' },
    'deprioritize',
    { stale: '60s' },
    { route: 'degraded' },
    { features: ['no-recommendations'] },
    'reject',
  ];
  t.same(planOf({ degrade }).ladder, [
    { kind: 'credit' },
    { kind: 'shape', delayMsMax: 250 },
    { kind: 'deprioritize' },
    { kind: 'stale', staleMsMax: 60_000 },
    { kind: 'route' },
    { kind: 'features', features: ['no-recommendations'] },
    { kind: 'reject' },
  ]);
  t.equal(planOf({ degrade }).staleMsMax, 60_000);
  t.equal(planOf({}).staleMsMax, 0);
});

t.test(
  'an override of the limit alone keeps the proportions of the plan; other keys are laid over one by one',
  async (t) => {
    const on = {
      rate: {
        requests: { limit: '100/s', burst: 300, credits: { earn: '10%', cap: '10s' } },
        egress: { limit: '1MiB/s' },
      },
      concurrency: 8,
      shadow: true,
    };
    t.match(tenantOf({ overrides: { rate: { requests: { limit: '200/s' } } } }, on).allowance, {
      requests: { perSec: 200, burst: 600, credits: { earn: 0.1, capUnits: 2000 }, text: '200/s' },
      egress: { text: '1MiB/s' },
      concurrency: 8,
      shadow: true,
    });
    t.match(
      tenantOf({ overrides: { rate: { requests: { limit: '200/s', strict: true } } } }, on).allowance.requests,
      { isStrict: true, credits: undefined },
      'what is banked would exceed it',
    );
    t.match(tenantOf({ overrides: { concurrency: 2, shadow: false } }, on).allowance, {
      concurrency: 2,
      shadow: false,
    });
    t.equal(tenantOf({ overrides: { rate: { requests: { limit: '200/s' } } } }).allowance?.requests?.burst, 200);
    t.equal(tenantOf({ overrides: { rate: { requests: { limit: '1/min' } } } }, on).allowance?.requests?.burst, 1);
    t.equal(
      tenantOf({ overrides: { rate: { requests: { limit: '9/s', burst: 3 } } } }, on).allowance?.requests?.burst,
      3,
    );
    t.same(tenantOf({}, on).allowance, planOf(on).allowance, "the plan's own");
    t.match(tenantOf({ timezone: 'Europe/Berlin', identity: { claims: ['acme', 'org'] } }), {
      timezone: 'Europe/Berlin',
      claims: ['acme', 'org'],
    });
  },
);

t.test('a provider is compiled: defaults, and the type of token as it is compared', async (t) => {
  const providerOf = (more: object) =>
    compileProvider(
      (JSON.parse(provider('main', more).split('\n')[0] as string) ?? {}) as IdentityProviderDocument,
      {
        file: 'keys.json',
        text: '',
      },
      'i.yaml',
    );
  t.match(providerOf({}), { tokenType: undefined, clockSkewMs: 5000, algorithms: ['RS256'] });
  t.match(providerOf({ tokenType: 'AT+JWT', clockSkew: '0s' }), { tokenType: 'at+jwt', clockSkewMs: 0 });
  const zoned = (timezone: string) => objectionsTo('Tenant', tenantDocument({ timezone }));
  t.same([zoned('Asia/Tokyo'), zoned('Asia/Tokyo')], [[], []]);
  t.match([zoned('Tokyo'), zoned('Tokyo')], [[{ severity: 'error' }], [{ severity: 'error' }]]);
});

t.test('the most specific route wins: exact, then longer, then with methods', async (t) => {
  const route = (name: string, path: string, more: object = {}, methods?: string[]) => ({
    ...compileRoute(
      {
        apiVersion: 'reeve.dev/v1',
        kind: 'Route',
        metadata: { name },
        spec: { match: { path, ...(methods === undefined ? {} : { methods }) }, ...more },
      } as RouteDocument,
      'r.yaml',
    ),
    index: 0,
  });
  const sorted = sortRoutes([
    route('all', '/*'),
    route('b-twin', '/api/*'),
    route('a-twin', '/api/*', { rate: { requests: { limit: '5/s' } }, degraded: { upstream: 'lite' } }),
    route('post', '/api/*', { critical: true, cost: 5 }, ['POST']),
    route('exact', '/a', { timeout: '2s', bodyMax: '1KiB' }),
  ]);
  t.same(
    sorted.map((each) => each.name),
    ['exact', 'post', 'a-twin', 'b-twin', 'all'],
  );
  t.same(sortRoutes(sorted.toReversed()), sorted, 'in whatever order they come');
  const snapshot: Snapshot = { ...emptySnapshot, routes: sorted, routeIndex: new RouteIndex(sorted) };
  for (const [method, path, name] of [
    ['GET', '/a', 'exact'],
    ['GET', '/a/', 'all'],
    ['POST', '/api/x', 'post'],
    ['GET', '/api/', 'a-twin'],
    ['GET', '/api', 'all'],
    ['GET', '*', undefined],
  ] as const)
    t.equal(routeOf(snapshot, method, path)?.name, name, `${method} ${path}`);
});

t.test('what a schema says becomes one problem each, with the key it is about', async (t) => {
  const error = { instancePath: '/a~1b/0/c~0d', keyword: 'x', params: {}, schema: {}, data: undefined };
  t.match(problemsOf([error]), [{ path: ['a/b', 0, 'c~d'], message: 'expected a x, got nothing', remedy: undefined }]);
  t.equal(problemsOf([error, error]).length, 1, 'once');
  t.match(problemsOf([{ ...error, keyword: 'additionalProperties', params: { additionalProperty: 'k' } }]), [
    { isKey: true, remedy: /known here/ },
  ]);
  t.match(problemsOf([{ ...error, message: 'must NOT have fewer than 1 items' }]), [
    { message: /expected no have fewer/ },
  ]);
  t.match(problemsOf([{ ...error, parentSchema: { title: 'IANA time zone' }, data: 5 }]), [
    { message: 'expected an IANA time zone, got 5' },
  ]);
  const facts = {
    severity: 'error',
    file: 'x',
    line: 0,
    column: 0,
    path: '',
    message: 'm',
    remedy: undefined,
  } as const;
  t.equal(formatFinding({ ...facts, kind: 'Plan', name: undefined }), 'x Plan: m');
});

t.test('a problem is placed at the nearest thing that is there', async (t) => {
  const place = (text: string, path: (string | number)[], isKey = false) => {
    const { line, column } = placeProblem(text, { path, isKey, message: '', remedy: undefined });
    return `${line}:${column}`;
  };
  t.equal(place('a:\n  b: [1, 2]\n', ['a', 'b', 1]), '2:10');
  t.equal(place('a:\n  b: [1, 2]\n', ['a', 'b', 7]), '2:6', 'no such item: the list');
  t.equal(place('a:\n  b: 1\n', ['a', 'c', 'd']), '2:3', 'no such key: the map');
  t.equal(place('a:\n  b: 1\n', ['a', 'b'], true), '2:3', 'the key itself');
  t.equal(place('a:\n', ['a']), '1:3', 'a key without a value');
  t.equal(place('? [x]\n: 1\na: 2\n', ['a']), '3:4', 'a key that is no word');
  t.equal(place('', ['a']), '1:1');
  t.match(parseOne('a: 1\n  b: 2\n'), { isGood: false, problems: [{ line: 1, remedy: /^indent the keys/ }] });
});

t.test('lines are counted as an editor does', async (t) => {
  t.same([lineAt('', 0), lineAt('a\nb\n', 2), lineAt('a\r\nb\r\n', 3), lineAt('\n\n', 1)], [1, 2, 2, 2]);
  t.same(
    [...splitDocuments('a: 1\n...')].map((each) => each.text),
    ['a: 1\n'],
    'an end without a line end',
  );
  t.same([...splitDocuments('# only')], []);
});

t.test('slots are dense, stable and given out again', async (t) => {
  const slots = new Slots();
  t.same([slots.take(), slots.take()], [0, 1]);
  const next = new Slots(slots);
  next.release(0);
  t.same([next.take(), next.take(), next.length], [0, 2, 3]);
  t.same([slots.take(), slots.length], [2, 3], 'as they were');
});
