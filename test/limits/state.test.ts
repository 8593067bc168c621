/** What a slot of a tenant takes of memory, and when: arrays that nobody needs are not there. */
import t from 'tap';
import type { TenantId, TenantIndex } from '../../src/core/index.ts';
import { LimitState } from '../../src/limits/state.ts';
import type { RequestRate, Tenant } from '../../src/tenants/index.ts';

const PLAIN: RequestRate = { perSec: 10, burst: 5, credits: undefined, text: '10/s' };
const BANKING: RequestRate = { ...PLAIN, credits: { earn: 0.5, capUnits: 100 } };
const tenantOf = (index: number, requests: RequestRate): Tenant =>
  ({ id: `t${index}` as TenantId, index: index as TenantIndex, allowance: { requests } }) as Tenant;

t.test(
  'a bank opens with the first that may save, for all that may from then on, and holds nothing of before',
  async (t) => {
    const state = new LimitState();
    state.reserve(4);
    const [saver, plain, late, settled] = [BANKING, PLAIN, BANKING, PLAIN].map((rate, at) => tenantOf(at, rate)) as [
      Tenant,
      Tenant,
      Tenant,
      Tenant,
    ];
    state.claim(plain, 1, 0);
    state.claim(saver, 1, 0);
    state.claim(settled, 1, 0);
    state.settle(settled, settled, 500);
    t.equal(state.credit(plain.index, PLAIN, 1000), 0);
    t.equal(state.credit(saver.index, BANKING, 1000), 0, 'it opens');
    t.equal(state.credit(saver.index, BANKING, 2000), 5, 'half of what flowed past in a second');
    // Who comes late, and who is promised it late, begins then.
    state.claim(late, 1, 10_000);
    t.equal(state.credit(late.index, BANKING, 11_000), 5);
    state.settle(settled, tenantOf(3, BANKING), 20_000);
    t.equal(state.credit(settled.index, BANKING, 21_000), 5);
    // Who is gone leaves nothing.
    state.forget(saver.index, 2);
    state.claim(tenantOf(0, BANKING), 3, 30_000);
    t.equal(state.credit(saver.index, BANKING, 30_000), 0);
    // A tenancy that grows has room in it.
    state.reserve(9);
    state.claim(tenantOf(8, BANKING), 1, 40_000);
    t.equal(state.credit(8 as TenantIndex, BANKING, 40_000), 0);
    t.equal(state.credit(saver.index, BANKING, 40_000), 50);
  },
);

t.test('whoever comes to a slot was over nothing, and is on no rung', async (t) => {
  const state = new LimitState();
  state.reserve(2);
  const lasting = [state.over, state.staysDegraded, state.staysDeprioritized];
  for (const each of lasting) for (const now of [0, 1000]) each.mark(1, now);
  state.reserve(9);
  t.ok(lasting.every((each) => each.isOn(1, 1000)));
  for (const each of lasting) for (const now of [0, 1000]) each.mark(8, now);
  t.ok(lasting.every((each) => each.isOn(8, 1000)));
  state.forget(1 as TenantIndex, 2);
  t.notOk(lasting.some((each) => each.isOn(1, 1000)));
});
