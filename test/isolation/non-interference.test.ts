/**
 * Non-interference: all that tenant acme sees is the same whether tenant globex exists, floods, forges, fails, is reconfigured, suspended,
 * removed, or not. Two runs of one story, one without every step of globex; what acme was told must be equal to the letter.
 */
import fc from 'fast-check';
import t from 'tap';
import type { Snapshot, Tenant } from '../../src/tenants/index.ts';
import { document, plan, tenant } from '../helpers/tenancy.ts';
import { apiKeyFor, tokenFor } from '../helpers/tokens.ts';
import { type Asking, IsolationWorld, snapshotOf } from './world.ts';

const SEED = 42;
const NAMES = ['acme', 'globex'] as const;
type Name = (typeof NAMES)[number];

const PLANS =
  plan('free', {
    rate: { requests: { limit: '10/s', burst: 6, credits: { earn: '20%', cap: '2s' } }, egress: { limit: '4KiB/s' } },
    concurrency: 6,
    quotas: {
      api_calls: {
        per: 'day',
        limit: 60,
        thresholds: [
          { at: '50%', do: 'notify' },
          { at: '90%', do: 'shape', rate: '50%' },
          { at: '150%', do: 'reject' },
        ],
      },
      bytes_out: { limit: 100_000, mode: 'hard' },
      tokens: { per: 'billing', limit: 40, mode: 'hard' },
    },
    degrade: ['credit', { shape: '150ms' }, { stale: '60s' }, { features: ['no-extras'] }, 'reject'],
  }) + plan('large', { rate: { requests: { limit: '1000/s', burst: 1000 } }, concurrency: 100 });
const ROUTES =
  document('Route', 'dear', { match: { path: '/dear' }, cost: 3, rate: { requests: { limit: '2/s', burst: 2 } } }) +
  document('Route', 'health', { match: { path: '/health' }, critical: true });

const documentOf = (name: Name, more: object = {}): string =>
  tenant(name, {
    identity: {
      claims: [`org_${name}`],
      hosts: [`${name}.test`],
      apiKeys: [{ id: name, hash: apiKeyFor(name).hash }],
    },
    ...more,
  });

/** Whose host acme tries. Not globex's: whether a host is some tenant's is as public as DNS, and acme may see it come and go. */
const umbrella = tenant('umbrella', { identity: { hosts: ['umbrella.test'] } });

/** What becomes of globex; acme's document is the same in all. */
const GENERATIONS: readonly string[] = [
  documentOf('globex'),
  documentOf('globex', { plan: 'large' }),
  documentOf('globex', { state: 'suspended' }),
  documentOf('globex', { state: 'readonly' }),
  documentOf('globex', { overrides: { rate: { requests: { limit: '1/min', burst: 1 } } } }),
  '',
  tenant('initech'),
];

async function generations(): Promise<Snapshot[]> {
  const files = { 'plans.yaml': PLANS, 'routes.yaml': ROUTES };
  const all: Snapshot[] = [];
  for (const globex of GENERATIONS)
    all.push(await snapshotOf({ ...files, 'tenants.yaml': documentOf('acme') + umbrella + globex }));
  return all;
}

const tokens: Readonly<Record<Name, Readonly<Record<string, string>>>> = {
  acme: tokensOf('acme'),
  globex: tokensOf('globex'),
};

function tokensOf(name: Name): Record<string, string> {
  const good = tokenFor(`org_${name}`);
  return {
    good,
    expired: tokenFor(`org_${name}`, { exp: 5 }),
    forged: `${good.slice(0, -6)}AAAAAA`,
    foreign: tokenFor(`org_${name}`, { aud: 'other' }),
  };
}

/** The office that both tenants sit in. Only what globex cannot prove comes from elsewhere: strangers are limited by network, together. */
const SHARED = '10.0.9.1';
const ELSEWHERE = '10.0.2.1';
const CREDENTIALS = [
  'good',
  'good',
  'good',
  'good',
  'good',
  'apiKey',
  'apiKey',
  'expired',
  'forged',
  'foreign',
  'none',
  'wrongKey',
] as const;

const step = fc.record({
  name: fc.constantFrom(...NAMES, 'globex' as const),
  gapMs: fc.constantFrom(0, 0, 0, 1, 20, 100, 700, 3000),
  credential: fc.constantFrom(...CREDENTIALS),
  method: fc.constantFrom('GET', 'GET', 'DELETE'),
  path: fc.constantFrom('/', '/', '/dear', '/health', '/t/own/x', '/t/other/x'),
  host: fc.constantFrom('any.test', 'own', 'other'),
  isForging: fc.boolean(),
  bytes: fc.constantFrom(0, 100, 9000),
  isHeld: fc.boolean(),
  /** This many at once. */
  flood: fc.constantFrom(1, 1, 1, 15),
  reload: fc.option(fc.nat(GENERATIONS.length - 1), { freq: 6 }),
});
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function askingOf({ name, credential, method, path, host, isForging, bytes, isHeld }: Step, isKnown: boolean): Asking {
  const other = name === 'acme' ? 'globex' : 'acme';
  const named = (text: string): string => text.replace('own', name).replace('other', other);
  const headers = isForging ? ['X-Tenant-Id', other, 'x~tenant~plan', 'large', 'X-Reeve-Context', other] : [];
  if (credential === 'apiKey') headers.push('X-Api-Key', apiKeyFor(name).key);
  else if (credential === 'wrongKey') headers.push('X-Api-Key', `${apiKeyFor(name).key}x`);
  else if (credential !== 'none') headers.push('Authorization', `Bearer ${tokens[name][credential]}`);
  const isProven = isKnown && (credential === 'good' || credential === 'apiKey');
  const isAgreed = !path.includes('other') && host !== 'other';
  return {
    headers,
    method,
    path: named(path),
    host: host === 'any.test' ? host : `${host === 'own' ? name : 'umbrella'}.test`,
    peer: name === 'acme' || (isProven && isAgreed) ? SHARED : ELSEWHERE,
    bytes,
    isHeld,
  };
}

/** What acme was told, line by line. */
async function toldToAcme(
  steps: readonly Step[],
  snapshots: readonly Snapshot[],
  withGlobex: boolean,
): Promise<string[]> {
  const world = new IsolationWorld();
  const told: string[] = [];
  let current = snapshots[0] as Snapshot;
  await world.use(current);
  for (const each of steps) {
    world.clock.advance(each.gapMs);
    await world.clock.yieldLoop();
    const isAcme = each.name === 'acme';
    if (!isAcme && !withGlobex) continue;
    if (!isAcme && each.reload !== null) {
      current = snapshots[each.reload] as Snapshot;
      await world.use(current);
    }
    const asking = askingOf(each, current.tenants.has(each.name));
    const tell = isAcme ? (line: string): void => void told.push(line) : (): void => {};
    for (let i = 0; i < each.flood; i++) await world.ask(asking, tell);
  }
  world.clock.advance(10_000);
  await world.clock.yieldLoop();
  world.end();
  return told;
}

async function isUndisturbed(steps: readonly Step[], snapshots: readonly Snapshot[]): Promise<boolean> {
  const alone = await toldToAcme(steps, snapshots, false);
  const together = await toldToAcme(steps, snapshots, true);
  return JSON.stringify(alone) === JSON.stringify(together);
}

t.test('nothing that one tenant does, or becomes, changes what another is told', async (t) => {
  const snapshots = await generations();
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (steps) => {
      for (const line of await toldToAcme(steps, snapshots, true)) {
        const { reply, grant } = JSON.parse(line) as { reply?: { code: string }; grant?: { decision: string } };
        const what = reply?.code ?? (grant?.decision as string);
        seen.set(what, (seen.get(what) ?? 0) + 1);
      }
      return isUndisturbed(steps, snapshots);
    }),
    { seed: SEED, numRuns: 60 },
  );
  // A story in which nothing happens would prove nothing.
  for (const what of [
    ...['pass', 'notice', 'credit', 'shape', 'stale', 'degrade', 'quota-exceeded', 'concurrency-exceeded'],
    ...['credential-missing', 'credential-invalid', 'credential-expired', 'tenant-mismatch', 'anonymous-rate'],
  ])
    t.ok((seen.get(what) ?? 0) > 0, `${what}: ${seen.get(what) ?? 0}`);
  t.comment(
    `figure isolation: ${[...seen.values()].reduce((a, b) => a + b, 0)} answers to acme, none changed by globex, seed ${SEED}`,
  );
});

t.test('the property can fail: two tenants in one slot are noticed', async (t) => {
  const [first] = await generations();
  const { tenants } = first as Snapshot;
  const acme = tenants.get('acme') as Tenant;
  const shared = { ...(tenants.get('globex') as Tenant), index: acme.index };
  const swap = (map: ReadonlyMap<string, Tenant>): ReadonlyMap<string, Tenant> =>
    new Map([...map].map(([key, each]) => [key, each.id === 'globex' ? shared : each]));
  const snapshot = {
    ...(first as Snapshot),
    tenants: swap(tenants),
    tenantByClaim: swap((first as Snapshot).tenantByClaim),
    tenantByHost: swap((first as Snapshot).tenantByHost),
    tenantByApiKeyId: swap((first as Snapshot).tenantByApiKeyId),
  };
  const sameForAll = GENERATIONS.map(() => snapshot);
  const run = await fc.check(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), (steps) => isUndisturbed(steps, sameForAll)),
    { seed: SEED, numRuns: 60, endOnFailure: true },
  );
  t.ok(run.failed);
});
