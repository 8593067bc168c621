import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { systemClock, systemTimers, type Timer, type Timers } from '../../src/core/index.ts';
import { watchDirectory } from '../../src/tenants/documents/watch.ts';
import type { Ending } from '../helpers/sidecar.ts';

function folder(t: Ending): string {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-parts-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

t.test('the poll sees what the watcher does not', async (t) => {
  const dir = folder(t);
  const deep = join(dir, '1/2/3/4/5/6/7/8/9/10');
  mkdirSync(deep, { recursive: true });
  symlinkSync('nowhere', join(dir, 'dangling'));
  let poll = (): void => {};
  const timers: Timers = {
    ...systemTimers,
    every: (_, run): Timer => {
      poll = run;
      return { cancel() {} };
    },
  };
  let hints = 0;
  let wake = (): void => {};
  const watching = watchDirectory(dir, { clock: systemClock, timers }, () => {
    hints++;
    wake();
  });
  t.teardown(() => watching.close());
  const look = async (): Promise<void> => {
    poll();
    poll(); // One look at a time: the second call does nothing.
    await systemTimers.sleep(60);
  };
  await look();
  const settled = hints;
  await look();
  t.equal(hints, settled, 'nothing changed, nothing said');
  writeFileSync(join(deep, 'x.yaml'), 'a');
  const hinted = new Promise<void>((resolve) => {
    wake = resolve;
  });
  await look();
  await hinted;
  t.equal(hints, settled + 1);
  symlinkSync('1', join(dir, '..data'));
  await look();
  await look();
  rmSync(dir, { recursive: true });
  await look();
});

t.test('a directory that never rests is looked at all the same', async (t) => {
  const dir = folder(t);
  let hints = 0;
  const watching = watchDirectory(dir, { clock: systemClock, timers: systemTimers }, () => hints++);
  t.teardown(() => watching.close());
  await systemTimers.sleep(100);
  for (let i = 0; i < 60; i++) {
    writeFileSync(join(dir, 'x.yaml'), `${i}`);
    await systemTimers.sleep(5);
  }
  t.ok(hints >= 2, `${hints} looks in 300 ms of writing`);
});
