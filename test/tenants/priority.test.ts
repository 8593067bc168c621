import { readdirSync, readFileSync } from 'node:fs';
import { getPriority, platform } from 'node:os';
import t from 'tap';
import { helpersStepBack } from '../../src/tenants/priority.ts';
import { tenancyForTest } from '../helpers/open-tenancy.ts';
import { makeTenancy, tenant } from '../helpers/tenancy.ts';

/** How nice the threads of this process are, by their names. */
function niceOf(name: string): number[] {
  const threads = readdirSync('/proc/self/task').filter(
    (id) => readFileSync(`/proc/self/task/${id}/comm`, 'utf8') === `${name}\n`,
  );
  return threads.map((id) => getPriority(Number(id)));
}

t.test(
  'beside a reload the loop goes first',
  { skip: platform() !== 'linux' && 'a priority of a thread' },
  async (t) => {
    const dir = makeTenancy();
    const own = getPriority();
    const below = Math.max(own, 10);
    const tenancy = await tenancyForTest(t, dir);
    const helpers = niceOf('V8Worker');
    t.ok(helpers.length > 0 && helpers.every((nice) => nice === own), 'a start has all that V8 can give');
    dir.write('more.yaml', tenant('initech'));
    await tenancy.refresh();
    t.ok(tenancy.snapshot.tenants.get('initech'));
    t.ok(
      niceOf('V8Worker').every((nice) => nice === below),
      'what V8 does for the loader waits for the loop',
    );
    t.equal(getPriority(), own, 'the loop is as it was');
  },
);

t.test('where the system does not tell of threads, nothing changes', async (t) => {
  const before = getPriority();
  t.doesNotThrow(() => helpersStepBack('/proc/self/no-such-directory'));
  t.equal(getPriority(), before);
});
