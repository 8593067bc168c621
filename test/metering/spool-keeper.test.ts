/** Which spool there is while the disk fails, on a clock and a disk of the test. */
import t from 'tap';
import { systemRandom } from '../../src/core/index.ts';
import type { Incidents } from '../../src/metering/incidents.ts';
import { SpoolKeeper } from '../../src/metering/spool-keeper.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { MemoryDisk } from './memory-disk.ts';

/** A keeper whose disk fails; each try to open takes so long, ms. */
function failing(tookMs: number) {
  const clock = new ManualClock();
  const disk = new MemoryDisk();
  const tries = { count: 0 };
  disk.refuse = (call) => {
    if (call !== 'sync') return;
    tries.count++;
    clock.advance(tookMs);
    throw Object.assign(new Error('the disk fails'), { code: 'EIO' });
  };
  const incidents = new Proxy({}, { get: () => () => {} }) as Incidents;
  const keeper = new SpoolKeeper({
    config: { dir: '/spool', maxBytes: 2 ** 30 } as never,
    ...{ disk, clock, timers: clock, random: systemRandom, incidents, onChange: () => {}, onAgain: () => {} },
  });
  keeper.open();
  return { clock, disk, keeper, tries };
}

function looks({ clock, keeper }: ReturnType<typeof failing>, seconds: number): void {
  for (let passed = 0; passed < seconds; passed++) {
    clock.advance(1000);
    keeper.look();
  }
}

t.test(
  'a try that takes long is made less often, a minute apart at last; one that does not, each second',
  async (t) => {
    for (const [tookMs, least, most] of [
      [0, 100, 100],
      [150, 5, 8],
      [10_000, 1, 3],
    ] as const) {
      const failed = failing(tookMs);
      const { tries, disk, keeper } = failed;
      t.equal(tries.count, 1);
      tries.count = 0;
      looks(failed, 100);
      t.ok(tries.count >= least && tries.count <= most, `${tookMs} ms: ${tries.count} tries in 100 s`);
      t.equal(keeper.spool, undefined);
      disk.refuse = undefined;
      looks(failed, 60);
      t.not(keeper.spool, undefined);
      keeper.close();
    }
  },
);
