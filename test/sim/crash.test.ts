/** `npm run crash`: what it prints, how it ends, and that a broken promise is told with its seed. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { runRange } from '../../crash/runner.ts';

const root = join(import.meta.dirname, '../..');
const crash = (...args: string[]) =>
  spawnSync(process.execPath, ['crash/run.ts', ...args], { cwd: root, encoding: 'utf8' });

t.test('so many histories from a seed on, over all cores; as JSON too', async (t) => {
  const { status, stdout } = crash('--simulated', '300', '--seed', '7', '--json');
  t.equal(status, 0);
  t.match(JSON.parse(stdout), {
    seed: 7,
    histories: {
      log: { histories: 300, violations: 0, seeds: [] },
      counts: { histories: 300, violations: 0, seeds: [] },
    },
  });
});

t.test('what it does not know is told; exit 2', async (t) => {
  for (const [args, message] of [
    [['--simulated', 'many'], '--simulated takes a whole number above 0, not many'],
    [['--simulated', '1', '--history', 'lag'], 'there is no history lag; known: log, counts'],
  ] as const)
    t.match(crash(...args), { status: 2, stderr: message });
});

t.test('the lowest seed that broke something is named, and what it broke', async (t) => {
  const kind = {
    name: 'odd',
    describe: '',
    run: async (seed: number) => ({ violation: seed % 10 === 5 ? `seed ${seed}` : undefined, counts: { steps: 2 } }),
  };
  t.strictSame(await runRange(kind, { first: 10, end: 40 }), {
    histories: 30,
    violations: 3,
    firstViolation: { seed: 15, violation: 'seed 15' },
    seeds: [15, 25, 35],
    counts: { steps: 60 },
  });
});
