/** What one sidecar tells of quotas, on its way through others: cut short, doubled, late, forged. */
import fc from 'fast-check';
import t from 'tap';
import { DAYS_MAX, OriginLog } from '../../../src/limits/fleet-quotas/origin-log.ts';
import { type FleetRow, keyOf, NOBODY, row } from '../../../src/limits/fleet-quotas/row.ts';
import { actorOf, drain } from './world.ts';

const count = (day: number, x: number, y = 0, tenant = 'acme'): FleetRow =>
  row({ kind: 'count', tenant, meter: 'api_calls', day, from: actorOf(1) }, x, y);

function delta(log: OriginLog, after: number, room = 10_000): { bytes: Uint8Array; upTo: number } {
  const bytes = new Uint8Array(room + 7);
  const { offset, upTo } = log.write(after, bytes, 7, room + 7);
  return { bytes: bytes.subarray(7, offset), upTo };
}

const held = (log: OriginLog): Record<string, unknown> =>
  Object.fromEntries([...log.rows()].map((each) => [keyOf(each), [each.x, each.y]]));

t.test('rows arrive as they were told, whole numbers, fractions and the largest', async (t) => {
  const [from, to] = [new OriginLog(actorOf(1)), new OriginLog(actorOf(1))];
  const rows = [
    count(20_783, 812, 3),
    count(20_784, 0.125, 2 ** 50),
    row({ kind: 'gauge', tenant: 'a'.repeat(63), meter: 'b'.repeat(63), from: actorOf(2) }, 1.7e12, 0.1),
    row({ kind: 'share', day: 20_784, meter: actorOf(3), from: actorOf(3), to: actorOf(4) }, 0, 2 ** 32),
    row({ kind: 'will', from: 'f'.repeat(16), to: '9'.repeat(16) }, 1),
  ];
  for (const each of rows) t.ok(from.put(each));
  const { bytes, upTo } = delta(from, 0);
  t.same(to.read(0, upTo, bytes), rows);
  t.equal(to.version, from.version);
  t.same(held(to), held(from));
  from.put(count(20_783, 812, 3));
  t.equal(delta(from, upTo).bytes.length, 0, 'the same again is no news');
  from.put(count(20_783, 900, 3));
  t.ok(delta(from, upTo).bytes.length < 12, 'a key is told once');
  const all = delta(from, 0);
  t.match(to.read(0, all.upTo, all.bytes), [{ x: 900 }], 'of what is told again only the news');
  t.equal(to.size, rows.length);
});

t.test(
  'whatever is cut short, lost, doubled or late, in the end all hold what the origin holds, and never more',
  async (t) => {
    const said = fc.array(fc.record({ key: fc.nat(9), add: fc.nat(50), isDay: fc.boolean() }), { maxLength: 60 });
    const frames = fc.array(fc.record({ from: fc.nat(2), to: fc.integer({ min: 1, max: 2 }), isLost: fc.boolean() }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(said, frames, fc.integer({ min: 60, max: 400 }), (all, sent, room) => {
        const logs = [new OriginLog(actorOf(1)), new OriginLog(actorOf(1)), new OriginLog(actorOf(1))] as const;
        const truth = new Map<number, number>();
        const late: (() => void)[] = [];
        let oldest = 0;
        for (const [at, { key, add, isDay }] of all.entries()) {
          // A day ends: its rows are forgotten, and their numbers are given to others.
          if (isDay && key > oldest) {
            oldest = key;
            drain(logs[0].dropping(({ day }) => day < oldest));
            if (add % 2 === 0) drain(logs[1].dropping(({ day }) => day < oldest));
          }
          if (key >= oldest) {
            truth.set(key, (truth.get(key) ?? 0) + add);
            logs[0].put(count(key, truth.get(key) as number, 0, `tenant-${key % 3}`));
          }
          const frame = sent[at % Math.max(1, sent.length)];
          if (frame === undefined) continue;
          const [from, to] = [logs[frame.from] as OriginLog, logs[frame.to] as OriginLog];
          const after = to.version;
          const { bytes, upTo } = delta(from, after, room);
          const arrive = (): void => void to.read(after, upTo, bytes);
          if (!frame.isLost) arrive();
          late.push(arrive);
        }
        for (const arrive of late.reverse()) arrive();
        for (const log of logs) for (const { day, x } of log.rows()) if (x > (truth.get(day) ?? 0)) return false;
        for (const log of logs.slice(1))
          while (log.version < logs[0].version) {
            const { bytes, upTo } = delta(logs[0], log.version, Math.max(room, 250));
            if (log.read(log.version, upTo, bytes) === undefined) return false;
          }
        for (const log of logs) drain(log.dropping(({ day }) => day < oldest));
        return logs.every((log) => JSON.stringify(sorted(held(log))) === JSON.stringify(sorted(held(logs[0]))));
      }),
      { seed: 42, numRuns: 300 },
    );
    t.pass('seed 42');
  },
);

const sorted = (rows: Record<string, unknown>): unknown => Object.entries(rows).sort();

t.test('what is malformed, too large or does not continue what is held changes nothing', async (t) => {
  const from = new OriginLog(actorOf(1));
  from.put(count(1, 5));
  const { bytes, upTo } = delta(from, 0);
  const log = new OriginLog(actorOf(1), 4);
  const refused = (given: readonly number[], after = 0, to = 99): void => {
    t.equal(log.read(after, to, Uint8Array.from(given)), undefined, given.slice(0, 8).join());
    t.match([log.version, log.size], [0, 0]);
  };
  refused([]);
  refused([2]);
  refused([1, 0, 0]);
  refused([1, 1]);
  refused([1, 1, 0, 2, 3]);
  refused([1, 1, 0, 2, 1, 127, 255, 255, 255, 255, 255, 255, 255]);
  refused([1, 100, 0, 2, 0]);
  refused([1, 1, 8, 2, 0]);
  refused([1, 1, 1, 99]);
  const late = new OriginLog(actorOf(1));
  late.put(count(2 ** 40, 1));
  refused([...delta(late, 0).bytes]);
  refused([...bytes.subarray(0, bytes.length - 1)]);
  refused([...bytes], 1, upTo + 1);
  refused([...bytes.map((each, at) => (at === 3 ? 200 : each))]);
  for (let at = 0; at < bytes.length; at++)
    for (const value of [0, 1, 127, 255]) {
      const forged = new OriginLog(actorOf(1));
      const rows = forged.read(0, upTo, Uint8Array.from(bytes.map((each, i) => (i === at ? value : each))));
      for (const each of rows ?? []) t.ok(each.x >= 0 && each.x <= 2 ** 50 && each.tenant.length <= 63);
    }
  t.equal(log.read(0, upTo, bytes)?.length, 1);
  t.equal(log.read(0, upTo, bytes), undefined, 'held already');
  t.same(log.read(2, 9, Uint8Array.of(1, 1, 6, 0, 2, 0)), [], 'numbers whose key is not known here');
  t.equal(log.version, 9);
  t.same(log.read(9, 10, Uint8Array.of(1, 1, 0, 199, 1, 2, 0)), [], 'of a day before all days');
});

t.test('a log that is full says so, and has room again when a day is over; a journal is swept', async (t) => {
  const log = new OriginLog(actorOf(1), 2);
  const of = (day: number, x = 1): FleetRow => count(day, x, 0, `tenant-${day}`);
  t.same([log.put(of(1)), log.put(of(2)), log.put(of(3))], [true, true, false]);
  drain(log.dropping(({ day }) => day === 1));
  t.equal(log.put(of(3)), true);
  t.equal(log.size, 2);
  for (let i = 2; i < 500; i++) log.put(of(2, i));
  const other = new OriginLog(actorOf(1));
  const { bytes, upTo } = delta(log, 0);
  t.ok(bytes.length < 100);
  other.read(0, upTo, bytes);
  t.same(held(other), held(log));
  t.equal(delta(log, 0, 10).bytes.length, 0, 'where nothing fits, nothing is written');
  t.same(log.write(0, new Uint8Array(4), 4, 4), { offset: 4, upTo: 0 });
  t.equal(keyOf(row({ kind: 'will' }, 1)), `will   0 ${NOBODY} ${NOBODY}`);
});

t.test(
  'a series has so many days, here and where it is told; a number that is free gets another key everywhere',
  async (t) => {
    const [from, to] = [new OriginLog(actorOf(1)), new OriginLog(actorOf(1))];
    const tell = (): void => {
      const { bytes, upTo } = delta(from, to.version, 100_000);
      t.ok(to.read(to.version, upTo, bytes));
      t.same(held(to), held(from));
      t.equal(to.size, from.size);
    };
    for (let day = 1; day <= DAYS_MAX; day++) t.ok(from.put(count(day, 1)));
    t.notOk(from.put(count(DAYS_MAX + 1, 1)));
    tell();
    t.ok(from.put(count(1, 2)));
    tell();
    const more = Uint8Array.of(1, 1, 0, 250, 7, 2, 0);
    t.same(to.read(to.version, to.version + 1, more), [], 'one more is not taken');
    const next = new OriginLog(actorOf(1));
    next.put(count(1, 1));
    const { bytes, upTo } = delta(next, 0);
    const reader = new OriginLog(actorOf(1));
    reader.read(0, upTo, bytes);
    drain(next.dropping(() => true));
    next.put(count(5, 6, 0, 'globex'));
    const again = delta(next, upTo);
    t.match(reader.read(upTo, again.upTo, again.bytes), [{ tenant: 'globex', day: 5, x: 6 }]);
    t.same(held(reader), held(next));
    t.equal(reader.size, 1);
  },
);
