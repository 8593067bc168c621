/** What is deleted goes by a clock that cannot jump. */
import t from 'tap';
import type { Collector, CollectorOptions } from '../../src/collector/collector.ts';
import { RetentionClock, retentionStart } from '../../src/collector/retention-clock.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { VirtualTime } from '../metering/world.ts';
import { T0, Teller } from './told.ts';
import { World } from './world.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Time goes on in steps in which the collector tends. */
class Retaining extends World {
  constructor() {
    super();
    this.time.wall = T0;
  }

  override open(more: Partial<CollectorOptions> = {}): Promise<Collector> {
    return super.open({ keepLedgerMs: 400 * DAY, ...more });
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 10_000) await this.run(10_000);
  }

  get segments(): number {
    return [...this.disk.files.keys()].filter((path) => path.endsWith('.wal')).length;
  }
}

t.test('a step of the clock by more than all is kept deletes nothing, here and behind a start', async (t) => {
  const w = new Retaining();
  let { collector } = await w.told(new Teller(), 5);
  await collector.settle();
  await collector.save();
  const { segments } = w;
  t.ok(segments >= 5);
  w.time.wall += 410 * DAY;
  await w.pass(20_000);
  await collector.save();
  t.equal(w.segments, segments);
  t.ok(w.store.retainedS * 1000 <= T0 + 60_000, 'nor are sums');
  const said = w.events.filter((event) => event === 'collector.clock_jumped');
  t.equal(said.length, 1, 'said once');
  for (let i = 0; i < 3; i++) {
    await collector.close();
    collector = await w.open();
    await w.pass(20_000);
    await collector.save();
  }
  t.ok(w.segments >= segments);
  t.ok(w.store.retainedS * 1000 < T0 + HOUR, `${w.store.retainedS}`);
  w.time.wall -= 410 * DAY;
  await w.pass(200_000);
  t.ok(w.store.retainedS * 1000 >= T0 + 200_000, 'and it goes on');
  w.time.wall += 410 * DAY;
  await collector.close();
  collector = await w.open({ trustsClock: true });
  const before = w.segments;
  await collector.save();
  t.ok(w.segments < before, 'a person says that the clock is right');
  await collector.close();
});

t.test('a jump that lasts is caught up with after as long as it was wide; one back is waited for', (t) => {
  const time = new VirtualTime();
  time.wall = T0;
  const said: object[] = [];
  const clock = new RetentionClock(time, { ...silentLog, warn: (_, facts) => void said.push(facts ?? {}) }, T0 + DAY);
  t.equal(clock.nowMs(), T0, 'no later than the wall clock');
  time.advance(1000);
  t.equal(clock.nowMs(), T0 + 1000);
  time.wall += HOUR / 2;
  clock.nowMs();
  t.same(said, [], 'not of each');
  time.advance(HOUR / 2);
  t.equal(clock.nowMs(), time.wall);
  time.wall += 10 * DAY;
  t.equal(clock.nowMs(), time.wall - 10 * DAY);
  t.match(said, [{ aheadSec: 864_000 }]);
  time.advance(4 * DAY);
  t.equal(clock.nowMs(), time.wall - 6 * DAY);
  time.advance(6 * DAY);
  t.equal(clock.nowMs(), time.wall);
  time.wall += 2 * DAY;
  clock.nowMs();
  t.equal(said.length, 2, 'each is said');
  time.wall -= 3 * DAY;
  t.equal(clock.nowMs(), time.wall, 'never later than the wall clock');
  time.wall += DAY;
  t.equal(clock.nowMs(), time.wall, 'and where it was when that is right again');
  t.end();
});

t.test('where it goes on at a start', (t) => {
  const saved = { retainedMs: T0, savedMs: T0 + 5000 };
  t.equal(retentionStart(saved, 0, T0 + 65_000), T0 + 60_000, 'by the time that it was away');
  t.equal(retentionStart(saved, 0, T0 + 400 * DAY), T0 + DAY, 'a day at most');
  t.equal(retentionStart(saved, 0, T0 - DAY), T0 - DAY);
  t.equal(retentionStart({ retainedMs: T0, savedMs: T0 + 400 * DAY }, 0, T0 + DAY), T0, 'the clock has gone back');
  t.equal(retentionStart(undefined, 0, T0), T0, 'the first');
  t.equal(retentionStart({}, T0, T0 + 400 * DAY), T0 + DAY, 'of a version that saved none, and for a rebuild');
  t.end();
});
