/** A collector that has nothing of before any more: nobody spends on its word. */
import t from 'tap';
import { Allowance, freeOf } from '../../../src/limits/fleet-quotas/allowance.ts';
import { Fleet, type Sidecar } from './world.ts';

t.test('what a collector forgot is no longer a reason to spend, until it is told again', async (t) => {
  const fleet = await Fleet.of({ api_calls: { per: 'day', limit: 3000, mode: 'hard' } }, 1);
  const line = fleet.line(fleet.sidecars[0] as Sidecar, 'api_calls');
  const allowance = new Allowance(() => {});
  allowance.become('held');
  allowance.open('acme', line);
  line.spent = 160;
  allowance.lacks(line, 50);
  allowance.confirm(allowance.say());
  t.equal(allowance.capOf(line), 260);
  allowance.forget();
  t.equal(allowance.capOf(line), freeOf(3000));
  allowance.confirm(allowance.say());
  t.equal(allowance.capOf(line), 260);
});
