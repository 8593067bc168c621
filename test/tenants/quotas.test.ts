/** Quotas as documents say them: judged, compiled, laid over, compared. */
import t from 'tap';
import { diffSnapshots, formatFinding, inspectTenancy, type Snapshot } from '../../src/tenants/index.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';

async function inspect(plans: string, tenants: string): Promise<{ snapshot: Snapshot; found: string[] }> {
  const dir = makeTenancy({ 'plans.yaml': plans, 'tenants.yaml': tenants });
  const { snapshot, findings } = await inspectTenancy(dir.dir);
  dir.cleanUp();
  return { snapshot, found: findings.map(formatFinding) };
}

const judged = async (quotas: object, more: object = {}): Promise<string[]> =>
  (await inspect(plan('free', { quotas, ...more }), tenant('acme'))).found.filter((each) => each.includes('quotas'));

t.test('a quota that can be meant is accepted without a word', async (t) => {
  const rate = { requests: { limit: '10/s' } };
  t.same(
    await judged(
      {
        api_calls: {
          per: 'month',
          limit: '5_000_000',
          mode: 'soft',
          thresholds: [
            { at: '80%', do: 'notify' },
            { at: '100%', do: 'shape', rate: '50%' },
            { at: '110%', do: 'degrade' },
            { at: '125%', do: 'reject' },
          ],
        },
        llm_tokens: { per: 'day', limit: 2_000_000, unit: 'tokens', mode: 'hard', estimate: 500 },
        storage_bytes: { gauge: true, limit: '10GiB' },
        bytes_out: { per: 'billing', limit: '1TB', thresholds: [{ at: '100%', do: 'shape', rate: '5/min' }] },
      },
      { rate },
    ),
    [],
  );
});

t.test('what cannot be meant is an error that says what to write', async (t) => {
  const shape = (threshold: object): object => ({ api_calls: { limit: 5, thresholds: [threshold] } });
  for (const [quotas, pattern] of [
    [{ api_calls: {} }, /quotas\.api_calls.*limit/],
    [{ api_calls: { limit: 0 } }, /limit/],
    [{ api_calls: { limit: '0' } }, /expected a quota from 0\.001 to .*use at least 0\.001/],
    [{ api_calls: { limit: '5000TB' } }, /use at most 1_000_000_000_000_000/],
    [{ api_calls: { limit: 'many' } }, /expected a quota such as 5_000_000/],
    [{ 'Api-Calls': { limit: 5 } }, /Api-Calls/],
    [{ seats: { limit: 5, gauge: true, per: 'day' } }, /a gauge has no window \(leave out per, or gauge\)/],
    [{ bytes_in: { limit: 5, gauge: true } }, /bytes_in is counted here and is no level/],
    [
      {
        api_calls: {
          limit: 5,
          thresholds: [
            { at: '80%', do: 'notify' },
            { at: '80%', do: 'reject' },
          ],
        },
      },
      /is not above 80% before it/,
    ],
    [shape({ at: '2000%', do: 'notify' }), /use at most 1000%/],
    [shape({ at: '100%', do: 'shape' }), /shape needs a rate \(such as rate: 50%\)/],
    [shape({ at: '100%', do: 'reject', rate: '5/s' }), /reject has no rate/],
    [shape({ at: '100%', do: 'shape', rate: '0/s' }), /use at least 0\.1\/d/],
    [shape({ at: '100%', do: 'shape', rate: '200%' }), /use at most 100%/],
    [shape({ at: '100%', do: 'shape', rate: '50%' }), /no request rate to take a share of \(such as rate: 10\/s\)/],
    [Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`m${i}`, { limit: 5 }])), /quotas/],
  ] as const)
    t.match((await judged(quotas)).join('\n'), pattern, JSON.stringify(quotas));
  const { found } = await inspect(
    plan('free'),
    tenant('acme', { billingDay: 32 }) + tenant('globex', { overrides: { quotas: { m: { limit: '0' } } } }),
  );
  t.match(found.join('\n'), /billingDay/);
  t.match(found.join('\n'), /overrides\.quotas\.m\.limit: expected a quota/);
});

t.test('compiled: units, marks, shares of the rate; a tenant lays limits over its plan', async (t) => {
  const { snapshot, found } = await inspect(
    plan('free', {
      rate: { requests: { limit: '10/s' } },
      quotas: {
        api_calls: {
          limit: 100,
          thresholds: [
            { at: '50%', do: 'shape', rate: '50%' },
            { at: '60%', do: 'shape', rate: '3/s' },
            { at: '100%', do: 'reject' },
          ],
        },
        seats: { gauge: true, limit: '5', unit: 'people' },
        compute_ms: { limit: 7, per: 'day', mode: 'hard' },
      },
    }) + plan('bare'),
    tenant('acme', { billingDay: 15 }) +
      tenant('globex', {
        overrides: {
          rate: { requests: { limit: '40/s' } },
          quotas: {
            api_calls: { limit: 200, per: 'day', mode: 'hard' },
            seats: { limit: 9, per: 'day', mode: 'soft' },
            tokens: { limit: '1kB' },
          },
        },
      }) +
      tenant('initech', { overrides: { concurrency: 5 } }) +
      tenant('umbrella', { plan: 'bare' }),
  );
  t.same(found, []);
  const of = (name: string) => snapshot.tenants.get(name);
  t.match(of('acme'), { billingDay: 15 });
  t.match(of('globex'), { billingDay: 1 });
  t.same(of('umbrella')?.allowance.quotas, []);
  t.match(of('acme')?.allowance.quotas, [
    {
      meter: 'api_calls',
      source: 'calls',
      per: 'month',
      limit: 100,
      unit: 'requests',
      isHard: false,
      thresholds: [
        { at: 50, perSec: 5 },
        { at: 60, perSec: 3 },
        { at: 100, perSec: Number.POSITIVE_INFINITY },
      ],
    },
    {
      meter: 'seats',
      source: 'reported',
      per: 'none',
      limit: 5,
      unit: 'people',
      thresholds: [{ at: 4, text: '80%', action: 'notify' }, { at: 5 }],
    },
    { meter: 'compute_ms', source: 'compute_ms', per: 'day', unit: 'ms', isHard: true },
  ]);
  t.match(of('globex')?.allowance.quotas, [
    {
      meter: 'api_calls',
      per: 'day',
      limit: 200,
      isHard: true,
      thresholds: [{ at: 100, perSec: 20 }, { at: 120, perSec: 3 }, { at: 200 }],
    },
    { meter: 'seats', per: 'none', limit: 9, isHard: false },
    { meter: 'compute_ms', limit: 7 },
    { meter: 'tokens', per: 'month', limit: 1000, unit: 'tokens' },
  ]);
  t.match(of('initech')?.allowance.quotas, [{ limit: 100, thresholds: [{ perSec: 5 }, {}, {}] }, {}, {}]);
  const bare = await inspect(
    plan('free', { quotas: { api_calls: { limit: 100, thresholds: [{ at: '50%', do: 'shape', rate: '3/s' }] } } }),
    tenant('acme', { overrides: { quotas: { tokens: { limit: 5, mode: 'hard' } } } }),
  );
  t.match(bare.snapshot.tenants.get('acme')?.allowance.quotas, [
    { thresholds: [{ perSec: 3 }] },
    { meter: 'tokens', isHard: true },
  ]);
});

t.test('a difference is told in the words of the documents', async (t) => {
  const at = async (quotas: object, more: object = {}): Promise<Snapshot> =>
    (await inspect(plan('free', { rate: { requests: { limit: '1/s' } }, quotas }), tenant('acme', more))).snapshot;
  const before = await at({ api_calls: { limit: 100 }, seats: { gauge: true, limit: 5 } });
  const after = await at(
    { api_calls: { limit: 200, mode: 'hard', estimate: 4, thresholds: [{ at: '90%', do: 'shape', rate: '50%' }] } },
    { billingDay: 3, overrides: { quotas: { api_calls: { limit: 300 } } } },
  );
  const changes = diffSnapshots(before, after).map(({ name, changes: each }) => [
    name,
    each.map((one) => `${one.key}: ${one.before} → ${one.after}`).sort(),
  ]);
  t.same(changes, [
    [
      'free',
      [
        'quotas.api_calls.estimate: undefined → 4',
        'quotas.api_calls.limit: 100 → 200',
        'quotas.api_calls.mode: soft → hard',
        'quotas.api_calls.thresholds: [80% notify, 100% notify] → [90% shape 50%]',
        'quotas.seats.gauge: true → undefined',
        'quotas.seats.limit: 5 → undefined',
        'quotas.seats.mode: soft → undefined',
        'quotas.seats.thresholds: [80% notify, 100% notify] → undefined',
        'quotas.seats.unit: seats → undefined',
      ],
    ],
    ['acme', ['billingDay: 1 → 3', 'overrides.quotas.api_calls.limit: undefined → 300']],
  ]);
});
