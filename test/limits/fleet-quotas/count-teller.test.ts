/** Which counts are told first when not all can be. */
import t from 'tap';
import { CountTeller } from '../../../src/limits/fleet-quotas/count-teller.ts';
import { OriginLog } from '../../../src/limits/fleet-quotas/origin-log.ts';
import { CounterStore } from '../../../src/limits/quotas/counter-store.ts';
import { actorOf } from './world.ts';

const actor = actorOf(1);

t.test('the heaviest goes first, whoever waits longer; what is asked for goes at once', async (t) => {
  const counters = new CounterStore({ actor });
  const log = new OriginLog(actor);
  const teller = new CountTeller(counters, log);
  const count = (tenant: string, units: number, day = 100): void =>
    counters.add(counters.open(tenant, 'api_calls', day), units);
  const told = (): string[] => [...log.rows()].map(({ tenant, x }) => `${tenant} ${x}`);
  const tell = (bytes: number): void => {
    teller.begin(bytes);
    teller.turn();
  };
  count('hard', 1);
  for (let i = 0; i < 9; i++) count(`rare-${i}`, 1);
  count('busy', 50);
  t.ok(teller.tellOf('hard', 'api_calls'));
  t.ok(teller.tellOf('hard', 'bytes_in'), 'of which nothing is counted');
  t.same(told(), ['hard 1']);
  tell(40);
  t.same(told(), ['hard 1', 'busy 50']);
  count('busy', 70);
  counters.refund(counters.open('rare-8', 'api_calls', 100), 1);
  tell(10);
  t.equal(told()[1], 'busy 120', 'again before those that were never told');
  t.equal(teller.waiting, 9);
  tell(45);
  t.equal(told().at(-1), 'rare-8 1', 'what was given back weighs as well');
  count('rare-3', 1);
  tell(45);
  t.equal(told().at(-1), 'rare-3 2');
  count('old', 1, 90);
  tell(0);
  t.equal(teller.waiting, 8);
  t.notOk(teller.isBehind);
  teller.drop(100);
  t.equal(teller.waiting, 7, 'of a day that is over nothing is told any more');
  count('rare-0', 1);
  teller.tellOf('rare-0', 'api_calls');
  tell(Number.POSITIVE_INFINITY);
  t.equal(teller.waiting, 0);
  t.ok(told().includes('rare-0 2') && told().includes('rare-1 1'));
});

t.test('a turn takes in, and tells, so many rows; the rest comes in the next', async (t) => {
  const counters = new CounterStore({ actor });
  const log = new OriginLog(actor);
  const teller = new CountTeller(counters, log);
  for (let i = 0; i < 25; i++) counters.add(counters.open(`tenant-${i}`, 'api_calls', 100), 1);
  teller.begin(Number.POSITIVE_INFINITY);
  const sizes: number[] = [];
  for (let i = 0; i < 6; i++) {
    teller.turn(10);
    sizes.push(log.size);
    // What begins while it is behind changes nothing.
    teller.begin(Number.POSITIVE_INFINITY);
  }
  t.same(sizes, [0, 0, 10, 20, 25, 25]);
  counters.add(counters.open('tenant-0', 'api_calls', 100), 1);
  teller.begin(Number.POSITIVE_INFINITY);
  t.ok(teller.isBehind);
  teller.turn(10);
  teller.turn(10);
  t.notOk(teller.isBehind);
  const full = new CountTeller(counters, new OriginLog(actor, 3));
  t.notOk(
    full.tellOf('tenant-0', 'api_calls') &&
      full.tellOf('tenant-1', 'api_calls') &&
      [2, 3].every((each) => full.tellOf(`tenant-${each}`, 'api_calls')),
  );
});
