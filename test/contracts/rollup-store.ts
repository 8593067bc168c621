/** What every store of sums must do: run over each implementation, held against a list of rows that is summed up anew. */
import type { Test } from 'tap';
import type { Dimension, Question, RollupStore } from '../../src/collector/rollups.ts';
import { DIMENSIONS } from '../../src/collector/rollups.ts';
import type { UsageRecord } from '../../src/metering/usage-record.ts';
import { MemoryRollups } from '../collector/memory-rollups.ts';
import { T0, usage, windowsOf } from '../collector/told.ts';

const HOUR_S = 3600;
/** A whole hour. */
export const BEGIN_S: number = Math.floor(T0 / 3_600_000) * HOUR_S;

/** Opens the store; again: what was saved is there. */
export type OpenStore = () => Promise<RollupStore>;

export async function rollupStoreContract(t: Test, name: string, fresh: () => OpenStore): Promise<void> {
  t.test(`${name}: answers are those of the rows, by whatever is asked`, async (t) => {
    const store = await fresh()();
    const model = new MemoryRollups();
    const random = seeded(11);
    for (let i = 0; i < 6; i++) {
      const payload = windowsOf(Array.from({ length: 300 }, () => record(random)));
      const service = ['orders', 'billing'][i % 2] as string;
      await Promise.all([store.apply(service, payload), model.apply(service, payload)]);
    }
    for (let i = 0; i < 15; i++) {
      const question = questionBy(random);
      t.same(await store.query(question), await model.query(question), JSON.stringify(question));
    }
    await store.close();
  });

  t.test(`${name}: saving, sealing and opening again change no answer; what comes late is added`, async (t) => {
    const open = fresh();
    let store = await open();
    const model = new MemoryRollups();
    const random = seeded(23);
    t.equal(store.word, undefined);
    for (let round = 0; round < 4; round++) {
      const payload = windowsOf(Array.from({ length: 200 }, () => record(random)));
      await Promise.all([store.apply('orders', payload), model.apply('orders', payload)]);
      const sealS = BEGIN_S + round * HOUR_S;
      t.equal(await store.save(`word ${round}`, sealS), await hoursBefore(model, sealS, round));
      await store.tidy(BEGIN_S + round * HOUR_S + 600, BEGIN_S + round * HOUR_S + 600);
      if (round % 2 === 1) {
        await store.close();
        store = await open();
      }
      t.equal(store.word, `word ${round}`);
      for (let i = 0; i < 5; i++) {
        const question = { ...questionBy(random), ...(i % 2 === 0 ? {} : { source: 'minutes' as const, stepS: 60 }) };
        t.same(await store.query(question), await model.query(question), JSON.stringify(question));
      }
    }
    // What was applied and not saved is applied again by its owner.
    await store.apply('orders', windowsOf([usage()]));
    await store.close();
    store = await open();
    const all: Question = { source: 'hours', fromS: 0, toS: 4e9, by: [], where: {}, rowsMax: 99, isTop: false };
    t.same(await store.query(all), await model.query(all));
    await store.tidy(BEGIN_S + 40 * 86_400, BEGIN_S + 40 * 86_400);
    t.same(await store.query(all), await model.query(all), 'merged files say the same');
    await store.close();
  });

  t.test(`${name}: more rows than asked for are refused, the top is cut`, async (t) => {
    const store = await fresh()();
    await store.apply('orders', windowsOf(['a', 'b', 'c'].map((tenant, i) => usage({ tenant, bytesIn: i }))));
    const question: Question = {
      source: 'hours',
      fromS: 0,
      toS: 4e9,
      by: ['tenant'],
      where: {},
      meter: 'bytes_in',
      rowsMax: 2,
      isTop: false,
    };
    t.same(await store.query(question), { tooMany: 2 });
    t.match(await store.query({ ...question, isTop: true }), [
      { of: ['c'], value: 2 },
      { of: ['b'], value: 1 },
    ]);
    t.same(await store.query({ ...question, meter: "x'; DROP TABLE hot; --", where: { tenant: "' OR 1=1 --" } }), []);
    t.same(await store.query({ ...question, rowsMax: 3, where: { tenant: 'a' } }), [
      { of: ['a'], meter: 'bytes_in', value: 0 },
    ]);
    await store.close();
  });

  t.test(`${name}: a side that calls an operation by another name makes no difference`, async (t) => {
    const store = await fresh()();
    const model = new MemoryRollups();
    for (const [tenant, sent, arrived, lost] of OTHER_SIDES) {
      const at = { tenant, wallMs: BEGIN_S * 1000 };
      const failed = { ...at, upstream: 'payments', outcome: 'failed', operation: 'edge/failed', hop: 1 } as const;
      const both = Array.from({ length: 3 }, () => ({ ...at, operation: 'edge/list', hop: 1 }));
      for (const [service, records] of [
        ['orders', [...Array.from({ length: 5 }, () => ({ ...at, upstream: 'payments', ...sent })), failed]],
        ['orders', both.map((each) => ({ ...each, upstream: 'payments' }))],
        ['payments', [...Array.from({ length: 5 - lost }, () => ({ ...at, ...arrived })), ...both]],
      ] as const) {
        const payload = windowsOf(records.map((each) => usage(each)));
        await Promise.all([store.apply(service, payload), model.apply(service, payload)]);
      }
    }
    const found = await store.reconcile(BEGIN_S, BEGIN_S + HOUR_S, 10);
    t.match(found.differences, [{ tenant: 'lost', operation: 'edge/checkout', sent: 5, unsure: 0, arrived: 4 }]);
    t.equal(found.differences.length, 1);
    t.equal(found.compared, 1 + 1 + 3, 'what only failed on its way is no reason to compare all in one');
    t.same(found, await model.reconcile(BEGIN_S, BEGIN_S + HOUR_S, 10));
    await store.close();
  });

  t.test(`${name}: both sides of a hop are held against each other`, async (t) => {
    const store = await fresh()();
    const model = new MemoryRollups();
    const sent = (tenant: string, count: number, more: object = {}) =>
      Array.from({ length: count }, () => usage({ tenant, upstream: 'billing', ...more }));
    const arrived = (tenant: string, count: number, more: object = {}) =>
      Array.from({ length: count }, () => usage({ tenant, ...more }));
    const began = (route: string) => ({ operation: `orders/${route}`, hop: 1 });
    for (const [service, records] of [
      [
        'orders',
        [...sent('acme', 10), ...sent('globex', 5), ...sent('globex', 3, { outcome: 'failed' }), ...sent('same', 4)],
      ],
      [
        'orders',
        [
          ...sent('told', 5, { route: 'list' }),
          ...sent('told', 5, { route: 'pay' }),
          ...sent('half', 3, { route: 'pay' }),
        ],
      ],
      [
        'orders',
        [...sent('acme', 2, { outcome: 'denied' }), usage({ upstream: 'outside' }), usage({ outcome: 'reported' })],
      ],
      ['billing', [...arrived('acme', 8), ...arrived('globex', 7), ...arrived('same', 4), ...arrived('direct', 6)]],
      ['billing', [...arrived('told', 4, began('list')), ...arrived('told', 6, began('pay'))]],
      ['billing', [...arrived('half', 2, began('pay')), ...arrived('half', 2)]],
    ] as const) {
      const payload = windowsOf(records);
      await Promise.all([store.apply(service, payload), model.apply(service, payload)]);
    }
    const found = await store.reconcile(BEGIN_S, BEGIN_S + HOUR_S, 10);
    t.match(found, {
      services: 1,
      compared: 7,
      differences: [
        { service: 'billing', tenant: 'direct', operation: '', sent: 0, unsure: 0, arrived: 6 },
        { service: 'billing', tenant: 'acme', hourS: BEGIN_S, operation: '', sent: 10, unsure: 0, arrived: 8 },
        // One that was lost is no longer hidden by one that was counted twice, where all say which operation they are of.
        { tenant: 'half', operation: '', sent: 3, arrived: 4 },
        { tenant: 'told', operation: 'orders/list', sent: 5, unsure: 0, arrived: 4 },
        { tenant: 'told', operation: 'orders/pay', sent: 5, unsure: 0, arrived: 6 },
      ],
    });
    t.equal(found.differences.length, 5, 'what failed on its way may have arrived or not');
    t.same(found, await model.reconcile(BEGIN_S, BEGIN_S + HOUR_S, 10));
    t.same((await store.reconcile(0, 3600, 10)).differences, []);
    await store.close();
  });
}

const OTHER_SIDES: readonly (readonly [string, object, object, number])[] = [
  // Beyond as many names as a sender has room for, its record says `__other__`, and what arrives has the name.
  ['full', { operation: '__other__', hop: 1 }, { operation: 'edge/checkout', hop: 2 }, 0],
  // A sidecar in the middle that is older than operations: its record begins where it is, and it hands on what came.
  ['older', {}, { operation: 'edge/checkout', hop: 1 }, 0],
  ['lost', { operation: 'edge/checkout', hop: 1 }, { operation: 'edge/checkout', hop: 2 }, 1],
];

async function hoursBefore(model: MemoryRollups, sealS: number, round: number): Promise<number> {
  // Of the store's hours, those that have something that is not sealed: each round adds to all of them.
  const rows = await model.query({
    source: 'hours',
    fromS: 0,
    toS: sealS,
    by: [],
    stepS: HOUR_S,
    where: {},
    meter: 'bytes_in',
    rowsMax: 1e6,
    isTop: false,
  });
  return round === 0 || 'tooMany' in rows ? 0 : rows.length;
}

/** Of one of five hours. */
function record(random: (below: number) => number): UsageRecord {
  const pick = <T>(of: readonly T[]): T => of[random(of.length)] as T;
  return usage({
    wallMs: BEGIN_S * 1000 + random(5 * HOUR_S * 1000),
    tenant: `t${random(9)}`,
    route: pick(['', 'orders', 'exports']),
    upstream: pick(['', '', 'billing']),
    ...pick([
      {},
      {},
      { operation: 'shop/list', hop: 1 },
      { operation: 'shop/list', hop: 2 },
      { operation: 'shop/pay', hop: 1 },
    ]),
    isPart: random(5) === 0,
    outcome: pick(['ok', 'ok', 'denied', 'failed', 'reported']),
    statusClass: random(6),
    bytesIn: random(1000),
    bytesOut: random(100_000),
    durationUs: 1000 * random(900),
    upstreamUs: 1000 * random(900),
    units: random(3) === 0 ? [{ meter: pick(['tokens', 'pages']), units: random(100) - 20 + 0.5 }] : [],
  });
}

function questionBy(random: (below: number) => number): Question {
  const pick = <T>(of: readonly T[]): T => of[random(of.length)] as T;
  const by = DIMENSIONS.filter(() => random(4) === 0) as Dimension[];
  const stepS = pick([undefined, HOUR_S, 86_400]);
  const fromS = BEGIN_S + random(4) * HOUR_S;
  const meter = pick([undefined, undefined, 'requests', 'compute_ms', 'tokens', 'none']);
  return {
    source: 'hours',
    fromS,
    toS: fromS + (1 + random(4)) * HOUR_S,
    by,
    ...(stepS === undefined ? {} : { stepS }),
    where: pick([
      {},
      { tenant: 't3' },
      { outcome: 'ok', status: '2' },
      { service: 'billing', route: '' },
      { operation: 'shop/list' },
    ]),
    ...(meter === undefined ? {} : { meter }),
    rowsMax: 100_000,
    isTop: false,
  };
}

function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}
