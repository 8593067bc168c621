/** Random histories of the log of own counts on a simulated disk: what it promises holds in each, and one that breaks a promise is noticed. */
import t from 'tap';
import { countsHistory, runCountsOn } from '../../../crash/counts-history.ts';
import { runRange } from '../../../crash/runner.ts';
import type { OwnDisk, OwnFile } from '../../../src/limits/quotas/own-disk.ts';
import { firstBroken } from '../../helpers/broken-disk.ts';

t.test('500 histories of counting, killing and stopping machines break no promise', async (t) => {
  const { histories, violations, firstViolation, counts } = await runRange(countsHistory, { first: 1, end: 501 });
  t.same([histories, violations, firstViolation], [500, 0, undefined]);
  t.comment(
    `figure: ${histories} simulated crash histories of counts of quotas, ${violations} violations, ${JSON.stringify(counts)}`,
  );
  for (const [what, times] of Object.entries(counts)) t.ok(times > 100, `${times} ${what}`);
});

const files = (change: (file: OwnFile) => Partial<OwnFile>) => (disk: OwnDisk) => ({
  create: async (path: string) => {
    const file = await disk.create(path);
    return { ...file, ...change(file) };
  },
});

/** Each is a log that does one thing less. */
const BROKEN: Readonly<Record<string, (disk: OwnDisk) => Partial<OwnDisk>>> = {
  'that does not sync files': files(() => ({ sync: async () => {} })),
  'that does not sync names': () => ({ syncDir: async () => {} }),
  'whose sync says nothing of a failure': files((file) => ({ sync: () => file.sync().catch(() => {}) })),
  'whose writes say nothing of a failure': files((file) => ({ append: (text) => file.append(text).catch(() => {}) })),
  'that writes nothing but the first of each file': files((file) => {
    let isFirst = true;
    return {
      append: async (text) => {
        if (isFirst) await file.append(text);
        isFirst = false;
      },
    };
  }),
  'that forgets what a day was closed with': files((file) => ({
    append: (text) => file.append(text.replace(/^.*\["t",.*\n/gm, '')),
  })),
  'that never puts a new file in place of the old one': () => ({ rename: async () => {} }),
};

for (const [what, broken] of Object.entries(BROKEN))
  t.test(`a log ${what} is noticed`, async (t) => {
    const violation = await firstBroken(runCountsOn, broken);
    t.type(violation, 'string', violation ?? 'nobody noticed');
  });
