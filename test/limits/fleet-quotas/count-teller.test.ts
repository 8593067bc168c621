/** Which counts are told first when not all can be. */
import t from 'tap';
import { CountTeller } from '../../../src/limits/fleet-quotas/count-teller.ts';
import { OriginLog } from '../../../src/limits/fleet-quotas/origin-log.ts';
import { CounterStore } from '../../../src/limits/quotas/counter-store.ts';
import { actorOf } from './world.ts';

const actor = actorOf(1);
const never = (): boolean => false;

t.test('the heaviest goes first, whoever waits longer; what must go goes', async (t) => {
  const counters = new CounterStore({ actor });
  const log = new OriginLog(actor);
  const teller = new CountTeller(counters, log);
  const count = (tenant: string, units: number, day = 100): void =>
    counters.add(counters.open(tenant, 'api_calls', day), units);
  const told = (): string[] => [...log.rows()].map(({ tenant, x }) => `${tenant} ${x}`);
  count('hard', 1);
  for (let i = 0; i < 9; i++) count(`rare-${i}`, 1);
  count('busy', 50);
  teller.tell(1, ({ tenant }) => tenant === 'hard');
  t.same(told(), ['hard 1']);
  teller.tell(50, never);
  t.equal(told()[1], 'busy 50');
  count('busy', 70);
  counters.refund(counters.open('rare-8', 'api_calls', 100), 1);
  teller.tell(10, never);
  t.equal(told()[1], 'busy 120', 'again before those that were never told');
  t.equal(teller.waiting, 8);
  teller.tell(45, never);
  t.equal(told().at(-1), 'rare-8 1', 'what was given back weighs as well');
  count('old', 1, 90);
  teller.tell(0, never);
  t.equal(teller.waiting, 8);
  teller.drop(100);
  t.equal(teller.waiting, 7, 'of a day that is over nothing is told any more');
  teller.tell(Number.POSITIVE_INFINITY, never);
  t.equal(teller.waiting, 0);
  t.ok(told().includes('rare-0 1'));
});
