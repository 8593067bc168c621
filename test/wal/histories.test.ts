/** Random histories on a simulated disk: what the log promises holds in each, and a log that breaks a promise is noticed. */
import t from 'tap';
import { logHistory, runOn } from '../../crash/log-history.ts';
import { runRange } from '../../crash/runner.ts';
import type { SimDisk } from '../../sim/disk.ts';
import type { Disk } from '../../src/wal/index.ts';
import { firstBroken } from '../helpers/broken-disk.ts';

t.test('1,000 histories of appending, syncing, killing and crashing break no promise', async (t) => {
  const { histories, violations, firstViolation, counts } = await runRange(logHistory, { first: 1, end: 1001 });
  t.same([histories, violations, firstViolation], [1000, 0, undefined]);
  t.comment(
    `figure: ${histories} simulated crash histories of the log, ${violations} violations, ${JSON.stringify(counts)}`,
  );
  for (const [what, times] of Object.entries(counts)) t.ok(times > 100, `${times} ${what}`);
});

/** Each is a log that does one thing less. */
const BROKEN: Readonly<Record<string, (disk: SimDisk) => Partial<Disk>>> = {
  'that does not sync files': () => ({ sync: async () => {}, syncNow: () => {} }),
  'that does not sync names': () => ({ syncDir: async () => {}, syncDirNow: () => {} }),
  'that does not cut off what is torn': () => ({ truncate: () => {} }),
  'whose sync says nothing of a failure': (disk) => ({ sync: (file) => disk.sync(file).catch(() => {}) }),
  'that writes every 50th byte wrong': (disk) => ({
    write(file, bytes, offset, length, position) {
      const wrong = Buffer.from(bytes.subarray(offset, offset + length));
      if (wrong.length > 49) wrong[49] = 0;
      return disk.write(file, wrong, 0, length, position);
    },
  }),
};

t.test('a log that does all it should breaks nothing through the same eyes', async (t) => {
  t.equal(await firstBroken(runOn, () => ({})), undefined);
});

for (const [what, broken] of Object.entries(BROKEN))
  t.test(`a log ${what} is noticed`, async (t) => {
    const violation = await firstBroken(runOn, broken);
    t.type(violation, 'string', violation ?? 'nobody noticed');
  });
