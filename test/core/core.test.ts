import t from 'tap';
import {
  BoundedMap,
  Closer,
  holdClock,
  LoopLag,
  nearest,
  quantileOf,
  ReeveError,
  releaseClock,
  renewClock,
  systemClock,
  systemRandom,
  systemTimers,
} from '../../src/core/index.ts';

t.test('a bounded map drops the least recently used entry at its bound', async (t) => {
  const map = new BoundedMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  t.equal(map.get('a'), 1, 'touched, now the newest');
  map.set('c', 3);
  t.same(
    [...map.entries()],
    [
      ['a', 1],
      ['c', 3],
    ],
  );
  t.equal(map.peek('b'), undefined);
  t.equal(map.get('b'), undefined);
  map.set('a', 9);
  t.equal(map.size, 2, 'setting an entry again takes no second place');
  t.ok(map.delete('a'));
  map.clear();
  t.equal(map.size, 0);
  t.throws(() => new BoundedMap(0), RangeError);
});

t.test('a closer closes in reverse, once, and goes on past a failure', async (t) => {
  const order: string[] = [];
  const closer = new Closer();
  closer.add(() => void order.push('first'));
  closer.add(() => {
    order.push('second');
    throw new Error('stuck');
  });
  closer.add(async () => void order.push('third'));
  await t.rejects(closer.close(), { errors: [{ message: 'stuck' }] });
  await t.rejects(closer[Symbol.asyncDispose]());
  t.same(order, ['third', 'second', 'first']);
  await new Closer().close();
});

t.test('an error reads as place, message, remedy', async (t) => {
  const cause = new Error('EACCES');
  const error = new ReeveError('file-unreadable', 'cannot be read', {
    place: 'a.yaml:1:2',
    remedy: 'grant read access',
    cause,
  });
  t.equal(String(error), 'a.yaml:1:2 cannot be read (grant read access)');
  t.equal(error.cause, cause);
  t.equal(String(new ReeveError('x', 'plain')), 'plain');
  t.equal(String(new ReeveError('x', 'as others say.')), 'as others say.');
  for (const [message, line] of [
    ['as others say.', 'as others say (mend it)'],
    ['at line 1:', 'at line 1 (mend it)'],
    ['this one?', 'this one? (mend it)'],
  ] as const)
    t.equal(String(new ReeveError('x', message, { remedy: 'mend it' })), line, 'one mark');
});

t.test('did you mean: near words only', async (t) => {
  const known = ['tenant', 'plan', 'route'];
  t.equal(nearest('tenat', known), 'tenant');
  t.equal(nearest('Plan', known), 'plan');
  t.equal(nearest('plna', known), 'plan', 'two letters that changed places are one slip');
  t.equal(nearest('quota', known), undefined);
  t.equal(nearest('x', known), undefined);
});

t.test('random hex has the asked length, also across refills', async (t) => {
  const seen = new Set<string>();
  for (let i = 0; i < 5000; i++) seen.add(systemRandom.hex(16));
  t.equal(seen.size, 5000);
  for (const text of seen) if (!/^[0-9a-f]{32}$/.test(text)) t.fail(text);
  t.throws(() => systemRandom.hex(40_000), RangeError);
  const float = systemRandom.float();
  t.ok(float >= 0 && float < 1);
});

t.test('timers run, repeat, cancel and yield', async (t) => {
  const before = systemClock.now();
  await systemTimers.sleep(5);
  await systemTimers.yieldLoop();
  t.ok(systemClock.now() - before >= 4);
  t.ok(Math.abs(systemClock.wallMs() - Date.now()) < 1000);
  let ticks = 0;
  const cancelled = systemTimers.after(1, () => t.fail('cancelled timers do not run'));
  cancelled.cancel();
  await new Promise<void>((resolve) => {
    const timer = systemTimers.every(1, () => {
      if (++ticks < 3) return;
      timer.cancel();
      resolve();
    });
    systemTimers.after(1, () => {});
    // The timers above do not keep the process alive; this one does until they ran.
    setTimeout(() => {}, 50);
  });
  t.equal(ticks, 3);
});

t.test('a clock that is held says the same until it is released', async (t) => {
  const tick = (): void => {
    for (const until = performance.now() + 2; performance.now() < until; );
  };
  const before = systemClock.now();
  tick();
  holdClock();
  const held = systemClock.now();
  t.ok(held - before >= 2, 'it was read when it was held');
  tick();
  t.equal(systemClock.now(), held);
  renewClock();
  const renewed = systemClock.now();
  t.ok(renewed - held >= 2);
  tick();
  t.equal(systemClock.now(), renewed);
  releaseClock();
  t.ok(systemClock.now() - renewed >= 2);
  renewClock();
  const free = systemClock.now();
  tick();
  t.ok(systemClock.now() - free >= 2, 'nobody holds it');
});

t.test('a timer that is asked for more than setTimeout can bear does not fire at once', async (t) => {
  const early = (): void => void t.fail('fired');
  const timers = [systemTimers.after(365 * 86_400e3, early), systemTimers.every(2 ** 40, early)];
  await systemTimers.sleep(20);
  for (const each of timers) each.cancel();
});

t.test('what waits for the poll runs once, behind what is due in this turn', async (t) => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    systemTimers.afterPoll(() => {
      order.push('after the poll');
      resolve();
    });
    process.nextTick(() => order.push('this turn'));
  });
  t.same(order, ['this turn', 'after the poll']);
});

t.test('the lag of the loop is measured, and of the last moments only what was asked for', async (t) => {
  const lag = new LoopLag({ clock: systemClock, timers: systemTimers });
  t.same([...lag.over(1000)], [], 'nothing yet');
  await systemTimers.sleep(150);
  const until = systemClock.now() + 400;
  while (systemClock.now() < until);
  await systemTimers.sleep(250);
  t.ok(lag.takeWorst() >= 250);
  t.ok(lag.takeWorst() < 250, 'once');
  const all = lag.over(60_000);
  t.ok((all.at(-1) as number) >= 250, `late by ${all.join(', ')} ms`);
  t.ok(quantileOf(all, 0) <= quantileOf(all, 0.5));
  t.ok(lag.over(100).length === 1 && all.length >= 3);
  t.equal(quantileOf(new Float64Array(0), 0.5), 0);
  lag.close();
});
