import fc from 'fast-check';
import t from 'tap';
import type { Clock, MonotonicMs } from '../../src/core/index.ts';
import type { Member } from '../../src/gossip/index.ts';
import { rateScale } from '../../src/limits/fleet/log-byte.ts';
import { Oldest } from '../../src/limits/fleet/oldest.ts';
import { Others } from '../../src/limits/fleet/others.ts';
import { RowLog } from '../../src/limits/fleet/row-log.ts';
import { NAME, ROW, ROWS_MAX, RowTable, UNKNOWN } from '../../src/limits/fleet/row-table.ts';

const HOUR = 3_600_000;
const versions = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 2 ** 34 }));
const units = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 2 ** 52 }));

t.test('a table gives back what was put, up to 2^53, however it grows', async () => {
  const row = fc.record({
    number: fc.oneof(fc.nat(5), fc.nat(3000)),
    name: fc.maxSafeNat(),
    version: fc.maxSafeNat(),
    admitted: fc.maxSafeNat(),
    demand: fc.nat(255),
    rate: fc.nat(255),
    ageMs: fc.nat(2 * HOUR),
    limit: fc.constantFrom(UNKNOWN, 0, 77, ROWS_MAX - 1),
  });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 30 }), (rows) => {
      const table = new RowTable();
      const now = 5 * HOUR;
      const last = new Map(rows.map((each) => [each.number, each]));
      for (const { number, name, version, admitted, demand, rate, ageMs, limit } of rows) {
        table.reach(number);
        table.setVersion(number, NAME, name);
        table.setLimit(number, limit);
        table.set(number, admitted, demand, rate, now - ageMs);
        table.setVersion(number, ROW, version);
      }
      return [...last.values()].every(
        (each) =>
          table.version(each.number, NAME) === each.name &&
          table.version(each.number, ROW) === each.version &&
          table.admitted(each.number) === each.admitted &&
          table.demand(each.number) === each.demand &&
          table.rate(each.number) === each.rate &&
          table.at(each.number) === now - each.ageMs &&
          table.limit(each.number) === each.limit,
      );
    }),
  );
  const table = new RowTable();
  table.reach(ROWS_MAX - 1);
  table.setLimit(ROWS_MAX - 1, 3);
  t.same([table.numberOf(3), table.numberOf(4), table.numberOf(UNKNOWN)], [ROWS_MAX - 1, UNKNOWN, 0]);
});

t.test('as time goes on, what is some hours old is as old as that, and what is newer keeps its age', async (t) => {
  const table = new RowTable();
  for (let number = 0; number < 3; number++) table.reach(number);
  table.set(0, 10, 1, 200, 1000.4);
  t.equal(table.at(0), 1000);
  table.set(1, 10, 2, 201, 1000 + 2 * HOUR);
  t.equal(table.at(0), 1000, 'nothing moves before it must');
  table.set(2, 10, 3, 202, 1000 + 3 * HOUR);
  t.same([table.at(1), table.at(2)], [1000 + 2 * HOUR, 1000 + 3 * HOUR]);
  t.ok(table.at(0) > 1000 && table.at(0) < 1000 + HOUR);
  t.same(
    [0, 1, 2].map((number) => [table.rate(number), table.demand(number)]),
    [
      [200, 1],
      [201, 2],
      [202, 3],
    ],
  );
  table.set(2, 10, 3, 202, 1000 + 1000 * HOUR);
  t.ok(table.at(1) < 1000 + 999 * HOUR, 'however long it was quiet');
  t.equal(table.at(2), 1000 + 1000 * HOUR);
});

t.test('the oldest of many are those with the lowest versions, in order', async () => {
  const oldest = new Oldest();
  fc.assert(
    fc.property(fc.uniqueArray(fc.maxSafeNat(), { maxLength: 200 }), fc.nat(220), (all, max) => {
      oldest.begin(max);
      for (const [at, version] of all.entries()) oldest.offer(version, at);
      oldest.sort();
      const expected = all.toSorted((a, b) => a - b).slice(0, max);
      return (
        oldest.size === expected.length &&
        expected.every((version, at) => oldest.version(at) === version && all[oldest.entry(at)] === version)
      );
    }),
  );
});

/** A log that keeps no name of its own for the limits that it knows. */
function knowing(names: readonly string[]): { log: RowLog; limitOf: (name: string) => number } {
  return { log: new RowLog((limit) => names[limit] as string), limitOf: (name) => names.indexOf(name) };
}

const written = (log: RowLog, after: number, room: number): unknown => {
  const bytes = new Uint8Array(room + 4);
  const { offset, upTo } = log.write(after, 1000, bytes, 4, room + 4);
  return [upTo, bytes.slice(4, offset)];
};

t.test('who relays rows says byte for byte what their origin says, from wherever it is asked', async () => {
  const said = fc.record({
    number: fc.oneof(fc.nat(4), fc.nat(300)),
    step: versions,
    // A name, none any more, or a row.
    name: fc.option(fc.constantFrom('', 'acme', 'globex', 'acme route pay', 'ünder'), { freq: 2 }),
    admitted: units,
  });
  fc.assert(
    fc.property(
      fc.array(said, { maxLength: 40 }),
      fc.array(fc.nat(40), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 90, max: 400 }),
      (entries, froms, room) => {
        const origin = knowing([]);
        const relay = knowing(['acme', 'acme route pay']);
        const named = new Map<number, string>();
        const marks = [0];
        for (const { number, step, name, admitted } of entries) {
          const version = origin.log.version + step;
          if (name === null && (named.get(number) ?? '') === '') continue;
          if (name !== null) {
            named.set(number, name);
            origin.log.putName({ number, version, name });
            if (origin.log.has(number) || (origin.log.nameOf(number) ?? '') !== name) return false;
          } else {
            const before = origin.log.has(number) ? origin.log.admitted(number) : 0;
            const grown = Math.min(Number.MAX_SAFE_INTEGER, before + admitted);
            origin.log.put({ number, version, admitted: grown, demand: 1, rate: 2, at: 1000 });
          }
          marks.push(version);
        }
        while (relay.log.version < origin.log.version) {
          const after = relay.log.version;
          const [upTo, bytes] = written(origin.log, after, room) as [number, Uint8Array];
          const news = relay.log.read(after, upTo, 1000, bytes);
          if (news === undefined) return false;
          for (const each of news)
            if ('name' in each) relay.log.putName(each, relay.limitOf(each.name));
            else relay.log.put(each);
        }
        for (const [number, name] of named) if ((relay.log.nameOf(number) ?? '') !== name) return false;
        for (const from of froms) {
          const after = marks[from % marks.length] as number;
          for (const each of [room, 10_000]) {
            const ofOrigin = JSON.stringify(written(origin.log, after, each));
            if (ofOrigin !== JSON.stringify(written(relay.log, after, each))) return false;
          }
        }
        return true;
      },
    ),
  );
});

t.test('a log of thousands hands out all that is new, in order, from each of its versions', async (t) => {
  const { log } = knowing([]);
  const rows = 3000;
  for (let number = 0; number < rows; number++)
    log.putName({ number, version: log.version + 1, name: `tenant-${number}` });
  // In an order of its own.
  for (let i = 0; i < rows; i++) {
    const number = (i * 1789) % rows;
    log.put({ number, version: log.version + 1, admitted: i, demand: 1, rate: 2, at: 1000 });
  }
  for (const after of [0, 1, 2999, 3000, 5990, 6000]) {
    const copy = knowing([]).log;
    copy.version = after;
    const bytes = new Uint8Array(100_000);
    const { offset, upTo } = log.write(after, 1000, bytes, 0, bytes.length);
    t.equal(upTo, log.version);
    if (after === upTo) continue;
    // Names that are not in it are known to who asks from there.
    for (let number = 0; number < Math.min(after, rows); number++)
      copy.putName({ number, version: Math.min(after, number + 1), name: 'known' });
    copy.version = after;
    const entries = copy.read(after, upTo, 1000, bytes.subarray(0, offset)) ?? [];
    t.equal(entries.length, 6000 - after);
    t.ok(entries.every(({ version }, at) => version === after + at + 1));
  }
});

t.test(
  'a row that is thought younger than it is makes no leap in what the others admitted, nor does its end',
  async (t) => {
    let now = 1000;
    const clock: Clock = { now: () => now as MonotonicMs, wallMs: () => now };
    const names = ['acme', 'globex'];
    const others = new Others(clock, 'hold', {
      take: (name) => names.indexOf(name),
      nameOf: (limit) => names[limit] as string,
    });
    others.reserve(2);
    const member: Member = {
      slot: 1,
      state: 'alive',
      isListed: true,
      name: 'b',
      incarnation: '1'.padStart(16, '0'),
      address: 'b:1',
    };
    others.onMember(member);
    const origin = new RowLog((limit) => names[limit] as string);
    let admitted = 0;
    const say = (number: number, rate: number): void => {
      if (origin.limit(number) === UNKNOWN)
        origin.putName({ number, version: origin.version + 1, name: names[number] as string }, number);
      admitted += 1000;
      const version = origin.version + 1;
      origin.put({ number, version, admitted, demand: rate, rate, at: now });
      const bytes = new Uint8Array(500);
      const { offset, upTo } = origin.write(others.version(1), now, bytes, 0, 500);
      t.ok(others.read(1, others.version(1), upTo, bytes.subarray(0, offset)));
    };
    const byte = rateScale.encode(10);
    const perSec = rateScale.decode(byte);
    say(0, byte);
    say(1, byte);
    for (const limit of [0, 1]) others.admittedSince(limit, now);
    // The one goes on to be said, the other is not any more: what it admits is reckoned on, and its row becomes another age.
    for (let hours = 1; hours <= 50; hours++) {
      now += HOUR;
      const reckoned = others.admittedSince(1, now);
      t.ok(Math.abs(reckoned - perSec * 3600) < 0.01, 'no leap where the row became another age');
      say(0, byte);
    }
    // It is said again: what was reckoned with is taken back, for as long as it is thought to be old.
    say(1, byte);
    const corrected = 1000 * 50 - others.admittedSince(1, now);
    t.ok(corrected > perSec * 2 * 3600 && corrected < perSec * 5 * 3600);
    for (const limit of [0, 1]) others.admittedSince(limit, now);
    others.onMember({ ...member, state: 'dead' });
    others.onForgotten(1);
    t.same([others.isNamed(0), others.isNamed(1)], [false, false]);
    for (const limit of [0, 1]) {
      t.ok(others.demand(limit) < 1e-6);
      const back = others.admittedSince(limit, now);
      t.ok(Math.abs(back) < perSec * 2.1, 'no more is taken back than was doubtful');
      t.ok(Math.abs(others.admittedSince(limit, now + HOUR)) < 0.01, 'nobody goes on admitting');
    }
  },
);
