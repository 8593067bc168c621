import t from 'tap';
import { durationText } from '../../src/cli/times.ts';

t.test('how long something takes is said as people say it, and never too short', (t) => {
  const cases: readonly [number, string][] = [
    [0.4, '1 ms'],
    [999, '999 ms'],
    [999.2, '1 s'],
    [2450, '2.5 s'],
    [59_900, '59.9 s'],
    [59_950, '1m'],
    [60_000, '1m'],
    [61_500, '1m 2s'],
    [5_804_361, '1h 36m 45s'],
    [3_600_000, '1h'],
    [3_605_000, '1h 5s'],
    [86_399_999, '1d'],
    [86_400_000, '1d'],
    [2_085_961_000, '24d 3h 27m'],
  ];
  for (const [ms, text] of cases) t.equal(durationText(ms), text, String(ms));
  t.end();
});
