/** Days of every zone against a second computation, that walks the hours of the wall clock instead of searching for a day. */
import t from 'tap';
import { dayNumber, windowOf } from '../../../src/limits/quotas/calendar.ts';
import { Zones } from '../../../src/limits/quotas/zones.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const at = (text: string): number => Date.parse(text);
const day = (text: string): number => Date.parse(`${text}T00:00:00Z`) / DAY;
const textOf = (number: number): string => new Date(number * DAY).toISOString().slice(0, 10);

/** Minutes that the zone is ahead of UTC, by the parts of its wall clock. */
function offsetOf(format: Intl.DateTimeFormat, wallMs: number): number {
  const parts = Object.fromEntries(format.formatToParts(wallMs).map(({ type, value }) => [type, Number(value)]));
  const { year, month, day: ofMonth, hour, minute } = parts as Record<string, number>;
  return (
    (Date.UTC(year as number, (month as number) - 1, ofMonth, hour, minute) - Math.floor(wallMs / 60_000) * 60_000) /
    60_000
  );
}

t.test('the days of every zone, around each of its transitions 2024 to 2027', async (t) => {
  const zones = new Zones();
  let transitions = 0;
  let days = 0;
  const lengths = new Map<number, number>();
  for (const zone of [...Intl.supportedValuesOf('timeZone'), 'UTC']) {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    });
    // Every transition of the zone to the minute: steps of a week, then halves.
    const found: number[] = [at('2024-02-27T12:00:00Z')];
    let offset = offsetOf(format, at('2024-01-01T00:00:00Z'));
    for (let wall = at('2024-01-01T00:00:00Z'); wall < at('2028-01-01T00:00:00Z'); wall += 7 * DAY) {
      const next = offsetOf(format, wall + 7 * DAY);
      if (next === offset) continue;
      let [before, after] = [wall, wall + 7 * DAY];
      while (after - before > 60_000) {
        const middle = Math.floor((before + after) / 2 / 60_000) * 60_000;
        if (offsetOf(format, middle) === offset) before = middle;
        else after = middle;
      }
      found.push(after);
      transitions++;
      offset = next;
    }
    for (const moment of found) {
      const [was, is] = [offsetOf(format, moment - 60_000), offsetOf(format, moment)];
      const middle = Math.floor((moment + is * 60_000) / DAY);
      for (let number = middle - 1; number <= middle + 2; number++) {
        // Midnight by either offset; what is skipped begins with the transition, what comes twice begins the first time.
        const [early, late] = [was, is].map((minutes) => number * DAY - minutes * 60_000) as [number, number];
        const expected = early < moment ? early : Math.max(late, moment);
        const start = zones.startOf(zone, number);
        if (start !== expected)
          t.fail(
            `${zone} ${textOf(number)}: ${new Date(start).toISOString()}, not ${new Date(expected).toISOString()}`,
          );
        if (zones.dayAt(zone, start) !== number || zones.dayAt(zone, start - 1) !== number - 1)
          t.fail(`${zone} ${textOf(number)}: is not the day of its first instant`);
        const hours = (zones.startOf(zone, number + 1) - start) / HOUR;
        lengths.set(hours, (lengths.get(hours) ?? 0) + 1);
        days++;
      }
    }
  }
  t.ok(transitions > 500, `${transitions} transitions`);
  for (const hours of [23, 24, 25])
    t.ok((lengths.get(hours) ?? 0) > 100, `${lengths.get(hours)} days of ${hours} hours`);
  t.comment(`figure: ${days} days of ${Intl.supportedValuesOf('timeZone').length} zones, ${transitions} transitions`);
});

t.test('days that are known by heart', async (t) => {
  const zones = new Zones();
  const start = (zone: string, text: string): string => new Date(zones.startOf(zone, day(text))).toISOString();
  t.equal(start('Europe/Berlin', '2026-03-29'), '2026-03-28T23:00:00.000Z');
  t.equal(start('Europe/Berlin', '2026-03-30'), '2026-03-29T22:00:00.000Z', '23 hours later');
  t.equal(start('Asia/Kathmandu', '2026-01-01'), '2025-12-31T18:15:00.000Z', 'a quarter of an hour');
  t.equal(start('Australia/Lord_Howe', '2026-04-06'), '2026-04-05T13:30:00.000Z', 'half an hour of daylight saving');
  t.equal(start('Pacific/Kiritimati', '2026-01-01'), '2025-12-31T10:00:00.000Z');
  t.equal(start('Pacific/Pago_Pago', '2026-01-01'), '2026-01-01T11:00:00.000Z');
  t.equal(start('Africa/Cairo', '2026-04-24'), '2026-04-23T22:00:00.000Z', 'midnight is skipped: it begins at 01:00');
  t.equal(start('Pacific/Apia', '2011-12-30'), start('Pacific/Apia', '2011-12-31'), 'a day that never was');
  t.equal(zones.dayAt('Pacific/Apia', at('2011-12-30T10:00:00Z')), day('2011-12-31'));
  // The clock went from 00:01 back to 23:01 of the day before: that minute had begun the day.
  t.equal(zones.dayAt('America/St_Johns', at('2010-11-07T02:31:00Z')), day('2010-11-07'));
});

t.test('where clocks were turned back over midnight, no day begins twice', async (t) => {
  const zones = new Zones();
  let isMonotone = true;
  // Newfoundland turned its clocks at 00:01 until 2011.
  for (let year = 1988; year <= 2010; year++)
    for (
      let minute = 0, last = 0;
      minute < 20 * 24 * 60;
      minute += minute % 1440 > 100 && minute % 1440 < 240 ? 1 : 20
    ) {
      const wall = Date.UTC(year, 9, 20) + minute * 60_000;
      const number = zones.dayAt('America/St_Johns', wall);
      isMonotone &&= number >= last && zones.startOf('America/St_Johns', number) <= wall;
      last = number;
    }
  t.ok(isMonotone);
});

t.test('windows: days, months of every length, billing periods from any day', async (t) => {
  const window = (per: 'day' | 'month' | 'billing' | 'none', text: string, billingDay = 1): string => {
    const { from, to } = windowOf(per, day(text), billingDay);
    return `${textOf(from)} ${textOf(to)}`;
  };
  t.equal(window('day', '2026-02-28'), '2026-02-28 2026-03-01');
  t.equal(window('none', '2026-02-28'), '2026-02-28 2026-03-01');
  t.equal(window('month', '2024-02-29'), '2024-02-01 2024-03-01');
  t.equal(window('month', '2026-12-31'), '2026-12-01 2027-01-01');
  t.equal(window('billing', '2026-02-27', 31), '2026-01-31 2026-02-28');
  t.equal(window('billing', '2026-02-28', 31), '2026-02-28 2026-03-31');
  t.equal(window('billing', '2024-02-28', 31), '2024-01-31 2024-02-29');
  t.equal(window('billing', '2024-02-29', 30), '2024-02-29 2024-03-30');
  t.equal(window('billing', '2026-01-01', 15), '2025-12-15 2026-01-15');
  t.equal(window('billing', '2026-12-15', 15), '2026-12-15 2027-01-15');
  t.equal(dayNumber(1970, 1, 1), 0);
});

t.test('every day is in the window that it names, and windows follow each other without a gap', async (t) => {
  let isWhole = true;
  for (const per of ['day', 'month', 'billing'] as const)
    for (let billingDay = 1; billingDay <= 31; billingDay++)
      for (let number = day('2023-12-01'); number < day('2028-03-01'); ) {
        const { from, to } = windowOf(per, number, billingDay);
        for (let each = from; each < to; each++) {
          const other = windowOf(per, each, billingDay);
          isWhole &&= other.from === from && other.to === to;
        }
        isWhole &&= windowOf(per, to, billingDay).from === to && to - from <= 31;
        // By hand: a period begins on its day, or on the last of a month that has none.
        if (per === 'billing') {
          const first = new Date(from * DAY);
          const last = new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 0)).getUTCDate();
          isWhole &&= first.getUTCDate() === Math.min(billingDay, last);
        }
        number = to;
      }
  t.ok(isWhole);
});
